"""Volunteers' verdicts against the experts' (Kosiba et al. 2020, Table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate.metrics import binary_scores
from labkit.taxonomy import BINARY, Scheme

__all__ = ["beside_experts", "vote_scores"]

_SHOWN = ("tp", "tn", "fp", "fn", "accuracy", "precision", "recall", "auc")


def beside_experts(votes: Table, catalogue: Table, *, scheme: Scheme = BINARY) -> QTable:
    """The votes with what the experts say of the same objects.

    Parameters
    ----------
    votes : Table
        From `labkit.votes.consensus`.
    catalogue : Table
        ``object_id``, ``label``, and ``split`` if the survey has it.
    scheme : Scheme
        How the experts' labels become classes.

    Returns
    -------
    `~astropy.table.QTable`
        The rows of `votes` with two more columns: ``expert``, the class or "" where the experts have none or
        the object is not in the catalogue, and ``split``.

    Raises
    ------
    InputError
        If a label is not known to the scheme.
    """
    expert = scheme.decode(scheme.encode(catalogue["label"]))
    split = catalogue["split"] if "split" in catalogue.colnames else np.full(len(catalogue), "")
    rows = zip(expert.tolist(), np.asarray(split, dtype=str).tolist(), strict=True)
    said = dict(zip(np.asarray(catalogue["object_id"], dtype=str).tolist(), rows, strict=True))
    found = [said.get(str(name), ("", "")) for name in votes["object_id"]]
    table = QTable(votes)
    table["expert"], table["split"] = np.array(found, dtype=str).reshape(-1, 2).T
    return table


def vote_scores(judged: Mapping[str, Table], *, positive: str = "cluster") -> QTable:
    """Table 1: how ways to combine votes agree with the experts, on all their objects and on the test split.

    Parameters
    ----------
    judged : mapping of str to Table
        For each way, its votes from `beside_experts`.
    positive : str
        The class that counts as a detection; "" of a subject without votes counts as none.

    Returns
    -------
    `~astropy.table.QTable`
        ``data_set``, ``objects``, ``classifications`` (the way), ``tp``, ``tn``, ``fp``, ``fn``,
        ``accuracy``, ``precision``, ``recall`` and ``auc`` (of the soft labels). A data set without objects
        of both classes has no row.

    Raises
    ------
    InputError
        If votes lack the column ``expert``.
    """
    rows = []
    for test_only in (False, True):
        for way, table in judged.items():
            if "expert" not in table.colnames:
                raise InputError(f"judged[{way!r}] must come from beside_experts, got {table.colnames}")
            known = np.asarray(table["expert"] != "") & (
                np.asarray(table["split"] == "test") | (not test_only)
            )
            truth = np.asarray(table["expert"] == positive)[known]
            if truth.all() or not truth.any():
                continue
            soft = np.nan_to_num(np.asarray(table[f"soft_{positive}"], dtype=float))[known]
            found = np.asarray(table["label"] == positive)[known]
            scores = asdict(binary_scores(truth, soft, decided=found))
            about = {"data_set": f"{len(truth)} objects", "objects": len(truth), "classifications": way}
            rows.append(about | {name: scores[name] for name in _SHOWN})
    if rows:
        return QTable(rows=rows)
    names = ("data_set", "objects", "classifications", *_SHOWN)
    return QTable(names=names, dtype=["U12", "i8", "U12", *4 * ["i8"], *4 * ["f8"]])
