"""Folds for photometric methods: whole clusters, or those of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedKFold

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.taxonomy import get_scheme

__all__ = ["deal_folds", "folds_of"]


def deal_folds(
    labels: ArrayLike, *, folds: int = 10, groups: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Deal objects into folds.

    Parameters
    ----------
    labels : array_like of str, shape (n,)
        "member", "non-member", or empty where unknown.
    folds : int
        Number of folds.
    groups : array_like, shape (n,), optional
        Host cluster. If given, no group is split between folds, so that every cluster is judged by models
        that never saw it; otherwise folds hold both classes in proportion.
    seed : int
        Shuffles.

    Returns
    -------
    ndarray of int64, shape (n,)
        Fold of each object from 0, -1 where the label is unknown.

    Raises
    ------
    InputError
        If there are fewer groups, or objects of a class, than folds.
    """
    codes = get_scheme("member").encode(np.asarray(labels, dtype=str))
    known = np.flatnonzero(codes >= 0)
    kinds = codes[known] if groups is None else np.asarray(groups)[known]
    sizes = np.unique(kinds, return_counts=True)[1]
    available = min(sizes, default=0) if groups is None else len(sizes)
    if folds < 2 or available < folds:
        what = "objects of the rarer class" if groups is None else "groups"
        raise InputError(
            f"folds must be 2 or more and at most the number of {what}, {available}, got {folds}"
        )
    result = np.full(len(codes), -1, dtype=np.int64)
    if groups is None:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(known, kinds)
    else:
        split = GroupKFold(folds, shuffle=True, random_state=seed).split(known, groups=kinds)
    for number, (_, test) in enumerate(split):
        result[known[test]] = number
    return result


def folds_of(predictions: Predictions, object_id: ArrayLike) -> NDArray[np.int64]:
    """Fold in which each object was tested, so that another method can be given the same.

    Parameters
    ----------
    predictions : Predictions
        Out-of-fold predictions, such as those of a network; several seeds of the same folds may stand
        together.
    object_id : array_like of str, shape (n,)
        Objects in the order wanted.

    Returns
    -------
    ndarray of int64, shape (n,)
        -1 for objects without a prediction.

    Raises
    ------
    InputError
        If an object was tested in different folds.
    """
    ids = np.asarray(predictions.table["object_id"], dtype=str)
    numbers = np.asarray(predictions.table["fold"], dtype=np.int64)
    given = dict(zip(ids.tolist(), numbers.tolist(), strict=True))
    if any(given[name] != number for name, number in zip(ids.tolist(), numbers.tolist(), strict=True)):
        raise InputError(
            "predictions must test each object in one fold; select(seed=...) those of one dealing"
        )
    return np.array(
        [given.get(name, -1) for name in np.asarray(object_id, dtype=str).tolist()], dtype=np.int64
    )
