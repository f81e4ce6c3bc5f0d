"""From predictions to the catalogue that goes to the telescope: one row an object, best first."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.predictions import Predictions

__all__ = ["ranked_catalogue"]


def ranked_catalogue(predictions: Predictions, catalogue: Table | None = None) -> QTable:
    """Rank objects by the mean probability of the positive class over all runs.

    Parameters
    ----------
    predictions : Predictions
        Any number of runs (seeds, folds, networks) on the same or different objects.
    catalogue : Table, optional
        Rows to add to, matched by ``object_id``; objects without predictions are left out.

    Returns
    -------
    QTable
        ``rank`` (from 1), ``object_id``, ``p_<positive>`` (mean over runs), ``p_std`` (scatter between runs;
        NaN for one), ``runs``, then the catalogue's columns. Equal probabilities keep the order of the table.

    Raises
    ------
    InputError
        If no class is the positive one, or the catalogue lacks an object.
    """
    ids, first, row = np.unique(
        np.asarray(predictions.table["object_id"], dtype=str), return_index=True, return_inverse=True
    )
    runs = np.bincount(row)
    mean = np.bincount(row, predictions.score) / runs
    square = np.bincount(row, (predictions.score - mean[row]) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        std = np.where(runs > 1, np.sqrt(square / np.maximum(runs - 1, 1)), np.nan)
    order = np.lexsort((first, -mean))
    ranked = QTable(
        {
            "rank": np.arange(1, len(ids) + 1),
            "object_id": ids[order],
            f"p_{predictions.positive}": mean[order],
            "p_std": std[order],
            "runs": runs[order],
        }
    )
    if catalogue is None:
        return ranked
    position = {str(name): i for i, name in enumerate(catalogue["object_id"])}
    if missing := [str(name) for name in ranked["object_id"] if str(name) not in position]:
        raise InputError(
            f"catalogue must hold every predicted object, got none for {missing[:5]}; "
            "pass the catalogue of the Sample that was predicted"
        )
    rows = catalogue[[position[str(name)] for name in ranked["object_id"]]]
    for name in rows.colnames:
        if name not in ranked.colnames:
            ranked[name] = rows[name]
    return ranked
