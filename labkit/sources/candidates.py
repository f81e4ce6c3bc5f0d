"""Lists of candidates: tables, region files, positions."""

from __future__ import annotations

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.registry import IORegistryError
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.regions import read_regions
from labkit.tables import read_catalogue

__all__ = ["position_names", "read_candidates"]

FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".vot": "votable", ".xml": "votable", ".txt": "ascii"}


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
        A DS9 region file (``.reg``); a table file (FITS, ECSV, CSV, VOTable, Parquet); a table; or positions.
    wcs : astropy.wcs.WCS
        World coordinates of the image, for regions in image coordinates.
    ra, dec : str
        Columns with the ICRS position; degrees where they have no unit.
    object_id : str
        Column with the ids. Where there is none, ids are made from the positions.

    Returns
    -------
    astropy.table.QTable
        ``object_id``, ``ra``, ``dec`` and all other columns of the source.

    Raises
    ------
    MissingDataError
        If there is no such file, or a column is missing.
    InputError
        If the list is empty, a position is not finite, an id comes twice, or the file cannot be read.
    """
    table = _read(source, wcs)
    if missing := [name for name in (ra, dec) if name not in table.colnames]:
        raise MissingDataError(
            f"candidates must have the columns {ra!r} and {dec!r}, got {table.colnames} without {missing}; "
            "name the right columns by ra= and dec="
        )
    if not len(table):
        raise InputError("candidates must hold at least one row, got an empty list; give another list")
    position = SkyCoord(_angle(table, ra), _angle(table, dec), frame="icrs")
    rest = [n for n in table.colnames if n not in {ra, dec, object_id, "object_id", "ra", "dec"}]
    named = object_id in table.colnames
    ids = np.asarray(table[object_id], dtype=str) if named else position_names(position)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"candidates must have unique ids, got {values[counts > 1][:5].tolist()} more than once in "
            f"{object_id!r}; remove the repeats or name another column by object_id="
        )
    columns = {"object_id": ids, "ra": position.ra.to(u.deg), "dec": position.dec.to(u.deg)}
    return QTable(columns | {name: table[name] for name in rest})


def position_names(positions: SkyCoord) -> np.ndarray:
    """Names of the form JHHMMSS.s+DDMMSS, truncated as the IAU asks, with a letter where two are equal.

    Parameters
    ----------
    positions : astropy.coordinates.SkyCoord
        Shape (n,).

    Returns
    -------
    numpy.ndarray
        Names, shape (n,), all different.
    """
    tenths = np.floor(np.round(positions.icrs.ra.wrap_at(360 * u.deg).deg * 2400, 6)).astype(int) % 864000
    seconds = np.floor(np.round(np.abs(positions.icrs.dec.deg) * 3600, 6)).astype(int)
    signs = np.where(positions.icrs.dec.deg < 0, "-", "+")
    names: list[str] = []
    seen: dict[str, int] = {}
    for t, sign, s in zip(tenths, signs, seconds, strict=True):
        hours, minutes, rest = t // 36000, t // 600 % 60, t % 600
        name = f"J{hours:02d}{minutes:02d}{rest // 10:02d}.{rest % 10}"
        name += f"{sign}{s // 3600:02d}{s // 60 % 60:02d}{s % 60:02d}"
        repeat = seen[name] = seen.get(name, -1) + 1
        names.append(name if not repeat else f"{name}_{repeat + 1}")
    return np.array(names)


def _read(source: str | Path | Table | SkyCoord, wcs: WCS) -> QTable:
    if isinstance(source, SkyCoord):
        positions = source.reshape(-1).icrs
        return QTable({"ra": positions.ra, "dec": positions.dec})
    if isinstance(source, Table):
        return QTable(source)
    path = Path(source)
    if path.suffix == ".reg":
        return read_regions(path, wcs)
    if not path.is_file():
        raise MissingDataError(f"there is no candidate list {str(path)!r}; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            if path.suffix == ".parquet":
                return read_catalogue(path)
            return QTable(Table.read(path, format=FORMATS.get(path.suffix)))
    except (IORegistryError, ValueError, OSError, TypeError, IndexError) as error:
        raise InputError(
            f"candidates must be a DS9 region file (.reg) or a table (FITS, ECSV, CSV, VOTable, Parquet), "
            f"but {path.name!r} cannot be read ({error}); save it in one of these forms"
        ) from error


def _angle(table: QTable, name: str) -> u.Quantity:
    column = table[name]
    try:
        if isinstance(column, u.Quantity) and column.unit is not u.dimensionless_unscaled:
            values = column.to(u.deg)
        else:
            values = np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan) * u.deg
    except (u.UnitConversionError, ValueError) as error:
        raise InputError(f"candidates column {name!r} must hold angles in degrees ({error})") from error
    if not np.isfinite(values.value).all():
        bad = np.flatnonzero(~np.isfinite(values.value))
        raise InputError(
            f"candidates column {name!r} must be finite, got none in rows {bad[:5].tolist()}; drop them"
        )
    if name == "dec" and (np.abs(values) > 90 * u.deg).any():
        raise InputError(
            f"candidates column {name!r} must lie between -90 and 90 deg, got {np.abs(values).max()}"
        )
    return values
