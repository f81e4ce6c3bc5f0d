"""Classification exports of Zooniverse, one JSON-filled row each, and flat tables of answers."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.sources.annotations import BROKEN, NOTHING, OUTSIDE, Ways
from labkit.sources.csvrows import EXAMPLES, CsvFiles, Export, Gathering, Names, encode, is_filled, is_true
from labkit.tables import need_columns, read_catalogue
from labkit.tables import text as text_of
from labkit.tables.columns import decoded
from labkit.votes import DecisionTree, plain_text

_NEEDED = ("classification_id", "user_name", "workflow_id", "workflow_version", "annotations", "subject_ids")
_WANTED = ("user_id", "workflow_name", "gold_standard", "subject_data")
_LIVE = rb'"live_project"\s*:\s*true'


def read_export(
    path: str | Path | Sequence[str | Path],
    tree: DecisionTree | str,
    *,
    workflow: int | str | None = None,
    versions: tuple[str, ...] | None = None,
    min_version: str | None = None,
    since: str | None = None,
    until: str | None = None,
    live: bool = False,
    gold: Literal["drop", "keep", "only"] = "drop",
    reworded: bool = False,
    logged_out: bool = False,
    repeats: Literal["first", "none", "all"] = "first",
    object_id: str = "object_id",
) -> Export:
    """Read a classification export, a piece at a time; memory beyond a piece is some tens of bytes per row.

    Rows that cannot be used, and those that the project's team gave as right answers (``gold_standard``), are
    left out, counted and named; the rest is kept. Answers are compared without pictures, case and repeated
    blanks; numbers are places in the question's list, 0 the first. A value in a list of one is that value.
    Tasks that the tree leaves aside are passed over. Volunteers are known by their ``user_id``, since names
    change, and shown by their last name; who was not logged in, by the name made of their address.

    Parameters
    ----------
    path : path or sequence of path
        The export, CSV or CSV.gz; several are read as one, and of rows with the same ``classification_id``
        the first counts.
    tree : DecisionTree or str
        The project's decision tree, or the name of one that ships with labkit.
    workflow : int or str, optional
        Id of the workflow to read; needed where the export holds several.
    versions : tuple of str, optional
        Versions of the workflow to read: ``"28"`` with all its minor versions, ``"28.30"`` just that one; all
        if not given.
    min_version : str, optional
        The earliest version to read, such as ``"28"`` or ``"28.30"``.
    since, until : str, optional
        First and last day to read, "YYYY-MM-DD" in UTC, of ``created_at``.
    live : bool
        Only rows whose ``metadata`` say that the project was live; those from before its launch say the
        opposite, and very old ones nothing.
    gold : {"drop", "keep", "only"}
        What to do with the right answers that the team gave: "only" reads them alone, as a truth.
    reworded : bool
        Take a task that asks differently in different versions for the same question; else it is refused.
        Case, punctuation and pictures are no difference.
    logged_out : bool
        Keep volunteers who were not logged in: those without ``user_id`` or named ``not-logged-in-...``.
    repeats : {"first", "none", "all"}
        What stays of several classifications of a subject by a volunteer, see `labkit.votes.drop_repeats`.
    object_id : str
        Key in ``subject_data`` with the object's name; prefixes ``#``, ``!``, ``/``, which hide it from
        volunteers, may stand before it. Subjects of the same object are one subject. Without it, the id of
        the subject is the name; where that is also an object's name, ``subject <id>``.

    Returns
    -------
    Export
        The answers, and a report that accounts for every row.

    Raises
    ------
    MissingDataError, InputError
        If there is no such file or tree, the file is empty or damaged, or lacks a column; if it holds several
        workflows and none is chosen, or lacks the chosen one or the versions; if a task asks different
        questions; if an option has a value that it does not know.
    """
    chosen = None if workflow is None else str(workflow)
    days = (_day("since", since), _day("until", until))
    need_choice("gold", gold, ("drop", "keep", "only"))
    if min_version is not None and not re.fullmatch(r"\d+(\.\d+)?", min_version):
        raise InputError(f"min_version must be a version such as '28' or '28.30', got {min_version!r}")
    reading = _Reading(tree, repeats, chosen, versions, object_id, min_version, days, live, gold)
    further = {"created_at": any(days), "metadata": live, "gold_standard": gold == "only"}
    needed = (*_NEEDED, *(name for name, wanted in further.items() if wanted))
    blocks = CsvFiles(path, needed=needed, wanted=_WANTED)
    for block in blocks:
        reading.read(block)
    reading.check(blocks.name)
    ways = reading.ways
    if not reworded:
        ways.check_wordings(reading.versions)
    counts = {"versions": dict(sorted(reading.versions.items()))}
    counts |= {"unknown_tasks": dict(ways.unknown_tasks.most_common())}
    counts |= {"outside": dict(ways.outside.most_common())}
    export = reading.finish(blocks, reading.subjects.texts(), ways.numbers, **counts)
    return export.clean(logged_out=logged_out, repeats=repeats)


class _Reading(Gathering):
    """State of one reading of an export: names and ways met so far, and the counts."""

    def __init__(
        self,
        tree: DecisionTree | str,
        repeats: str,
        workflow: str | None,
        versions: tuple[str, ...] | None,
        object_id: str,
        min_version: str | None = None,
        days: tuple[bytes, bytes] = (b"", b""),
        live: bool = False,
        gold: str = "drop",
    ) -> None:
        super().__init__(tree, "classification_id", repeats)
        self.chosen, self.several = workflow, workflow is None
        self.chosen_versions, self.min_version = versions, min_version
        self.days, self.live, self.gold = days, live, gold
        self.ways = Ways(self.tree)
        self.subjects = _Subjects(object_id)
        self.workflows: Counter[str] = Counter()
        self.names: dict[str, str] = {}
        self.versions: Counter[str] = Counter()

    def read(self, block: pa.Table) -> None:
        """Take in a piece of the file."""
        block = self._of_the_workflow(block)
        if any(self.days):
            block = self._of_the_days(block)
        if self.live:
            live = pc.match_substring_regex(block["metadata"], pattern=_LIVE)
            block = self.drop("not of the live project", block, ~live.to_numpy())
        if "gold_standard" in block.column_names and self.gold != "keep":
            given = is_true(block["gold_standard"])
            if self.gold == "drop":
                block = self.drop("gold standard", block, given)
            else:
                block = self.drop("no gold standard", block, ~given)
        block = self.drop("no subject", block, ~is_filled(block["subject_ids"]))
        way = self._ways(block)
        for reason, number in ((BROKEN, -1), (NOTHING, -2)):
            block, way = self.drop(reason, block, way == number), way[way != number]
        subject, unread = self.subjects.codes_of(block)
        if unread.any():
            self.remarks["subject_data is not JSON"] += int(unread.sum())
            self.show("subject_data is not JSON", block, unread)
        named = is_filled(block["user_id"]) if "user_id" in block.column_names else np.True_
        ids = block["user_id"] if "user_id" in block.column_names else None
        order = _order(block)
        self.add(block["user_name"], ids=ids, subject=subject, way=way, logged_in=named, order=order)

    def check(self, source: str) -> None:
        """Refuse what would mix workflows or leave nothing."""
        found = "; ".join(f"{id_} ({self.names[id_]}), {n} rows" for id_, n in self.workflows.most_common())
        if self.several and len(self.workflows) > 1:
            raise InputError(f"workflow must be chosen, {source} holds several: {found}")
        if self.chosen is not None and self.workflows and self.chosen not in self.workflows:
            raise InputError(f"workflow must be one of those in {source}: {found}; got {self.chosen!r}")
        if self.versions and not any(map(self._wanted, self.versions)):
            asked = self.chosen_versions or f"none from {self.min_version} on"
            raise InputError(f"versions must be among those in {source}: {dict(self.versions)}; got {asked}")

    def _of_the_workflow(self, block: pa.Table) -> pa.Table:
        ids, workflow = encode(block["workflow_id"])
        texts = np.array([decoded(id_) for id_ in ids], dtype=object)
        names = block["workflow_name"] if "workflow_name" in block.column_names else block["workflow_id"]
        for number, id_ in enumerate(texts):
            rows = np.flatnonzero(workflow == number)
            self.workflows[id_] += len(rows)
            self.names.setdefault(id_, decoded(names[int(rows[0])].as_py()))
            self.chosen = self.chosen or id_
        block = self.drop("another workflow", block, (texts != self.chosen)[workflow])
        values, version = encode(block["workflow_version"])
        for value, count in zip(values, np.bincount(version, minlength=len(values)), strict=True):
            self.versions[decoded(value)] += int(count)
        wanted = np.array([self._wanted(decoded(value)) for value in values], dtype=bool)
        return self.drop("another version of the workflow", block, ~wanted[version])

    def _of_the_days(self, block: pa.Table) -> pa.Table:
        (values, number), (first, last) = encode(pc.binary_slice(block["created_at"], 0, 10)), self.days
        read = np.array([bool(re.fullmatch(rb"\d{4}-\d\d-\d\d", day)) for day in values], dtype=bool)[number]
        block, number = self.drop("created_at is no date", block, ~read), number[read]
        inside = np.array([first <= day <= (last or b"9") for day in values], dtype=bool)
        return self.drop("another day", block, ~inside[number])

    def _wanted(self, version: str) -> bool:
        chosen, least = self.chosen_versions, self.min_version
        if least is not None and _steps(version)[: len(_steps(least))] < _steps(least):
            return False
        return chosen is None or version in chosen or version.partition(".")[0] in chosen

    def _ways(self, block: pa.Table) -> np.ndarray:
        """Way of each row; -1 where the annotations are broken, -2 where they hold no answer."""
        texts, annotation = encode(block["annotations"])
        counts = np.bincount(annotation, minlength=len(texts))
        ways = np.empty(len(texts), dtype=np.int32)
        for i, text in enumerate(texts):
            ways[i], remarks = self.ways.number(text, int(counts[i]))
            if NOTHING in remarks:
                ways[i] = -2
            for remark in sorted(remarks - {BROKEN, NOTHING}):
                self.remarks[remark] += int(counts[i])
                if len(self.examples.get(remark, ())) < EXAMPLES:
                    self.show(remark, block, annotation == i)
        return ways[annotation]


class _Subjects:
    """Subjects by the object's own name where ``subject_data`` has one, else by the subject's id."""

    def __init__(self, object_id: str) -> None:
        self.object_id = object_id
        self._numbers: dict[tuple[str, str], int] = {}
        self._of_id: dict[bytes, tuple[int, bool]] = {}

    def codes_of(self, block: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Number of each row's subject, and whether its data could not be read."""
        ids, indices = encode(block["subject_ids"])
        first = np.unique(indices, return_index=True)[1]
        for id_, row in zip(ids, first, strict=True):
            if id_ not in self._of_id:
                name, unread = self._name(block, int(row))
                key = ("object", name) if name else ("subject", decoded(id_))
                self._of_id[id_] = self._numbers.setdefault(key, len(self._numbers)), unread
        found = np.array([self._of_id[id_] for id_ in ids], dtype=np.int32).reshape(-1, 2)[indices]
        return found[:, 0], found[:, 1].astype(bool)

    def _name(self, block: pa.Table, row: int) -> tuple[str, bool]:
        """Name of a row's object, "" without one, and whether its data cannot be read."""
        text = block["subject_data"][row].as_py() if "subject_data" in block.column_names else b""
        try:
            data = next(iter(orjson.loads(text).values())) if text else {}
            names = [_written(v) for k, v in data.items() if k.lstrip("#!/") == self.object_id]
        except (ValueError, AttributeError, StopIteration):
            return "", True
        return next(filter(None, names), ""), False

    def texts(self) -> np.ndarray:
        """The names, in the order of their numbers."""
        alike = {name for kind, name in self._numbers if kind == "object"}
        names = [f"{k} {name}" if k == "subject" and name in alike else name for k, name in self._numbers]
        return np.array(names, dtype=object)


