"""Columns of outside tables, and positions on the sky: degrees, hours, or sexagesimal text."""

import re
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.tables import find_column, numbers, text

_SEXAGESIMAL = re.compile(r"[:hdm°]|\d\s+\d")


def find_columns(table: Table, what: str, **wanted: str | None) -> list[Any]:
    """The columns of a table as it spells them, by the arguments that name them; None is kept."""
    found = [name and find_column(table.colnames, name) for name in wanted.values()]
    names = [name for name in wanted.values() if name is not None]
    if missing := [name for name in names if find_column(table.colnames, name) is None]:
        raise MissingDataError(
            f"{what} must have the columns {names}, got {table.colnames} without {missing}; name the right "
            f"ones by {', '.join(f'{argument}=' for argument in wanted)}"
        )
    return found


def read_positions(table: Table, ra: str, dec: str) -> NDArray[np.float64]:
    """Right ascension and declination (ICRS, degrees) of each row, shape (2, n); NaN where there is none.

    Columns without a unit hold degrees, or sexagesimal text: hours and degrees. Declinations may lie out of
    bounds (-99 for none); `out_of_bounds` finds them.
    """
    return np.stack([_degrees(table[ra], ra, u.hourangle), _degrees(table[dec], dec, u.deg)])


def out_of_bounds(sky: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows that are nowhere on the sky, shape (n,)."""
    return ~np.isfinite(sky).all(axis=0) | (np.abs(sky[1]) > 90)


def position_names(positions: SkyCoord) -> NDArray[np.str_]:
    """Names of the form JHHMMSS.s+DDMMSS, truncated as the IAU asks, with a number where two are equal."""
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
    return np.array(names, dtype=str)


def _degrees(column: Any, name: str, unit: u.UnitBase) -> NDArray[np.float64]:
    own = getattr(column, "unit", None)
    if own is not None and own.is_equivalent(u.hour) and unit is u.hourangle:
        return numbers(column, u.hour) * 15
    if own is not None and own.is_equivalent(u.deg):
        return numbers(column, u.deg)
    if own is not None and own != u.dimensionless_unscaled and not isinstance(own, u.UnrecognizedUnit):
        raise InputError(f"column {name!r} must hold angles, got the unit {own}; name another column")
    if getattr(column, "dtype", np.dtype(float)).kind in "SUO":
        words = np.char.strip(text(column))
        if any(_SEXAGESIMAL.search(word) for word in words.tolist()):
            return np.array(
                [_angle(word, name, row, unit) for row, word in enumerate(words.tolist(), start=1)]
            )
    return numbers(column)


def _angle(word: str, name: str, row: int, unit: u.UnitBase) -> float:
    try:
        return float(Angle(word, unit).deg) if word else np.nan
    except (ValueError, TypeError) as error:
        raise InputError(f"column {name!r} must hold angles, got {word!r} in row {row} ({error})") from error
