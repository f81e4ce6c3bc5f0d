"""A declared sequence of notebooks: checked before anything runs, then only what has changed is executed.

The declaration is a TOML file beside the notebooks::

    name = "demo"
    title = "From a simulated survey to a ranked catalogue"

    [parameters]                      # for every notebook that has a parameter of that name
    run_folder = "{run}"              # {run} stands for the run folder
    seed = 1

    [[steps]]
    notebook = "01_data_exploration.ipynb"
    parameters = { n_objects = 400 }  # for this notebook alone
    inputs = []                       # files it reads from outside the run folder, compared by content
    outputs = []                      # files it must make in the run folder
    after = []                        # steps it depends on; all earlier ones unless said

``notebooks/steps.json`` in the run folder records what each finished step was made from. A step that was cut
short runs again from its first cell; its trainings go on where they were (`labkit.run.sweep`).
"""

import difflib
import logging
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from labkit.errors import InputError, MissingDataError
from labkit.processes import available_cores
from labkit.run.notebooks import execute_notebook, interrupt_notebooks
from labkit.run.parameters import Parameter, check_parameters, read_notebook, read_parameters
from labkit.run.records import StepRecords, files_of, fingerprint
from labkit.runfolder import RunFolder

log = logging.getLogger(__name__)


class Step(BaseModel):
    """One notebook of a sequence; see the module's text for the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notebook: str
    name: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    after: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """Name of the step: its own, or the notebook's."""
        return self.name or Path(self.notebook).stem


class NotebookSequence(BaseModel):
    """A named list of notebooks with their parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(min_length=1)
    _folder: Path = PrivateAttr(default=Path())


@dataclass(frozen=True)
class PreparedStep:
    """A step whose notebook was read and whose parameters (all of them) were checked and converted."""

    name: str
    path: Path
    notebook: nbformat.NotebookNode
    parameters: dict[str, Any]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    after: tuple[str, ...]


def read_sequence(path: str | Path) -> NotebookSequence:
    """Read a declared sequence (TOML); notebooks are found relative to its folder."""
    path = Path(path)
    if not path.is_file():
        known = sorted(file.name for file in path.parent.glob("*.toml"))
        raise MissingDataError(
            f"sequence must be a TOML file, got {str(path)!r}; in that folder: {known or 'none'}"
        )
    try:
        sequence = NotebookSequence(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, TypeError) as error:
        raise InputError(
            f"sequence {str(path)!r} must hold name, title, parameters and steps: {error}"
        ) from error
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"sequence must be valid TOML, got {str(path)!r}: {error}") from error
    sequence._folder = path.resolve().parent
    return sequence


def prepare(
    sequence: NotebookSequence,
    *,
    run: str | Path | RunFolder,
    parameters: Mapping[str, Any] | None = None,
    paths_from: str | Path | None = None,
) -> tuple[PreparedStep, ...]:
    """Read every notebook, check every parameter and the inputs from outside the run folder; nothing runs."""
    after = _dependencies(sequence.steps)
    base, target = sequence._folder, Path(run).resolve()
    notebooks = [read_notebook(base / step.notebook) for step in sequence.steps]
    known = [{one.name: one for one in read_parameters(node)} for node in notebooks]
    labels = [step.label for step in sequence.steps]
    declared = _for_each_step(sequence.parameters, labels, known)
    given = _for_each_step(parameters or {}, labels, known)
    prepared = []
    for number, (step, node, own) in enumerate(zip(sequence.steps, notebooks, known, strict=True)):
        try:
            values = check_parameters(node, _fill(declared[number] | step.parameters, target))
            said = check_parameters(node, _fill(given[number], target))
        except InputError as error:
            raise InputError(f"step {step.label!r}: {error}") from error
        if paths_from is not None:
            said = {k: own[k].from_folder(v, Path(paths_from).resolve()) for k, v in said.items()}
        values = {name: one.default for name, one in own.items()} | values | said
        inputs, outputs = (
            tuple(base / _fill(one, target) for one in names) for names in (step.inputs, step.outputs)
        )
        if outside := [str(one) for one in outputs if not one.resolve().is_relative_to(target)]:
            raise InputError(
                f"outputs of step {step.label!r} must lie in the run folder, got {outside[0]!r}; "
                "write them as '{run}/...'"
            )
        if lost := [one for one in inputs if not (one.resolve().is_relative_to(target) or one.exists())]:
            raise MissingDataError(
                f"inputs of step {step.label!r} must be there, got {str(lost[0])!r}; make it or correct it"
            )
        prepared.append(
            PreparedStep(step.label, base / step.notebook, node, values, inputs, outputs, after[number])
        )
    return tuple(prepared)


def _fill(value: Any, run: Path) -> Any:
    """Put the run folder's path in place of `{run}`, in texts and in lists and mappings of texts."""
    if isinstance(value, str):
        return value.replace("{run}", str(run))
    if isinstance(value, Mapping):
        return {key: _fill(item, run) for key, item in value.items()}
    return [_fill(item, run) for item in value] if isinstance(value, list | tuple) else value


