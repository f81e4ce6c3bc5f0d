"""Bright and faint, redder and bluer galaxies of each cluster, and errors as shares (Angora et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.members.cuts import cut_table
from labkit.evaluate.members.outcomes import rows_of
from labkit.evaluate.members.parts import bright_and_red
from labkit.evaluate.tables import known_objects
from labkit.predictions import Predictions
from labkit.tables import numbers

__all__ = ["error_shares", "galaxy_parts", "galaxy_table"]


def galaxy_parts(
    predictions: Predictions,
    catalogue: Table,
    *,
    magnitude: str = "mag_F814",
    colour: str = "differential_colour",
    cluster: str = "cluster",
    faint_above: Mapping[str, float] | None = None,
    blue_below: float | Mapping[str, float] = -0.16,
    split: str | None = "test",
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Bright and faint, redder and bluer galaxies of each cluster that was judged, and of all.

    Each cluster is split at its own magnitude, by default the median of its members, as 22.0, 21.7 and 21.6
    for A370, M0329 and MS2137 (section 4.2); the stack joins the parts of the clusters.

    Parameters
    ----------
    predictions : Predictions
        Say which objects were judged, and which are members.
    catalogue : Table
        ``object_id``, and the columns named.
    magnitude, colour, cluster : str
        Columns of F814, of the differential colour (F814 - F160 in the paper, NaN where not measured) and of
        the clusters' names.
    faint_above : mapping of str to float, optional
        Magnitude between bright and faint for clusters that are not to be split at the median.
    blue_below : float or mapping of str to float
        Differential colour between bluer and redder; one a cluster in the paper, -0.160, -0.165 and -0.157.
    split : str or None
        Part of the Sample; None takes all rows.

    Returns
    -------
    dict of (str, str) to ndarray of bool, shape (row of the catalogue,)
        By cluster ("stacked" first) and part, "bright", "faint", "redder" and "bluer".

    Raises
    ------
    InputError
        If a column, an object or a limit is missing, or a cluster has no member with a magnitude.
    """
    wanted = ("object_id", magnitude, colour, cluster)
    if missing := [name for name in wanted if name not in catalogue.colnames]:
        raise InputError(f"catalogue must have the columns {wanted}, got none for {missing}")
    known = known_objects(predictions, split)
    ids, hosts = (np.asarray(catalogue[name], dtype=str) for name in ("object_id", cluster))
    rows = rows_of(ids, np.asarray(known.table["object_id"], dtype=str), name="catalogue")
    member = np.zeros(len(catalogue), dtype=bool)
    member[rows[np.asarray(known.table["true"] == known.positive)]] = True
    m, differential = (numbers(catalogue[name]) for name in (magnitude, colour))
    parts: dict[tuple[str, str], NDArray[np.bool_]] = {}
    stacked: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for host in dict.fromkeys(hosts[np.sort(rows)].tolist()):
        here = hosts == host
        limit, blue = (faint_above or {}).get(host), _limit(blue_below, host)
        found = bright_and_red(m, differential, member & here, faint_above=limit, blue_below=blue)
        for kind, mask in found.items():
            parts[host, kind] = mask & here
            stacked["stacked", kind] = stacked.get(("stacked", kind), False) | parts[host, kind]
    return stacked | parts


def galaxy_table(
    predictions: Predictions,
    catalogue: Table,
    parts: Mapping[tuple[str, str], ArrayLike],
    **options: Any,
) -> QTable:
    """Quality for bright and faint, redder and bluer galaxies in each cluster and in all (Table 2).

    Parameters
    ----------
    predictions : Predictions
        Of one experiment; several trainings give mean and error.
    catalogue : Table
        ``object_id`` of the objects that `parts` is about.
    parts : mapping of (str, str) to array_like of bool, shape (row of the catalogue,)
        From `galaxy_parts`.
    **options
        Further options of `cut_table`.

    Returns
    -------
    `~astropy.table.QTable`
        A row a cluster and part: ``cluster``, ``galaxies``, then as `cut_table`.

    Raises
    ------
    InputError
        As for `cut_table`.
    """
    table = cut_table(
        predictions, catalogue, {" ".join(names): mask for names, mask in parts.items()}, **options
    )
    names = [list(column) for column in zip(*parts, strict=True)]
    table.add_columns(names, [0, 0], names=["cluster", "galaxies"])
    table.remove_column("part")
    return table


def _limit(blue_below: float | Mapping[str, float], host: str) -> float:
    if not isinstance(blue_below, Mapping):
        return blue_below
    if host not in blue_below:
        raise InputError(f"blue_below must have a value for each cluster, got none for {host!r}")
    return blue_below[host]


def error_shares(errors: QTable) -> QTable:
    """The rows of `error_table` as Table 3 prints them: who looks like the false ones, and how often.

    Parameters
    ----------
    errors : `~astropy.table.QTable`
        From `error_table`.

    Returns
    -------
    `~astropy.table.QTable`
        A row a part and population, members first: ``part``, ``population``, ``share`` (of the population),
        ``errors`` (share of the false positives beside members, of the false negatives beside non-members;
        numbers in the first row, of everything), ``error_rate`` with ``_low`` and ``_high``.
    """
    rows = []
    for population, n, wrong in (("member", "members", "fp"), ("non-member", "non_members", "fn")):
        for number, row in enumerate(errors):
            head = {"part": row["part"], "population": population}
            whole = number == 0
            head |= {"share": float(row[n] if whole else row[f"share_{n}"])}
            head |= {"errors": float(row[wrong] if whole else row[f"share_{wrong}"])}
            rows.append(
                head | {f"error_rate{end}": row[f"{wrong}_rate{end}"] for end in ("", "_low", "_high")}
            )
    return QTable(rows=rows)
