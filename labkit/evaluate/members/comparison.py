"""Methods beside each other on the same objects (Angora et al. 2020, Table D.5, Fig. 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.curves import purity_completeness_curve
from labkit.evaluate.members.measures import MEASURES
from labkit.evaluate.members.scores import cluster_scores
from labkit.predictions import Predictions

__all__ = ["crossing", "method_deltas", "method_table"]


def method_table(
    methods: Mapping[str, Predictions],
    catalogue: Table,
    *,
    by: str = "cluster",
    split: str | None = "test",
    threshold: float = 0.5,
) -> QTable:
    """Quality of each method in each cluster and in all, with differences, as Table D.5 prints it.

    `cluster_scores` with ``key="method"``, ``common=True`` has the same values as one row a cluster and
    method, with intervals.

    Parameters
    ----------
    methods : mapping of str to Predictions
        The method to compare with the others first, as the CNN. Values are means over its trainings.
    catalogue : Table
        ``object_id`` and the column `by`.
    by : str
        Column that names the cluster.
    split : str or None
        Part of the Sample; None takes all rows.
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
    options: dict[str, Any] = {"split": split, "threshold": threshold, "resamples": 0}
    return method_deltas(cluster_scores(methods, catalogue, key="method", cluster=by, common=True, **options))


def method_deltas(scores: QTable) -> QTable:
    """The rows of Table D.5 out of a row a cluster and method: measured ones, or published ones beside them.

    Parameters
    ----------
    scores : `~astropy.table.QTable`
        From `cluster_scores` with ``key="method"``, or ``published_table("tableD5", paper="angora2020")``; in
        each cluster the method to compare with the others first.

    Returns
    -------
    `~astropy.table.QTable`
        As `method_table`; ``objects`` only where `scores` has it.

    Raises
    ------
    InputError
        If a cluster has fewer than two methods.
    """
    rows: list[dict] = []
    for cluster in dict.fromkeys(scores["cluster"].tolist()):
        here = {str(row["method"]): row for row in scores if row["cluster"] == cluster}
        if len(here) < 2:
            raise InputError(f"scores must have two methods in each cluster, got {list(here)} in {cluster}")
        rows += _with_deltas(cluster, here)
    return QTable(rows=rows)


def _with_deltas(cluster: str, methods: Mapping[str, QTable.Row]) -> list[dict]:
    first, *others = methods
    row, rows, deltas = methods[first], [], []
    objects = {"objects": int(row["objects"])} if "objects" in row.colnames else {}
    for name in MEASURES:
        values = {method: float(row[name]) for method, row in methods.items()}
        deltas.append(values[first] - max(values[method] for method in others))
        kind, _, measure = name.rpartition("_")
        head: dict[str, Any] = {"cluster": cluster, "class": kind.replace("_", "-") or "both"}
        head |= {"measure": measure if kind else "average efficiency"} | objects
        rows.append(head | values | {"delta": deltas[-1], "delta_error": np.nan})
    error = float(np.std(deltas, ddof=1) / np.sqrt(len(deltas)))
    head = {"cluster": cluster, "class": "both", "measure": "mean delta"} | objects
    rows.append(
        head | dict.fromkeys(methods, np.nan) | {"delta": float(np.mean(deltas)), "delta_error": error}
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
