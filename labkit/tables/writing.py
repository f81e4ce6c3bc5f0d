"""Tables written to files: Parquet in pieces, ECSV, CSV, FITS and VOTable."""

import csv
import json
import logging
import unicodedata
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.exceptions import AstropyWarning

from labkit.errors import InputError
from labkit.paths import atomic_file
from labkit.tables.columns import parts, text

logger = logging.getLogger(__name__)

#: Endings of the tables that `write_table` writes.
CATALOGUE_ENDINGS = (".ecsv", ".csv", ".fits", ".vot", ".parquet")
#: FITS keyword, and name of the INFO of a VOTable, of a table's meta, as JSON.
META = "LABKIT"


def _to_arrow(table: Table) -> pa.Table:
    fields, arrays = [], []
    for name in table.colnames:
        values, mask, unit = parts(table[name])
        if values.dtype.kind in "SUO":
            array = pa.array(text(table[name]).tolist(), type=pa.string(), mask=mask if mask.any() else None)
        else:
            native = values.astype(values.dtype.newbyteorder("="), copy=False)
            masked = mask.any() or isinstance(table[name], MaskedColumn)
            array = pa.array(native, mask=mask if masked else None)
        metadata = {"unit": unit.to_string()} if unit is not None else None
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    meta = {"meta": json.dumps(dict(table.meta), default=str)}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=meta))


class TableWriter:
    """Write a table to one Parquet file, a piece at a time; the first piece says which columns it has.

    Units stand in the Arrow fields' metadata, so any Parquet reader sees them. (Astropy's own Parquet goes
    through pandas and holds the table whole.)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._writer: pq.ParquetWriter | None = None

    def append(self, table: Table) -> None:
        """Write the rows of `table` as a row group; its columns must be those of the first piece."""
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


def write_table(table: Table, path: str | Path) -> Path:
    """Write a table in the format that the ending of the file's name says; it appears whole or not at all.

    Parquet, ECSV and VOTable keep units, masks, text and `meta` as they are. CSV keeps values only; the log
    names the units that it loses. FITS keeps units and `meta`, but ASCII text only: other letters are written
    without their accents, or as "?", with a warning in the log. Descriptions of columns, and UCDs
    (``info.meta["ucd"]``), go into FITS and VOTable, descriptions into ECSV.

    Parameters
    ----------
    table : Table
        One value per row in each column; Predictions will do.
    path : path
        File ending in .ecsv, .csv, .fits, .vot or .parquet, in any case; replaced if it is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the ending is another one, or a column holds more than one value per row.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in CATALOGUE_ENDINGS:
        raise InputError(f"path must end in one of {', '.join(CATALOGUE_ENDINGS)}, got {str(path)!r}")
    table = QTable(table, copy=False)
    for name in table.colnames:
        parts(table[name])  # refuses what is wider
        if np.ndim(table[name]) > 1:
            table[name] = table[name][:, 0]
    with atomic_file(path) as partial:
        if ending == ".parquet":
            with closing(TableWriter(partial)) as writer:
                writer.append(table)
        elif ending == ".fits":
            _write_fits(table, partial)
        elif ending == ".vot":
            _write_votable(table, partial)
        else:
            _write_text(table, partial, ending)
    return path


def _write_text(table: QTable, path: Path, ending: str) -> None:
    """CSV, or ECSV with astropy's header; text is quoted, so that "#1", " a" and "" come back as they are."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        if ending == ".ecsv":
            table[:0].write(file, format="ascii.ecsv", delimiter=",")
        else:
            units = [f"{name} ({unit})" for name in table.colnames if (unit := parts(table[name])[2])]
            if units:
                logger.warning(
                    "CSV holds no units; lost are those of %s; write .ecsv to keep them", ", ".join(units)
                )
            csv.writer(file, lineterminator="\n").writerow(table.colnames)
        columns = []
        for name in table.colnames:
            values, mask, _ = parts(table[name])
            plain = text(table[name]) if values.dtype.kind in "SUO" else values
            columns.append([None if m else v for v, m in zip(plain.tolist(), mask.tolist(), strict=True)])
        writer.writerows(zip(*columns, strict=True))


def _write_fits(table: QTable, path: Path) -> None:
    plain = QTable(table, copy=False)
    for name in table.colnames:
        values, mask, _ = parts(table[name])
        if values.dtype.kind in "SUO":
            given = text(table[name])
            ascii_only = np.array([_transliterated(value) for value in given.tolist()], dtype=str)
            if (changed := np.flatnonzero(ascii_only != given)).size:
                first = changed[0]
                logger.warning(
                    "FITS holds ASCII text only: %d values of column %r are written otherwise, %r as %r; "
                    "write .ecsv or .parquet to keep them",
                    *(len(changed), name, str(given[first]), str(ascii_only[first])),
                )
            plain[name] = ascii_only
        elif values.dtype.kind == "b" and mask.any():
            plain[name] = np.where(mask, "", values.astype(str))  # FITS has no unknown truth value
    plain.meta = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (AstropyWarning, UserWarning))
        hdu = fits.table_to_hdu(plain)
        for number, name in enumerate(table.colnames, start=1):
            for keyword, words in zip(("TCOMM", "TUCD"), _about(table, name), strict=True):
                if words:
                    hdu.header[f"{keyword}{number}"] = _transliterated(words)
        if table.meta:
            hdu.header[META] = json.dumps(dict(table.meta), default=str)
        hdu.writeto(path, overwrite=True)


def _write_votable(table: QTable, path: Path) -> None:
    plain = Table(table, copy=False)
    for name in table.colnames:
        values, mask, _ = parts(table[name])
        if values.dtype.kind in "SUO":
            plain[name] = text(table[name])
        elif values.dtype.kind == "b" and mask.any():
            plain[name] = np.where(mask, "", values.astype(str))  # as in FITS
        description, ucd = _about(table, name)
        plain[name].info.description = description or None
        plain[name].info.meta = {"ucd": ucd} if ucd else {}
    plain.meta = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        votable = from_table(plain)
        votable.get_first_table().infos.append(
            Info(name=META, value=json.dumps(dict(table.meta), default=str))
        )
        votable.to_xml(str(path), tabledata_format="binary2")  # which keeps blanks


def _about(table: QTable, name: str) -> tuple[str, str]:
    """Description and UCD of a column, where it has them."""
    info = table[name].info
    return info.description or "", (info.meta or {}).get("ucd", "")


def _transliterated(value: str) -> str:
    if value.isascii():
        return value
    letters = (c for c in unicodedata.normalize("NFKD", value) if not unicodedata.combining(c))
    return "".join(c if c.isascii() else "?" for c in letters)
