"""Straight lines of best fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Line", "fitted_line"]


@dataclass(frozen=True)
class Line:
    """A straight line with the standard error of its slope (NaN for fewer than three points)."""

    slope: float
    intercept: float
    slope_error: float

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Height at x."""
        return self.intercept + self.slope * np.asarray(x, dtype=np.float64)


def fitted_line(x: ArrayLike, y: ArrayLike, *, error: ArrayLike | None = None) -> Line | None:
    """Straight line by least squares.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Points; not-finite ones are left out.
    error : array_like, shape (n,), optional
        Standard errors of y, as weights; equal weights unless all are positive.

    Returns
    -------
    Line or None
        None without two different x. The slope's error is from the scatter about the line.
    """
    places, heights = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    sigma = np.ones_like(places) if error is None else np.asarray(error, dtype=np.float64)
    good = np.isfinite(places) & np.isfinite(heights)
    u, v, sigma = places[good], heights[good], sigma[good]
    weight = sigma**-2.0 if (np.isfinite(sigma) & (sigma > 0)).all() else np.ones_like(u)
    if len(np.unique(u)) < 2:
        return None
    middle, height = float(np.average(u, weights=weight)), float(np.average(v, weights=weight))
    spread = (weight * (u - middle) ** 2).sum()
    slope = float((weight * (u - middle) * v).sum() / spread)
    rest = v - height - slope * (u - middle)
    variance = (weight * rest**2).sum() / (len(u) - 2) if len(u) > 2 else np.nan
    return Line(slope, height - slope * middle, float(np.sqrt(variance / spread)))
