"""Published numbers in columns beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from astropy.table import MaskedColumn, QTable, Table

from labkit.errors import InputError

__all__ = ["beside"]

#: Measured columns that stand for published ones of another name.
_COLUMNS = {
    "selection": "part",
    "sample": "part",
    "true_members": "members",
    "predicted_members": "predicted",
}
#: Measured values that stand for published ones, in columns that name a row.
_VALUES = {
    "bands": {"mixed_star": "mixed*"},
    "method": {"cnn": "CNN", "bayesian": "Bayesian"},
    "selection": {
        "all": "total",
        "magnitude < 25": "F814 < 25.0",
        "magnitude >= 25": "F814 >= 25.0",
        "colour < -0.5": "diff < -0.5",
        "colour < 0": "diff < 0.0",
        "colour >= 0": "diff >= 0.0",
    },
    "sample": {"all": "complete", "magnitude < 25, colour >= -0.5": "F814 < 25 and diff >= -0.5"},
}
_ENDINGS = ("", "_std", "_error", "_low", "_high")


def beside(
    measured: QTable,
    published: QTable,
    *,
    data: Literal["real", "simulated"],
    names: Mapping[str, str] | None = None,
    unmeasured: Literal["keep", "drop"] = "keep",
) -> QTable:
    """A measured table with the published values of the same rows in further columns.

    Rows are joined by the columns of text that both have, whatever the table: clusters, bands, classes,
    training ranges, methods. Numbers measured on simulated objects are no test of the published ones.

    Parameters
    ----------
    measured : `~astropy.table.QTable`
        From the functions of `labkit.evaluate.members`.
    published : `~astropy.table.QTable`
        From `labkit.evaluate.published_table`, ``paper="angora2020"``.
    data : {"real", "simulated"}
        What the measured objects were.
    names : mapping of str to str, optional
        Published value of measured ones in columns that name a row, where they differ: bins of redshift, for
        example, have other edges. "mixed_star" is known to be "mixed*", and so are the parts of Tables 3, 4.
    unmeasured : {"keep", "drop"}
        What to do with published rows that were not measured.

    Returns
    -------
    `~astropy.table.QTable`
        Columns that name a row, as published; what else was measured (masked where nothing was); then for
        each number that both have ``<measure>`` with ``_std``, ``_error``, ``_low`` and ``_high`` as far as
        they are there, ``<measure>_published`` and, where an error is printed, ``<measure>_published_std``.
        Published rows first, in their order; measured ones without a counterpart follow. ``meta`` has source,
        caption, a note, and in ``measures`` the names for `labkit.evaluate.as_text`.

    Raises
    ------
    InputError
        If an option is not one of its words, the tables share no column of text or no measure, or two
        measured rows stand for one published.
    """
    if data not in ("real", "simulated"):
        raise InputError(f"data must be 'real' or 'simulated', got {data!r}")
    if unmeasured not in ("keep", "drop"):
        raise InputError(f"unmeasured must be 'keep' or 'drop', got {unmeasured!r}")
    column = {name: _counterpart(name, measured) for name in published.colnames}
    keys = [name for name in published.colnames if column[name] and published[name].dtype.kind == "U"]
    numbers = [
        name
        for name in published.colnames
        if column[name] and published[name].dtype.kind in "if" and not name.endswith("_std")
    ]
    if not keys or not numbers:
        raise InputError(
            f"measured must have rows and columns like the published table, {published.colnames}, got "
            f"{measured.colnames}"
        )
    rows = _by_key(measured, {key: column[key] for key in keys}, dict(names or {}))
    printed = {tuple(str(row[key]) for key in keys): row for row in published}
    order = [key for key in printed if unmeasured == "keep" or key in rows]
    order += [key for key in rows if key not in printed]
    result = QTable({key: [values[number] for values in order] for number, key in enumerate(keys)})
    result.meta.update({key: published.meta.get(key, "") for key in ("source", "doi", "caption")})
    measures = [name for name in numbers if published[name].dtype.kind == "f"]
    result.meta["measures"] = [one for name in measures for one in (name, f"{name}_published")]
    if data == "simulated":
        result.meta["note"] = "Measured on simulated objects; published numbers are of real ones."
    shown = {f"{column[name]}{end}" for name in numbers for end in _ENDINGS} | {column[key] for key in keys}
    for name in measured.colnames:
        if name not in shown:
            result[name] = _filled(rows, order, name, measured)
    for name in numbers:
        for table, source, into, found in (
            (measured, column[name], name, rows),
            (published, name, f"{name}_published", printed),
        ):
            for end in _ENDINGS:
                if f"{source}{end}" in table.colnames:
                    result[f"{into}{end}"] = _filled(found, order, f"{source}{end}", table)
    return result


def _counterpart(name: str, measured: Table) -> str:
    """Measured column of a published one, empty if there is none."""
    if name in measured.colnames:
        return name
    other = _COLUMNS.get(name, "")
    return other if other in measured.colnames else ""


def _by_key(
    measured: QTable, columns: Mapping[str, str], names: Mapping[str, str]
) -> dict[tuple[str, ...], QTable.Row]:
    found: dict[tuple[str, ...], QTable.Row] = {}
    for row in measured:
        own = [(key, str(row[column])) for key, column in columns.items()]
        key = tuple(names.get(value, _VALUES.get(name, {}).get(value, value)) for name, value in own)
        if key in found:
            raise InputError(f"measured must have one row for each {', '.join(columns)}, got {key} twice")
        found[key] = row
    return found


def _filled(
    rows: Mapping[tuple[str, ...], QTable.Row], order: list[tuple[str, ...]], name: str, table: QTable
) -> MaskedColumn | np.ndarray:
    """A column in the order of the result: NaN, or masked, where there is no such row."""
    kind = table[name].dtype
    values = [rows[key][name] if key in rows else None for key in order]
    if kind.kind == "f":
        return np.array([np.nan if value is None else float(value) for value in values])
    blank = np.zeros(1, dtype=kind)[0]
    missing = [value is None for value in values]
    filled = np.array([blank if value is None else value for value in values], dtype=kind)
    return MaskedColumn(filled, mask=missing) if any(missing) else filled
