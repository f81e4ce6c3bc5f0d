"""How complete a classification is for each group of objects."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.intervals import wilson
from labkit.predictions import Predictions

__all__ = ["recall_by"]


def recall_by(
    predictions: Predictions, groups: ArrayLike, *, threshold: float = 0.5, confidence: float = 0.95
) -> QTable:
    """Completeness of the positives in each group of objects.

    Parameters
    ----------
    predictions : Predictions
        One run, or out-of-fold predictions of one seed, of a scheme with a positive class.
    groups : array_like, shape (n,)
        Group of each row, such as the part of the Sample or a class of redshift.
    threshold : float
        A higher probability counts as a detection.
    confidence : float
        Confidence of the intervals (`labkit.evaluate.wilson`).

    Returns
    -------
    `~astropy.table.QTable`
        A row a group that has positives, in the order of first appearance: ``group``, ``positives``,
        ``recall``, ``low`` and ``high``.

    Raises
    ------
    InputError
        If there is not one group a row.
    """
    names = np.asarray(groups, dtype=str)
    if names.shape != (len(predictions),):
        raise InputError(f"groups must have one value a row, {len(predictions)}, got the shape {names.shape}")
    positive = np.asarray(predictions.table["true"] == predictions.positive)
    rows = []
    for name in dict.fromkeys(names[positive].tolist()):
        here = positive & (names == name)
        n, hits = int(here.sum()), int((predictions.score[here] > threshold).sum())
        bounds = wilson(hits, n, confidence=confidence)
        rows.append(
            {"group": name, "positives": n, "recall": hits / n, "low": bounds.low, "high": bounds.high}
        )
    return QTable(rows=rows) if rows else QTable(names=("group", "positives", "recall", "low", "high"))
