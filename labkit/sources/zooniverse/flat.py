"""Flat tables of answers: one row an answer to one question, text in plain columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labkit.errors import InputError
from labkit.sources.zooniverse.annotations import NOTHING, OUTSIDE
from labkit.sources.zooniverse.blocks import CsvBlocks
from labkit.sources.zooniverse.collector import Collector, Names, as_text, encoded, not_empty
from labkit.sources.zooniverse.report import Export
from labkit.votes import DecisionTree, plain_text, read_tree

__all__ = ["read_flat_answers"]


def read_flat_answers(
    path: str | Path,
    tree: DecisionTree | str,
    *,
    user: str = "user_name",
    subject: str = "subject_ids",
    answer: str = "answer",
    logged_in: str | None = "logged_in",
    logged_out: bool = False,
    repeats: Literal["first", "none", "all"] = "first",
) -> Export:
    """Read a table of answers to one question, CSV with one row an answer, in the order of time.

    Parameters
    ----------
    path : path
        The table, CSV or CSV.gz.
    tree : DecisionTree or str
        A tree of one question, or the name of one that ships with labkit.
    user, subject, answer : str
        Columns with the volunteer, the subject and the answer's text.
    logged_in : str, optional
        Column that is "true" where the volunteer was logged in; with None all were.
    logged_out : bool
        Keep volunteers who were not logged in.
    repeats : {"first", "none", "all"}
        What stays of several answers to a subject by a volunteer, see `labkit.votes.drop_repeats`.

    Returns
    -------
    Export
        The answers, and a report that accounts for every row.

    Raises
    ------
    MissingDataError
        If there is no such file or tree, the file is empty, or lacks a column.
    InputError
        If the tree has more than one question, or `repeats` is another word.
    """
    if repeats not in ("first", "none", "all"):
        raise InputError(f"repeats must be 'first', 'none' or 'all', got {repeats!r}")
    tree = tree if isinstance(tree, DecisionTree) else read_tree(tree)
    if len(tree.tasks) != 1:
        raise InputError(f"tree must have one question for a flat table, {tree.name!r} has {len(tree.tasks)}")
    columns = [user, subject, answer, *([logged_in] if logged_in else [])]
    blocks = CsvBlocks(path, needed=columns)
    collector, users, subjects, row = Collector(tree), Names(), Names(), 0
    outside: Counter[str] = Counter()
    for block in blocks:
        block = block.append_column("row", pa.array(np.arange(row, row + len(block))))
        row += len(block)
        block = collector.drop("no subject", block, ~not_empty(block[subject]), None)
        number = _numbers(block[answer], tree, outside)
        block = collector.drop(NOTHING, block, number < 0, None)
        collector.add(
            user=users.codes(block[user]),
            subject=subjects.codes(block[subject]),
            way=number[number >= 0],
            logged_in=_true(block[logged_in]) if logged_in else np.ones(len(block), dtype=bool),
            order=block["row"].to_numpy(),
        )
    collector.dropped["row cannot be split into the columns"] += blocks.broken
    if outside:
        collector.remarks[OUTSIDE] += sum(outside.values())
    ways = [(number,) for number in range(len(tree.choices))]
    return collector.finish(
        collector.answers(users.texts(), subjects.texts(), ways),
        source=Path(path).name,
        rows=blocks.rows,
        logged_out=logged_out,
        repeats=repeats,
        versions=Counter(),
        unknown_tasks=Counter(),
        outside=outside,
    )


def _numbers(column: pa.ChunkedArray, tree: DecisionTree, outside: Counter[str]) -> np.ndarray:
    """Number of each row's answer, -1 where the tree has none such, which is counted."""
    values, indices = encoded(column)
    known = tree.numbers[tree.tasks[0]]
    texts = [plain_text(as_text(value)) for value in values]
    numbers = np.array([known.get(text.casefold(), -1) for text in texts], dtype=np.int32)
    counts = np.bincount(indices, minlength=len(texts))
    outside.update({f"{tree.tasks[0]}: {texts[i]}": int(counts[i]) for i in np.flatnonzero(numbers < 0)})
    return numbers[indices]


def _true(column: pa.ChunkedArray) -> np.ndarray:
    return pc.is_in(column, pa.array([b"true", b"True", b"TRUE", b"1"], pa.binary())).to_numpy()
