"""Fields as a table lists them (cluster, redshift, folder), and what became of their sources."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample
from labkit.sources.members.catalogue import read_redshifts
from labkit.sources.positions import read_positions
from labkit.tables import numbers, read_catalogue, text, write_table

_TEXT = ("short", "folder")  # columns that are text whatever they look like

#: What became of the catalogued sources, in the order of `counts_table`.
_COUNTS = (
    *("listed", "without_position", "merged", "unlabelled", "outside", "incomplete", "kept"),
    *("member", "non-member", "unknown", "redshift_not_accepted", "redshift_sentinel", "contradicting"),
)


@dataclass(frozen=True)
class ListedField:
    """One field on disk."""

    cluster: str
    redshift: float
    folder: Path
    catalogue: Path
    centre: SkyCoord | None
    r200: u.Quantity | None

    @property
    def truth(self) -> Path:
        """File of all that a simulated field holds; a real one has no such file."""
        return self.folder / "truth.fits"

    @property
    def r200_angle(self) -> u.Quantity | None:
        """R200 on the sky, arcsec, where centre and R200 are known."""
        if self.centre is None or self.r200 is None:
            return None
        return (self.r200 / COSMOLOGY.kpc_proper_per_arcmin(self.redshift)).to(u.arcsec)


def write_fields(fields: str | Path | Table, path: str | Path) -> Path:
    """Write a list of fields to another file, from which the same folders are found.

    Parameters
    ----------
    fields : path or Table
        As for `read_fields`.
    path : path
        The file, see `~labkit.tables.write_table`. Its column ``folder`` is relative to it, and it has
        ``cluster`` whatever the list called its names.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        As for `read_fields`, or if the ending is none of a table.
    """
    listed = read_fields(fields)
    table = read_catalogue(fields, as_text=_TEXT) if isinstance(fields, str | Path) else fields.copy()
    table["cluster"] = [one.cluster for one in listed]
    table["folder"] = [os.path.relpath(one.folder, Path(path).parent) for one in listed]
    return write_table(table, path)


def read_fields(
    fields: str | Path | Table,
    *,
    catalogue: str = "catalogue.fits",
    clusters: Iterable[str] | None = None,
) -> list[ListedField]:
    """Read the list of fields.

    Parameters
    ----------
    fields : path or Table
        One row per field: ``cluster`` or ``short`` (its name), ``redshift``, ``folder``, relative to the
        table's file; maybe ``catalogue``, its file in that folder, and ``ra``, ``dec`` (of the cluster's
        centre, degrees where they have no unit) and ``r200`` (Mpc where it has none). The last three are
        taken from the ``cluster.json`` of a simulated field where they are no columns.
    catalogue : str
        File of the catalogue in each folder, where the table has no such column.
    clusters : iterable of str, optional
        Only these fields; by default all.

    Returns
    -------
    list of ListedField
        In the order of the table.

    Raises
    ------
    MissingDataError
        If the file or a column is not there.
    InputError
        If it has no row, a cluster comes twice, or one that is asked for is not listed.
    """
    table = read_catalogue(fields, as_text=_TEXT) if isinstance(fields, str | Path) else fields
    root = Path(fields).parent if isinstance(fields, str | Path) else Path()
    name = "cluster" if "cluster" in table.colnames else "short"
    if missing := [one for one in (name, "redshift", "folder") if one not in table.colnames]:
        raise MissingDataError(
            f"fields must have the columns cluster (or short), redshift and folder, got {table.colnames} "
            f"without {missing}"
        )
    if not len(table):
        raise InputError("fields must hold at least one row, got none")
    names, folders = (np.char.strip(text(table[column])).tolist() for column in (name, "folder"))
    redshifts, _ = read_redshifts(table, "redshift")
    if "" in names or "" in folders or not np.isfinite(redshifts).all():
        raise InputError("fields must give cluster, redshift and folder in each row, got an empty one")
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise InputError(f"fields must list each cluster once, got {twice} more often")
    files = text(table["catalogue"]).tolist() if "catalogue" in table.colnames else [""] * len(table)
    centres, radii = np.full((2, len(table)), np.nan), np.full(len(table), np.nan)
    if {"ra", "dec"} <= set(table.colnames):
        centres = read_positions(table, "ra", "dec")
    if "r200" in table.colnames:
        radii = numbers(table["r200"], u.Mpc)
    rows = zip(names, redshifts.tolist(), folders, files, centres.T.tolist(), radii.tolist(), strict=True)
    found = [
        ListedField(
            one, z, root / folder, root / folder / (file or catalogue), *_geometry(root / folder, *where)
        )
        for one, z, folder, file, *where in rows
    ]
    wanted = set(names if clusters is None else clusters)
    if unknown := sorted(wanted - set(names)):
        raise InputError(f"clusters must be of {names}, got {unknown}")
    return [one for one in found if one.cluster in wanted]


def _geometry(folder: Path, sky: list[float], r200: float) -> tuple[SkyCoord | None, u.Quantity | None]:
    """Centre and R200 of the table, or else of a simulated field's ``cluster.json``; None if unknown."""
    path = folder / "cluster.json"
    about: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    ra, dec, size = (
        value if np.isfinite(value) else about.get(key, np.nan)
        for value, key in zip((*sky, r200), ("ra_deg", "dec_deg", "r200_mpc"), strict=True)
    )
    centre = SkyCoord(ra, dec, unit="deg") if np.isfinite([ra, dec]).all() and abs(dec) <= 90 else None
    return centre, size * u.Mpc if np.isfinite(size) else None


def counts_table(sample: Sample) -> Table:
    """What became of the catalogued sources, field by field, with a last row of sums.

    Parameters
    ----------
    sample : Sample
        As `members_sample`, `fields_sample` or `~labkit.sample.concatenate` of such made it.

    Returns
    -------
    `~astropy.table.Table`
        ``cluster``; ``listed`` sources; ``without_position``, ``merged``, ``unlabelled`` (left out where only
        labelled ones were wanted), ``outside``, ``incomplete`` (lack a needed band), ``kept``; of these
        ``member``, ``non-member``, ``unknown``; ``redshift_not_accepted``, ``redshift_sentinel`` (99 and the
        like, of all listed) and ``contradicting`` (labels emptied), of all.

    Raises
    ------
    InputError
        If the Sample keeps no such record.
    """
    fields = sample.provenance.get("fields")
    if not fields:
        raise InputError("sample must be one of cluster members, with a record of its fields; got none")
    rows = [[field["cluster"], *(field["counts"][name] for name in _COUNTS)] for field in fields]
    rows.append(["all", *np.sum([row[1:] for row in rows], axis=0).tolist()])
    return Table(rows=rows, names=["cluster", *_COUNTS])
