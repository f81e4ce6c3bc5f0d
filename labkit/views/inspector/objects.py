"""The objects of an experiment: one row each, the mean over its runs, joined to Sample and votes by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import rows_of, text


@dataclass(frozen=True)
class Objects:
    """What an inspector knows of n objects, sorted by id, before it looks at a pixel."""

    object_id: NDArray  # (n,)
    row: NDArray  # (n,), of the Sample
    vote_row: NDArray  # (n,), -1 without votes
    true: NDArray  # (n,), number of the label's class, -1 where it is unknown
    probabilities: NDArray  # (n, k), means over the runs
    spread: NDArray  # (n, k), standard deviations over the runs, NaN for a single one
    classes: tuple[str, ...]
    positive: str | None  # the class that counts as a detection
    experiment: str
    runs: int  # most runs that an object has

    def __len__(self) -> int:
        return len(self.object_id)

    def find(self, object_id: str) -> int:
        """Number of an object, -1 if it is not there."""
        return int(self.find_all([object_id])[0])

    def find_all(self, ids: list[str]) -> NDArray[np.int64]:
        """Numbers of objects, -1 where there is none; the ids are sorted, so each takes logarithmic time."""
        wanted = np.array(ids, dtype=str)
        place = np.minimum(np.searchsorted(self.object_id, wanted), len(self) - 1)
        return np.where(self.object_id[place] == wanted, place, -1)


def gather(
    sample: Sample, predictions: Predictions, *, experiment: str | None = None, votes: Table | None = None
) -> Objects:
    """The objects of one experiment (the first by default), by id, each with the mean over its runs.

    The Sample holds all of them, in any order; no pixel is read. `votes` have one row per ``object_id``. An
    InputError if an object or experiment is missing, runs disagree about a true class, or a vote's id comes
    twice.
    """
    chosen = _experiment(predictions, experiment)
    ids, first, inverse = np.unique(text(chosen.table["object_id"]), return_index=True, return_inverse=True)
    same = np.array_equal(ids, sample.object_ids)
    row = np.arange(len(ids)) if same else rows_of(sample.object_ids, ids)
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
    name = str(chosen.table["experiment"][0])
    return Objects(
        *(ids, row, _vote_rows(ids, votes), codes[first], mean, spread),
        *(chosen.classes, chosen.positive, name, int(number.max())),
    )


def _experiment(predictions: Predictions, name: str | None) -> Predictions:
    if not len(predictions):
        raise InputError("predictions must hold one object or more, got none; choose another split")
    column = text(predictions.table["experiment"])
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
    return rows_of(votes["object_id"], ids)


class Columns:
    """Plain arrays of one value per object, by name: of the catalogue, the votes, and what is added.

    A column of the votes whose name the catalogue has, too, is called ``votes_<name>``. Objects without votes
    have empty texts and NaN.
    """

    def __init__(self, objects: Objects, catalogue: Table, votes: Table | None = None) -> None:
        self._objects, self._catalogue = objects, catalogue
        self._votes = {} if votes is None else {name: votes[name] for name in votes.colnames}
        self._votes.pop("object_id", None)
        for name in set(self._votes) & set(catalogue.colnames):
            self._votes[f"votes_{name}"] = self._votes.pop(name)
        self._added: dict[str, NDArray] = {}
        self._version = 0

    @property
    def names(self) -> list[str]:
        """Names of all columns, the id first."""
        return list(dict.fromkeys(["object_id", *self._catalogue.colnames, *self._votes, *self._added]))

    def add(self, name: str, values: NDArray) -> None:
        """Add or replace a column."""
        self._added[name] = values
        self._version += 1

    def age(self, words: str) -> int:
        """A number that changes with the added columns named in a text; what names none stays as it was."""
        return self._version if any(name in words for name in self._added) else 0

    def get(self, name: str) -> NDArray:
        """Values of a column, without unit, shape (n,)."""
        if name in self._added:
            return self._added[name]
        if name == "object_id":
            return self._objects.object_id
        if name in self._catalogue.colnames:
            return _plain(self._catalogue[name])[self._objects.row]
        if name in self._votes:
            values, rows = _plain(self._votes[name]), self._objects.vote_row
            gap = "" if values.dtype.kind == "U" else np.nan
            if not len(values):
                return np.full(len(rows), gap)
            return np.where(rows < 0, gap, values[rows])
        raise InputError(f"column must be one of {self.names}, got {name!r}")


def _plain(column: Any) -> NDArray:
    """Values as text or numbers; masked ones are empty or NaN."""
    values: Any = getattr(column, "value", column)
    if np.asarray(values).dtype.kind in "USO":
        return text(column)
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(float), np.nan)
    return np.asarray(values)
