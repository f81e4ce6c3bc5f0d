"""The objects of an experiment: one row each, the mean over its runs, joined to Sample and votes by id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample

__all__ = ["Objects", "gather", "match_ids"]


@dataclass(frozen=True)
class Objects:
    """What an inspector knows of n objects before it looks at a pixel.

    Parameters
    ----------
    object_id : ndarray of str, shape (n,)
        Ids, sorted.
    row : ndarray of int, shape (n,)
        Row of each object in the Sample.
    vote_row : ndarray of int, shape (n,)
        Row of each object in the table of votes, -1 without votes.
    true : ndarray of int, shape (n,)
        Number of the true class, -1 where it is unknown.
    probabilities, spread : ndarray, shape (n, k)
        Mean probability of each class over the runs, and its standard deviation (NaN for a single run).
    classes : tuple of str
        The k classes.
    positive : str or None
        The class that counts as a detection.
    experiment : str
        Name of the experiment.
    runs : int
        Most runs that an object has.
    """

    object_id: NDArray
    row: NDArray
    vote_row: NDArray
    true: NDArray
    probabilities: NDArray
    spread: NDArray
    classes: tuple[str, ...]
    positive: str | None
    experiment: str
    runs: int

    def __len__(self) -> int:
        return len(self.object_id)

    def find(self, object_id: str) -> int:
        """Number of an object, -1 if it is not there."""
        return int(match_ids([object_id], self.object_id)[0])


def match_ids(wanted: NDArray | list[str], known: NDArray) -> NDArray[np.int64]:
    """Position of each wanted id among the known ones, -1 where there is none; sorts, so n log n."""
    wanted, known = np.asarray(wanted, dtype=str), np.asarray(known, dtype=str)
    if not len(known):
        return np.full(len(wanted), -1)
    if wanted.shape == known.shape and np.array_equal(wanted, known):
        return np.arange(len(known))
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    return np.where(known[order[place]] == wanted, order[place], -1)


def gather(
    sample: Sample, predictions: Predictions, *, experiment: str | None = None, votes: Table | None = None
) -> Objects:
    """The objects of one experiment, each with the mean over its runs (seeds and folds).

    Parameters
    ----------
    sample : Sample
        Holds all predicted objects, in any order; no pixel is read.
    predictions : Predictions
        Of one experiment or several.
    experiment : str, optional
        Which one; the first by default.
    votes : Table, optional
        A row an object, with the column ``object_id``.

    Returns
    -------
    Objects
        In the order of their ids.

    Raises
    ------
    InputError
        If there is no prediction or no such experiment, the Sample lacks objects, the runs disagree about a
        true class, or `votes` has no ``object_id`` or an id twice.
    """
    chosen = _experiment(predictions, experiment)
    ids, first, inverse = np.unique(
        np.asarray(chosen.table["object_id"], dtype=str), return_index=True, return_inverse=True
    )
    row = match_ids(ids, sample.object_ids)
    if (row < 0).any():
        raise InputError(
            f"sample must hold the objects of the predictions, {(row < 0).sum()} of {len(ids)} are missing, "
            f"first {ids[row < 0][:3].tolist()}; give the Sample that was predicted"
        )
    codes = chosen.true_codes
    if (codes != codes[first][inverse]).any():
        some = np.unique(ids[inverse[codes != codes[first][inverse]]])[:3].tolist()
        raise InputError(f"true must be the same in every run of an object, it differs for {some}")
    number = np.bincount(inverse, minlength=len(ids))
    mean = _mean(chosen.probabilities, inverse, number)
    scatter = _mean((chosen.probabilities - mean[inverse]) ** 2, inverse, number)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(scatter * (number / (number - 1))[:, None])
    return Objects(ids, row, _vote_rows(ids, votes), codes[first], mean, spread, chosen.classes,
                   chosen.positive, str(chosen.table["experiment"][0]), int(number.max()))  # fmt: skip


def _experiment(predictions: Predictions, name: str | None) -> Predictions:
    if not len(predictions):
        raise InputError("predictions must hold one object or more, got none; choose another split")
    column = np.asarray(predictions.table["experiment"], dtype=str)
    chosen = column == (column[0] if name is None else name)
    if not chosen.any():
        raise InputError(f"experiment must be one of {np.unique(column).tolist()}, got {name!r}")
    return predictions if chosen.all() else predictions.select(chosen)


def _mean(values: NDArray, inverse: NDArray, number: NDArray) -> NDArray:
    sums = [np.bincount(inverse, weights=column, minlength=len(number)) for column in values.T]
    return np.column_stack(sums) / number[:, None]


def _vote_rows(ids: NDArray, votes: Table | None) -> NDArray[np.int64]:
    if votes is None:
        return np.full(len(ids), -1)
    if "object_id" not in votes.colnames:
        raise InputError(f"votes must have the column 'object_id', got {votes.colnames}")
    voted = np.asarray(votes["object_id"], dtype=str)
    if len(np.unique(voted)) != len(voted):
        raise InputError("votes must have one row an object, got an object_id more than once")
    return match_ids(ids, voted)
