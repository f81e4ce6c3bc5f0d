"""Published numbers, and what was measured set beside them without mixing the two.

The tables lie in ``data/published/`` as ECSV text, ``<paper>_<table>.ecsv``, with source, table number and
caption in their metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.evaluate.tables import METRICS
from labkit.paths import data_folder

__all__ = ["beside_published", "published_folder", "published_table", "published_tables"]


def published_folder() -> Path:
    """Folder of the published tables: in the installed package, or in the checkout around it.

    Raises
    ------
    MissingDataError
        If there is neither.
    """
    return data_folder("published")


def published_tables(*, folder: str | Path | None = None) -> tuple[str, ...]:
    """Names of the published tables, ``<paper>_<table>``, sorted."""
    where = Path(folder) if folder is not None else published_folder()
    return tuple(sorted(path.stem for path in where.glob("*.ecsv")))


def published_table(table: str, *, paper: str = "kosiba2020", folder: str | Path | None = None) -> QTable:
    """One table of a paper.

    Parameters
    ----------
    table : str
        For example ``"table5"``.
    paper : str
        ``"kosiba2020"`` or ``"angora2020"``.
    folder : path, optional
        Where the tables are, by default `published_folder`.

    Returns
    -------
    `~astropy.table.QTable`
        The numbers as printed; ``meta`` holds source, doi, table number, caption and section.

    Raises
    ------
    MissingDataError
        If there is no such table.
    """
    where = Path(folder) if folder is not None else published_folder()
    path = where / f"{paper}_{table}.ecsv"
    if not path.is_file():
        raise MissingDataError(
            f"table must be one of {published_tables(folder=where)} (paper and table), got {paper}_{table}"
        )
    return QTable.read(path, format="ascii.ecsv")


#: Columns that name a row: in the published tables, and in measured ones.
_KEYS = {"network": "experiment", "class": "class", "fold": "fold"}
_COUNTS = ("train", "validation", "test")


def beside_published(
    summary: QTable,
    table: str = "table5",
    *,
    data: Literal["real", "simulated"],
    names: Mapping[str, str] | None = None,
    paper: str = "kosiba2020",
    folder: str | Path | None = None,
) -> QTable:
    """What was measured, each row under the published row of the same network, class or fold.

    Nothing is subtracted or averaged across the two: every row says whether it is published or
    measured and whether the objects were real or simulated. Numbers measured on a simulated survey are
    no test of the published ones.

    Parameters
    ----------
    summary : `~astropy.table.QTable`
        What was measured. For ``"table5"`` from `labkit.evaluate.summary_table`, for ``"table6"`` from
        `labkit.evaluate.class_summary`, for ``"table7"`` one fold of `labkit.learn.fold_counts`, for
        ``"table8"`` from `labkit.evaluate.fold_table`.
    table : str
        A published table.
    data : {"real", "simulated"}
        What the measured objects were.
    names : mapping of str to str, optional
        Published network of each experiment, where the names differ.
    paper, folder
        As for `published_table`.

    Returns
    -------
    `~astropy.table.QTable`
        The columns that name a row (``network``, ``class``, ``fold``; a measured row's network is its
        experiment), ``from`` ("published" with its table, or "measured"), ``data``, then what both have:
        counts, or each measure with ``_std``, and ``_low`` and ``_high`` of the measured ones (NaN where
        there is none). Published rows that were not measured are kept. Measured rows that were not published,
        such as averages, follow those of their network; experiments that were not published come last.
        The fold numbers of two cross-validations have nothing in common but their order.

    Raises
    ------
    MissingDataError
        If there is no such table.
    InputError
        If `data` is neither word, the tables do not have the same kind of rows, `names` points to an unknown
        experiment or network, or two measured rows stand for the same published one.
    """
    if data not in ("real", "simulated"):
        raise InputError(f"data must be 'real' or 'simulated', got {data!r}")
    published = published_table(table, paper=paper, folder=folder)
    keys = [key for key in _KEYS if key in published.colnames]
    shown = [m for m in (*METRICS, *_COUNTS) if m in published.colnames and m in summary.colnames]
    lacking = [_KEYS[key] for key in keys if _KEYS[key] not in summary.colnames]
    if not keys or not shown or lacking:
        raise InputError(
            f"summary must have rows and columns like {table!r} ({published.colnames}), "
            f"lacks {lacking or 'its measures'}; measure what that table shows"
        )
    measured = _by_key(summary, keys, _published_names(summary, published, dict(names or {})))
    rows, last = [], len(published) - 1
    for number, row in enumerate(published):
        key = tuple(str(row[name]) for name in keys)
        rows.append(_cells(keys, key, f"published, {table}", str(published.meta["data"]), row, shown))
        if key in measured:
            rows.append(_cells(keys, key, "measured", data, measured.pop(key), shown))
        ends = number == last or (keys[0] == "network" and published["network"][number + 1] != key[0])
        left = [k for k in measured if k[0] == key[0] or (number == last and keys[0] != "network")]
        rows += [_cells(keys, k, "measured", data, measured.pop(k), shown) for k in left if ends]
    rows += [_cells(keys, k, "measured", data, row, shown) for k, row in measured.items()]
    result = QTable(rows=rows)
    result.meta.update(
        source=published.meta["source"],
        doi=published.meta["doi"],
        caption=published.meta["caption"],
        note="" if data == "real" else "Measured rows are on simulated objects; published rows on real ones.",
    )
    return result


def _published_names(summary: QTable, published: QTable, names: dict[str, str]) -> dict[str, str]:
    """The published network that each experiment stands for."""
    if "experiment" not in summary.colnames:
        return {}
    experiments = list(dict.fromkeys(str(name) for name in summary["experiment"]))
    if "network" not in published.colnames:
        if len(experiments) > 1:
            raise InputError(f"summary must be of one experiment for this table, got {experiments}")
        return {}
    known = set(published["network"].tolist())
    if wrong := sorted({*(set(names) - set(experiments)), *(set(names.values()) - known)}):
        raise InputError(
            f"names must map experiments {sorted(experiments)} to networks {sorted(known)}, got {wrong}"
        )
    network = {name: names.get(name, name) for name in experiments}
    if len(set(network.values())) != len(network):
        raise InputError(f"each experiment must stand for another network, got {network}")
    return network


def _by_key(summary: QTable, keys: list[str], network: dict[str, str]) -> dict[tuple[str, ...], QTable.Row]:
    """Measured rows by what names them."""
    found: dict[tuple[str, ...], QTable.Row] = {}
    for row in summary:
        key = tuple(network.get(str(row[_KEYS[name]]), str(row[_KEYS[name]])) for name in keys)
        if key in found:
            raise InputError(f"summary must have one row for each {' and '.join(keys)}, got {key} twice")
        found[key] = row
    return found


def _cells(
    keys: list[str], key: tuple[str, ...], origin: str, data: str, row: QTable.Row, shown: list[str]
) -> dict[str, object]:
    cells: dict[str, object] = {**dict(zip(keys, key, strict=True)), "from": origin, "data": data}
    for name in shown:
        if name in _COUNTS:
            cells[name] = int(row[name])
            continue
        for column in (f"{name}{ending}" for ending in ("", "_std", "_low", "_high")):
            cells[column] = float(row[column]) if column in row.colnames else np.nan
    return cells
