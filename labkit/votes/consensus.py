"""How the votes of volunteers are combined: majority, weights of volunteers, Dawid and Skene's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.table import QTable
from scipy import sparse

from labkit.errors import InputError
from labkit.votes.answers import Answers, answer_counts, tally
from labkit.votes.trees import DecisionTree

_SMALLEST = 1e-10


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """What the votes say about the subjects, and about the volunteers.

    In `confusion`, the votes that a volunteer used are equally likely for a class that they have not met.
    """

    probabilities: np.ndarray  # of each class, (n_subjects, classes); NaN where a subject has no vote
    confusion: np.ndarray  # of each vote for each true class, (n_users, true, voted); NaN without votes
    priors: np.ndarray  # fraction of each class among the subjects with votes, (classes,)
    iterations: int
    converged: bool  # whether the probabilities stood still before the steps ran out


def dawid_skene(
    user: np.ndarray,
    subject: np.ndarray,
    vote: np.ndarray,
    *,
    shape: tuple[int, int, int],
    max_iterations: int = 100,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """Maximum-likelihood classes and confusion matrices (Dawid & Skene 1979, Applied Statistics 28, 20).

    Expectation maximisation from the fractions of votes. Written with one sparse matrix of votes, because
    the data-frame implementation of crowd-kit, which gave the same to 1e-8, takes 20 times as long.

    Parameters
    ----------
    user, subject, vote : ndarray of int, shape (votes,)
        Who voted what for which subject.
    shape : tuple of int
        Numbers of users, subjects and classes.
    max_iterations : int
        Steps at most, one at least.
    tolerance : float
        Stop when no probability changes by more.

    Returns
    -------
    DawidSkene
        Probabilities, confusion matrices and priors.
    """
    if max_iterations < 1:
        raise InputError(f"max_iterations must be at least 1, got {max_iterations}")
    n_users, n_subjects, n_classes = shape
    column = np.asarray(user, dtype=np.int64) * n_classes + vote
    ones = np.ones(len(column))
    votes = sparse.csr_matrix((ones, (subject, column)), shape=(n_subjects, n_users * n_classes))
    by_user = votes.T.tocsr()
    known = np.asarray(votes.sum(axis=1)).ravel() > 0
    used = np.asarray(votes.sum(axis=0)).reshape(n_users, n_classes, 1) > 0
    belief = fractions(votes @ np.tile(np.eye(n_classes), (n_users, 1)))
    done, converged = 0, not known.any()
    priors, confusion = np.full(n_classes, np.nan), np.full((n_users, n_classes, n_classes), np.nan)
    while known.any() and done < max_iterations and not converged:
        priors = belief[known].mean(axis=0)
        given = (by_user @ np.where(known[:, None], belief, 0)).reshape(confusion.shape)
        given = np.where(used, np.maximum(given, _SMALLEST), 0)
        confusion = fractions(np.swapaxes(given, 1, 2))  # (user, true, voted)
        chance = np.log(np.where(used, np.swapaxes(confusion, 1, 2), 1))
        score = votes @ chance.reshape(-1, n_classes) + np.log(np.maximum(priors, _SMALLEST))
        new = np.exp(score - score.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        done, converged = done + 1, bool(np.abs(new - belief)[known].max() <= tolerance)
        belief = np.where(known[:, None], new, np.nan)
    return DawidSkene(belief, confusion, priors, done, converged)


def fractions(counts: np.ndarray) -> np.ndarray:
    """Divided by their sum along the last axis; NaN where it is zero."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


#: How votes can be combined.
METHODS = ("weighted", "majority", "dawid-skene")

#: Sums of weights that differ by less are equal; they are rounding errors of one another.
_EQUAL = 1e-9


