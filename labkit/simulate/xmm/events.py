"""From a sky of X-ray sources to counts: photons are drawn one by one and followed to the detectors.

A source is one or more components (`labkit.simulate.sky.components`).
Vignetting, gaps and pile-up thin the photons, the mirrors scatter them, and a share of those that PN records
is smeared along its column by the read-out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.instruments.epic import CAMERAS, COUNT_RATE_TO_FLUX, PN, Camera, vignetting
from labkit.instruments.mirrors import point_spread
from labkit.simulate.sky.components import Component
from labkit.simulate.xmm.pointing import Pointing

__all__ = ["Grid", "Spurious", "count_images", "draw_photons"]


@dataclass(frozen=True)
class Spurious:
    """Counts that no celestial source at that place made: recorded by one camera, untouched by the mirrors.

    Parameters
    ----------
    camera : str
        Name of the camera.
    x, y : ndarray, shape (n,)
        Positions, arcmin from the nominal pointing towards west and north.
    """

    camera: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Grid:
    """A square image on the sky, north up and east left.

    Parameters
    ----------
    x, y : float
        Centre, arcmin from the nominal pointing towards west and north.
    size : int
        Pixels along a side.
    pixel_arcmin : float
        Side of a pixel.
    """

    x: float
    y: float
    size: int
    pixel_arcmin: float

    @property
    def half(self) -> float:
        """Half the side in arcmin."""
        return self.size * self.pixel_arcmin / 2

    def histogram(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Number of positions in each pixel, shape (size, size), axes (y, x)."""
        column = np.floor((x - self.x + self.half) / self.pixel_arcmin).astype(np.int64)
        row = np.floor((y - self.y + self.half) / self.pixel_arcmin).astype(np.int64)
        inside = (column >= 0) & (column < self.size) & (row >= 0) & (row < self.size)
        flat = row[inside] * self.size + column[inside]
        return np.bincount(flat, minlength=self.size**2).reshape(self.size, self.size).astype(np.float32)

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the pixels (x, y), each of shape (size, size), arcmin."""
        offset = (np.arange(self.size) + 0.5) * self.pixel_arcmin - self.half
        x, y = np.broadcast_arrays(self.x + offset, self.y + offset[:, None])
        return x, y


def draw_photons(rng: np.random.Generator, component: Component, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions on the sky of photons from a component.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    component : Component
        Profile to draw from.
    n : int
        Number of photons.

    Returns
    -------
    tuple of ndarray
        Positions (x, y) in arcmin, each of shape (n,).
    """
    if component.core == 0:
        return np.full(n, component.x), np.full(n, component.y)
    power = 1 - component.slope
    inside = 1 - (1 + component.limit**2) ** power
    radius = component.core * np.sqrt((1 - inside * rng.random(n)) ** (1 / power) - 1)
    angle, turn = 2 * np.pi * rng.random(n), np.radians(component.angle_deg)
    major = radius * np.cos(angle) / np.sqrt(component.axis_ratio)
    minor = radius * np.sin(angle) * np.sqrt(component.axis_ratio)
    return (
        component.x + major * np.cos(turn) - minor * np.sin(turn),
        component.y + major * np.sin(turn) + minor * np.cos(turn),
    )


