"""Dawid and Skene's estimate of the true class from votes of volunteers who each err in their own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from labkit.errors import InputError

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
    the data-frame implementation of crowd-kit, to which it is equal in the tests, takes 20 times as long.

    Parameters
    ----------
    user, subject, vote : ndarray of int, shape (votes,)
        Who voted what for which subject.
    shape : tuple of int
        Numbers of users, subjects and classes.
    max_iterations : int
        Steps at most.
    tolerance : float
        Stop when no probability changes by more.

    Returns
    -------
    DawidSkene
        Probabilities, confusion matrices and priors.

    Raises
    ------
    InputError
        If `max_iterations` is less than one.
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
