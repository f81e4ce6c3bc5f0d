"""Measures of a classification: their labels, colours, and names in tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.views.style import PALETTE

__all__ = [
    "FOUR",
    "MEASURES",
    "MEASURE_COLOURS",
    "MEASURE_MARKERS",
    "bounded",
    "column_of",
    "columns_of",
    "percent",
]

#: Label, and the columns that hold it: Angora et al. (2020), appendix A.3, and `labkit.evaluate`.
MEASURES = {
    "average efficiency": ("efficiency", "average_efficiency", "accuracy"),
    "purity": ("purity", "precision", "member_purity"),
    "completeness": ("completeness", "recall", "member_completeness"),
    "F1": ("f1", "member_f1"),
    "AUC": ("auc",),
}
MEASURE_COLOURS = dict(
    zip(MEASURES, (PALETTE[6], PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]), strict=True)
)
MEASURE_MARKERS = dict(zip(MEASURES, ("circle", "square", "triangle", "diamond", "hex"), strict=True))


#: Those of the paper's tables.
FOUR = tuple(MEASURES)[:4]


def column_of(table: Table, measure: str, *, name: str = "table") -> str:
    """The column that holds a measure.

    Parameters
    ----------
    table : Table
        Of measures.
    measure : str
        One of `MEASURES`, or the name of a column.
    name : str
        Of the table, for the message.

    Raises
    ------
    InputError
        If there is none.
    """
    choices = MEASURES.get(measure, (measure,))
    for choice in choices:
        if choice in table.colnames:
            return choice
    raise InputError(f"{name} must have one of the columns {choices} for {measure!r}, got {table.colnames}")


def columns_of(table: Table, needed: Sequence[str], *, name: str) -> None:
    """Refuse a table that lacks columns or rows.

    Raises
    ------
    InputError
        If so.
    """
    if missing := [column for column in needed if column not in table.colnames]:
        raise InputError(f"{name} must have the columns {list(needed)}, got none for {missing}")
    if not len(table):
        raise InputError(f"{name} must have a row at least, got none")


def percent(table: Table, column: str) -> NDArray[np.float64]:
    """A column of shares as per cent, NaN where masked or not there."""
    if column not in table.colnames:
        return np.full(len(table), np.nan)
    values = np.ma.asarray(getattr(table[column], "value", table[column]), dtype=np.float64)
    return 100 * np.asarray(values.filled(np.nan))


def bounded(table: Table, measure: str, name: str) -> tuple[NDArray, NDArray, NDArray]:
    """Value, lower and upper bound of a measure, in per cent, each of shape (row,).

    Parameters
    ----------
    table : Table
        With ``_low`` and ``_high``, or ``_std``, beside the measure where known.
    measure : str
        One of `MEASURES`.
    name : str
        Of the table; one named "published" may lack the measure, which gives NaN.
    """
    if name == "published" and not any(c in table.colnames for c in MEASURES.get(measure, (measure,))):
        return tuple(np.full((3, len(table)), np.nan))  # type: ignore[return-value]
    column = column_of(table, measure, name=name)
    value, std = percent(table, column), percent(table, f"{column}_std")
    low, high = percent(table, f"{column}_low"), percent(table, f"{column}_high")
    return value, np.where(np.isfinite(low), low, value - std), np.where(np.isfinite(high), high, value + std)
