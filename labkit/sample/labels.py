"""A Sample's catalogue with further columns: labels of volunteers, an inspection's verdicts, anything."""

import copy
import difflib
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike

from labkit.errors import InputError, need_choice
from labkit.sample.sample import Sample
from labkit.tables import need_columns, numbers, read_catalogue, rows_of, text

log = logging.getLogger(__name__)

#: What a journal of verdicts may say of an object.
VERDICTS = ("agree", "relabel", "doubtful", "note", "withdrawn")
PARTS = ("train", "validation", "test")
_HASHED = ("label", "split")  # columns that a Sample's content_hash covers
_FIXED = ("object_id", "ra", "dec")


def with_columns(
    sample: Sample, columns: Mapping[str, ArrayLike], *, provenance: Mapping[str, Any] | None = None
) -> Sample:
    """A Sample with columns added to its catalogue, or replaced; pixels stay unread.

    Each column has one value per object; which object a row is cannot be changed. Where ``label`` or
    ``split`` change, so does ``content_hash``; a training on other columns is known by the labels it used.
    Entries of `provenance` (JSON) are added to the Sample's.
    """
    if fixed := [name for name in columns if name in _FIXED]:
        raise InputError(f"columns must not be any of {_FIXED}, got {fixed}")
    catalogue = QTable(sample.catalogue, copy=False)
    for name, values in columns.items():
        if np.shape(values) != (len(sample),):
            raise InputError(
                f"column {name!r} must have one value per object, {len(sample)}, got {np.shape(values)}"
            )
        catalogue[name] = text(values) if name in _HASHED else values
    joined = copy.copy(sample)
    joined.catalogue = catalogue
    joined.provenance = {**sample.provenance, **(provenance or {})}
    before = joined.__dict__.pop("content_hash", None)
    if before is not None:
        joined.__dict__["content_hash"] = _hash(before, sample.catalogue, catalogue)
    return joined


def _hash(before: str, old: QTable, new: QTable) -> str:
    """A new hash where a column that it covers has changed."""
    digest, changed = hashlib.sha256(before.encode()), False
    for name in _HASHED:
        if name in new.colnames:
            values = text(new[name])
            given = text(old[name]) if name in old.colnames else None
            changed |= given is None or not np.array_equal(values, given)
            digest.update("\n".join([name, *values.tolist()]).encode())
    return digest.hexdigest() if changed else before


def read_labels(path: str | Path) -> Table:
    """Read a table of labels or verdicts, in any format of `~labkit.tables.read_catalogue`.

    Lines that are not whole (a journal whose writer was killed) are left out and counted in the log. A
    fraction ``soft_<class>`` that is no number is refused.
    """
    table = read_catalogue(path, broken_lines="skip")
    for name in table.colnames:
        if name.startswith("soft_"):
            try:
                table[name] = numbers(table[name])
            except InputError as error:
                raise InputError(f"labels {str(path)!r}: {error}") from error
    return table


def _last_verdicts(table: Table, *, drop_doubtful: bool = False) -> Table:
    """The labels that verdicts change: the last verdict on each object counts."""
    need_columns(table, ("object_id", "verdict", "label"), "a table of verdicts")
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


def check_parts(values: np.ndarray) -> None:
    """Refuse parts other than train, validation and test, with the one that is meant."""
    if bad := sorted(set(values.tolist()) - {"", *PARTS}):
        hints = ", ".join(f"{word!r}{meant_part(word)}" for word in bad)
        raise InputError(f"split must be empty or one of {PARTS}, got {hints}")


def meant_part(word: str) -> str:
    """A question that names the part which a misspelt word may mean; nothing where it is like none."""
    known = {part[:n]: part for part in PARTS for n in range(2, len(part) + 1)} | {"dev": "validation"}
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f" (did you mean {known[near[0]]!r}?)" if near else ""


def _label_columns(table: Table, *, into: str, split: str) -> dict[str, np.ndarray]:
    """What a table of labels puts into a catalogue, (row,) each, by the name of the column there."""
    need_columns(table, ("object_id", "label"), "a table of labels")
    if twice := [name for name, n in Counter(text(table["object_id"]).tolist()).items() if n > 1]:
        raise InputError(
            f"object_id must be unique in a table of labels, got {twice[:3]} again; remove the repeats"
        )
    columns: dict[str, np.ndarray] = {into: text(table["label"])}
    if "split" in table.colnames:
        columns[split] = text(table["split"])
        check_parts(columns[split])
    for name in table.colnames:
        if name.startswith("soft_"):
            columns[name] = numbers(table[name])
    return columns


