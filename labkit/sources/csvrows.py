"""Rows of a long CSV file, read in pieces and gathered into `Answers`, with an account of every row.

A reader of its own around Arrow's, because there a row with an open quote swallows its neighbours up to
the next quote. Columns stay bytes: one name that is not UTF-8 spoils no other row.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import QTable
from pyarrow import csv as arrow_csv

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.tables.columns import decoded
from labkit.votes import Answers, DecisionTree, drop_logged_out, drop_repeats, read_tree

_ROW = np.dtype([("user", "i4"), ("subject", "i4"), ("way", "i4"), ("logged_in", "?"), ("order", "i8")])
#: Classification ids that a report shows of each reason.
EXAMPLES = 3
_AGAIN = "classification_id met before"
_BY_ID = "\1"  # before the id of a volunteer, so that no name is like it
_BLOCK = 8 * 2**20  # bytes read at a time
_LONGEST_LINE, _LONGEST_HEADER = 64 * 2**20, 2**20
_LARGEST = 64 * 2**30  # bytes of text; the largest export of Zooniverse is some 10 GB
_UNPACKED = 100  # times its compressed file, beyond 64 MiB; exports reach about 20


class CsvBlocks:
    """Iterate over a CSV file, or a ``.gz`` of one, in pieces.

    Each line is a row: the only long texts of an export are JSON, which escapes its line breaks. So a row
    with an open quote spoils itself and not the rest of the file. Columns `needed` must be there; those
    `wanted` are given if they are there; ``row`` numbers the rows. `rows` and `broken` count as the file is
    read.
    """

    def __init__(self, path: str | Path, *, needed: Sequence[str], wanted: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.rows = self.broken = 0
        if not self.path.is_file():
            raise MissingDataError(f"there is no file {str(path)!r}; check the path")
        self.names = next(self._pieces())
        if missing := [name for name in needed if name not in self.names]:
            raise MissingDataError(f"{self.path.name} must have the columns {missing}, got {self.names}")
        self.columns = [name for name in self.names if name in {*needed, *wanted}]

    def __iter__(self) -> Iterator[pa.Table]:
        self.rows = self.broken = first = 0
        pieces = self._pieces()
        next(pieces)
        for lines in pieces:
            good, count = self._balanced(lines)
            if count:
                block = self._split(good, count)
                yield block.append_column("row", pa.array(np.arange(first, first + len(block))))
                first += len(block)

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
        line = file.readline(_LONGEST_HEADER).removeprefix(b"\xef\xbb\xbf")
        text = line.decode("utf-8", errors="replace").strip("\r\n")
        if not text.strip():
            raise MissingDataError(f"{self.path.name} is empty, it has no header; download it again")
        if "\0" in text:
            raise InputError(f"{self.path.name} must be CSV text in UTF-8, got bytes of another kind")
        try:
            names = [name.strip() for name in next(csv.reader([text]))]
        except csv.Error as error:
            raise InputError(f"{self.path.name} must begin with a line of column names ({error})") from error
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise InputError(f"columns of {self.path.name} must differ, got {repeated[:3]} more than once")
        return names

    def _whole_lines(self, file: BinaryIO) -> Iterator[bytes]:
        rest, skipping, read = b"", False, 0
        largest = min(_LARGEST, max(2**26, _UNPACKED * self.path.stat().st_size))
        while block := file.read(_BLOCK):
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
            size = {"block_size": max(2**20, len(lines) + 1), "use_threads": False}
            kinds = dict.fromkeys(self.columns, pa.binary())
            table = arrow_csv.read_csv(
                pa.BufferReader(lines),
                arrow_csv.ReadOptions(column_names=self.names, **size),
                arrow_csv.ParseOptions(newlines_in_values=count == 1),
                arrow_csv.ConvertOptions(column_types=kinds, include_columns=self.columns),
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


class CsvFiles:
    """Iterate over one CSV file, or over several as if they were one."""

    def __init__(
        self, paths: str | Path | Sequence[str | Path], *, needed: Sequence[str], wanted: Sequence[str] = ()
    ) -> None:
        paths = [paths] if isinstance(paths, str | Path) else list(paths)
        if not paths:
            raise InputError("path must name at least one file, got none")
        self.files = [CsvBlocks(path, needed=needed, wanted=wanted) for path in paths]
        self.name = ", ".join(file.path.name for file in self.files)

    @property
    def rows(self) -> int:
        """Rows met so far."""
        return sum(file.rows for file in self.files)

    @property
    def broken(self) -> int:
        """Those of them that could not be split."""
        return sum(file.broken for file in self.files)

    def __iter__(self) -> Iterator[pa.Table]:
        before = 0
        for file in self.files:
            for block in file:
                place = block.column_names.index("row")
                yield block.set_column(place, "row", pc.add(block["row"], before))
            before += file.rows


def encode(column: pa.ChunkedArray) -> tuple[list[bytes], np.ndarray]:
    """Different values of a column, without blanks around them, and the number of each row's value."""
    values = column.combine_chunks().dictionary_encode()
    return [value.strip() for value in values.dictionary.to_pylist()], values.indices.to_numpy()


