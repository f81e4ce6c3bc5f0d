"""Galaxies and stars on a red plate: of a cluster, of the field, and nearby ones that show their parts.

Magnitudes are R (Vega), offsets arcsec from the image centre. Numbers are rounded from, and no more precise
than, the relations named beside them; the papers are where to look, not tables that were copied.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import astropy.units as u
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import gamma, gammaincc, i0e

from labkit.cosmology import COSMOLOGY
from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import Bodies, Optics, patch, projected_nfw, render

_FAINTEST = 22.0  # R magnitude to which anything is drawn, a magnitude below the limit of a plate
_OUTER_RADIUS = 2.5  # R500
_MARGIN = 60.0  # arcsec around the field in which bodies are drawn too
_DISC_SCALE = 1.678  # half-light radius of an exponential disc in scale lengths
_KNOTS = 0.15  # share of the disc's light in knots
_KNOT_NUMBERS = {"spiral": (10, 50), "irregular": (5, 20)}
#: R mag/arcsec2 inside the half-light radius of bright spirals, about that of de Jong (1996, A&A 313, 45).
_MEAN_BRIGHTNESS = 20.6


@dataclass(frozen=True)
class OpticalScene:
    """What a candidate is in the optical."""

    #: an "agn" is a compact body, "none" leaves only what the field holds by chance
    kind: Literal["cluster", "nearby galaxy", "star", "agn", "none"]
    redshift: float = 0.0  # needed for a cluster
    m500: float = 0.0  # mass within R500, solar masses; needed for a cluster
    r500_arcmin: float = 0.0  # needed for a cluster
    #: offset (x, y) from the image centre, arcsec: x to the west, y to the north
    centre: tuple[float, float] = (0.0, 0.0)
    #: R magnitude of the counterpart, for a cluster of its brightest galaxy; drawn when not given
    magnitude: float | None = None
    size_arcsec: float | None = None  # half-light radius of a nearby galaxy; drawn when not given
    #: shape of a nearby galaxy or cluster; the angle from north through east. Drawn when not given
    position_angle_deg: float | None = None
    axis_ratio: float | None = None

    @property
    def angle(self) -> float | None:
        """The position angle from the x (west) towards the y (north) axis."""
        return None if self.position_angle_deg is None else 90.0 + self.position_angle_deg


def apparent_magnitude(absolute: ArrayLike, redshift: float, *, blue: ArrayLike = False) -> NDArray:
    """Absolute R magnitudes, of red or blue spectra, dimmed by distance, k-correction and evolution.

    The tables of the distances and corrections end at redshift 1.5.
    """
    modulus = np.interp(np.log(redshift), *_distances()[:2])
    table = read_numbers("sky")["k_correction"]
    early = np.interp(redshift, table["redshift"], table["early_type"])
    late = np.interp(redshift, table["redshift"], table["late_type"])
    return np.asarray(absolute) + modulus + np.where(blue, late, early)


def cluster_members(rng: Generator, scene: OpticalScene) -> Bodies:
    """Draw the galaxies of a cluster, the body and the halo of the brightest one first.

    Their number grows as M500^0.87, their luminosities follow a Schechter function and their positions a
    projected NFW profile, flattened, with a second clump in a quarter of the clusters. The red ones (a
    fraction that falls with radius and redshift) are de Vaucouleurs bodies, the blue ones exponential discs.
    """
    redshift, (x0, y0), r500_arcsec = scene.redshift, scene.centre, 60 * scene.r500_arcmin
    angle = rng.uniform(0, 180) if scene.angle is None else scene.angle
    axis_ratio = rng.uniform(0.55, 0.95) if scene.axis_ratio is None else scene.axis_ratio
    characteristic = read_numbers("sky")["cluster_galaxies"]["characteristic"]
    faint_limit = min(_FAINTEST - float(apparent_magnitude(0.0, redshift, blue=True)), characteristic + 5)
    relative = _schechter_draws(rng, scene.m500, faint_limit - characteristic)
    radius, x, y = _nfw_positions(rng, len(relative), axis_ratio=axis_ratio, angle=angle)
    blue_fraction = np.clip((0.1 + 0.5 * redshift) + 0.25 * radius + 0.05 * relative, 0.05, 0.9)
    blue = rng.random(len(relative)) < blue_fraction
    # R_e against luminosity: Shen et al. 2003, MNRAS 343, 978
    size_kpc = np.where(blue, 5.5 * 10 ** (-0.4 * 0.3 * relative), 4.5 * 10 ** (-0.4 * 0.6 * relative))
    size_kpc = size_kpc * 10 ** rng.normal(0, 0.14, len(relative))
    members = Bodies(
        x0 + x * r500_arcsec,
        y0 + y * r500_arcsec,
        apparent_magnitude(characteristic + relative, redshift, blue=blue),
        size_kpc / _kpc_per_arcsec(redshift),
        np.where(blue, rng.uniform(0.2, 1, len(x)), rng.uniform(0.5, 1, len(x))),
        rng.uniform(0, 180, len(x)),
        np.where(blue, 1.0, 4.0),
    )
    first = _brightest_galaxy(rng, scene, axis_ratio, angle)
    return Bodies.join([first, members.select(members.magnitude < _FAINTEST)])


def _brightest_galaxy(rng: Generator, scene: OpticalScene, axis_ratio: float, angle: float) -> Bodies:
    """Body and halo, a few arcsec from the centre and aligned with the cluster."""
    characteristic = read_numbers("sky")["cluster_galaxies"]["characteristic"]
    absolute = characteristic - 1.75 - 0.62 * np.log10(scene.m500 / 3e14) + rng.normal(0, 0.3)
    drawn = float(apparent_magnitude(absolute, scene.redshift))
    total = drawn if scene.magnitude is None else scene.magnitude
    kpc = _kpc_per_arcsec(scene.redshift)
    halo = rng.uniform(0.05, 0.3)  # of the light
    offset = rng.normal(0, 1, 2) * np.hypot(2.0, 12 / kpc)  # pointing, and 12 kpc of sloshing
    return Bodies(
        scene.centre[0] + offset[0],
        scene.centre[1] + offset[1],
        total - 2.5 * np.log10([1 - halo, halo]),
        np.array([15.0, 60.0]) * (scene.m500 / 3e14) ** 0.2 * 10 ** rng.normal(0, 0.12) / kpc,
        np.clip(axis_ratio, 0.5, 0.95),
        angle + rng.normal(0, 12),
        [4.0, 1.0],
    )


@lru_cache(maxsize=1)
def _distances() -> tuple[NDArray, NDArray, NDArray]:
    """Tabulate log redshift, distance modulus and kpc per arcsec."""
    redshift = np.geomspace(0.001, 1.5, 200)
    scale = COSMOLOGY.kpc_proper_per_arcmin(redshift).to_value(u.kpc / u.arcsec)
    return np.log(redshift), COSMOLOGY.distmod(redshift).value, scale


def _kpc_per_arcsec(redshift: float) -> float:
    return np.interp(np.log(redshift), *_distances()[::2])


def _schechter_draws(rng: Generator, mass: float, faintest: float) -> NDArray:
    """Magnitudes relative to M*, to `faintest`, of the galaxies within _OUTER_RADIUS."""
    if faintest <= -1.5:
        return np.empty(0)
    about = read_numbers("sky")["cluster_galaxies"]
    slope = about["faint_slope"]
    grid = np.linspace(-1.5, faintest, 300)
    luminosity = 10 ** (-0.4 * grid)
    density = luminosity ** (slope + 1) * np.exp(-luminosity)
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
    # upper incomplete gamma of slope + 1 < 0 at 0.2 L*, by its recurrence
    s = slope + 2
    bright = (gammaincc(s, 0.2) * gamma(s) - 0.2 ** (s - 1) * np.exp(-0.2)) / (s - 1) * 2.5 / np.log(10)
    richness = about["members_at_1e14"] * (mass / 1e14) ** about["members_slope"] * np.exp(rng.normal(0, 0.2))
    outside = np.divide(*projected_nfw(np.array([_OUTER_RADIUS, 1.0]) * about["concentration"]))
    n = rng.poisson(richness * outside * cumulative[-1] / bright)
    return np.interp(rng.random(n) * cumulative[-1], cumulative, grid)


def _nfw_positions(
    rng: Generator, n: int, *, axis_ratio: float, angle: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Draw radii and offsets x, y in R500; a quarter of the clusters have a second clump."""
    grid = np.geomspace(0.01, _OUTER_RADIUS, 201)
    within = projected_nfw(grid * read_numbers("sky")["cluster_galaxies"]["concentration"])
    radius = np.interp(rng.random(n) * within[-1], within, grid)
    turn = rng.uniform(0, 2 * np.pi, n)
    along, across = radius * np.cos(turn) / np.sqrt(axis_ratio), radius * np.sin(turn) * np.sqrt(axis_ratio)
    second = rng.random(n) < (rng.uniform(0.15, 0.35) if rng.random() < 0.25 else 0.0)
    along = np.where(second, 0.4 * along + rng.choice([-1, 1]) * rng.uniform(0.4, 0.9), along)
    across = np.where(second, 0.4 * across, across)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return radius, cos * along - sin * across, sin * along + cos * across


