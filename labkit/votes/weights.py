"""How often each volunteer answers as the majority does, question by question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import QTable

from labkit.votes.answers import Answers

__all__ = ["Weights", "answer_counts", "weights"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Weight of each volunteer on each question.

    Parameters
    ----------
    tasks : tuple of str
        Tasks of the questions.
    users : object ndarray of str, shape (n_users,)
        Names of the volunteers.
    given : ndarray of int64, shape (n_users, questions)
        Answers that the volunteer gave to the question, Q_i.
    agreeing : ndarray of int64, shape (n_users, questions)
        Those of them that agree with the majority, C_i.
    """

    tasks: tuple[str, ...]
    users: np.ndarray
    given: np.ndarray
    agreeing: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """G_i = C_i / Q_i, NaN where the volunteer never answered, shape (n_users, questions)."""
        return np.divide(
            self.agreeing, self.given, out=np.full(self.given.shape, np.nan), where=self.given > 0
        )

    def table(self) -> QTable:
        """One row a volunteer who answered: name, then answers and weight for each task."""
        there = self.given.any(axis=1)
        table = QTable({"user": self.users[there].astype(str), "answers": self.given[there].sum(axis=1)})
        for number, task in enumerate(self.tasks):
            table[f"answers_{task}"] = self.given[there, number]
            table[f"weight_{task}"] = self.values[there, number]
        return table


def answer_counts(answers: Answers) -> np.ndarray:
    """How often each answer was given for each subject.

    Returns
    -------
    ndarray of int64, shape (n_subjects, answers of the tree)
        Counts over all classifications, finished or not.
    """
    n_choices = len(answers.tree.choices)
    cell = answers.subject[answers.classification].astype(np.int64) * n_choices + answers.answer
    counts = np.bincount(cell, minlength=len(answers.subjects) * n_choices)
    return counts.reshape(len(answers.subjects), n_choices)


def weights(answers: Answers) -> Weights:
    """Weight of each volunteer on each question, Kosiba et al. 2020, section 2.3, equation 1.

    G_i = C_i / Q_i: of the Q_i answers a volunteer gave to question i, C_i agree with the majority of all who
    answered that question for that subject. With one question it is the "worker agreement with aggregate".
    The paper leaves three things open; here

    - the volunteer's own answer counts towards the majority, so an answer without others agrees with itself;
    - on a tie no answer has more votes than another, and each of the first ones agrees;
    - answers of unfinished classifications count: the question was answered.

    Parameters
    ----------
    answers : Answers
        Cleaned by `drop_logged_out` and `drop_repeats`; time and memory are linear in their number.

    Returns
    -------
    Weights
        Counts and weights for each volunteer and question.
    """
    tree, n_questions = answers.tree, len(answers.tree.questions)
    counts = answer_counts(answers)
    most = np.maximum.reduceat(counts, tree.offsets, axis=1)
    leads = counts == most[:, tree.question_of]
    agrees = leads[answers.subject[answers.classification], answers.answer]
    cell = answers.user[answers.classification].astype(np.int64) * n_questions
    cell += tree.question_of[answers.answer]
    shape = (len(answers.users), n_questions)
    given = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    agreeing = np.bincount(cell[agrees], minlength=shape[0] * shape[1]).reshape(shape)
    return Weights(tree.tasks, answers.users, given, agreeing)
