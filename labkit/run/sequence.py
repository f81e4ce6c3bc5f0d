"""A declared sequence of notebooks, executed into a run folder and resumed by content.

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
    after = []                        # steps it depends on; all earlier ones unless said
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from labkit.errors import InputError, MissingDataError
from labkit.run.parameters import check_parameters, read_notebook, read_parameters

__all__ = ["NotebookSequence", "PreparedStep", "Step", "prepare", "read_sequence", "sequence_of"]


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
    """A step whose notebook was read and whose parameters were checked.

    Parameters
    ----------
    name : str
        Name of the step.
    path : Path
        The notebook file.
    notebook : NotebookNode
        Its content.
    parameters : dict
        Values of all its parameters, converted.
    inputs : tuple of Path
        Files and folders it reads.
    outputs : tuple of Path
        Files and folders it promises to make.
    after : tuple of str
        Steps it depends on.
    """

    name: str
    path: Path
    notebook: nbformat.NotebookNode
    parameters: dict[str, Any]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    after: tuple[str, ...]


def read_sequence(path: str | Path) -> NotebookSequence:
    """Read a declared sequence.

    Parameters
    ----------
    path : path
        TOML file; notebooks are found relative to its folder.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If it is not TOML, or a field is unknown, missing or of the wrong type.
    """
    path = Path(path)
    if not path.is_file():
        known = sorted(file.name for file in path.parent.glob("*.toml"))
        raise MissingDataError(
            f"sequence must be a TOML file, got {str(path)!r}; in that folder: {known or 'none'}"
        )
    try:
        sequence = NotebookSequence(**tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"sequence must be valid TOML, got {str(path)!r}: {error}") from error
    except (ValidationError, TypeError) as error:
        raise InputError(
            f"sequence {str(path)!r} must hold name, title, parameters and steps: {error}"
        ) from error
    sequence._folder = path.resolve().parent
    return sequence


def sequence_of(notebooks: Iterable[str | Path], *, name: str = "run") -> NotebookSequence:
    """A sequence of notebooks in the given order, with their own parameters."""
    return NotebookSequence(
        name=name, steps=tuple(Step(notebook=str(Path(notebook).resolve())) for notebook in notebooks)
    )


def _fill(value: Any, run: Path) -> Any:
    """Put the run folder's path in place of `{run}`, in texts and in lists of texts."""
    if isinstance(value, str):
        return value.replace("{run}", str(run))
    return [_fill(item, run) for item in value] if isinstance(value, list | tuple) else value


def _split_overrides(
    given: Mapping[str, Any], known: Mapping[str, set[str]]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Values for every step, and values written `step.name` for one."""
    everywhere: dict[str, Any] = {}
    single: dict[str, dict[str, Any]] = {name: {} for name in known}
    names = {name for parameters in known.values() for name in parameters}
    names |= {f"{step}.{name}" for step, parameters in known.items() for name in parameters}
    for name, value in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"known: {sorted(n for n in names if '.' not in n)}"
            )
            raise InputError(
                f"parameter must be one that a notebook of the sequence declares, got {name!r}; {hint}"
            )
        step, dot, own = name.rpartition(".")
        if dot:
            single[step][own] = value
        else:
            everywhere[name] = value
    return everywhere, single


def _dependencies(steps: tuple[Step, ...]) -> list[tuple[str, ...]]:
    """Names of the steps that each step depends on."""
    labels = [step.label for step in steps]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(f"names of steps must differ, got {twice} twice; give one of them another `name`")
    for number, step in enumerate(steps):
        if unknown := sorted(set(step.after or ()) - set(labels[:number])):
            raise InputError(
                f"after must name earlier steps {labels[:number]}, got {unknown} in step {step.label!r}"
            )
    return [tuple(labels[:n]) if step.after is None else step.after for n, step in enumerate(steps)]


def prepare(
    sequence: NotebookSequence, *, run: str | Path, parameters: Mapping[str, Any] | None = None
) -> tuple[PreparedStep, ...]:
    """Read every notebook and check every parameter of a sequence; nothing runs.

    Parameters
    ----------
    sequence : NotebookSequence
        The declaration.
    run : path
        The run folder, for `{run}`.
    parameters : mapping of str to object, optional
        Values that go before the declared ones: `name` for each notebook that has it, `step.name` for one.

    Returns
    -------
    tuple of PreparedStep
        The steps in order.

    Raises
    ------
    InputError
        If a notebook is missing, a parameter is unknown everywhere or of the wrong type, or steps clash.
    """
    after = _dependencies(sequence.steps)
    paths = [sequence._folder / step.notebook for step in sequence.steps]
    notebooks = [read_notebook(path) for path in paths]
    labels = [step.label for step in sequence.steps]
    known = {
        label: {p.name for p in read_parameters(node)} for label, node in zip(labels, notebooks, strict=True)
    }
    shared, _ = _split_overrides(sequence.parameters, known)
    everywhere, single = _split_overrides(parameters or {}, known)
    base, target = sequence._folder, Path(run).resolve()
    prepared = []
    for step, path, node, needs in zip(sequence.steps, paths, notebooks, after, strict=True):
        own = known[step.label]
        given = {k: v for k, v in shared.items() if k in own} | step.parameters
        given |= {k: v for k, v in everywhere.items() if k in own} | single[step.label]
        try:
            values = check_parameters(node, {k: _fill(v, target) for k, v in given.items()})
        except InputError as error:
            raise InputError(f"step {step.label!r}: {error}") from error
        values = {p.name: values.get(p.name, p.default) for p in read_parameters(node)}
        inputs = tuple(base / _fill(item, target) for item in step.inputs)
        outputs = tuple(base / _fill(item, target) for item in step.outputs)
        prepared.append(PreparedStep(step.label, path, node, values, inputs, outputs, needs))
    return tuple(prepared)
