"""How the votes of volunteers are combined: majority, weights of volunteers, Dawid and Skene's model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy.table import QTable
from scipy import sparse
from scipy.special import ndtri, softmax

from labkit.errors import InputError, need_choice
from labkit.votes.answers import Answers, answer_counts, tally

logger = logging.getLogger(__name__)

_SMALLEST = 1e-10
_CORRELATIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
_SAMPLE = 50_000  # votes that are predicted from the others


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
    correlation: float  # of the votes on a subject beyond its class; 0: as if they were independent


def dawid_skene(
    user: np.ndarray,
    subject: np.ndarray,
    vote: np.ndarray,
    *,
    shape: tuple[int, int, int],
    prior_votes: float = 5.0,
    correlation: float | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """Classes and confusion matrices by expectation maximisation (Dawid & Skene 1979, Appl. Stat. 28, 20).

    The published method is too sure of itself, for two reasons that are mended here. The matrix of somebody
    with few votes becomes a certainty: `prior_votes` of all volunteers together count in each of its rows.
    And votes are taken to be independent given the class, while a hard subject misleads everybody: n votes
    on it tell as much as n / (1 + (n - 1) rho) independent ones (the design effect, Kish 1965), with rho the
    `correlation` that predicts each vote best from the others on its subject and needs no truth. From three
    votes a subject it can hardly be told. With ``prior_votes=0, correlation=0`` the method is the published.

    Written with one sparse matrix of votes, because the data-frame implementation of crowd-kit, which gave
    the same as the published method to 1e-8, takes 20 times as long and has neither.

    Parameters
    ----------
    user, subject, vote : ndarray of int, shape (votes,)
        Who voted what for which subject.
    shape : tuple of int
        Numbers of users, subjects and classes.
    prior_votes : float
        Weight of the common confusion matrix in that of each volunteer, in votes for each true class.
    correlation : float, optional
        Of the votes on a subject given its class, 0 to 1; estimated if not given.
    max_iterations : int
        Steps at most, one at least.
    tolerance : float
        Stop when no probability changes by more.

    Returns
    -------
    DawidSkene
        Probabilities, confusion matrices, priors, and whether they converged.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if not prior_votes >= 0 or not 0 <= (correlation or 0) <= 1 or max_iterations < 1:
        raise InputError(
            "prior_votes must be 0 or more, correlation from 0 to 1, max_iterations at least 1, got "
            f"{prior_votes}, {correlation} and {max_iterations}"
        )
    n_users, n_subjects, n_classes = shape
    column = np.asarray(user, dtype=np.int64) * n_classes + vote
    ones = np.ones(len(column))
    votes = sparse.csr_matrix((ones, (subject, column)), shape=(n_subjects, n_users * n_classes))
    by_user, number = votes.T.tocsr(), np.asarray(votes.sum(axis=1))
    known = number.ravel() > 0
    used = np.asarray(votes.sum(axis=0)).reshape(n_users, n_classes, 1) > 0
    used = np.broadcast_to(used.any(axis=1, keepdims=True), used.shape) if prior_votes else used
    belief = fractions(votes @ np.tile(np.eye(n_classes), (n_users, 1)))
    done, converged = 0, not known.any()
    priors, confusion = np.full(n_classes, np.nan), np.full((n_users, n_classes, n_classes), np.nan)
    while known.any() and done < max_iterations and not converged:
        priors = belief[known].mean(axis=0)
        given = (by_user @ np.where(known[:, None], belief, 0)).reshape(confusion.shape)
        common = fractions(given.sum(axis=0).T + 1).T  # (voted, true)
        given = np.where(used, np.maximum(given + prior_votes * common, _SMALLEST), 0)
        confusion = fractions(np.swapaxes(given, 1, 2))  # (user, true, voted)
        chance = np.log(np.where(used, np.swapaxes(confusion, 1, 2), 1))
        score, prior = votes @ chance.reshape(-1, n_classes), np.log(np.maximum(priors, _SMALLEST))
        new = softmax(score + prior, axis=1)
        done, converged = done + 1, bool(np.abs(new - belief)[known].max() <= tolerance)
        belief = np.where(known[:, None], new, np.nan)
    if correlation is None:
        correlation = _held_out(user, subject, vote, chance, prior, n_subjects) if known.any() else 0.0
    if correlation:
        belief = np.where(known[:, None], _discounted(score, number, correlation, prior), np.nan)
    return DawidSkene(belief, confusion, priors, done, converged, correlation)


def _discounted(score: np.ndarray, number: np.ndarray, correlation: float, prior: np.ndarray) -> np.ndarray:
    """Probabilities (subjects, classes) from log-likelihoods summed over `number` correlated votes."""
    return softmax(score / (1 + np.maximum(number - 1, 0) * correlation) + prior, axis=1)


