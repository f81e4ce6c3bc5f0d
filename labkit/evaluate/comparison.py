"""Is one classifier better than another? Paired tests where both judged the same objects.

Two classifiers that are measured on the same objects err on much the same ones, so their intervals overlap
long before their difference is in doubt: compare them in pairs. Each side may be several trainings. All tests
take the trainings as they are and ask about other *objects*: would the mean over these trainings differ on
another test set? With one training on each side they are the textbook tests. DeLong's and Holm's are ours,
because scipy and scikit-learn have neither, and the exact sum over several trainings is finer than a
permutation test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm, rankdata

from labkit.errors import InputError, need_choice
from labkit.evaluate.measure import View
from labkit.evaluate.metrics import MEASURES, RATES, check_scores
from labkit.evaluate.resampling import Resampling, percentile_interval, spread
from labkit.evaluate.trainings import Rows, Trainings
from labkit.predictions import Predictions

_MEASURES = (*MEASURES, RATES[0])
_LEVEL = 0.05  # of significance
NO_DIFFERENCE = "no significant difference"
_EXACT_STEPS = 200_000_000  # of the exact distribution; above, the normal one is as good
_COLUMNS = {"first": str, "second": str, "measure": str, "pairing": str, "objects": int, "positives": int}
_COLUMNS |= {f"{side}_{end}": float for side in ("first", "second") for end in ("value", "std")}
_COLUMNS |= {"difference": float, "low": float, "high": float, "test": str, "p_value": float}
_COLUMNS |= {"p_holm": float, "verdict": str}


@dataclass(frozen=True)
class DeLong:
    """AUC of the first minus the second, with its standard error and two-sided p-value."""

    difference: float
    standard_error: float
    p_value: float


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> float:
    """P-value of McNemar's exact test on the same objects (McNemar 1947, Psychometrika 12, 153).

    Of several trainings, an object's entry is the share of them that got it right, and its difference d
    between the sides lies between -1 and 1. If the sides were equally good, d and -d would be equally likely:
    the p-value is the chance, over all signs, of a sum of d as large as the measured one. With one training
    on each side d is -1, 0 or 1 and this is McNemar's test.
    """
    first, second = (np.asarray(given, dtype=bool) for given in (first_correct, second_correct))
    if first.shape[-1:] != second.shape[-1:] or not {first.ndim, second.ndim} <= {1, 2}:
        raise InputError(
            f"both must name the same objects in the same order, got {first.shape} and {second.shape}"
        )
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    unit = math.lcm(len(first), len(second))
    right = [side.sum(0) * (unit // len(side)) for side in (first, second)]  # in units of 1 / unit
    return _sign_flips(right[0] - right[1])


def _sign_flips(differences: NDArray) -> float:
    """Chance that whole numbers with random signs have a sum at least as far from zero."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    reached, most = abs(int(differences.sum())), int((sizes * counts).sum())
    if most * int(counts.sum()) > _EXACT_STEPS:
        scatter = math.sqrt(float((sizes.astype(float) ** 2 * counts).sum()))
        return float(2 * norm.sf(reached / scatter))
    chance = np.ones(1)  # of each sum of positive terms; sum of all terms = 2 * that - most
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        step = np.zeros(size * count + 1)
        step[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, step)
    return float(min(1.0, chance[np.abs(2 * np.arange(most + 1) - most) >= reached].sum()))


def delong(true: ArrayLike, first: ArrayLike, second: ArrayLike) -> DeLong:
    """Test of a difference of AUC on the same objects (DeLong et al. 1988, Biometrics 44, 837).

    An AUC is a mean over objects of their *placements*: the share of the other class on the right side of
    each. The variance of the difference follows from the differences of placements, object by object, which
    come from ranks in O(n log n) (Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389). The mean AUC of
    several trainings is the mean of mean placements, so its test is the same.
    """
    sides = []
    for scores in (first, second):
        rows = [_placements(true, row) for row in np.atleast_2d(np.asarray(scores, dtype=np.float64))]
        sides.append([np.mean(part, axis=0) for part in zip(*rows, strict=True)])
    gaps = [one - other for one, other in zip(*sides, strict=True)]
    difference = float(gaps[0].mean())
    error = math.sqrt(sum(float(gap.var(ddof=1)) / len(gap) for gap in gaps))
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    return DeLong(difference, error, p_value)


def _placements(true: ArrayLike, scores: NDArray) -> tuple[NDArray, NDArray]:
    """Share of negatives below each positive, and of positives above each negative."""
    truth, scores = check_scores(true, scores)
    m, n = int(truth.sum()), int((~truth).sum())
    if min(m, n) < 2:
        raise InputError(f"true must hold two positives and two negatives at least, got {m} and {n}")
    ranks = rankdata(scores)
    above = (ranks[truth] - rankdata(scores[truth])) / n
    return above, 1 - (ranks[~truth] - rankdata(scores[~truth])) / m


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values of several tests, corrected for their number (Holm 1979, Scand. J. Statist. 6, 65).

    Sorted, the k-th smallest of m is multiplied by m - k + 1, and none may be below the one before it.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1.0)


