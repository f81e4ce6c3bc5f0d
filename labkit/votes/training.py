"""Volunteers' verdicts as labels to train on, with their own training and validation parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError

__all__ = ["KOSIBA_VALIDATION", "training_labels"]

#: Validation objects of each class (Kosiba et al. 2020, Table 2, Zooniverse).
KOSIBA_VALIDATION: Mapping[str, int] = MappingProxyType({"cluster": 130, "non-cluster": 100})


def training_labels(
    votes: QTable,
    rng: np.random.Generator,
    *,
    exclude: Collection[str] = (),
    validation: Mapping[str, int] = KOSIBA_VALIDATION,
) -> QTable:
    """Labels and splits for a training on what the volunteers said.

    Objects on which networks are tested, and those without a label, are left out. Of the others, as many of
    each class as asked for are drawn for validation, but at most a third of the class (and one of two); all
    the rest is for training. The paper gives the numbers (Table 2), not how the objects were chosen.

    Parameters
    ----------
    votes : `~astropy.table.QTable`
        From `labkit.votes.consensus`.
    rng : numpy.random.Generator
        Draws the validation objects.
    exclude : collection of str
        Ids of the test objects.
    validation : mapping of str to int
        Validation objects wanted of each class.

    Returns
    -------
    `~astropy.table.QTable`
        ``object_id``, ``label``, ``split`` ("train" or "validation"), ``soft_<class>``, ``n_votes`` and
        ``agreement``, in the order of `votes`.

    Raises
    ------
    InputError
        If a wanted class is not one of the votes', or no object is left.
    """
    classes = tuple(votes.meta["classes"])
    if unknown := sorted(set(validation) - set(classes)):
        raise InputError(f"validation must name classes of the votes {classes}, got {unknown}")
    label = np.asarray(votes["label"], dtype=str)
    kept = (label != "") & ~np.isin(np.asarray(votes["object_id"], dtype=str), list(exclude))
    if not kept.any():
        raise InputError(f"votes must hold labelled objects that are not excluded, got none of {len(votes)}")
    split = np.full(len(votes), "train", dtype="U10")
    for name in classes:
        rows = np.flatnonzero(kept & (label == name))
        most = max(len(rows) // 3, int(len(rows) > 1))
        split[rng.choice(rows, min(validation.get(name, 0), most), replace=False)] = "validation"
    table = QTable(votes["object_id", "label"][kept])
    table["split"] = split[kept]
    for name in (*(f"soft_{each}" for each in classes), "n_votes", "agreement"):
        table[name] = votes[name][kept]
    return table