def _for_each_step(
    given: Mapping[str, Any], labels: list[str], known: list[dict[str, Parameter]]
) -> list[dict[str, Any]]:
    """The values that each step takes, of those for all (`name`) and those for one (`step.name`)."""
    common = {name for own in known for name in own}
    single = {f"{label}.{name}" for label, own in zip(labels, known, strict=True) for name in own}
    for name in given:
        if name not in common | single:
            near = difflib.get_close_matches(name, sorted(common | single), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {sorted(common)}"
            raise InputError(
                f"parameter must be one that a notebook of the sequence declares, got {name!r}; {hint}"
            )
    return [
        {name: given[name] for name in own if name in given}
        | {name: given[f"{label}.{name}"] for name in own if f"{label}.{name}" in given}
        for label, own in zip(labels, known, strict=True)
    ]


def _dependencies(steps: tuple[Step, ...]) -> list[tuple[str, ...]]:
    """Names of the steps that each step depends on."""
    labels = [step.label for step in steps]
    if bad := [label for label in labels if not re.fullmatch(r"\w[\w .+-]*", label)]:
        raise InputError(
            f"names of steps must be letters, digits, blanks, '.', '+', '-' and '_', got {bad[0]!r}; "
            "they become files in the run folder"
        )
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(f"names of steps must differ, got {twice} twice; give one of them another `name`")
    for number, step in enumerate(steps):
        if unknown := sorted(set(step.after or ()) - set(labels[:number])):
            raise InputError(
                f"after must name earlier steps {labels[:number]}, got {unknown} in step {step.label!r}"
            )
    return [tuple(labels[:n]) if step.after is None else step.after for n, step in enumerate(steps)]


@dataclass(frozen=True)
class StepResult:
    """What happened to a step, or would: why it runs (empty: it is skipped), the notebook made, the time."""

    name: str
    reason: str
    notebook: Path
    seconds: float = 0.0

    @property
    def skipped(self) -> bool:
        """Whether the step was left as it is."""
        return not self.reason


def plan_sequence(
    sequence: NotebookSequence,
    run: str | Path | RunFolder,
    *,
    parameters: Mapping[str, Any] | None = None,
    paths_from: str | Path | None = None,
    force: bool = False,
) -> tuple[StepResult, ...]:
    """What `run_sequence` would do now: which steps run, and why; nothing is executed or written."""
    steps = prepare(sequence, run=run, parameters=parameters, paths_from=paths_from)
    reasons = _reasons(steps, StepRecords(run), force=force)
    return tuple(StepResult(step.name, reasons[step.name], _output(step, run)) for step in steps)


def run_sequence(
    sequence: NotebookSequence,
    run: str | Path | RunFolder,
    *,
    parameters: Mapping[str, Any] | None = None,
    paths_from: str | Path | None = None,
    force: bool = False,
    n_jobs: int = 1,
) -> tuple[StepResult, ...]:
    """Execute a sequence of notebooks into a run folder; steps whose content is unchanged are skipped.

    A step is skipped when its notebook, parameters, inputs and labkit's code are those of its record, its
    outputs are there, and no step that it depends on runs. Records of steps that will run are withdrawn
    before and written after each ends, so a killed run restarts at the steps that were cut short. Up to
    `n_jobs` steps that do not depend on one another run at the same time (0: one for each processor).

    `parameters` go before the declared ones, by `name` or `step.name`, as values or text; relative paths
    among them are taken from `paths_from` (the shell's folder, for a command line), or else from each
    notebook's own. A wrong notebook or parameter, or a run folder in use, is refused before anything runs; a
    cell that fails raises NotebookError, and no further step starts.
    """
    if n_jobs < 0:
        raise InputError(f"n_jobs must be 0 (one for each processor) or more, got {n_jobs}")
    folder = RunFolder(run)
    steps = prepare(sequence, run=folder.path, parameters=parameters, paths_from=paths_from)
    with _sole_use(folder):
        records = StepRecords(folder)
        reasons = _reasons(steps, records, force=force)
        folder.record(
            sequence=sequence.name,
            title=sequence.title,
            parameters={step.name: step.parameters for step in steps},
        )
        results = {step.name: StepResult(step.name, "", _output(step, folder)) for step in steps}
        for step in steps:
            if not reasons[step.name]:
                log.info("%s: skipped, nothing changed", step.name)

        def start(step: PreparedStep) -> None:
            log.info("%s: runs (%s)", step.name, reasons[step.name])
            seconds = _run_step(step, folder, records, steps)
            log.info("%s: done in %.1f s", step.name, seconds)
            results[step.name] = replace(results[step.name], reason=reasons[step.name], seconds=seconds)

        to_run = [step for step in steps if reasons[step.name]]
        records.withdraw([step.name for step in to_run])
        _side_by_side(to_run, start, n_jobs=n_jobs or available_cores())
    return tuple(results.values())


def _side_by_side(steps: list[PreparedStep], start: Callable[[PreparedStep], None], *, n_jobs: int) -> None:
    """Start each step as soon as those that it depends on are done, `n_jobs` at a time, in their order.

    After a failure nothing more starts; what already runs is finished first, and if that fails, too, its
    error is logged. Stopped by hand, the notebooks that run are stopped as well.
    """
    waiting = list(steps)
    running: dict[Future[None], PreparedStep] = {}
    failed: list[BaseException] = []
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            while running or (waiting and not failed):
                open_names = {step.name for step in (*waiting, *running.values())}
                ready = [] if failed else [one for one in waiting if not open_names & set(one.after)]
                for step in ready[: n_jobs - len(running)]:
                    running[pool.submit(start, step)] = step
                    waiting.remove(step)
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[done]
                    if error := done.exception():
                        failed.append(error)
        except KeyboardInterrupt:
            interrupt_notebooks()
            raise
    for error in failed[1:]:
        log.error("%s", error)
    if failed:
        raise failed[0]


def _output(step: PreparedStep, run: str | Path | RunFolder) -> Path:
    return Path(run) / "notebooks" / f"{step.name}.ipynb"


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


def _run_step(
    step: PreparedStep, folder: RunFolder, records: StepRecords, steps: Iterable[PreparedStep]
) -> float:
    """Execute one step and record what it was made from and what it made; returns seconds.

    Of a step that ran beside it, whatever that does not declare as an output counts as made by both.
    """
    made_from = fingerprint(step.notebook, parameters=step.parameters, inputs=step.inputs, after=step.after)
    before, started, output = files_of(folder), time.monotonic(), _output(step, folder)
    execute_notebook(step.path, output, parameters=step.parameters)
    if absent := [path for path in step.outputs if not path.exists()]:
        raise InputError(
            f"step {step.name!r} must make its outputs, {str(absent[0])!r} is not there; see {str(output)!r}"
        )
    others = {path.resolve() for one in steps if one.name != step.name for path in one.outputs}
    made = [
        name
        for name, state in files_of(folder).items()
        if before.get(name) != state and (folder.path / name).resolve() not in others
    ]
    seconds = time.monotonic() - started
    outputs = sorted([f"notebooks/{output.name}", *made])
    records.add(step.name, {"made_from": made_from, "outputs": outputs, "seconds": round(seconds, 2)})
    return seconds
