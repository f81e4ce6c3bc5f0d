"""Classification exports of Zooniverse: one row a classification, its answers and its subject as JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from labkit.errors import InputError
from labkit.sources.zooniverse.annotations import BROKEN, NOTHING, Ways
from labkit.sources.zooniverse.blocks import CsvBlocks
from labkit.sources.zooniverse.collector import Collector, Names, as_text, encoded, not_empty
from labkit.sources.zooniverse.report import Export
from labkit.votes import DecisionTree, read_tree

__all__ = ["read_export"]

NEEDED = ("classification_id", "user_name", "workflow_id", "workflow_version", "annotations", "subject_ids")
WANTED = ("user_id", "workflow_name", "gold_standard", "subject_data")
BAD_SUBJECT = "subject_data is not JSON"


def read_export(
    path: str | Path,
    tree: DecisionTree | str,
    *,
    workflow: int | str | None = None,
    versions: tuple[str, ...] | None = None,
    logged_out: bool = False,
    repeats: Literal["first", "none", "all"] = "first",
    gold_standard: bool = False,
    object_id: str = "object_id",
    block_bytes: int = 8 * 2**20,
) -> Export:
    """Read a classification export, a piece at a time; memory beyond a piece is some tens of bytes a row.

    Rows that cannot be used are left out, counted and named; the rest is kept. Answers are compared without
    pictures, case and repeated blanks; numbers are places in the question's list, 0 the first. A value in a
    list of one is that value. Tasks that the tree leaves aside are passed over.

    Parameters
    ----------
    path : path
        The export, CSV or CSV.gz.
    tree : DecisionTree or str
        The project's decision tree, or the name of one that ships with labkit.
    workflow : int or str, optional
        Id of the workflow to read; needed where the export holds several.
    versions : tuple of str, optional
        Versions of the workflow to read: ``"28"`` with all its minor versions, ``"28.30"`` just that one; all
        if not given.
    logged_out : bool
        Keep volunteers who were not logged in: those without ``user_id`` or named ``not-logged-in-...``.
    repeats : {"first", "none", "all"}
        What stays of several classifications of a subject by a volunteer, see `labkit.votes.drop_repeats`.
    gold_standard : bool
        Keep rows that the project's team gave as right answers.
    object_id : str
        Key in ``subject_data`` with the object's name; prefixes ``#``, ``!``, ``/``, which hide it from
        volunteers, may stand before it. Subjects of the same object are one subject. Without it, the id of
        the subject is the name.
    block_bytes : int
        Bytes read at a time.

    Returns
    -------
    Export
        The answers, and a report that accounts for every row.

    Raises
    ------
    MissingDataError
        If there is no such file or tree, the file is empty, or lacks a column.
    InputError
        If the export holds several workflows and none is chosen, or lacks the chosen one or the versions.
    """
    if repeats not in ("first", "none", "all"):
        raise InputError(f"repeats must be 'first', 'none' or 'all', got {repeats!r}")
    tree = tree if isinstance(tree, DecisionTree) else read_tree(tree)
    blocks = CsvBlocks(path, needed=NEEDED, wanted=WANTED, block_bytes=block_bytes)
    reader = _Reader(tree, None if workflow is None else str(workflow), versions, gold_standard, object_id)
    row = 0
    for block in blocks:
        reader.read(block, row)
        row += len(block)
    reader.check(Path(path).name)
    reader.collector.dropped["row cannot be split into the columns"] += blocks.broken
    answers = reader.collector.answers(
        reader.users.texts(), reader.subjects.texts(), list(reader.ways.numbers)
    )
    return reader.collector.finish(
        answers,
        source=Path(path).name,
        rows=blocks.rows,
        logged_out=logged_out,
        repeats=repeats,
        versions=reader.versions,
        unknown_tasks=reader.ways.unknown_tasks,
        outside=reader.ways.outside,
    )


class _Reader:
    """State of one reading: names and ways met so far, and the counts."""

    def __init__(
        self,
        tree: DecisionTree,
        workflow: str | None,
        versions: tuple[str, ...] | None,
        gold_standard: bool,
        object_id: str,
    ) -> None:
        self.chosen = workflow
        self.chosen_versions = versions
        self.gold_standard = gold_standard
        self.collector = Collector(tree)
        self.ways = Ways(tree)
        self.users = Names()
        self.subjects = _Subjects(object_id)
        self.workflows: Counter[tuple[str, str]] = Counter()
        self.versions: Counter[str] = Counter()
        self.several = workflow is None

    def read(self, block: pa.Table, first_row: int) -> None:
        """Take in a piece of the file."""
        block = block.append_column("row", pa.array(np.arange(first_row, first_row + len(block))))
        block = self._of_the_workflow(block)
        if "gold_standard" in block.column_names and not self.gold_standard:
            gold = pc.is_in(block["gold_standard"], pa.array([b"true", b"True", b"1"], pa.binary()))
            block = self._drop("gold standard", block, gold.to_numpy())
        block = self._drop("no subject", block, ~not_empty(block["subject_ids"]))
        way = self._ways(block)
        for reason in (BROKEN, NOTHING):
            bad = way == -1 if reason == BROKEN else way == -2
            block, way = self._drop(reason, block, bad), way[~bad]
        subject, unread = self.subjects.codes(block)
        if unread.any():
            self.collector.remarks[BAD_SUBJECT] += int(unread.sum())
            self.collector.example(BAD_SUBJECT, block, unread, "classification_id")
        self.collector.add(
            user=self.users.codes(block["user_name"]),
            subject=subject,
            way=way,
            logged_in=_logged_in(block),
            order=_order(block),
        )

    def check(self, source: str) -> None:
        """Refuse what would mix workflows or leave nothing."""
        found = "; ".join(f"{id_} ({name}), {n} rows" for (id_, name), n in self.workflows.most_common())
        ids = {id_ for id_, _ in self.workflows}
        if self.several and len(ids) > 1:
            raise InputError(f"workflow must be chosen, {source} holds several: {found}")
        if self.chosen is not None and self.workflows and self.chosen not in ids:
            raise InputError(f"workflow must be one of those in {source}: {found}; got {self.chosen!r}")
        if self.versions and self.chosen_versions and not any(map(self._wanted, self.versions)):
            raise InputError(
                f"versions must be among those in {source}: {dict(self.versions)}; got {self.chosen_versions}"
            )

    def _drop(self, reason: str, block: pa.Table, rows: np.ndarray) -> pa.Table:
        return self.collector.drop(reason, block, rows, "classification_id")

    def _of_the_workflow(self, block: pa.Table) -> pa.Table:
        ids, workflow = encoded(block["workflow_id"])
        names = block["workflow_name"] if "workflow_name" in block.column_names else block["workflow_id"]
        for number, id_ in enumerate(ids):
            rows = np.flatnonzero(workflow == number)
            self.workflows[as_text(id_), self._name(as_text(id_), names[rows[0]].as_py())] += len(rows)
            self.chosen = self.chosen or as_text(id_)
        block = self._drop("another workflow", block, workflow != _place(ids, self.chosen))
        texts, version = encoded(block["workflow_version"])
        counts = np.bincount(version, minlength=len(texts))
        self.versions.update({as_text(t): int(n) for t, n in zip(texts, counts, strict=True)})
        wanted = np.array([self._wanted(as_text(t)) for t in texts], dtype=bool)
        return self._drop("another version of the workflow", block, ~wanted[version])

    def _name(self, id_: str, name: bytes) -> str:
        """The first name met of a workflow, which may change on the way."""
        return next((known for i, known in self.workflows if i == id_), as_text(name))

    def _wanted(self, version: str) -> bool:
        chosen = self.chosen_versions
        return chosen is None or version in chosen or version.partition(".")[0] in chosen

    def _ways(self, block: pa.Table) -> np.ndarray:
        """Way of each row; -1 where the annotations are broken, -2 where they hold no answer."""
        texts, annotation = encoded(block["annotations"])
        counts = np.bincount(annotation, minlength=len(texts))
        ways = np.empty(len(texts), dtype=np.int32)
        for i, text in enumerate(texts):
            ways[i], remarks = self.ways.number(text, int(counts[i]))
            if NOTHING in remarks:
                ways[i] = -2
            for remark in remarks - {BROKEN, NOTHING}:
                self.collector.remarks[remark] += int(counts[i])
                if len(self.collector.examples.get(remark, ())) < 3:
                    self.collector.example(remark, block, annotation == i, "classification_id")
        return ways[annotation]


class _Subjects(Names):
    """Names of subjects: the object's own name where ``subject_data`` has one, else the subject's id."""

    def __init__(self, object_id: str) -> None:
        super().__init__()
        self.object_id = object_id
        self._of_id: dict[bytes, int] = {}
        self._unread: set[bytes] = set()

    def codes(self, block: pa.Table) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        """Number of each row's subject, and whether its data could not be read."""
        ids, indices = encoded(block["subject_ids"])
        first = np.unique(indices, return_index=True)[1]
        for id_, row in zip(ids, first, strict=True):
            if id_ not in self._of_id:
                name = self._object(id_, block, int(row)) or id_
                self._of_id[id_] = self.numbers.setdefault(name, len(self.numbers))
        codes = np.array([self._of_id[id_] for id_ in ids], dtype=np.int32)
        unread = np.array([id_ in self._unread for id_ in ids], dtype=bool)
        return codes[indices], unread[indices]

    def _object(self, id_: bytes, block: pa.Table, row: int) -> bytes | None:
        if "subject_data" not in block.column_names:
            return None
        text = block["subject_data"][row].as_py()
        try:
            data = next(iter(orjson.loads(text).values())) if text else {}
            names = [v for k, v in data.items() if k.lstrip("#!/") == self.object_id and v not in (None, "")]
        except (ValueError, AttributeError, StopIteration):
            self._unread.add(id_)
            return None
        return str(names[0]).encode() if names else None


def _place(values: list[bytes], wanted: str | None) -> int:
    return next((i for i, value in enumerate(values) if as_text(value) == wanted), -1)


def _logged_in(block: pa.Table) -> np.ndarray:
    named = not_empty(block["user_name"])
    named &= ~pc.starts_with(block["user_name"], pattern=b"not-logged-in").to_numpy()
    return named & not_empty(block["user_id"]) if "user_id" in block.column_names else named


def _order(block: pa.Table) -> np.ndarray:
    """The classification's id, which rises with time; the row where it is no number."""
    number = pc.match_substring_regex(block["classification_id"], pattern="^[0-9]{1,18}$")
    ids = pc.if_else(number, block["classification_id"], pa.scalar(b"0", pa.binary()))
    return np.where(
        number.to_numpy(), ids.cast(pa.string()).cast(pa.int64()).to_numpy(), block["row"].to_numpy()
    )
