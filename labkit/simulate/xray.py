"""X-ray sources: what they are made of, the AGN of the field, and nearby galaxies.

Positions are in arcmin from the nominal pointing, west (x) and north (y); fluxes in erg/s/cm2, 0.5-2 keV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.simulate.numbers import read_numbers


@dataclass(frozen=True)
class Component:
    """A King profile, S ~ (1 + (r / core)^2)^(-slope); slope 1.5 is a beta-model with beta = 2/3."""

    x: float  # centre, arcmin
    y: float
    flux: float  # erg/s/cm2, of all photons within `limit`
    core: float = 0.0  # core radius in arcmin; 0 for a point source
    slope: float = 1.5  # exponent of the surface brightness, above 1
    axis_ratio: float = 1.0  # minor over major axis
    angle_deg: float = 0.0  # direction of the major axis, from x to y
    limit: float = 20.0  # outer radius in units of the core


def agn_counts(flux: ArrayLike) -> NDArray[np.float64]:
    """AGN per square degree brighter than a flux: a broken power law, about 90 above 1e-14; shape kept."""
    agn = read_numbers("sky")["agn"]
    ratio = np.asarray(flux) / agn["break"]
    faint = (agn["bright"] / agn["faint"]) * (ratio ** -agn["faint"] - 1) + 1
    return agn["density"] * np.where(ratio > 1, ratio ** -agn["bright"], faint)


def draw_agn_fluxes(rng: np.random.Generator, n: int, *, faintest: float) -> np.ndarray:
    """Fluxes (n,) of AGN from `faintest` to 2e-12 after `agn_counts`, by its inverse."""
    agn = read_numbers("sky")["agn"]
    number = agn_counts(faintest) * (1 - rng.random(n)) / agn["density"]
    bright = np.maximum(number, 1e-12) ** (-1 / agn["bright"])
    faint = np.maximum((number - 1) * agn["faint"] / agn["bright"] + 1, 1e-12) ** (-1 / agn["faint"])
    return np.minimum(agn["break"] * np.where(number < 1, bright, faint), 2e-12)


def field_agn(rng: np.random.Generator, *, x: float, y: float, half: float) -> list[Component]:
    """Unrelated AGN, as points, in a square of the sky about (x, y) with half the side `half`."""
    faintest = read_numbers("sky")["agn"]["faintest"]
    number = int(rng.poisson(agn_counts(faintest) * (2 * half / 60) ** 2))
    fluxes = draw_agn_fluxes(rng, number, faintest=faintest)
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
    """X-rays of a nearby galaxy: a nucleus, diffuse gas and a few luminous binaries, together of `flux`.

    Its size is the half-light radius in the optical, its shape that of the disc on the sky.
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
