"""Volunteers' verdicts as Predictions, measured against the experts' like any network's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate.tables import measure
from labkit.predictions import Predictions
from labkit.tables import numbers, text
from labkit.taxonomy import BINARY, Scheme

_SHOWN = ("tp", "tn", "fp", "fn", "accuracy", "purity", "completeness", "auc")


def vote_predictions(
    votes: Mapping[str, Table], catalogue: Table, *, scheme: Scheme = BINARY
) -> dict[str, Predictions]:
    """Votes on the objects of a catalogue, with what the experts say of them as the truth.

    Parameters
    ----------
    votes : mapping of str to Table
        For each way to combine votes, what `labkit.votes.consensus` gives.
    catalogue : Table
        ``object_id``, ``label`` of the experts, and ``split`` if the survey has it.
    scheme : Scheme
        How the experts' labels become classes, of which one is positive.

    Returns
    -------
    dict of str to Predictions
        The soft label as the probability (0 without votes); the truth is "" where the experts have none or
        the object is not in the catalogue. On a tie, the probability is next to one half on the side of the
        label.
    """
    expert = scheme.decode(scheme.encode(text(catalogue["label"])))
    split = text(catalogue["split"]) if "split" in catalogue.colnames else np.full(len(catalogue), "")
    ids = text(catalogue["object_id"]).tolist()
    said = dict(zip(ids, zip(expert.tolist(), split.tolist(), strict=True), strict=True))
    found = {}
    for way, table in votes.items():
        soft_column = f"soft_{scheme.positive}"
        if missing := [name for name in ("object_id", "label", soft_column) if name not in table.colnames]:
            raise InputError(f"votes[{way!r}] must come from labkit.votes.consensus, it lacks {missing}")
        names = text(table["object_id"])
        truth, parts = np.array([said.get(name, ("", "")) for name in names.tolist()], str).reshape(-1, 2).T
        soft = np.nan_to_num(numbers(table[soft_column]))
        called = text(table["label"]) == scheme.positive
        p = np.where(called, np.maximum(soft, np.nextafter(0.5, 1)), np.minimum(soft, 0.5))
        number = scheme.classes.index(str(scheme.positive))
        both = np.column_stack([1 - p, p] if number else [p, 1 - p])
        found[way] = Predictions.from_arrays(
            names,
            both,
            classes=scheme.classes,
            true=truth,
            experiment=way,
            split=parts,
            positive=scheme.positive,
        )
    return found


def vote_table(votes: Mapping[str, Predictions]) -> QTable:
    """How ways to combine votes agree with the experts (Kosiba et al. 2020, Table 1).

    Parameters
    ----------
    votes : mapping of str to Predictions
        From `vote_predictions`.

    Returns
    -------
    `~astropy.table.QTable`
        ``data_set``, ``objects``, ``classifications`` (the way), ``tp``, ``tn``, ``fp``, ``fn``,
        ``accuracy``, ``purity``, ``completeness`` and ``auc``, for all objects that the experts know, then
        for those of the test split. A data set without objects of both classes has no row.
    """
    rows = []
    for split in (None, "test"):
        for way, predictions in votes.items():
            part = predictions.select(split=split).known
            positive = np.asarray(part.table["true"] == part.positive)
            if positive.all() or not positive.any():
                continue
            found = measure(part, measures=_SHOWN, split=None, over="runs")[0]
            about = {"data_set": f"{len(part)} objects", "objects": len(part), "classifications": way}
            counts = {name: int(found[name]) for name in _SHOWN[:4]}
            rows.append(about | counts | {name: float(found[name]) for name in _SHOWN[4:]})
    if rows:
        return QTable(rows=rows)
    names = ("data_set", "objects", "classifications", *_SHOWN)
    return QTable(names=names, dtype=["U12", "i8", "U12", *4 * ["i8"], *4 * ["f8"]])
