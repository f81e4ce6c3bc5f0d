"""The catalogue of members completed by a network: section 5 of Angora et al. (2020)."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.taxonomy import get_scheme

__all__ = ["complete_members", "completion_counts", "member_groups"]

_SURE = 0.9


def complete_members(
    catalogue: Table,
    predictions: Predictions,
    *,
    magnitude: str = "mag_F814",
    limit: float = 25.0,
    threshold: float = 0.5,
) -> QTable:
    """Say of every source by what it is a member: by its spectrum, or by a network down to a magnitude.

    A spectrum's verdict stands whatever the network says and however faint the source is. Sources without a
    redshift are members if their probability, the mean over all runs of the predictions, is above the
    threshold and they are not fainter than the limit, beyond which hardly any member was there to learn from
    (3 % in Angora et al. 2020, section 5). Sources without magnitude cannot pass it.

    Parameters
    ----------
    catalogue : Table
        Of a member Sample: ``object_id``, ``label`` ("member", "non-member", "" without redshift), the column
        of magnitudes, and whatever else is to be kept.
    predictions : Predictions
        Of the sources without redshift, at least; scheme "member".
    magnitude : str
        Column of the limit.
    limit : float
        Faintest magnitude of a network's member.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        The catalogue's rows and columns, with ``probability`` (NaN where there is no prediction) and
        ``member_by`` ("spectroscopy", "network" or ""). ``meta`` keeps magnitude, limit and threshold for
        `completion_counts`.

    Raises
    ------
    InputError
        If a column is missing, a label is unknown, no source has a prediction, or the predictions have no
        positive class.
    """
    if missing := [name for name in ("object_id", "label", magnitude) if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns object_id, label and {magnitude}, got none for {missing}; name "
            "the column of magnitudes by magnitude="
        )
    codes = get_scheme("member").encode(np.asarray(catalogue["label"], dtype=str))
    ids = np.asarray(catalogue["object_id"], dtype=str)
    probability = _probabilities(predictions, ids)
    if len(ids) and not np.isfinite(probability).any():
        raise InputError("predictions must judge sources of the catalogue, got none of them")
    values = np.ma.asarray(getattr(catalogue[magnitude], "value", catalogue[magnitude]), dtype=np.float64)
    bright = values.filled(np.nan) <= limit
    table = QTable(catalogue)
    table["probability"] = probability
    by_network = (codes < 0) & (probability > threshold) & bright
    table["member_by"] = np.select([codes == 1, by_network], ["spectroscopy", "network"], default="")
    table.meta = {"magnitude": magnitude, "limit": float(limit), "threshold": float(threshold)}
    return table


def _probabilities(predictions: Predictions, ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """Mean probability of each source over all runs, NaN where there is none."""
    names, row = np.unique(np.asarray(predictions.table["object_id"], dtype=str), return_inverse=True)
    mean = np.bincount(row, predictions.score, len(names)) / np.bincount(row, minlength=len(names))
    known = dict(zip(names.tolist(), mean.tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in ids.tolist()], dtype=np.float64)


def completion_counts(completed: Table) -> Table:
    """How many members spectra and network found in each cluster, with a last row of sums.

    Parameters
    ----------
    completed : Table
        As `complete_members` made it; one field where it has no column ``cluster``.

    Returns
    -------
    Table
        ``cluster``; ``spectroscopic_members`` and ``spectroscopic_non_members``; ``run``, sources without
        redshift that the network judged, and ``unjudged``, those it did not; ``network_members``, of these
        ``sure``, with a probability above 0.9 (in the paper 46 % of 372); ``too_faint``, above the threshold
        but beyond the limit or without magnitude; ``members``, by spectrum or network. The paper has 812
        spectroscopic members and 372 of the network in four clusters.

    Raises
    ------
    InputError
        If the table is not of `complete_members`.
    """
    if missing := [n for n in ("label", "probability", "member_by") if n not in completed.colnames]:
        raise InputError(f"completed must come from complete_members, got no columns {missing}")
    label, by = (np.asarray(completed[name], dtype=str) for name in ("label", "member_by"))
    p, unknown = np.asarray(completed["probability"], dtype=np.float64), label == ""
    network, threshold = by == "network", completed.meta.get("threshold", 0.5)
    columns = {
        "spectroscopic_members": label == "member",
        "spectroscopic_non_members": label == "non-member",
        "run": unknown & np.isfinite(p),
        "unjudged": unknown & ~np.isfinite(p),
        "network_members": network,
        "sure": network & (p > _SURE),
        "too_faint": unknown & (p > threshold) & ~network,
        "members": by != "",
    }
    clusters = np.asarray(completed["cluster"], dtype=str) if "cluster" in completed.colnames else None
    names = ["all"] if clusters is None else list(dict.fromkeys(clusters.tolist()))
    rows = [
        [
            name,
            *(
                int(mask[slice(None) if clusters is None else clusters == name].sum())
                for mask in columns.values()
            ),
        ]
        for name in names
    ]
    if clusters is not None:
        rows.append(["all", *(int(mask.sum()) for mask in columns.values())])
    return Table(rows=rows, names=["cluster", *columns])


def member_groups(completed: Table) -> NDArray[np.str_]:
    """The group of each source in figures of the completed catalogue (Angora et al. 2020, Figs 8 and 9).

    Parameters
    ----------
    completed : Table
        As `complete_members` made it.

    Returns
    -------
    ndarray of str, shape (n,)
        "spectroscopic member", "non-member" (both by spectrum), "candidate member", "candidate non-member"
        (both by the network, to the limit), or "" where there is neither a spectrum nor a verdict.

    Raises
    ------
    InputError
        If the table is not of `complete_members`.
    """
    magnitude = completed.meta.get("magnitude", "")
    needed = ["label", "probability", "member_by", magnitude]
    if missing := [name for name in needed if name not in completed.colnames]:
        raise InputError(f"completed must come from complete_members, got no columns {missing}")
    label, by = (np.asarray(completed[name], dtype=str) for name in ("label", "member_by"))
    values = np.ma.asarray(getattr(completed[magnitude], "value", completed[magnitude]), dtype=np.float64)
    judged = np.isfinite(np.asarray(completed["probability"], dtype=np.float64)) & (label == "")
    cases = {
        "spectroscopic member": by == "spectroscopy",
        "candidate member": by == "network",
        "non-member": label == "non-member",
        "candidate non-member": judged & (values.filled(np.nan) <= completed.meta["limit"]),
    }
    return np.select(list(cases.values()), list(cases), default="")