def _held_out(
    user: np.ndarray, subject: np.ndarray, vote: np.ndarray, chance: np.ndarray, prior: np.ndarray, n: int
) -> float:
    """The correlation with which the votes on a subject predict a further one best.

    `chance` is the logarithm of the chance of a vote, (users, voted, true).
    """
    kept = np.asarray(subject) % max(1, len(subject) // _SAMPLE) == 0
    user, subject, vote = (np.asarray(column)[kept] for column in (user, subject, vote))
    own = np.ascontiguousarray(chance[user, vote].T)  # (true, votes), for speed
    sums = np.stack([np.bincount(subject, column, n) for column in own])
    others = (np.bincount(subject, minlength=n) - 1)[subject]
    some = others > 0
    rest, others, own = (sums[:, subject] - own)[:, some], others[some], np.exp(own[:, some])
    found = []
    for rho in _CORRELATIONS:
        belief = rest / (1 + (others - 1) * rho) + prior[:, None]
        belief = np.exp(belief - belief.max(axis=0, initial=-np.inf))
        found.append(np.log((belief * own).sum(axis=0) / belief.sum(axis=0)).sum())
    return _CORRELATIONS[int(np.argmax(found))]


def log_odds_weights(
    user: np.ndarray, subject: np.ndarray, vote: np.ndarray, *, shape: tuple[int, int, int]
) -> np.ndarray:
    """Logarithm of the odds that a volunteer is right, as the others on the subjects judge it, (users,).

    Right is who agrees with the majority of the others (a tie is shared), so that nobody agrees with
    themselves; five votes of the average volunteer, a Beta prior, count with one's own. Weights by log-odds
    are the best for independent votes (Nitzan & Paroush 1982, International Economic Review 23, 289); of more
    than two classes the wrong ones are taken to be equally likely. Arguments as of `dawid_skene`.
    """
    n_users, n_subjects, n_classes = shape
    rest = tally(subject, vote, (n_subjects, n_classes))[subject]
    own = np.arange(len(rest))
    rest[own, vote] -= 1
    most = rest.max(axis=1, initial=0)
    judged = most > 0
    agrees = (rest[own, vote] == most) / (rest == most[:, None]).sum(axis=1)
    right = np.bincount(user[judged], agrees[judged], n_users)
    given = np.bincount(user[judged], minlength=n_users)
    mean = (right.sum() + 1) / (given.sum() + 2)
    skill = (right + 5 * mean) / (given + 5)
    return np.log(skill * (n_classes - 1) / (1 - skill))


def krippendorff_alpha(votes: np.ndarray) -> float:
    """Agreement of the volunteers beyond chance, from numbers of votes, (subjects, classes).

    1 is perfect agreement, 0 what chance gives: alpha of nominal data with any number of votes on a subject
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"); NaN without a subject of two votes or
    with one class. No package that is kept for other reasons has it.
    """
    votes = np.asarray(votes, dtype=float)
    votes = votes[votes.sum(axis=1) > 1]
    number, totals = votes.sum(axis=1), votes.sum(axis=0)
    pairs = totals.sum() ** 2 - (totals**2).sum()
    if not pairs:
        return float("nan")
    differing = ((number**2 - (votes**2).sum(axis=1)) / (number - 1)).sum()
    return float(1 - (totals.sum() - 1) * differing / pairs)


def fractions(counts: np.ndarray) -> np.ndarray:
    """Divided by their sum along the last axis; NaN where it is zero."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


#: How votes can be combined.
METHODS = ("weighted", "majority", "log-odds", "dawid-skene")

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
    answers: Answers,
    *,
    method: Literal["weighted", "majority", "log-odds", "dawid-skene"] = "weighted",
    threshold: float = 0.5,
) -> QTable:
    """Class, fractions and agreement of each subject from all votes on it.

    Each finished classification is one vote for the class of its ending answer. With ``"weighted"``, a vote
    counts with the volunteer's weight for the question of that answer, and the class with the higher sum wins
    (Kosiba et al. 2020, section 2.3); with ``"majority"`` all votes count the same. ``"log-odds"`` weighs by
    `log_odds_weights` and ``"dawid-skene"`` by `dawid_skene`; their soft labels are probabilities, the others
    fractions of votes. Where the paper is silent:

    - on equal sums the class that the tree lists first wins, and ``tie`` is true;
    - where all votes have weight zero, they count the same, and ``weightless`` is true;
    - a subject without a finished classification stays, with no votes, the label "" and NaN.

    Parameters
    ----------
    answers : Answers
        Cleaned by `drop_logged_out` and `drop_repeats`.
    method : {"weighted", "majority", "log-odds", "dawid-skene"}
        How votes are combined.
    threshold : float
        Fraction of votes for the label that its interval is to exclude, for ``votes_needed``.

    Returns
    -------
    `~astropy.table.QTable`
        One row per subject: ``object_id``, ``n_votes``, ``votes_<class>`` (numbers of votes),
        ``weight_<class>`` (sums of weights, for "weighted"), ``soft_<class>`` (fractions or probabilities,
        sum 1), ``label``, ``agreement`` (the label's fraction), ``entropy`` (of the fractions, bits),
        ``tie``, ``weightless`` (for "weighted"), ``majority_label``, with equal votes, ``fraction_low`` and
        ``fraction_high``, the 95 % Wilson interval of the fraction of all volunteers who would vote for the
        label (whatever the method, votes count the same here), and ``votes_needed``, further votes divided as
        those so far after which it excludes the `threshold`, inf where they lie on it. ``meta`` names tree,
        method, classes, ``threshold``, ``alpha`` (`krippendorff_alpha`), and for the last two methods the
        ``correlation`` of the votes; for Dawid and Skene's also ``iterations`` and whether it ``converged``.

    Raises
    ------
    InputError
        If `method` is unknown, or `threshold` does not lie between 0 and 1.
    """
    need_choice("method", method, METHODS)
    if not 0 < threshold < 1:
        raise InputError(f"threshold must lie between 0 and 1, got {threshold}")
    tree, ends = answers.tree, answers.ending >= 0
    user, subject, ending = answers.user[ends], answers.subject[ends], answers.ending[ends]
    shape = (len(answers.subjects), len(tree.classes))
    verdict = tree.verdict_of[ending]
    votes = tally(subject, verdict, shape)
    columns = {"object_id": np.array(answers.subjects, dtype=str), "n_votes": votes.sum(axis=1)}
    columns |= _by_class("votes", votes, tree.classes)
    weightless: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {"tree": tree.name, "method": method, "classes": list(tree.classes)}
    about |= {"positive": tree.positive, "alpha": krippendorff_alpha(votes), "threshold": threshold}
    sizes = (len(answers.users), *shape)
    if method == "weighted":
        weight = weights(answers).values[user, tree.question_of[ending]]
        sums = tally(subject, verdict, shape, weight)
        none = (sums.sum(axis=1) == 0) & (votes.sum(axis=1) > 0)
        soft = fractions(np.where(none[:, None], votes, sums))
        columns |= _by_class("weight", sums.astype(float), tree.classes)
        weightless = {"weightless": none}
    elif method == "majority":
        soft = fractions(votes)
    elif method == "log-odds":
        weight = log_odds_weights(user, subject, verdict, shape=sizes)
        soft, about["correlation"] = _by_log_odds(weight, user, subject, verdict, sizes)
    else:
        found = dawid_skene(user, subject, verdict, shape=sizes)
        soft = found.probabilities
        about |= {name: getattr(found, name) for name in ("correlation", "iterations", "converged")}
        if not found.converged:
            logger.warning("Dawid and Skene's method has not converged in %d steps", found.iterations)
    columns |= soft_columns(soft, tree.classes) | weightless
    columns["majority_label"] = np.array([*tree.classes, ""])[_winner(fractions(votes))[0]]
    return QTable(columns | _certainty(votes, _winner(soft)[0], threshold), meta=about)


def soft_columns(soft: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of fractions or probabilities (subjects, classes), and the label that follows from them."""
    best, tie = _winner(soft)
    bits = np.log2(soft, out=np.zeros_like(soft), where=soft > 0)
    columns = {"label": np.array([*classes, ""])[best], "agreement": soft[np.arange(len(soft)), best]}
    columns |= {"entropy": np.sum(soft * -bits, axis=1), "tie": tie}
    return _by_class("soft", soft, classes) | columns


def _certainty(votes: np.ndarray, best: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Wilson interval of the fraction of votes for the label, and the votes until it excludes a threshold.

    It excludes t where n (f - t)^2 > z^2 t (1 - t): there the score test, whose inverse it is, rejects t.
    """
    number, z = votes.sum(axis=1).astype(float), float(ndtri(0.975))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = votes[np.arange(len(votes)), best] / number
        middle, scale = (share + z**2 / (2 * number)), 1 + z**2 / number
        half = z * np.sqrt(share * (1 - share) / number + (z / (2 * number)) ** 2)
        least = np.floor(z**2 * threshold * (1 - threshold) / (share - threshold) ** 2) + 1
    found = {"fraction_low": (middle - half) / scale, "fraction_high": (middle + half) / scale}
    return found | {"votes_needed": np.maximum(least - number, 0)}


def _by_log_odds(
    weight: np.ndarray, user: np.ndarray, subject: np.ndarray, vote: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, float]:
    """Probabilities of the classes, NaN without votes, and the correlation of the votes."""
    _, n_subjects, n_classes = shape
    wrong = -np.log(np.exp(weight) + n_classes - 1)  # of the chance of each wrong class
    chance = wrong[:, None, None] + weight[:, None, None] * np.eye(n_classes)
    number = np.bincount(subject, minlength=n_subjects)[:, None]
    prior = np.zeros(n_classes)
    rho = _held_out(user, subject, vote, chance, prior, n_subjects) if len(vote) else 0.0
    score = tally(subject, vote, (n_subjects, n_classes), weight[user]).astype(float)
    return np.where(number > 0, _discounted(score, number, rho, prior), np.nan), rho


def _by_class(what: str, values: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    return {f"{what}_{name}": values[:, k] for k, name in enumerate(classes)}


def _winner(soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first class with the highest fraction, -1 without votes; whether others equal it."""
    known = ~np.isnan(soft).any(axis=1)
    safe = np.nan_to_num(soft)
    leads = safe >= safe.max(axis=1, keepdims=True) - _EQUAL
    return np.where(known, leads.argmax(axis=1), -1), known & (leads.sum(axis=1) > 1)