def _written(value: Any) -> str:
    """A name of JSON as text: whole numbers without their point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else " ".join(str(value).split())


def _day(name: str, given: str | None) -> bytes:
    """A day as the export writes it, checked."""
    try:
        return date.fromisoformat(given).isoformat().encode() if given else b""
    except ValueError:
        raise InputError(f"{name} must be a day such as '2018-10-24', got {given!r}") from None


def _steps(version: str) -> tuple[int, ...]:
    """A version in numbers that can be compared."""
    return tuple(int(step) if step.isdecimal() else -1 for step in version.split("."))


def _order(block: pa.Table) -> np.ndarray:
    """The classification's id, which rises with time; the row, below all ids, where it is no number."""
    if "classification_id" not in block.column_names:
        return block["row"].to_numpy()
    number = pc.match_substring_regex(block["classification_id"], pattern="^[0-9]{1,18}$")
    ids = pc.if_else(number, block["classification_id"], pa.scalar(b"0", pa.binary()))
    read = ids.cast(pa.string()).cast(pa.int64()).to_numpy()
    return np.where(number.to_numpy(), read, block["row"].to_numpy() - 2**40)


def read_flat_answers(
    path: str | Path | Sequence[str | Path],
    tree: DecisionTree | str,
    *,
    user: str = "user_name",
    subject: str = "subject_ids",
    answer: str = "answer",
    logged_in: str | None = "logged_in",
    logged_out: bool = False,
    repeats: Literal["first", "none", "all"] = "first",
) -> Export:
    """Read a table of answers to one question, CSV with one row per answer, in the order of time.

    A column ``classification_id``, if there is one, says the order, and which rows are the same.

    Parameters
    ----------
    path : path or sequence of path
        The table, CSV or CSV.gz, or several that are read as one.
    tree : DecisionTree or str
        A tree of one question, or the name of one that ships with labkit.
    user, subject, answer : str
        Columns with the volunteer, the subject and the answer's text.
    logged_in : str, optional
        Column that is "true" where the volunteer was logged in; with None all were who have a name other
        than ``not-logged-in-...``.
    logged_out, repeats
        As for `read_export`.

    Returns
    -------
    Export
        The answers, and a report that accounts for every row.

    Raises
    ------
    MissingDataError, InputError
        If there is no such file or tree, the tree has more than one question, or the file is empty or
        damaged, or lacks a column.
    """
    reading, subjects = Gathering(tree, None, repeats), Names()
    tree = reading.tree
    if len(tree.tasks) != 1:
        raise InputError(f"tree must have one question for a flat table, {tree.name!r} has {len(tree.tasks)}")
    needed = [user, subject, answer, *([logged_in] if logged_in else [])]
    blocks = CsvFiles(path, needed=needed, wanted=["classification_id"])
    outside: Counter[str] = Counter()
    for block in blocks:
        block = reading.drop("no subject", block, ~is_filled(block[subject]))
        number = _numbers(block[answer], tree, outside)
        block, number = reading.drop(NOTHING, block, number < 0), number[number >= 0]
        named = is_true(block[logged_in]) if logged_in else np.True_
        codes = subjects.codes(block[subject])
        reading.add(block[user], subject=codes, way=number, logged_in=named, order=_order(block))
    if outside:
        reading.remarks[OUTSIDE] += outside.total()
    ways = [(number,) for number in range(len(tree.choices))]
    counted = dict(outside.most_common())
    export = reading.finish(blocks, subjects.texts(), ways, outside=counted)
    return export.clean(logged_out=logged_out, repeats=repeats)


