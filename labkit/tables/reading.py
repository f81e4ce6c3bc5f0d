"""Tables read from files of any of the usual formats, within bounds and one error.

A format is an entry of `_READERS`, or of `_DELIMITERS` where it is text, at the end of this module. In text,
`TEXT_COLUMNS` and `_typed` decide which columns stay text.
"""

import csv
import gzip
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, boundary
from labkit.tables.columns import MISSING, decoded, is_missing, parts, text
from labkit.tables.writing import META

logger = logging.getLogger(__name__)

# A file may hold as many rows as it has bytes, and unpack to this many times its size; more is a trick.
_HEADS = 4_000_000
#: Cards of FITS that astropy walks through, with numbers that no file has.
ENDLESS = re.compile(rb"(?<![^ ])(NAXIS|TFIELDS) *= *(\d{4,})")
_LEAST_ROWS, _LEAST_BYTES, _UNPACKED = 1_000_000, 64_000_000, 50
#: Columns that are text even where every value looks like a number.
TEXT_COLUMNS = {
    *("object_id", "source_id", "subject_id", "id", "name", "label", "split", "cluster"),
    *("verdict", "note", "true", "experiment", "user_name"),
}
_MOST_COLUMNS = 10_000
_LETTERS = 500_000_000  # that a column may take in memory


def read_catalogue(
    path: str | Path | Table,
    columns: Collection[str] | None = None,
    *,
    as_text: Collection[str] = (),
    broken_lines: Literal["refuse", "skip"] = "refuse",
) -> QTable:
    """Read a table: FITS, ECSV, CSV and other text, VOTable (each plain or gzipped) or Parquet.

    The ending of the name, in any case, says the format: .fits, .fit; .ecsv; .csv, .tsv, .tab, .txt, .dat
    (the line of names shows the delimiter; comments may stand before it, or it may be one itself, also above
    a comment with units); .vot, .votable, .xml; .parquet. In text tables the columns that name or label
    objects (`TEXT_COLUMNS`) and those of `as_text` stay text as they are written, as does a column with a
    number such as 0042.

    Parameters
    ----------
    path : path or Table
        The file; a table is taken as it is.
    columns : collection of str, optional
        Read only these columns, by their exact names.
    as_text : collection of str
        Further columns of a text table that are text, whatever they look like.
    broken_lines : {"refuse", "skip"}
        Lines of a text table with too few or too many fields: an error, or left out with a word in the log.

    Returns
    -------
    `~astropy.table.QTable`
        With units where the file has them; text as str; masked where a value is missing. Columns of more than
        one value per row are left out.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the ending is another one, the file is damaged or claims more than it can hold, or lacks a column.
    """
    if isinstance(path, Table):
        return QTable(path)
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"table {str(path)!r} does not exist; check the path")
    ending = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if ending not in (known := [*_DELIMITERS, *_READERS]):
        raise InputError(f"a table must end in one of {', '.join(known)}, got {str(path)!r}")
    failed = boundary(
        f"table {str(path)!r} cannot be read as {ending}", "save it again, or in another format"
    )
    with failed, warnings.catch_warnings():
        warnings.simplefilter("ignore", (AstropyWarning, UserWarning))
        if ending in _DELIMITERS:
            options: dict[str, Any] = {
                "delimiter": _DELIMITERS[ending],
                "skip_broken": broken_lines == "skip",
            }
            table = _read_delimited(path, columns, as_text=as_text, **options)
        else:
            table = _READERS[ending](path, columns)
        return _tidy(table, columns, path)


def _tidy(table: Table, columns: Collection[str] | None, path: Path) -> QTable:
    """Text as str, native byte order, one value per row, and only the columns asked for."""
    if missing := sorted(set(columns or ()) - set(table.colnames)):
        raise InputError(f"table {str(path)!r} lacks the columns {missing}; it has {table.colnames}")
    names = table.colnames if columns is None else [n for n in table.colnames if n in columns]
    result, wide = QTable(meta=dict(table.meta)), []
    for name in names:
        column = table[name]
        if isinstance(column, Time):
            column = Column(np.asarray(column.isot))
        if not hasattr(column, "dtype") or (column.ndim > 1 and column.shape[1:] != (1,)):
            wide.append(name)
            continue
        values, mask, unit = parts(column)
        if values.dtype.kind in "SO":
            plain = text(column)
            mask = mask | np.array([is_missing(value) for value in values.tolist()], dtype=bool)
            column = _column(plain, mask)
        elif column.ndim > 1 or not values.dtype.isnative:
            column = _column(values.astype(values.dtype.newbyteorder("=")), mask, unit)
        result[name] = column
    if wide:
        if columns is not None:
            raise InputError(f"columns {wide} of {str(path)!r} must hold one value per row; name others")
        logger.info("%s: left out the columns %s, more than one value per row", path.name, wide)
    return QTable(result, copy=False)


