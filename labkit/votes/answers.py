"""Answers of volunteers in columns: some ten bytes an answer, whatever the length of the texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.errors import InputError
from labkit.votes.tree import DecisionTree

__all__ = ["Answers"]


@dataclass(frozen=True, eq=False)
class Answers:
    """Parsed answers of volunteers to the questions of one decision tree.

    A *classification* is one volunteer's walk through the tree for one subject; it gives one *answer* to each
    question on the way.

    Parameters
    ----------
    tree : DecisionTree
        The questions; answers are numbers into ``tree.choices``.
    users, subjects : object ndarray of str, shapes (n_users,) and (n_subjects,)
        Names of volunteers and subjects; a subject is known by its object id where the export has one.
    user, subject : ndarray of int, shape (classifications,)
        Who classified what: numbers into `users` and `subjects`.
    ending : ndarray of int, shape (classifications,)
        The ending answer, or -1 where the tree was not finished.
    logged_in : ndarray of bool, shape (classifications,)
        Whether the volunteer was logged in.
    order : ndarray of int64, shape (classifications,)
        Rises with the time of the classification, such as the id that Zooniverse gives.
    classification, answer : ndarray of int, shape (answers,)
        Which classification gave which answer, in the order of the classifications.

    Raises
    ------
    InputError
        If arrays that belong together differ in length, or a number points outside its table.
    """

    tree: DecisionTree
    users: np.ndarray
    subjects: np.ndarray
    user: np.ndarray
    subject: np.ndarray
    ending: np.ndarray
    logged_in: np.ndarray
    order: np.ndarray
    classification: np.ndarray
    answer: np.ndarray

    def __post_init__(self) -> None:
        for together in (("user", "subject", "ending", "logged_in", "order"), ("classification", "answer")):
            shapes = {name: getattr(self, name).shape for name in together}
            if len(set(shapes.values())) != 1 or len(shapes[together[0]]) != 1:
                raise InputError(f"{', '.join(together)} must have one same length, got {shapes}")
        n_choices = len(self.tree.choices)
        _check_numbers("user", self.user, 0, len(self.users))
        _check_numbers("subject", self.subject, 0, len(self.subjects))
        _check_numbers("ending", self.ending, -1, n_choices)
        _check_numbers("answer", self.answer, 0, n_choices)
        _check_numbers("classification", self.classification, 0, len(self.user))
        if (self.tree.verdict_of[self.ending[self.ending >= 0]] < 0).any():
            raise InputError("ending must hold ending answers of the tree or -1, got an answer that goes on")

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (
            f"Answers({len(self.answer)} answers in {len(self)} classifications, "
            f"{len(self.subjects)} subjects, {len(self.users)} volunteers, tree {self.tree.name!r})"
        )

    def take(self, keep: np.ndarray) -> Answers:
        """The classifications where `keep` is true, with their answers; the name tables stay.

        Parameters
        ----------
        keep : ndarray of bool, shape (classifications,)
            Which classifications stay.
        """
        keep = np.asarray(keep, dtype=bool)
        if keep.shape != self.user.shape:
            raise InputError(f"keep must have the shape {self.user.shape}, got {keep.shape}")
        numbers = np.cumsum(keep, dtype=self.classification.dtype) - 1
        stays = keep[self.classification]
        names = ("user", "subject", "ending", "logged_in", "order")
        columns = {name: getattr(self, name)[keep] for name in names}
        columns["classification"] = numbers[self.classification[stays]]
        return replace(self, **columns, answer=self.answer[stays])


def _check_numbers(name: str, values: np.ndarray, lowest: int, end: int) -> None:
    if values.size and (values.min() < lowest or values.max() >= end):
        raise InputError(
            f"{name} must hold numbers from {lowest} to {end - 1}, got {values.min()} to {values.max()}"
        )