def galaxy_counts(magnitude: NDArray) -> NDArray:
    """Field galaxies per square degree and magnitude, R = 10 to 24; shape kept.

    A parabola in log N, close to the counts of Yasuda et al. 2001 (AJ 122, 1104) at R = 16, about Euclidean
    on the bright side, and to those of Metcalfe et al. 2001 (MNRAS 323, 795) at R = 20 to 23.
    """
    m = np.asarray(magnitude, dtype=float) - 16
    return 10 ** (1.26 + 0.55 * m - 0.0175 * m**2)


def star_counts(magnitude: NDArray, latitude_deg: float) -> NDArray:
    """Stars per square degree brighter than a magnitude, R = 5 to 22, at a galactic latitude; shape kept.

    A parabola in log N, close to the pole counts of Bahcall & Soneira 1980 (ApJS 44, 73) for R = V - 0.5,
    which grows towards the plane as a power of cosec(|b| + 5 deg).
    """
    m = np.asarray(magnitude, dtype=float) + 0.5 - 16
    towards_plane = np.sin(np.radians(min(abs(latitude_deg) + 5, 90))) ** -1.3
    return 10 ** (2.34 + 0.2625 * m - 0.00875 * m**2) * towards_plane


def field_galaxies(rng: Generator, extent: tuple[float, float]) -> Bodies:
    """Draw field galaxies of R = 13 to 22, a third of them in chance groups, on a field (height, width)."""
    edges = np.linspace(13, _FAINTEST, 181)
    counts = galaxy_counts(0.5 * (edges[1:] + edges[:-1])) * np.diff(edges)
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
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