def _column(values: NDArray, mask: NDArray, unit: u.UnitBase | None = None) -> Column:
    return MaskedColumn(values, mask=mask, unit=unit) if mask.any() else Column(values, unit=unit)


def is_gzipped(path: Path) -> bool:
    """Whether a file's first bytes say that it is compressed by gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _contents(path: Path) -> bytes:
    """Bytes of a file, unpacked if it is gzipped, but never many times its size."""
    if not is_gzipped(path):
        return path.read_bytes()
    limit = max(_LEAST_BYTES, _UNPACKED * path.stat().st_size)
    with gzip.open(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputError(
            f"table {str(path)!r} must unpack to at most {_UNPACKED} times its size; unpack it yourself "
            "(gunzip) if that is right"
        )
    return content


def _check_rows(rows: int, size: int, path: Path) -> None:
    if rows < 0 or rows > max(_LEAST_ROWS, size):
        raise InputError(
            f"table {str(path)!r} claims {rows} rows, more than its {size} bytes can hold; get it again"
        )


def decode(content: bytes, path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16, with or without a byte-order mark, or else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not UTF-8; read as Latin-1", path)
        return content.decode("latin-1")


def _read_delimited(
    path: Path,
    columns: Collection[str] | None,
    *,
    delimiter: str,
    as_text: Collection[str],
    skip_broken: bool,
) -> Table:
    """A table out of text; `delimiter` is what stands if the line of names shows no other."""
    content = decode(_contents(path), path)
    if content.startswith("# %ECSV"):
        return _parse_ecsv(content)
    lines = list(io.StringIO(content, newline=""))  # ends of lines of any system, those inside quotes too
    body = list(dropwhile(lambda line: not line.strip() or line.startswith("#"), lines))
    comments = [line.strip("# \t\r\n") for line in lines[: len(lines) - len(body)]]
    named = next(filter(None, body[:1] or reversed(comments)), "")
    if delimiter not in named:
        delimiter = next((d for d in "\t,;|" if d in named), delimiter)
    first = next(_split(body[:1], delimiter, path), [])
    names = _commented_names(comments, first, delimiter)
    if not names:
        names, body = first, body[1:]
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
        if len(row) == len(names):
            for place, values in held.items():
                values.append(row[place])
        elif skip_broken:
            broken += 1
        else:
            raise InputError(
                f"table {str(path)!r}, row {number}: must have {len(names)} fields as the line of names has, "
                f"got {len(row)} ({str(row)[:60]}); correct it"
            )
    if broken:
        logger.warning("%s: %d incomplete lines were left out", path, broken)
    plain = {name.lower() for name in as_text} | TEXT_COLUMNS
    table = Table()
    for place, values in held.items():
        name, array = names[place], _bounded(values, names[place], path)
        table[name] = array if name.lower() in plain else _typed(array, comma=delimiter == ";")
    return table


def _commented_names(comments: list[str], first: list[str], delimiter: str) -> list[str]:
    """Names of columns in the comments before data that begin with the row `first`; none if it holds words.

    Of the comments with a word for each field the last one counts, unless it reads as a line of units.
    """
    rows = (next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []) for line in comments)
    found = [[value for value in row if value] if delimiter == " " else row for row in rows if any(row)]
    if not first:
        return found[-1] if found else []
    if not any(re.match(r"[-+]?\.?\d", value) for value in first):
        return []
    fitting = [row for row in found if len(row) == len(first)]
    named = [row for row in fitting if len(set(row)) == len(row) and not all(map(_is_unit, row))]
    return (named or fitting or [[]])[-1]


def _is_unit(word: str) -> bool:
    """Whether a word is a unit, also in brackets, or a sign that there is none."""
    unit = u.Unit(word.strip("[]()"), parse_strict="silent")
    return not any(map(str.isalpha, word)) or not isinstance(unit, u.UnrecognizedUnit)


def _split(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[list[str]]:
    """Fields of each row; none where all are blank."""
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in rows:
            fields = [value for value in row if value] if delimiter == " " else row
            yield fields if any(fields) else []
    except csv.Error as error:
        raise InputError(
            f"table {str(path)!r}, row {rows.line_num} or the one after: {error}; correct it"
        ) from error


def _different(names: Sequence[str], path: Path) -> list[str]:
    """Names of columns, each once: an empty one is numbered, a repeated one too, with a word in the log."""
    if len(names) > _MOST_COLUMNS:
        raise InputError(f"table {str(path)!r} must have at most {_MOST_COLUMNS} columns, got {len(names)}")
    result: list[str] = []
    for number, name in enumerate((name.strip() for name in names), start=1):
        own = name or f"column_{number}"
        if own in result:
            new = f"{own}_{number}"
            logger.warning("%s: column %r comes twice; the later one is called %r", path, own, new)
            own = new
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


def _parse_ecsv(content: str) -> Table:
    # Only this engine keeps blanks at the ends of quoted text, and ids that begin with "#".
    lines = io.StringIO(content.replace("\r\n", "\n").replace("\r", "\n"))
    return Table.read(lines, format="ecsv", engine="pyarrow")


def _read_votable(path: Path, columns: Collection[str] | None) -> Table:
    content = _contents(path)
    for claim in re.findall(rb"(?:nrows|arraysize)\s*=\s*[\"']([\dx*\s]+)", content):
        for part in re.findall(rb"\d+", claim):
            _check_rows(int(part), len(content), path)
    # Astropy makes room for the claimed rows before it reads one.
    content = re.sub(rb"(<TABLE\b[^>]*?)\snrows\s*=\s*[\"'][^\"']*[\"']", rb"\1", content)
    found = parse_single_table(io.BytesIO(content), verify="ignore")
    table = found.to_table(use_names_over_ids=True)
    table.meta |= next((json.loads(info.value) for info in found.infos if info.name == META), {})
    return table


def _read_fits(path: Path, columns: Collection[str] | None) -> Table:
    packed = is_gzipped(path)
    with io.BytesIO(_contents(path)) if packed else path.open("rb") as file:
        if claim := ENDLESS.search(file.read(_HEADS)):
            raise InputError(
                f"table {str(path)!r} must have at most 999 {claim[1].decode()}, got "
                f"{claim[2].decode()[:20]}; get it again"
            )
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        hdus = fits.open(file, memmap=not packed)
        tables = (hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU))
        hdu = next((one for one in tables if len(one.columns)), None)
        if hdu is None:
            raise InputError(f"table {str(path)!r} must hold a table, got images only; give another file")
        _check_rows(int(hdu.header["NAXIS2"]), size, path)
        meta = json.loads(hdu.header[META]) if META in hdu.header else {}
        if isinstance(hdu, fits.TableHDU):
            return Table.read(hdu)
        result = Table(meta=meta)
        for column in hdu.columns:
            wanted = columns is None or column.name in columns
            if wanted and not re.match(r"\d*[PQ]", str(column.format)):
                result[column.name] = _fits_column(hdu, column)
        return result


def _fits_column(hdu: fits.BinTableHDU, column: fits.Column) -> Column:
    """One column with its mask and unit; astropy's own fails on a TNULL that the type cannot hold."""
    raw = np.asarray(hdu.data)[column.name]
    if raw.dtype.kind == "S":
        words = [decoded(value).rstrip() for value in raw.ravel().tolist()]
        return Column(np.array(words, dtype=str).reshape(raw.shape))
    values = np.array(hdu.data.field(column.name))
    mask = raw == 0 if values.dtype.kind == "b" else np.zeros(values.shape, dtype=bool)
    if column.null is not None and raw.dtype.kind in "iu":
        mask = raw == column.null
    unit = u.Unit(column.unit, parse_strict="silent") if column.unit else None
    return _column(values, mask, unit)


