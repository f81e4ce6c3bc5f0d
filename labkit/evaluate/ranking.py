"""From predictions to the catalogue that goes to the telescope: each object once, best first."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable, Table

from labkit.evaluate.trainings import find_rows, mean_scores
from labkit.predictions import Predictions


def rank(predictions: Predictions, catalogue: Table | None = None) -> QTable:
    """Rank objects by the mean probability of the positive class over all runs.

    Parameters
    ----------
    predictions : Predictions
        Any number of runs (seeds, folds, networks) on the same or different objects.
    catalogue : Table, optional
        Rows to add to, matched by ``object_id``; objects without predictions are left out.

    Returns
    -------
    `~astropy.table.QTable`
        ``rank`` (from 1), ``object_id``, ``p_<positive>`` (mean over runs), ``p_std`` (scatter between runs;
        NaN for one), ``runs``, then the catalogue's columns. Equal probabilities keep the order of the table.

    Raises
    ------
    InputError
        If no class is the positive one, or the catalogue lacks an object.
    """
    found = mean_scores(predictions)
    found = found[np.lexsort((found["row"], -found["mean"]))]
    ranked = QTable({"rank": np.arange(1, len(found) + 1), "object_id": np.asarray(found["object_id"])})
    ranked[f"p_{predictions.positive}"], ranked["p_std"] = np.asarray(found["mean"]), np.asarray(found["std"])
    ranked["runs"] = np.asarray(found["runs"])
    if catalogue is None:
        return ranked
    rows = catalogue[find_rows(catalogue["object_id"], ranked["object_id"], name="catalogue")]
    for name in rows.colnames:
        if name not in ranked.colnames:
            ranked[name] = rows[name]
    return ranked
