"""Galaxies of a cluster as a red plate shows them.

Magnitudes are R (Vega). Numbers are rounded from, and no more precise than, the relations named beside them;
the papers are where to look, not tables that were copied.
"""

from __future__ import annotations

from functools import lru_cache

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gamma, gammaincc

from labkit.errors import InputError
from labkit.simulate.sky.bodies import Bodies
from labkit.simulate.sky.clusters import COSMOLOGY

__all__ = [
    "apparent_magnitude",
    "brightest_galaxy",
    "cluster_members",
]

FAINTEST = 22.0  # R magnitude to which anything is drawn, a magnitude below the limit of a plate
CHARACTERISTIC = -21.8  # R-band M* of clusters (Popesso et al. 2005, A&A 433, 415, at H0 = 70)
FAINT_SLOPE = -1.05
MEMBERS_AT_1E14 = 25  # within R500, above 0.2 L*, at M500 = 1e14 Msun (redMaPPer, McClintock et al. 2019)
MEMBERS_SLOPE = 0.87  # Lin, Mohr & Stanford 2004, ApJ 610, 745
CONCENTRATION = 2.6  # of the members inside R500
OUTER_RADIUS = 2.5  # R500
REDSHIFTS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5])
# k-corrections in R plus passive evolution of 0.9 mag per unit redshift (Poggianti 1997, A&AS 122, 399)
EARLY_TYPE = np.array([0.0, 0.02, 0.06, 0.10, 0.19, 0.33, 0.51, 0.93, 1.30, 2.20])
LATE_TYPE = np.array([0.0, -0.04, -0.05, -0.07, -0.08, -0.05, 0.0, 0.10, 0.20, 0.40])


