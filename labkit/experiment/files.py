"""Experiments declared in a TOML file that anyone can edit; the papers' networks are such a file too.

A file holds fields of every experiment in ``[defaults]`` and one ``[[experiments]]`` per experiment::

    [defaults]
    seeds = [0, 1, 2]

    [[experiments]]
    preset = "CN-E"
    image_size = 89
    optimiser = { kind = "adamw", learning_rate = 1e-3 }

An entry starts from its preset, if it names one; the defaults change that, its own fields change both.
An `optimiser` or `augmentation` of the same kind changes the fields it names and leaves the others. TOML has
no word for nothing: the text "none" stands for it (``augmentation = "none"``).
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.experiment.experiment import Experiment, merged

_TOP = {"title", "defaults", "experiments"}
_SCHEDULE = (
    "momentum", "rho", "learning_rate", "decay", "minimal_learning_rate", "plateau_patience",
    "plateau_factor",
)  # fmt: skip


def read_experiments(path: str | Path, *, only: Sequence[str] = (), **changes: Any) -> tuple[Experiment, ...]:
    """Read declared experiments from a TOML file.

    Parameters
    ----------
    path : path
        The file.
    only : sequence of str
        Names of the experiments to take, in this order; empty takes all, in the file's order.
    **changes
        Fields that are changed in all of them, such as ``epochs=3``.

    Returns
    -------
    tuple of Experiment
        The experiments; their names differ.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If it is not TOML, an entry breaks a rule (each is named, with what is wrong and what to do), two
        entries have one name, or `only` asks for a name that is not there.
    """
    file = f"experiments file {str(path)!r}"
    declared = _declared(Path(path), file)
    made: list[Experiment] = []
    problems: list[str] = []
    for number, entry in enumerate(declared["experiments"], start=1):
        try:
            made.append(_experiment(declared.get("defaults", {}), entry, changes, PRESETS))
        except InputError as error:
            name = repr(entry.get("name", entry.get("preset", "without a name")))
            problems.append(f"entry {number} ({name}): {error}")
    if problems:
        raise InputError(f"{file}: " + "\n  ".join(["", *problems] if len(problems) > 1 else problems))
    names = [experiment.name for experiment in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{file}: names must differ, got {twice} twice; give one of them its own name")
    found = {experiment.name: experiment for experiment in made}
    if unknown := [name for name in only if name not in found]:
        raise InputError(f"{file} has no experiment {unknown[0]!r}; {_hint(unknown[0], found)}")
    return tuple(found[name] for name in only) if only else tuple(made)


def _declared(path: Path, file: str) -> dict[str, Any]:
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(f"{file} does not exist; check the path") from error
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{file} must be TOML ({error})") from error
    if unknown := sorted(set(declared) - _TOP):
        raise InputError(f"{file} must hold only {sorted(_TOP)}, got {unknown}; put fields into [defaults]")
    entries = declared.get("experiments")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{file} must have entries [[experiments]], got {entries!r}; see read_experiments")
    defaults = declared.get("defaults", {})
    if not isinstance(defaults, dict) or {"name", "preset"} & set(defaults):
        raise InputError(f"{file}: [defaults] must be fields but name and preset, which belong to an entry")
    return declared


def _experiment(
    defaults: Mapping[str, Any],
    entry: Mapping[str, Any],
    changes: Mapping[str, Any],
    presets: Mapping[str, Experiment],
) -> Experiment:
    known = Experiment.model_fields
    for name in {**defaults, **entry, **changes}:
        if name not in known and name != "preset":
            raise InputError(f"{name!r} is not a field of an experiment; {_hint(name, known)}")
    fields: dict[str, Any] = {}
    if (start := entry.get("preset")) is not None:
        if start not in presets:
            raise InputError(
                f"preset must be one of the networks by name, got {start!r}; {_hint(start, presets)}"
            )
        fields = presets[start].model_dump()
    own = {name: value for name, value in entry.items() if name != "preset"}
    for layer in (defaults, own, changes):
        for name, value in layer.items():
            fields[name] = merged(fields.get(name), None if value == "none" else value)
    return Experiment(**fields)


def _hint(name: object, known: Iterable[str]) -> str:
    spelled = {one.lower(): one for one in known}
    near = difflib.get_close_matches(str(name).lower(), spelled, n=1, cutoff=0.5)
    return f"did you mean {spelled[near[0]]!r}?" if near else f"known: {', '.join(known)}"


def _read_presets() -> dict[str, Experiment]:
    """The networks of ``presets.toml``; each may start from an earlier one."""
    text = (resources.files("labkit.experiment") / "presets.toml").read_text(encoding="utf-8")
    made: dict[str, Experiment] = {}
    for entry in tomllib.loads(text)["experiments"]:
        made[entry["name"]] = _experiment({}, entry, {}, made)
    return made


PRESETS = _read_presets()


def preset(name: str, /, **changes: Any) -> Experiment:
    """One of `PRESETS`, the networks of the papers, with some fields changed.

    Parameters
    ----------
    name : str
        As in the papers' tables: "CN-E", "MN-Z", "VGG small" ...
    **changes
        Fields of the Experiment with other values, its name among them; a mapping changes what it names, as
        ``optimiser={"learning_rate": 5e-5}``.

    Returns
    -------
    Experiment
        What is trained, validated; an `InputError` if there is no such preset, or a change breaks a rule.
    """
    need_choice("preset", name, PRESETS)
    return PRESETS[name].changed(**changes)


def hyperparameters(experiments: Iterable[Experiment], objects: int) -> Table:
    """The rows of Kosiba et al. (2020), Table 4: how each experiment is trained on so many objects.

    NaN for what an optimiser does not have. ``iterations`` are all batches of all epochs.
    """
    rows = []
    for one in experiments:
        schedule = one.optimiser.model_dump()
        rows.append(
            {"experiment": one.name, "batch_size": one.batch_size}
            | {"iterations": one.epochs * max(1, objects // one.batch_size)}
            | {"optimiser": type(one.optimiser).__name__}
            | {name: schedule.get(name, np.nan) for name in _SCHEDULE}
            | {"dropout": one.dropout, "image_size": one.image_size}
        )
    return Table(rows=rows)
