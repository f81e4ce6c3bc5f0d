"""Checkpoints that are safe to load: tensors as safetensors, all else as JSON, no pickled code.

One file holds one nested state (dictionaries, lists, tuples, numbers, strings, tensors). Tensors are
the file's tensors; the structure is JSON in its header, with a digest over both, so that a file that
was changed or damaged is refused. `labkit.learn.fit` decides which training may go on from it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from labkit.errors import InputError, MissingDataError, boundary
from labkit.paths import atomic_file

FORMAT = "labkit-state-1"


def write_state(path: str | Path, state: dict[str, Any], *, about: dict[str, Any] | None = None) -> Path:
    """Write a nested state to one file, which appears whole or not at all.

    States are nested dictionaries, lists, tuples, numbers, strings, None and tensors; `about` holds JSON-able
    facts that `read_about` gives back without reading the tensors.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_encode(state, tensors, "state"))
    note = json.dumps(about or {})
    header = {"format": FORMAT, "structure": structure, "about": note}
    header["digest"] = digest_of(structure + note, tensors)
    with atomic_file(path) as partial:
        save_file(tensors, partial, metadata=header)
    return Path(path)


def read_state(path: str | Path) -> dict[str, Any]:
    """Read what `write_state` wrote, onto the CPU; a damaged or changed file is refused."""
    header, tensors = _open(path, tensors=True)
    if header["digest"] != digest_of(header["structure"] + header["about"], tensors):
        raise InputError(
            f"checkpoint {str(path)!r} must be as it was written, but its digest differs; train again"
        )
    return _decode(json.loads(header["structure"]), tensors)


def read_about(path: str | Path) -> dict[str, Any]:
    """The facts written beside a state, without its tensors."""
    return json.loads(_open(path, tensors=False)[0]["about"])


def _open(path: str | Path, *, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not Path(path).is_file():
        raise MissingDataError(f"checkpoint {str(path)!r} does not exist; check the path or train first")
    failed = boundary(f"checkpoint {str(path)!r} must be a whole safetensors file", "train again")
    with failed, safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    if header.get("format") != FORMAT:
        raise InputError(
            f"checkpoint {str(path)!r} must have the format {FORMAT}, got {header.get('format')!r}"
        )
    return header, found


def digest_of(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of a text and of tensors by their names."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _encode(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().cpu().contiguous().clone()
        return {"$tensor": key}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {
            "$dict": [
                [_encode(k, tensors, name), _encode(v, tensors, f"{name}[{k!r}]")] for k, v in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        items = [_encode(item, tensors, f"{name}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise InputError(
        f"{name} must be a number, string, tensor, list or dict to be saved safely, got {type(value)}"
    )


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "$tensor":
        return tensors[content]
    if kind == "$tuple":
        return tuple(_decode(item, tensors) for item in content)
    return {_decode(k, tensors): _decode(v, tensors) for k, v in content}
