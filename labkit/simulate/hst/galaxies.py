"""What a field holds: galaxies of the cluster, those before and behind it, stars, and arcs.

Places are arcsec from the field's centre to the west (x) and north (y); angles run from north through east.
"""

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.table import Row, Table
from numpy.random import Generator
from numpy.typing import NDArray

from labkit.cosmology import COSMOLOGY
from labkit.simulate.hst.bands import F814, HIGHEST_REDSHIFT, magnitudes
from labkit.simulate.hst.clusters import velocity_dispersion
from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import projected_nfw

FAINTEST = 28.5  # F814 magnitude that is painted
BRIGHTEST = 17.0  # of the field
SPEED_OF_LIGHT = c.to_value(u.km / u.s)
#: Members lie within this velocity of the cluster, km/s (Angora et al. 2020, section 2).
V_MAX = 3000.0
#: Faint-end slope of the luminosity function, M* in rest-frame r at redshift 0, its growth with redshift.
_ALPHA, _M_STAR, _EVOLUTION = -1.15, -21.2, 0.9
_NUMBERS = read_numbers("hst/galaxies")
_LATE, _EARLY = _NUMBERS["late_members"], _NUMBERS["early_members"]
#: Galaxies are as concentrated as this in R200, on ellipses of this axis ratio.
CONCENTRATION, _FLATTENING = 4.0, 0.75
#: Share of field galaxies in walls and groups, and the number of those in front and behind.
_CLUSTERED, _N_WALLS = 0.35, 8

#: Column and value where a kind of object has no use for it.
_COLUMNS: dict[str, object] = {
    "origin": "field",  # or "cluster"
    "kind": "late",  # or early, bcg, icl, arc, star
    "x_arcsec": 0.0,
    "y_arcsec": 0.0,
    "redshift": 0.0,
    "magnitude": 30.0,  # total, F814
    "bulge": 0.0,  # share of the F814 light in the spheroid, whose spectrum is old
    "old": 0.0,  # share of the disc's rest-frame r light
    "young": 0.0,  # the same
    "tilt": 0.0,  # bluer when positive
    "bulge_tilt": 0.0,
    "infrared": 0.0,  # F814 - F160 beside that of the spectrum, mag
    "re_arcsec": 0.0,  # half-light radius along the major axis
    "sersic_n": 1.0,
    "axis_ratio": 1.0,
    "position_angle": 0.0,  # degrees
    "temperature": 5000.0,  # of stars, K
}


def bodies(n: int, **columns: object) -> Table:
    """Table of `n` bodies with the given columns, the others at their neutral value."""
    full = {name: np.asarray(value) for name, value in (_COLUMNS | columns).items()}
    for name, value in full.items():
        full[name] = np.broadcast_to(value, (n,)).astype("U8" if value.dtype.kind == "U" else float)
    return Table(full)


def _k_correction(redshift: NDArray, *, old: NDArray) -> NDArray:
    """F814 magnitude less M_r + DM, of a mixture of old and intermediate spectra; all (n,)."""
    return magnitudes(redshift, np.stack([old, 1 - old, 0 * old], axis=1))[:, F814]


def _half_light_arcsec(rng: Generator, absolute: NDArray, redshift: NDArray, early: NDArray) -> NDArray:
    """Half-light radii: L^0.6 down to dwarfs of about 1 kpc for early types, L^0.25 for late ones.

    Both (1 + z)^-0.8 and 0.17 dex wide: about Shen et al. 2003 (MNRAS 343, 978) and van der Wel et al. 2014
    (ApJ 788, 28).
    """
    luminosity = -0.4 * (absolute + 21.2)
    giant, dwarf = 4.2 * 10 ** (0.6 * luminosity), 1.1 * 10 ** (0.12 * (luminosity + 1.6))
    kpc = np.where(early, np.maximum(giant, dwarf), 5.2 * 10 ** (0.25 * luminosity))
    kpc *= 10 ** rng.normal(0, 0.17, len(kpc)) * (1 + redshift) ** -0.8
    z = np.clip(redshift, 0.005, None)
    return kpc * COSMOLOGY.arcsec_per_kpc_proper(z).to_value(u.arcsec / u.kpc)


