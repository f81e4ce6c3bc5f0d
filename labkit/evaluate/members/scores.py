"""Quality of band configurations, training ranges and methods, in all and cluster by cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate.members.common import common_scores
from labkit.evaluate.members.measures import Judged, class_columns, judged, measure_columns, measuring
from labkit.evaluate.members.outcomes import rows_of
from labkit.predictions import Predictions

__all__ = ["cluster_scores", "configuration_table", "range_table"]


def configuration_table(
    configurations: Mapping[str, Predictions],
    *,
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Quality of each band configuration (Angora et al. 2020, Table D.1, Fig. 4).

    Every configuration is measured on all its own objects, as in the paper; `trend_table` compares them on
    the ones they share.

    Parameters
    ----------
    configurations : mapping of str to Predictions
        Out-of-fold predictions of one experiment each, any number of seeds.
    split : str or None
        Part of the Sample; None takes all rows.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals.
    resamples : int
        Of the bootstrap; 0: no intervals of F1.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    `~astropy.table.QTable`
        A row a configuration and class: ``bands``, ``class``, ``objects``, ``trainings``; ``efficiency``,
        ``purity``, ``completeness`` and ``f1``, the mean over trainings, each with ``_std`` and ``_error``
        over them (NaN for one) and ``_low``, ``_high`` over objects (Wilson; F1: bootstrap).

    Raises
    ------
    InputError
        If a configuration has several experiments, no known object, or trainings on different objects.
    """
    measure_of = measuring(threshold=threshold, confidence=confidence, resamples=resamples, rng=rng)
    rows: list[dict[str, Any]] = []
    for name, predictions in configurations.items():
        objects = judged(predictions, split=split)
        found = measure_of(objects)
        efficiency = measure_columns("efficiency", found)
        for kind in ("member", "non-member"):
            head = {"bands": name, "class": kind, **_sizes(objects)}
            rows.append(head | efficiency | class_columns(found, kind.replace("-", "_")))
    return QTable(rows=rows)


def _sizes(objects: Judged) -> dict[str, Any]:
    return {"objects": len(objects.member), "trainings": len(objects.scores)}


def cluster_scores(
    sets: Mapping[str, Predictions],
    catalogue: Table,
    *,
    key: str = "bands",
    cluster: str = "cluster",
    total: str | None = "all",
    common: bool = False,
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Quality in each cluster, for each configuration or method (Angora et al. 2020, Tables D.2 and D.5).

    Parameters
    ----------
    sets : mapping of str to Predictions
        Of one experiment each; any number of seeds, with folds or without.
    catalogue : Table
        ``object_id`` and the column `cluster`.
    key : str
        Name of the column that says which of `sets` a row is of: "bands", "method", "training".
    cluster : str
        Column that names the cluster.
    total : str, optional
        Name of further rows for all clusters together.
    common : bool
        Measure on the objects that all of `sets` judged, as when methods are compared.
    split, threshold, confidence, resamples, rng
        As for `configuration_table`.

    Returns
    -------
    `~astropy.table.QTable`
        A row a cluster, in the order of the catalogue, and set that judged some of it: ``cluster``, `key`,
        ``objects``, ``trainings``, and ``efficiency``, ``member_purity``, ``member_completeness``,
        ``member_f1``, ``non_member_purity`` and on, with the endings of `configuration_table`. In a
        cluster with only members, or only non-members, what needs the others is NaN.

    Raises
    ------
    InputError
        As for `configuration_table`, if the catalogue lacks the column or an object, or with `common` as for
        `common_scores`.
    """
    if missing := [name for name in ("object_id", cluster) if name not in catalogue.colnames]:
        raise InputError(f"catalogue must have the columns {missing}, got {catalogue.colnames}")
    measure_of = measuring(threshold=threshold, confidence=confidence, resamples=resamples, rng=rng)
    ids, hosts = (np.asarray(catalogue[name], dtype=str) for name in ("object_id", cluster))
    seen = {name: judged(predictions, split=split) for name, predictions in sets.items()}
    if common:
        shared = np.asarray(common_scores(sets)["object_id"], dtype=str)
        seen = {name: objects.part(np.isin(objects.object_id, shared)) for name, objects in seen.items()}
    where = {name: hosts[rows_of(ids, one.object_id, name="catalogue")] for name, one in seen.items()}
    rows = []
    for host in [*dict.fromkeys(hosts.tolist()), *([] if total is None else [total])]:
        for name, objects in seen.items():
            here = objects if host == total else objects.part(where[name] == host)
            if len(here.member):
                head = {"cluster": host, key: name, **_sizes(here)}
                rows.append(head | measure_of(here))
    return QTable(rows=rows)


def range_table(
    ranges: Mapping[str, Predictions], catalogue: Table, *, cluster: str = "cluster", **options: Any
) -> QTable:
    """Quality on blind clusters after training on different ranges (Angora et al. 2020, Table D.4, Fig. 6).

    Parameters
    ----------
    ranges : mapping of str to Predictions
        Of the blind clusters by networks of one range each; several seeds, or folds of the training set, give
        mean and error.
    catalogue : Table
        ``object_id`` and the column `cluster`.
    cluster : str
        Column that names the cluster.
    **options
        Further options of `cluster_scores`.

    Returns
    -------
    `~astropy.table.QTable`
        ``cluster`` ("stacked" first), ``training``, ``objects``, ``trainings``; ``efficiency`` of both
        classes and ``purity``, ``completeness``, ``f1`` of the members, with the endings of
        `configuration_table`.

    Raises
    ------
    InputError
        As for `cluster_scores`.
    """
    wide = cluster_scores(ranges, catalogue, key="training", cluster=cluster, total="stacked", **options)
    rows = [
        {name: row[name] for name in ("cluster", "training", "objects", "trainings")}
        | measure_columns("efficiency", row)
        | class_columns(row, "member")
        for row in wide
    ]
    return QTable(rows=sorted(rows, key=lambda row: row["cluster"] != "stacked"))
