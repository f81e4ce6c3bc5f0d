"""Is one classifier better than another on the same objects? Paired tests.

Two classifiers that are measured on the same objects err on much the same ones, so their intervals
overlap long before their difference is in doubt: compare them in pairs.

Each side may be several trainings of one network. All tests here take the trainings as they are and ask
about other *objects*: would the mean over these trainings differ on another test set? With one training a
side they are the textbook tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, norm, rankdata

from labkit.errors import InputError
from labkit.evaluate.intervals import Interval, bootstrap_scores, percentile_interval
from labkit.evaluate.metrics import binary_scores, checked

__all__ = ["DeLong", "Difference", "McNemar", "delong", "holm", "mcnemar", "paired_difference"]

_METRICS = ("accuracy", "precision", "recall", "f1", "auc")
_EXACT_STEPS = 200_000_000  # of the exact distribution; above, the normal one is as good


@dataclass(frozen=True)
class McNemar:
    """Objects that only one of two classifiers got right, and the two-sided p-value.

    With several trainings, the mean numbers over all pairs of one training of each side.
    """

    only_first: float
    only_second: float
    p_value: float


@dataclass(frozen=True)
class DeLong:
    """AUC of the first minus the second: difference, standard error, interval and two-sided p-value."""

    difference: float
    standard_error: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class Difference:
    """First minus second: the measured difference, its bootstrap interval and two-sided p-value."""

    metric: str
    difference: float
    interval: Interval
    p_value: float


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> McNemar:
    """Exact McNemar test of two classifications of the same objects.

    Only objects that one classifier got right and the other wrong count; if the classifiers were
    equally good, either would be the right one with probability 1/2 (McNemar 1947, Psychometrika 12, 153).

    Of several trainings, an object's entry is the share of them that got it right, and its difference
    d between the sides lies between -1 and 1. If the sides were equally good, d and -d would be equally
    likely: the p-value is the chance, over all signs, of a sum of d as large as the measured one. With one
    training a side, d is -1, 0 or 1 and this is McNemar's test.

    Parameters
    ----------
    first_correct, second_correct : array_like of bool, shape (n,) or (trainings, n)
        Whether each classifier was right about each object.

    Returns
    -------
    McNemar
        The p-value is 1 if they never differ.

    Raises
    ------
    InputError
        If the objects differ in number.
    """
    first, second = (np.asarray(given, dtype=bool) for given in (first_correct, second_correct))
    if first.shape[-1:] != second.shape[-1:] or not {first.ndim, second.ndim} <= {1, 2}:
        raise InputError(
            f"both must name the same objects in the same order, got {first.shape} and {second.shape}"
        )
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    unit = math.lcm(len(first), len(second))
    right = [side.sum(0) * (unit // len(side)) for side in (first, second)]  # in units of 1 / unit
    return McNemar(
        only_first=float((right[0] * (unit - right[1])).sum() / unit**2),
        only_second=float((right[1] * (unit - right[0])).sum() / unit**2),
        p_value=_sign_flips(right[0] - right[1]),
    )


def _sign_flips(differences: np.ndarray) -> float:
    """Chance that whole numbers with random signs have a sum at least as far from zero."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    reached, most = abs(int(differences.sum())), int((sizes * counts).sum())
    if most * int(counts.sum()) > _EXACT_STEPS:
        spread = math.sqrt(float((sizes.astype(float) ** 2 * counts).sum()))
        return float(2 * norm.sf(reached / spread))
    chance = np.ones(1)  # of each sum of positive terms; sum of all terms = 2 * that - most
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        step = np.zeros(size * count + 1)
        step[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, step)
    return float(min(1.0, chance[np.abs(2 * np.arange(most + 1) - most) >= reached].sum()))