def _with_luminosity(rng: Generator, name: str, fainter: NDArray) -> NDArray:
    """A property of late types, of galaxies `fainter` than M* + 2 by so many magnitudes; shape (n,)."""
    middle, grows, scatter = _LATE[name]
    return rng.normal(middle + grows * fainter, scatter)


def _infrared(rng: Generator, early: NDArray, fainter: NDArray) -> NDArray:
    """F814 - F160 beside that of the spectrum, mag: what young stars, dust and metals make of it."""
    return np.where(
        early,
        rng.normal(0, _EARLY["infrared_scatter"], len(early)),
        _with_luminosity(rng, "infrared", fainter),
    )


def characteristic_magnitude(redshift: float) -> float:
    """F814 magnitude of a galaxy of M*, passively evolving."""
    correction = _k_correction(np.array([redshift]), old=np.ones(1))[0]
    distance = COSMOLOGY.distmod(redshift).to_value(u.mag)
    return float(_M_STAR - _EVOLUTION * redshift + distance + correction)


def draw_members(rng: Generator, cluster: Row, n: int, *, half_arcsec: float, angle: float) -> Table:
    """Draw `n` cluster galaxies brighter than `FAINTEST` that fall into a field around its centre."""
    star = characteristic_magnitude(cluster["redshift"])
    x, y, radius = _positions(rng, cluster, n, half_arcsec, angle)
    grid, grown = _growth(star)
    magnitude = np.interp(rng.random(n), grown, grid)
    scaled = radius / r200_arcsec(cluster)
    odds = np.array(_LATE["odds"]) @ [np.ones(n), magnitude - star, scaled - 0.1]
    early = rng.random(n) > 1 / (1 + np.exp(-odds))
    absolute = _M_STAR - _EVOLUTION * cluster["redshift"] + magnitude - star
    size = _half_light_arcsec(rng, absolute, np.full(n, float(cluster["redshift"])), early)
    index = np.clip(4.0 - 0.5 * (magnitude - star) + rng.normal(0, 0.5, n), 1.0, 5.5)
    flat = _axis_ratio(rng, early)
    fainter = magnitude - star - 2
    return bodies(
        n,
        origin="cluster",
        kind=np.where(early, "early", "late"),
        x_arcsec=x,
        y_arcsec=y,
        redshift=member_redshifts(rng, cluster, n),
        magnitude=magnitude,
        bulge=np.where(early, 1.0, 0.5 * rng.beta(1.2, 2.0, n)),
        old=rng.beta(_LATE["old"][0], _LATE["old"][1], n),
        young=_LATE["young"] * rng.random(n),
        tilt=_with_luminosity(rng, "tilt", fainter),
        bulge_tilt=_EARLY["slope"] * fainter + rng.normal(0, _EARLY["scatter"], n),
        infrared=_infrared(rng, early, fainter),
        re_arcsec=size,
        sersic_n=np.where(early, index, rng.uniform(1.5, 3.5, n)),
        axis_ratio=flat,
        position_angle=rng.uniform(0, 180, n),
    )


