"""All bodies of a field: as many as cluster and sky have, and bright ones where spectra were taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from astropy.table import Row, Table
from numpy.typing import NDArray

from labkit.simulate.hst.bands import PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.bodies import FAINTEST, join
from labkit.simulate.hst.footprints import Zones
from labkit.simulate.hst.members import SPEED_OF_LIGHT, V_MAX, bright_share, brightest_galaxy, draw_members
from labkit.simulate.hst.members import members_within as within
from labkit.simulate.hst.surroundings import BRIGHTEST, count_field, draw_arcs, draw_field, draw_stars

__all__ = ["REFERENCE_ARCSEC", "is_member", "populate", "spectral_completeness", "wanted_spectra"]

#: Size of the fields of Angora et al. (2020), Fig. 1.
REFERENCE_ARCSEC = 130.0
#: Members with F814 < 25 for each with a spectrum: 372 were found beside 812 (section 5).
RICHNESS = (812 + 372) / 812
#: Chance of a spectrum from which a body counts as a bright target; how many of these there must be for each
#: spectrum of a non-member (a third are faint: Table 3 of the paper) and of a member, beside four to spare.
_TARGET, _SPARE = 0.3, (0.65, 1.2)
#: Batches in which they are looked for; more only helps where a field has next to no room for them.
_BATCHES = 200


def is_member(redshift: NDArray, cluster_redshift: float) -> NDArray:
    """Whether |c (z - z_cl) / (1 + z_cl)| <= 3000 km/s (Angora et al. 2020, section 2); same shape."""
    velocity = SPEED_OF_LIGHT * (np.asarray(redshift) - cluster_redshift) / (1 + cluster_redshift)
    return np.abs(velocity) <= V_MAX


def wanted_spectra(cluster: Row, *, scale: float) -> NDArray:
    """Numbers of spectra in each zone and class, from Table 1 of Angora et al. (2020).

    Parameters
    ----------
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    scale : float
        Factor on all numbers; those of each configuration are rounded.

    Returns
    -------
    ndarray of int, shape (3, 2)
        Zones 0 to 2 of `Zones.zone`, then non-members and members.
    """
    inner = "mixed" if cluster["frontier_only"] else "all"
    outer = "mixed" if cluster["frontier_only"] else "acs"
    rows = [
        [round(scale * float(cluster[f"{name}_{kind}"])) for kind in ("non_members", "members")]
        for name in (outer, "mixed", inner)
    ]
    nested = np.array([*rows, [0, 0]])
    return nested[:-1] - nested[1:]


def spectral_completeness(table: Table) -> NDArray:
    """Relative chance that a body has a spectrum; falls at F814 24 to 25, later where emission lines help.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Bodies, as `bodies` gives them.

    Returns
    -------
    ndarray, shape (n,)
        0 to 1; 0 for stars, diffuse light, and redshifts 1.4 to 2.9 without lines in the optical at the faint
        end.
    """
    magnitude, z = np.asarray(table["magnitude"]), np.asarray(table["redshift"])
    kind = np.asarray(table["kind"])
    continuum = 0.85 / (1 + np.exp((magnitude - 24.3) / 0.3))
    lines = np.isin(kind, ("late", "arc")) & ((z < 1.4) | (z > 2.9))
    deep = np.where(table["origin"] == "cluster", 0.03, 0.12) / (1 + np.exp((magnitude - 27.0) / 0.4))
    chance = continuum + np.where(lines, deep, 0.0)
    return np.where(np.isin(kind, ("star", "icl")), 0.0, chance)


def populate(rng: np.random.Generator, cluster: Row, zones: Zones, *, scale: float) -> Table:
    """Draw all bodies of a field.

    The number of members follows from that of spectra and from section 5 of Angora et al. (2020), the number
    of field galaxies from counts. Where a zone then holds too few targets for Table 1, further ones are drawn
    from the same populations: the table is a condition, not an accident.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    zones : Zones
        Size and footprints of the field.
    scale : float
        Factor on the numbers of spectra.

    Returns
    -------
    `~astropy.table.Table`
        Bodies, as `bodies` gives them, in random order.
    """
    half = zones.size_px * PIXEL_SCALE_ARCSEC / 2
    angle = rng.uniform(0, 180)
    redshift = float(cluster["redshift"])
    spectra = max(int(cluster["acs_members"]), int(cluster["mixed_members"]))
    expected = RICHNESS * spectra * within(cluster, half, REFERENCE_ARCSEC / 2) / bright_share(redshift)
    sky = float(count_field(FAINTEST) - count_field(BRIGHTEST)) * (2 * half / 60) ** 2

    def members(n: int) -> Table:
        return draw_members(rng, cluster, n, half_arcsec=half, angle=angle)

    def field(n: int) -> Table:
        drawn = draw_field(rng, n, half_arcsec=half)
        # The cluster's own members are drawn apart.
        return drawn[~is_member(drawn["redshift"], redshift)]

    drawn = [field(rng.poisson(sky)), members(rng.poisson(expected))]
    wanted = wanted_spectra(cluster, scale=scale)
    for column, draw in enumerate((field, members)):
        drawn.append(
            _further(
                drawn[column], draw, zones, _SPARE[column] * wanted[:, column] + 4 * (wanted[:, column] > 0)
            )
        )
    drawn += [
        brightest_galaxy(rng, cluster, angle=angle),
        draw_stars(rng, half_arcsec=half),
        draw_arcs(rng, cluster, half_arcsec=half),
    ]
    table = join(drawn)
    return table[rng.permutation(len(table))]


def _further(table: Table, draw: Callable[[int], Table], zones: Zones, wanted: NDArray) -> Table:
    """Further bodies that are bright enough, for the zones that hold fewer of them than wanted."""
    kept = [table[:0]]
    targets = _zone(table, zones)[spectral_completeness(table) > _TARGET]
    short = np.ceil(wanted).astype(int) - np.array([np.sum(targets == zone) for zone in range(3)])
    for _ in range(_BATCHES):
        if (short <= 0).all():
            break
        batch = draw(200)
        place, bright = _zone(batch, zones), spectral_completeness(batch) > _TARGET
        for zone in np.flatnonzero(short > 0):
            rows = np.flatnonzero((place == zone) & bright)[: short[zone]]
            short[zone] -= len(rows)
            kept.append(batch[rows])
    return join(kept)


def _zone(table: Table, zones: Zones) -> NDArray:
    x, y = (np.asarray(table[f"{name}_arcsec"]) / PIXEL_SCALE_ARCSEC for name in ("x", "y"))
    return zones.zone(x, y)
