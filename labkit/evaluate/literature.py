"""Published numbers, joined to measured ones in columns of their own.

The tables lie in ``data/published/`` as ECSV text, ``<paper>_<table>.ecsv``, as printed. Their ``meta`` has
the source, ``columns`` (what this package calls a printed column), ``values`` (what a table prints for a
measured value) and ``notes`` where the printed numbers contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table, join

from labkit.errors import InputError, MissingDataError
from labkit.evaluate.measures import MEASURES
from labkit.evaluate.tables import ENDINGS
from labkit.paths import data_folder

#: Abbreviations of Angora et al. (2020), appendix A.3.
SHORT = {"accuracy": "AE", "purity": "pur", "completeness": "compl", "f1": "F1", "auc": "AUC"}


def published_names(*, folder: str | Path | None = None) -> tuple[str, ...]:
    """Names of the published tables, ``<paper>_<table>``, sorted."""
    where = Path(folder) if folder is not None else data_folder("published")
    return tuple(sorted(path.stem for path in where.glob("*.ecsv")))


def published(paper: str, table: str, *, folder: str | Path | None = None) -> QTable:
    """One table of a paper.

    Parameters
    ----------
    paper : str
        ``"kosiba2020"`` or ``"angora2020"``.
    table : str
        Such as ``"table5"``.
    folder : path, optional
        Where the tables are, by default ``data/published``.

    Returns
    -------
    `~astropy.table.QTable`
        The numbers as printed, columns by the names of `labkit.evaluate.measure`; ``meta`` holds source, doi,
        table number, caption, section, and notes on numbers that contradict each other.

    Raises
    ------
    MissingDataError
        If there is no such table.
    """
    where = Path(folder) if folder is not None else data_folder("published")
    path = where / f"{paper}_{table}.ecsv"
    if not path.is_file():
        raise MissingDataError(
            f"table must be one of {published_names(folder=where)} (paper and table), got {paper}_{table}"
        )
    found = QTable.read(path, format="ascii.ecsv")
    for printed, ours in found.meta.get("columns", {}).items():
        found.rename_column(printed, ours)
    return found


def join_published(
    measured: Table,
    paper: str,
    table: str | Table,
    *,
    data: Literal["real", "simulated"],
    names: Mapping[str, str] | None = None,
    unmeasured: Literal["keep", "drop"] = "keep",
    folder: str | Path | None = None,
) -> QTable:
    """Join the published values of the same rows to a measured table, as further columns.

    Rows are joined by the columns of text that both have: networks, classes, clusters, bands, folds. Nothing
    is averaged or subtracted across the two; numbers measured on simulated objects are no test of published
    ones.

    Parameters
    ----------
    measured : Table
        From `labkit.evaluate.measure`, or another table with such columns.
    paper : str
        The paper.
    table : str or Table
        One of its tables, or rows made of one.
    data : {"real", "simulated"}
        What the measured objects were.
    names : mapping of str to str, optional
        What the paper calls measured networks, bins of redshift and so on, where it differs.
    unmeasured : {"keep", "drop"}
        What to do with published rows that were not measured; if they are dropped, a measured table without
        rows is given back as it is.
    folder : path, optional
        As for `published`.

    Returns
    -------
    `~astropy.table.QTable`
        The columns of `measured`, values that name a row as published, then ``<name>_published`` for each
        number that both have, with ``_published_std`` where an error is printed. Published rows first, in
        their order; measured ones without a counterpart follow. Numbers that are missing are NaN or masked.
        ``meta`` has source, doi, caption, notes, and in ``measures`` the measures joined.

    Raises
    ------
    MissingDataError
        If there is no such table.
    InputError
        If an option is not one of its words, the tables share no column of text or no number, `names` points
        to nothing measured or published, or two measured rows stand for one published.
    """
    if not len(measured) and unmeasured == "drop":
        return QTable(measured, copy=True)
    if data not in ("real", "simulated"):
        raise InputError(f"data must be 'real' or 'simulated', got {data!r}")
    if unmeasured not in ("keep", "drop"):
        raise InputError(f"unmeasured must be 'keep' or 'drop', got {unmeasured!r}")
    printed = published(paper, table, folder=folder) if isinstance(table, str) else table
    shared = [name for name in printed.colnames if name in measured.colnames]
    keys = [
        name for name in shared if printed[name].dtype.kind == "U" == np.asarray(measured[name]).dtype.kind
    ]
    numbers = [name for name in shared if printed[name].dtype.kind in "if" and not name.endswith(ENDINGS[1:])]
    if not keys or not numbers:
        raise InputError(
            f"measured must have rows and columns like the published table, {printed.colnames}, got "
            f"{measured.colnames}"
        )
    ours = QTable(measured, copy=True)
    _rename_values(ours, printed, keys, dict(names or {}))
    for side, one in (("measured", ours), ("published", printed)):
        if len({tuple(row) for row in one[keys]}) < len(one):
            raise InputError(f"{side} must have one row for each {', '.join(keys)}, got some twice")
    ours["_row"] = np.arange(len(ours))
    theirs = QTable({name: printed[name] for name in keys})
    theirs["_place"] = np.arange(len(theirs))
    for name in numbers:
        for column in (name, f"{name}_std"):
            if column in printed.colnames:
                theirs[column.replace(name, f"{name}_published", 1)] = printed[column]
    kind = "outer" if unmeasured == "keep" else "left"
    result = join(ours, theirs, keys=keys, join_type=kind, metadata_conflicts="silent")
    place, row = (np.ma.filled(np.ma.asarray(result[n], dtype=float), np.inf) for n in ("_place", "_row"))
    result = result[np.lexsort((row, place))]
    result.remove_columns(["_place", "_row"])
    for name in result.colnames:
        if result[name].dtype.kind == "f" and hasattr(result[name], "mask"):
            result[name] = np.ma.filled(result[name], np.nan)
    result.meta = {key: printed.meta.get(key, "") for key in ("source", "doi", "caption", "notes")}
    result.meta["measures"] = [name for name in numbers if printed[name].dtype.kind == "f"]
    if data == "simulated":
        result.meta["note"] = "Measured on simulated objects; published numbers are of real ones."
    return result


def _rename_values(measured: QTable, printed: Table, keys: Sequence[str], names: dict[str, str]) -> None:
    """Put what the paper calls them into the measured columns that name a row."""
    known = {str(value) for key in keys for value in printed[key]}
    there = {str(value) for key in keys for value in measured[key]}
    if wrong := sorted({*(set(names) - there), *(set(names.values()) - known)}):
        raise InputError(f"names must map measured {sorted(there)} to published {sorted(known)}, got {wrong}")
    standing = printed.meta.get("values", {})
    for key in keys:
        every = {**standing.get(key, {}), **names}
        measured[key] = [every.get(str(value), str(value)) for value in measured[key]]


def as_text(
    table: Table,
    *,
    measures: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    digits: int | None = None,
    bounds: bool = True,
    percent: bool = False,
) -> QTable:
    """A table of measures for people: each as one column, "0.881 ± 0.012 [0.863, 0.899]".

    Parameters
    ----------
    table : Table
        From `labkit.evaluate.measure` or `join_published`.
    measures : sequence of str, optional
        Columns to show; with each goes its published one where there is one. By default those that were
        joined, or all of the five that the table has.
    keep : sequence of str, optional
        Other columns to keep as they are; those of text always are. By default all.
    digits : int, optional
        Digits after the point, 3 or, in per cent, 1.
    bounds : bool
        Show the interval, too.
    percent : bool
        As Angora et al. (2020) print it: per cent, under "AE", "pur", "compl", "F1", "AUC", and the published
        value under "AE, paper".

    Returns
    -------
    `~astropy.table.QTable`
        Text; unknown parts are left out, an undefined measure is "undefined", an unpublished one "–".
    """
    every = list(table.meta.get("measures") or [name for name in MEASURES if name in table.colnames])
    chosen = every if measures is None else list(measures)
    if missing := [name for name in (*chosen, *(keep or ())) if name not in table.colnames]:
        raise InputError(f"measures and keep must name columns, got none for {missing}: {table.colnames}")
    if not chosen:
        raise InputError(f"measures must name a column at least, got none of {table.colnames}")
    shown = dict.fromkeys(
        one for name in chosen for one in (name, f"{name}_published") if one in table.colnames
    )
    known = dict.fromkeys((*every, *chosen, *MEASURES))
    hidden = {f"{name}{kind}{end}" for name in known for kind in ("", "_published") for end in ENDINGS}
    words = [name for name in table.colnames if np.asarray(table[name]).dtype.kind == "U"]
    kept = [name for name in table.colnames if name not in hidden]
    if keep is not None:
        kept = [name for name in table.colnames if name in (*words, *keep)]
    text = QTable({name: table[name] for name in kept})
    places = (1 if percent else 3) if digits is None else digits
    for name in shown:
        measure, paper = name.removesuffix("_published"), name.endswith("_published")
        header = f"{SHORT.get(measure, measure)}{', paper' if paper else ''}" if percent else name
        blank = "–" if paper else "undefined"
        scale = 100 if percent else 1
        text[header] = [_cell(row, name, places, bounds, blank, scale) for row in table]
    return text


def _cell(row: Any, name: str, digits: int, bounded: bool, blank: str, scale: int) -> str:
    value, std, low, high = (
        scale * float(np.ma.filled(np.ma.asarray(row[key], dtype=float), np.nan))
        if key in row.colnames
        else np.nan
        for key in (name, f"{name}_std", f"{name}_low", f"{name}_high")
    )
    scatter = f" ± {std:.{digits}f}" if np.isfinite(std) else ""
    bounds = f" [{low:.{digits}f}, {high:.{digits}f}]" if bounded and np.isfinite(low) else ""
    return f"{value:.{digits}f}{scatter}{bounds}" if np.isfinite(value) else blank