def is_filled(column: pa.ChunkedArray) -> np.ndarray:
    """Whether each value holds more than blanks, shape (rows,)."""
    values, indices = encode(column)
    return np.array([bool(value) for value in values], dtype=bool)[indices]


def is_true(column: pa.ChunkedArray) -> np.ndarray:
    """Whether each value is "true" or 1, shape (rows,)."""
    values, indices = encode(column)
    return np.array([value.lower() in (b"true", b"1") for value in values], dtype=bool)[indices]


@dataclass(frozen=True)
class ReadReport:
    """Count of every row of a file: kept, or left out for one named reason."""

    source: str  # name of the file
    rows: int  # in the file, without the header: `kept` and the sum of `dropped`
    kept: int  # classifications
    dropped: Mapping[str, int]  # rows left out for each reason
    remarks: Mapping[str, int]  # rows with each oddity; they are kept unless `dropped` says otherwise
    versions: Mapping[str, int] = field(default_factory=dict)  # rows of each version of the workflow
    unknown_tasks: Mapping[str, int] = field(default_factory=dict)  # tasks that the tree does not know
    outside: Mapping[str, int] = field(default_factory=dict)  # answers that it does not offer
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # first ids of each reason

    def table(self) -> QTable:
        """One row per count: ``what``, ``which``, ``rows``, ``examples`` (classification ids)."""
        rows = [("read", self.source, self.rows, ""), ("kept", "", self.kept, "")]
        parts = {
            "left out": self.dropped,
            "remark": self.remarks,
            "workflow version": self.versions,
            "unknown task": self.unknown_tasks,
            "answer outside the tree": self.outside,
        }
        for what, counts in parts.items():
            for which, count in counts.items():
                shown = self.examples.get(which, ()) if what in ("left out", "remark") else ()
                rows.append((what, which, count, ", ".join(shown)))
        return QTable(rows=rows, names=("what", "which", "rows", "examples"))


@dataclass(frozen=True)
class Export:
    """What a file of volunteers' answers gave: `Answers`, and a report of what was left out, and why."""

    answers: Answers
    report: ReadReport

    def clean(
        self, *, logged_out: bool = False, repeats: Literal["first", "none", "all"] = "first"
    ) -> Export:
        """Without volunteers who were not logged in, and without repeats, unless wanted."""
        answers, dropped = self.answers, Counter(self.report.dropped)
        if not logged_out:
            answers = drop_logged_out(answers)
            dropped["volunteer not logged in"] += len(self.answers) - len(answers)
        if repeats != "all":
            before, answers = len(answers), drop_repeats(answers, keep=repeats)
            dropped["repeated by the same volunteer"] += before - len(answers)
        return Export(answers, replace(self.report, kept=len(answers), dropped=dict(+dropped)))


class Names:
    """Numbers of names, given as they are met; blanks around a name do not count."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self.shown: dict[int, bytes] = {}

    def codes(self, column: pa.ChunkedArray, shown: pa.ChunkedArray | None = None) -> np.ndarray:
        """Number of each row's name, int32; `shown` is another name for it, of which the last one stays."""
        values, indices = encode(column)
        numbers = [self.numbers.setdefault(value, len(self.numbers)) for value in values]
        if shown is not None:
            last = np.zeros(len(values), dtype=np.int64)
            last[indices] = np.arange(len(indices))  # of equal indices the last counts
            names = (value.strip() for value in shown.take(pa.array(last)).to_pylist())
            self.shown |= zip(numbers, names, strict=True)
        return np.array(numbers, dtype=np.int32)[indices]

    def texts(self) -> np.ndarray:
        """The names as text, in the order of their numbers; where two are shown alike, with the number."""
        names = [self.shown.get(number, name) for number, name in enumerate(self.numbers)]
        often = Counter(names)
        texts = [
            decoded(name) if often[name] == 1 else f"{decoded(name)} ({decoded(key).lstrip(_BY_ID)})"
            for key, name in zip(self.numbers, names, strict=True)
        ]
        return np.array(texts, dtype=object)


