"""Run a sequence of notebooks into a run folder, doing only what has changed."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout

from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_file, data_folder
from labkit.run.notebooks import execute_notebook
from labkit.run.parameters import spell
from labkit.run.sequence import NotebookSequence, PreparedStep, prepare
from labkit.runfolder import RunFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepResult:
    """What happened to a step: why it ran (empty: it was skipped), the executed notebook, and the time."""

    name: str
    reason: str
    notebook: Path
    seconds: float = 0.0

    @property
    def skipped(self) -> bool:
        """Whether the step was left as it is."""
        return not self.reason


def run_sequence(
    sequence: NotebookSequence,
    run: str | Path | RunFolder,
    *,
    parameters: Mapping[str, Any] | None = None,
    paths_from: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
) -> tuple[StepResult, ...]:
    """Execute a sequence of notebooks into a run folder; steps whose content is unchanged are skipped.

    A step is skipped when its notebook, parameters, inputs and labkit's code are those of its record, its
    outputs are there, and no step that it depends on runs. Records are withdrawn before a step starts and
    written after it ends, so a killed run restarts at the step that was cut short.

    Parameters
    ----------
    sequence : NotebookSequence
        The declaration, from `read_sequence` or `sequence_of`.
    run : path or RunFolder
        Where executed notebooks and results go.
    parameters : mapping of str to object, optional
        Values that go before the declared ones, by `name` or `step.name`; text is converted.
    paths_from : path, optional
        Folder that relative paths among `parameters` are taken from (the shell's, for a command line); by
        default each notebook's own.
    force : bool
        Run every step.
    progress : bool, optional
        Moving line instead of log lines; by default only at a terminal.

    Returns
    -------
    tuple of StepResult
        One for each step.

    Raises
    ------
    InputError
        Before anything runs: a notebook or parameter that does not exist, or of the wrong type, or the run
        folder is in use. While running: an input that no step has made.
    NotebookError
        If a cell fails; later steps do not run.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    steps = prepare(sequence, run=folder.path, parameters=parameters, paths_from=paths_from)
    with _sole_use(folder):
        records = _StepRecords(folder)
        reasons = _reasons(steps, records, force=force)
        folder.record(
            sequence=sequence.name,
            title=sequence.title,
            parameters={step.name: step.parameters for step in steps},
        )
        results = []
        for step in steps:
            output = folder.notebooks / f"{step.name}.ipynb"
            if not reasons[step.name]:
                log.info("%s: skipped, nothing changed", step.name)
                results.append(StepResult(step.name, "", output))
                continue
            log.info("%s: runs (%s)", step.name, reasons[step.name])
            records.withdraw(_dependants(step.name, steps))
            seconds = _run_step(step, output, folder, progress=progress)
            log.info("%s: done in %.1f s", step.name, seconds)
            results.append(StepResult(step.name, reasons[step.name], output, seconds))
    return tuple(results)


def _reasons(steps: Iterable[PreparedStep], records: _StepRecords, *, force: bool) -> dict[str, str]:
    """Why each step has to run; a step runs when one that it depends on does."""
    reasons: dict[str, str] = {}
    for step in steps:
        lost = [path for path in step.outputs if not path.exists()]
        present = [path for path in step.inputs if path.exists()]
        parts = fingerprint(step.notebook, parameters=step.parameters, inputs=present, after=step.after)
        own = "forced" if force else records.why_not(step.name, parts)
        upstream = next((f"{name} runs again" for name in step.after if reasons[name]), "")
        reasons[step.name] = own or upstream or (f"output {lost[0].name} is missing" if lost else "")
    return reasons


def _dependants(name: str, steps: Iterable[PreparedStep]) -> set[str]:
    """A step and all that depend on it."""
    names = {name}
    for step in steps:
        if names & set(step.after):
            names.add(step.name)
    return names


@contextmanager
def _sole_use(folder: RunFolder) -> Iterator[None]:
    """Keep a second process out of the run folder; a killed one leaves it free."""
    try:
        with FileLock(folder.path / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(
            f"run folder must be used by one run at a time, got {str(folder.path)!r} in use; "
            "wait for the other run or choose another folder"
        ) from error


def _run_step(step: PreparedStep, output: Path, folder: RunFolder, *, progress: bool | None) -> float:
    """Execute one step and record what it was made from and what it made; returns seconds."""
    made_from = fingerprint(step.notebook, parameters=step.parameters, inputs=step.inputs, after=step.after)
    before, started = _files_of(folder), time.monotonic()
    execute_notebook(step.path, output, parameters=step.parameters, progress=progress)
    if absent := [path for path in step.outputs if not path.exists()]:
        raise InputError(
            f"step {step.name!r} must make its outputs, {str(absent[0])!r} is not there; see {str(output)!r}"
        )
    made = [name for name, state in _files_of(folder).items() if before.get(name) != state]
    seconds = time.monotonic() - started
    outputs = sorted([f"notebooks/{output.name}", *made])
    _StepRecords(folder).add(
        step.name, {"made_from": made_from, "outputs": outputs, "seconds": round(seconds, 2)}
    )
    return seconds


def content_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of all files in a folder."""
    path = Path(path)
    if not path.exists():
        raise MissingDataError(
            f"input must be a file or folder, got {str(path)!r}; make it, or correct the path"
        )
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def code_hash() -> str:
    """SHA-256 of the names and bytes of labkit's own files: modules, and the data that they read."""
    digest = hashlib.sha256()
    for root in (Path(__file__).parents[1], data_folder("published"), data_folder("trees")):
        for file in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


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


def _files_of(folder: RunFolder) -> dict[str, tuple[int, int]]:
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


class _StepRecords:
    """The finished steps of a run folder, in `notebooks/steps.json`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.file = folder, folder.notebooks / "steps.json"

    def read(self) -> dict[str, dict[str, Any]]:
        """Record of each finished step; a file cut short counts as none."""
        try:
            return json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def _write(self, records: Mapping[str, Any]) -> None:
        with atomic_file(self.file) as partial:
            partial.write_text(json.dumps(records, indent=1))

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Record a finished step."""
        self._write(self.read() | {name: dict(record)})

    def withdraw(self, names: Iterable[str]) -> None:
        """Forget steps, so that they run again whatever happens next."""
        gone = set(names)
        self._write({name: record for name, record in self.read().items() if name not in gone})

    def why_not(self, name: str, parts: Mapping[str, Any]) -> str:
        """Why a step has to run: the empty string if its record matches and its outputs are there."""
        record = self.read().get(name)
        if record is None:
            return "not run yet"
        for part, value in parts.items():
            if record["made_from"].get(part) != value:
                return f"{part} changed"
        missing = [output for output in record["outputs"] if not (self.folder.path / output).exists()]
        return f"output {missing[0]} is missing" if missing else ""
