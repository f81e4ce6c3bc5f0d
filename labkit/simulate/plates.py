"""Red Schmidt plates: optics, emulsion, grain, and what the sky survey would show of each candidate.

Numbers marked *measured* come from a red plate of the Digitized Sky Survey (SERC-ER, IIIaF + OG590). A plate
is made in pixels of 1 arcsec, the scanning step of DSS2, from independent streams of randomness: the plate
and its grain, the field (stars and galaxies that happen to be there) and the object. The kind of object
changes only the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from labkit.images import regrid
from labkit.simulate.optical import (
    OpticalScene,
    cluster_members,
    draw_nearby_galaxy,
    field_galaxies,
    render_nearby_galaxy,
    stars,
)
from labkit.simulate.painting import POINT, Bodies, Optics, patch, render

_BRIGHT = 14.0  # stars brighter than this get halo and spikes
_FAINTEST_HALO = 0.01  # of the sky; taken off all halos, so that they end without an edge


@dataclass(frozen=True)
class Plate:
    """What distinguishes one plate from another."""

    sky_counts: float = 6000.0  # scanned density of the sky, counts
    fog_counts: float = 1800.0  # of unexposed emulsion
    saturation_counts: float = 21800.0  # of fully exposed emulsion
    contrast: float = 1.6  # exponent g of the characteristic curve
    #: grain: rms of the density where the curve is steepest, in quarters of the range of the curve
    granularity: float = 0.112
    grain_px: float = 0.74  # correlation length (Gaussian sigma) of the grain, pixels
    seeing_arcsec: float = 2.5  # full width at half maximum of faint stars, arcsec
    sky_magnitude: float = 21.2  # R magnitude of a square arcsecond of sky, with the zero point of the plate
    #: relative change of the exposure across a degree along x and y
    gradient: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0  # angle of the diffraction spikes from the axes
    specks: float = 0.0  # dust specks per square degree

    @property
    def optics(self) -> Optics:
        """What `render` needs to know of it."""
        return Optics(self.seeing_arcsec, self.sky_magnitude)

    def density(self, exposure: NDArray, *, grain: NDArray | float = 0.0) -> NDArray[np.float32]:
        """Turn exposure into scanned density by the characteristic curve.

        D = fog + (saturation - fog) q / (1 + q), q = q_sky exposure^g exp(grain): a straight line in the
        logarithm of the exposure between a toe and a shoulder. Grain shifts the logarithm of q, so that it
        vanishes where the emulsion is exhausted.
        """
        q_sky = (self.sky_counts - self.fog_counts) / (self.saturation_counts - self.sky_counts)
        log_q = self.contrast * np.log(np.maximum(exposure, 1e-6)) + (np.log(q_sky) + grain)
        span = self.saturation_counts - self.fog_counts
        return (self.fog_counts + span * expit(log_q)).astype(np.float32)


def draw_plate(rng: Generator) -> Plate:
    """Draw a plate: every property varies on its own, none knows what was photographed.

    Skies have about 4,000 to 9,000 counts, seeing is 2 to 3.3"; R = 20.8 is a star of about 2 sigma.
    """
    return Plate(
        sky_counts=float(np.clip(6000 * np.exp(rng.normal(0, 0.2)), 3800, 10000)),
        fog_counts=rng.uniform(1200, 2400),
        saturation_counts=rng.normal(21800, 500),
        contrast=rng.uniform(1.4, 1.9),  # measured: 1.6
        granularity=0.112 * np.exp(rng.normal(0, 0.08)),  # measured: 0.107 to 0.120
        grain_px=rng.uniform(0.68, 0.80),  # measured: 0.74
        seeing_arcsec=float(np.clip(2.5 * np.exp(rng.normal(0, 0.12)), 2.0, 3.3)),
        sky_magnitude=21.2 + rng.normal(0, 0.15),  # dark sky; gives the limit
        gradient=tuple(rng.normal(0, 0.25, 2)),
        rotation_deg=rng.normal(0, 1.0),
        specks=rng.gamma(1.0, 12.0),
    )


def expose(bodies: Bodies, plate: Plate, *, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Light of bodies through the telescope, in units of the sky, without it; (ny, nx) in pixels of 1 arcsec.

    Bright stars have halos and diffraction spikes.
    """
    optics = plate.optics
    light = render(bodies, optics, shape=shape)
    x, y = optics.place(bodies.x, bodies.y, shape)
    rotation, width = np.radians(plate.rotation_deg), plate.seeing_arcsec / 2.4
    for star in np.flatnonzero((bodies.index == POINT) & (bodies.magnitude < _BRIGHT)):
        flux = optics.flux(bodies.magnitude[star])
        _add_halo(light, x[star], y[star], flux, rotation=rotation, width=width)
    return light


def develop(rng: Generator, light: NDArray, plate: Plate) -> NDArray[np.float32]:
    """Expose the emulsion to the sky and to light in units of it (ny, nx), develop and scan it: counts."""
    light = np.asarray(light, dtype=np.float32)
    slope_y, slope_x = ((np.arange(n, dtype=np.float32) - n / 2) / 3600 for n in light.shape)
    illumination = 1 + plate.gradient[1] * slope_y[:, None] + plate.gradient[0] * slope_x
    grain = gaussian_filter(rng.standard_normal(light.shape, dtype=np.float32), plate.grain_px, truncate=2.7)
    grain *= np.float32(plate.granularity) / grain.std()
    counts = plate.density((1 + light) * illumination.astype(np.float32), grain=grain)
    for _ in range(rng.poisson(plate.specks * light.size / 3600**2)):
        i, j = rng.integers(0, light.shape[0]), rng.integers(0, light.shape[1])
        size, sign = rng.integers(1, 3), rng.choice([-1, 1], p=[0.6, 0.4])
        counts[i : i + size, j : j + rng.integers(1, 4)] += sign * rng.uniform(2000, 6000)
    return np.clip(counts, 0.3 * plate.fog_counts, plate.saturation_counts)


