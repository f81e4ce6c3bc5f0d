"""The annotations of one classification, JSON, as a way through a decision tree."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from labkit.errors import InputError
from labkit.votes import DecisionTree, plain_text

#: Reasons for leaving a row out, and remarks on rows that stay.
BROKEN = "annotations are not JSON"
NOTHING = "no answer in the tree"
OUTSIDE = "answer outside the tree"
_UNFINISHED = "tree not finished"
_UNKNOWN_TASK = "unknown task"
_SEVERAL = "several answers to one question"
_UNANSWERED = "question left without an answer"
_TWICE = "question answered twice, the last counts"
_OFF_THE_WAY = "answer off the way through the tree"
#: Types of tasks that are no question, by a key of their values.
_KINDS = {"choice": "survey", "tool": "drawing", "x": "drawing", "option": "dropdown", "value": "dropdown"}

_REMEMBERED = 20_000
_LISTED = 1_000


class _Found(NamedTuple):
    number: int
    remarks: frozenset[str]
    tasks: Sequence[str] = ()
    outside: Sequence[str] = ()


class Ways:
    """Ways through a tree, numbered as they are met; equal annotations are parsed once."""

    def __init__(self, tree: DecisionTree) -> None:
        self.tree = tree
        self.numbers: dict[tuple[int, ...], int] = {}
        self.unknown_tasks: Counter[str] = Counter()
        self.outside: Counter[str] = Counter()
        self.wordings: dict[str, dict[tuple[str, ...], str]] = {task: {} for task in tree.tasks}
        self._seen: dict[bytes, _Found] = {}
        self._texts: dict[tuple[str, str, str | None], int | str] = {}

    def number(self, text: bytes, count: int) -> tuple[int, frozenset[str]]:
        """Number of the way that annotations of `count` rows took, -1 without an answer; remarks on them."""
        found = self._seen.get(text)
        if found is None:
            found = self._parse(text)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[text] = found
        for counter, names in ((self.unknown_tasks, found.tasks), (self.outside, found.outside)):
            for name in names:
                counter[name if name in counter or len(counter) < _LISTED else "others"] += count
        return found.number, found.remarks

    def check_wordings(self, versions: Counter[str]) -> None:
        """Refuse answers to different questions that stand under the same task."""
        for task, texts in self.wordings.items():
            if len(texts) > 1:
                asked = " and ".join(map(repr, texts.values()))
                raise InputError(
                    f"task {task!r} must ask one question, got {asked}; choose among the versions "
                    f"{dict(versions)}, or give reworded=True (--reworded) if they mean the same"
                )

    def _parse(self, text: bytes) -> _Found:
        try:
            annotations = list(_flat(orjson.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return _Found(-1, frozenset({BROKEN}))
        remarks: set[str] = set()
        given, tasks, outside = self._given(annotations, remarks)
        way, ending = self.tree.walk(given)
        if not way:
            return _Found(-1, frozenset({NOTHING, *remarks}), tasks, outside)
        if ending < 0:
            remarks.add(_UNFINISHED)
        if len(way) < len(given):
            remarks.add(_OFF_THE_WAY)
        number = self.numbers.setdefault(tuple(way), len(self.numbers))
        return _Found(number, frozenset(remarks), tasks, outside)

    def _given(
        self, annotations: list[tuple[str, Any, Any]], remarks: set[str]
    ) -> tuple[dict[str, int], list[str], list[str]]:
        """Answer to each task, unknown tasks, answers outside the tree; what is odd is added to `remarks`."""
        given: dict[str, int] = {}
        tasks, outside = [], []
        for task, value, label in annotations:
            if task in self.tree.aside:
                continue
            if task not in self.tree.numbers:
                remarks.add(_UNKNOWN_TASK)
                tasks.append(task[:100])
                continue
            answer = self._answer(task, value, label)
            if isinstance(answer, str):
                remarks.add(answer)
                outside += [f"{task}: {_written(value)}"[:200]] if answer == OUTSIDE else []
                continue
            if task in given:
                remarks.add(_TWICE)
            given[task] = answer
        return given, tasks, outside

    def _answer(self, task: str, value: Any, label: Any) -> int | str:
        """Number of the answer, or what is wrong with it."""
        label = label if isinstance(label, str) else None
        if isinstance(first := value[0] if isinstance(value, list) and value else value, dict):
            kind = next((kind for key, kind in _KINDS.items() if key in first), "unknown")
            return f"no question but a task of the type {kind}"
        if isinstance(value, list):
            if len(value) != 1:
                return _SEVERAL if value else _UNANSWERED
            value = value[0]
        known = self._texts.get((task, value, label)) if isinstance(value, str) else None
        if known is None:
            known = self._find(task, value)
            if label and isinstance(known, int) and len(self.wordings[task]) < 3:
                words = tuple(re.findall(r"\w+", plain_text(label).casefold()))
                self.wordings[task].setdefault(words, plain_text(label)[:200])
            if isinstance(value, str) and len(self._texts) < _REMEMBERED:
                self._texts[task, value, label] = known
        return known

    def _find(self, task: str, value: Any) -> int | str:
        place = self.tree.tasks.index(task)
        if isinstance(value, (int, float)):
            return self._at(place, value)
        texts = self.tree.numbers[task]
        if (number := texts.get(_written(value).casefold())) is not None:
            return number
        if value is None:
            return _UNANSWERED
        digits = isinstance(value, str) and value.isdecimal() and len(value) < 4
        as_place = digits and not any(text.isdigit() for text in texts)
        return self._at(place, int(value)) if as_place else OUTSIDE

    def _at(self, place: int, number: float) -> int | str:
        """The answer at a place of the question's list, 0 the first."""
        if isinstance(number, bool) or number not in range(len(self.tree.questions[place].choices)):
            return OUTSIDE
        return int(self.tree.offsets[place]) + int(number)


def _flat(annotations: Any) -> Iterator[tuple[str, Any, Any]]:
    """Task, value and question of each annotation; combined tasks hold a list of further ones."""
    for annotation in annotations:
        task, value = annotation["task"], annotation.get("value")
        if isinstance(value, list) and value and all(isinstance(v, dict) and "task" in v for v in value):
            yield from _flat(value)
        else:
            yield str(task), value, annotation.get("task_label")


def _written(value: Any) -> str:
    return "null" if value is None else plain_text(value if isinstance(value, str) else str(value))
