"""XMM-Newton at work: an observation's circumstances, its photons, its depth, and what looks like a source.

Positions on the sky are in arcmin from the nominal pointing, west (x) and north (y); on the detectors (u, v).
Circumstances are nuisances: they are drawn before, and independently of, what is in the field.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from labkit.instruments.epic import (
    CAMERAS,
    COUNT_RATE_TO_FLUX,
    FLARE_CHIP_SCATTER,
    FLARE_VIGNETTED,
    PN,
    Camera,
    vignetting,
)
from labkit.instruments.mirrors import point_spread
from labkit.simulate.xray import Component

#: Catalogue columns of a survey that have nothing to do with the class.
NUISANCES = ("native_pixel_scale", "position_angle", "galactic_latitude")
#: Those that decide what is found, and so tell something of the class: deep fields show more clusters.
DEPTH = ("exposure", "background", "off_axis")

_Place = tuple[float, float]
_GALACTIC_POLE = np.radians([192.85948, 27.12825])


@dataclass(frozen=True)
class Pointing:
    """Circumstances of one XMM-Newton observation."""

    ra_deg: float  # nominal pointing, degrees (ICRS)
    dec_deg: float
    position_angle_deg: float  # angle of the detectors on the sky, degrees
    exposure_s: dict[str, float]  # of each camera, seconds
    background: float  # quiet background relative to that of `labkit.instruments.epic`
    flare: float  # residual flare background of PN, counts/s/arcmin2
    #: the level of flares on each chip of a camera, relative to its mean
    flare_on_chip: dict[str, np.ndarray]
    #: share of PN events that arrive while their column is read out (0.063, or 0.023 in the extended mode)
    out_of_time: float
    #: whether the archive subtracted those events statistically, which leaves fractional counts
    out_of_time_subtracted: bool
    dead_chips: tuple[int, ...]  # chips of MOS1 that no longer work
    #: (n, 4) rectangles without exposure for each camera: u0, u1, v0, v1 in arcmin
    bad_columns: dict[str, np.ndarray]

    def to_detector(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Detector coordinates (u, v) of image offsets (x west, y north), all in arcmin."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        angle = np.radians(self.position_angle_deg - 270)
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def to_image(self, u: ArrayLike, v: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Image offsets (x west, y north) of detector coordinates, all in arcmin."""
        u, v = np.asarray(u, dtype=float), np.asarray(v, dtype=float)
        angle = np.radians(self.position_angle_deg - 270)
        return u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)

    def sky(self, x: float, y: float) -> tuple[float, float]:
        """Right ascension and declination in degrees of an image offset in arcmin (tangent plane)."""
        xi, eta = -np.radians(x / 60), np.radians(y / 60)
        dec0 = np.radians(self.dec_deg)
        denominator = np.cos(dec0) - eta * np.sin(dec0)
        ra = np.radians(self.ra_deg) + np.arctan2(xi, denominator)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, denominator))
        return float(np.degrees(ra) % 360), float(np.degrees(dec))

    @property
    def galactic_latitude_deg(self) -> float:
        """Galactic latitude of the pointing, degrees."""
        ra, dec = np.radians(self.ra_deg), np.radians(self.dec_deg)
        pole_ra, pole_dec = _GALACTIC_POLE
        sine = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
        return float(np.degrees(np.arcsin(sine)))

    def chip_of(self, camera: Camera, u: NDArray, v: NDArray) -> NDArray[np.int8]:
        """Number of the working chip under each position; -1 in gaps, bad columns and outside the field."""
        chip = camera.chip_of(u, v)
        if camera.name == "mos1" and self.dead_chips:
            chip[np.isin(chip, self.dead_chips)] = -1
        flat, u, v = chip.reshape(-1), np.ravel(u), np.ravel(v)
        for u0, u1, v0, v1 in self.bad_columns[camera.name].tolist():
            # Across the column first, which leaves few positions to look at along it.
            across = (u > u0) & (u < u1) if u1 - u0 < v1 - v0 else (v > v0) & (v < v1)
            near = across.nonzero()[0]
            if near.size:
                u_near, v_near = u[near], v[near]
                flat[near[(u_near > u0) & (u_near < u1) & (v_near > v0) & (v_near < v1)]] = -1
        return chip

    def exposure(self, camera: Camera, u: NDArray, v: NDArray) -> NDArray[np.float64]:
        """Vignetted exposure of a camera in seconds at detector positions; 0 where nothing is recorded."""
        seconds = self.exposure_s[camera.name] * camera.live * vignetting(camera.off_axis(u, v))
        return seconds * (self.chip_of(camera, u, v) >= 0)

    def counts_per_flux(self, u: NDArray, v: NDArray) -> NDArray[np.float64]:
        """Counts in the sum of the cameras for a flux of 1 erg/s/cm2 (0.5-2 keV) at detector positions."""
        shares = [self.exposure(camera, u, v) * camera.share for camera in CAMERAS]
        return np.sum(shares, axis=0) / COUNT_RATE_TO_FLUX

    def background_rate(self, camera: Camera) -> tuple[float, float]:
        """Vignetted and unvignetted background of a camera, counts/s/arcmin2 of nominal exposure."""
        mirrored, direct = self.flare_rate(camera)
        return camera.sky * self.background + mirrored, camera.particle * self.background + direct

    def flare_rate(self, camera: Camera) -> tuple[float, float]:
        """What of `background_rate` is due to flares."""
        flare = self.flare * camera.flare
        return FLARE_VIGNETTED * flare, (1 - FLARE_VIGNETTED) * flare


