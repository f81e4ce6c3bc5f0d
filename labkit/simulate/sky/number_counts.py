"""Stars and galaxies that happen to be on a plate, from number counts in R (Vega)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.sky.bodies import Bodies
from labkit.simulate.sky.cluster_galaxies import FAINTEST

__all__ = ["field_galaxies", "galaxy_counts", "star_counts", "stars"]

MARGIN = 60.0  # arcsec around the field in which bodies are drawn too


def galaxy_counts(magnitude: NDArray) -> NDArray:
    """Count field galaxies per square degree and magnitude.

    A parabola in log N, close to the counts of Yasuda et al. 2001 (AJ 122, 1104) at R = 16, about Euclidean
    on the bright side, and to those of Metcalfe et al. 2001 (MNRAS 323, 795) at R = 20 to 23.

    Parameters
    ----------
    magnitude : numpy.ndarray
        R magnitudes, 10 to 24, any shape.

    Returns
    -------
    numpy.ndarray
        Galaxies per square degree and magnitude.
    """
    m = np.asarray(magnitude, dtype=float) - 16
    return 10 ** (1.26 + 0.55 * m - 0.0175 * m**2)


def star_counts(magnitude: NDArray, latitude_deg: float) -> NDArray:
    """Count stars brighter than a magnitude, per square degree.

    A parabola in log N, close to the pole counts of Bahcall & Soneira 1980 (ApJS 44, 73) for R = V - 0.5,
    which grows towards the plane as a power of cosec(|b| + 5 deg).

    Parameters
    ----------
    magnitude : numpy.ndarray
        R magnitudes, 5 to 22, any shape.
    latitude_deg : float
        Galactic latitude b, degrees.

    Returns
    -------
    numpy.ndarray
        Stars per square degree brighter than each magnitude.

    Raises
    ------
    InputError
        If the latitude is not between -90 and 90 degrees.
    """
    if not -90 <= latitude_deg <= 90:
        raise InputError(f"latitude_deg must be between -90 and 90, got {latitude_deg}")
    m = np.asarray(magnitude, dtype=float) + 0.5 - 16
    towards_plane = np.sin(np.radians(min(abs(latitude_deg) + 5, 90))) ** -1.3
    return 10 ** (2.34 + 0.2625 * m - 0.00875 * m**2) * towards_plane


def field_galaxies(rng: np.random.Generator, extent: tuple[float, float]) -> Bodies:
    """Draw field galaxies, a third of them in chance groups.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    extent : tuple of float
        Size (height, width) of the field, arcsec; galaxies up to an arcminute outside are drawn too.

    Returns
    -------
    Bodies
        Galaxies of R = 13 to 22, sizes about those of Shen et al. 2003.
    """
    edges = np.linspace(13, FAINTEST, 181)
    cumulative = np.concatenate(
        [[0.0], np.cumsum(galaxy_counts(0.5 * (edges[1:] + edges[:-1])) * np.diff(edges))]
    )
    magnitude = _draw_magnitudes(rng, edges, cumulative, extent)
    n = len(magnitude)
    x, y = _uniform(rng, n, extent)
    grouped = np.flatnonzero(rng.random(n) < 0.33)
    if len(grouped) > 0:
        leaders = rng.choice(grouped[: len(grouped) // 4 + 1], len(grouped))  # about four to a group
        x[grouped], y[grouped] = (c[leaders] + rng.normal(0, 40, len(grouped)) for c in (x, y))
    disc = rng.random(n) < 0.65
    size = 10 ** (0.1 - 0.145 * (magnitude - 20) + rng.normal(0, 0.15, n))  # 1.26" at R = 20
    shape = np.where(disc, rng.uniform(0.2, 1, n), rng.uniform(0.5, 1, n))
    return Bodies(x, y, magnitude, size, shape, rng.uniform(0, 180, n), np.where(disc, 1.0, 4.0))


def stars(rng: np.random.Generator, extent: tuple[float, float], *, latitude_deg: float) -> Bodies:
    """Draw foreground stars.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    extent : tuple of float
        Size (height, width) of the field, arcsec; stars up to an arcminute outside are drawn too.
    latitude_deg : float
        Galactic latitude, degrees.

    Returns
    -------
    Bodies
        Points of R = 5 to 22.
    """
    edges = np.linspace(5, FAINTEST, 171)
    magnitude = _draw_magnitudes(rng, edges, star_counts(edges, latitude_deg), extent)
    return Bodies.points(*_uniform(rng, len(magnitude), extent), magnitude)


def _draw_magnitudes(
    rng: np.random.Generator, edges: NDArray, cumulative: NDArray, extent: tuple[float, float]
) -> NDArray:
    area = (extent[0] + 2 * MARGIN) * (extent[1] + 2 * MARGIN) / 3600**2  # deg^2
    n = rng.poisson(area * (cumulative[-1] - cumulative[0]))
    return np.interp(rng.uniform(cumulative[0], cumulative[-1], n), cumulative, edges)


def _uniform(rng: np.random.Generator, n: int, extent: tuple[float, float]) -> tuple[NDArray, NDArray]:
    half_y, half_x = (side / 2 + MARGIN for side in extent)
    return rng.uniform(-half_x, half_x, n), rng.uniform(-half_y, half_y, n)
