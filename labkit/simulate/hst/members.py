"""Galaxies of a cluster: luminosity function, profile, velocities, red sequence, the brightest of them."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Row, Table
from numpy.typing import NDArray

from labkit.simulate.hst.bodies import FAINTEST, bodies, half_light_arcsec, k_correction
from labkit.simulate.hst.clusters import COSMOLOGY, velocity_dispersion

__all__ = [
    "SPEED_OF_LIGHT",
    "V_MAX",
    "bright_share",
    "brightest_galaxy",
    "characteristic_magnitude",
    "disc_axis_ratio",
    "draw_members",
    "members_within",
    "r200_arcsec",
]

SPEED_OF_LIGHT = 299792.458
#: Members lie within this velocity of the cluster, km/s (Angora et al. 2020, section 2).
V_MAX = 3000.0
#: Faint-end slope of the luminosity function, M* in rest-frame r at redshift 0, its brightening with
#: redshift.
ALPHA, M_STAR, EVOLUTION = -1.15, -21.2, 0.9
#: Slope (per magnitude) and scatter of the red sequence, as tilt of the spectrum: -0.034 and 0.04 mag in F606
#: - F814.
SLOPE, SCATTER = 0.10, 0.12
#: Galaxies are as concentrated as this in R200, on ellipses of this axis ratio.
CONCENTRATION, FLATTENING = 4.0, 0.75


def characteristic_magnitude(redshift: float) -> float:
    """F814 magnitude of a galaxy of M*, passively evolving."""
    z = np.array([redshift])
    distance = COSMOLOGY.distmod(redshift).to_value(u.mag)
    return float(M_STAR - EVOLUTION * redshift + distance + k_correction(z, old=1.0)[0])


def draw_members(
    rng: np.random.Generator, cluster: Row, n: int, *, half_arcsec: float, angle: float
) -> Table:
    """Draw cluster galaxies that fall into a field around its centre.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    n : int
        Number of galaxies brighter than `FAINTEST`.
    half_arcsec : float
        Half the side of the field.
    angle : float
        Position angle of the cluster, degrees.

    Returns
    -------
    `~astropy.table.Table`
        As `bodies` gives it.
    """
    star = characteristic_magnitude(cluster["redshift"])
    x, y, radius = _positions(rng, cluster, n, half_arcsec, angle)
    magnitude = _schechter(rng, star, n)
    scaled = radius / r200_arcsec(cluster)
    odds = -2.4 + 0.38 * (magnitude - star) + 4.0 * (scaled - 0.1)
    early = rng.random(n) > 1 / (1 + np.exp(-odds))
    absolute = M_STAR - EVOLUTION * cluster["redshift"] + magnitude - star
    size = half_light_arcsec(rng, absolute, np.full(n, float(cluster["redshift"])), early)
    index = np.clip(4.0 - 0.5 * (magnitude - star) + rng.normal(0, 0.5, n), 1.0, 5.5)
    flat = np.where(early, np.clip(rng.normal(0.72, 0.16, n), 0.25, 1), disc_axis_ratio(rng, n))
    relation = SLOPE * (magnitude - star - 2)
    return bodies(
        n,
        origin="cluster",
        kind=np.where(early, "early", "late"),
        x_arcsec=x,
        y_arcsec=y,
        redshift=member_redshifts(rng, cluster, n),
        magnitude=magnitude,
        bulge=np.where(early, 1.0, 0.5 * rng.beta(1.2, 2.0, n)),
        old=rng.beta(2.2, 2.2, n),
        young=0.3 * rng.random(n),
        tilt=rng.normal(-0.7, 0.4, n),
        bulge_tilt=relation + rng.normal(0, SCATTER, n),
        re_arcsec=size,
        sersic_n=np.where(early, index, rng.uniform(1.5, 3.5, n)),
        axis_ratio=flat,
        position_angle=rng.uniform(0, 180, n),
    )


def brightest_galaxy(rng: np.random.Generator, cluster: Row, *, angle: float) -> Table:
    """The brightest galaxy at the centre, the cluster's diffuse light, and at times a second giant.

    A third of the clusters have the second one. The diffuse light is a Sersic profile of index 1.5 with a
    half-light radius of about 90 kpc.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    angle : float
        Position angle of the cluster, degrees.

    Returns
    -------
    `~astropy.table.Table`
        Two to four bodies.
    """
    star, z = characteristic_magnitude(cluster["redshift"]), float(cluster["redshift"])
    scale = COSMOLOGY.arcsec_per_kpc_proper(z).to_value(u.arcsec / u.kpc)
    kinds, magnitude, kpc = (
        ["bcg", "icl"],
        [star - rng.uniform(1.8, 2.5), star - rng.uniform(1.5, 2.0)],
        [22.0, 90.0],
    )
    place = [(0.0, 0.0), (0.0, 0.0)]
    if rng.random() < 0.35:
        away = scale * rng.uniform(80, 220)
        along = np.radians(angle + rng.normal(0, 15))
        spot = (float(-away * np.sin(along)), float(away * np.cos(along)))
        kinds, place, kpc = [*kinds, "bcg", "icl"], [*place, spot, spot], [*kpc, 16.0, 60.0]
        magnitude += [star - rng.uniform(1.3, 1.8), star - rng.uniform(0.5, 1.0)]
    n, diffuse = len(kinds), np.array(kinds) == "icl"
    redshift = z + (1 + z) / SPEED_OF_LIGHT * np.repeat(rng.normal(0, 250, n // 2), 2)
    return bodies(
        n,
        origin="cluster",
        kind=np.array(kinds),
        x_arcsec=np.array(place)[:, 0],
        y_arcsec=np.array(place)[:, 1],
        redshift=redshift,
        magnitude=np.array(magnitude),
        bulge=1.0,
        bulge_tilt=np.where(diffuse, 0.15, SLOPE * (np.array(magnitude) - star - 2)) + rng.normal(0, 0.05, n),
        re_arcsec=scale * np.array(kpc) * 10 ** rng.normal(0, 0.08, n),
        sersic_n=np.where(diffuse, 1.5, 4.0),
        axis_ratio=np.where(diffuse, rng.uniform(0.6, 0.8, n), rng.uniform(0.7, 0.9, n)),
        position_angle=angle + rng.normal(0, 8, n),
    )


def member_redshifts(rng: np.random.Generator, cluster: Row, n: int) -> NDArray:
    """Redshifts with the velocity dispersion of the cluster's mass, within `V_MAX`; shape (n,)."""
    sigma, z = velocity_dispersion(cluster["m200c"], cluster["redshift"]), float(cluster["redshift"])
    velocity = rng.normal(0, sigma, n)
    while (out := np.abs(velocity) > V_MAX).any():
        velocity[out] = rng.normal(0, sigma, out.sum())
    return z + (1 + z) * velocity / SPEED_OF_LIGHT