def _source_events(
    rng: np.random.Generator, components: Sequence[Component], pointing: Pointing, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Detector positions where photons of the sources fall, vignetted and piled up, gaps not yet applied."""
    seconds = pointing.exposure_s[camera.name] * camera.live
    rate = np.array([c.flux for c in components]) * camera.share / COUNT_RATE_TO_FLUX
    numbers = rng.poisson(rate * seconds)
    if not numbers.sum():
        return np.empty(0), np.empty(0)
    x, y = (
        np.concatenate(p)
        for p in zip(*map(draw_photons, [rng] * len(rate), components, numbers), strict=True)
    )
    u, v = pointing.to_detector(x, y)
    du, dv = u - camera.axis[0], v - camera.axis[1]
    kept = rng.random(len(u)) < vignetting(np.hypot(du, dv))
    u, v = u[kept], v[kept]
    shift_u, shift_v = point_spread(rng, du[kept], dv[kept], triangle=camera.triangle)
    points = rate * camera.frame_s * np.array([c.core == 0 for c in components])
    if points.max() > 0.02:
        # Photons that share a frame and a few pixels merge into events that the pattern filter rejects.
        crowding = np.repeat(0.6 * points, numbers)[kept] * np.exp(-np.hypot(shift_u, shift_v) / 0.12)
        single = rng.random(len(u)) * (1 + crowding) < 1
        u, v, shift_u, shift_v = u[single], v[single], shift_u[single], shift_v[single]
    return u + shift_u, v + shift_v


def _background_events(
    rng: np.random.Generator, pointing: Pointing, camera: Camera, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Detector positions of background counts within a grid, gaps not yet applied."""
    sky, particle = pointing.background_rate(camera)
    area = (2 * grid.half) ** 2
    n = rng.poisson((sky + particle) * area * pointing.exposure_s[camera.name])
    x, y = (centre + grid.half * (2 * rng.random(n) - 1) for centre in (grid.x, grid.y))
    u, v = pointing.to_detector(x, y)
    kept = rng.random(n) * (sky + particle) < sky * vignetting(camera.off_axis(u, v)) + particle
    return u[kept], v[kept]


def _smear(rng: np.random.Generator, chip: np.ndarray) -> np.ndarray:
    """Positions along the columns of PN chips at which out-of-time events seem to arrive."""
    start, stop = PN.chips[chip, 2], PN.chips[chip, 3]
    return start + (stop - start) * rng.random(len(chip))


def _recorded(events: Sequence[np.ndarray], pointing: Pointing, camera: Camera, grid: Grid) -> np.ndarray:
    """Image of the detector positions (u, v) that fall on working pixels."""
    u, v = events
    on_chip = pointing.chip_of(camera, u, v) >= 0
    return grid.histogram(*pointing.to_image(u[on_chip], v[on_chip]))


def count_images(
    rng: np.random.Generator,
    components: Sequence[Component],
    pointing: Pointing,
    grid: Grid,
    *,
    spurious: Sequence[Spurious] = (),
) -> dict[str, np.ndarray]:
    """Observe a sky with the three cameras.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    components : sequence of Component
        The sources; those outside the grid matter too, by their wings and read-out streaks.
    pointing : Pointing
        Circumstances of the observation.
    grid : Grid
        Pixels of the images.
    spurious : sequence of Spurious
        Detector artefacts to add.

    Returns
    -------
    dict of str to ndarray
        Counts in 0.5-2 keV for "pn", "mos1" and "mos2", each of shape (size, size), float32. Where the
        out-of-time events were subtracted, those of "pn" are fractional and may be negative.
    """
    images = {}
    for camera in CAMERAS:
        sources = _source_events(rng, components, pointing, camera)
        field = _background_events(rng, pointing, camera, grid)
        artefacts = [pointing.to_detector(s.x, s.y) for s in spurious if s.camera == camera.name]
        chip = pointing.chip_of(camera, *sources)
        if camera is PN:
            late = (rng.random(len(chip)) < pointing.out_of_time) & (chip >= 0)
            sources[1][late] = _smear(rng, chip[late])
        events = [np.concatenate(axis) for axis in zip(sources, field, *artefacts, strict=True)]
        image = _recorded(events, pointing, camera, grid)
        if camera is PN and pointing.out_of_time_subtracted:
            smeared = sources[0][chip >= 0], _smear(rng, chip[chip >= 0])
            field = _background_events(rng, pointing, camera, grid)
            events = [np.concatenate(axis) for axis in zip(smeared, field, strict=True)]
            image -= np.float32(pointing.out_of_time) * _recorded(events, pointing, camera, grid)
        images[camera.name] = image
    return images
