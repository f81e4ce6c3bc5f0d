"""Copies of the notebooks, sequences and experiments that ship with labkit, to run and to change."""

import hashlib
import json
import os
from pathlib import Path

from labkit.errors import InputError
from labkit.paths import file_hash, shipped_folder, write_file

_RECORD = ".labkit.json"  # SHA-256 of each file as it was written
_KINDS = ("*.ipynb", "*.toml", "experiments/*.toml")


def copy_notebooks(folder: str | Path, *, data: str | Path | None = None) -> dict[str, str]:
    """Copy the notebooks, sequences and experiments into a folder; a copy that was changed is never replaced.

    The notebooks' paths ``../data/...`` are rewritten to mean `data`, the folder of everything made (``data``
    beside `folder` by default, which is what they mean as they are). Says what became of each file: "copied",
    "updated" (the copy was as labkit had written it, the original is newer), "unchanged", or "outdated" (the
    original is newer, but the copy has been changed or run, and stays as it is).
    """
    source, target = shipped_folder("notebooks"), Path(folder).resolve()
    if target.is_relative_to(source.resolve()) or (target.exists() and not target.is_dir()):
        raise InputError(f"folder must be one of your own, got {str(folder)!r}; choose another")
    place = "../data/" if data is None else f"{os.path.relpath(Path(data).resolve(), target)}/"
    place = place.replace(os.sep, "/")
    if set(place) & set("\"'\\"):
        raise InputError(f"data must be a path without quotes and backslashes, got {place!r}; rename it")
    record_file, record, states = target / _RECORD, {}, {}
    if record_file.is_file():
        record = json.loads(record_file.read_text(encoding="utf-8"))
    for file in sorted(path for kind in _KINDS for path in source.glob(kind) if path.name != "ruff.toml"):
        name, copy = file.relative_to(source).as_posix(), target / file.relative_to(source)
        new, there = file.read_bytes().replace(b"../data/", place.encode()), copy.is_file()
        digest, old = hashlib.sha256(new).hexdigest(), file_hash(copy) if there else None
        if there and digest in (old, record.get(name)):
            states[name] = "unchanged"
        elif there and old != record.get(name):
            states[name] = "outdated"
        else:
            states[name] = "updated" if there else "copied"
            write_file(copy, new)
        if states[name] != "outdated":
            record[name] = digest
    write_file(record_file, json.dumps(record, indent=1))
    return states