@dataclass(frozen=True, eq=False)
class Weights:
    """Weight of each volunteer on each question."""

    tasks: tuple[str, ...]
    users: np.ndarray  # names, (n_users,)
    given: np.ndarray  # answers of the volunteer to the question, Q_i, int64, (n_users, questions)
    agreeing: np.ndarray  # those of them that agree with the majority, C_i, (n_users, questions)

    @property
    def values(self) -> np.ndarray:
        """G_i = C_i / Q_i, NaN where the volunteer never answered, shape (n_users, questions)."""
        unknown = np.full(self.given.shape, np.nan)
        return np.divide(self.agreeing, self.given, out=unknown, where=self.given > 0)

    def table(self) -> QTable:
        """One row per volunteer who answered: name, then answers and weight for each task."""
        there = self.given.any(axis=1)
        table = QTable({"user": self.users[there].astype(str), "answers": self.given[there].sum(axis=1)})
        for number, task in enumerate(self.tasks):
            table[f"answers_{task}"] = self.given[there, number]
            table[f"weight_{task}"] = self.values[there, number]
        return table


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
    tree = answers.tree
    counts = answer_counts(answers)
    most = np.maximum.reduceat(counts, tree.offsets, axis=1)
    leads = counts == most[:, tree.question_of]
    agrees = leads[answers.subject[answers.classification], answers.answer]
    user, question = answers.user[answers.classification], tree.question_of[answers.answer]
    shape = (len(answers.users), len(tree.questions))
    given, agreeing = tally(user, question, shape), tally(user[agrees], question[agrees], shape)
    return Weights(tree.tasks, answers.users, given, agreeing)


def consensus(
    answers: Answers, *, method: Literal["weighted", "majority", "dawid-skene"] = "weighted"
) -> QTable:
    """Class, fractions and agreement of each subject from all votes on it.

    Each finished classification is one vote for the class of its ending answer. With ``"weighted"``, a vote
    counts with the volunteer's weight for the question of that answer, and the class with the higher sum wins
    (Kosiba et al. 2020, section 2.3); with ``"majority"`` all votes count the same; ``"dawid-skene"`` gives
    the probabilities of `dawid_skene`. Where the paper is silent:

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
        One row per subject: ``object_id``, ``n_votes``, ``votes_<class>`` (numbers of votes),
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
        raise InputError(f"method must be one of {METHODS}, got {method!r}")
    tree, ends = answers.tree, answers.ending >= 0
    user, subject, ending = answers.user[ends], answers.subject[ends], answers.ending[ends]
    shape = (len(answers.subjects), len(tree.classes))
    verdict = tree.verdict_of[ending]
    votes = tally(subject, verdict, shape)
    columns = {"object_id": np.array(answers.subjects, dtype=str), "n_votes": votes.sum(axis=1)}
    columns |= _by_class("votes", votes, tree)
    weightless = {}
    if method == "weighted":
        weight = weights(answers).values[user, tree.question_of[ending]]
        sums = tally(subject, verdict, shape, weight)
        none = (sums.sum(axis=1) == 0) & (votes.sum(axis=1) > 0)
        soft = fractions(np.where(none[:, None], votes, sums))
        columns |= _by_class("weight", sums.astype(float), tree)
        weightless = {"weightless": none}
    elif method == "majority":
        soft = fractions(votes)
    else:
        sizes = (len(answers.users), *shape)
        soft = dawid_skene(user, subject, verdict, shape=sizes).probabilities
    labels = np.array([*tree.classes, ""])
    best, tie = _winner(soft)
    columns |= _by_class("soft", soft, tree)
    columns |= {"label": labels[best], "agreement": np.take_along_axis(soft, best[:, None], axis=1)[:, 0]}
    bits = np.log2(soft, out=np.zeros_like(soft), where=soft > 0)
    columns |= {"entropy": np.sum(soft * -bits, axis=1), "tie": tie, **weightless}
    columns["majority_label"] = labels[_winner(fractions(votes))[0]]
    about = {"tree": tree.name, "method": method, "classes": list(tree.classes), "positive": tree.positive}
    return QTable(columns, meta=about)


def _by_class(what: str, values: np.ndarray, tree: DecisionTree) -> dict[str, np.ndarray]:
    return {f"{what}_{name}": values[:, k] for k, name in enumerate(tree.classes)}


def _winner(soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first class with the highest fraction, -1 without votes; whether others equal it."""
    known = ~np.isnan(soft).any(axis=1)
    safe = np.nan_to_num(soft)
    leads = safe >= safe.max(axis=1, keepdims=True) - _EQUAL
    return np.where(known, leads.argmax(axis=1), -1), known & (leads.sum(axis=1) > 1)
