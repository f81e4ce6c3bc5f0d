"""Which objects a classification got right and wrong, one object a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.predictions import Predictions

__all__ = ["OUTCOMES", "by_set", "outcomes", "rows_of"]

OUTCOMES = ("TP", "TN", "FP", "FN")


def outcomes(predictions: Predictions, *, threshold: float = 0.5) -> NDArray[np.str_]:
    """True or false, positive or negative, of each row.

    Parameters
    ----------
    predictions : Predictions
        Of a scheme with a positive class.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    ndarray of str, shape (n,)
        One of `OUTCOMES`, empty where the truth is unknown.
    """
    truth, chosen = (
        np.asarray(predictions.table["true"] == predictions.positive),
        predictions.score > threshold,
    )
    kinds = np.where(truth, np.where(chosen, "TP", "FN"), np.where(chosen, "FP", "TN"))
    return np.where(predictions.true_codes >= 0, kinds, "")


def by_set(predictions: Predictions) -> list[Predictions]:
    """Sets that hold each object once.

    They are a seed with all its folds, or each run where several folds test the same objects.

    Parameters
    ----------
    predictions : Predictions
        Of one experiment; rows without truth are left out.

    Raises
    ------
    InputError
        If there are several experiments, or nothing is known.
    """
    known = predictions.known
    names = np.unique(np.asarray(known.table["experiment"], dtype=str)).tolist()
    if len(names) != 1:
        raise InputError(f"predictions must be of one experiment with known truth, got {names}; select one")
    sets: list[Predictions] = []
    for seed in np.unique(np.asarray(known.table["seed"])).tolist():
        part = known.select(seed=seed)
        once = len(np.unique(np.asarray(part.table["object_id"], dtype=str))) == len(part)
        sets += [part] if once else [one for _, one in part.runs()]
    return sets


def rows_of(object_id: NDArray, wanted: NDArray, *, name: str) -> NDArray[np.int64]:
    """Row of each wanted object in a catalogue.

    Parameters
    ----------
    object_id, wanted : ndarray of str
        Objects of the catalogue, and those looked for.
    name : str
        Of the catalogue, for the message.

    Raises
    ------
    InputError
        If an object is not there.
    """
    place = {str(one): row for row, one in enumerate(object_id)}
    if missing := [str(one) for one in wanted if str(one) not in place]:
        raise InputError(f"{name} must hold every predicted object, got none for {missing[:5]}")
    return np.array([place[str(one)] for one in wanted], dtype=np.int64)
