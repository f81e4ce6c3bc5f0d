"""Tables read from files of any of the usual formats, within bounds and one error."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Collection
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

from labkit.errors import InputError, MissingDataError
from labkit.tables.columns import decoded, is_missing, parts, text
from labkit.tables.delimited import decode, read_delimited
from labkit.tables.writing import FITS_META

logger = logging.getLogger(__name__)

# A file may hold as many rows as it has bytes, and unpack to this many times its size; more is a trick.
_HEADS, _COUNTS = 4_000_000, re.compile(rb"(?<![^ ])(NAXIS|TFIELDS) *= *(\d{4,})")  # cards of FITS
_LEAST_ROWS, _LEAST_BYTES, _UNPACKED = 1_000_000, 64_000_000, 50


def read_catalogue(
    path: str | Path,
    columns: Collection[str] | None = None,
    *,
    as_text: Collection[str] = (),
    broken_lines: Literal["refuse", "skip"] = "refuse",
) -> QTable:
    """Read a table: FITS, ECSV, CSV and other text, VOTable (each plain or gzipped) or Parquet.

    The ending of the name, in any case, says the format: .fits, .fit; .ecsv; .csv, .tsv, .tab, .txt, .dat
    (the line of names shows the delimiter; comments may stand before it, or it may be one itself); .vot,
    .votable, .xml; .parquet. In text tables the columns that name or label objects (`TEXT_COLUMNS`) and those
    of `as_text` stay text as they are written, as does a column with a number such as 0042.

    Parameters
    ----------
    path : path
        The file.
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
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"table {str(path)!r} does not exist; check the path")
    ending = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if ending not in (known := [*_DELIMITERS, *_READERS]):
        raise InputError(f"a table must end in one of {', '.join(known)}, got {str(path)!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (AstropyWarning, UserWarning))
            if ending in _DELIMITERS:
                options = {"as_text": as_text, "skip_broken": broken_lines == "skip"}
                table = _read_text(path, columns, delimiter=_DELIMITERS[ending], **options)
            else:
                table = _READERS[ending](path, columns)
            return _tidy(table, columns, path)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"table {str(path)!r} cannot be read as {ending} ({type(error).__name__}: {error}); save it "
            "again, or as another format"
        ) from error


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
            column = MaskedColumn(plain, mask=mask) if mask.any() else Column(plain)
        elif column.ndim > 1 or not values.dtype.isnative:
            native = values.astype(values.dtype.newbyteorder("="))
            column = MaskedColumn(native, mask=mask, unit=unit) if mask.any() else Column(native, unit=unit)
        result[name] = column
    if wide:
        if columns is not None:
            raise InputError(f"columns {wide} of {str(path)!r} must hold one value per row; name others")
        logger.info("%s: left out the columns %s, more than one value per row", path.name, wide)
    return QTable(result, copy=False)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _contents(path: Path) -> bytes:
    """Bytes of a file, unpacked if it is gzipped, but never many times its size."""
    if not _is_packed(path):
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


def _read_text(path: Path, columns: Collection[str] | None, **options: Any) -> Table:
    content = decode(_contents(path), path)
    if content.startswith("# %ECSV"):
        return _parse_ecsv(content)
    return read_delimited(content, path, columns, **options)


def _read_ecsv(path: Path, columns: Collection[str] | None) -> Table:
    return _parse_ecsv(decode(_contents(path), path))


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
    return parse_single_table(io.BytesIO(content), verify="ignore").to_table(use_names_over_ids=True)


def _read_fits(path: Path, columns: Collection[str] | None) -> Table:
    packed = _is_packed(path)
    source: Any = io.BytesIO(_contents(path)) if packed else path
    size = len(source.getbuffer()) if packed else path.stat().st_size
    with io.BytesIO(source.getbuffer()) if packed else path.open("rb") as file:
        if claim := _COUNTS.search(file.read(_HEADS)):
            raise InputError(
                f"table {str(path)!r} must have at most 999 {claim[1].decode()}, got "
                f"{claim[2].decode()[:20]}; get it again"
            )
    with fits.open(source, memmap=not packed) as hdus:
        tables = [
            hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and len(hdu.columns)
        ]
        if not tables:
            raise InputError(f"table {str(path)!r} must hold a table, got images only; give another file")
        hdu = tables[0]
        _check_rows(int(hdu.header["NAXIS2"]), size, path)
        meta = json.loads(hdu.header[FITS_META]) if FITS_META in hdu.header else {}
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
        return Column(
            np.array([decoded(v).rstrip() for v in raw.ravel().tolist()], dtype=str).reshape(raw.shape)
        )
    values = np.array(hdu.data.field(column.name))
    mask = raw == 0 if values.dtype.kind == "b" else np.zeros(values.shape, dtype=bool)
    if column.null is not None and raw.dtype.kind in "iu":
        mask = raw == column.null
    unit = u.Unit(column.unit, parse_strict="silent") if column.unit else None
    return MaskedColumn(values, mask=mask, unit=unit) if mask.any() else Column(values, unit=unit)


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


_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


def _arrow_column(chunks: pa.ChunkedArray, field: pa.Field) -> Column:
    kind = field.type
    if pa.types.is_dictionary(kind):
        chunks, kind = chunks.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind):
        chunks = chunks.cast(pa.float64())
    mask = chunks.is_null().to_numpy()
    unit = u.Unit(field.metadata[b"unit"].decode()) if b"unit" in (field.metadata or {}) else None
    if any(is_kind(chunks.type) for is_kind in _PLAIN):
        fill = False if pa.types.is_boolean(kind) else 0
        values = (chunks.fill_null(fill) if mask.any() else chunks).to_numpy()
    else:
        if pa.types.is_temporal(kind):
            chunks = chunks.cast(pa.string())
        values = np.array(
            ["" if value is None else decoded(value) for value in chunks.to_pylist()], dtype=str
        )
    return MaskedColumn(values, mask=mask, unit=unit) if mask.any() else Column(values, unit=unit)


_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": " ", ".dat": " "}
_READERS: dict[str, Callable[..., Table]] = {
    ".ecsv": _read_ecsv,
    **dict.fromkeys((".fits", ".fit"), _read_fits),
    **dict.fromkeys((".vot", ".votable", ".xml"), _read_votable),
    ".parquet": _read_parquet,
}