def delong(true: ArrayLike, first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> DeLong:
    """Test of a difference of AUC on the same objects (DeLong et al. 1988, Biometrics 44, 837).

    An AUC is a mean over objects of their *placements*: the share of the other class on the right side of
    each. The variance of the difference follows from the differences of placements, object by object. They
    come from ranks, in O(n log n) (Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389). The mean AUC of
    several trainings is the mean of mean placements, so its test is the same.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    first, second : array_like, shape (n,) or (trainings, n)
        Probability of the positive class; ties count half.
    confidence : float
        Confidence of the interval.

    Returns
    -------
    DeLong
        The p-value is 1 where all placements are equal.

    Raises
    ------
    InputError
        If shapes do not fit, a score is not finite, or a class has fewer than two objects.
    """
    sides = []
    for scores in (first, second):
        rows = [_placements(true, row) for row in np.atleast_2d(np.asarray(scores, dtype=np.float64))]
        sides.append([np.mean(part, axis=0) for part in zip(*rows, strict=True)])
    gaps = [one - other for one, other in zip(*sides, strict=True)]
    difference = float(gaps[0].mean())
    error = math.sqrt(sum(float(gap.var(ddof=1)) / len(gap) for gap in gaps))
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    half = float(norm.ppf(0.5 + confidence / 2)) * error
    return DeLong(difference, error, Interval(difference - half, difference + half, confidence), p_value)


def _placements(true: ArrayLike, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive, and of positives above each negative."""
    truth, scores = checked(true, scores)
    m, n = int(truth.sum()), int((~truth).sum())
    if min(m, n) < 2:
        raise InputError(f"true must hold two positives and two negatives at least, got {m} and {n}")
    ranks = rankdata(scores)
    above = (ranks[truth] - rankdata(scores[truth])) / n
    return above, 1 - (ranks[~truth] - rankdata(scores[~truth])) / m


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values of several tests, corrected for their number (Holm 1979, Scand. J. Statist. 6, 65).

    Sorted, the k-th smallest of m is multiplied by m - k + 1, and none may be below the one before it.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        P-value of each test.

    Returns
    -------
    ndarray, shape (m,)
        Chance, at most, of any false alarm among the tests that are called significant at this level.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1.0)


def paired_difference(
    true: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    rng: np.random.Generator | int,
    metric: str = "auc",
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Difference:
    """Difference of a measure between two classifiers on the same, resampled objects.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    first, second : array_like, shape (n,) or (trainings, n)
        Probability of the positive class; a measure is averaged over trainings.
    rng : Generator or int
        Draws the objects, the same ones for both.
    metric : str
        "accuracy", "precision", "recall", "f1" or "auc".
    threshold : float
        Objects with a higher score are classified as positive.
    confidence : float
        Confidence of the interval.
    resamples : int
        Number of resamples.

    Returns
    -------
    Difference
        Positive if the first is better. The p-value is twice the smaller share of resamples on
        either side of zero, (k + 1) / (resamples + 1), at most 1.

    Raises
    ------
    InputError
        If shapes do not fit or the metric is unknown.
    """
    if metric not in _METRICS:
        raise InputError(f"metric must be one of {_METRICS}, got {metric!r}")
    options: dict[str, Any] = {"threshold": threshold, "resamples": resamples, "ranked": metric == "auc"}
    seed = int(np.random.default_rng(rng).integers(2**63))
    draws = [bootstrap_scores(true, scores, rng=seed, **options) for scores in (first, second)]
    gap = draws[0][metric] - draws[1][metric]
    gap = gap[np.isfinite(gap)]
    fewer = min((gap <= 0).sum(), (gap >= 0).sum())
    means = [
        np.mean(
            [getattr(binary_scores(true, row, threshold=threshold), metric) for row in np.atleast_2d(scores)]
        )
        for scores in (first, second)
    ]
    return Difference(
        metric=metric,
        difference=float(means[0] - means[1]),
        interval=percentile_interval(gap, confidence=confidence),
        p_value=float(min(1.0, 2 * (fewer + 1) / (len(gap) + 1))),
    )
