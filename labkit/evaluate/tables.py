"""One statistics: a table of measures by whatever groups the objects or the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.measures import AVERAGES, COUNTS, LOSSES, MEASURES, RATES, binary_scores, class_scores
from labkit.evaluate.resampling import (
    Interval,
    Resampling,
    bootstrap,
    bootstrap_classes,
    percentile_interval,
    spread,
    wilson,
)
from labkit.evaluate.trainings import Rows, Trainings, find_rows, known_objects
from labkit.predictions import Predictions
from labkit.tables import text

Sets = Predictions | Mapping[Any, Predictions]
ENDINGS = ("", "_std", "_error", "_low", "_high")
_BOOTSTRAPPED = ("f1", "auc")
_NAN = float("nan")


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
    positive: str | None = None,
    split: str | None = "test",
    threshold: float = 0.5,
    resampling: Resampling | None = None,
) -> QTable:
    """Measure predictions: one row for each group of objects or runs.

    The tables of the papers are calls of this: ``by=("experiment",)`` is Kosiba et al. (2020), Table 5, and
    with ``classes="each"`` Table 6 and Angora et al. (2020), Table D.1; ``by=("cluster", "bands"),
    on=catalogue`` is Table D.2; ``parts=`` gives Tables 2 to 4.

    Parameters
    ----------
    predictions : Predictions or mapping to Predictions
        Any runs; each value of a mapping is of one experiment. Objects of unknown class are left out. An
        empty mapping, a comparison of which nothing was trained, gives a table without rows.
    by : sequence of str
        What makes a row, outermost first: "experiment", "seed", "fold", "part", "class", a column of `on`, or
        any name for the keys of a mapping ("bands"); keys that are tuples have as many names.
    measures : sequence of str
        Among `MEASURES`, "fp_rate", "fn_rate", "brier", "log_loss", and the counts "tp", "fp", "fn", "tn" and
        "predicted".
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
    positive : str, optional
        Another positive class than that of the predictions.
    split : str or None
        Part of the Sample; None measures all rows.
    threshold : float
        A higher probability counts as positive; of more than two classes the most probable one counts.
    resampling : Resampling, optional
        Number, confidence and random numbers; the default is `Resampling()`.

    Returns
    -------
    `~astropy.table.QTable`
        The columns of `by`, ``objects``, ``positives``, ``runs`` (trainings, or runs), and for each measure
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
    _check(measures, over, classes)
    mode = "each" if "class" in by else classes
    heads = [*dict.fromkeys([*by, *(["part"] if parts else []), *(["class"] if mode == "each" else [])])]
    about = {"split": split, "over": over, "confidence": resampling.confidence}
    if isinstance(predictions, Mapping) and not predictions:
        return _without_rows(heads, measures, about)
    groups = _Groups.of(predictions, tuple(by), on, parts, total, split)
    view = _View.of(groups.example, mode, positive, threshold)
    rows = []
    for head, part in groups:
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


def _check(measures: Sequence[str], over: str, classes: str) -> None:
    known = (*MEASURES, *RATES, *LOSSES, *COUNTS)
    if isinstance(measures, str) or (strange := [name for name in measures if name not in known]):
        raise InputError(
            f"measures must be a list of {known}, got {measures if isinstance(measures, str) else strange}"
        )
    for name, value, choices in (
        ("over", over, ("objects", "runs")),
        ("classes", classes, ("positive", "each", "macro")),
    ):
        if value not in choices:
            raise InputError(f"{name} must be one of {choices}, got {value!r}")


