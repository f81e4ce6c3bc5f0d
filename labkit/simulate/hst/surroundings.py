"""What is in front of and behind a cluster: field galaxies, stars, and galaxies drawn out into arcs."""

from __future__ import annotations

import numpy as np
from astropy.table import Row, Table
from numpy.typing import NDArray

from labkit.simulate.hst.bodies import FAINTEST, absolute_magnitude, bodies, half_light_arcsec
from labkit.simulate.hst.members import disc_axis_ratio, r200_arcsec
from labkit.simulate.hst.templates import HIGHEST_REDSHIFT

__all__ = ["count_field", "draw_arcs", "draw_field", "draw_stars"]

BRIGHTEST = 17.0
#: Share of field galaxies in walls and groups, and the number of those in front and behind.
CLUSTERED, N_WALLS = 0.35, 8


def count_field(magnitude: NDArray | float) -> NDArray:
    """Field galaxies per square arcmin brighter than F814 magnitudes.

    A parabola in log N: 3 at 22, 35 at 25, 180 at 28. Blank fields have a fifth fewer at 25; the excess
    stands for lensing and for structure, which Table 1's numbers of non-members in 4.7 square arcmin demand.
    """
    m = np.asarray(magnitude, dtype=float) - 25
    return 10 ** (1.54 + 0.29 * m - 0.018 * m**2)


def draw_field(rng: np.random.Generator, n: int, *, half_arcsec: float) -> Table:
    """Draw galaxies of the field, on top of the cluster on the sky, at any redshift.

    A third of them lie in a few walls and loose groups. Redshifts grow with magnitude, with a tail to 6 among
    the faint; late types are more and bluer among the faint.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        Number of galaxies.
    half_arcsec : float
        Half the side of the field.

    Returns
    -------
    `~astropy.table.Table`
        As `bodies` gives it.
    """
    grid = np.linspace(BRIGHTEST, FAINTEST, 1000)
    counts = count_field(grid)
    magnitude = np.interp(rng.random(n) * (counts[-1] - counts[0]) + counts[0], counts, grid)
    x, y = rng.uniform(-half_arcsec, half_arcsec, (2, n))
    redshift = _redshifts(rng, magnitude)
    x, y, redshift = _gather(rng, x, y, redshift, half_arcsec)
    early = rng.random(n) < np.clip(0.42 - 0.07 * (magnitude - 20), 0.02, 0.45)
    early &= redshift < 2
    absolute = absolute_magnitude(magnitude, redshift, old=np.where(early, 1.0, 0.2))
    young = np.clip(-0.02 + 0.08 * (magnitude - 21) + 0.1 * redshift + rng.normal(0, 0.2, n), 0, 1)
    old = (1 - young) * rng.beta(1.1, 2.9, n) / (1 + 0.7 * np.clip(redshift - 0.5, 0, None))
    index = np.clip(4.2 + 0.5 * (-21.2 - absolute) + rng.normal(0, 0.7, n), 1, 5.5)
    flat = np.where(early, np.clip(rng.normal(0.72, 0.16, n), 0.25, 1), disc_axis_ratio(rng, n))
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
        re_arcsec=np.minimum(half_light_arcsec(rng, absolute, redshift, early), 6.0),
        sersic_n=np.where(early, index, rng.uniform(1.0, 3.5, n)),
        axis_ratio=flat,
        position_angle=rng.uniform(0, 180, n),
    )


def draw_stars(rng: np.random.Generator, *, half_arcsec: float) -> Table:
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


def draw_arcs(rng: np.random.Generator, cluster: Row, *, half_arcsec: float) -> Table:
    """Draw background galaxies that the cluster stretches: along circles about its centre.

    Their ``re_arcsec`` is half the length along the circle, their ``axis_ratio`` width over length. No lens
    is traced: radii scatter about 0.065 R200, 15 to 40 arcsec.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    half_arcsec : float
        Half the side of the field; arcs lie inside.

    Returns
    -------
    `~astropy.table.Table`
        Two to eight bodies.
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


def _redshifts(rng: np.random.Generator, magnitude: NDArray) -> NDArray:
    """Redshifts z^2 exp(-(z / z0)^1.5) with a median that grows with magnitude, and a faint tail to 6."""
    median = np.clip(0.45 + 0.11 * (magnitude - 21.5), 0.12, None)
    redshift = median / 1.412 * rng.gamma(2.0, size=len(magnitude)) ** (2 / 3)
    tail = rng.random(len(magnitude)) < np.clip(0.06 * (magnitude - 23.5), 0, 0.3)
    redshift = np.where(tail, rng.uniform(1.5, 6.0, len(magnitude)), redshift)
    return np.clip(redshift, 0.02, HIGHEST_REDSHIFT - 0.1)


def _gather(
    rng: np.random.Generator, x: NDArray, y: NDArray, redshift: NDArray, half: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Move some galaxies into walls: one redshift, and for half of the walls one place."""
    walls = np.sort(rng.uniform(0.1, 1.4, N_WALLS))
    nearest = np.abs(redshift[:, None] - walls).argmin(axis=1)
    moved = (rng.random(len(x)) < CLUSTERED) & (redshift < 1.6)
    width = (1 + walls[nearest]) * 450 / 299792.458
    drawn = walls[nearest] + width * rng.normal(size=len(x))
    place = rng.uniform(-half, half, (N_WALLS, 2))
    spread = np.where(np.arange(N_WALLS) % 2, 25.0, np.inf)[nearest]
    offset = rng.normal(size=(2, len(x)))
    near = moved & np.isfinite(spread)
    spread = np.where(near, spread, 0.0)
    there = place[nearest].T + spread * offset
    near &= (np.abs(there) < half).all(axis=0)
    return (
        np.where(near, there[0], x),
        np.where(near, there[1], y),
        np.where(moved, drawn, redshift).clip(min=0.02),
    )