def _add_halo(light: NDArray, x: float, y: float, flux: float, *, rotation: float, width: float) -> None:
    """Add aureole (scattering), ghost disc (reflection) and four spikes (spider) of a star at pixel x, y."""
    aureole, core = 0.007 * flux, 20.0  # w c / (2 pi (r^2 + c^2)^1.5), c in px
    ghost, ghost_radius = 0.002 * flux / (np.pi * 95.0**2), 95.0
    spike = 5e-5 * flux  # per px at 12" (measured), falling as (d + 8")^-5
    tail = 2e-6 * flux  # per px at 25", falling as d^-2
    reach = max(15.0, (aureole * core / (2 * np.pi * _FAINTEST_HALO)) ** (1 / 3))
    reach = max(reach, 25 * (tail / _FAINTEST_HALO) ** 0.5)
    if ghost > _FAINTEST_HALO:
        reach = max(reach, 1.5 * ghost_radius)
    part, dx, dy = patch(light, x, y, reach=reach)
    if part.size == 0:
        return
    r2 = dx**2 + dy**2
    halo = np.float32(aureole * core / (2 * np.pi)) * (r2 + np.float32(core**2)) ** np.float32(-1.5)
    halo += np.float32(ghost) * expit((np.float32(ghost_radius) - np.sqrt(r2)) / 10)
    part += np.maximum(halo - np.float32(_FAINTEST_HALO), 0)
    cos, sin = np.float32(np.cos(rotation)), np.float32(np.sin(rotation))
    across, along = cos * dy - sin * dx, cos * dx + sin * dy
    for t, d in ((across, along), (along, across)):
        outside = 1 - np.exp(np.maximum(-(d**2) / 150, -50))  # the core of the image is the star's own
        arm = np.float32(spike) * (20 / (np.abs(d) + 8)) ** 5 + np.float32(tail) * (25 / (np.abs(d) + 1)) ** 2
        arm = np.maximum(arm - np.float32(_FAINTEST_HALO), 0)
        part += outside * arm * np.exp(np.maximum(-0.5 * (t / np.float32(width)) ** 2, -50))


def _scene_bodies(rng: Generator, scene: OpticalScene) -> Bodies:
    """Members of a cluster, a star, or a nucleus with or without its galaxy."""
    if scene.kind == "cluster":
        return cluster_members(rng, scene)
    x, y = np.asarray(scene.centre) + rng.normal(0, 1.5, 2)  # pointing accuracy of XMM
    drawn = rng.uniform(6, 12) if scene.kind == "star" else np.clip(rng.normal(18.3, 1.4), 13, 22)
    magnitude = drawn if scene.magnitude is None else scene.magnitude
    nucleus = Bodies.points(x, y, magnitude)
    if scene.kind == "star" or rng.random() < 0.5:
        return nucleus
    host = rng.uniform(0.2, 0.8)  # share of the light
    fainter = magnitude - 2.5 * np.log10(host)
    body = Bodies(x, y, fainter, rng.uniform(0.6, 2.5), rng.uniform(0.5, 1), 0.0, 4.0)
    return Bodies.join([Bodies.points(x, y, magnitude - 2.5 * np.log10(1 - host)), body])


def plate_cutout(
    rng: Generator,
    scenes: Sequence[OpticalScene],
    *,
    size: int,
    pixel_scale_arcsec: float,
    galactic_latitude_deg: float = 50.0,
) -> NDArray[np.float32]:
    """One plate cut-out around a candidate: density-like counts (size, size), north up and east left."""
    native = int(np.ceil(size * pixel_scale_arcsec)) + 2
    image = plate_image(rng, scenes, shape=(native, native), galactic_latitude_deg=galactic_latitude_deg)
    return regrid(image, scale=pixel_scale_arcsec, shape=(size, size), conserve="surface brightness")


def plate_image(
    rng: Generator,
    scenes: Sequence[OpticalScene],
    *,
    shape: tuple[int, int],
    galactic_latitude_deg: float = 50.0,
) -> NDArray[np.float32]:
    """A plate (ny, nx) with several objects on it, in pixels of 1 arcsec: density-like counts."""
    streams = (np.random.default_rng(seed) for seed in rng.integers(2**63, size=4))
    plate_rng, field_rng, grain_rng, object_rng = streams
    plate = draw_plate(plate_rng)
    parts = [field_galaxies(field_rng, shape), stars(field_rng, shape, latitude_deg=galactic_latitude_deg)]
    smooth = [scene for scene in scenes if scene.kind in ("cluster", "star", "agn")]
    parts += [_scene_bodies(object_rng, scene) for scene in smooth]
    light = expose(Bodies.join(parts), plate, shape=shape)
    for scene in scenes:
        if scene.kind == "nearby galaxy":
            galaxy = draw_nearby_galaxy(object_rng, scene)
            light += render_nearby_galaxy(object_rng, galaxy, plate.optics, shape=shape)
    return develop(grain_rng, light, plate)