def stars(rng: Generator, extent: tuple[float, float], *, latitude_deg: float) -> Bodies:
    """Draw foreground stars of R = 5 to 22 on a field (height, width)."""
    edges = np.linspace(5, _FAINTEST, 171)
    magnitude = _draw_magnitudes(rng, edges, star_counts(edges, latitude_deg), extent)
    return Bodies.points(*_uniform(rng, len(magnitude), extent), magnitude)


def _draw_magnitudes(
    rng: Generator, edges: NDArray, cumulative: NDArray, extent: tuple[float, float]
) -> NDArray:
    area = (extent[0] + 2 * _MARGIN) * (extent[1] + 2 * _MARGIN) / 3600**2  # deg^2
    n = rng.poisson(area * (cumulative[-1] - cumulative[0]))
    return np.interp(rng.uniform(cumulative[0], cumulative[-1], n), cumulative, edges)


def _uniform(rng: Generator, n: int, extent: tuple[float, float]) -> tuple[NDArray, NDArray]:
    half_y, half_x = (side / 2 + _MARGIN for side in extent)
    return rng.uniform(-half_x, half_x, n), rng.uniform(-half_y, half_y, n)


@dataclass(frozen=True)
class NearbyGalaxy:
    """One nearby galaxy."""

    x: float  # offset from the image centre, arcsec
    y: float
    magnitude: float  # total R magnitude
    size: float  # half-light radius along the major axis, arcsec
    axis_ratio: float  # minor over major axis
    angle: float  # direction of the major axis, degrees from x towards y
    bulge: float  # fraction of the light in a de Vaucouleurs bulge; 1 for an elliptical
    arms: int
    contrast: float  # strength of the arms, 0 (smooth) to about 2
    pitch_deg: float  # pitch angle of the arms, degrees; negative winds the other way
    knots: int  # star-forming
    dust: float  # depth of a dust lane along the major axis, 0 to 1; the only part that takes light away


def draw_nearby_galaxy(rng: Generator, scene: OpticalScene) -> NearbyGalaxy:
    """Draw what the scene leaves open: a third early types, the rest spirals and a few irregulars."""
    size = scene.size_arcsec or float(np.clip(22 * np.exp(rng.normal(0, 0.5)), 8, 70))
    kind = rng.choice(["early", "spiral", "irregular"], p=[0.32, 0.58, 0.1])
    early, disc, irregular = rng.uniform(0.5, 1), max(0.14, rng.random()), rng.uniform(0.4, 1)
    shape = scene.axis_ratio or {"early": early, "spiral": disc, "irregular": irregular}[kind]
    brightness = _MEAN_BRIGHTNESS + rng.normal(0, 0.5) + (0.8 if kind == "irregular" else 0.0)
    brightness += 2.5 * np.log10(shape) * 0.5  # inclined discs are brighter per area
    by_size = brightness - 2.5 * np.log10(2 * np.pi * size**2 * shape)
    spiral = kind == "spiral"
    return NearbyGalaxy(
        x=scene.centre[0] + rng.normal(0, 1.5),
        y=scene.centre[1] + rng.normal(0, 1.5),
        magnitude=by_size if scene.magnitude is None else scene.magnitude,
        size=size,
        axis_ratio=shape,
        angle=rng.uniform(0, 180) if scene.angle is None else scene.angle,
        bulge={"early": 1.0, "spiral": rng.uniform(0.04, 0.45), "irregular": 0.0}[kind],
        arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        contrast=rng.uniform(0.4, 1.8) if spiral else 0.0,
        pitch_deg=rng.uniform(9, 26) * rng.choice([-1, 1]),
        knots=int(rng.integers(*_KNOT_NUMBERS[kind])) if kind in _KNOT_NUMBERS else 0,
        dust=rng.uniform(0.3, 0.8) if spiral and shape < 0.3 and rng.random() < 0.6 else 0.0,
    )


