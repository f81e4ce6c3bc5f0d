"""Columns as plain arrays, whatever they are: masked, bytes, of shape (n, 1), big-endian or with units."""

import logging
from collections.abc import Iterable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from astropy.utils.masked import Masked
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

logger = logging.getLogger(__name__)

#: How a missing number is written in text, besides leaving it out.
MISSING = ("", "null", "none", "n/a", "na", "--")


def parts(column: Any) -> tuple[NDArray, NDArray[np.bool_], Any]:
    """Values, mask and unit of whatever stands for a column; shape (n,) also from (n, 1)."""
    unit = getattr(column, "unit", None)
    plain = column.value if isinstance(column, u.Quantity) else column
    if isinstance(plain, Masked):
        values, mask = np.asarray(plain.unmasked), np.asarray(plain.mask)
    else:
        values, mask = np.asarray(np.ma.getdata(plain)), np.asarray(np.ma.getmaskarray(plain))
    if values.ndim == 2 and values.shape[1] == 1:
        values, mask = values[:, 0], mask[:, 0]
    if values.ndim > 1:
        raise InputError(
            f"column {_name(column)!r} must hold one value per row, got the shape {values.shape}"
        )
    return values, mask, unit


def _name(column: Any) -> str:
    return str(getattr(getattr(column, "info", None), "name", None) or "(no name)")


def decoded(value: Any) -> str:
    """Bytes as text: UTF-8, or else Latin-1; a FITS string ends at its first NUL."""
    if not isinstance(value, bytes):
        return str(value)
    value = value.split(b"\0", 1)[0]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def is_missing(value: Any) -> bool:
    """Whether an object stands for no value: None, masked or NaN."""
    return value is None or value is np.ma.masked or (isinstance(value, float) and np.isnan(value))


def text(column: Any) -> NDArray[np.str_]:
    """A column of anything as plain text, shape (n,), also from (n, 1).

    Empty where masked or missing; whole numbers have no point and keep every digit.
    """
    values, mask, _ = parts(column)
    if values.dtype.kind == "f":
        values = values.astype(object)
    if values.dtype.kind in "SO":
        plain = [
            "" if is_missing(v) else str(int(v)) if isinstance(v, float) and v.is_integer() else decoded(v)
            for v in values.ravel().tolist()
        ]
        values = np.array(plain, dtype=str).reshape(values.shape)
    return np.where(mask, "", values.astype(str))


def numbers(column: Any, unit: u.UnitBase | str | None = None) -> NDArray[np.float64]:
    """A column of numbers, truth values or text that writes numbers as plain floats, shape (n,).

    NaN where masked, missing or blank. `unit` is that of the result, by default the column's own; a column
    without one is taken to be in it.
    """
    values, mask, own = parts(column)
    if values.dtype.kind in "SUO":
        values = _parsed(text(column), _name(column))
    elif values.dtype.kind not in "biuf":
        raise InputError(f"column {_name(column)!r} must hold numbers, got {values.dtype}; name another")
    plain = np.where(mask, np.nan, values.astype(np.float64))
    if unit is None or own is None or own == u.dimensionless_unscaled:
        return plain
    if getattr(own, "function_unit", None) == u.Unit(unit):  # magnitudes of any zero point
        return plain
    try:
        return np.asarray(own.to(u.Unit(unit), plain), dtype=np.float64)
    except (u.UnitConversionError, AttributeError) as error:
        raise InputError(
            f"column {_name(column)!r} must be convertible to {u.Unit(unit)}, got the unit {own}; "
            "correct its unit or name another column"
        ) from error


def magnitudes(column: Any) -> NDArray[np.float64]:
    """A column of magnitudes as plain floats; NaN where masked and where +-99 stands for "not measured"."""
    values = numbers(column, u.mag)
    unknown = np.isclose(np.abs(values), 99, rtol=1e-6, atol=0)
    if unknown.any():
        logger.info("column %r: %d magnitudes of +-99 are unknown", _name(column), int(unknown.sum()))
    return np.where(unknown, np.nan, values)


def _parsed(values: NDArray[np.str_], name: str) -> NDArray[np.float64]:
    result = np.full(len(values), np.nan)
    for row, value in enumerate(np.char.strip(values).tolist()):
        try:
            if value.lower() not in MISSING:
                result[row] = float(value)
        except ValueError:
            raise InputError(
                f"column {name!r} must hold numbers, got {value!r} in row {row + 1}; correct it or name "
                "another column"
            ) from None
    return result


def find_column(names: Iterable[str], wanted: str) -> str | None:
    """The column of this name, or else the only one of it in another case; None if there is none."""
    names = list(names)
    if wanted in names:
        return wanted
    alike = [name for name in names if name.lower() == wanted.lower()]
    if len(alike) > 1:
        raise InputError(f"column {wanted!r} must be one of {alike}; write it as it stands in the table")
    return alike[0] if alike else None


def need_columns(table: Table, needed: Iterable[str], name: str, *, hint: str = "") -> None:
    """Refuse a table that lacks columns."""
    needed = list(dict.fromkeys(needed))
    if missing := [column for column in needed if column not in table.colnames]:
        raise InputError(
            f"{name} must have the columns {needed}, {missing} missing; {hint or f'it has {table.colnames}'}"
        )


def rows_of(ids: ArrayLike | Column, wanted: ArrayLike | Column) -> NDArray[np.int64]:
    """The row of each wanted id among `ids`, each of which stands there once; -1 where it does not."""
    names = text(ids).tolist()
    position = dict(zip(names, range(len(names)), strict=True))
    if len(position) < len(names):
        repeated = [name for row, name in enumerate(names) if position[name] != row]
        raise InputError(
            f"ids must be unique, got {len(repeated)} repeated, first {repeated[:3]}; remove the repeats"
        )
    return np.array([position.get(name, -1) for name in text(wanted).tolist()], dtype=np.int64)
