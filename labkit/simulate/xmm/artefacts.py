"""What looks like a source and is none: hot columns and pixels, stray light, flare residue, read-out streaks.

Positions are in arcmin from the nominal pointing, west (x) and north (y). Shapes, sizes and
numbers are choices that look like archival EPIC images; none is a measured distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labkit.instruments.epic import CAMERAS, PN, Camera
from labkit.simulate.sky.components import Component
from labkit.simulate.xmm.events import Spurious
from labkit.simulate.xmm.pointing import Pointing

__all__ = ["spurious_counts", "streak_source"]


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
        Expected number of counts in the column or pixel, per arcmin2 in arcs and on a chip.

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
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple[float, float], counts: float
) -> NDArray[np.float64]:
    n, width = rng.poisson(counts), camera.column_arcmin * rng.integers(1, 4)
    length = np.exp(rng.uniform(np.log(0.4), np.log(6)))
    along = length * (rng.random(n) - rng.uniform(0.2, 0.8))
    across = width * (rng.random(n) - 0.5)
    offset = (across, along) if camera.along_v[chip] else (along, across)
    return np.array([place[0] + offset[0], place[1] + offset[1]])


def _hot_pixel(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple[float, float], counts: float
) -> NDArray[np.float64]:
    n, spots = rng.poisson(counts), rng.normal(0, 0.12, (rng.integers(1, 4), 2))
    return (spots[rng.integers(len(spots), size=n)] + camera.column_arcmin * rng.random((n, 2)) + place).T


def _stray_light(
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple[float, float], counts: float
) -> NDArray[np.float64]:
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
    rng: np.random.Generator, camera: Camera, chip: int, place: tuple[float, float], counts: float
) -> NDArray[np.float64]:
    u0, u1, v0, v1 = camera.chips[chip]
    n = rng.poisson(counts * (u1 - u0) * (v1 - v0))
    lump = rng.poisson(counts)
    corner = np.array([[u0], [v0]]) + np.array([[u1 - u0], [v1 - v0]]) * rng.random((2, n))
    return np.concatenate([corner, np.reshape(place, (2, 1)) + rng.normal(0, 0.5, (2, lump))], axis=1)