def _bad_columns(rng: Generator, camera: Camera) -> np.ndarray:
    """Most of the permanent bad columns and some of this observation's own."""
    kept = camera.bad_columns[rng.random(len(camera.bad_columns)) < 0.95]
    chips = rng.integers(len(camera.chips), size=rng.poisson(camera.own_columns))
    drawn = [_random_column(rng, camera, chip) for chip in chips]
    return np.concatenate([kept, np.reshape(drawn, (-1, 4))])


def _random_column(rng: Generator, camera: Camera, chip: int) -> tuple[float, float, float, float]:
    u0, u1, v0, v1 = camera.chips[chip]
    across, along = ((u0, u1), (v0, v1)) if camera.along_v[chip] else ((v0, v1), (u0, u1))
    start, width = rng.uniform(*across), camera.column_arcmin * rng.integers(1, camera.widest_column + 1)
    ends = sorted((along[rng.integers(2)], rng.uniform(*along))) if rng.random() < 0.6 else along
    return (start, start + width, *ends) if camera.along_v[chip] else (*ends, start, start + width)


def draw_pointing(rng: Generator) -> Pointing:
    """Draw the circumstances of an observation.

    Exposures are 5 to 20 ks as in X-CLASS, PN's somewhat shorter than MOS's; most observations are quiet, the
    others have flares that raise the PN background up to sixfold.
    """
    while True:
        ra, dec = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
        mos = float(np.exp(rng.uniform(np.log(5e3), np.log(2e4))))
        pointing = Pointing(
            ra_deg=ra,
            dec_deg=float(dec),
            position_angle_deg=float(rng.uniform(0, 360)),
            exposure_s={
                "pn": mos * rng.uniform(0.6, 0.97),
                "mos1": mos,
                "mos2": mos * rng.uniform(0.93, 1.03),
            },
            background=float(np.exp(rng.normal(0, 0.2))),
            flare=float(
                min(rng.exponential(6e-4) if rng.random() < 0.7 else rng.exponential(3.5e-3), 1.2e-2)
            ),
            flare_on_chip={
                camera.name: np.maximum(rng.normal(1, FLARE_CHIP_SCATTER, len(camera.chips)), 0)
                for camera in CAMERAS
            },
            out_of_time=0.063 if rng.random() < 0.7 else 0.023,
            out_of_time_subtracted=bool(rng.random() < 0.5),
            dead_chips=((), (2,), (2, 6))[rng.choice(3, p=(0.5, 0.38, 0.12))],
            bad_columns={camera.name: _bad_columns(rng, camera) for camera in CAMERAS},
        )
        if abs(pointing.galactic_latitude_deg) > 20:
            return pointing


