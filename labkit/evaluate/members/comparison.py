"""Methods beside each other on the same objects (Angora et al. 2020, Table D.5, Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.curves import purity_completeness_curve
from labkit.evaluate.members.common import common_scores
from labkit.evaluate.members.outcomes import rows_of
from labkit.evaluate.metrics import Scores, binary_scores
from labkit.predictions import Predictions

__all__ = ["crossing", "method_table"]

_MEASURES = ("purity", "completeness", "f1")


def method_table(
    methods: Mapping[str, Predictions], catalogue: Table, *, by: str = "cluster", threshold: float = 0.5
) -> QTable:
    """Quality of each method in each cluster and in all (Table D.5).

    Parameters
    ----------
    methods : mapping of str to Predictions
        The method to compare with the others first, as the CNN.
    catalogue : Table
        ``object_id`` and the column `by`.
    by : str
        Column that names the cluster.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        Rows ``cluster`` ("all" last), ``class`` ("both", "member", "non-member"), ``measure`` (average
        efficiency, purity, completeness, F1), ``objects``, one column a method, and ``delta``: the first
        method minus the best of the others. The row "mean delta" of a cluster has the mean of its deltas over
        the seven measures, and ``delta_error`` their standard deviation over the square root of seven.

    Raises
    ------
    InputError
        As for `common_scores`, or if the catalogue lacks an object or the column.
    """
    scores = common_scores(methods)
    if by not in catalogue.colnames:
        raise InputError(f"catalogue must have the column {by!r}, got {catalogue.colnames}")
    row = rows_of(np.asarray(catalogue["object_id"], dtype=str), scores["object_id"], name="catalogue")
    hosts = np.asarray(catalogue[by], dtype=str)[row]
    rows: list[dict] = []
    for cluster in [*dict.fromkeys(hosts.tolist()), "all"]:
        here = scores if cluster == "all" else scores[hosts == cluster]
        measured = {name: _measures(here["member"], here[name], threshold) for name in methods}
        rows += _with_deltas(cluster, len(here), measured)
    return QTable(rows=rows)


def _measures(member: ArrayLike, score: ArrayLike, threshold: float) -> dict[tuple[str, str], float]:
    """The seven measures of a method, members first."""
    truth, p = np.asarray(member, dtype=bool), np.asarray(score, dtype=np.float64)
    chosen = p > threshold
    as_member = binary_scores(truth, p, decided=chosen)
    as_field = binary_scores(~truth, 1 - p, decided=~chosen)
    found = {("both", "average efficiency"): as_member.accuracy}
    for name, scores in {"member": as_member, "non-member": as_field}.items():
        found |= {(name, measure): value for measure, value in zip(_MEASURES, _three(scores), strict=True)}
    return found


def _three(scores: Scores) -> tuple[float, float, float]:
    return scores.precision, scores.recall, scores.f1


def _with_deltas(cluster: str, objects: int, measured: Mapping[str, Mapping]) -> list[dict]:
    first, *others = measured
    rows, deltas = [], []
    for kind, measure in measured[first]:
        values = {name: measured[name][kind, measure] for name in measured}
        deltas.append(values[first] - max(values[name] for name in others))
        head = {"cluster": cluster, "class": kind, "measure": measure, "objects": objects}
        rows.append(head | values | {"delta": deltas[-1], "delta_error": np.nan})
    error = float(np.std(deltas, ddof=1) / np.sqrt(len(deltas)))
    head = {"cluster": cluster, "class": "both", "measure": "mean delta", "objects": objects}
    rows.append(
        head | dict.fromkeys(measured, np.nan) | {"delta": float(np.mean(deltas)), "delta_error": error}
    )
    return rows


def crossing(true: ArrayLike, score: ArrayLike) -> tuple[float, float]:
    """Threshold at which purity and completeness are equal, and their value there (Fig. 7).

    They are equal where as many objects are selected as there are members.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Who is a member.
    score : array_like of float, shape (n,)
        Probability of membership.

    Returns
    -------
    threshold, value : float
        Interpolated between the two nearest thresholds where equal scores leave no exact one.

    Raises
    ------
    InputError
        As for `labkit.evaluate.metrics.checked`, or if there is no member.
    """
    curve = purity_completeness_curve(true, score)
    members = int(np.asarray(true, dtype=bool).sum())
    if not members:
        raise InputError("true must name a member at least, got none")
    selected = np.asarray(curve["selected"], dtype=np.float64)
    return tuple(
        float(np.interp(members, selected, np.asarray(curve[name]))) for name in ("threshold", "completeness")
    )  # type: ignore[return-value]