def render_nearby_galaxy(
    rng: Generator, galaxy: NearbyGalaxy, optics: Optics, *, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw a nearby galaxy, blurred by the seeing, on an image.

    The disc is exponential; logarithmic arms modulate it along circles in its plane by
    exp(k cos(m (phi - ln r / tan pitch))) / I0(k), which leaves the light of a circle
    unchanged but for a slight unevenness of the arms.
    """
    image = np.zeros(shape, dtype=np.float32)
    if galaxy.bulge > 0:
        size, axis_ratio = galaxy.size, galaxy.axis_ratio
        if galaxy.bulge < 1:
            size, axis_ratio = size / 5, axis_ratio**0.4
        magnitude = galaxy.magnitude - 2.5 * np.log10(galaxy.bulge)
        bulge = Bodies(galaxy.x, galaxy.y, magnitude, size, axis_ratio, galaxy.angle, 4.0)
        image += render(bulge, optics, shape=shape)
    if galaxy.bulge < 1:
        _add_disc(rng, image, galaxy, optics)
    return image


def _add_disc(rng: Generator, image: NDArray, galaxy: NearbyGalaxy, optics: Optics) -> None:
    """Add disc, arms, knots and dust to the part of the image that they reach."""
    scale = galaxy.size / _DISC_SCALE / optics.pixel_scale_arcsec  # px
    light = (1 - galaxy.bulge) * optics.flux(galaxy.magnitude)
    x0, y0 = optics.place(galaxy.x, galaxy.y, image.shape)
    part, dx, dy = patch(image, x0, y0, reach=8 * scale)  # 8 scale lengths hold 99.7 % of the light
    if part.size == 0:
        return
    cos, sin = np.float32(np.cos(np.radians(galaxy.angle))), np.float32(np.sin(np.radians(galaxy.angle)))
    along = (cos * dx + sin * dy) / np.float32(scale)
    across = (cos * dy - sin * dx) / np.float32(scale)
    height = across / np.float32(galaxy.axis_ratio)
    r = np.hypot(along, height)
    disc = np.exp(-r)
    if galaxy.contrast > 0:
        disc *= _arms(rng, galaxy, r, np.arctan2(height, along))
    disc *= np.float32(light / (2 * np.pi * scale**2 * galaxy.axis_ratio))
    if galaxy.dust > 0:
        disc *= 1 - np.float32(galaxy.dust) * np.exp(-0.5 * (across / 0.12) ** 2 - 0.5 * (r / 2.5) ** 2)
    if galaxy.knots > 0:
        disc *= np.float32(1 - _KNOTS)
        at = rng.choice(disc.size, galaxy.knots, p=disc.ravel().astype(float) / disc.sum(dtype=float))
        knots = (_KNOTS * light * rng.dirichlet(np.full(galaxy.knots, 0.6))).astype(np.float32)
        np.add.at(disc.reshape(-1), at, knots)
    part += gaussian_filter(disc, optics.core_px, truncate=3.5)


def _arms(rng: Generator, galaxy: NearbyGalaxy, r: NDArray, azimuth: NDArray) -> NDArray[np.float32]:
    """Modulation by uneven arms, at radii in scale lengths and azimuths in the plane of the disc."""
    lopsided, wiggle = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    strength = np.float32(galaxy.contrast) * np.clip(r - 0.4, 0, 1)  # arms start outside the bulge
    strength = strength * (1 + np.float32(0.4) * np.cos(azimuth - lopsided))
    winding = np.log(r + np.float32(0.05)) / np.float32(np.tan(np.radians(galaxy.pitch_deg)))
    phase = np.float32(galaxy.arms) * (azimuth - winding)
    phase = phase + np.float32(0.7) * np.sin(2 * r + 3 * azimuth + wiggle)
    return np.exp(strength * (np.cos(phase) - 1)) / i0e(strength)
