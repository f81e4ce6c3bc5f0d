"""Light profiles of points and galaxies as sums of Gaussians.

A Gaussian seen through Gaussian seeing is a wider Gaussian, so a profile that is a sum of Gaussians is
convolved by adding variances (Hogg & Lang 2013, PASP 125, 719). The weights are fitted to the enclosed light.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

from labkit.errors import InputError

__all__ = ["MOFFAT_SLOPE", "point_mixture", "sersic_mixture"]

MOFFAT_SLOPE = 3.2  # fitted to 145 stars on a real red Schmidt plate, out to 14" from their centres


@lru_cache(maxsize=16)
def sersic_mixture(index: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Approximate a Sersic profile by Gaussians.

    Parameters
    ----------
    index : float
        Sersic index, 0.5 to 6.

    Returns
    -------
    tuple of numpy.ndarray
        Weights, which sum to 1, and widths (sigma) in half-light radii.

    Raises
    ------
    InputError
        If the index is out of range.
    """
    if not 0.5 <= index <= 6:
        raise InputError(f"index must be a Sersic index from 0.5 to 6 (or 0 for a point), got {index}")
    steepness = gammaincinv(2 * index, 0.5)
    return _fitted(lambda r: gammainc(2 * index, steepness * r ** (1 / index)), np.geomspace(0.03, 5, 9))


@lru_cache(maxsize=4)
def point_mixture(slope: float = MOFFAT_SLOPE) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Approximate a Moffat point spread function by Gaussians.

    Parameters
    ----------
    slope : float
        Exponent beta in (1 + (r / alpha)^2)^-beta, above 1.

    Returns
    -------
    tuple of numpy.ndarray
        Weights, which sum to 1, and widths (sigma) in FWHM.

    Raises
    ------
    InputError
        If the slope gives an infinite flux.
    """
    if not slope > 1:
        raise InputError(f"slope must be above 1 for a finite flux, got {slope}")
    alpha = 0.5 / np.sqrt(2 ** (1 / slope) - 1)
    return _fitted(lambda r: 1 - (1 + (r / alpha) ** 2) ** (1 - slope), np.geomspace(0.35, 30, 8))


def _fitted(enclosed: Callable, widths: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    radii = np.geomspace(widths[0] / 2, 3 * widths[-1], 200)
    weights, _ = nnls(1 - np.exp(-0.5 * (radii[:, None] / widths) ** 2), enclosed(radii))
    used = weights > 1e-4
    return (weights[used] / weights[used].sum()).astype(np.float32), widths[used].astype(np.float32)
