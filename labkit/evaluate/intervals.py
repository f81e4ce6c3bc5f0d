"""How sure a measured quality is: intervals for proportions, for means over seeds, and by bootstrap.

Two questions, two intervals, never to be confused. *Would another training give the same?* is
answered by the spread over seeds (`over_seeds`), all on the same test objects. *Would other test
objects give the same?* is answered by `wilson` for one proportion and by `bootstrap_scores` for the
rest. With 170 test objects the second is usually the wider one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from labkit.errors import InputError
from labkit.evaluate.metrics import checked
from labkit.evaluate.resamples import BLOCK, multiplicities, weighted_auc, weighted_ratios

__all__ = ["Interval", "OverSeeds", "bootstrap_scores", "over_seeds", "percentile_interval", "wilson"]


@dataclass(frozen=True)
class Interval:
    """Lower and upper bound at a stated confidence."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class OverSeeds:
    """Mean of a measure over trainings, sample standard deviation (n - 1) and interval of the mean."""

    mean: float
    std: float
    interval: Interval
    n: int


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927, JASA 22, 209).

    With z the normal quantile, p = k / n: the centre is (p + z^2 / 2n) / (1 + z^2 / n), the half width
    z / (1 + z^2 / n) * sqrt(p (1 - p) / n + z^2 / 4n^2). It never leaves 0 to 1 and keeps its meaning
    for k = 0 and k = n.

    Parameters
    ----------
    successes, trials : int
        k and n, for example the true positives and all positives.
    confidence : float
        Confidence of the two-sided interval.

    Returns
    -------
    Interval
        NaN bounds if there was no trial.

    Raises
    ------
    InputError
        If k is not within 0 to n, or the confidence not between 0 and 1.
    """
    _check_confidence(confidence)
    if not 0 <= successes <= trials:
        raise InputError(f"successes must lie in 0 to trials, got {successes} of {trials}")
    if trials == 0:
        return Interval(float("nan"), float("nan"), confidence)
    z, p = norm.ppf(0.5 + confidence / 2), successes / trials
    centre = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == trials else float(centre + half)
    return Interval(low, high, confidence)


def over_seeds(values: ArrayLike, *, confidence: float = 0.95) -> OverSeeds:
    """Mean, standard deviation and Student's t interval of the mean over trainings.

    The interval is mean +- t(n - 1) * std / sqrt(n). It tells what another training on the same
    objects would give, not what other objects would.

    Parameters
    ----------
    values : array_like, shape (n,)
        The measure of each training. A NaN (undefined in one training) makes all results NaN.
    confidence : float
        Confidence of the two-sided interval.

    Returns
    -------
    OverSeeds
        Standard deviation and interval are NaN for a single training.

    Raises
    ------
    InputError
        If there is no value, or the confidence is not between 0 and 1.
    """
    _check_confidence(confidence)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(
            f"values must hold one number a training, at least one, got the shape {values.shape}"
        )
    n, mean = len(values), float(values.mean())
    if n == 1:
        return OverSeeds(mean, float("nan"), Interval(float("nan"), float("nan"), confidence), n)
    std = float(values.std(ddof=1))
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * std / np.sqrt(n)
    return OverSeeds(mean, std, Interval(mean - half, mean + half, confidence), n)


def percentile_interval(draws: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Interval between the percentiles of bootstrap draws; NaN draws (undefined) are left out.

    Raises
    ------
    InputError
        If the confidence is not between 0 and 1.
    """
    _check_confidence(confidence)
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return Interval(float("nan"), float("nan"), confidence)
    low, high = np.quantile(values, (0.5 - confidence / 2, 0.5 + confidence / 2))
    return Interval(float(low), float(high), confidence)


def bootstrap_scores(
    true: ArrayLike,
    scores: ArrayLike,
    *,
    rng: np.random.Generator | int,
    threshold: float = 0.5,
    decided: ArrayLike | None = None,
    resamples: int = 2000,
    ranked: bool = True,
) -> dict[str, np.ndarray]:
    """Accuracy, precision, recall, F1 and AUC of resampled test objects.

    Positives and negatives are each drawn with replacement in their own number (stratified). Several
    trainings are measured on the *same* resampled objects and averaged, so that the draws show how
    the mean over seeds changes with the objects. All resamples are computed together from the
    multiplicity of each object.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    scores : array_like, shape (n,) or (trainings, n)
        Probability of the positive class.
    rng : Generator or int
        Draws the objects. The same seed gives the same objects, which pairs two comparisons.
    threshold : float
        Objects with a higher score are classified as positive.
    decided : array_like of bool, as `scores`, optional
        The classification, if it does not follow from the threshold.
    resamples : int
        Number of resamples, at least 1.
    ranked : bool
        Measure the AUC, too, which takes four fifths of the time.

    Returns
    -------
    dict of str to ndarray, shape (resamples,)
        Keys accuracy, precision, recall, f1, and auc where asked for. Undefined values are NaN.

    Raises
    ------
    InputError
        If shapes do not fit, a score is not finite, or `resamples` is below 1.

    Notes
    -----
    Time and work grow as objects x resamples x trainings (2,000 resamples of 10,000 objects: some
    seconds), memory does not. A draw in which one training has an undefined measure is NaN.
    """
    if resamples < 1:
        raise InputError(f"resamples must be at least 1, got {resamples}")
    rows = np.atleast_2d(np.asarray(scores, dtype=np.float64))  # (training, n)
    pairs = [checked(true, row) for row in rows]
    truth, rows = pairs[0][0], np.stack([row for _, row in pairs])
    chosen = rows > threshold if decided is None else np.atleast_2d(np.asarray(decided, dtype=bool))
    if chosen.shape != rows.shape:
        raise InputError(f"decided must have the shape of scores, {rows.shape}, got {chosen.shape}")
    rng = np.random.default_rng(rng)
    block = max(1, BLOCK // len(truth))
    parts = []
    for start in range(0, resamples, block):
        weights = multiplicities((truth, ~truth), resamples=min(block, resamples - start), rng=rng)
        measured = [
            weighted_ratios(weights, truth, decision)
            | ({"auc": weighted_auc(weights, truth, row)} if ranked else {})
            for row, decision in zip(rows, chosen, strict=True)
        ]
        parts.append({name: np.mean([one[name] for one in measured], axis=0) for name in measured[0]})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
