"""Sersic profiles as sums of Gaussians, which a point-spread function of Gaussians leaves Gaussians.

The idea is that of Hogg & Lang (2013, PASP 125, 719); the sums are fitted here, to profiles that reach to
`REACH` half-light radii.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

from labkit.errors import InputError

__all__ = ["HIGHEST_INDEX", "LOWEST_INDEX", "STEP", "encircled", "gaussians", "nearest_index"]

LOWEST_INDEX, HIGHEST_INDEX, STEP = 0.5, 6.0, 0.25
REACH = 40.0


def nearest_index(index: NDArray | float) -> NDArray:
    """Nearest Sersic index for which there is a sum of Gaussians; shape kept."""
    clipped = np.clip(index, LOWEST_INDEX, HIGHEST_INDEX)
    return np.round(np.asarray(clipped) / STEP) * STEP


@lru_cache(maxsize=64)
def gaussians(index: float) -> tuple[NDArray, NDArray]:
    """The Gaussians of a circular Sersic profile of total flux 1 and half-light radius 1.

    Parameters
    ----------
    index : float
        Sersic index, 0.5 to 6 in steps of 0.25; 0.5 is one Gaussian.

    Returns
    -------
    weights, sigmas : ndarray, shape (k,)
        Fluxes, which sum to 1, and dispersions in half-light radii.

    Raises
    ------
    InputError
        If the index is out of range or between the steps.
    """
    if not LOWEST_INDEX <= index <= HIGHEST_INDEX or index % STEP:
        raise InputError(
            f"index must be between {LOWEST_INDEX} and {HIGHEST_INDEX} in steps of {STEP}, got {index}"
        )
    if index == LOWEST_INDEX:
        return np.array([1.0]), np.array([1 / np.sqrt(2 * np.log(2))])
    radius = np.geomspace(3e-3, REACH, 200)
    outer = gammainc(2 * index, gammaincinv(2 * index, 0.5) * REACH ** (1 / index))
    sigma = np.geomspace(max(0.015, 0.08 / index**2), min(REACH / 2.5, 2.2 * index**1.85), 10)
    # The fit is to flux in rings, weighted so that every ring and the growth curve matter alike.
    edges = np.concatenate([[0.0], radius])
    ring = np.diff(encircled(edges, index)) / outer
    share = np.diff(1 - np.exp(-(edges[:, None] ** 2) / (2 * sigma**2)), axis=0)
    weight = 1 / np.sqrt(ring + 1e-4)
    fitted, _ = nnls(share * weight[:, None], ring * weight)
    kept = fitted > 1e-5
    return fitted[kept] / fitted[kept].sum(), sigma[kept]


def encircled(radius: NDArray, index: float) -> NDArray:
    """Share of the flux of a Sersic profile within radii given in half-light radii; same shape."""
    scaled = gammaincinv(2 * index, 0.5) * np.asarray(radius, dtype=float) ** (1 / index)
    return gammainc(2 * index, scaled)
