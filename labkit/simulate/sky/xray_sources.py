"""X-ray sources other than clusters: the AGN of the field, and nearby galaxies.

Positions are in arcmin from the nominal pointing, west (x) and north (y); fluxes in erg/s/cm2, 0.5-2 keV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.simulate.sky.components import Component

__all__ = ["FAINTEST", "agn_counts", "draw_agn_fluxes", "field_agn", "galaxy_emission"]

#: Flux of the break, AGN per square degree above it, and the slopes on its bright and faint side: rounded, to
#: resemble the counts of deep X-ray surveys.
_BREAK, _DENSITY, _BRIGHT, _FAINT = 8e-15, 125.0, 1.6, 0.85
#: Faintest AGN drawn in a field; those below it are part of the background.
FAINTEST = 7e-16


def agn_counts(flux: ArrayLike) -> NDArray[np.float64]:
    """Count AGN brighter than a flux: a broken power law, about 90 per square degree above 1e-14.

    Parameters
    ----------
    flux : array_like
        erg/s/cm2 in 0.5-2 keV.

    Returns
    -------
    ndarray
        AGN per square degree, of the shape of `flux`.
    """
    ratio = np.asarray(flux) / _BREAK
    faint = (_BRIGHT / _FAINT) * (ratio**-_FAINT - 1) + 1
    return _DENSITY * np.where(ratio > 1, ratio**-_BRIGHT, faint)


def draw_agn_fluxes(rng: np.random.Generator, n: int, *, faintest: float = FAINTEST) -> np.ndarray:
    """Fluxes of AGN above `faintest` after `agn_counts`, by its inverse.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        How many.
    faintest : float
        Lowest flux.

    Returns
    -------
    ndarray, shape (n,)
        Fluxes, at most 2e-12.
    """
    number = agn_counts(faintest) * (1 - rng.random(n)) / _DENSITY
    bright = np.maximum(number, 1e-12) ** (-1 / _BRIGHT)
    faint = np.maximum((number - 1) * _FAINT / _BRIGHT + 1, 1e-12) ** (-1 / _FAINT)
    return np.minimum(_BREAK * np.where(number < 1, bright, faint), 2e-12)


def field_agn(rng: np.random.Generator, *, x: float, y: float, half: float) -> list[Component]:
    """Unrelated AGN in a square of the sky.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    x, y : float
        Centre of the square.
    half : float
        Half its side.

    Returns
    -------
    list of Component
        Point sources.
    """
    fluxes = draw_agn_fluxes(rng, int(rng.poisson(agn_counts(FAINTEST) * (2 * half / 60) ** 2)))
    offsets = half * (2 * rng.random((len(fluxes), 2)) - 1)
    return [
        Component(x + dx, y + dy, flux)
        for (dx, dy), flux in zip(offsets.tolist(), fluxes.tolist(), strict=True)
    ]


def galaxy_emission(
    rng: np.random.Generator,
    *,
    x: float,
    y: float,
    flux: float,
    size: float,
    axis_ratio: float,
    angle_deg: float,
) -> list[Component]:
    """X-rays of a nearby galaxy: a nucleus, diffuse gas and a few luminous binaries.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    x, y : float
        Its centre.
    flux : float
        Total flux.
    size : float
        Half-light radius in the optical.
    axis_ratio, angle_deg : float
        Shape of the disc on the sky.

    Returns
    -------
    list of Component
        The parts, whose fluxes add up to `flux`.
    """
    nucleus, gas, binaries = rng.dirichlet((1.3, 1.8, 0.9))
    shape = {"axis_ratio": min(1.0, axis_ratio + 0.1), "angle_deg": angle_deg, "limit": 12.0}
    core = size * float(np.exp(rng.normal(np.log(0.7), 0.4)))
    parts = [Component(x, y, flux * nucleus), Component(x, y, flux * gas, core=core, slope=1.7, **shape)]
    shares = binaries * rng.dirichlet(np.full(rng.integers(2, 8), 0.7))
    turn = np.radians(angle_deg)
    for share, (a, b) in zip(shares, rng.normal(0, 0.7 * size, (len(shares), 2)), strict=True):
        b *= axis_ratio
        place_x, place_y = x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)
        parts.append(Component(float(place_x), float(place_y), float(flux * share)))
    return parts
