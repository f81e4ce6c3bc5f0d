"""Fields as a table lists them: a cluster, its redshift, a folder with mosaics and catalogue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.coordinates import SkyCoord
from astropy.table import Row, Table

from labkit.errors import InputError, MissingDataError
from labkit.photometry.colours import COSMOLOGY
from labkit.tables import read_catalogue

__all__ = ["ListedField", "read_fields"]


@dataclass(frozen=True)
class ListedField:
    """One field on disk.

    Attributes
    ----------
    cluster : str
        Short name of the cluster.
    redshift : float
        Its redshift.
    folder : Path
        Where its mosaics lie.
    catalogue : Path
        File of its sources.
    centre : SkyCoord or None
        Of the cluster, where known.
    r200 : Quantity or None
        Mpc, where known.
    """

    cluster: str
    redshift: float
    folder: Path
    catalogue: Path
    centre: SkyCoord | None
    r200: u.Quantity | None

    @property
    def r200_angle(self) -> u.Quantity | None:
        """R200 on the sky, arcsec, where centre and R200 are known."""
        if self.centre is None or self.r200 is None:
            return None
        return (self.r200 / COSMOLOGY.kpc_proper_per_arcmin(self.redshift)).to(u.arcsec)


def read_fields(fields: str | Path | Table, *, catalogue: str = "catalogue.fits") -> list[ListedField]:
    """Read the list of fields.

    Parameters
    ----------
    fields : path or Table
        One row a field: ``cluster`` or ``short`` (its name), ``redshift``, ``folder``, relative to the
        table's file; maybe ``catalogue``, its file in that folder, and ``ra``, ``dec`` (of the cluster's
        centre, degrees where they have no unit) and ``r200`` (Mpc where it has none). The last three are
        taken from the ``cluster.json`` of a simulated field where they are no columns.
    catalogue : str
        File of the catalogue in each folder, where the table has no such column.

    Returns
    -------
    list of ListedField
        In the order of the table.

    Raises
    ------
    MissingDataError
        If the file or a column is not there.
    InputError
        If it has no row, or a cluster comes twice.
    """
    table = read_catalogue(fields) if isinstance(fields, str | Path) else fields
    root = Path(fields).parent if isinstance(fields, str | Path) else Path()
    name = "cluster" if "cluster" in table.colnames else "short"
    if missing := [one for one in (name, "redshift", "folder") if one not in table.colnames]:
        raise MissingDataError(
            f"fields must have the columns cluster (or short), redshift and folder, got {table.colnames} "
            f"without {missing}"
        )
    if not len(table):
        raise InputError("fields must hold at least one row, got none")
    names = [str(one) for one in table[name]]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise InputError(f"fields must list each cluster once, got {twice} more often")
    return [_listed(row, name, root, catalogue) for row in table]


def _listed(row: Row, name: str, root: Path, catalogue: str) -> ListedField:
    folder = root / str(row["folder"])
    file = str(row["catalogue"]) if "catalogue" in row.colnames else catalogue
    centre, r200 = _geometry(row, folder)
    return ListedField(str(row[name]), float(row["redshift"]), folder, folder / file, centre, r200)


def _geometry(row: Row, folder: Path) -> tuple[SkyCoord | None, u.Quantity | None]:
    path = folder / "cluster.json"
    about: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    ra, dec, r200 = (
        row[column] if column in row.colnames else about.get(key)
        for column, key in (("ra", "ra_deg"), ("dec", "dec_deg"), ("r200", "r200_mpc"))
    )
    centre = None if ra is None or dec is None else SkyCoord(u.Quantity(ra, u.deg), u.Quantity(dec, u.deg))
    return centre, None if r200 is None else u.Quantity(r200, u.Mpc)
