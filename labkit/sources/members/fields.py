"""Fields as a table lists them, what their mosaics cover, and what became of their sources."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sources.members.catalogue import read_redshifts
from labkit.sources.mosaics import annulus_shares, read_mosaics
from labkit.sources.positions import find_columns, out_of_bounds, read_positions
from labkit.tables import find_column, numbers, read_catalogue, text, write_table

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


def read_fields(
    fields: str | Path | Table, *, catalogue: str = "catalogue.fits", clusters: Iterable[str] | None = None
) -> list[ListedField]:
    """Read the list of fields, a file or a table; of these `clusters` only, where they are named.

    One row per field: ``cluster`` or ``short`` (its name), ``redshift``, ``folder``, relative to the table's
    file (its own folder where there are catalogues and no such column); maybe ``catalogue``, its file in that
    folder (by default `catalogue`), and ``ra``, ``dec`` (of the
    cluster's centre, degrees where they have no unit) and ``r200`` (Mpc where it has none). The last three
    are taken from the ``cluster.json`` of a simulated field where they are no columns. Names are in any case.
    """
    table = read_catalogue(fields, as_text=_TEXT)
    root = Path(fields).parent if isinstance(fields, str | Path) else Path()
    name = "cluster" if find_column(table.colnames, "cluster") else "short"
    file, ra, dec, r200 = (find_column(table.colnames, one) for one in ("catalogue", "ra", "dec", "r200"))
    needed = {"cluster": name, "redshift": "redshift"}
    if file is None or find_column(table.colnames, "folder"):
        needed["folder"] = "folder"
    columns = find_columns(table, "fields", **needed)
    if not len(table):
        raise InputError("fields must hold at least one row, got none")
    names, *given = (np.char.strip(text(table[column])).tolist() for column in (columns[0], *columns[2:]))
    folders = given[0] if given else ["."] * len(table)
    redshifts, _ = read_redshifts(table, columns[1])
    if "" in names or "" in folders or not np.isfinite(redshifts).all():
        raise InputError("fields must give cluster, redshift and folder in each row, got an empty one")
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise InputError(f"fields must list each cluster once, got {twice} more often")
    wanted = set(names if clusters is None else clusters)
    if unknown := sorted(wanted - set(names)):
        raise InputError(f"clusters must be of {names}, got {unknown}")
    nothing = np.full(len(table), np.nan)
    files = [""] * len(table) if file is None else np.char.strip(text(table[file])).tolist()
    centres = np.stack([nothing] * 2) if ra is None or dec is None else read_positions(table, ra, dec)
    radii = nothing if r200 is None else numbers(table[r200], u.Mpc)
    found = []
    for row, cluster in enumerate(names):
        if cluster in wanted:
            folder = root / folders[row]
            geometry = _geometry(folder, *centres[:, row].tolist(), float(radii[row]))
            listed = folder / (files[row] or catalogue)
            found.append(ListedField(cluster, float(redshifts[row]), folder, listed, *geometry))
    return found


def _geometry(folder: Path, *known: float) -> tuple[SkyCoord | None, u.Quantity | None]:
    """Centre and R200 of the table (degrees, Mpc), or else of a simulated field's ``cluster.json``."""
    path = folder / "cluster.json"
    about: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    ra, dec, size = (
        value if np.isfinite(value) else about.get(key, np.nan)
        for value, key in zip(known, ("ra_deg", "dec_deg", "r200_mpc"), strict=True)
    )
    centre = None if out_of_bounds(np.array([[ra], [dec]]))[0] else SkyCoord(ra, dec, unit="deg")
    return centre, size * u.Mpc if np.isfinite(size) else None


def write_fields(fields: str | Path | Table, path: str | Path) -> Path:
    """Write a list of fields, as for `read_fields`, to another file, from which the same folders are found.

    Its column ``folder`` is relative to it, and it has ``cluster`` whatever the list called its names.
    """
    listed = read_fields(fields)
    table = read_catalogue(fields, as_text=_TEXT)
    table["cluster"] = [one.cluster for one in listed]
    table["folder"] = [os.path.relpath(one.folder, Path(path).parent) for one in listed]
    return write_table(table, path)


def field_sources(fields: Iterable[ListedField], columns: Sequence[str]) -> QTable:
    """All catalogued sources of several fields, in their order, with these columns, such as ``mag_F814``."""
    tables = [read_catalogue(one.catalogue, list(columns)) for one in fields]
    return vstack(tables, metadata_conflicts="silent")


def annulus_coverage(
    fields: Iterable[ListedField],
    edges: ArrayLike,
    *,
    bands: Sequence[str] | None = None,
    margin: u.Quantity = 0 * u.arcsec,
) -> dict[str, NDArray[np.float64]]:
    """Share of annuli in which all bands of a field have data, shape (bin,), by cluster.

    The `edges`, shape (bin + 1,), are in units of R200; fields without centre or R200 are left out. See
    `~labkit.sources.mosaics.annulus_shares`.
    """
    radii = np.asarray(edges, dtype=np.float64)
    return {
        one.cluster: annulus_shares(
            read_mosaics(one.folder, bands=bands), one.centre, radii * one.r200_angle, margin=margin
        )
        for one in fields
        if one.centre is not None and one.r200_angle is not None
    }


def counts_table(sample: Sample) -> Table:
    """What became of the catalogued sources of a Sample of members, field by field, with a last row of sums.

    ``cluster``; ``listed`` sources; ``without_position``, ``merged``, ``unlabelled`` (left out where only
    labelled ones were wanted), ``outside``, ``incomplete`` (lack a needed band), ``kept``; of these
    ``member``, ``non-member``, ``unknown``; ``redshift_not_accepted``, ``redshift_sentinel`` (99 and the
    like, of all listed) and ``contradicting`` (labels emptied), of all.
    """
    fields = sample.provenance.get("fields")
    if not fields:
        raise InputError("sample must be one of cluster members, with a record of its fields; got none")
    rows = [[field["cluster"], *(field["counts"][name] for name in _COUNTS)] for field in fields]
    rows.append(["all", *np.sum([row[1:] for row in rows], axis=0).tolist()])
    return Table(rows=rows, names=["cluster", *_COUNTS])