@dataclass(frozen=True)
class _View:
    """Which classes are measured, and how objects are given one."""

    mode: Literal["positive", "each", "macro"]
    names: tuple[str, ...]
    column: int  # of the positive class
    threshold: float

    @classmethod
    def of(cls, example: Predictions, mode: Any, positive: str | None, threshold: float) -> _View:
        names, name = example.classes, positive or example.positive
        if mode == "positive" and name is None and len(names) > 2:
            mode = "macro"
        if mode == "positive" and name not in names:
            raise InputError(f"positive must be one of {names}, got {name!r}")
        return cls(mode, names, names.index(name) if name in names else len(names) - 1, threshold)

    @property
    def binary(self) -> bool:
        """One class against the rest, rather than each of several."""
        return self.mode == "positive" or (self.mode == "each" and len(self.names) == 2)

    def decide(self, p: NDArray) -> NDArray:
        """Class given to each object, or whether it is the positive one; p of shape (..., class)."""
        if not self.binary or len(self.names) > 2:
            best = p.argmax(-1)
            return best == self.column if self.binary else best
        return p[..., self.column] > self.threshold

    def scores(self, objects: Trainings, wanted: Sequence[str]) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each measure of each class, one value for each training."""
        each = [self._one(objects.codes, p, wanted) for p in objects.probabilities]
        return {
            label: {name: np.array([one[label][name] for one in each], dtype=np.float64) for name in found}
            for label, found in each[0].items()
        }

    def _one(self, codes: NDArray, p: NDArray, wanted: Sequence[str]) -> dict[str, dict[str, float]]:
        if self.binary:
            truth, score, chosen = codes == self.column, p[:, self.column], self.decide(p)
            sides = {self.names[self.column]: (truth, score, chosen)}
            if self.mode == "each":
                other = self.names[1 - self.column]
                sides[other] = (~truth, p[:, 1 - self.column], ~chosen)
                sides = {name: sides[name] for name in self.names}
            if not len(codes):
                return {name: _empty() for name in sides}
            return {
                name: binary_scores(*side[:2], decided=side[2], wanted=wanted) for name, side in sides.items()
            }
        labels = (*self.names, *AVERAGES) if self.mode == "each" else ("all",)
        if not len(codes):
            return {name: _empty() for name in labels}
        found = class_scores(codes, p, self.decide(p), classes=self.names, wanted=wanted)
        return found if self.mode == "each" else {"all": _overall(found)}

    def draws(
        self, objects: Trainings, number: int, rng: np.random.Generator, ranked: bool
    ) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Each measure of each class, one value for each resample."""
        p = objects.probabilities
        options: dict[str, Any] = {"resamples": number, "rng": rng, "ranked": ranked}
        if self.binary:
            truth, each = objects.codes == self.column, self.mode == "each"
            found = bootstrap(truth, p[..., self.column], self.decide(p), reverse=each, **options)
            names = (self.names[self.column], *([self.names[1 - self.column]] if each else []))
            return dict(zip(names, found, strict=True))
        drawn = bootstrap_classes(objects.codes, p, self.decide(p), classes=self.names, **options)
        return drawn if self.mode == "each" else {"all": _overall(drawn)}


