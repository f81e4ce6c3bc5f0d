"""How good estimated numbers are, and widths that are as wide as the errors of objects held out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from labkit.errors import InputError
from labkit.evaluate.resampling import draw_weights
from labkit.evaluate.trainings import Trainings
from labkit.predictions import Estimates
from labkit.tables import text

#: What `labkit.evaluate.measure` knows of numbers.
NUMBER_MEASURES = (
    *("bias", "scatter", "mad_scatter", "relative_bias", "relative_error"),
    *("coverage_68", "coverage_95"),
)
_MAD = 1.4826  # of a normal distribution's median absolute deviation to its standard deviation
_BLOCK = 4_000_000  # residuals held in memory at a time


def number_scores(
    true: NDArray, predicted: NDArray, width: NDArray, *, logarithmic: bool
) -> dict[str, NDArray[np.float64]]:
    """Measures of `NUMBER_MEASURES` along the last axis.

    Bias, scatter (n - 1) and 1.4826 MAD of predicted less true, in dex of logarithms; mean and mean size of
    predicted / true - 1, of the numbers themselves also where the logarithm was learned, NaN where a true
    number is 0; shares of objects whose true number lies in the central 68 and 95 % of its normal
    distribution.
    """
    residual = predicted - true
    size = np.abs(residual - np.median(residual, -1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = 10**residual - 1 if logarithmic else predicted / np.where(true == 0, np.nan, true) - 1
    several = residual.shape[-1] > 1
    found = {
        "bias": residual.mean(-1),
        "scatter": residual.std(-1, ddof=1) if several else np.full(residual.shape[:-1], np.nan),
        "mad_scatter": _MAD * np.median(size, -1),
        "relative_bias": relative.mean(-1),
        "relative_error": np.abs(relative).mean(-1),
    }
    for share in (68, 95):
        inside = np.abs(residual) <= norm.ppf(0.5 + share / 200) * width
        found[f"coverage_{share}"] = inside.mean(-1)
    return found


def number_draws(
    objects: Trainings, *, resamples: int, rng: np.random.Generator, logarithmic: bool
) -> dict[str, NDArray[np.float64]]:
    """The measures for resampled objects: means over trainings, (resamples,)."""
    n = len(objects.codes)
    block = max(1, _BLOCK // objects.probabilities.size)
    parts = []
    for start in range(0, resamples, block):
        several = min(block, resamples - start)
        weights = draw_weights([np.ones(n, dtype=bool)], resamples=several, rng=rng).astype(np.int64)
        rows = np.repeat(np.tile(np.arange(n), several), weights.ravel()).reshape(several, n)
        sides = (objects.codes[rows], *np.moveaxis(objects.probabilities[:, rows], -1, 0))
        parts.append(number_scores(*sides, logarithmic=logarithmic))
    return {name: np.concatenate([part[name].mean(0) for part in parts]) for name in parts[0]}


def calibrate(estimates: Estimates) -> Estimates:
    """Out-of-fold estimates whose widths are multiplied by one factor for each fold.

    The factor of a fold is the root mean square pull of the objects of the *other* folds of its experiment,
    seed and target: it maximises their normal likelihood (Levi et al. 2022, Sensors 22, 5540). So no object's
    own error is in its factor, though the networks of the other folds trained on it. Means stay as they are,
    and so does which object has the wider one. Each object comes once for each seed and target, as in
    `labkit.learn.out_of_fold` or a sweep with folds.
    """
    table = estimates.table.copy()
    names = [text(table[name]) for name in ("experiment", "seed", "target")]
    group = np.unique(np.stack(names), axis=1, return_inverse=True)[1].ravel()
    fold, ids, pull = np.asarray(table["fold"]), text(table["object_id"]), estimates.pull
    factor = np.ones(len(table))
    for number in range(group.max(initial=-1) + 1):
        here = group == number
        folds = np.unique(fold[here & np.isfinite(pull)])
        if len(np.unique(ids[here])) < here.sum() or len(folds) < 2 or fold[here].min() < 0:
            raise InputError(
                "estimates must be out-of-fold ones, each object once in two folds or more, got "
                f"{here.sum()} rows of {len(np.unique(ids[here]))} objects in {len(folds)} folds of "
                f"{str(names[0][here][0])!r}; use labkit.learn.out_of_fold"
            )
        for one in np.unique(fold[here]):
            others = here & (fold != one) & np.isfinite(pull)
            factor[here & (fold == one)] = np.sqrt(np.mean(pull[others] ** 2))
    table["width"] = estimates.width * factor
    return replace(estimates, table=table)
