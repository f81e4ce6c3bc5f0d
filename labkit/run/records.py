"""What the steps of a run were made from and what they made, known again by content."""

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from labkit.errors import MissingDataError
from labkit.paths import shipped_folder, write_file
from labkit.run.parameters import spell
from labkit.runfolder import RunFolder


def content_hash(*paths: str | Path) -> str:
    """SHA-256 of the bytes of files, and of the names and bytes of all files in folders."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        if not path.exists():
            raise MissingDataError(
                f"input must be a file or folder, got {str(path)!r}; make it, or correct the path"
            )
        inside = (p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for file in [path] if path.is_file() else sorted(inside):
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def code_hash() -> str:
    """SHA-256 of labkit's own files: modules, and the data that they read."""
    data = (shipped_folder("data/published"), shipped_folder("data/trees"))
    return content_hash(Path(__file__).parents[1], *data)


def fingerprint(
    notebook: nbformat.NotebookNode,
    *,
    parameters: Mapping[str, Any],
    inputs: Iterable[Path] = (),
    after: Iterable[str] = (),
) -> dict[str, Any]:
    """Everything that decides what a step makes, part by part: notebook, parameters, inputs, after, code.

    Of the notebook the text counts, its outputs and metadata do not; inputs are compared by content.
    """
    text = json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells])
    return {
        "notebook": hashlib.sha256(text.encode()).hexdigest(),
        "parameters": {name: spell(value) for name, value in parameters.items()},  # NaN equals itself as text
        "inputs": {str(path): content_hash(path) for path in inputs},
        "after": list(after),
        "code": code_hash(),
    }


def files_of(folder: RunFolder) -> dict[str, tuple[int, int]]:
    """Size and time of change of each result in a run folder, apart from notebooks and hidden files."""
    results = {}
    for file in folder.path.rglob("*"):
        parts = file.relative_to(folder.path).parts
        if parts[0] == "notebooks" or parts in (("manifest.json",), ("report.html",)):
            continue
        if file.is_file() and not any(part.startswith(".") for part in parts):
            stat = file.stat()
            results["/".join(parts)] = (stat.st_size, stat.st_mtime_ns)
    return results


class StepRecords:
    """The finished steps of a run folder, in `notebooks/steps.json`."""

    def __init__(self, run: str | os.PathLike[str]) -> None:
        self.run = Path(run)
        self.file = self.run / "notebooks" / "steps.json"
        self._lock = threading.Lock()

    def read(self) -> dict[str, dict[str, Any]]:
        """Record of each finished step; a file cut short counts as none."""
        try:
            return json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Record a finished step."""
        with self._lock:
            write_file(self.file, json.dumps(self.read() | {name: dict(record)}, indent=1))

    def withdraw(self, names: Iterable[str]) -> None:
        """Forget steps, so that they run again whatever happens next."""
        gone = set(names)
        with self._lock:
            kept = {name: record for name, record in self.read().items() if name not in gone}
            write_file(self.file, json.dumps(kept, indent=1))

    def why_not(self, name: str, parts: Mapping[str, Any]) -> str:
        """Why a step has to run: the empty string if its record matches and its outputs are there."""
        record = self.read().get(name)
        if record is None:
            return "not run yet"
        for part, value in parts.items():
            if record["made_from"].get(part) != value:
                return f"{part} changed"
        missing = [output for output in record["outputs"] if not (self.run / output).exists()]
        return f"output {missing[0]} is missing" if missing else ""