def circumstances(pointing: Pointing, x: float, y: float) -> dict[str, float]:
    """Catalogue entries of a place: where it is, and how it was observed."""
    ra, dec = pointing.sky(x, y)
    return {
        "ra": ra,
        "dec": dec,
        "off_axis": float(PN.off_axis(*pointing.to_detector(x, y))),
        "exposure": pointing.exposure_s["mos1"] / 1e3,
        "background": sum(pointing.background_rate(PN)),
        "out_of_time_subtracted": pointing.out_of_time_subtracted,
        "position_angle": pointing.position_angle_deg,
        "galactic_latitude": pointing.galactic_latitude_deg,
    }


@dataclass(frozen=True)
class Spurious:
    """Counts of one camera that no source at that place made, untouched by the mirrors."""

    camera: str  # name of the camera
    x: np.ndarray  # (n,) positions, arcmin from the nominal pointing towards west and north
    y: np.ndarray


@dataclass(frozen=True)
class Grid:
    """A square image on the sky, north up and east left."""

    x: float  # centre, arcmin from the nominal pointing towards west and north
    y: float
    size: int  # pixels along a side
    pixel_arcmin: float  # side of a pixel

    @property
    def half(self) -> float:
        """Half the side in arcmin."""
        return self.size * self.pixel_arcmin / 2

    def histogram(self, x: np.ndarray, y: np.ndarray) -> NDArray[np.float32]:
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


def exposure_map(pointing: Pointing, camera: Camera, grid: Grid) -> NDArray[np.float32]:
    """Mean exposure of a camera over each pixel in seconds, from 3 x 3 points in it; shape (y, x)."""
    fine = replace(grid, size=3 * grid.size, pixel_arcmin=grid.pixel_arcmin / 3)
    seconds = pointing.exposure(camera, *pointing.to_detector(*fine.positions()))
    return seconds.reshape(grid.size, 3, grid.size, 3).mean(axis=(1, 3)).astype(np.float32)