class Gathering:
    """Columns of classifications as they come, and counts of what does not; examples are of column `ids`."""

    def __init__(self, tree: DecisionTree | str, ids: str | None, repeats: str) -> None:
        need_choice("repeats", repeats, ("first", "none", "all"))
        self.tree = tree if isinstance(tree, DecisionTree) else read_tree(tree)
        self.ids = ids
        self.users = Names()
        self.dropped: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self._rows: list[np.ndarray] = []

    def drop(self, reason: str, block: pa.Table, rows: np.ndarray) -> pa.Table:
        """The block without the rows where `rows` is true, which are counted."""
        if not rows.any():
            return block
        self.dropped[reason] += int(rows.sum())
        self.show(reason, block, rows)
        return block.filter(pa.array(~rows))

    def show(self, reason: str, block: pa.Table, rows: np.ndarray) -> None:
        """Keep the first ids of a reason."""
        shown = self.examples.setdefault(reason, [])
        if self.ids is not None and len(shown) < EXAMPLES:
            first = np.flatnonzero(rows)[: EXAMPLES - len(shown)]
            shown += [decoded(value) for value in block[self.ids].take(pa.array(first)).to_pylist()]

    def add(
        self,
        users: pa.ChunkedArray,
        *,
        ids: pa.ChunkedArray | None = None,
        subject: np.ndarray,
        way: np.ndarray,
        logged_in: Any,
        order: np.ndarray,
    ) -> None:
        """Append rows; a name "not-logged-in-..." or none is nobody who was logged in.

        Who was logged in and has an id is known by it, since a name may change; all others by their name.
        """
        values, indices = encode(users)
        named = np.array([bool(v) and not v.startswith(b"not-logged-in") for v in values], dtype=bool)
        keys = users
        if ids is not None:
            by_id = pa.array(is_filled(ids) & named[indices])
            keys = pc.if_else(by_id, pc.binary_join_element_wise(_BY_ID.encode(), ids, b""), users)
        rows = np.empty(len(users), dtype=_ROW)
        rows["user"], rows["subject"], rows["way"] = self.users.codes(keys, users), subject, way
        rows["logged_in"], rows["order"] = logged_in & named[indices], order
        self._rows.append(rows)

    def finish(
        self,
        blocks: CsvFiles,
        subjects: np.ndarray,
        ways: Iterable[Sequence[int]],
        **counts: Mapping[str, int],
    ) -> Export:
        """All that was added, each way spelt out as its answers, and the report."""
        rows = np.concatenate([np.empty(0, dtype=_ROW), *self._rows])
        self._rows.clear()
        first = np.unique(rows["order"], return_index=True)[1]
        if len(first) < len(rows):
            again = np.delete(rows["order"], first)
            self.dropped[_AGAIN] += len(again)
            self.examples[_AGAIN] = [str(number) for number in again[:EXAMPLES]]
            rows = rows[np.sort(first)]
        columns = {name: np.ascontiguousarray(rows[name]) for name in _ROW.names or ()}
        way, ways = columns.pop("way"), [*ways] or [()]
        lengths = np.array([len(steps) for steps in ways], dtype=np.int64)
        steps = np.array([answer for answers in ways for answer in answers] or [-1], dtype=np.int16)
        starts = np.cumsum(lengths) - lengths
        ending = steps[(starts + lengths - 1)[way]]
        long = lengths[way]
        place = np.arange(long.sum()) + np.repeat(starts[way] - np.cumsum(long) + long, long)
        answers = Answers(
            self.tree,
            self.users.texts(),
            subjects,
            ending=np.where(self.tree.verdict_of[ending] >= 0, ending, -1).astype(np.int16),
            classification=np.repeat(np.arange(len(way), dtype=np.int32), long),
            answer=steps[place],
            **columns,
        )
        self.dropped["row cannot be split into the columns"] += blocks.broken
        examples = {reason: tuple(ids) for reason, ids in self.examples.items()}
        found = (dict(+self.dropped), dict(self.remarks))
        report = ReadReport(blocks.name, blocks.rows, len(answers), *found, **counts, examples=examples)
        return Export(answers, report)
