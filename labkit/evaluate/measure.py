"""`measure`: a table of measures by whatever groups the objects or the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, need_choice
from labkit.evaluate.estimates import NUMBER_MEASURES, number_draws, number_scores
from labkit.evaluate.metrics import AVERAGES, COUNTS, LOSSES, MEASURES, RATES, class_scores, overall
from labkit.evaluate.resampling import Interval, Resampling, bootstrap, percentile_interval, spread, wilson
from labkit.evaluate.trainings import Rows, Trainings, find_rows, known_objects
from labkit.predictions import Estimates, Predictions, target_column
from labkit.tables import text

Sets = Predictions | Estimates | Mapping[Any, Predictions] | Mapping[Any, Estimates]
ENDINGS = ("", "_std", "_error", "_low", "_high")
_OF_NUMBERS = ("target", "unit")
_OWN = ("experiment", "seed", "fold", "part", "class")
_BOOTSTRAPPED = ("balanced_accuracy", "f1", "auc")
_NAN = float("nan")
_EMPTY = dict.fromkeys((*MEASURES, *RATES, *LOSSES), _NAN) | dict.fromkeys(COUNTS, 0.0)


def measure(
    predictions: Sets,
    *,
    by: Sequence[str] = ("experiment",),
    measures: Sequence[str] = MEASURES,
    on: Table | None = None,
    parts: Mapping[str, ArrayLike | set[str]] | None = None,
    total: str | None = None,
    over: Literal["objects", "runs"] = "objects",
    classes: Literal["positive", "each", "macro"] = "positive",
    split: str | None = "test",
    threshold: float = 0.5,
    resampling: Resampling | None = None,
) -> QTable:
    """Measure predictions, of classes or of numbers: one row for each group of objects or runs.

    The tables of the papers are calls of this: ``by=("experiment",)`` is Kosiba et al. (2020), Table 5, and
    with ``classes="each"`` Table 6 and Angora et al. (2020), Table D.1; ``by=("cluster", "bands"),
    on=catalogue`` is Table D.2; ``parts=`` gives Tables 2 to 4.

    Parameters
    ----------
    predictions : Predictions, Estimates, or mapping to one of them
        Any runs; each value of a mapping is of one experiment. Objects of unknown class or number are left
        out. An empty mapping, a comparison of which nothing was trained, gives a table without rows.
    by : sequence of str
        What makes a row, outermost first: "experiment", "seed", "fold", "part", "class", a column of `on`, or
        any name for the keys of a mapping ("bands"); keys that are tuples have as many names.
    measures : sequence of str
        Among `MEASURES`, "balanced_accuracy", "fp_rate", "fn_rate", "brier", "log_loss", and the counts "tp",
        "fp", "fn", "tn" and "predicted". Of numbers by default all of "bias", "scatter" (standard
        deviation), "mad_scatter" (1.4826 MAD), "relative_bias" and "relative_error" (mean of predicted / true
        - 1 and of its size, of the number itself also where its logarithm was learned), "coverage_68" and
        "coverage_95" (shares of objects in their intervals).
    on : Table, optional
        Catalogue with ``object_id`` and the columns named in `by`.
    parts : mapping of str to array_like, optional
        Parts of the sample, which may overlap: a mask of the rows of `on`, or ids. Adds "part" to `by`.
    total : str, optional
        Adds, after the values of the first column of `on`, a row of this name with all of them.
    over : {"objects", "runs"}
        Who might have been others. "objects": the mean over trainings (seeds with all their folds), with
        intervals for other objects (`Resampling`). "runs": the mean over folds, or over seeds where there are
        none, with Student's t interval of it.
    classes : {"positive", "each", "macro"}
        The positive class; each class against the rest, for more than two followed by their averages; or all
        together: accuracy is the share of objects that were given their class, the other measures are macro
        averages. Several classes of which none is positive are always measured together.
    split : str or None
        Part of the Sample; None measures all rows.
    threshold : float
        A higher probability counts as positive; of more than two classes the most probable one counts.
    resampling : Resampling, optional
        Number, confidence and random numbers; the default is `Resampling()`.

    Returns
    -------
    `~astropy.table.QTable`
        The columns of `by` (and of numbers ``target`` and ``unit``, "dex" of a logarithm, with no
        ``positives``), ``objects``, ``positives``, ``runs`` (trainings, or runs), and for each measure
        its mean, ``_std`` (n - 1), ``_error`` (of the mean), ``_low`` and ``_high``, NaN where undefined;
        counts are means over trainings. ``meta`` has split, over and confidence.

    Raises
    ------
    InputError
        If a name is unknown, no object is known, `on` lacks an object, or the trainings of a row judge
        different objects while ``over="objects"``.
    """
    resampling = resampling or Resampling()
    rng = np.random.default_rng(resampling.rng)
    several = list(predictions.values()) if isinstance(predictions, Mapping) else [predictions]
    numbers = bool(several) and all(isinstance(one, Estimates) for one in several)
    measures = NUMBER_MEASURES if numbers and measures is MEASURES else measures
    _check(measures, over, classes, numbers)
    if numbers and ("class" in by or classes != "positive"):
        raise InputError("by and classes must name no class, because numbers have none")
    mode = "each" if "class" in by else classes
    asked = tuple(name for name in by if not numbers or name not in _OF_NUMBERS)
    by = (*asked, *(_OF_NUMBERS if numbers else ()))
    heads = [*dict.fromkeys([*by, *(["part"] if parts else []), *(["class"] if mode == "each" else [])])]
    about = {"split": split, "over": over, "confidence": resampling.confidence}
    if isinstance(predictions, Mapping) and not predictions:
        return _without_rows(heads, measures, about)
    keys, sets = _read_sets(predictions, asked, on, split)
    if numbers:
        keys, sets = (*keys, *_OF_NUMBERS), _by_target(sets)
    view = None if numbers else View.of(next(iter(sets.values())), mode, threshold)
    rows = []
    for head, part in _groups(keys, sets, by, on, parts or {}, total, split):
        if view is None:
            rows.append(head | _measured_numbers(part, head["target"], measures, over, resampling, rng))
            continue
        for label, found in _measured(part, view, measures, over, resampling, rng):
            rows.append(head | ({"class": label} if view.mode == "each" else {}) | found)
    if not rows:
        raise InputError("by, on and parts must leave a row at least, got none")
    table = QTable(rows=rows)
    table = table[[*heads, *table.colnames[table.colnames.index("objects") :]]]
    table.meta.update(about)
    return table


def _without_rows(heads: Sequence[str], measures: Sequence[str], about: dict[str, Any]) -> QTable:
    """The table of nothing: the columns of any other, of which only text and numbers are known."""
    kinds: dict[str, type] = {name: int if name in ("seed", "fold") else str for name in heads}
    kinds |= dict.fromkeys(("objects", "positives", "runs"), int)
    for name in measures:
        kinds |= dict.fromkeys([name] if name in COUNTS else [f"{name}{end}" for end in ENDINGS], float)
    return QTable(names=list(kinds), dtype=list(kinds.values()), meta=about)


def _check(measures: Sequence[str], over: str, classes: str, numbers: bool) -> None:
    known = NUMBER_MEASURES if numbers else (*MEASURES, *RATES, *LOSSES, *COUNTS)
    if isinstance(measures, str) or (strange := [name for name in measures if name not in known]):
        raise InputError(
            f"measures must be a list of {known}, got {measures if isinstance(measures, str) else strange}"
        )
    need_choice("over", over, ("objects", "runs"))
    need_choice("classes", classes, ("positive", "each", "macro"))


@dataclass(frozen=True)
class View:
    """Which classes are measured, and how objects are given one."""

    mode: Literal["positive", "each", "macro"]
    names: tuple[str, ...]
    column: int  # of the positive class
    threshold: float

    @classmethod
    def of(cls, example: Predictions, mode: Any, threshold: float) -> View:
        """Of predictions, such as those that are measured."""
        names, name = example.classes, example.positive
        if mode == "positive" and name is None and len(names) > 2:
            mode = "macro"
        if mode == "positive":
            need_choice("positive", name, names)
        return cls(mode, names, names.index(name) if name in names else len(names) - 1, threshold)

    @property
    def binary(self) -> bool:
        """One class against the rest, rather than each of several."""
        return self.mode == "positive" or (self.mode == "each" and len(self.names) == 2)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each row of a group is about."""
        if self.mode == "each":
            return self.names if self.binary else (*self.names, *AVERAGES)
        return (self.names[self.column],) if self.binary else ("all",)

    def _decide(self, p: NDArray) -> NDArray:
        """Class given to each object, or whether it is the positive one; p of shape (..., class)."""
        if not self.binary or len(self.names) > 2:
            best = p.argmax(-1)
            return best == self.column if self.binary else best
        return p[..., self.column] > self.threshold

    @property
    def _measured(self) -> tuple[str, ...]:
        """The classes that have measures of their own."""
        return self.labels if self.binary else self.names

    def sides(self, objects: Trainings) -> tuple[NDArray, NDArray, NDArray]:
        """Truth, shape (n, k), scores and decisions, shape (training, n, k), of the classes measured."""
        columns = np.array([self.names.index(name) for name in self._measured])
        decided = self._decide(objects.probabilities)[..., None]
        chosen = decided == (columns == self.column) if self.binary else decided == columns
        return objects.codes[:, None] == columns, objects.probabilities[..., columns], chosen

    def scores(self, objects: Trainings, wanted: Sequence[str]) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each measure of each class, one value for each training."""
        each = [dict.fromkeys(self.labels, _EMPTY)]
        if len(objects.codes):
            truth, p, chosen = self.sides(objects)
            options: dict[str, Any] = {"classes": self._measured, "averages": not self.binary}
            options["wanted"] = wanted
            each = [class_scores(truth, *one, **options) for one in zip(p, chosen, strict=True)]
        if self.mode == "macro" and len(objects.codes):
            each = [{"all": overall(one)} for one in each]
        return {
            label: {name: np.array([one[label][name] for one in each], dtype=np.float64) for name in found}
            for label, found in each[0].items()
        }

    def draws(
        self, objects: Trainings, number: int, rng: np.random.Generator, ranked: bool
    ) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each measure of each class, one value for each resample of objects, drawn class by class."""
        codes = objects.codes
        strata = [codes == c for c in np.unique(codes)]
        if self.binary:
            strata = [codes == self.column, codes != self.column]
        options: dict[str, Any] = {"strata": strata, "resamples": number, "rng": rng, "ranked": ranked}
        sides = self.sides(objects)
        found = bootstrap(*sides, classes=self._measured, averages=not self.binary, **options)
        return {"all": overall(found)} if self.mode == "macro" else found


