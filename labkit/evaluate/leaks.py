"""The leak check: does anything that must not matter tell the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict

from labkit.errors import InputError
from labkit.evaluate.measures import auc
from labkit.tables import numbers


class Leak(NamedTuple):
    """Result of a leak check."""

    auc: float  # of a forest that sees only what must not matter; 0.5 is guessing
    noise: float  # standard deviation of that AUC if nothing leaks (of the Mann-Whitney statistic)

    @property
    def sigmas(self) -> float:
        """Distance of the AUC from guessing, in standard deviations."""
        return (self.auc - 0.5) / self.noise


def leak(catalogue: Table, positive: np.ndarray, columns: Sequence[str], *, seed: int = 0) -> Leak:
    """How well a random forest guesses the class from columns that have nothing to do with it.

    The order of the rows counts as one more column. Probabilities are those of five folds, each predicted by
    a forest that did not see it.

    Parameters
    ----------
    catalogue : Table
        One row for each object.
    positive : ndarray of bool, shape (n,)
        Class of each object.
    columns : sequence of str
        What must not matter.
    seed : int
        Of the forest.

    Returns
    -------
    Leak
        AUC and its noise.

    Raises
    ------
    InputError
        If a column is missing, or a class has fewer than five objects.
    """
    positive = np.asarray(positive, dtype=bool)
    if missing := [name for name in columns if name not in catalogue.colnames]:
        raise InputError(f"columns must be in the catalogue, got {missing}; it has {catalogue.colnames}")
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 5:
        raise InputError(
            f"positive must have five objects of each class or more, got {n_positive} and {n_negative}"
        )
    values = [numbers(catalogue[name]) for name in columns]
    features = np.column_stack([*values, np.arange(len(catalogue))])
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
    guessed = cross_val_predict(forest, features, positive, cv=5, method="predict_proba")[:, 1]
    noise = np.sqrt((n_positive + n_negative + 1) / (12 * n_positive * n_negative))
    return Leak(float(auc(positive, guessed)), float(noise))