class _Side(NamedTuple):
    """What every training of one side made of its objects, and which classes are measured."""

    view: View
    objects: Trainings

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Of the positive class, or of all of several, (n, class)."""
        return self.view.sides(self.objects)[0]

    def common(self, object_id: NDArray) -> _Side:
        return _Side(self.view, self.objects.part(np.isin(self.objects.object_id, object_id)))


def compare(
    predictions: Predictions | Mapping[str, Predictions],
    pairs: Iterable[tuple[str, str]] | None = None,
    *,
    measures: Sequence[str] = ("accuracy", "auc"),
    split: str | None = "test",
    threshold: float = 0.5,
    correct: Literal["table", "measure"] = "table",
    resampling: Resampling | None = None,
) -> QTable:
    """Compare experiments two by two, and say whether the first is better than the second.

    Sides that share objects are compared on these: McNemar's test for the accuracy, DeLong's for the AUC, the
    paired bootstrap for other measures and for all intervals. Sides without a common object (bright and
    faint, bins of redshift) are resampled apart. All take the trainings as they are and tell what other
    objects would show; compare the difference with the scatter over trainings, too, and train several seeds.

    Parameters
    ----------
    predictions : Predictions or mapping of str to Predictions
        The experiments, any number of trainings each; those of a mapping may be parts of one, see
        `select_parts`. An empty mapping has no pairs, whichever are named.
    pairs : iterable of (str, str), optional
        Names to compare; default every two.
    measures : sequence of str
        Among `MEASURES` and "balanced_accuracy", of the positive class; of several classes of which none is
        positive those of `measure` with ``classes="macro"``.
    split : str or None
        Part of the Sample; None takes all rows of known truth.
    threshold : float
        A higher probability counts as positive; of several classes the most probable one counts.
    correct : {"table", "measure"}
        P-values are corrected (Holm) for all rows of the table, or for those of the same measure.
    resampling : Resampling, optional
        Number, confidence and random numbers of the bootstrap.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each pair and measure: ``first``, ``second``, ``measure``, ``pairing`` ("paired",
        "unpaired"), ``objects``, ``positives`` (common ones, or of both), ``first_value``, ``second_value``
        (means over trainings), ``first_std``, ``second_std``, ``difference`` (first minus second), ``low``,
        ``high``, ``test``, ``p_value``, ``p_holm`` and ``verdict`` on the first: "higher" or "lower" where
        the corrected p-value is below 0.05, or "no significant difference". No row where there is no pair.

    Raises
    ------
    InputError
        If a name or measure is unknown, trainings of a side judge different objects, the truth of an object
        differs, or a comparison has fewer than two objects of a class.
    """
    resampling = resampling or Resampling()
    if not isinstance(predictions, Mapping):
        names = dict.fromkeys(predictions.table["experiment"].tolist())
        predictions = {name: predictions.select(experiment=name) for name in names}
    pairs = list(combinations(predictions, 2) if pairs is None or not predictions else pairs)
    _check(pairs, predictions, measures, correct)
    rng = np.random.default_rng(resampling.rng)
    sides = {}
    for name in dict.fromkeys(sum(pairs, ())):
        objects = Rows.of(predictions[name], split, name=repr(name)).trainings()
        sides[name] = _Side(View.of(predictions[name], "positive", threshold), objects)
    rows: list[dict[str, Any]] = []
    for first, second in pairs:
        matched = _match(first, second, sides)
        for name in measures:
            keys = {"first": first, "second": second}  # a key that is a tuple is one name in the table
            head = {
                side: ", ".join(map(str, key)) if isinstance(key, tuple) else key
                for side, key in keys.items()
            }
            head |= {"measure": name}
            rows.append(head | _difference(*matched, name, resampling, rng))
    if not rows:
        return QTable(names=list(_COLUMNS), dtype=list(_COLUMNS.values()))
    table = QTable(rows=rows)
    table["p_holm"] = holm(table["p_value"])
    for name in measures if correct == "measure" else ():
        same = table["measure"] == name
        table["p_holm"][same] = holm(table["p_value"][same])
    words = np.where(table["difference"] > 0, "higher", "lower")
    table["verdict"] = np.where(table["p_holm"] < _LEVEL, words, NO_DIFFERENCE)
    table.meta.update(level=_LEVEL, confidence=resampling.confidence)
    return table


def _check(pairs: list[tuple[str, str]], names: Iterable[str], measures: Sequence[str], correct: str) -> None:
    if unknown := sorted({name for pair in pairs for name in pair} - {*names}):
        raise InputError(f"pairs must name two of {tuple(names)}, got {unknown}")
    if any(first == second for first, second in pairs):
        raise InputError(f"pairs must be of different sides, got {pairs}")
    if isinstance(measures, str) or (strange := sorted(set(measures) - {*_MEASURES})):
        raise InputError(
            f"measures must be among {_MEASURES}, got {measures if isinstance(measures, str) else strange}"
        )
    need_choice("correct", correct, ("table", "measure"))


def _match(first: str, second: str, sides: Mapping[str, _Side]) -> tuple[_Side, _Side, bool]:
    """Both sides on their common objects, or on their own where there is none."""
    one, other = sides[first], sides[second]
    common = np.intersect1d(one.objects.object_id, other.objects.object_id)
    if len(common):
        one, other = one.common(common), other.common(common)
        if not np.array_equal(one.truth, other.truth):
            raise InputError(
                f"truth of {first!r} and {second!r} must be the same, got another for some objects"
            )
    for name, side in ((first, one), (second, other)):
        truth, binary = side.truth, side.view.binary
        sizes = [*truth.sum(0).tolist(), *([int((~truth).sum())] if binary else [])]
        if min(sizes) < 2:
            needed = "two positives and two negatives" if binary else "two objects of each class"
            raise InputError(
                f"{first!r} and {second!r} must be compared on {needed} at least, got "
                f"{' and '.join(map(str, sizes))} of {name!r}"
            )
    return one, other, bool(len(common))


def _difference(
    one: _Side, other: _Side, paired: bool, name: str, resampling: Resampling, rng: np.random.Generator
) -> dict[str, Any]:
    """The cells of one comparison."""
    streams: list[Any] = [int(rng.integers(2**63))] * 2 if paired else [rng, rng]  # paired: the same objects
    found, draws = [], []
    for (view, objects), stream in zip((one, other), streams, strict=True):
        label = view.labels[0]
        found.append(spread(view.scores(objects, (name,))[label][name]))
        resamples = view.draws(objects, max(1, resampling.number), stream, name == "auc")
        draws.append(resamples[label][name])
    gap = draws[0] - draws[1]
    gap = gap[np.isfinite(gap)]
    bounds = percentile_interval(gap, confidence=resampling.confidence)
    tail = min((gap <= 0).sum(), (gap >= 0).sum())
    test, p_value = "bootstrap", min(1.0, 2 * (tail + 1) / (len(gap) + 1))
    truth, scores, chosen = zip(*(view.sides(objects) for view, objects in (one, other)), strict=True)
    if paired and name == "accuracy":
        test = "McNemar"
        p_value = mcnemar(*((c == t).all(-1) for c, t in zip(chosen, truth, strict=True)))
    elif paired and name == "auc" and one.view.binary:
        test, p_value = "DeLong", delong(truth[0][:, 0], *(p[..., 0] for p in scores)).p_value
    counted = truth[:1] if paired else truth
    return {
        "pairing": "paired" if paired else "unpaired",
        "objects": sum(map(len, counted)),
        "positives": sum(int(one.sum()) for one in counted),
        "first_value": found[0].mean,
        "second_value": found[1].mean,
        "first_std": found[0].std,
        "second_std": found[1].std,
        "difference": found[0].mean - found[1].mean,
        "low": bounds.low,
        "high": bounds.high,
        "test": test,
        "p_value": float(p_value),
    }


def sentences(table: QTable) -> list[str]:
    """One sentence for each row of `compare`, with no more than the numbers support.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `compare`; one without rows gives a sentence that says so.

    Returns
    -------
    list of str
        Such as "F1 of mixed_star is higher than that of mixed by 0.021 (0.010 to 0.032); paired on 2820
        objects, p = 0.004; trainings scatter by 0.003 and 0.005."
    """
    if not len(table):
        return ["This run has nothing to compare here."]
    return [_sentence(row) for row in table]


def _sentence(row: QTable.Row) -> str:
    plain = {"f1": "F1", "auc": "AUC"}.get(row["measure"], str(row["measure"]).replace("_", " "))
    name = plain[0].upper() + plain[1:]
    gap, low, high = (float(row[key]) for key in ("difference", "low", "high"))
    bounds = sorted((low, high) if row["verdict"] != "lower" else (-low, -high))
    inside = f"({bounds[0]:.3f} to {bounds[1]:.3f})"
    if row["verdict"] == NO_DIFFERENCE:
        said = f"No significant difference in {plain} between {row['first']} and {row['second']}: "
        said += f"{gap:+.3f} {inside}"
    else:
        said = f"{name} of {row['first']} is {row['verdict']} than that of {row['second']} by "
        said += f"{abs(gap):.3f} {inside}"
    where = "paired on" if row["pairing"] == "paired" else "different objects,"
    p = f"p = {row['p_holm']:.2g}" if row["p_holm"] >= 0.001 else "p < 0.001"
    scatter = [float(row[f"{side}_std"]) for side in ("first", "second")]
    noise = "scatter by " + " and ".join(
        "an unknown amount" if np.isnan(one) else f"{one:.3f}" for one in scatter
    )
    seeds = "one training on each side" if np.isnan(scatter).all() else f"trainings {noise}"
    return f"{said}; {where} {row['objects']} objects, {p}; {seeds}."
