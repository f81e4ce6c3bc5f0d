"""How sure a measured quality is: intervals of proportions and of means, and one bootstrap of objects.

Two questions, two intervals. *Would another training give the same?* is answered by the spread over
trainings (`spread`). *Would other test objects give the same?* is answered by `wilson` for a proportion and
by the bootstrap for the rest; with 170 objects it is usually the wider one.

A resample is a row of weights (how often each object was drawn): counts are matrix products, and no object
is copied. scipy.stats.bootstrap evaluates a Python function for each resample instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from astropy.stats import binom_conf_interval
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from labkit.errors import InputError, need_choice
from labkit.evaluate.metrics import ratios, with_averages

_BLOCK = 4_000_000  # weights held in memory at a time
_Bound = TypeVar("_Bound")  # a number, or an array of them


class Interval(NamedTuple, Generic[_Bound]):
    """Lower and upper bound."""

    low: _Bound
    high: _Bound


class Spread(NamedTuple):
    """Mean of a measure over trainings, standard deviation (n - 1), error of the mean, and its interval."""

    mean: float
    std: float
    error: float
    interval: Interval[float]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Parameters
    ----------
    number : int
        Resamples of the bootstrap; 0: no bootstrap, its intervals are NaN.
    confidence : float
        Of all intervals.
    rng : Generator or int
        Draws the objects; the rows of a table draw from it one after the other.
    proportions : {"wilson", "bootstrap"}
        Intervals of accuracy, purity, completeness and coverage: Wilson's from the mean counts over
        trainings, or the bootstrap's of the mean, as for F1 and AUC.

    Raises
    ------
    InputError
        If a value lies outside its range.
    """

    number: int = 2000
    confidence: float = 0.95
    rng: np.random.Generator | int = field(default=0)
    proportions: Literal["wilson", "bootstrap"] = "wilson"

    def __post_init__(self) -> None:
        if self.number < 0:
            raise InputError(f"number of resamples must be 0 or more, got {self.number}")
        _check_confidence(self.confidence)
        need_choice("proportions", self.proportions, ("wilson", "bootstrap"))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")


def wilson(successes: ArrayLike, trials: ArrayLike, *, confidence: float = 0.95) -> Interval[Any]:
    """Wilson score interval of proportions of any shape (Wilson 1927, JASA 22, 209); NaN without a trial."""
    _check_confidence(confidence)
    k, n = np.broadcast_arrays(np.asarray(successes), np.asarray(trials))
    if ((k < 0) | (k > n)).any():
        raise InputError(f"successes must lie in 0 to trials, got {k.tolist()} of {n.tolist()}")
    low, high = binom_conf_interval(k, np.maximum(n, 1), confidence, interval="wilson")
    low, high = np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high)  # exact at the ends
    return Interval(np.where(n > 0, low, np.nan)[()], np.where(n > 0, high, np.nan)[()])


def spread(values: ArrayLike, *, confidence: float = 0.95) -> Spread:
    """Mean, standard deviation, error and Student's t interval of the mean; all but the mean NaN for one."""
    _check_confidence(confidence)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"values must hold a number for each training, at least one, got {values.shape}")
    n, mean, nan = len(values), float(values.mean()), float("nan")
    if n == 1:
        return Spread(mean, nan, nan, Interval(nan, nan))
    std = float(values.std(ddof=1))
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * std / np.sqrt(n)
    return Spread(mean, std, float(std / np.sqrt(n)), Interval(mean - half, mean + half))


def percentile_interval(draws: ArrayLike, *, confidence: float = 0.95) -> Interval[float]:
    """Interval between the percentiles of bootstrap draws; NaN draws (undefined) are left out."""
    _check_confidence(confidence)
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return Interval(float("nan"), float("nan"))
    return Interval(*map(float, np.quantile(values, (0.5 - confidence / 2, 0.5 + confidence / 2))))


def draw_weights(
    strata: Sequence[NDArray[np.bool_]], *, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How often each object is drawn in each resample, each stratum in its own number: (resamples, n)."""
    weights = np.zeros((resamples, len(strata[0])))
    for stratum in strata:
        if n := int(stratum.sum()):
            weights[:, stratum] = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return weights


def weighted_auc(weights: NDArray, truth: NDArray, scores: NDArray) -> NDArray[np.float64]:
    """AUC of each row of weights (resamples, n): positives above negatives, ties half; NaN without one."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # first of each distinct score
    positive = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~truth[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(1) * negative.sum(1)
    with np.errstate(invalid="ignore"):
        return (positive * (below + 0.5 * negative)).sum(1) / pairs


def _weighted(
    weights: NDArray, truth: NDArray, chosen: NDArray, scores: NDArray, ranked: bool
) -> dict[str, NDArray[np.float64]]:
    tp, fp, positives = (
        weights @ group.astype(np.float64) for group in (truth & chosen, ~truth & chosen, truth)
    )
    found = ratios(tp, fp, positives, weights.sum(1))
    return found | ({"auc": weighted_auc(weights, truth, scores)} if ranked else {})


def bootstrap(
    truth: NDArray[np.bool_],  # (n, class)
    scores: NDArray[np.float64],  # (training, n, class)
    chosen: NDArray[np.bool_],  # (training, n, class)
    *,
    classes: Sequence[str],
    strata: Sequence[NDArray[np.bool_]],
    averages: bool = False,
    resamples: int,
    rng: np.random.Generator | int,
    ranked: bool = True,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Measures of each class, and of `AVERAGES`, for resampled objects: means over trainings, (resamples,).

    Each stratum is drawn in its own number; the AUC is left out where it is not `ranked`.
    """
    rng = np.random.default_rng(rng)
    block = max(1, _BLOCK // max(1, truth.size if averages else len(truth)))
    parts: dict[str, list[dict[str, NDArray]]] = {}
    for start in range(0, resamples, block):
        weights = draw_weights(strata, resamples=min(block, resamples - start), rng=rng)
        each = [
            _weighted_classes(weights, truth, *one, classes, averages, ranked)
            for one in zip(chosen, scores, strict=True)
        ]
        for name in each[0]:
            parts.setdefault(name, []).append(_by_name(np.mean, [one[name] for one in each]))
    return {name: _by_name(np.concatenate, found) for name, found in parts.items()}


def _by_name(join: Callable[..., NDArray], parts: list[dict[str, NDArray]]) -> dict[str, NDArray]:
    """The measures of several dictionaries, joined along the first axis."""
    return {name: join([part[name] for part in parts], axis=0) for name in parts[0]}


def _weighted_classes(
    weights: NDArray,
    truth: NDArray,
    chosen: NDArray,
    p: NDArray,
    classes: Sequence[str],
    averages: bool,
    ranked: bool,
) -> dict[str, dict[str, NDArray]]:
    found = {
        name: _weighted(weights, truth[:, c], chosen[:, c], p[:, c], ranked) for c, name in enumerate(classes)
    }
    if not averages:
        return found
    k = len(classes)
    tp, fp, positives = (
        sum(weights @ group[:, c].astype(np.float64) for c in range(k))
        for group in (truth & chosen, ~truth & chosen, truth)
    )
    micro = ratios(tp, fp, positives, k * weights.sum(1))
    if ranked:
        micro["auc"] = weighted_auc(np.tile(weights, k), truth.T.ravel(), p.T.ravel())
    return with_averages(found, truth, micro)