def with_labels(
    sample: Sample,
    table: Table | str | Path,
    *,
    into: str = "label",
    unknown: Literal["refuse", "drop"] = "refuse",
    doubtful: Literal["keep", "drop"] = "keep",
) -> Sample:
    """A Sample with labels of a table joined to its catalogue by ``object_id``; pixels stay unread.

    A table of labels has ``object_id`` and ``label``, and may have ``split`` and fractions ``soft_<class>``.
    A table of verdicts (a column ``verdict``, as the inspector writes them) changes the label where the last
    verdict on an object is "relabel"; "agree", "note", "withdrawn" change nothing.

    The table's ``split`` goes into the column that belongs to `into`: "split" for "label", "volunteer_split"
    for "volunteer_label". A further split never takes an object out of the Sample's own test part: what all
    networks are measured on is not trained on. For ``content_hash`` see `labkit.sample.with_columns`.

    Parameters
    ----------
    sample : Sample
        Unchanged.
    table : Table or path
        Labels or verdicts; a file in any format of `read_catalogue`.
    into : str
        Column of the catalogue that gets the labels; made where it is missing.
    unknown : {"refuse", "drop"}
        What to do with rows whose object is not in the Sample; "drop" logs their number. A table without any
        object of the Sample is refused in both cases.
    doubtful : {"keep", "drop"}
        Whether a verdict "doubtful" empties the label, so that the object takes no part in training.

    Returns
    -------
    Sample
        The same pixels with another catalogue.

    Raises
    ------
    InputError
        If a column is missing, an object comes twice in a table of labels or is unknown, or a split or
        verdict is not one that is known. Labels are checked against the classes of what is trained on them.
    """
    need_choice("unknown", unknown, ("refuse", "drop"))
    need_choice("doubtful", doubtful, ("keep", "drop"))
    given = read_labels(table) if isinstance(table, str | Path) else table
    if "verdict" in given.colnames:
        given = _last_verdicts(given, drop_doubtful=doubtful == "drop")
    further = into.replace("label", "split") if "label" in into else f"{into}_split"
    columns = _label_columns(given, into=into, split=further)
    rows, found = _rows(sample, given, unknown=unknown)
    joined = {}
    for name, values in columns.items():
        old = _old(sample.catalogue, name, values)
        joined[name] = old.astype(np.result_type(old, values))
        joined[name][rows] = values[found]
    if further in columns and further != "split" and "split" in sample.catalogue.colnames:
        tested = text(sample.catalogue["split"]) == "test"
        joined[further] = np.where(tested, "test", joined[further])
    return with_columns(sample, joined)


def with_label_files(sample: Sample, files: Iterable[str | Path]) -> Sample:
    """A Sample with the labels of several files, joined in this order, each in the column where it belongs.

    Verdicts go into ``label``, volunteers' votes (a table with ``n_votes``) into ``volunteer_label``, any
    other table into ``label``; ``"<column>=<file>"`` names the column. Errors are those of `with_labels`,
    with the file.
    """
    for file in map(str, files):
        into, _, path = file.rpartition("=") if not Path(file).is_file() else ("", "", file)
        table = read_labels(path)
        into = into or ("volunteer_label" if "n_votes" in table.colnames else "label")
        try:
            sample = with_labels(sample, table, into=into)
        except InputError as error:
            raise InputError(f"labels {path!r}: {error}") from error
    return sample


def _rows(sample: Sample, table: Table, *, unknown: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the Sample, and the rows of the table that belong to them; in linear time."""
    rows = rows_of(sample.object_ids, table["object_id"])
    strange, found = np.flatnonzero(rows < 0), np.flatnonzero(rows >= 0)
    if len(strange):
        first = str(text(table["object_id"])[strange[0]])
        if unknown == "refuse" or not len(found):
            raise InputError(
                f"object_id must name objects of the Sample, got {len(strange)} of {len(rows)} that are not "
                f"in it, first {first!r}; give the table of this Sample, or unknown='drop' to leave those out"
            )
        log.info("%d of %d labels are of objects not in the Sample; left out", len(strange), len(rows))
    return rows[found], found


def _old(catalogue: QTable, name: str, values: np.ndarray) -> np.ndarray:
    worded = values.dtype.kind == "U"
    if name not in catalogue.colnames:
        return np.full(len(catalogue), "" if worded else np.nan, dtype=values.dtype)
    column = catalogue[name]
    return text(column) if worded else numbers(column)
