"""Pieces of a long CSV file as columns of bytes; rows that cannot be split are counted and left out.

Columns stay bytes, because one name that is not UTF-8 would otherwise stop the whole file.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from labkit.errors import InputError, MissingDataError

__all__ = ["CsvBlocks"]

_LONGEST_LINE = 64 * 2**20


class CsvBlocks:
    """Iterate over a CSV file in pieces of bounded size.

    Each line is a row: the only long texts of an export are JSON, which escapes its line breaks. So a row
    with an open quote spoils itself and not the rest of the file.

    Parameters
    ----------
    path : path
        The file; a name ending in ``.gz`` is decompressed on the way.
    needed : sequence of str
        Columns that must be there.
    wanted : sequence of str
        Columns that are given if they are there.
    block_bytes : int
        Bytes read at a time.

    Raises
    ------
    MissingDataError
        If there is no such file, it is empty, or lacks a needed column.
    InputError
        If two columns have the same name, or the file is no text.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        needed: Sequence[str],
        wanted: Sequence[str] = (),
        block_bytes: int = 8 * 2**20,
    ) -> None:
        self.path = Path(path)
        self.block_bytes = block_bytes
        self.rows = 0
        self.broken = 0
        if not self.path.is_file():
            raise MissingDataError(f"there is no file {str(path)!r}; check the path")
        with self._open() as file:
            self.names = self._header(file)
        if missing := [name for name in needed if name not in self.names]:
            raise MissingDataError(f"{self.path.name} must have the columns {missing}, got {self.names}")
        self.columns = [name for name in self.names if name in {*needed, *wanted}]

    def __iter__(self) -> Iterator[pa.Table]:
        self.rows = self.broken = 0
        with self._open() as file:
            self._header(file)
            for lines in self._whole_lines(file):
                good, count, longest = self._balanced(lines)
                if count:
                    yield self._split(good, count, longest)

    def _open(self) -> BinaryIO:
        if self.path.suffix == ".gz":
            return cast(BinaryIO, gzip.open(self.path))
        return self.path.open("rb")

    def _header(self, file: BinaryIO) -> list[str]:
        line = file.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
        text = line.decode("utf-8", errors="replace").strip("\r\n")
        if not text.strip():
            raise MissingDataError(f"{self.path.name} is empty, it has no header; download it again")
        if "\0" in text:
            raise InputError(f"{self.path.name} must be CSV text in UTF-8, got bytes of another kind")
        names = next(csv.reader([text]))
        if len(set(names)) != len(names):
            raise InputError(f"columns of {self.path.name} must differ, got {names}")
        return names

    def _whole_lines(self, file: BinaryIO) -> Iterator[bytes]:
        rest, skipping = b"", False
        while block := file.read(self.block_bytes):
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

    def _balanced(self, lines: bytes) -> tuple[bytes, int, int]:
        """The lines with an even number of quotes, how many they are, and the length of the longest."""
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
        return good, int(keep.sum()), int(lengths.max(initial=0))

    def _split(self, lines: bytes, count: int, longest: int) -> pa.Table:
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(lines),
                read_options=arrow_csv.ReadOptions(
                    column_names=self.names, block_size=max(2**20, longest + 1)
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.binary()),
                    include_columns=self.columns,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:  # a row with too few or too many columns
            return self._split_line_by_line(lines)
        if len(table) != count:  # a stray carriage return, which Arrow takes for the end of a row
            return self._split_line_by_line(lines)
        return table

    def _split_line_by_line(self, lines: bytes) -> pa.Table:
        """Slow and patient, for pieces with a row that Arrow cannot split: only that row is left out.

        Arrow's own handler of such rows fails where they are not UTF-8.
        """
        rows = []
        for line in filter(None, (line.strip(b"\r") for line in lines.split(b"\n"))):
            try:
                values = [value.encode("latin-1") for value in next(csv.reader([line.decode("latin-1")]))]
            except csv.Error:
                values = []
            if len(values) == len(self.names):
                rows.append(values)
            else:
                self.broken += 1
        places = [self.names.index(name) for name in self.columns]
        return pa.table(
            {
                name: pa.chunked_array([[row[place] for row in rows]], pa.binary())
                for name, place in zip(self.columns, places, strict=True)
            }
        )
