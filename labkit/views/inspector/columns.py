"""Columns of the objects by name, from the Sample's catalogue, the votes, and what is added on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.views.inspector.objects import Objects

__all__ = ["Columns"]


class Columns:
    """Plain arrays of one value an object.

    Parameters
    ----------
    objects : Objects
        Which rows to take.
    catalogue : Table
        Of the Sample.
    votes : Table, optional
        A column whose name the catalogue has, too, is called ``votes_<name>``. Objects without votes have
        empty texts and NaN.
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

    def age(self, text: str) -> int:
        """A number that changes with the added columns named in a text; what names none stays as it was."""
        return self._version if any(name in text for name in self._added) else 0

    def get(self, name: str) -> NDArray:
        """Values of a column, without unit, shape (n,).

        Raises
        ------
        InputError
            If there is no such column.
        """
        if name in self._added:
            return self._added[name]
        if name == "object_id":
            return self._objects.object_id
        if name in self._catalogue.colnames:
            return _plain(self._catalogue[name])[self._objects.row]
        if name in self._votes:
            return _voted(_plain(self._votes[name]), self._objects.vote_row)
        raise InputError(f"column must be one of {self.names}, got {name!r}")


def _plain(column: Any) -> NDArray:
    """Values as text or numbers; masked ones are empty or NaN."""
    values: Any = getattr(column, "value", column)
    if isinstance(values, np.ma.MaskedArray):
        values, blank = (
            (values.astype(str), "") if values.dtype.kind in "USO" else (values.astype(float), np.nan)
        )
        values = np.ma.filled(values, blank)
    values = np.asarray(values)
    return values.astype(str) if values.dtype.kind in "SO" else values


def _voted(values: NDArray, rows: NDArray) -> NDArray:
    if not len(values):
        return np.full(len(rows), "" if values.dtype.kind == "U" else np.nan)
    if values.dtype.kind == "U":
        return np.where(rows < 0, "", values[rows])
    return np.where(rows < 0, np.nan, values[rows].astype(float))