def disc_axis_ratio(rng: np.random.Generator, n: int) -> NDArray:
    """Axis ratios of discs of thickness 0.2 seen from all sides; shape (n,)."""
    cosine = rng.random(n)
    return np.sqrt(cosine**2 + 0.2**2 * (1 - cosine**2))


def r200_arcsec(cluster: Row) -> float:
    """R200 on the sky, arcsec."""
    per_mpc = COSMOLOGY.arcsec_per_kpc_proper(cluster["redshift"]).to_value(u.arcsec / u.Mpc)
    return float(cluster["r200"].to_value(u.Mpc) * per_mpc)


def bright_share(redshift: float, limit: float = 25.0) -> float:
    """Share of the luminosity function down to `FAINTEST` that is brighter than a F814 magnitude."""
    grid, grown = _growth(characteristic_magnitude(redshift))
    return float(np.interp(limit, grid, grown))


def _schechter(rng: np.random.Generator, star: float, n: int) -> NDArray:
    grid, grown = _growth(star)
    return np.interp(rng.random(n), grown, grid)


def _growth(star: float) -> tuple[NDArray, NDArray]:
    """Magnitudes and the share of a Schechter function brighter than each; the giants are drawn apart."""
    grid = np.linspace(star - 1.6, FAINTEST, 2000)
    luminosity = 10 ** (-0.4 * (grid - star))
    grown = np.cumsum(luminosity ** (ALPHA + 1) * np.exp(-luminosity))
    return grid, (grown - grown[0]) / (grown[-1] - grown[0])


def _positions(
    rng: np.random.Generator, cluster: Row, n: int, half: float, angle: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Offsets (west, north) and elliptical radii, arcsec, of a projected NFW profile inside a square."""
    along = np.radians(angle)
    found = np.empty((3, 0))
    scale = r200_arcsec(cluster) / CONCENTRATION
    while found.shape[1] < n:
        radius = scale * _projected_nfw(rng, 4 * n + 50, 1.6 * half / scale)
        azimuth = rng.uniform(0, 2 * np.pi, len(radius))
        major = radius * np.cos(azimuth) / np.sqrt(FLATTENING)
        minor = radius * np.sin(azimuth) * np.sqrt(FLATTENING)
        x = -major * np.sin(along) - minor * np.cos(along)
        y = major * np.cos(along) - minor * np.sin(along)
        kept = (np.abs(x) < half) & (np.abs(y) < half)
        found = np.concatenate([found, np.array([x, y, radius])[:, kept]], axis=1)
    return found[0, :n], found[1, :n], found[2, :n]


def projected_nfw(scaled: NDArray) -> NDArray:
    """Projected NFW mass within radii in scale radii, up to a factor (Bartelmann 1996, A&A 313, 697)."""
    r = np.asarray(scaled, dtype=float)
    inner, outer = np.arccosh(1 / np.minimum(r, 1)), np.arccos(1 / np.maximum(r, 1))
    denominator = np.sqrt(np.maximum(np.abs(1 - r**2), 1e-12))
    ratio = np.where(r < 1, inner, outer) / denominator
    return np.log(r / 2) + np.where(np.abs(r - 1) < 1e-5, 1.0, ratio)


def _projected_nfw(rng: np.random.Generator, n: int, most: float) -> NDArray:
    """Projected radii in scale radii, out to `most`."""
    grid = np.geomspace(1e-3, most, 600)
    grown = projected_nfw(grid)
    return np.interp(rng.random(n) * grown[-1], grown, grid)


def members_within(cluster: Row, half_arcsec: float, reference_arcsec: float) -> float:
    """Number of members in a square field relative to one of another size, for round clusters."""
    scale = r200_arcsec(cluster) / CONCENTRATION
    reach = 2 / np.sqrt(np.pi) / scale
    within = projected_nfw(np.array([half_arcsec, reference_arcsec]) * reach)
    return float(within[0] / within[1])
