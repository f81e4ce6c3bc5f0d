"""Galaxies of a cluster, and stars and galaxies that happen to be on a red plate.

Magnitudes are R (Vega), offsets arcsec from the image centre. Numbers are rounded from, and no more precise
than, the relations named beside them; the papers are where to look, not tables that were copied.
"""

from __future__ import annotations

from functools import lru_cache

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gamma, gammaincc

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import Bodies
from labkit.simulate.profiles import projected_nfw

_FAINTEST = 22.0  # R magnitude to which anything is drawn, a magnitude below the limit of a plate
_OUTER_RADIUS = 2.5  # R500
_MARGIN = 60.0  # arcsec around the field in which bodies are drawn too


def apparent_magnitude(absolute: ArrayLike, redshift: float, *, blue: ArrayLike = False) -> NDArray:
    """Absolute R magnitudes dimmed by distance, k-correction and evolution, of red or blue spectra."""
    if not 0.001 <= redshift <= 1.5:
        raise InputError(f"redshift must be between 0.001 and 1.5, got {redshift}")
    modulus = np.interp(np.log(redshift), *_distances()[:2])
    table = read_numbers("sky")["k_correction"]
    early, late = (
        np.interp(redshift, table["redshift"], table[name]) for name in ("early_type", "late_type")
    )
    return np.asarray(absolute) + modulus + np.where(blue, late, early)


def cluster_members(
    rng: np.random.Generator,
    *,
    redshift: float,
    mass: float,
    r500_arcsec: float,
    centre: tuple[float, float] = (0.0, 0.0),
    brightest: float | None = None,
    axis_ratio: float | None = None,
    angle: float | None = None,
) -> Bodies:
    """Draw the galaxies of a cluster (M500, solar masses), the body and the halo of the brightest one first.

    Their number grows as M500^0.87, their luminosities follow a Schechter function and their positions a
    projected NFW profile, flattened, with a second clump in a quarter of the clusters. The red ones (a
    fraction that falls with radius and redshift) are de Vaucouleurs bodies, the blue ones exponential discs.
    """
    if not (mass > 0 and r500_arcsec > 0):
        raise InputError(f"mass and r500_arcsec must be positive, got {mass} and {r500_arcsec}")
    angle = rng.uniform(0, 180) if angle is None else angle
    axis_ratio = rng.uniform(0.55, 0.95) if axis_ratio is None else axis_ratio
    kpc = np.interp(np.log(redshift), *_distances()[::2])  # per arcsec
    characteristic = read_numbers("sky")["cluster_galaxies"]["characteristic"]
    faint_limit = min(_FAINTEST - float(apparent_magnitude(0.0, redshift, blue=True)), characteristic + 5)
    relative = _schechter_draws(rng, mass, faint_limit - characteristic)
    radius, x, y = _nfw_positions(rng, len(relative), axis_ratio=axis_ratio, angle=angle)
    blue_fraction = np.clip((0.1 + 0.5 * redshift) + 0.25 * radius + 0.05 * relative, 0.05, 0.9)
    blue = rng.random(len(relative)) < blue_fraction
    # R_e against luminosity: Shen et al. 2003, MNRAS 343, 978
    size_kpc = np.where(blue, 5.5 * 10 ** (-0.4 * 0.3 * relative), 4.5 * 10 ** (-0.4 * 0.6 * relative))
    size_kpc = size_kpc * 10 ** rng.normal(0, 0.14, len(relative))
    members = Bodies(
        centre[0] + x * r500_arcsec,
        centre[1] + y * r500_arcsec,
        apparent_magnitude(characteristic + relative, redshift, blue=blue),
        size_kpc / kpc,
        np.where(blue, rng.uniform(0.2, 1, len(x)), rng.uniform(0.5, 1, len(x))),
        rng.uniform(0, 180, len(x)),
        np.where(blue, 1.0, 4.0),
    )
    shape = {"axis_ratio": axis_ratio, "angle": angle}
    first = brightest_galaxy(rng, redshift=redshift, mass=mass, centre=centre, magnitude=brightest, **shape)
    return Bodies.join([first, members.select(members.magnitude < _FAINTEST)])


def brightest_galaxy(
    rng: np.random.Generator,
    *,
    redshift: float,
    mass: float,
    centre: tuple[float, float] = (0.0, 0.0),
    magnitude: float | None = None,
    axis_ratio: float = 0.75,
    angle: float = 0.0,
) -> Bodies:
    """Draw the brightest galaxy of a cluster, a few arcsec from the centre and aligned with the cluster."""
    characteristic = read_numbers("sky")["cluster_galaxies"]["characteristic"]
    absolute = characteristic - 1.75 - 0.62 * np.log10(mass / 3e14) + rng.normal(0, 0.3)
    total = float(apparent_magnitude(absolute, redshift)) if magnitude is None else magnitude
    kpc = np.interp(np.log(redshift), *_distances()[::2])  # per arcsec
    halo = rng.uniform(0.05, 0.3)  # of the light
    offset = rng.normal(0, 1, 2) * np.hypot(2.0, 12 / kpc)  # pointing, and 12 kpc of sloshing
    return Bodies(
        centre[0] + offset[0],
        centre[1] + offset[1],
        total - 2.5 * np.log10([1 - halo, halo]),
        np.array([15.0, 60.0]) * (mass / 3e14) ** 0.2 * 10 ** rng.normal(0, 0.12) / kpc,
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


def _schechter_draws(rng: np.random.Generator, mass: float, faintest: float) -> NDArray:
    """Draw magnitudes relative to M*, within _OUTER_RADIUS; ``faintest`` is the faint end, relative to M*."""
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
    rng: np.random.Generator, n: int, *, axis_ratio: float, angle: float
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
    if not -90 <= latitude_deg <= 90:
        raise InputError(f"latitude_deg must be between -90 and 90, got {latitude_deg}")
    m = np.asarray(magnitude, dtype=float) + 0.5 - 16
    towards_plane = np.sin(np.radians(min(abs(latitude_deg) + 5, 90))) ** -1.3
    return 10 ** (2.34 + 0.2625 * m - 0.00875 * m**2) * towards_plane


def field_galaxies(rng: np.random.Generator, extent: tuple[float, float]) -> Bodies:
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


def stars(rng: np.random.Generator, extent: tuple[float, float], *, latitude_deg: float) -> Bodies:
    """Draw foreground stars of R = 5 to 22 on a field (height, width)."""
    edges = np.linspace(5, _FAINTEST, 171)
    magnitude = _draw_magnitudes(rng, edges, star_counts(edges, latitude_deg), extent)
    return Bodies.points(*_uniform(rng, len(magnitude), extent), magnitude)


def _draw_magnitudes(
    rng: np.random.Generator, edges: NDArray, cumulative: NDArray, extent: tuple[float, float]
) -> NDArray:
    area = (extent[0] + 2 * _MARGIN) * (extent[1] + 2 * _MARGIN) / 3600**2  # deg^2
    n = rng.poisson(area * (cumulative[-1] - cumulative[0]))
    return np.interp(rng.uniform(cumulative[0], cumulative[-1], n), cumulative, edges)


def _uniform(rng: np.random.Generator, n: int, extent: tuple[float, float]) -> tuple[NDArray, NDArray]:
    half_y, half_x = (side / 2 + _MARGIN for side in extent)
    return rng.uniform(-half_x, half_x, n), rng.uniform(-half_y, half_y, n)
