"""Gathers classifications from pieces of a file into `Answers`, and counts what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labkit.sources.zooniverse.report import Export, ReadReport
from labkit.votes import Answers, DecisionTree, drop_logged_out, drop_repeats

__all__ = ["Collector", "Names", "as_text", "encoded"]

_EXAMPLES = 3


def as_text(value: bytes) -> str:
    """Text of bytes that should be UTF-8; what is not is read as Latin-1, which always can be."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def encoded(column: pa.ChunkedArray) -> tuple[list[bytes], np.ndarray]:
    """Different values of a column, and the number of each row's value."""
    values = column.combine_chunks().dictionary_encode()
    return values.dictionary.to_pylist(), values.indices.to_numpy()


class Names:
    """Numbers of names, given as they are met."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}

    def codes(self, column: pa.ChunkedArray) -> np.ndarray:
        """Number of each row's name, int32."""
        values, indices = encoded(column)
        numbers = [self.numbers.setdefault(value, len(self.numbers)) for value in values]
        return np.array(numbers, dtype=np.int32)[indices]

    def texts(self) -> np.ndarray:
        """The names as text, in the order of their numbers."""
        return np.array([as_text(name) for name in self.numbers], dtype=object)


class Collector:
    """Columns of classifications as they come, and counts of what does not.

    Parameters
    ----------
    tree : DecisionTree
        The tree of the answers.
    """

    def __init__(self, tree: DecisionTree) -> None:
        self.tree = tree
        self.dropped: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self._columns: dict[str, list[np.ndarray]] = {}

    def drop(self, reason: str, block: pa.Table, rows: np.ndarray, ids: str | None) -> pa.Table:
        """Leave out the rows where `rows` is true; the others."""
        if not rows.any():
            return block
        self.dropped[reason] += int(rows.sum())
        self.example(reason, block, rows, ids)
        return block.filter(pa.array(~rows))

    def example(self, reason: str, block: pa.Table, rows: np.ndarray, ids: str | None) -> None:
        """Keep the first ids of a reason."""
        shown = self.examples.setdefault(reason, [])
        if ids is not None and len(shown) < _EXAMPLES:
            first = np.flatnonzero(rows)[: _EXAMPLES - len(shown)]
            shown += [as_text(value) for value in block[ids].take(pa.array(first)).to_pylist()]

    def add(self, **columns: np.ndarray) -> None:
        """Append rows: ``user``, ``subject``, ``way``, ``logged_in``, ``order``."""
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def answers(self, users: np.ndarray, subjects: np.ndarray, ways: Sequence[tuple[int, ...]]) -> Answers:
        """All that was added, each way spelt out as its answers."""
        types = {"user": np.int32, "subject": np.int32, "way": np.int32, "logged_in": bool, "order": np.int64}
        columns = {
            name: np.concatenate([np.empty(0, dtype=kind), *self._columns.pop(name, ())], dtype=kind)
            for name, kind in types.items()
        }
        way = columns.pop("way")
        lengths = np.array([len(steps) for steps in ways], dtype=np.int64)
        steps = np.array([answer for steps in ways for answer in steps], dtype=np.int16)
        last = np.cumsum(lengths) - 1
        ending = steps[last[way]] if len(way) else np.empty(0, dtype=np.int16)
        long = lengths[way] if len(way) else np.empty(0, dtype=np.int64)
        classification = np.repeat(np.arange(len(way), dtype=np.int32), long)
        place = np.arange(len(classification)) - np.repeat(np.cumsum(long) - long, long)
        place += np.repeat((last - lengths + 1)[way] if len(way) else long, long)
        return Answers(
            self.tree,
            users,
            subjects,
            ending=np.where(self.tree.verdict_of[ending] >= 0, ending, -1).astype(np.int16),
            classification=classification,
            answer=steps[place],
            **columns,
        )

    def finish(
        self,
        answers: Answers,
        *,
        source: str,
        rows: int,
        logged_out: bool,
        repeats: Literal["first", "none", "all"],
        versions: Counter[str],
        unknown_tasks: Counter[str],
        outside: Counter[str],
    ) -> Export:
        """Drop logged-out volunteers and repeats unless they are wanted, and write the report."""
        if not logged_out:
            before, answers = len(answers), drop_logged_out(answers)
            self.dropped["volunteer not logged in"] += before - len(answers)
        if repeats != "all":
            before, answers = len(answers), drop_repeats(answers, keep=repeats)
            self.dropped["repeated by the same volunteer"] += before - len(answers)
        report = ReadReport(
            source,
            rows,
            len(answers),
            dict(+self.dropped),
            dict(self.remarks),
            dict(sorted(versions.items())),
            dict(unknown_tasks.most_common()),
            dict(outside.most_common()),
            {reason: tuple(ids) for reason, ids in self.examples.items()},
        )
        return Export(answers, report)


def not_empty(column: pa.ChunkedArray) -> np.ndarray:
    """Whether each value holds more than blanks, shape (rows,)."""
    return pc.greater(pc.binary_length(column), 0).to_numpy()