def apparent_magnitude(absolute: ArrayLike, redshift: float, *, blue: ArrayLike = False) -> NDArray:
    """Dim absolute R magnitudes by distance, k-correction and evolution.

    Parameters
    ----------
    absolute : array_like
        Absolute magnitudes, any shape.
    redshift : float
        Between 0.001 and 1.5.
    blue : array_like
        True for star-forming spectra, false for early types; broadcast with ``absolute``.

    Returns
    -------
    numpy.ndarray
        Apparent magnitudes.

    Raises
    ------
    InputError
        If the redshift is out of range.
    """
    if not 0.001 <= redshift <= 1.5:
        raise InputError(f"redshift must be between 0.001 and 1.5, got {redshift}")
    modulus = np.interp(np.log(redshift), *_distances()[:2])
    change = np.where(
        blue, np.interp(redshift, REDSHIFTS, LATE_TYPE), np.interp(redshift, REDSHIFTS, EARLY_TYPE)
    )
    return np.asarray(absolute) + modulus + change


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
    """Draw the galaxies of a cluster, the brightest one first.

    Their number grows as M500^0.87, their luminosities follow a Schechter function and their positions a
    projected NFW profile, flattened, with a second clump in a quarter of the clusters. The red ones (a
    fraction that falls with radius and redshift) are de Vaucouleurs bodies, the blue ones exponential discs.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    redshift : float
        Between 0.001 and 1.5.
    mass : float
        M500, solar masses.
    r500_arcsec : float
        R500 on the sky, arcsec.
    centre : tuple of float
        Offset (x, y) of the cluster from the image centre, arcsec.
    brightest : float, optional
        R magnitude of the brightest galaxy; drawn from its relation with mass by default.
    axis_ratio, angle : float, optional
        Shape of the galaxy distribution and of the brightest galaxy; the angle in degrees from x towards y.

    Returns
    -------
    Bodies
        Members brighter than R = 22; the first two rows are the body and the halo of the brightest galaxy.

    Raises
    ------
    InputError
        If mass or radius is not positive, or the redshift is out of range.
    """
    if not (mass > 0 and r500_arcsec > 0):
        raise InputError(f"mass and r500_arcsec must be positive, got {mass} and {r500_arcsec}")
    angle = rng.uniform(0, 180) if angle is None else angle
    axis_ratio = rng.uniform(0.55, 0.95) if axis_ratio is None else axis_ratio
    kpc = np.interp(np.log(redshift), *_distances()[::2])  # per arcsec
    faint_limit = min(FAINTEST - float(apparent_magnitude(0.0, redshift, blue=True)), CHARACTERISTIC + 5)
    relative = _schechter_draws(rng, mass, faint_limit - CHARACTERISTIC)
    radius, x, y = _nfw_positions(rng, len(relative), axis_ratio=axis_ratio, angle=angle)
    blue_fraction = np.clip((0.1 + 0.5 * redshift) + 0.25 * radius + 0.05 * relative, 0.05, 0.9)
    blue = rng.random(len(relative)) < blue_fraction
    # R_e against luminosity: Shen et al. 2003, MNRAS 343, 978
    size_kpc = np.where(blue, 5.5 * 10 ** (-0.4 * 0.3 * relative), 4.5 * 10 ** (-0.4 * 0.6 * relative))
    size_kpc = size_kpc * 10 ** rng.normal(0, 0.14, len(relative))
    members = Bodies(
        centre[0] + x * r500_arcsec,
        centre[1] + y * r500_arcsec,
        apparent_magnitude(CHARACTERISTIC + relative, redshift, blue=blue),
        size_kpc / kpc,
        np.where(blue, rng.uniform(0.2, 1, len(x)), rng.uniform(0.5, 1, len(x))),
        rng.uniform(0, 180, len(x)),
        np.where(blue, 1.0, 4.0),
    )
    shape = {"axis_ratio": axis_ratio, "angle": angle}
    first = brightest_galaxy(rng, redshift=redshift, mass=mass, centre=centre, magnitude=brightest, **shape)
    return Bodies.join([first, members.select(members.magnitude < FAINTEST)])


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
    """Draw the brightest galaxy of a cluster, a few arcsec from the centre and aligned with the cluster.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    redshift : float
        Between 0.001 and 1.5.
    mass : float
        M500, solar masses; luminosity grows as M500^0.25 (Lin & Mohr 2004, ApJ 617, 879).
    centre : tuple of float
        Offset (x, y) of the cluster from the image centre, arcsec.
    magnitude : float, optional
        Total R magnitude, instead of the one drawn.
    axis_ratio, angle : float
        Shape of the cluster; the angle in degrees from x towards y.

    Returns
    -------
    Bodies
        Two rows: the de Vaucouleurs body and the extended halo.
    """
    absolute = CHARACTERISTIC - 1.75 - 0.62 * np.log10(mass / 3e14) + rng.normal(0, 0.3)
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
    """Draw magnitudes relative to M*, within OUTER_RADIUS; ``faintest`` is the faint end, relative to M*."""
    if faintest <= -1.5:
        return np.empty(0)
    grid = np.linspace(-1.5, faintest, 300)
    luminosity = 10 ** (-0.4 * grid)
    density = luminosity ** (FAINT_SLOPE + 1) * np.exp(-luminosity)
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
    # upper incomplete gamma of FAINT_SLOPE + 1 < 0 at 0.2 L*, by its recurrence
    s = FAINT_SLOPE + 2
    bright = (gammaincc(s, 0.2) * gamma(s) - 0.2 ** (s - 1) * np.exp(-0.2)) / (s - 1) * 2.5 / np.log(10)
    richness = MEMBERS_AT_1E14 * (mass / 1e14) ** MEMBERS_SLOPE * np.exp(rng.normal(0, 0.2))
    outside = _projected_nfw(np.array([OUTER_RADIUS]))[0] / _projected_nfw(np.array([1.0]))[0]
    n = rng.poisson(richness * outside * cumulative[-1] / bright)
    return np.interp(rng.random(n) * cumulative[-1], cumulative, grid)


def _projected_nfw(radius: NDArray) -> NDArray:
    """Relative number within a projected radius in R500 (Lokas & Mamon 2001, MNRAS 321, 155, eq. 43)."""
    t = radius * CONCENTRATION
    with np.errstate(invalid="ignore"):
        inner = np.arccosh(np.maximum(1 / t, 1)) / np.sqrt(np.abs(1 - t**2))
        outer = np.arccos(np.minimum(1 / t, 1)) / np.sqrt(np.abs(1 - t**2))
    return np.log(t / 2) + np.where(t < 1, inner, outer)


def _nfw_positions(
    rng: np.random.Generator, n: int, *, axis_ratio: float, angle: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Draw radii and offsets x, y in R500; a quarter of the clusters have a second clump."""
    grid = np.geomspace(0.01, OUTER_RADIUS, 201)
    within = _projected_nfw(grid)
    radius = np.interp(rng.random(n) * within[-1], within, grid)
    turn = rng.uniform(0, 2 * np.pi, n)
    along, across = radius * np.cos(turn) / np.sqrt(axis_ratio), radius * np.sin(turn) * np.sqrt(axis_ratio)
    second = rng.random(n) < (rng.uniform(0.15, 0.35) if rng.random() < 0.25 else 0.0)
    along = np.where(second, 0.4 * along + rng.choice([-1, 1]) * rng.uniform(0.4, 0.9), along)
    across = np.where(second, 0.4 * across, across)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return radius, cos * along - sin * across, sin * along + cos * across