def _measured(
    rows: Rows,
    view: View,
    measures: Sequence[str],
    over: str,
    resampling: Resampling,
    rng: np.random.Generator,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cells of a group, for each class."""
    units = rows.units() if over == "runs" and len(rows) else [rows.trainings()]
    found = [view.scores(one, measures) for one in units]
    wilsons = view.binary and resampling.proportions == "wilson"
    drawn = {*measures} & {*(_BOOTSTRAPPED if wilsons else (*MEASURES, RATES[0]))}
    draws: dict[str, dict[str, NDArray]] = {}
    if over == "objects" and resampling.number and drawn and len(rows):
        draws = view.draws(units[0], resampling.number, rng, "auc" in drawn)
    ids, first = np.unique(rows.object_id, return_index=True)
    for label, values in found[0].items():
        if over == "runs":
            values = {name: np.array([one[label][name].mean() for one in found]) for name in values}
        n = {name: float(values[name].mean()) for name in COUNTS}
        truth = rows.codes[first] == view.names.index(label) if label in view.names else np.ones(len(ids))
        counts = (len(ids), int(truth.sum()), len(values["tp"]))
        cells: dict[str, Any] = dict(zip(("objects", "positives", "runs"), counts, strict=True))
        for name in measures:
            if name in COUNTS:
                cells[name] = n[name]
                continue
            if name in drawn:
                some = draws[label][name] if draws else ()
                bounds = percentile_interval(some, confidence=resampling.confidence)
            else:
                bounds = _proportion(name if label in view.names else "", n, resampling.confidence)
            cells |= _cells(name, values[name], None if over == "runs" else bounds, resampling)
        yield label, cells


def _cells(
    name: str, values: NDArray, bounds: Interval[float] | None, resampling: Resampling
) -> dict[str, float]:
    """A measure over trainings, or over runs with the interval of their mean where no `bounds` are given."""
    scatter = spread(values, confidence=resampling.confidence)
    numbers = (scatter.mean, scatter.std, scatter.error, *(bounds or scatter.interval))
    return {f"{name}{end}": float(v) for end, v in zip(ENDINGS, numbers, strict=True)}


def _measured_numbers(
    rows: Rows,
    target: str,
    measures: Sequence[str],
    over: str,
    resampling: Resampling,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The cells of a group of numbers."""
    if not len(rows):
        return {"objects": 0, "runs": 0} | {f"{name}{end}": np.nan for name in measures for end in ENDINGS}
    units = rows.units() if over == "runs" else [rows.trainings()]
    logarithmic = target_column(target)[1]
    each = [
        number_scores(one.codes, *np.moveaxis(one.probabilities, -1, 0), logarithmic=logarithmic)
        for one in units
    ]
    draws: dict[str, NDArray] = {}
    if over == "objects" and resampling.number:
        draws = number_draws(units[0], resamples=resampling.number, rng=rng, logarithmic=logarithmic)
    n, runs = len(np.unique(rows.object_id)), len(units) if over == "runs" else len(each[0]["bias"])
    cells: dict[str, Any] = {"objects": n, "runs": runs}
    for name in measures:
        values = np.array([one[name].mean() for one in each]) if over == "runs" else each[0][name]
        if not np.isfinite(values.mean()):
            bounds = Interval(np.nan, np.nan)
        elif name.startswith("coverage") and resampling.proportions == "wilson":
            bounds = wilson(round(values.mean() * n), n, confidence=resampling.confidence)
        else:
            bounds = percentile_interval(draws.get(name, ()), confidence=resampling.confidence)
        cells |= _cells(name, values, None if over == "runs" else bounds, resampling)
    return cells


def _proportion(name: str, n: Mapping[str, float], confidence: float) -> Interval[float]:
    """Wilson's interval of a measure that is a proportion, from the mean counts; NaN of another."""
    proportions = {
        "accuracy": (n["tp"] + n["tn"], n["tp"] + n["tn"] + n["fp"] + n["fn"]),
        "purity": (n["tp"], n["tp"] + n["fp"]),
        "completeness": (n["tp"], n["tp"] + n["fn"]),
        "fp_rate": (n["fp"], n["fp"] + n["tn"]),
        "fn_rate": (n["fn"], n["tp"] + n["fn"]),
    }
    if name not in proportions:
        return Interval(_NAN, _NAN)
    k, trials = (round(value) for value in proportions[name])
    return wilson(k, trials, confidence=confidence)


def _read_sets(
    predictions: Sets, by: Sequence[str], on: Table | None, split: str | None
) -> tuple[tuple[str, ...], dict[Any, Any]]:
    """The columns of `by` that tell sets apart, and the sets, each of one experiment, by their keys."""
    there = [] if on is None else on.colnames
    keys = tuple(name for name in by if name not in _OWN and name not in there)
    if on is not None and "object_id" not in there:
        raise InputError(f"on must have the column object_id, got {there}")
    if isinstance(predictions, Mapping):
        if keys and "experiment" in by:
            raise InputError(f"by must name the keys of predictions once, got 'experiment' and {list(keys)}")
        sets = dict(predictions)
    elif keys:
        raise InputError(f"by must name columns of on, {there}, or of {_OWN}, got {list(keys)}")
    else:
        known = known_objects(predictions, split)
        names = dict.fromkeys(known.table["experiment"].tolist())
        sets = {name: known.select(experiment=name) for name in names}
    if len(sets) > 1 and not keys and "experiment" not in by:
        raise InputError(f"by must tell {list(sets)} apart, got {list(by)}; add 'experiment'")
    return keys or ("experiment",), sets


def _by_target(sets: Mapping[Any, Estimates]) -> dict[Any, Estimates]:
    """The numbers of each target, their keys with target and unit at the end."""
    found = {}
    for key, one in sets.items():
        names, units = text(one.table["target"]), text(one.table["unit"])
        for name, unit in dict(zip(names.tolist(), units.tolist(), strict=True)).items():
            several = key if isinstance(key, tuple) else (key,)
            shown = "dex" if target_column(name)[1] else unit
            found[(*several, name, shown)] = one.select(names == name)
    return found


def _groups(
    keys: tuple[str, ...],
    sets: Mapping[Any, Predictions | Estimates],
    by: Sequence[str],
    on: Table | None,
    parts: Mapping[str, Any],
    total: str | None,
    split: str | None,
) -> Iterator[tuple[dict[str, Any], Rows]]:
    """What names each row of the table, and the rows of predictions that belong to it, in its order."""
    rows = {key: Rows.of(one, split, name=str(key)) for key, one in sets.items()}
    columns: dict[str, NDArray] = {}
    place: dict[Any, NDArray] = {}  # of the objects of each set in `on`
    if on is not None:
        columns = {name: text(on[name]) for name in by if name in on.colnames and name not in _OWN}
        ids = text(on["object_id"])
        place = {key: find_rows(ids, one.object_id, name="on") for key, one in rows.items()}
    chosen = {name: _part(name, part, on) for name, part in parts.items()}
    levels: dict[Any, list[Any]] = {}
    for name in (*by, *(["part"] if parts else []), *keys):
        if name in keys:
            levels[keys] = list(rows)
        elif name in ("seed", "fold"):
            levels[name] = np.unique(np.concatenate([getattr(one, name) for one in rows.values()])).tolist()
        elif name == "part":
            levels[name] = list(chosen)
        elif name in columns:
            first = total is not None and name == next(iter(columns))
            levels[name] = [*dict.fromkeys(columns[name].tolist()), *([total] if first else [])]
    for values in product(*levels.values()):
        head = dict(zip(levels, values, strict=True))
        key = head.pop(keys)
        several = key if isinstance(key, tuple) else (key,)
        if len(several) != len(keys):
            raise InputError(f"by must name each part of the keys {key!r}, got {keys}")
        keep = np.ones(len(rows[key]), dtype=bool)
        for name, value in head.items():
            if name in ("seed", "fold"):
                keep &= getattr(rows[key], name) == value
            elif name in columns and value != total:
                keep &= columns[name][place[key]] == value
        if not keep.any():
            continue
        if "part" in head:
            part = chosen[head["part"]]
            keep &= part[place[key]] if part.dtype == bool else np.isin(rows[key].object_id, part)
        yield head | dict(zip(keys, several, strict=True)), rows[key].take(keep)


def _part(name: str, part: Any, on: Table | None) -> NDArray:
    """A mask of the rows of `on`, or ids."""
    values = np.array(sorted(part), dtype=str) if isinstance(part, set | frozenset) else np.asarray(part)
    if values.dtype != bool:
        return values.astype(str)
    if on is None:
        raise InputError("parts that are masks need on=, the catalogue whose rows they mark; or give ids")
    if values.shape != (len(on),):
        raise InputError(
            f"parts must have one value for each row of on, {len(on)}, got {values.shape} for {name!r}"
        )
    return values
