"""Decision trees of volunteer projects: questions, answers, which ending answer means which class."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from labkit.errors import InputError, MissingDataError
from labkit.paths import shipped_folder

_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


def plain_text(text: str) -> str:
    """Text of an answer without pictures in Markdown (``![..](..)``) and repeated blanks."""
    return " ".join(_PICTURE.sub(" ", text).split())


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Choice:
    """One answer that a question offers: it leads to another question or ends the tree."""

    text: str  # as the export writes it; pictures in Markdown are left out
    next: str | None = None  # task of the question it leads to
    leaf: str | None = None  # name of the ending answer, where it ends the tree
    verdict: Annotated[str | None, Field(alias="class")] = None  # class of the ending answer
    experts: tuple[str, ...] = ()  # labels of experts that mean the same
    also: tuple[str, ...] = ()  # other texts of the answer, such as those of an earlier version

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of the answer as they are compared: `plain_text` in lower case."""
        return tuple(text_key(text) for text in (self.text, *self.also))


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Question:
    """One question of a tree, in the export a task, with the answers it offers."""

    task: str
    text: str
    choices: Annotated[tuple[Choice, ...], Field(alias="answers")]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class DecisionTree:
    """Questions that volunteers walk through from the first, where everybody starts, to an ending answer.

    Answers are numbered through the whole tree, question after question in the order given; arrays of answers
    hold these numbers.
    """

    name: str
    title: str
    classes: tuple[str, ...]  # of the verdict; on equal votes the one listed first wins
    questions: tuple[Question, ...]
    positive: str | None = None  # the class that counts as a detection
    # tasks of the export that the tree leaves out, such as those of several answers
    aside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self)
        for question in self.questions:
            _check_choices(self, question)
        _check_ways(self)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the questions, in order."""
        return tuple(question.task for question in self.questions)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """All answers of the tree, in the order of their numbers."""
        return tuple(choice for question in self.questions for choice in question.choices)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Number of the first answer of each question, int64, shape (questions,)."""
        return np.cumsum([0, *(len(question.choices) for question in self.questions[:-1])])

    @cached_property
    def question_of(self) -> np.ndarray:
        """Number of the question of each answer, int64, shape (answers,)."""
        return np.repeat(np.arange(len(self.questions)), [len(q.choices) for q in self.questions])

    @cached_property
    def verdict_of(self) -> np.ndarray:
        """Number of the class of each ending answer, -1 for the others, int64, shape (answers,)."""
        return np.array([self.classes.index(c.verdict) if c.verdict else -1 for c in self.choices])

    @cached_property
    def endings(self) -> dict[str, int]:
        """Number of the answer of each ending answer's name, in order."""
        return {choice.leaf: number for number, choice in enumerate(self.choices) if choice.leaf}

    @cached_property
    def numbers(self) -> dict[str, dict[str, int]]:
        """Number of an answer by task and by `plain_text` in lower case."""
        return {
            q.task: {text: int(start) + i for i, choice in enumerate(q.choices) for text in choice.texts}
            for q, start in zip(self.questions, self.offsets, strict=True)
        }

    def walk(self, given: dict[str, int]) -> tuple[list[int], int]:
        """Follow the answers that one classification gave: numbers of the answers by task.

        Returns the answers on the way, in order, and the ending answer, or -1 where the way stops early.
        """
        way: list[int] = []
        task: str | None = self.tasks[0]
        while task is not None and task in given:
            way.append(given[task])
            task = self.choices[way[-1]].next
        return way, way[-1] if way and task is None else -1


def _check_names(tree: DecisionTree) -> None:
    if not tree.questions or len(tree.classes) < 2:
        raise InputError(f"tree {tree.name!r} must have at least one question and two classes")
    leaves = [choice.leaf for choice in tree.choices if choice.leaf]
    for what, names in (("tasks", [*tree.tasks, *tree.aside]), ("classes", tree.classes), ("leaves", leaves)):
        if repeated := _repeated(names):
            raise InputError(f"{what} of the tree {tree.name!r} must differ, got {repeated} more than once")
    if tree.positive is not None and tree.positive not in tree.classes:
        raise InputError(f"positive must be one of the classes {tree.classes}, got {tree.positive!r}")


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _check_choices(tree: DecisionTree, question: Question) -> None:
    where = f"question {question.task!r} of the tree {tree.name!r}"
    if len(question.choices) < 2:
        raise InputError(f"{where} must offer at least two answers, got {len(question.choices)}")
    if repeated := _repeated(text for choice in question.choices for text in choice.texts):
        raise InputError(f"answers of {where} must differ beyond case and pictures, got {repeated} twice")
    for choice in question.choices:
        goes, ends, judges = choice.next is not None, choice.leaf is not None, choice.verdict is not None
        if goes == ends or ends != judges:
            raise InputError(
                f"each answer of {where} must have either 'next' or both 'leaf' and 'class', got {choice}"
            )
        if goes and choice.next not in tree.tasks:
            raise InputError(f"'next' in {where} must be one of {tree.tasks}, got {choice.next!r}")
        if judges and choice.verdict not in tree.classes:
            raise InputError(f"'class' in {where} must be one of {tree.classes}, got {choice.verdict!r}")


def _check_ways(tree: DecisionTree) -> None:
    """Every question is reached, none leads back to itself."""
    nexts = {q.task: [c.next for c in q.choices if c.next] for q in tree.questions}
    try:
        TopologicalSorter(nexts).prepare()
    except CycleError as error:
        raise InputError(
            f"questions of the tree {tree.name!r} must not lead back to {error.args[1][0]!r}"
        ) from error
    reached = waiting = {tree.tasks[0]}
    while waiting := {after for task in waiting for after in nexts[task]} - reached:
        reached = reached | waiting
    if lost := [task for task in tree.tasks if task not in reached]:
        raise InputError(f"every question of the tree {tree.name!r} must be reached, got {lost} on no way")


def tree_names() -> tuple[str, ...]:
    """Names of the trees that ship with labkit, sorted."""
    return tuple(sorted(path.stem for path in shipped_folder("data/trees").glob("*.toml")))


def read_tree(tree: str | Path) -> DecisionTree:
    """Read a decision tree from its file.

    Parameters
    ----------
    tree : str or path
        Name of a tree that ships with labkit, such as ``"hunt"``, or a TOML file in the form of
        ``data/trees/hunt.toml``.

    Returns
    -------
    DecisionTree
        The tree, checked.

    Raises
    ------
    MissingDataError
        If there is no such tree.
    InputError
        If the file is not TOML, a key is missing or unknown, or the tree breaks a rule of `DecisionTree`.
    """
    path = Path(tree)
    if path.suffix.lower() != ".toml":
        path = shipped_folder("data/trees") / f"{tree}.toml"
    if not path.is_file():
        raise MissingDataError(f"tree must be a TOML file or one of {tree_names()}, got {str(tree)!r}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path.name} must be TOML text ({error})") from error
    try:
        return TypeAdapter(DecisionTree).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        if isinstance(rule := first.get("ctx", {}).get("error"), InputError):  # of `DecisionTree` itself
            raise rule from None
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path.name} must have the form of data/trees/hunt.toml, got {place}: {first['msg']}"
        ) from error


def text_key(text: str) -> str:
    """Text of an answer as it is compared: `plain_text` in lower case."""
    return plain_text(text).casefold()
