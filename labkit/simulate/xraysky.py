"""X-ray sources other than clusters: field AGN, single and double points, nearby galaxies, artefacts.

Positions are in arcmin from the nominal pointing, west (x) and north (y); fluxes in erg/s/cm2, 0.5-2 keV.
"""

from __future__ import annotations

import numpy as np

from labkit.simulate.events import Component, Spurious
from labkit.simulate.pointing import Pointing
from labkit.simulate.xmm import CAMERAS, PN, Camera

__all__ = [
    "agn_counts",
    "draw_agn_fluxes",
    "field_agn",
    "galaxy_emission",
    "spurious_counts",
    "streak_source",
]

_BREAK, _DENSITY, _BRIGHT, _FAINT = 8e-15, 125.0, 1.6, 0.85
FAINTEST = 7e-16


def agn_counts(flux: np.ndarray | float) -> np.ndarray:
    """Number of AGN per square degree above a flux: a broken power law, about 90 above 1e-14 (0.5-2 keV)."""
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
    fluxes = draw_agn_fluxes(rng, rng.poisson(agn_counts(FAINTEST) * (2 * half / 60) ** 2))
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
        place = (x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn))
        parts.append(Component(*map(float, place), float(flux * share)))
    return parts


def streak_source(rng: np.random.Generator, pointing: Pointing, *, x: float, y: float) -> Component | None:
    """A bright point source whose PN read-out streak runs through a position.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    pointing : Pointing
        Circumstances of the observation.
    x, y : float
        The position.

    Returns
    -------
    Component or None
        The source, on the same chip some arcmin along the column; None where PN sees nothing at the position.
    """
    u, v = pointing.to_detector(x, y)
    chip = int(pointing.chip_of(PN, np.array([u]), np.array([v]))[0])
    if chip < 0:
        return None
    places = rng.uniform(PN.chips[chip, 2] + 0.5, PN.chips[chip, 3] - 0.5, 30)
    places = places[np.abs(places - v) > 1.2]
    seen = pointing.counts_per_flux(np.full(len(places), u), places)
    # Enough counts for some 30 to 300 out-of-time ones within an arcmin of the column.
    place = int(np.argmax(seen))
    counts = np.exp(rng.uniform(np.log(30), np.log(300))) * 13 / pointing.out_of_time
    bright = counts / max(seen[place] * PN.share, 1.0)
    sky_x, sky_y = pointing.to_image(u, places[place])
    return Component(float(sky_x), float(sky_y), float(min(bright, 8e-11)))


def spurious_counts(
    rng: np.random.Generator, pointing: Pointing, *, kind: str, x: float, y: float, counts: float
) -> Spurious:
    """Counts of a detector artefact at a position.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    pointing : Pointing
        Circumstances of the observation.
    kind : {"column", "pixel", "arc", "chip"}
        A hot column, a hot pixel, single-reflection arcs of a source outside the field (stray light), or the
        residue of a flare on one chip.
    x, y : float
        The position.
    counts : float
        Expected number of counts near the position (per arcmin2 for arcs and chips).

    Returns
    -------
    Spurious
        The counts, of one camera.
    """
    u, v = pointing.to_detector(x, y)
    chips = {c.name: int(pointing.chip_of(c, np.array([u]), np.array([v]))[0]) for c in CAMERAS}
    working = [c for c in CAMERAS if chips[c.name] >= 0] or list(CAMERAS)
    if kind == "chip":
        working = [c for c in working if c is not PN] or working
    camera = working[rng.integers(len(working))]
    draw = {"column": _hot_column, "pixel": _hot_pixel, "arc": _stray_light, "chip": _noisy_chip}[kind]
    points = draw(rng, camera, max(chips[camera.name], 0), (float(u), float(v)), counts)
    return Spurious(camera.name, *pointing.to_image(*points))


def _hot_column(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple, counts: float
) -> np.ndarray:
    n, width = rng.poisson(counts), camera.column_arcmin * rng.integers(1, 4)
    length = np.exp(rng.uniform(np.log(0.4), np.log(6)))
    along = length * (rng.random(n) - rng.uniform(0.2, 0.8))
    across = width * (rng.random(n) - 0.5)
    offset = (across, along) if camera.along_v[chip] else (along, across)
    return np.array([place[0] + offset[0], place[1] + offset[1]])


def _hot_pixel(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple, counts: float
) -> np.ndarray:
    n, spots = rng.poisson(counts), rng.normal(0, 0.12, (rng.integers(1, 4), 2))
    return (spots[rng.integers(len(spots), size=n)] + camera.column_arcmin * rng.random((n, 2)) + place).T


def _stray_light(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple, counts: float
) -> np.ndarray:
    distance, direction = rng.uniform(25, 60), rng.uniform(0, 2 * np.pi)
    rings = np.cumsum(rng.uniform(0.35, 1.1, rng.integers(3, 9)))
    rings -= rings[rng.integers(len(rings))]
    opening = rng.uniform(2, 9) / distance
    n = rng.poisson(counts * len(rings) * opening * distance * 0.25)
    radius = distance + rings[rng.integers(len(rings), size=n)] + rng.normal(0, 0.07, n)
    angle = direction + opening * (rng.random(n) - rng.uniform(0.3, 0.7))
    centre = place - distance * np.array([np.cos(direction), np.sin(direction)])
    return np.array([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


def _noisy_chip(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple, counts: float
) -> np.ndarray:
    u0, u1, v0, v1 = camera.chips[chip]
    n = rng.poisson(counts * (u1 - u0) * (v1 - v0))
    lump = rng.poisson(counts)
    corner = np.array([[u0], [v0]]) + np.array([[u1 - u0], [v1 - v0]]) * rng.random((2, n))
    return np.concatenate([corner, np.reshape(place, (2, 1)) + rng.normal(0, 0.5, (2, lump))], axis=1)
