"""Least trimmed squares: a straight line through the half of the points that agree best.

Neither scikit-learn nor statsmodels has it: `sklearn.covariance.MinCovDet` is its sister for a location and
covariance, RANSAC and Theil-Sen minimise other things. With up to 45 % of blue galaxies, on one set of 60
simulated sequences, Siegel's repeated medians (scipy) gave a scatter about 2 to 4 times too large in 3 cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

#: Random starts, concentration steps on each, and starts that are followed to the end (Rousseeuw & Van
#: Driessen 2006, section 3.2).
_STARTS, _FIRST_STEPS, _FOLLOWED = 500, 2, 10
#: Starts are concentrated on this many points at most, drawn at random; the best then on all.
_SUBSET = 1500
_MOST_STEPS = 100


@dataclass(frozen=True)
class TrimmedFit:
    """A straight line and the points it was drawn through."""

    intercept: float
    slope: float
    inside: NDArray[np.bool_]  # the h points of the smallest residuals
    objective: float  # sum of their squared residuals, each over its variance


def least_trimmed_squares(
    x: ArrayLike,
    y: ArrayLike,
    *,
    variance: ArrayLike = 1.0,
    fraction: float = 0.5,
    rng: np.random.Generator | int = 0,
) -> TrimmedFit:
    """Fit a line to the points that lie closest to it (FAST-LTS).

    Minimises the sum of the h smallest squared residuals. From lines through random pairs of points, a
    concentration step fits the h points of smallest residual and can only lower the sum; the best starts are
    followed until nothing changes (Rousseeuw & Van Driessen 2006, Data Min. Knowl. Discov. 12, 29). With
    h = (n + 3) / 2 almost half of the points may lie anywhere.
    """
    x, y, variance = _checked(x, y, variance, fraction)
    rng = np.random.default_rng(rng)
    n = len(x)
    few = rng.choice(n, _SUBSET, replace=False) if n > _SUBSET else np.arange(n)
    lines = _starts(x[few], y[few], rng)
    for _ in range(_FIRST_STEPS):
        lines, sums = _concentrate(lines, x[few], y[few], variance[few], _kept(len(few), fraction))
    lines = lines[np.argsort(sums, kind="stable")[:_FOLLOWED]]
    h, last = _kept(n, fraction), np.inf
    for _ in range(_MOST_STEPS):
        lines, sums = _concentrate(lines, x, y, variance, h)
        if not sums.min() < last:
            break
        last = sums.min()
    best = lines[sums.argmin()]
    squared = _squared(best[None], x, y, variance)[0]
    inside = np.zeros(n, dtype=bool)
    inside[np.argpartition(squared, h - 1)[:h]] = True
    return TrimmedFit(float(best[0]), float(best[1]), inside, float(squared[inside].sum()))


def _checked(
    x: ArrayLike, y: ArrayLike, variance: ArrayLike, fraction: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 4:
        raise InputError(f"x and y must be of one length, at least 4 points, got {x.shape} and {y.shape}")
    variance = np.broadcast_to(np.asarray(variance, dtype=np.float64), x.shape)
    if not (np.isfinite(x) & np.isfinite(y) & np.isfinite(variance)).all() or (variance <= 0).any():
        raise InputError("x, y and variance must be finite and the variance positive; leave such points out")
    if len(np.unique(x)) < 2:
        raise InputError(f"x must hold two different values at least, got {x[0]} only")
    if not 0.5 <= fraction <= 1:
        raise InputError(f"fraction must lie in 0.5 to 1, got {fraction}")
    return x, y, variance


def _kept(n: int, fraction: float) -> int:
    return min(n, max((n + 3) // 2, round(fraction * n)))


def _starts(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Lines through random pairs of points with different x, shape (start, 2)."""
    first = rng.integers(len(x), size=_STARTS)
    second = (first + rng.integers(1, len(x), size=_STARTS)) % len(x)
    apart = x[first] != x[second]
    first, second = first[apart], second[apart]
    slope = (y[second] - y[first]) / (x[second] - x[first])
    flat = np.array([[np.median(y), 0.0]])  # pairs of equal x only must not leave us without a start
    return np.concatenate([np.column_stack([y[first] - slope * x[first], slope]), flat])


def _squared(lines: NDArray, x: NDArray, y: NDArray, variance: NDArray) -> NDArray[np.float64]:
    """Squared residuals over their variance, shape (line, n)."""
    return (y - lines[:, :1] - lines[:, 1:] * x) ** 2 / variance


def _concentrate(
    lines: NDArray, x: NDArray, y: NDArray, variance: NDArray, h: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each line fitted anew to its h nearest points, and the sum that this gives."""
    near = np.argpartition(_squared(lines, x, y, variance), h - 1, axis=1)[:, :h]  # (line, h)
    xs, ys, weights = x[near], y[near], 1 / variance[near]
    total = weights.sum(axis=1)
    mx, my = (weights * xs).sum(axis=1) / total, (weights * ys).sum(axis=1) / total
    dx = xs - mx[:, None]
    spread = (weights * dx**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(spread > 0, (weights * dx * ys).sum(axis=1) / spread, 0.0)
    fitted = np.column_stack([my - slope * mx, slope])
    return fitted, np.sort(_squared(fitted, x, y, variance), axis=1)[:, :h].sum(axis=1)