def brightest_galaxy(rng: Generator, cluster: Row, *, angle: float) -> Table:
    """The brightest galaxy at the centre, the cluster's diffuse light, and at times a second giant.

    A third of the clusters have the second one. The diffuse light is a Sersic profile of index 1.5 with a
    half-light radius of about 90 kpc.
    """
    star, z = characteristic_magnitude(cluster["redshift"]), float(cluster["redshift"])
    scale = COSMOLOGY.arcsec_per_kpc_proper(z).to_value(u.arcsec / u.kpc)
    kinds, place, kpc = ["bcg", "icl"], [(0.0, 0.0), (0.0, 0.0)], [22.0, 90.0]
    magnitude = [star - rng.uniform(1.8, 2.5), star - rng.uniform(1.5, 2.0)]
    if rng.random() < 0.35:
        away = scale * rng.uniform(80, 220)
        along = np.radians(angle + rng.normal(0, 15))
        spot = (float(-away * np.sin(along)), float(away * np.cos(along)))
        kinds, place, kpc = [*kinds, "bcg", "icl"], [*place, spot, spot], [*kpc, 16.0, 60.0]
        magnitude += [star - rng.uniform(1.3, 1.8), star - rng.uniform(0.5, 1.0)]
    n, diffuse, bright = len(kinds), np.array(kinds) == "icl", np.array(magnitude)
    redshift = z + (1 + z) / SPEED_OF_LIGHT * np.repeat(rng.normal(0, 250, n // 2), 2)
    return bodies(
        n,
        origin="cluster",
        kind=np.array(kinds),
        x_arcsec=np.array(place)[:, 0],
        y_arcsec=np.array(place)[:, 1],
        redshift=redshift,
        magnitude=magnitude,
        bulge=1.0,
        bulge_tilt=np.where(diffuse, 0.15, _EARLY["slope"] * (bright - star - 2)) + rng.normal(0, 0.05, n),
        re_arcsec=scale * np.array(kpc) * 10 ** rng.normal(0, 0.08, n),
        sersic_n=np.where(diffuse, 1.5, 4.0),
        axis_ratio=np.where(diffuse, rng.uniform(0.6, 0.8, n), rng.uniform(0.7, 0.9, n)),
        position_angle=angle + rng.normal(0, 8, n),
    )


def member_redshifts(rng: Generator, cluster: Row, n: int) -> NDArray:
    """Redshifts with the velocity dispersion of the cluster's mass, within `V_MAX`; shape (n,)."""
    sigma, z = velocity_dispersion(cluster["m200c"], cluster["redshift"]), float(cluster["redshift"])
    velocity = rng.normal(0, sigma, n)
    while (out := np.abs(velocity) > V_MAX).any():
        velocity[out] = rng.normal(0, sigma, out.sum())
    return z + (1 + z) * velocity / SPEED_OF_LIGHT


def _axis_ratio(rng: Generator, early: NDArray) -> NDArray:
    """Axis ratios of early types, and of discs of thickness 0.2 seen from all sides."""
    spheroid, cosine = rng.normal(0.72, 0.16, len(early)), rng.random(len(early))
    return np.where(early, np.clip(spheroid, 0.25, 1), np.sqrt(cosine**2 + 0.2**2 * (1 - cosine**2)))


def r200_arcsec(cluster: Row) -> float:
    """R200 on the sky, arcsec."""
    per_mpc = COSMOLOGY.arcsec_per_kpc_proper(cluster["redshift"]).to_value(u.arcsec / u.Mpc)
    return float(cluster["r200"].to_value(u.Mpc) * per_mpc)


def bright_share(redshift: float) -> float:
    """Share of the luminosity function down to `FAINTEST` that is brighter than F814 = 25."""
    return float(np.interp(25.0, *_growth(characteristic_magnitude(redshift))))


def _growth(star: float) -> tuple[NDArray, NDArray]:
    """Magnitudes and the share of a Schechter function brighter than each; the giants are drawn apart."""
    grid = np.linspace(star - 1.6, FAINTEST, 2000)
    luminosity = 10 ** (-0.4 * (grid - star))
    grown = np.cumsum(luminosity ** (_ALPHA + 1) * np.exp(-luminosity))
    return grid, (grown - grown[0]) / (grown[-1] - grown[0])


def _positions(
    rng: Generator, cluster: Row, n: int, half: float, angle: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Offsets (west, north) and elliptical radii, arcsec, of a projected NFW profile inside a square."""
    along = np.radians(angle)
    found = np.empty((3, 0))
    scale = r200_arcsec(cluster) / CONCENTRATION
    grid = np.geomspace(1e-3, 1.6 * half / scale, 600)
    grown = projected_nfw(grid)
    while found.shape[1] < n:
        radius = scale * np.interp(rng.random(4 * n + 50) * grown[-1], grown, grid)
        azimuth = rng.uniform(0, 2 * np.pi, len(radius))
        major = radius * np.cos(azimuth) / np.sqrt(_FLATTENING)
        minor = radius * np.sin(azimuth) * np.sqrt(_FLATTENING)
        x = -major * np.sin(along) - minor * np.cos(along)
        y = major * np.cos(along) - minor * np.sin(along)
        kept = (np.abs(x) < half) & (np.abs(y) < half)
        found = np.concatenate([found, np.array([x, y, radius])[:, kept]], axis=1)
    return found[0, :n], found[1, :n], found[2, :n]


def members_within(cluster: Row, half_arcsec: float, reference_arcsec: float) -> float:
    """Number of members in a square field relative to one of another size, for round clusters."""
    scale = r200_arcsec(cluster) / CONCENTRATION
    reach = 2 / np.sqrt(np.pi) / scale
    within = projected_nfw(np.array([half_arcsec, reference_arcsec]) * reach)
    return float(within[0] / within[1])


def count_field(magnitude: NDArray | float) -> NDArray:
    """Field galaxies per square arcmin brighter than F814 magnitudes.

    A parabola in log N: 3 at 22, 35 at 25, 180 at 28. Blank fields have a fifth fewer at 25; the excess
    stands for lensing and for structure, which Table 1's numbers of non-members in 4.7 square arcmin demand.
    """
    m = np.asarray(magnitude, dtype=float) - 25
    return 10 ** (1.54 + 0.29 * m - 0.018 * m**2)


def draw_field(rng: Generator, n: int, *, half_arcsec: float) -> Table:
    """Draw galaxies of the field, on top of the cluster on the sky, at any redshift.

    A third of them lie in a few walls and loose groups. Redshifts grow with magnitude, with a tail to 6 among
    the faint; late types are more and bluer among the faint.
    """
    grid = np.linspace(BRIGHTEST, FAINTEST, 1000)
    counts = count_field(grid)
    magnitude = np.interp(rng.random(n) * (counts[-1] - counts[0]) + counts[0], counts, grid)
    x, y = rng.uniform(-half_arcsec, half_arcsec, (2, n))
    redshift = _redshifts(rng, magnitude)
    x, y, redshift = _gather(rng, x, y, redshift, half_arcsec)
    early = rng.random(n) < np.clip(0.42 - 0.07 * (magnitude - 20), 0.02, 0.45)
    early &= redshift < 2
    z = np.clip(redshift, 0.005, HIGHEST_REDSHIFT)
    absolute = (
        magnitude - COSMOLOGY.distmod(z).to_value(u.mag) - _k_correction(z, old=np.where(early, 1.0, 0.2))
    )
    young = np.clip(-0.02 + 0.08 * (magnitude - 21) + 0.1 * redshift + rng.normal(0, 0.2, n), 0, 1)
    old = (1 - young) * rng.beta(1.1, 2.9, n) / (1 + 0.7 * np.clip(redshift - 0.5, 0, None))
    index = np.clip(4.2 + 0.5 * (-21.2 - absolute) + rng.normal(0, 0.7, n), 1, 5.5)
    flat = _axis_ratio(rng, early)
    return bodies(
        n,
        kind=np.where(early, "early", "late"),
        x_arcsec=x,
        y_arcsec=y,
        redshift=redshift,
        magnitude=magnitude,
        bulge=np.where(early, 1.0, 0.6 * rng.beta(1.0, 3.0, n)),
        old=old,
        young=young,
        tilt=rng.normal(-0.4, 0.5, n),
        # Spheroids were younger: bluer with redshift, and less uniform than in clusters.
        bulge_tilt=0.10 * (absolute + 21.2) + 0.8 * np.clip(redshift - 0.3, 0, 1.5) + rng.normal(0.1, 0.3, n),
        infrared=_infrared(rng, early, np.clip(absolute - _M_STAR - 2, -3, 4)),
        re_arcsec=np.minimum(_half_light_arcsec(rng, absolute, redshift, early), 6.0),
        sersic_n=np.where(early, index, rng.uniform(1.0, 3.5, n)),
        axis_ratio=flat,
        position_angle=rng.uniform(0, 180, n),
    )


def draw_stars(rng: Generator, *, half_arcsec: float) -> Table:
    """Draw the stars of a field at high galactic latitude: about 4 per square arcmin, most faint and red."""
    area = (2 * half_arcsec / 60) ** 2
    n = rng.poisson(4.0 * area)
    return bodies(
        n,
        kind="star",
        x_arcsec=rng.uniform(-half_arcsec, half_arcsec, n),
        y_arcsec=rng.uniform(-half_arcsec, half_arcsec, n),
        magnitude=FAINTEST - 1.5 - rng.exponential(1 / (0.13 * np.log(10)), n).clip(max=10.5),
        temperature=np.where(rng.random(n) < 0.7, rng.uniform(2900, 3900, n), rng.uniform(4000, 6800, n)),
    )


def draw_arcs(rng: Generator, cluster: Row, *, half_arcsec: float) -> Table:
    """Draw background galaxies that the cluster stretches: along circles about its centre.

    Their ``re_arcsec`` is half the length along the circle, their ``axis_ratio`` width over length. No lens
    is traced: radii scatter about 0.065 R200, 15 to 40 arcsec.
    """
    n = int(np.clip(rng.poisson(5), 2, 8))
    einstein = np.clip(0.065 * r200_arcsec(cluster), 10, 0.6 * half_arcsec)
    radius = np.minimum(einstein * rng.uniform(0.7, 1.3, n), 0.85 * half_arcsec)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    half_length = np.minimum(rng.uniform(1.2, 6.0, n), 0.4 * radius)
    return bodies(
        n,
        kind="arc",
        x_arcsec=radius * np.cos(azimuth),
        y_arcsec=radius * np.sin(azimuth),
        redshift=rng.uniform(max(1.0, cluster["redshift"] + 0.3), 4.0, n),
        magnitude=rng.uniform(22.3, 25.0, n),
        young=rng.uniform(0.3, 0.9, n),
        tilt=rng.normal(-0.4, 0.3, n),
        re_arcsec=half_length,
        axis_ratio=rng.uniform(0.08, 0.16, n) / half_length,
        position_angle=np.degrees(azimuth) % 180,
    )


def _redshifts(rng: Generator, magnitude: NDArray) -> NDArray:
    """Redshifts z^2 exp(-(z / z0)^1.5) with a median that grows with magnitude, and a faint tail to 6."""
    median = np.clip(0.45 + 0.11 * (magnitude - 21.5), 0.12, None)
    redshift = median / 1.412 * rng.gamma(2.0, size=len(magnitude)) ** (2 / 3)
    tail = rng.random(len(magnitude)) < np.clip(0.06 * (magnitude - 23.5), 0, 0.3)
    redshift = np.where(tail, rng.uniform(1.5, 6.0, len(magnitude)), redshift)
    return np.clip(redshift, 0.02, HIGHEST_REDSHIFT - 0.1)


def _gather(
    rng: Generator, x: NDArray, y: NDArray, redshift: NDArray, half: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Move some galaxies into walls: one redshift, and for half of the walls one place."""
    walls = np.sort(rng.uniform(0.1, 1.4, _N_WALLS))
    nearest = np.abs(redshift[:, None] - walls).argmin(axis=1)
    moved = (rng.random(len(x)) < _CLUSTERED) & (redshift < 1.6)
    width = (1 + walls[nearest]) * 450 / SPEED_OF_LIGHT
    drawn = walls[nearest] + width * rng.normal(size=len(x))
    place = rng.uniform(-half, half, (_N_WALLS, 2))
    spread = np.where(np.arange(_N_WALLS) % 2, 25.0, np.inf)[nearest]
    offset = rng.normal(size=(2, len(x)))
    near = moved & np.isfinite(spread)
    spread = np.where(near, spread, 0.0)
    there = place[nearest].T + spread * offset
    near &= (np.abs(there) < half).all(axis=0)
    x, y = np.where(near, there, [x, y])
    return x, y, np.where(moved, drawn, redshift).clip(min=0.02)
