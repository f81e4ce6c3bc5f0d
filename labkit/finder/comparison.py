"""A catalogue beside another list of the same field."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.tables import text


@dataclass(frozen=True)
class Comparison:
    """Which rows of two lists belong together.

    Parameters
    ----------
    listed : QTable
        The given list with two more columns: ``separation`` from the nearest candidate, and ``found``, the id
        of that candidate if it lies within the radius, else "".
    extra : QTable
        Candidates without a listed source within the radius.
    """

    listed: QTable
    extra: QTable

    @property
    def recovered(self) -> int:
        """Listed sources with a candidate."""
        return int((self.listed["found"] != "").sum())


def compare(candidates: Table, listed: Table, *, radius: u.Quantity = 12 * u.arcsec) -> Comparison:
    """Compare found candidates with a list of sources.

    Parameters
    ----------
    candidates : Table
        ``object_id``, ``ra``, ``dec``, as from `labkit.finder.find_candidates`.
    listed : Table
        ``ra``, ``dec``, as from `labkit.sources.read_candidates`.
    radius : astropy.units.Quantity
        Largest separation of the same source.

    Returns
    -------
    Comparison
        What was recovered, and what is extra. Several listed sources may share one candidate.

    Raises
    ------
    InputError
        If the radius is not positive.
    """
    if not radius > 0 * u.arcsec:
        raise InputError(f"radius must be a positive angle, got {radius}; the default is 12 arcsec")
    ours, theirs = (SkyCoord(table["ra"], table["dec"], unit="deg") for table in (candidates, listed))
    apart = theirs[:, None].separation(ours[None, :]).to(u.arcsec)
    result, ids = QTable(listed, copy=True), text(candidates["object_id"])
    if not len(candidates):
        result["found"], result["separation"] = "", np.inf * u.arcsec
        return Comparison(result, QTable(candidates))
    nearest = apart.argmin(axis=1)
    result["separation"] = apart.min(axis=1)
    result["found"] = np.where(result["separation"] < radius, ids[nearest], "")
    alone = np.ones(len(candidates), dtype=bool) if not len(listed) else apart.min(axis=0) >= radius
    return Comparison(result, QTable(candidates)[alone])
