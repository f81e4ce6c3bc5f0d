"""A declared sequence of notebooks, read and checked before anything runs.

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
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from labkit.errors import InputError, MissingDataError
from labkit.run.parameters import Parameter, check_parameters, read_notebook, read_parameters


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
    """Read a declared sequence (TOML); notebooks are found relative to its folder.

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
    except (ValidationError, TypeError) as error:
        raise InputError(
            f"sequence {str(path)!r} must hold name, title, parameters and steps: {error}"
        ) from error
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"sequence must be valid TOML, got {str(path)!r}: {error}") from error
    sequence._folder = path.resolve().parent
    return sequence


def sequence_of(notebooks: Iterable[str | Path], *, name: str = "run") -> NotebookSequence:
    """A sequence of notebooks in the given order, with their own parameters."""
    return NotebookSequence(
        name=name, steps=tuple(Step(notebook=str(Path(notebook).resolve())) for notebook in notebooks)
    )


def prepare(
    sequence: NotebookSequence,
    *,
    run: str | Path,
    parameters: Mapping[str, Any] | None = None,
    paths_from: str | Path | None = None,
) -> tuple[PreparedStep, ...]:
    """Read every notebook and check every parameter of a sequence; nothing runs."""
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
