"""Catalogues of galaxies: colours, magnitudes and redshifts relative to the cluster, matches on the sky."""

from collections.abc import Sequence
from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.tables import magnitudes, need_columns

_BLUEST, _REDDEST = -5.0, 10.0  # mag


def colours(
    table: Table, *, bands: Sequence[str], reference: str | None = None, column: str = "mag_{band}"
) -> Table:
    """Colours of each source.

    The columns ``<band>-<other>`` (mag) are each band minus the next of `bands`, by wavelength, or minus the
    `reference`. `column` names the magnitudes; NaN where one is missing or the colour lies beyond -5 to 10,
    which is a failed measurement.
    """
    if len(bands) < 2 or len(set(bands)) < len(bands):
        raise InputError(f"bands must name two different bands at least, got {list(bands)}")
    if reference is not None and reference not in bands:
        raise InputError(f"reference must be one of the bands {list(bands)}, got {reference!r}")
    need_columns(table, (column.format(band=band) for band in bands), "table")
    values = {band: magnitudes(table[column.format(band=band)]) for band in bands}
    if reference is None:
        pairs = list(pairwise(bands))
    else:
        pairs = [(band, reference) for band in bands if band != reference]
    found = Table()
    for first, second in pairs:
        colour = values[first] - values[second]
        with np.errstate(invalid="ignore"):
            colour[(colour < _BLUEST) | (colour > _REDDEST)] = np.nan
        found[f"{first}-{second}"] = colour
    return found


def magnitude_at(magnitude: ArrayLike, redshift: ArrayLike) -> NDArray:
    """Absolute magnitude (n,) at the redshift (n,) or scalar of the cluster, without K correction."""
    z = np.asarray(redshift, dtype=np.float64)
    if not (z > 0).all():
        raise InputError(f"redshift must be positive, got {z.min() if z.size else z}")
    different, place = np.unique(z, return_inverse=True)
    modulus = COSMOLOGY.distmod(different).value[place].reshape(z.shape)
    return np.asarray(magnitude, dtype=np.float64) - modulus


def redshift_offset(redshift: ArrayLike, cluster_redshift: ArrayLike) -> NDArray[np.float64]:
    """Offset from the cluster, (z - z_cl) / (1 + z_cl), the velocity in units of c in its rest frame."""
    z_cl = np.asarray(cluster_redshift, dtype=np.float64)
    return (np.asarray(redshift, dtype=np.float64) - z_cl) / (1 + z_cl)


def match(table: Table, reference: Table, radius: u.Quantity) -> QTable:
    """Match two catalogues by position, one to one.

    A pair is a match if each is the other's nearest neighbour within `radius`, so that of two sources close
    to one reference only the nearer one gets it. A k-d tree finds them in n log n.

    ``ra`` and ``dec`` are in degrees where they have no unit. One row per match, in the order of `table`:
    ``row`` of it, ``reference_row`` and ``separation`` (arcsec).
    """
    if not isinstance(radius, u.Quantity) or not radius.unit.is_equivalent(u.deg) or not radius > 0:
        raise InputError(f"radius must be a positive angle, such as 0.5 * u.arcsec, got {radius!r}")
    here, there = _positions(table, "table"), _positions(reference, "reference")
    rows, found, separation = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0) * u.arcsec
    if len(here) and len(there):
        forth, apart, _ = here.match_to_catalog_sky(there)
        back, _, _ = there.match_to_catalog_sky(here)
        rows = np.flatnonzero((back[forth] == np.arange(len(here))) & (apart <= radius))
        found, separation = np.asarray(forth)[rows], apart[rows].to(u.arcsec)
    return QTable({"row": rows, "reference_row": found, "separation": separation})


def _positions(table: Table, name: str) -> SkyCoord:
    need_columns(table, ("ra", "dec"), name)
    ra, dec = (u.Quantity(table[column], u.deg) for column in ("ra", "dec"))
    if not (np.isfinite(ra) & np.isfinite(dec)).all():
        raise InputError(f"{name} must have finite positions; leave out rows whose ra or dec is NaN")
    return SkyCoord(ra, dec)
