"""Labels from elsewhere joined to a Sample: volunteers' votes, an inspection's verdicts, a catalogue's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.sample.columns import with_columns
from labkit.sample.label_tables import checked_labels, last_verdicts, read_labels
from labkit.sample.sample import Sample
from labkit.tables import numbers, text

__all__ = ["with_label_files", "with_labels"]

log = logging.getLogger(__name__)


def with_labels(
    sample: Sample,
    table: Table | str | Path,
    *,
    into: str = "label",
    unknown: Literal["refuse", "drop"] = "refuse",
    others: Literal["keep", "empty"] = "keep",
    doubtful: Literal["keep", "drop"] = "keep",
) -> Sample:
    """A Sample with labels of a table joined to its catalogue by ``object_id``; pixels stay unread.

    Two kinds of table are taken. One of labels has ``object_id`` and ``label``, and may have ``split`` and
    fractions ``soft_<class>``. One of verdicts (a column ``verdict``, as the inspector writes them) changes
    the label where the last verdict on an object is "relabel"; "agree", "note", "withdrawn" change nothing.

    The table's ``split`` goes into the column that belongs to `into`: "split" for "label", "volunteer_split"
    for "volunteer_label". A further split never takes an object out of the Sample's own test part: what all
    networks are measured on is not trained on. Where the columns ``label`` or ``split`` change, so does
    ``content_hash``; trainings on other columns are told apart by the labels they used.

    Parameters
    ----------
    sample : Sample
        Unchanged.
    table : Table or path
        Labels or verdicts; a file is read by `read_labels`.
    into : str
        Column of the catalogue that gets the labels; made where it is missing.
    unknown : {"refuse", "drop"}
        What to do with rows whose object is not in the Sample; "drop" logs their number. A table without any
        object of the Sample is refused in both cases.
    others : {"keep", "empty"}
        Objects that the table does not list keep what they have, or lose it.
    doubtful : {"keep", "drop"}
        Whether a verdict "doubtful" empties the label, so that the object takes no part in training.

    Returns
    -------
    Sample
        The same pixels with another catalogue.

    Raises
    ------
    InputError
        If a column is missing, an object comes twice in a table of labels, an object is unknown, or a label,
        split or verdict is not one that is known.
    """
    for name, value, known in (
        ("unknown", unknown, ("refuse", "drop")),
        ("others", others, ("keep", "empty")),
        ("doubtful", doubtful, ("keep", "drop")),
    ):
        if value not in known:
            raise InputError(f"{name} must be one of {known}, got {value!r}")
    given = read_labels(table) if isinstance(table, str | Path) else table
    if "verdict" in given.colnames:
        given = last_verdicts(given, drop_doubtful=doubtful == "drop")
    further = _split_name(into)
    columns = checked_labels(given, into=into, split=further)
    rows, found = _rows(sample, given, unknown=unknown)
    joined = {
        name: _put(_old(sample.catalogue, name, values, empty=others == "empty"), rows, values[found])
        for name, values in columns.items()
    }
    if further in columns and further != "split" and "split" in sample.catalogue.colnames:
        tested = text(sample.catalogue["split"]) == "test"
        joined[further] = np.where(tested, "test", joined[further])
    return with_columns(sample, joined)


def with_label_files(sample: Sample, files: Iterable[str | Path], **options: str) -> Sample:
    """A Sample with the labels of several files, each in the column where it belongs.

    Verdicts go into ``label``, volunteers' votes (a table with ``n_votes``) into ``volunteer_label``, any
    other table into ``label``; ``"<column>=<file>"`` names the column.

    Parameters
    ----------
    sample : Sample
        Unchanged.
    files : iterable of str or path
        Tables for `with_labels`, joined in this order.
    **options
        Further options of `with_labels`.

    Returns
    -------
    Sample
        The same pixels with another catalogue.

    Raises
    ------
    MissingDataError
        If a file is not there.
    InputError
        As for `with_labels`; the file is named.
    """
    for file in map(str, files):
        into, _, path = file.rpartition("=") if not Path(file).is_file() else ("", "", file)
        table = read_labels(path)
        into = into or ("volunteer_label" if "n_votes" in table.colnames else "label")
        try:
            sample = with_labels(sample, table, into=into, **options)  # type: ignore[arg-type]
        except InputError as error:
            raise InputError(f"labels {path!r}: {error}") from error
    return sample


def _split_name(into: str) -> str:
    return into.replace("label", "split") if "label" in into else f"{into}_split"


def _rows(sample: Sample, table: Table, *, unknown: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the Sample, and the rows of the table that belong to them; in linear time."""
    names = text(table["object_id"]).tolist()
    position = {name: row for row, name in enumerate(sample.object_ids.tolist())}
    pairs = [(position[name], row) for row, name in enumerate(names) if name in position]
    if strange := len(names) - len(pairs):
        first = next(name for name in names if name not in position)
        if unknown == "refuse" or not pairs:
            raise InputError(
                f"object_id must name objects of the Sample, got {strange} of {len(names)} that are not in "
                f"it, first {first!r}; give the table of this Sample, or unknown='drop' to leave those out"
            )
        log.info("%d of %d labels are of objects that are not in the Sample; left out", strange, len(names))
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _old(catalogue: QTable, name: str, values: np.ndarray, *, empty: bool) -> np.ndarray:
    worded = values.dtype.kind == "U"
    if name not in catalogue.colnames or empty:
        return np.full(len(catalogue), "" if worded else np.nan, dtype=values.dtype)
    column = catalogue[name]
    return text(column) if worded else numbers(column)


def _put(old: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    result = old.astype(np.result_type(old, new))
    result[rows] = new
    return result
