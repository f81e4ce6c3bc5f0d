"""Which rows of two catalogues are the same source on the sky."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from labkit.errors import InputError


def match(table: Table, reference: Table, radius: u.Quantity) -> QTable:
    """Match two catalogues by position, one to one.

    A pair is a match if each is the other's nearest neighbour within `radius`, so that of two sources close
    to one reference only the nearer one gets it. A k-d tree finds them in n log n.

    Parameters
    ----------
    table, reference : Table
        With the columns ``ra`` and ``dec``, in degrees where they have no unit.
    radius : Quantity
        Largest separation.

    Returns
    -------
    `~astropy.table.QTable`
        One row a match: ``row`` of `table`, ``reference_row`` and ``separation`` (arcsec), in the order of
        `table`.
    """
    if not isinstance(radius, u.Quantity) or not radius.unit.is_equivalent(u.deg) or not radius > 0:
        raise InputError(f"radius must be a positive angle, such as 0.5 * u.arcsec, got {radius!r}")
    here, there = _positions(table, "table"), _positions(reference, "reference")
    empty = np.zeros(0, dtype=np.int64)
    if not len(here) or not len(there):
        return QTable({"row": empty, "reference_row": empty, "separation": np.zeros(0) * u.arcsec})
    forth, separation, _ = here.match_to_catalog_sky(there)
    back, _, _ = there.match_to_catalog_sky(here)
    rows = np.arange(len(here))
    mutual = (back[forth] == rows) & (separation <= radius)
    return QTable(
        {
            "row": rows[mutual],
            "reference_row": np.asarray(forth)[mutual],
            "separation": separation[mutual].to(u.arcsec),
        }
    )


def _positions(table: Table, name: str) -> SkyCoord:
    if missing := sorted({"ra", "dec"} - set(table.colnames)):
        raise InputError(f"{name} must have the columns ra and dec, got none for {missing}")
    ra, dec = (u.Quantity(table[column], u.deg) for column in ("ra", "dec"))
    if not (np.isfinite(ra) & np.isfinite(dec)).all():
        raise InputError(f"{name} must have finite positions; leave out rows whose ra or dec is NaN")
    return SkyCoord(ra, dec)
