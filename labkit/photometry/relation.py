"""The colour-magnitude relation of cluster members: a straight red sequence with scatter and outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from labkit.errors import InputError
from labkit.photometry.trimmed import least_trimmed_squares

_MOST_ROUNDS = 50
#: Errors in colour below this, mag, count as this, so that perfect points can be weighed.
_FLOOR = 1e-6


@dataclass(frozen=True)
class ColourMagnitude:
    """Colour = zero_point + slope (magnitude - pivot), with intrinsic scatter.

    Attributes
    ----------
    slope, zero_point, scatter : float
        Mag per mag; colour at the pivot, mag; standard deviation beyond the errors, mag.
    pivot : float
        Magnitude at which the zero point holds, the median of the fitted galaxies, where slope and zero
        point are least correlated.
    slope_error, zero_point_error : float
        Standard errors.
    kept : ndarray of bool, shape (n,)
        Galaxies that were not clipped.
    """

    slope: float
    zero_point: float
    scatter: float
    pivot: float
    slope_error: float
    zero_point_error: float
    kept: NDArray[np.bool_]

    def __call__(self, magnitude: ArrayLike) -> NDArray[np.float64]:
        """Colour of the relation at a magnitude."""
        return self.zero_point + self.slope * (np.asarray(magnitude, dtype=np.float64) - self.pivot)


def colour_magnitude_relation(
    magnitude: ArrayLike,
    colour: ArrayLike,
    *,
    magnitude_error: ArrayLike = 0.0,
    colour_error: ArrayLike = 0.0,
    clip: float = 2.6,
    fraction: float = 0.5,
    rng: np.random.Generator | int = 0,
) -> ColourMagnitude:
    """Fit the colour-magnitude relation robustly, with intrinsic scatter.

    Half of the galaxies, those that agree best, give a first line (`least_trimmed_squares`); all within
    `clip` standard deviations of it are fitted again until the selection stays; the intrinsic scatter e is
    the one for which the kept residuals match sigma^2 = e^2 + (slope dm)^2 + dc^2 (Cappellari et al. 2013,
    MNRAS 432, 1709, section 3.2; Angora et al. 2020, section 4.2). Unlike in the former, spreads measured
    within the clip are corrected for the tails of the normal distribution that it cuts off.

    Parameters
    ----------
    magnitude, colour : array_like, shape (n,)
        Of cluster members, mag. Those that are not finite take no part.
    magnitude_error, colour_error : array_like, shape (n,) or scalar
        Standard errors, mag.
    clip : float
        Galaxies further than this many standard deviations are outliers; 2.6 keeps 99 % of a normal
        distribution.
    fraction : float
        Share of the galaxies in the first fit; 0.5 bears most outliers.
    rng : Generator or int
        Draws the starts of the first fit.

    Returns
    -------
    ColourMagnitude
        Slope, zero point, scatter (0 where errors explain the spread), their errors, and who was kept.

    Raises
    ------
    InputError
        If fewer than 5 galaxies have both magnitude and colour, lengths differ, an error is negative, or
        `clip` is not positive.
    """
    m, c, dm, dc = _checked(magnitude, colour, magnitude_error, colour_error, clip)
    good = np.isfinite(m) & np.isfinite(c) & np.isfinite(dm) & np.isfinite(dc)
    if good.sum() < 5:
        raise InputError(
            f"magnitude and colour must be finite for 5 galaxies at least, got {good.sum()} of {len(m)}; "
            "add members, or take another colour"
        )
    pivot = float(np.median(m[good]))
    x, y = m[good] - pivot, c[good]
    first = least_trimmed_squares(x, y, variance=dc[good] ** 2 + _FLOOR**2 if np.any(dc) else 1.0,
                                  fraction=fraction, rng=rng)  # fmt: skip
    errors = np.sqrt(dc[good] ** 2 + (first.slope * dm[good]) ** 2)
    line, scatter, inside = _clipped(x, y, errors, first.inside, (first.intercept, first.slope), clip)
    kept = np.zeros(len(m), dtype=bool)
    kept[good] = inside
    covariance = _covariance(x[inside], errors[inside] ** 2 + scatter**2)
    intercept_error, slope_error = np.sqrt(np.diag(covariance))
    return ColourMagnitude(
        slope=float(line[1]),
        zero_point=float(line[0]),
        scatter=float(scatter),
        pivot=pivot,
        slope_error=float(slope_error),
        zero_point_error=float(intercept_error),
        kept=kept,
    )


def differential_colour(magnitude: ArrayLike, colour: ArrayLike, relation: ColourMagnitude) -> NDArray:
    """Colour minus that of the relation at the same magnitude (Angora et al. 2020, section 4.2).

    Parameters
    ----------
    magnitude, colour : array_like, shape (n,)
        Mag; NaN stays NaN.
    relation : ColourMagnitude
        Of the cluster's members.

    Returns
    -------
    ndarray, shape (n,)
        Mag; negative is bluer than the red sequence.
    """
    return np.asarray(colour, dtype=np.float64) - relation(magnitude)


def _checked(
    magnitude: ArrayLike, colour: ArrayLike, magnitude_error: ArrayLike, colour_error: ArrayLike, clip: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    m, c = np.asarray(magnitude, dtype=np.float64), np.asarray(colour, dtype=np.float64)
    if m.ndim != 1 or m.shape != c.shape:
        raise InputError(f"magnitude and colour must be of one length, got {m.shape} and {c.shape}")
    dm, dc = (
        np.broadcast_to(np.asarray(e, dtype=np.float64), m.shape) for e in (magnitude_error, colour_error)
    )
    if (dm < 0).any() or (dc < 0).any():
        raise InputError("magnitude_error and colour_error must never be negative; use NaN for unknown")
    if not clip > 0:
        raise InputError(f"clip must be positive, such as 2.6, got {clip}")
    return m, c, dm, dc


def _clipped(
    x: NDArray,
    y: NDArray,
    errors: NDArray,
    inside: NDArray[np.bool_],
    line: tuple[float, float] | NDArray,
    clip: float,
) -> tuple[NDArray, float, NDArray[np.bool_]]:
    """Line, intrinsic scatter and selection, repeated until the selection stays."""
    seen: list[NDArray[np.bool_]] = []
    share = inside.mean()
    cut = float(norm.ppf(0.5 + share / 2)) if share < 1 else np.inf
    scatter = _intrinsic_scatter(y - line[0] - line[1] * x, errors, inside, cut)
    for _ in range(_MOST_ROUNDS):
        total = np.sqrt(errors**2 + scatter**2)
        inside = np.abs(y - line[0] - line[1] * x) <= clip * np.maximum(total, _FLOOR)
        line = _weighted_line(x[inside], y[inside], np.maximum(total[inside], _FLOOR) ** 2)
        scatter = _intrinsic_scatter(y - line[0] - line[1] * x, errors, inside, clip)
        if any(np.array_equal(inside, before) for before in seen):
            break
        seen.append(inside)
    return np.asarray(line), scatter, inside


def _intrinsic_scatter(residual: NDArray, errors: NDArray, inside: NDArray[np.bool_], cut: float) -> float:
    """Scatter that makes the mean squared normalised residual what a normal cut at `cut` sigma has."""
    squared, variance = residual[inside] ** 2, errors[inside] ** 2
    expected = 1 - 2 * cut * norm.pdf(cut) / (2 * norm.cdf(cut) - 1) if np.isfinite(cut) else 1.0
    wanted = expected * max(len(squared) - 2, 1)

    def excess(scatter: float) -> float:
        return float((squared / (variance + scatter**2)).sum() - wanted)

    most = np.sqrt(squared.sum() / wanted)
    if most <= _FLOOR or excess(_FLOOR) <= 0:
        return 0.0
    return float(brentq(excess, _FLOOR, most * 1.0001, xtol=1e-9))


def _covariance(x: NDArray, variance: NDArray) -> NDArray:
    design = np.column_stack([np.ones_like(x), x])
    return np.linalg.pinv(design.T @ (design / np.maximum(variance, _FLOOR**2)[:, None]))


def _weighted_line(x: NDArray, y: NDArray, variance: NDArray) -> NDArray:
    """Intercept and slope by weighted least squares."""
    return _covariance(x, variance) @ (np.vstack([np.ones_like(x), x]) @ (y / variance))
