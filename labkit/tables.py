"""Astropy tables in Parquet files, units kept, written in pieces.

Astropy's own Parquet reader goes through pandas and reads a file whole; ours writes row groups as
they come and reads single columns. The unit of a column stands in its Arrow field's metadata, so
any Parquet reader sees it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.exceptions import AstropyWarning

from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_file

__all__ = [
    "CATALOGUE_ENDINGS",
    "TableWriter",
    "number_values",
    "read_catalogue",
    "read_table",
    "text_values",
    "write_catalogue",
    "write_table",
]

#: Endings of catalogues that `write_catalogue` knows.
CATALOGUE_ENDINGS = (".ecsv", ".csv", ".fits", ".parquet")
_CATALOGUE_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}
_READ_FORMATS = _CATALOGUE_FORMATS | {".vot": "votable", ".votable": "votable", ".xml": "votable"}


def _to_arrow(table: Table) -> pa.Table:
    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        unit = getattr(column, "unit", None)
        values, mask = np.asarray(getattr(column, "value", column)), None
        if isinstance(column, MaskedColumn):
            values, mask = column.filled().data, np.asarray(column.mask)
        if values.ndim != 1:
            raise InputError(f"column {name!r} must hold one value a row, got the shape {values.shape}")
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if values.dtype.kind in "SUO":
            array = pa.array([str(value) for value in values], type=pa.string(), mask=mask)
        else:
            array = pa.array(values, mask=mask)
        metadata = {"unit": unit.to_string()} if unit is not None else None
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    meta = {"meta": json.dumps(dict(table.meta), default=str)}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=meta))


def _column(chunks: pa.ChunkedArray, field: pa.Field) -> Any:
    text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    if chunks.null_count:
        fill = "" if text else False if pa.types.is_boolean(field.type) else 0
        values = np.array(chunks.fill_null(fill).to_pylist()) if text else chunks.fill_null(fill).to_numpy()
        column: Any = MaskedColumn(values, mask=chunks.is_null().to_numpy())
    else:
        values = np.array(chunks.to_pylist(), dtype=str) if text else chunks.to_numpy()
        column = Column(values)
    unit = (field.metadata or {}).get(b"unit")
    if unit is None:
        return column
    return u.Quantity(column, u.Unit(unit.decode()), copy=False) if not chunks.null_count else column


class TableWriter:
    """Write a table to one Parquet file, a piece at a time.

    Parameters
    ----------
    path : path
        File to write. The columns of the first piece are those of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._writer: pq.ParquetWriter | None = None

    def append(self, table: Table) -> None:
        """Write the rows of `table` as a row group.

        Raises
        ------
        InputError
            If its columns differ from those of the first piece.
        """
        arrow = _to_arrow(table)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, arrow.schema, compression="zstd")
        names = self._writer.schema.names
        if sorted(names) != sorted(arrow.schema.names):
            raise InputError(f"every piece must have the columns {names}, got {arrow.schema.names}")
        self._writer.write_table(arrow.select(names).cast(self._writer.schema))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_table(table: Table, path: str | Path) -> None:
    """Write an astropy table to a Parquet file; units and JSON-able `meta` are kept."""
    with TableWriter(path) as writer:
        writer.append(table)


def write_catalogue(table: Table, path: str | Path) -> Path:
    """Write a catalogue for other tools; the ending of the name says the format.

    Parameters
    ----------
    table : Table
        The catalogue.
    path : path
        File ending in .ecsv, .csv, .fits or .parquet; replaced if it is there.

    Raises
    ------
    InputError
        If the ending is another one.
    """
    path = Path(path)
    if path.suffix not in CATALOGUE_ENDINGS:
        known = ", ".join(CATALOGUE_ENDINGS)
        raise InputError(f"path must end in one of {known}, got {str(path)!r}")
    with atomic_file(path) as partial:
        if path.suffix == ".parquet":
            write_table(table, partial)
        else:
            table.write(partial, format=_CATALOGUE_FORMATS[path.suffix], overwrite=True)
    return path


def read_catalogue(path: str | Path, *, text: Sequence[str] = ()) -> QTable:
    """Read a catalogue of other tools: FITS, ECSV, CSV, VOTable, plain or gzipped, or Parquet.

    Parameters
    ----------
    path : path
        The file; the ending of its name says the format (.vot, .votable, .xml: VOTable).
    text : sequence of str
        Columns of a CSV that are text even where they look like numbers (ids such as 0042).

    Returns
    -------
    `~astropy.table.QTable`
        With units where the file has them; text as str.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the ending is another one, or the file is not of it.
    """
    path = Path(path)
    ending = (path.suffixes[-2:-1] or [""])[0] if path.suffix == ".gz" else path.suffix
    if not path.is_file():
        raise MissingDataError(f"catalogue {str(path)!r} does not exist; check the path")
    if ending == ".parquet":
        return read_table(path)
    if ending not in _READ_FORMATS:
        known = ", ".join([*_READ_FORMATS, ".parquet"])
        raise InputError(f"a catalogue must end in one of {known}, got {str(path)!r}")
    options = {"converters": dict.fromkeys(text, str)} if ending == ".csv" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            table = Table.read(path, format=_READ_FORMATS[ending], **options)
    except (ValueError, OSError, TypeError, IndexError) as error:
        raise InputError(
            f"catalogue {path.name!r} cannot be read as {ending} ({error}); save it again, or as another "
            "format"
        ) from error
    table.convert_bytestring_to_unicode()
    for name in table.colnames:
        if table[name].dtype.kind == "O" and table[name].ndim == 1:
            table[name] = np.where(
                np.ma.getmaskarray(table[name]), "", np.ma.getdata(table[name]).astype(str)
            )
    return QTable(table)


def read_table(path: str | Path, *, columns: Sequence[str] | None = None) -> QTable:
    """Read a Parquet file as a table with units.

    Parameters
    ----------
    path : path
        The file.
    columns : sequence of str, optional
        Read only these columns.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If it is not a Parquet file or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"table {str(path)!r} does not exist; check the path")
    try:
        with pq.ParquetFile(path) as file:
            missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
            if missing:
                raise InputError(
                    f"table {str(path)!r} lacks the columns {missing}; it has {file.schema_arrow.names}"
                )
            arrow = file.read(columns=list(columns) if columns is not None else None)
    except pa.ArrowInvalid as error:
        raise InputError(f"{str(path)!r} is not a readable Parquet file ({error}); write it again") from error
    table = QTable({f.name: _column(arrow[f.name], f) for f in arrow.schema}, names=arrow.schema.names)
    table.meta.update(json.loads((arrow.schema.metadata or {}).get(b"meta", b"{}")))
    return table


def text_values(column: Any) -> np.ndarray:
    """A column as text, empty where it is masked."""
    return np.where(np.ma.getmaskarray(column), "", np.ma.getdata(column).astype(str))


def number_values(column: Any, *, unit: u.UnitBase | None = None) -> np.ndarray:
    """A column as floats, NaN where it is masked; a Quantity in `unit` if one is asked, else in its own."""
    if unit is not None and isinstance(column, u.Quantity):
        values = column.to_value(unit)
    else:
        values = getattr(column, "value", column)
    return np.array(np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan))