def draw_photons(rng: Generator, component: Component, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (x, y) on the sky, each (n,), of photons from a component."""
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


#: Origins of events that no component made: the background, and flaws of the detectors from this number down.
BACKGROUND, FLAWS = -1, -2


@dataclass(frozen=True)
class Events:
    """The counts of an observation, 0.5-2 keV, all of shape (n,)."""

    x: NDArray[np.float64]  # on the sky, arcmin from the nominal pointing towards west and north
    y: NDArray[np.float64]
    camera: NDArray[np.int8]  # its number in `labkit.instruments.epic.CAMERAS`
    #: row of the component that made it; `BACKGROUND`; or `FLAWS` less the row of a flaw
    origin: NDArray[np.int32]
    late: NDArray[np.bool_]  # recorded by PN while its column was read out, which puts it elsewhere
    weight: NDArray[np.float32]  # 1, or below 0 for what the archive subtracts

    def image(self, camera: Camera, grid: Grid) -> NDArray[np.float32]:
        """Counts of one camera, shape (y, x)."""
        own = self.camera == CAMERAS.index(camera)
        real, taken = own & (self.weight > 0), own & (self.weight < 0)
        image = grid.histogram(self.x[real], self.y[real])
        if taken.any():
            image += self.weight[taken][0] * grid.histogram(self.x[taken], self.y[taken])
        return image


def _source_events(
    rng: Generator, components: Sequence[Component], pointing: Pointing, camera: Camera
) -> tuple[NDArray, NDArray, NDArray]:
    """Detector positions where photons of the sources fall, vignetted and piled up, and their components.

    Gaps are not yet applied.
    """
    seconds = pointing.exposure_s[camera.name] * camera.live
    rate = np.array([c.flux for c in components]) * camera.share / COUNT_RATE_TO_FLUX
    numbers = rng.poisson(rate * seconds)
    seen = np.flatnonzero(numbers).tolist()
    if not seen:
        return np.empty(0), np.empty(0), np.empty(0, dtype=int)
    drawn = [draw_photons(rng, components[row], int(numbers[row])) for row in seen]
    x, y = (np.concatenate(axis) for axis in zip(*drawn, strict=True))
    u, v = pointing.to_detector(x, y)
    du, dv = u - camera.axis[0], v - camera.axis[1]
    kept = rng.random(len(u)) < vignetting(np.hypot(du, dv))
    u, v, origin = u[kept], v[kept], np.repeat(np.arange(len(components)), numbers)[kept]
    shift_u, shift_v = point_spread(rng, du[kept], dv[kept], triangle=camera.triangle)
    points = rate * camera.frame_s * np.array([c.core == 0 for c in components])
    if points.max() > 0.02:
        # Photons that share a frame and a few pixels merge into events that the pattern filter rejects.
        crowding = 0.6 * points[origin] * np.exp(-np.hypot(shift_u, shift_v) / 0.12)
        single = rng.random(len(u)) * (1 + crowding) < 1
        u, v, shift_u, shift_v, origin = (a[single] for a in (u, v, shift_u, shift_v, origin))
    return u + shift_u, v + shift_v, origin


def _background_events(
    rng: Generator, pointing: Pointing, camera: Camera, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Detector positions of background counts within a grid, gaps not yet applied."""
    mirrored, direct = pointing.background_rate(camera)
    flare_mirrored, flare_direct = pointing.flare_rate(camera)
    surplus = pointing.flare_on_chip[camera.name] - 1
    most = mirrored + direct + max(surplus.max(), 0) * (flare_mirrored + flare_direct)
    n = rng.poisson(most * (2 * grid.half) ** 2 * pointing.exposure_s[camera.name])
    x, y = (centre + grid.half * (2 * rng.random(n) - 1) for centre in (grid.x, grid.y))
    u, v = pointing.to_detector(x, y)
    # of what falls beside the chips the level does not matter
    area, more = vignetting(camera.off_axis(u, v)), surplus[camera.chip_of(u, v)]
    level = (mirrored + flare_mirrored * more) * area + direct + flare_direct * more
    kept = rng.random(n) * most < level
    return u[kept], v[kept]


def _smear(rng: Generator, chip: np.ndarray) -> np.ndarray:
    """Positions along the columns of PN chips at which out-of-time events seem to arrive."""
    start, stop = PN.chips[chip, 2], PN.chips[chip, 3]
    return start + (stop - start) * rng.random(len(chip))


def observe(
    rng: Generator,
    components: Sequence[Component],
    pointing: Pointing,
    grid: Grid,
    *,
    spurious: Sequence[Spurious] = (),
) -> Events:
    """Observe a sky with the three cameras.

    Photons are drawn one by one and followed to the detectors: vignetting, gaps and pile-up thin them, the
    mirrors scatter them, and a share of those that PN records is smeared along its column by the read-out.
    The background is that of the grid; sources outside it matter too, by their wings and streaks. Where the
    out-of-time events were subtracted, some of PN's have a negative weight.
    """
    parts: list[tuple[np.ndarray, ...]] = []

    def record(
        number: int, u: NDArray, v: NDArray, origin: Any, late: Any = False, weight: float = 1.0
    ) -> None:
        on_chip = pointing.chip_of(CAMERAS[number], u, v) >= 0
        columns = np.broadcast_arrays(u, v, number, origin, late, weight)
        u, v, *others = (column[on_chip] for column in columns)
        parts.append((*pointing.to_image(u, v), *others))

    for number, camera in enumerate(CAMERAS):
        u, v, origin = _source_events(rng, components, pointing, camera)
        field = _background_events(rng, pointing, camera, grid)
        chip = pointing.chip_of(camera, u, v)
        late, streaks = np.zeros(len(chip), dtype=bool), v
        if camera is PN:
            late = (rng.random(len(chip)) < pointing.out_of_time) & (chip >= 0)
            streaks = v.copy()
            streaks[late] = _smear(rng, chip[late])
        record(number, u, streaks, origin, late)
        record(number, *field, BACKGROUND)
        for row, flaw in enumerate(spurious):
            if flaw.camera == camera.name:
                record(number, *pointing.to_detector(flaw.x, flaw.y), FLAWS - row)
        if camera is PN and pointing.out_of_time_subtracted:
            on_chip = chip >= 0
            taken: dict[str, Any] = {"late": True, "weight": -pointing.out_of_time}
            record(number, u[on_chip], _smear(rng, chip[on_chip]), origin[on_chip], **taken)
            record(number, *_background_events(rng, pointing, camera, grid), BACKGROUND, **taken)
    x, y, which, origin, late, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Events(
        x, y, which.astype(np.int8), origin.astype(np.int32), late.astype(bool), weight.astype(np.float32)
    )


def count_images(
    rng: Generator,
    components: Sequence[Component],
    pointing: Pointing,
    grid: Grid,
    *,
    spurious: Sequence[Spurious] = (),
) -> dict[str, NDArray[np.float32]]:
    """Observe a sky as `observe` does: counts for "pn", "mos1" and "mos2", each (y, x)."""
    events = observe(rng, components, pointing, grid, spurious=spurious)
    return {camera.name: events.image(camera, grid) for camera in CAMERAS}


def expected_counts(flux: ArrayLike, *, exposure_s: ArrayLike, off_axis: ArrayLike) -> NDArray[np.float64]:
    """About how many counts of a source, off axis by arcmin, the cameras record, chip gaps left aside."""
    return np.asarray(flux) / COUNT_RATE_TO_FLUX * np.asarray(exposure_s) * vignetting(off_axis)


def spurious_counts(
    rng: Generator, pointing: Pointing, *, kind: str, x: float, y: float, counts: float
) -> Spurious:
    """Counts of a detector artefact of one camera at a position.

    A hot column, a hot pixel, single-reflection arcs of a source outside the field (stray light), or the
    residue of a flare on one chip. `counts` is the expected number in a column or pixel, per arcmin2 in arcs
    and on a chip. Shapes, sizes and numbers look like archival EPIC images; none is a measured distribution.
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


def _hot_column(rng: Generator, camera: Camera, chip: int, place: _Place, counts: float) -> NDArray:
    n, width = rng.poisson(counts), camera.column_arcmin * rng.integers(1, 4)
    length = np.exp(rng.uniform(np.log(0.4), np.log(6)))
    along = length * (rng.random(n) - rng.uniform(0.2, 0.8))
    across = width * (rng.random(n) - 0.5)
    offset = (across, along) if camera.along_v[chip] else (along, across)
    return np.array([place[0] + offset[0], place[1] + offset[1]])


def _hot_pixel(rng: Generator, camera: Camera, chip: int, place: _Place, counts: float) -> NDArray:
    n, spots = rng.poisson(counts), rng.normal(0, 0.12, (rng.integers(1, 4), 2))
    return (spots[rng.integers(len(spots), size=n)] + camera.column_arcmin * rng.random((n, 2)) + place).T


def _stray_light(rng: Generator, camera: Camera, chip: int, place: _Place, counts: float) -> NDArray:
    distance, direction = rng.uniform(25, 60), rng.uniform(0, 2 * np.pi)
    rings = np.cumsum(rng.uniform(0.35, 1.1, rng.integers(3, 9)))
    rings -= rings[rng.integers(len(rings))]
    opening = rng.uniform(2, 9) / distance
    n = rng.poisson(counts * len(rings) * opening * distance * 0.25)
    radius = distance + rings[rng.integers(len(rings), size=n)] + rng.normal(0, 0.07, n)
    angle = direction + opening * (rng.random(n) - rng.uniform(0.3, 0.7))
    centre = place - distance * np.array([np.cos(direction), np.sin(direction)])
    return np.array([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


def _noisy_chip(rng: Generator, camera: Camera, chip: int, place: _Place, counts: float) -> NDArray:
    u0, u1, v0, v1 = camera.chips[chip]
    n = rng.poisson(counts * (u1 - u0) * (v1 - v0))
    lump = rng.poisson(counts)
    corner = np.array([[u0], [v0]]) + np.array([[u1 - u0], [v1 - v0]]) * rng.random((2, n))
    return np.concatenate([corner, np.reshape(place, (2, 1)) + rng.normal(0, 0.5, (2, lump))], axis=1)
