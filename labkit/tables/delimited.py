"""Tables of text with delimiters: commas, semicolons, tabs, bars or blanks."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.tables.columns import MISSING

logger = logging.getLogger(__name__)

#: Columns that are text even where every value looks like a number.
TEXT_COLUMNS = {
    *("object_id", "source_id", "subject_id", "id", "name", "label", "split", "cluster"),
    *("verdict", "note", "true", "experiment", "user_name"),
}
_MOST_COLUMNS = 10_000
_LETTERS = 500_000_000  # that a column may take in memory


def decode(content: bytes, path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16, with or without a byte-order mark, or else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not UTF-8; read as Latin-1", path)
        return content.decode("latin-1")


def read_delimited(
    content: str,
    path: Path,
    columns: Collection[str] | None,
    *,
    delimiter: str,
    as_text: Collection[str],
    skip_broken: bool,
) -> Table:
    """A table out of text; `delimiter` is what stands if the line of names shows no other."""
    lines = list(io.StringIO(content, newline=""))  # ends of lines of any system, those inside quotes too
    body = list(dropwhile(lambda line: not line.strip() or line.startswith("#"), lines))
    comments = [line for line in lines[: len(lines) - len(body)] if line.strip(" #\r\n")]
    named = (body or comments[-1:] or [""])[0]
    if delimiter not in named:
        delimiter = next((d for d in "\t,;|" if d in named), delimiter)
    names = next(_split(body[:1], delimiter, path), [])
    above = next(_split([comments[-1].lstrip("#").strip()] if comments else [], delimiter, path), [])
    if above and (not body or _is_header(above, names)):
        names = above
    else:
        body = body[1:]
    if not any(names):
        raise InputError(f"table {str(path)!r} must have a line of column names, got none; add one")
    names = _different(names, path)
    held: dict[int, list[str]] = {i: [] for i, n in enumerate(names) if columns is None or n in columns}
    broken = 0
    for number, row in enumerate(_split(body, delimiter, path), start=1):
        if len(row) > len(names) and not any(row[len(names) :]):
            row = row[: len(names)]
        if not row or (row[0].startswith("#") and len(row) != len(names)):
            continue
        if len(row) != len(names):
            if not skip_broken:
                raise InputError(
                    f"table {str(path)!r}, row {number}: must have {len(names)} fields as the line of names "
                    f"has, got {len(row)} ({str(row)[:60]}); mend it"
                )
            broken += 1
            continue
        for place, values in held.items():
            values.append(row[place])
    if broken:
        logger.warning("%s: %d lines are not whole and were left out", path, broken)
    plain = {name.lower() for name in as_text} | TEXT_COLUMNS
    table = Table()
    for place, values in held.items():
        array = _bounded(values, names[place], path)
        table[names[place]] = (
            array if names[place].lower() in plain else _typed(array, comma=delimiter == ";")
        )
    return table


def _is_header(comment: list[str], first: list[str]) -> bool:
    """Whether a comment names the columns: a word for each field of the first line, which holds a number."""
    return len(comment) == len(first) and any(re.match(r"[-+]?\.?\d", value) for value in first)


def _split(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[list[str]]:
    """Fields of each row; none where all are blank."""
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in rows:
            fields = [value for value in row if value] if delimiter == " " else row
            yield fields if any(fields) else []
    except csv.Error as error:
        raise InputError(
            f"table {str(path)!r}, row {rows.line_num} or the one after: {error}; mend this row"
        ) from error


def _different(names: Sequence[str], path: Path) -> list[str]:
    """Names of columns, each once: an empty one is numbered, a repeated one too, with a word in the log."""
    if len(names) > _MOST_COLUMNS:
        raise InputError(f"table {str(path)!r} must have at most {_MOST_COLUMNS} columns, got {len(names)}")
    result: list[str] = []
    for number, name in enumerate((name.strip() for name in names), start=1):
        own = name or f"column_{number}"
        if own in result:
            logger.warning(
                "%s: column %r comes twice; the later one is called %r", path, own, f"{own}_{number}"
            )
            own = f"{own}_{number}"
        result.append(own)
    return result


def _bounded(values: list[str], name: str, path: Path) -> NDArray[np.str_]:
    longest = max(map(len, values), default=0)
    if longest * len(values) > _LETTERS:
        raise InputError(
            f"table {str(path)!r}: column {name!r} holds texts of up to {longest} letters in {len(values)} "
            "rows, too many for memory; shorten them or leave the column out"
        )
    return np.array(values, dtype=str)


def _typed(values: NDArray[np.str_], *, comma: bool) -> NDArray | MaskedColumn:
    """Numbers or truth values where all that is there is one, else text as it is."""
    plain = np.char.strip(values)
    missing = np.isin(np.char.lower(plain), MISSING)
    there = plain[~missing]
    letters = set("".join(there.tolist()))
    if not there.size or "_" in letters:
        return values
    if comma and "," in letters and "." not in letters:
        there, letters = np.char.replace(there, ",", "."), letters - {","} | {"."}
    try:
        if set(np.char.lower(there).tolist()) <= {"true", "false"}:
            found = np.char.lower(there) == "true"
        elif letters <= set("0123456789+-"):
            digits = np.char.lstrip(there, "+-")
            if (np.char.startswith(digits, "0") & (np.char.str_len(digits) > 1)).any():
                return values
            found = there.astype(np.int64)
        else:
            found = there.astype(np.float64)
    except (ValueError, OverflowError):
        return values
    if not missing.any():
        return found
    whole = np.zeros(len(values), dtype=found.dtype)
    whole[~missing] = found
    return MaskedColumn(whole, mask=missing)
