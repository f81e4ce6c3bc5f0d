"""Answers of volunteers in columns, some ten bytes each, and which of them count."""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from labkit.errors import InputError
from labkit.votes.trees import DecisionTree

_BY_CLASSIFICATION = ("user", "subject", "ending", "logged_in", "order")


@dataclass(frozen=True, eq=False)
class Answers:
    """Parsed answers of volunteers to the questions of one decision tree.

    A *classification* is one volunteer's walk through the tree for one subject; it gives one *answer* to each
    question on the way. Answers are numbers into ``tree.choices``; a subject is known by its object id where
    the export has one.
    """

    tree: DecisionTree
    users: np.ndarray  # names of volunteers, object, (n_users,)
    subjects: np.ndarray  # names of subjects, object, (n_subjects,)
    user: np.ndarray  # who classified, a number into `users`, (classifications,)
    subject: np.ndarray  # what, a number into `subjects`, (classifications,)
    ending: np.ndarray  # the ending answer, or -1 where the tree was not finished, (classifications,)
    logged_in: np.ndarray  # whether the volunteer was logged in, (classifications,)
    order: np.ndarray  # rises with time, such as the id that Zooniverse gives, (classifications,)
    classification: np.ndarray  # which one gave the answer, in their order, (answers,)
    answer: np.ndarray  # (answers,)

    def __post_init__(self) -> None:
        for together in (_BY_CLASSIFICATION, ("classification", "answer")):
            shapes = {name: getattr(self, name).shape for name in together}
            if len(set(shapes.values())) != 1 or len(shapes[together[0]]) != 1:
                raise InputError(f"{', '.join(together)} must have one same length, got {shapes}")
        n_choices = len(self.tree.choices)
        ends = {"user": len(self.users), "subject": len(self.subjects), "ending": n_choices}
        for name, end in (ends | {"answer": n_choices, "classification": len(self.user)}).items():
            values, lowest = getattr(self, name), -1 if name == "ending" else 0
            if values.size and (values.min() < lowest or values.max() >= end):
                span = f"{values.min()} to {values.max()}"
                raise InputError(f"{name} must hold numbers from {lowest} to {end - 1}, got {span}")
        if (self.tree.verdict_of[self.ending[self.ending >= 0]] < 0).any():
            raise InputError("ending must hold ending answers of the tree or -1, got an answer that goes on")

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (
            f"Answers({len(self.answer)} answers in {len(self)} classifications, "
            f"{len(self.subjects)} subjects, {len(self.users)} volunteers, tree {self.tree.name!r})"
        )

    def take(self, keep: np.ndarray) -> Self:
        """The classifications where `keep` (bool, one per classification) is true; the name tables stay."""
        keep = np.asarray(keep, dtype=bool)
        if keep.shape != self.user.shape:
            raise InputError(f"keep must have the shape {self.user.shape}, got {keep.shape}")
        numbers = np.cumsum(keep, dtype=self.classification.dtype) - 1
        stays = keep[self.classification]
        columns = {name: getattr(self, name)[keep] for name in _BY_CLASSIFICATION}
        columns |= {"classification": numbers[self.classification[stays]], "answer": self.answer[stays]}
        return replace(self, **columns)


def drop_logged_out(answers: Answers) -> Answers:
    """The classifications of volunteers who were logged in.

    Somebody who is not logged in cannot be told from others at the same address, nor from themselves on
    another day, so neither repeats nor skill can be known (Kosiba et al. 2020, section 2).
    """
    return answers.take(answers.logged_in)


def drop_repeats(answers: Answers, *, keep: Literal["first", "none"] = "first") -> Answers:
    """One classification at most of each subject by each volunteer who was logged in.

    Kosiba et al. 2020, section 2, did not consider classifications "done on each object multiple times by the
    same volunteer". We read it as: the first one that came to an end counts (the first of all where none
    did), the others do not; ``"none"`` is the other reading. Who was not logged in is nobody's repeat, and
    stays.
    """
    if keep not in ("first", "none"):
        raise InputError(f"keep must be 'first' or 'none', got {keep!r}")
    pair = answers.user.astype(np.int64) * len(answers.subjects) + answers.subject
    pair = np.where(answers.logged_in, pair, -1 - np.arange(len(pair)))  # a pair of its own
    by_pair = np.lexsort((answers.order, answers.ending < 0, pair))
    starts = np.r_[True, pair[by_pair][1:] != pair[by_pair][:-1]][: len(pair)]
    if keep == "none":
        starts &= np.r_[starts[1:], True][: len(pair)]
    stays = np.zeros(len(pair), dtype=bool)
    stays[by_pair[starts]] = True
    return answers.take(stays)


def retire(answers: Answers, after: int, *, agreeing: int | None = None) -> Answers:
    """The classifications until each subject has `after` votes, or `agreeing` votes for one class."""
    if after < 1 or (agreeing is not None and agreeing < 1):
        raise InputError(f"after and agreeing must be at least 1, got {after} and {agreeing}")
    by_time = np.lexsort((answers.order, answers.subject))
    subject, ending = answers.subject[by_time], answers.ending[by_time]
    first = np.searchsorted(subject, subject)
    verdict = np.where(ending >= 0, answers.tree.verdict_of[ending], -1)
    open_, keep = np.ones(len(answers), dtype=bool), np.empty(len(answers), dtype=bool)
    single = [(verdict == k, agreeing or after) for k in range(len(answers.tree.classes))]
    for votes, enough in [(verdict >= 0, after), *single]:
        total = np.cumsum(votes) - votes  # before each classification
        open_ &= total - total[first] < enough
    keep[by_time] = open_
    return answers.take(keep)


def answer_counts(answers: Answers) -> np.ndarray:
    """How often each answer was given for each subject, int64, shape (n_subjects, answers of the tree)."""
    shape = (len(answers.subjects), len(answers.tree.choices))
    return tally(answers.subject[answers.classification], answers.answer, shape)


def tally(
    row: np.ndarray, column: np.ndarray, shape: tuple[int, int], weight: np.ndarray | None = None
) -> np.ndarray:
    """How often each pair of row and column comes, or the sum of its weights, in a table of that shape."""
    cell = row.astype(np.int64) * shape[1] + column
    return np.bincount(cell, weight, minlength=shape[0] * shape[1]).reshape(shape)
