"""Lists of candidates: tables, region files, positions."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.positions import position_names, read_positions
from labkit.sources.regions import read_regions
from labkit.tables import find_column, read_catalogue, text


def read_candidates(
    source: str | Path | Table | SkyCoord,
    *,
    wcs: WCS,
    ra: str = "ra",
    dec: str = "dec",
    object_id: str = "object_id",
) -> QTable:
    """Make a candidate list out of a table, a file or positions.

    Parameters
    ----------
    source : path, Table or SkyCoord
        A DS9 region file (``.reg``); a table file for `~labkit.tables.read_catalogue`; a table; or positions.
    wcs : astropy.wcs.WCS
        World coordinates of the image, for regions in image coordinates.
    ra, dec : str
        Columns with the ICRS position, in any case; degrees where they have no unit, or sexagesimal text.
    object_id : str
        Column with the ids, kept as text. Where there is none, or a row has none, ids are made from the
        positions.

    Returns
    -------
    astropy.table.QTable
        ``object_id``, ``ra``, ``dec`` and all other columns of the source; ``label`` as text, "" if unknown.

    Raises
    ------
    MissingDataError
        If there is no such file, or a column is missing.
    InputError
        If the list is empty, a position is not on the sky, an id comes twice, or the file cannot be read.
    """
    table = _read(source, wcs, object_id)
    columns = [find_column(table.colnames, name) for name in (ra, dec)]
    if missing := [name for name, there in zip((ra, dec), columns, strict=True) if there is None]:
        raise MissingDataError(
            f"candidates must have the columns {ra!r} and {dec!r}, got {table.colnames} without {missing}; "
            "name the right columns by ra= and dec="
        )
    if not len(table):
        raise InputError("candidates must hold at least one row, got an empty list; give another list")
    sky = read_positions(table, *map(str, columns))
    for name, values, limit in zip(columns, sky, (np.inf, 90), strict=True):
        if (bad := np.flatnonzero(~np.isfinite(values) | (np.abs(values) > limit))).size:
            rule = "be finite" if np.isinf(limit) else "lie between -90 and 90 deg"
            raise InputError(
                f"candidates column {name!r} must {rule}, got {values[bad[0]]} in row {bad[0] + 1} and "
                f"{len(bad) - 1} more; drop these rows"
            )
    named, label = (find_column(table.colnames, name) for name in (object_id, "label"))
    ids = np.full(len(table), "") if named is None else text(table[named])
    blank = ids == ""
    ids = np.where(blank, position_names(SkyCoord(*sky, unit="deg")), ids)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"candidates must have unique ids, got {values[counts > 1][:5].tolist()} more than once in "
            f"{object_id!r}; remove the repeats or name another column by object_id="
        )
    right_ascension = np.where((sky[0] < 0) | (sky[0] >= 360), sky[0] % 360, sky[0])
    ours = QTable({"object_id": ids, "ra": right_ascension * u.deg, "dec": sky[1] * u.deg})
    for name in table.colnames:
        if name == label:
            ours["label"] = np.char.strip(text(table[name]))
        elif name not in {*columns, named, "object_id", "ra", "dec"}:
            ours[name] = table[name]
    return ours


def _read(source: str | Path | Table | SkyCoord, wcs: WCS, object_id: str) -> QTable:
    if isinstance(source, SkyCoord):
        positions = source.reshape(-1).icrs
        return QTable({"ra": positions.ra, "dec": positions.dec})
    if isinstance(source, Table):
        return QTable(source)
    path = Path(source)
    if path.suffix.lower() == ".reg":
        return read_regions(path, wcs)
    return read_catalogue(path, as_text=[object_id])