def _read_parquet(path: Path, columns: Collection[str] | None) -> Table:
    with pq.ParquetFile(path) as file:
        _check_rows(file.metadata.num_rows, path.stat().st_size, path)
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise InputError(f"table {str(path)!r} must have different columns, got {names}; rename them")
        arrow = file.read(columns=None if columns is None else [name for name in names if name in columns])
    table = Table(meta=json.loads((arrow.schema.metadata or {}).get(b"meta", b"{}")))
    for field in arrow.schema:
        if not pa.types.is_nested(field.type):
            table[field.name] = _arrow_column(arrow[field.name], field)
    return table


def _arrow_column(chunks: pa.ChunkedArray, field: pa.Field) -> Column:
    kind = field.type
    if pa.types.is_dictionary(kind):
        chunks, kind = chunks.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind):
        chunks = chunks.cast(pa.float64())
    mask = chunks.is_null().to_numpy()
    unit = u.Unit(field.metadata[b"unit"].decode()) if b"unit" in (field.metadata or {}) else None
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(chunks.type):
        fill = False if pa.types.is_boolean(kind) else 0
        values = (chunks.fill_null(fill) if mask.any() else chunks).to_numpy()
    else:
        if pa.types.is_temporal(kind):
            chunks = chunks.cast(pa.string())
        words = ["" if value is None else decoded(value) for value in chunks.to_pylist()]
        values = np.array(words, dtype=str)
    return _column(values, mask, unit)


_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": " ", ".dat": " "}
_READERS: dict[str, Callable[..., Table]] = {
    ".ecsv": lambda path, columns: _parse_ecsv(decode(_contents(path), path)),
    **dict.fromkeys((".fits", ".fit"), _read_fits),
    **dict.fromkeys((".vot", ".votable", ".xml"), _read_votable),
    ".parquet": _read_parquet,
}
