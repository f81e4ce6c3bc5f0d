"""Decision trees of volunteer projects: questions, answers, and which ending answer means which class."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labkit.errors import InputError

__all__ = ["Choice", "DecisionTree", "Question", "plain_text"]

_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


def plain_text(text: str) -> str:
    """Text of an answer without pictures in Markdown (``![..](..)``) and repeated blanks."""
    return " ".join(_PICTURE.sub(" ", text).split())


@dataclass(frozen=True)
class Choice:
    """One answer that a question offers: it leads to another question or ends the tree.

    Parameters
    ----------
    text : str
        The answer as the export writes it; pictures in Markdown are left out.
    next : str, optional
        Task of the question it leads to.
    leaf : str, optional
        Name of the ending answer, where it ends the tree.
    verdict : str, optional
        Class that the ending answer stands for; the key ``class`` of a tree's file.
    experts : tuple of str
        Labels of experts that mean the same as this ending answer.
    also : tuple of str
        Other texts of the same answer, for example of an earlier version of the workflow.
    """

    text: str
    next: str | None = None
    leaf: str | None = None
    verdict: str | None = None
    experts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of the answer as they are compared: `plain_text` in lower case."""
        return tuple(plain_text(text).casefold() for text in (self.text, *self.also))


@dataclass(frozen=True)
class Question:
    """One question of a tree, in the export a task, with the answers it offers."""

    task: str
    text: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class DecisionTree:
    """Questions that volunteers walk through from the first to an ending answer.

    Answers are numbered through the whole tree, question after question in the order given; arrays of answers
    hold these numbers.

    Parameters
    ----------
    name, title : str
        Short and full name.
    classes : tuple of str
        Classes of the verdict; on equal votes the one listed first wins.
    positive : str, optional
        The class that counts as a detection.
    questions : tuple of Question
        The first is the one where everybody starts.
    aside : tuple of str
        Tasks that exports of this project hold and the tree leaves aside, such as tasks with several answers.

    Raises
    ------
    InputError
        If tasks, ending answers or texts of answers repeat, an answer leads nowhere or to two places, a class
        is not declared, a question cannot be reached or leads back to itself.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    questions: tuple[Question, ...]
    positive: str | None = None
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
            question.task: {
                text: int(offset) + i for i, choice in enumerate(question.choices) for text in choice.texts
            }
            for question, offset in zip(self.questions, self.offsets, strict=True)
        }

    def walk(self, given: dict[str, int]) -> tuple[list[int], int]:
        """Follow the answers that one classification gave.

        Parameters
        ----------
        given : dict of str to int
            Number of the answer given to each task.

        Returns
        -------
        list of int
            Answers on the way, in order.
        int
            The ending answer, or -1 where the way stops before the end.
        """
        way: list[int] = []
        task: str | None = self.tasks[0]
        while task is not None and task in given:
            way.append(given[task])
            task = self.choices[way[-1]].next
        return way, way[-1] if way and task is None else -1


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _check_names(tree: DecisionTree) -> None:
    if not tree.questions or len(tree.classes) < 2:
        raise InputError(f"tree {tree.name!r} must have at least one question and two classes")
    if repeated := _repeated([*tree.tasks, *tree.aside]):
        raise InputError(f"tasks of the tree {tree.name!r} must differ, got {repeated} more than once")
    if repeated := _repeated([*tree.classes]):
        raise InputError(f"classes of the tree {tree.name!r} must differ, got {repeated} more than once")
    if repeated := _repeated([choice.leaf for choice in tree.choices if choice.leaf]):
        raise InputError(f"leaves of the tree {tree.name!r} must differ, got {repeated} more than once")
    if tree.positive is not None and tree.positive not in tree.classes:
        raise InputError(f"positive must be one of the classes {tree.classes}, got {tree.positive!r}")


def _check_choices(tree: DecisionTree, question: Question) -> None:
    where = f"question {question.task!r} of the tree {tree.name!r}"
    if len(question.choices) < 2:
        raise InputError(f"{where} must offer at least two answers, got {len(question.choices)}")
    if repeated := _repeated([text for choice in question.choices for text in choice.texts]):
        raise InputError(f"answers of {where} must differ beyond case and pictures, got {repeated} twice")
    for choice in question.choices:
        goes, ends, judged = choice.next is not None, choice.leaf is not None, choice.verdict is not None
        if goes == ends or ends != judged:
            raise InputError(
                f"each answer of {where} must have either 'next' or both 'leaf' and 'class', got {choice}"
            )
        if choice.next is not None and choice.next not in tree.tasks:
            raise InputError(f"'next' in {where} must be one of {tree.tasks}, got {choice.next!r}")
        if choice.verdict is not None and choice.verdict not in tree.classes:
            raise InputError(f"'class' in {where} must be one of {tree.classes}, got {choice.verdict!r}")


def _check_ways(tree: DecisionTree) -> None:
    """Every question is reached, none leads back to itself: depth-first from the first."""
    nexts = {q.task: [c.next for c in q.choices if c.next] for q in tree.questions}
    done: set[str] = set()

    def visit(task: str, above: tuple[str, ...]) -> None:
        if task in above:
            raise InputError(f"questions of the tree {tree.name!r} must not lead back to {task!r}")
        if task not in done:
            for after in nexts[task]:
                visit(after, (*above, task))
            done.add(task)

    visit(tree.tasks[0], ())
    if lost := [task for task in tree.tasks if task not in done]:
        raise InputError(f"every question of the tree {tree.name!r} must be reached, got {lost} on no way")
