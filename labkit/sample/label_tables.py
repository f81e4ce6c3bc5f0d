"""Tables of labels: read from a file, checked, and reduced to what each object's label becomes."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.table import Table

from labkit.errors import InputError, MissingDataError
from labkit.tables import numbers, read_catalogue, text
from labkit.taxonomy import SCHEMES

__all__ = ["VERDICTS", "checked_labels", "last_verdicts", "read_labels"]

log = logging.getLogger(__name__)

#: What a journal of verdicts may say of an object.
VERDICTS = ("agree", "relabel", "doubtful", "note", "withdrawn")
_PARTS = ("", "train", "validation", "test")


def read_labels(path: str | Path) -> Table:
    """Read a table of labels or verdicts: .csv, .ecsv, .parquet or .fits.

    Ids of a CSV stay text as they are written. Lines of a CSV that are not whole (a journal whose writer was
    killed) are left out and counted in the log.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the format is another one, or the file is not of it.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"labels must be a file, got {str(path)!r}; check the path")
    if path.suffix == ".parquet":
        return read_catalogue(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    formats = {".ecsv": "ascii.ecsv", ".fits": "fits"}
    if path.suffix not in formats:
        raise InputError(f"labels must end in .csv, .ecsv, .parquet or .fits, got {str(path)!r}")
    try:
        table = Table.read(path, format=formats[path.suffix])
    except (ValueError, OSError) as error:
        raise InputError(f"labels {str(path)!r} cannot be read as {path.suffix} ({error})") from error
    table.convert_bytestring_to_unicode()
    return table


def _read_csv(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        names, *lines = list(csv.reader(file)) or [[]]
    if not names:
        raise InputError(f"labels {str(path)!r} must have a line of column names, got an empty file")
    whole = [line for line in lines if len(line) == len(names)]
    if broken := sum(map(bool, lines)) - len(whole):
        log.warning("%s: %d lines are not whole and were left out", path, broken)
    table = Table(rows=whole or None, names=names, dtype=[str] * len(names) if not whole else None)
    for name in names:
        if name.startswith("soft_"):
            table[name] = [float(value or "nan") for value in table[name]]
    return table


def _need(table: Table, *names: str) -> None:
    if missing := [name for name in names if name not in table.colnames]:
        raise InputError(
            f"a table of labels must have the columns {names}, {missing} missing in {table.colnames}"
        )


def last_verdicts(table: Table, *, drop_doubtful: bool = False) -> Table:
    """The labels that verdicts change: the last verdict on each object counts.

    Parameters
    ----------
    table : Table
        Columns ``object_id``, ``verdict`` (one of `VERDICTS`) and ``label``.
    drop_doubtful : bool
        Empty the label of objects whose last verdict is "doubtful".

    Returns
    -------
    Table
        ``object_id`` and ``label`` of the objects whose label changes.

    Raises
    ------
    InputError
        If a column is missing, a verdict unknown, or "relabel" comes without a label.
    """
    _need(table, "object_id", "verdict", "label")
    ids, verdicts, labels = (text(table[name]) for name in ("object_id", "verdict", "label"))
    if unknown := sorted(set(verdicts.tolist()) - set(VERDICTS)):
        raise InputError(f"verdict must be one of {VERDICTS}, got {unknown}")
    last = np.array(sorted({name: row for row, name in enumerate(ids.tolist())}.values()), dtype=np.int64)
    changing = np.isin(verdicts[last], ["relabel", *(["doubtful"] if drop_doubtful else [])])
    rows = last[changing]
    relabelled = verdicts[rows] == "relabel"
    if (bad := relabelled & (labels[rows] == "")).any():
        raise InputError(f"a verdict 'relabel' must give a label, got none for {str(ids[rows][bad][0])!r}")
    return Table({"object_id": ids[rows], "label": np.where(relabelled, labels[rows], "")})


def checked_labels(table: Table, *, into: str, split: str) -> dict[str, np.ndarray]:
    """What a table of labels puts into a catalogue, by the name of the column there.

    Parameters
    ----------
    table : Table
        Columns ``object_id``, ``label``, and maybe ``split`` and ``soft_<class>``.
    into, split : str
        Columns of the catalogue for labels and parts.

    Returns
    -------
    dict of str to ndarray, shape (row,)
        Text; the fractions as float64, NaN where there is none.

    Raises
    ------
    InputError
        If a column is missing, an object comes twice, or a label or part is unknown.
    """
    _need(table, "object_id", "label")
    if twice := [name for name, n in Counter(text(table["object_id"]).tolist()).items() if n > 1]:
        raise InputError(
            f"object_id must be unique in a table of labels, got {twice[:3]} again; remove the repeats"
        )
    columns = {into: text(table["label"])}
    known = {label for scheme in SCHEMES.values() for label in (*scheme.mapping, *scheme.left_out)}
    if bad := sorted(set(columns[into].tolist()) - known - {""}):
        raise InputError(
            f"labels must be empty or known to a class scheme, got {bad}; known: {sorted(known)}"
        )
    if "split" in table.colnames:
        columns[split] = text(table["split"])
        if bad := sorted(set(columns[split].tolist()) - set(_PARTS)):
            raise InputError(f"split must be one of {_PARTS}, got {bad}")
    for name in table.colnames:
        if name.startswith("soft_"):
            columns[name] = numbers(table[name])
    return columns
