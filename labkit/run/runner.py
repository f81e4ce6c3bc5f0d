"""Run a sequence of notebooks into a run folder, doing only what has changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from labkit.errors import InputError
from labkit.run.notebooks import execute_notebook
from labkit.run.records import StepRecords, files_of, fingerprint
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
        records = StepRecords(folder)
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


def _reasons(steps: Iterable[PreparedStep], records: StepRecords, *, force: bool) -> dict[str, str]:
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
    before, started = files_of(folder), time.monotonic()
    execute_notebook(step.path, output, parameters=step.parameters, progress=progress)
    if absent := [path for path in step.outputs if not path.exists()]:
        raise InputError(
            f"step {step.name!r} must make its outputs, {str(absent[0])!r} is not there; see {str(output)!r}"
        )
    made = [name for name, state in files_of(folder).items() if before.get(name) != state]
    seconds = time.monotonic() - started
    outputs = sorted([f"notebooks/{output.name}", *made])
    StepRecords(folder).add(
        step.name, {"made_from": made_from, "outputs": outputs, "seconds": round(seconds, 2)}
    )
    return seconds