def _numbers(column: pa.ChunkedArray, tree: DecisionTree, outside: Counter[str]) -> np.ndarray:
    """Number of each row's answer, -1 where the tree has none such, which is counted."""
    values, indices = encode(column)
    known = tree.numbers[tree.tasks[0]]
    texts = [plain_text(decoded(value)) for value in values]
    numbers = np.array([known.get(text.casefold(), -1) for text in texts], dtype=np.int32)
    counts = np.bincount(indices, minlength=len(texts))
    for i in np.flatnonzero(numbers < 0):
        outside[f"{tree.tasks[0]}: {texts[i][:200]}"] += int(counts[i])
    return numbers[indices]


def read_workflow(
    path: str | Path, *, workflow: int | str | None = None, version: str | None = None
) -> dict[str, Any]:
    """Read ``first_task``, ``tasks`` and ``strings`` of a workflow, as `tree_from_workflow` takes them.

    From a project's workflow export, CSV, or the JSON of one version. `workflow`, an id, is needed where the
    export holds several; `version` is such as ``"28.30"``, or ``"28"`` for its newest minor version, by
    default the newest.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no file {str(path)!r}; check the path")
    keys = ("first_task", "tasks", "strings")
    try:
        if path.suffix.lower() == ".json":
            found = orjson.loads(path.read_bytes())
            return {key: found[key] for key in keys}
        table = read_catalogue(path, as_text=("workflow_id", "version", "minor_version", *keys))
        need_columns(table, ("workflow_id", "version", *keys), path.name)
        ids = text_of(table["workflow_id"])
        names = sorted(set(ids.tolist()))
        if (workflow is None and len(names) != 1) or str(workflow or ids[0]) not in names:
            raise InputError(f"workflow must be one of those in {path.name}, {names}, got {workflow!r}")
        given = "minor_version" in table.colnames
        minor = text_of(table["minor_version"]) if given else np.full(len(ids), "")
        written = [f"{a}.{b}".rstrip(".") for a, b in zip(text_of(table["version"]), minor, strict=True)]
        rows = [n for n, id_ in enumerate(ids) if id_ == str(workflow or names[0])]
        asked = [n for n in rows if version is None or f"{written[n]}.".startswith(f"{version}.")]
        if not asked:
            there = [written[n] for n in rows]
            raise InputError(f"version must be one of those in {path.name}, {there}, got {version!r}")
        row = table[max(asked, key=lambda n: _steps(written[n]))]
        return {"first_task": str(row["first_task"])} | {key: orjson.loads(str(row[key])) for key in keys[1:]}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} must hold workflows as Zooniverse exports them ({error})") from error
