"""Columns of a user's catalogue as plain numbers and names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from labkit.errors import InputError

__all__ = ["degrees", "names", "redshifts"]

#: Redshifts below this stand for "none" (-1, -99); stars lie about 0.
_NO_REDSHIFT = -0.05


def degrees(table: QTable, name: str) -> NDArray[np.float64]:
    """Angles of a column in degrees, NaN where masked.

    Parameters
    ----------
    table : QTable
        The catalogue.
    name : str
        The column; degrees where it has no unit.

    Returns
    -------
    ndarray of float64, shape (n,)
        Degrees.

    Raises
    ------
    InputError
        If the column holds no numbers, or has a unit that is none of an angle.
    """
    unit = getattr(table[name], "unit", None)
    if unit is not None and not unit.is_equivalent(u.deg):
        raise InputError(f"column {name!r} must hold angles, got the unit {unit}")
    values = _numbers(table[name], name)
    return values if unit is None else (values * unit).to_value(u.deg)


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    plain = getattr(column, "value", column)
    try:
        if isinstance(plain, Masked):
            return plain.astype(np.float64).filled(np.nan)
        return np.ma.filled(np.ma.asarray(plain).astype(np.float64), np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"column {name!r} must hold numbers ({error}); name another column") from error


def redshifts(
    table: QTable, z: str | None, quality: str | None, accepted: Collection[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Redshifts that count, and those that do not for their quality.

    Parameters
    ----------
    table : QTable
        The catalogue.
    z, quality : str or None
        Columns.
    accepted : collection
        Values of the quality that count.

    Returns
    -------
    redshift : ndarray of float64, shape (n,)
        NaN where there is none that counts.
    refused : ndarray of bool, shape (n,)
        Where there is one that does not.

    Raises
    ------
    InputError
        If the column holds no numbers, or no redshift has an accepted quality.
    """
    found = np.full(len(table), np.nan) if z is None else _numbers(table[z], z)
    found[~np.isfinite(found) | (found < _NO_REDSHIFT)] = np.nan
    measured = np.isfinite(found)
    if quality is None:
        return found, np.zeros(len(table), dtype=bool)
    flags = table[quality]
    good = np.isin(np.ma.getdata(flags), np.array(list(accepted))) & ~np.ma.getmaskarray(flags)
    if measured.any() and not (measured & good).any():
        there = sorted({str(value) for value in np.asarray(flags)})[:8]
        raise InputError(
            f"accepted must hold values of the column {quality!r}, got {list(accepted)}; there are {there}"
        )
    return np.where(good, found, np.nan), measured & ~good


def names(table: QTable, source_id: str | None, cluster: str) -> NDArray[np.str_]:
    """Names of the sources, all beginning with the cluster's, so that fields can be joined.

    Parameters
    ----------
    table : QTable
        The catalogue.
    source_id : str or None
        Column with names; where it is not there, rows are numbered from 0.
    cluster : str
        Short name of the cluster.

    Returns
    -------
    ndarray of str, shape (n,)
        ``<cluster>-<name>``.
    """
    if source_id is not None and source_id in table.colnames:
        own = [str(name).strip() for name in np.ma.getdata(table[source_id])]
    else:
        own = [f"{row:05d}" for row in range(len(table))]
    return np.array([name if name.startswith(f"{cluster}-") else f"{cluster}-{name}" for name in own])
