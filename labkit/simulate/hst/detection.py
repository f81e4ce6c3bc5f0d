"""What a detection on the F814 mosaic would list of the bodies: which, where and how bright."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.special import expit

from labkit.simulate.hst.bands import BANDS, PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.sersic import encircled, nearest_index

__all__ = ["Detections", "detect"]

#: Signal-to-noise ratio at which half of the sources are found.
THRESHOLD = 5.0
_LEAST_ERROR_ARCSEC = 0.006
_CALIBRATION = 0.02


@dataclass(frozen=True)
class Detections:
    """What a detection measures, for all bodies.

    Parameters
    ----------
    found : ndarray of bool, shape (n,)
        Whether the body is on the list.
    x, y : ndarray, shape (n,)
        Measured places, arcsec from the centre to the west and north.
    magnitude, magnitude_error : ndarray, shape (n,)
        Measured F814 magnitude and the error that would be quoted.
    """

    found: NDArray
    x: NDArray
    y: NDArray
    magnitude: NDArray
    magnitude_error: NDArray


def detect(rng: np.random.Generator, table: Table, *, sky_sigma: float) -> Detections:
    """Draw which bodies are found, and measure those that are.

    A body is found when it stands out from the sky (a smooth step at signal-to-noise ratio 5 within its
    half-light ellipse) and when no brighter body has a higher surface brightness at its place. Nothing here
    depends on what a body is, but for diffuse light, which is no source.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    table : `~astropy.table.Table`
        Bodies, as `bodies` gives them.
    sky_sigma : float
        Noise of the sky in one pixel of F814, electrons/s.

    Returns
    -------
    Detections
        For all bodies.
    """
    band = BANDS["F814"]
    magnitude = np.asarray(table["magnitude"])
    width = _width(table)
    area = 2 * np.pi * (width / PIXEL_SCALE_ARCSEC) ** 2 * _flattening(table)
    ratio = 0.5 * band.flux(magnitude) / (sky_sigma * np.sqrt(area))
    error = 1.09 / np.maximum(2 * ratio, 1e-3)
    seen = rng.random(len(table)) < expit((ratio - THRESHOLD) / 0.7)
    found = seen & ~_outshone(table, width) & (np.asarray(table["kind"]) != "icl")
    place = np.hypot(_LEAST_ERROR_ARCSEC, 0.5 * width / np.maximum(ratio, 1))
    x, y = (np.asarray(table[f"{axis}_arcsec"]) + place * rng.normal(size=len(table)) for axis in ("x", "y"))
    noisy = magnitude + np.clip(np.hypot(error, _CALIBRATION) * rng.normal(size=len(table)), -1, 1)
    return Detections(found, x, y, noisy, np.hypot(error, _CALIBRATION))


def _flattening(table: Table) -> NDArray:
    """Axis ratio as seen through the point-spread function."""
    core = BANDS["F814"].fwhm_arcsec / 2.355
    size = 0.85 * np.asarray(table["re_arcsec"])
    return np.sqrt(((size * np.asarray(table["axis_ratio"])) ** 2 + core**2) / (size**2 + core**2))


def _width(table: Table) -> NDArray:
    """Dispersion of a body as seen, along its major axis, arcsec."""
    return np.hypot(0.85 * np.asarray(table["re_arcsec"]), BANDS["F814"].fwhm_arcsec / 2.355)


def _outshone(table: Table, width: NDArray) -> NDArray:
    """Whether a brighter body has a higher surface brightness where a body lies."""
    flux = 10 ** (-0.4 * np.asarray(table["magnitude"]))
    own = 0.5 * flux / (2 * np.pi * width**2 * _flattening(table))
    x, y = (np.asarray(table[f"{axis}_arcsec"]) for axis in ("x", "y"))
    hidden = np.zeros(len(table), dtype=bool)
    size, index = np.asarray(table["re_arcsec"]), nearest_index(np.asarray(table["sersic_n"]))
    angle = np.radians(np.asarray(table["position_angle"]))
    for i in np.flatnonzero((np.asarray(table["kind"]) != "arc") & (np.asarray(table["magnitude"]) < 25)):
        dx, dy = x - x[i], y - y[i]
        along = np.cos(angle[i]) * dy - np.sin(angle[i]) * dx
        across = (np.sin(angle[i]) * dy + np.cos(angle[i]) * dx) / max(float(table["axis_ratio"][i]), 0.1)
        radius = np.hypot(np.hypot(along, across), 0.05)
        near = (radius < 12 * max(size[i], 0.1)) & (flux < flux[i])
        scale = max(size[i], 0.08)
        inner, outer = radius[near] / scale, 1.1 * radius[near] / scale
        ring = encircled(outer, float(index[i])) - encircled(inner, float(index[i]))
        axis_ratio = max(float(table["axis_ratio"][i]), 0.1)
        surface = flux[i] * ring / (np.pi * 0.21 * radius[near] ** 2 * axis_ratio)
        hidden[near] |= surface > own[near]
    return hidden