def _overall(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All classes together: macro averages, and as accuracy the share of objects given their class."""
    macro, micro = (found[name] for name in AVERAGES)
    return dict(macro) | ({"accuracy": micro["completeness"]} if micro else {})


def _empty() -> dict[str, float]:
    return dict.fromkeys((*MEASURES, *RATES, *LOSSES), _NAN) | dict.fromkeys(COUNTS, 0.0)


def _measured(
    rows: Rows,
    view: _View,
    measures: Sequence[str],
    over: str,
    resampling: Resampling,
    rng: np.random.Generator,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cells of a group, for each class."""
    units = rows.units() if over == "runs" and len(rows) else [rows.trainings()]
    found = [view.scores(one, measures) for one in units]
    wilsons = view.binary and resampling.proportions == "wilson"
    drawn = {*measures} & {*(_BOOTSTRAPPED if wilsons else MEASURES)}
    draws: dict[str, dict[str, NDArray]] = {}
    if over == "objects" and resampling.number and drawn and len(rows):
        draws = view.draws(units[0], resampling.number, rng, "auc" in drawn)
    ids, first = np.unique(rows.object_id, return_index=True)
    for label, values in found[0].items():
        if over == "runs":
            values = {name: np.array([one[label][name].mean() for one in found]) for name in values}
        n = {name: float(values[name].mean()) for name in COUNTS}
        truth = rows.codes[first] == view.names.index(label) if label in view.names else np.ones(len(ids))
        cells: dict[str, Any] = {
            "objects": len(ids),
            "positives": int(truth.sum()),
            "runs": len(values["tp"]),
        }
        for name in measures:
            if name in COUNTS:
                cells[name] = n[name]
                continue
            scatter = spread(values[name], confidence=resampling.confidence)
            bounds = scatter.interval
            if over == "objects":
                bounds = Interval(_NAN, _NAN)
                if name in drawn:
                    some = draws.get(label, {}).get(name, [])
                    bounds = percentile_interval(some, confidence=resampling.confidence)
                elif label in view.names:
                    bounds = _proportion(name, n, resampling.confidence)
            numbers = (scatter.mean, scatter.std, scatter.error, *bounds)
            cells |= {f"{name}{end}": float(v) for end, v in zip(ENDINGS, numbers, strict=True)}
        yield label, cells


def _proportion(name: str, n: Mapping[str, float], confidence: float) -> Interval:
    """Wilson's interval of a measure that is a proportion, from the mean counts."""
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


@dataclass(frozen=True)
class _Level:
    """Values of one or more columns of a table, and which rows of a set belong to each."""

    names: tuple[str, ...]
    values: list[Any]


@dataclass(frozen=True)
class _Groups:
    """The groups of a table, in the order of its rows."""

    sets: dict[Any, Rows]
    levels: list[_Level]
    key_at: int  # which of the levels is that of the sets
    on: Table | None
    place: dict[Any, NDArray[np.int64]]  # of the objects of each set in `on`
    parts: dict[str, Any]
    total: str | None
    example: Predictions

    @classmethod
    def of(
        cls,
        predictions: Sets,
        by: tuple[str, ...],
        on: Table | None,
        parts: Mapping[str, Any] | None,
        total: str | None,
        split: str | None,
    ) -> _Groups:
        """Read what makes a row."""
        keyed = isinstance(predictions, Mapping)
        columns = [] if on is None else [name for name in by if name in on.colnames and name not in _OWN]
        keys = tuple(name for name in by if name not in (*_OWN, *columns))
        if keys and not keyed:
            there = [] if on is None else on.colnames
            raise InputError(f"by must name columns of on, {there}, or of {_OWN}, got {list(keys)}")
        if on is not None and "object_id" not in on.colnames:
            raise InputError(f"on must have the column object_id, got {on.colnames}")
        if parts is not None and on is None and any(_is_mask(part) for part in parts.values()):
            raise InputError("parts that are masks need on=, the catalogue whose rows they mark; or give ids")
        if keyed:
            chosen = dict(predictions)
        else:
            known = known_objects(predictions, split)
            names = dict.fromkeys(known.table["experiment"].tolist())
            chosen = {name: known.select(experiment=name) for name in names}
        if not chosen:
            raise InputError("predictions must hold a row at least, got none")
        if len(chosen) > 1 and not keys and "experiment" not in by:
            raise InputError(f"by must tell {list(chosen)} apart, got {list(by)}; add 'experiment'")
        if keyed and keys and "experiment" in by:
            raise InputError(f"by must name the keys of predictions once, got 'experiment' and {list(keys)}")
        keys = keys or ("experiment",)
        sets = {key: Rows.of(one, split, name=str(key)) for key, one in chosen.items()}
        place = {}
        if on is not None:
            ids = text(on["object_id"])
            place = {key: find_rows(ids, rows.object_id, name="on") for key, rows in sets.items()}
        levels = []
        for name in (*by, *(["part"] if parts and "part" not in by else [])):
            if name in keys:
                if all(keys != level.names for level in levels):
                    levels.append(_Level(keys, list(sets)))
            elif name in ("seed", "fold"):
                numbers = np.unique(np.concatenate([getattr(rows, name) for rows in sets.values()]))
                levels.append(_Level((name,), numbers.tolist()))
            elif name == "part":
                levels.append(_Level((name,), list(parts or {})))
            elif name in columns and on is not None:
                values = list(dict.fromkeys(text(on[name]).tolist()))
                levels.append(_Level((name,), values + [total] * (total is not None and name == columns[0])))
        if not any(level.names == keys for level in levels):
            levels.append(_Level(keys, list(sets)))
        key_at = next(number for number, level in enumerate(levels) if level.names == keys)
        masks = {name: _part(name, part, on) for name, part in (parts or {}).items()}
        example = next(iter(chosen.values()))
        return cls(sets, levels, key_at, on, place, masks, total, example)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Rows]]:
        for values in product(*(level.values for level in self.levels)):
            head: dict[str, Any] = {}
            for level, value in zip(self.levels, values, strict=True):
                several = value if isinstance(value, tuple) else (value,)
                if len(several) != len(level.names):
                    raise InputError(f"by must name each part of the keys {value!r}, got {level.names}")
                head |= dict(zip(level.names, several, strict=True))
            yield from self._group(head, values[self.key_at])

    def _group(self, head: dict[str, Any], key: Any) -> Iterator[tuple[dict[str, Any], Rows]]:
        rows, keep = self.sets[key], np.ones(len(self.sets[key]), dtype=bool)
        for name, value in head.items():
            if name in ("seed", "fold"):
                keep &= getattr(rows, name) == value
            elif (
                self.on is not None and name in self.on.colnames and name not in _OWN and value != self.total
            ):
                keep &= text(self.on[name])[self.place[key]] == value
        if not keep.any():
            return
        if "part" in head:
            part = self.parts[head["part"]]
            keep &= part[self.place[key]] if _is_mask(part) else np.isin(rows.object_id, part)
        yield head, rows.take(keep)


_OWN = ("experiment", "seed", "fold", "part", "class")


def _is_mask(part: Any) -> bool:
    return not isinstance(part, set | frozenset) and np.asarray(part).dtype == bool


def _part(name: str, part: Any, on: Table | None) -> NDArray:
    """A mask of the rows of `on`, or ids."""
    values = np.array(sorted(part), dtype=str) if isinstance(part, set | frozenset) else np.asarray(part)
    if _is_mask(values) and on is not None and values.shape != (len(on),):
        raise InputError(
            f"parts must have one value for each row of on, {len(on)}, got {values.shape} for {name!r}"
        )
    return values if _is_mask(values) else values.astype(str)
