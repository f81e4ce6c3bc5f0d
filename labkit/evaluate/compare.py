"""Is one classifier better than another on the same objects? Paired tests.

Two classifiers that are measured on the same objects err on much the same ones, so their intervals
overlap long before their difference is in doubt: compare them in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from labkit.errors import InputError
from labkit.evaluate.intervals import Interval, bootstrap_scores, percentile_interval
from labkit.evaluate.metrics import binary_scores

__all__ = ["Difference", "McNemar", "mcnemar", "paired_difference"]


@dataclass(frozen=True)
class McNemar:
    """Objects that only one of two classifiers got right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
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

    Parameters
    ----------
    first_correct, second_correct : array_like of bool, shape (n,)
        Whether each classifier was right about each object.

    Returns
    -------
    McNemar
        The p-value is 1 if they never differ.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(
            f"both must name the same objects in the same order, got {first.shape} and {second.shape}"
        )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


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
    seed = np.random.default_rng(rng).integers(2**63)
    draws = [
        bootstrap_scores(true, scores, rng=int(seed), threshold=threshold, resamples=resamples)
        for scores in (first, second)
    ]
    if metric not in draws[0]:
        raise InputError(f"metric must be one of {tuple(draws[0])}, got {metric!r}")
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
