"""Pieces of a long CSV file as columns of bytes; rows that cannot be split are counted and left out.

A reader of its own around Arrow's, because there a row with an open quote swallows its neighbours up to
the next quote. Columns stay bytes: one name that is not UTF-8 spoils no other row.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from labkit.errors import InputError, MissingDataError

_LONGEST_LINE = 64 * 2**20
_LARGEST = 64 * 2**30  # bytes of text; the largest export of Zooniverse is some 10 GB
_UNPACKED = 100  # times its compressed file, beyond 64 MiB; exports reach about 20


class CsvBlocks:
    """Iterate over a CSV file, or a ``.gz`` of one, in pieces of about `block_bytes`.

    Each line is a row: the only long texts of an export are JSON, which escapes its line breaks. So a row
    with an open quote spoils itself and not the rest of the file. Columns `needed` must be there; those
    `wanted` are given if they are there. `rows` and `broken` count as the file is read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        needed: Sequence[str],
        wanted: Sequence[str] = (),
        block_bytes: int = 8 * 2**20,
    ) -> None:
        self.path, self.block_bytes = Path(path), block_bytes
        self.rows = self.broken = 0
        if not self.path.is_file():
            raise MissingDataError(f"there is no file {str(path)!r}; check the path")
        self.names = next(self._pieces())
        if missing := [name for name in needed if name not in self.names]:
            raise MissingDataError(f"{self.path.name} must have the columns {missing}, got {self.names}")
        self.columns = [name for name in self.names if name in {*needed, *wanted}]

    def __iter__(self) -> Iterator[pa.Table]:
        self.rows = self.broken = 0
        pieces = self._pieces()
        next(pieces)
        for lines in pieces:
            good, count = self._balanced(lines)
            if count:
                yield self._split(good, count)

    def _pieces(self) -> Iterator:
        """The names in the header, then the lines behind it in pieces."""
        try:
            with self._open() as file:
                yield self._header(file)
                yield from self._whole_lines(file)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.path.name} cannot be read to its end ({error}); get it again") from error

    def _open(self) -> BinaryIO:
        if self.path.suffix.lower() == ".gz":
            return cast(BinaryIO, gzip.open(self.path))
        return self.path.open("rb")

    def _header(self, file: BinaryIO) -> list[str]:
        line = file.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
        text = line.decode("utf-8", errors="replace").strip("\r\n")
        if not text.strip():
            raise MissingDataError(f"{self.path.name} is empty, it has no header; download it again")
        if "\0" in text:
            raise InputError(f"{self.path.name} must be CSV text in UTF-8, got bytes of another kind")
        try:
            names = [name.strip() for name in next(csv.reader([text]))]
        except csv.Error as error:
            raise InputError(f"{self.path.name} must begin with a line of column names ({error})") from error
        if len(set(names)) != len(names):
            raise InputError(f"columns of {self.path.name} must differ, got {names}")
        return names

    def _whole_lines(self, file: BinaryIO) -> Iterator[bytes]:
        rest, skipping, read = b"", False, 0
        largest = min(_LARGEST, max(2**26, _UNPACKED * self.path.stat().st_size))
        while block := file.read(self.block_bytes):
            if (read := read + len(block)) > largest:
                raise InputError(f"{self.path.name} must hold at most {largest} bytes of text, got more")
            if skipping:  # inside a line that is longer than any row can be
                block, skipping = block.partition(b"\n")[2], b"\n" not in block
            lines, found, after = block.rpartition(b"\n")
            if found:
                yield rest + lines + found
                rest = after
            elif len(rest) + len(block) > _LONGEST_LINE:
                self.rows, self.broken, rest, skipping = self.rows + 1, self.broken + 1, b"", True
            else:
                rest += block
        if rest:
            yield rest + b"\n"

    def _balanced(self, lines: bytes) -> tuple[bytes, int]:
        """The lines with an even number of quotes, and how many they are."""
        data = np.frombuffer(lines, dtype=np.uint8)
        ends = np.flatnonzero(data == ord("\n")) + 1
        lengths = np.diff(ends, prepend=0)
        quotes = np.diff(np.searchsorted(np.flatnonzero(data == ord('"')), ends), prepend=0)
        filled = lengths > 1 + (data[np.maximum(ends - 2, 0)] == ord("\r"))
        odd = quotes % 2 == 1
        self.rows += int(filled.sum())
        self.broken += int(odd.sum())
        keep = filled & ~odd
        good = lines if keep.all() else data[np.repeat(keep, lengths)].tobytes()
        return good, int(keep.sum())

    def _split(self, lines: bytes, count: int) -> pa.Table:
        """The lines as columns; where Arrow cannot split them, halves of them, down to the single bad row."""
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(lines),
                read_options=arrow_csv.ReadOptions(
                    column_names=self.names, block_size=max(2**20, len(lines) + 1), use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=count == 1),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.binary()),
                    include_columns=self.columns,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException:  # a row with too few or too many columns
            table = None
        if table is not None and len(table) == count:
            return table
        if count == 1:  # also a stray carriage return, which Arrow takes for the end of a row
            self.broken += 1
            return pa.table({name: pa.array([], pa.binary()) for name in self.columns})
        each = [line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n")]
        half = len(each) // 2
        parts = [self._split(b"".join(part), len(part)) for part in (each[:half], each[half:])]
        return pa.concat_tables(parts)
