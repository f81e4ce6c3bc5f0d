"""Published numbers, and what was measured set beside them without mixing the two.

The tables lie in ``data/published/`` as ECSV text, ``<paper>_<table>.ecsv``, with source, table number and
caption in their metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.evaluate.tables import METRICS

__all__ = ["beside_published", "published_folder", "published_table", "published_tables"]


def published_folder() -> Path:
    """Folder of the published tables: in the installed package, or in the checkout around it.

    Raises
    ------
    MissingDataError
        If there is neither.
    """
    package = Path(str(resources.files("labkit")))
    places = (package / "data" / "published", package.parent / "data" / "published")
    for place in places:
        if place.is_dir():
            return place
    raise MissingDataError(
        f"the published tables must be in {places[0]} or {places[1]}, found neither; install labkit again"
    )


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
        The paper; only ``"kosiba2020"`` so far.
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


def _row(name: str, origin: str, data: str, row: QTable.Row, columns: tuple[str, ...]) -> dict[str, object]:
    numbers = {key: float(row[key]) if key in row.colnames else np.nan for key in columns}
    return {"network": name, "from": origin, "data": data, **numbers}


def beside_published(
    summary: QTable,
    table: str = "table5",
    *,
    data: Literal["real", "simulated"],
    names: Mapping[str, str] | None = None,
    paper: str = "kosiba2020",
    folder: str | Path | None = None,
) -> QTable:
    """What was measured, each row under the published row of the same network.

    Nothing is subtracted or averaged across the two: every row says whether it is published or
    measured and whether the objects were real or simulated. Numbers measured on a simulated survey are
    no test of the published ones.

    Parameters
    ----------
    summary : `~astropy.table.QTable`
        From `labkit.evaluate.tables.summary_table`.
    table : str
        A published table with a column ``network`` and measures, such as ``"table5"``.
    data : {"real", "simulated"}
        What the measured objects were.
    names : mapping of str to str, optional
        Published network of each experiment, where the names differ.
    paper, folder
        As for `published_table`.

    Returns
    -------
    `~astropy.table.QTable`
        ``network``, ``from`` ("published" with its table, or "measured"), ``data``, then each measure of both
        with ``_std``, and ``_low`` and ``_high`` of the measured ones (NaN where there is none).
        Published networks that were not measured are kept; experiments that were not published
        come last. The order is the published one.

    Raises
    ------
    MissingDataError
        If there is no such table.
    InputError
        If `data` is neither word, the table has no networks, `names` points to an unknown experiment or
        network, or two experiments stand for the same network.
    """
    if data not in ("real", "simulated"):
        raise InputError(f"data must be 'real' or 'simulated', got {data!r}")
    published = published_table(table, paper=paper, folder=folder)
    if "network" not in published.colnames or len(set(published["network"])) != len(published):
        raise InputError(f"table must have one row a network, such as 'table5', got {table!r}")
    measured = {str(row["experiment"]): row for row in summary}
    known, names = set(published["network"].tolist()), dict(names or {})
    if wrong := sorted({*(set(names) - set(measured)), *(set(names.values()) - known)}):
        raise InputError(
            f"names must map experiments {sorted(measured)} to networks {sorted(known)}, got {wrong}"
        )
    network = {name: names.get(name, name) for name in measured}
    if len(set(network.values())) != len(network):
        raise InputError(f"each experiment must stand for another network, got {network}")
    shown = [m for m in METRICS if m in published.colnames and m in summary.colnames]
    columns = tuple(f"{m}{ending}" for m in shown for ending in ("", "_std", "_low", "_high"))
    origin, sky = f"published, {table}", str(published.meta["data"])
    rows = []
    for row in published:
        name = str(row["network"])
        rows.append(_row(name, origin, sky, row, columns))
        rows += [_row(name, "measured", data, measured[e], columns) for e, n in network.items() if n == name]
    rows += [_row(n, "measured", data, measured[e], columns) for e, n in network.items() if n not in known]
    result = QTable(rows=rows)
    result.meta.update(
        source=published.meta["source"],
        doi=published.meta["doi"],
        caption=published.meta["caption"],
        note="" if data == "real" else "Measured rows are on simulated objects; published rows on real ones.",
    )
    return result
