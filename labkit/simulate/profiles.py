"""Light profiles of points and galaxies as sums of Gaussians, and the profile on which galaxies lie.

A Gaussian seen through a Gaussian point spread is a wider Gaussian, so a profile that is a sum of Gaussians
is convolved by adding variances (Hogg & Lang 2013, PASP 125, 719). The weights are fitted here, by non-
negative least squares; a fine sum serves mosaics of Hubble, a coarse one, of fewer Gaussians, pixels of an
arcsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

from labkit.errors import InputError

LOWEST_INDEX, _HIGHEST_INDEX, _STEP = 0.5, 6.0, 0.25
_REACH = 40.0  # half-light radii to which the fine sums reach
_MOFFAT_SLOPE = 3.2  # fitted to 145 stars on a real red Schmidt plate, out to 14" from their centres


def nearest_index(index: NDArray | float) -> NDArray:
    """Nearest Sersic index for which there is a fine sum of Gaussians; shape kept."""
    clipped = np.clip(index, LOWEST_INDEX, _HIGHEST_INDEX)
    return np.round(np.asarray(clipped) / _STEP) * _STEP


def encircled(radius: NDArray | float, index: float) -> NDArray:
    """Share of the light of a Sersic profile within radii given in half-light radii; shape kept."""
    return gammainc(2 * index, gammaincinv(2 * index, 0.5) * np.asarray(radius, float) ** (1 / index))


def projected_nfw(scaled: NDArray) -> NDArray:
    """Projected NFW mass within radii in scale radii, up to a factor (Bartelmann 1996, A&A 313, 697)."""
    r = np.asarray(scaled, dtype=float)
    inner, outer = np.arccosh(1 / np.minimum(r, 1)), np.arccos(1 / np.maximum(r, 1))
    ratio = np.where(r < 1, inner, outer) / np.sqrt(np.maximum(np.abs(1 - r**2), 1e-12))
    return np.log(r / 2) + np.where(np.abs(r - 1) < 1e-5, 1.0, ratio)


@lru_cache(maxsize=64)
def sersic_mixture(index: float, *, fine: bool = False) -> tuple[NDArray, NDArray]:
    """Weights, which sum to 1, and widths (sigma, in half-light radii) of a Sersic profile's Gaussians.

    Indices are 0.5 to 6; fine sums have steps of 0.25, are weighted so that every ring and the growth curve
    matter alike, and are one Gaussian for 0.5.
    """
    if not LOWEST_INDEX <= index <= _HIGHEST_INDEX or (fine and index % _STEP):
        steps = f" in steps of {_STEP}" if fine else " (or 0 for a point)"
        raise InputError(
            f"index must be a Sersic index from {LOWEST_INDEX} to {_HIGHEST_INDEX}{steps}, got {index}"
        )
    if not fine:
        return _coarse(lambda r: encircled(r, index), np.geomspace(0.03, 5, 9))
    if index == LOWEST_INDEX:
        return np.array([1.0]), np.array([1 / np.sqrt(2 * np.log(2))])
    radius = np.concatenate([[0.0], np.geomspace(3e-3, _REACH, 200)])
    widths = np.geomspace(max(0.015, 0.08 / index**2), min(_REACH / 2.5, 2.2 * index**1.85), 10)
    ring = np.diff(encircled(radius, index)) / encircled(_REACH, index)
    return _fit(np.diff(_grown(radius, widths), axis=0), ring, widths, 1 / np.sqrt(ring + 1e-4), least=1e-5)


@lru_cache(maxsize=4)
def moffat_mixture(slope: float = _MOFFAT_SLOPE) -> tuple[NDArray, NDArray]:
    """Weights, which sum to 1, and widths (sigma, in FWHM) of a Moffat point spread's Gaussians.

    The slope is the exponent beta of (1 + (r / alpha)^2)^-beta, above 1.
    """
    if not slope > 1:
        raise InputError(f"slope must be above 1 for a finite flux, got {slope}")
    alpha = 0.5 / np.sqrt(2 ** (1 / slope) - 1)
    return _coarse(lambda r: 1 - (1 + (r / alpha) ** 2) ** (1 - slope), np.geomspace(0.35, 30, 8))


def _coarse(enclosed: Callable, widths: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A sum fitted to the enclosed light itself, in single precision."""
    radius = np.geomspace(widths[0] / 2, 3 * widths[-1], 200)
    weights, widths = _fit(_grown(radius, widths), enclosed(radius), widths, np.ones(1), least=1e-4)
    return weights.astype(np.float32), widths.astype(np.float32)


def _grown(radius: NDArray, widths: NDArray) -> NDArray:
    """Share of each Gaussian's light within each radius."""
    return 1 - np.exp(-(radius[:, None] ** 2) / (2 * widths**2))  # (radius, width)


def _fit(share: NDArray, light: NDArray, widths: NDArray, weight: NDArray, *, least: float) -> tuple:
    fitted, _ = nnls(share * weight[:, None], light * weight)
    kept = fitted > least
    return fitted[kept] / fitted[kept].sum(), widths[kept]
