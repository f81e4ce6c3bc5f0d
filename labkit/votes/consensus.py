"""What the volunteers together say about each subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.votes.answers import Answers
from labkit.votes.dawid_skene import dawid_skene
from labkit.votes.weights import weights

__all__ = ["METHODS", "consensus", "ending_counts"]

Method = Literal["weighted", "majority", "dawid-skene"]

#: Sums of weights that differ by less are equal; they are rounding errors of one another.
_EQUAL = 1e-9


def consensus(answers: Answers, *, method: Method = "weighted") -> QTable:
    """Class, fractions and agreement of each subject from all votes on it.

    Each finished classification is one vote for the class of its ending answer. With ``"weighted"``, a vote
    counts with the volunteer's weight for the question of that answer, and the class with the higher sum wins
    (Kosiba et al. 2020, section 2.3); with ``"majority"`` all votes count the same; ``"dawid-skene"`` gives
    the probabilities of `labkit.votes.dawid_skene`. Where the paper is silent:

    - on equal sums the class that the tree lists first wins, and ``tie`` is true;
    - where all votes have weight zero, they count the same, and ``weightless`` is true;
    - a subject without a finished classification stays, with no votes, the label "" and NaN.

    Parameters
    ----------
    answers : Answers
        Cleaned by `drop_logged_out` and `drop_repeats`.
    method : {"weighted", "majority", "dawid-skene"}
        How votes are combined.

    Returns
    -------
    `~astropy.table.QTable`
        One row a subject: ``object_id``, ``n_votes``, ``votes_<class>`` (numbers of votes),
        ``weight_<class>`` (sums of weights, for "weighted"), ``soft_<class>`` (fractions or probabilities,
        sum 1), ``label``, ``agreement`` (the label's fraction), ``entropy`` (of the fractions, bits),
        ``tie``, ``weightless`` (for "weighted"), and ``majority_label``, with equal votes. ``meta`` names
        tree, method and classes.

    Raises
    ------
    InputError
        If `method` is unknown.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {tuple(METHODS)}, got {method!r}")
    user, subject, ending = _votes(answers)
    votes = _sums(answers, subject, ending)
    soft, extra = METHODS[method](answers, user, subject, ending, votes)
    classes = answers.tree.classes
    best, tie = _winner(soft)
    labels = np.array([*classes, ""])
    columns = {
        "object_id": np.array(answers.subjects, dtype=str),
        "n_votes": votes.sum(axis=1).astype(int),
        **_by_class("votes", votes.astype(int), classes),
        **(_by_class("weight", extra["weight"], classes) if "weight" in extra else {}),
        **_by_class("soft", soft, classes),
        "label": labels[best],
        "agreement": np.take_along_axis(soft, best[:, None], axis=1)[:, 0],
        "entropy": _entropy(soft),
        "tie": tie,
        **({"weightless": extra["weightless"]} if "weightless" in extra else {}),
        "majority_label": labels[_winner(_fractions(votes))[0]],
    }
    return QTable(columns, meta={"tree": answers.tree.name, "method": method, "classes": list(classes)})


def ending_counts(answers: Answers) -> QTable:
    """How many volunteers came to each ending answer for each subject.

    Returns
    -------
    `~astropy.table.QTable`
        One row a subject: ``object_id``, one column an ending answer, by its name, and ``unfinished``.
    """
    n_choices = len(answers.tree.choices)
    cell = answers.subject.astype(np.int64) * (n_choices + 1) + answers.ending + 1
    counts = np.bincount(cell, minlength=len(answers.subjects) * (n_choices + 1)).reshape(-1, n_choices + 1)
    table = QTable({"object_id": np.array(answers.subjects, dtype=str)})
    for name, number in answers.tree.endings.items():
        table[name] = counts[:, number + 1]
    table["unfinished"] = counts[:, 0]
    return table


def _by_class(what: str, values: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    return {f"{what}_{name}": values[:, k] for k, name in enumerate(classes)}


def _votes(answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, subject and ending answer of each finished classification."""
    ends = answers.ending >= 0
    return answers.user[ends], answers.subject[ends], answers.ending[ends]


def _sums(
    answers: Answers, subject: np.ndarray, ending: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Sum of the weights of the votes for each class, float64, shape (n_subjects, classes)."""
    shape = (len(answers.subjects), len(answers.tree.classes))
    cell = subject.astype(np.int64) * shape[1] + answers.tree.verdict_of[ending]
    return np.bincount(cell, weights=weight, minlength=shape[0] * shape[1]).reshape(shape).astype(float)


def _weighted(
    answers: Answers, user: np.ndarray, subject: np.ndarray, ending: np.ndarray, votes: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    weight = weights(answers).values[user, answers.tree.question_of[ending]]
    sums = _sums(answers, subject, ending, weight)
    weightless = (sums.sum(axis=1) == 0) & (votes.sum(axis=1) > 0)
    soft = _fractions(np.where(weightless[:, None], votes, sums))
    return soft, {"weight": sums, "weightless": weightless}


def _majority(
    answers: Answers, user: np.ndarray, subject: np.ndarray, ending: np.ndarray, votes: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return _fractions(votes), {}


def _dawid_skene(
    answers: Answers, user: np.ndarray, subject: np.ndarray, ending: np.ndarray, votes: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    shape = (len(answers.users), *votes.shape)
    return dawid_skene(user, subject, answers.tree.verdict_of[ending], shape=shape).probabilities, {}


#: How votes can be combined.
METHODS: dict[str, Callable[..., tuple[np.ndarray, dict[str, np.ndarray]]]] = {
    "weighted": _weighted,
    "majority": _majority,
    "dawid-skene": _dawid_skene,
}


def _fractions(sums: np.ndarray) -> np.ndarray:
    """Divided by the sum of the row; NaN where it is zero."""
    total = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)


def _winner(soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first class with the highest fraction, -1 without votes; whether others equal it."""
    known = ~np.isnan(soft).any(axis=1)
    safe = np.nan_to_num(soft)
    leads = safe >= safe.max(axis=1, keepdims=True) - _EQUAL
    return np.where(known, leads.argmax(axis=1), -1), known & (leads.sum(axis=1) > 1)


def _entropy(soft: np.ndarray) -> np.ndarray:
    bits = np.log2(soft, out=np.zeros_like(soft), where=soft > 0)
    return np.sum(soft * -bits, axis=1)
