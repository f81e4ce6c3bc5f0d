"""Tables made of measured tables: means over classes, differences of methods, shares of errors, lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray
from scipy.stats import linregress, t

from labkit.errors import InputError
from labkit.evaluate.measures import AVERAGES, MEASURES
from labkit.evaluate.resampling import spread
from labkit.tables import text

_FOUR = MEASURES[:4]
_LINE = ("points", "slope", "slope_error", "slope_low", "slope_high")
_LINE += ("intercept", "intercept_error", "p_value")


def _require(table: Table, needed: Sequence[str], name: str = "table") -> None:
    if missing := [column for column in needed if column not in table.colnames]:
        raise InputError(
            f"{name} must have the columns {list(needed)}, got none for {missing}: {table.colnames}"
        )


def over_classes(table: Table) -> QTable:
    """Mean and standard deviation *over the classes* of each network.

    Section 5.5 of Kosiba et al. (2020) gives these: an AUC of (91 +- 2) % is the mean and scatter of the five
    classes' values in Table 6, not of several trainings.

    Parameters
    ----------
    table : Table
        From `labkit.evaluate.measure` with ``classes="each"``, maybe joined to the published Table 6.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each experiment: ``experiment``, ``classes``, and of each measure and its published value
        the mean and ``_std`` (n - 1). NaN where a class has none.
    """
    _require(table, ("experiment", "class"))
    shown = [f"{m}{end}" for m in MEASURES for end in ("", "_published") if f"{m}{end}" in table.colnames]
    rows = []
    kept = table[~np.isin(table["class"], AVERAGES)]
    for name in dict.fromkeys(kept["experiment"].tolist()):
        part = kept[kept["experiment"] == name]
        row: dict[str, Any] = {"experiment": name, "classes": len(part)}
        for column in shown:
            found = spread(np.ma.filled(np.ma.asarray(part[column], dtype=float), np.nan))
            row |= {column: found.mean, f"{column}_std": found.std}
        rows.append(row)
    return QTable(rows=rows)


def method_differences(table: Table) -> QTable:
    """The rows of Angora et al. (2020), Table D.5: methods side by side, and the first minus the best other.

    Parameters
    ----------
    table : Table
        One row for each ``cluster``, ``method`` and ``class``, measured or published.

    Returns
    -------
    `~astropy.table.QTable`
        ``cluster``, ``class`` ("both" for the accuracy), ``measure``, ``objects`` where known, one column for
        each method, ``delta`` and ``delta_error``; the last row of a cluster is the "mean delta" of its seven
        measures with the error of that mean.
    """
    _require(table, ("cluster", "method", "class", *_FOUR))
    rows: list[dict[str, Any]] = []
    for cluster in dict.fromkeys(table["cluster"].tolist()):
        here = table[table["cluster"] == cluster]
        methods = list(dict.fromkeys(here["method"].tolist()))
        if len(methods) < 2:
            raise InputError(f"table must have two methods in each cluster, got {methods} in {cluster}")
        objects = {"objects": int(here["objects"][0])} if "objects" in here.colnames else {}
        deltas = []
        kinds = sorted(dict.fromkeys(here["class"].tolist()), key=lambda kind: kind.startswith("non"))
        for kind, name in [("both", "accuracy"), *((kind, name) for kind in kinds for name in _FOUR[1:])]:
            part = here[here["class"] == (kinds[0] if kind == "both" else kind)]
            values = {str(row["method"]): float(row[name]) for row in part}
            deltas.append(values[methods[0]] - max(values[method] for method in methods[1:]))
            head = {"cluster": cluster, "class": kind, "measure": name} | objects
            rows.append(head | values | {"delta": deltas[-1], "delta_error": np.nan})
        found = spread(deltas)
        head = {"cluster": cluster, "class": "both", "measure": "mean delta"} | objects
        rows.append(head | dict.fromkeys(methods, np.nan) | {"delta": found.mean, "delta_error": found.error})
    return QTable(rows=rows, meta=dict(table.meta))


def error_shares(table: Table) -> QTable:
    """Who looks like the false positives and negatives, and how often (Angora et al. 2020, Table 3).

    Parameters
    ----------
    table : Table
        From `labkit.evaluate.measure` with ``parts=``, the first of them all objects, and the measures "fp",
        "fn", "fp_rate" and "fn_rate".

    Returns
    -------
    `~astropy.table.QTable`
        ``part``, ``population`` ("member": errors are false positives; "non-member": false negatives),
        ``share`` (of the population) and ``errors`` (of the errors), numbers in the first row of each,
        ``error_rate`` with ``_low`` and ``_high``.
    """
    _require(table, ("part", "objects", "positives", "fp", "fn", "fp_rate", "fn_rate"))
    members = np.asarray(table["positives"], dtype=float)
    sides = (("member", members, "fp"), ("non-member", np.asarray(table["objects"]) - members, "fn"))
    rows = []
    for population, sizes, wrong in sides:
        errors = np.asarray(table[wrong], dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [np.append(values[:1], (values / values[0])[1:]) for values in (sizes, errors)]
        for number, row in enumerate(table):
            head = {"part": str(row["part"]), "population": population}
            head |= {"share": parts[0][number], "errors": parts[1][number]}
            rates = {f"error_rate{end}": float(row[f"{wrong}_rate{end}"]) for end in ("", "_low", "_high")}
            rows.append(head | rates)
    return QTable(rows=rows)


def highest_counts(
    table: Table, measure: str = "accuracy", *, by: str = "cluster", among: str = "bands"
) -> QTable:
    """In how many clusters each configuration has the highest value, measured and published.

    Parameters
    ----------
    table : Table
        One row for each cluster and configuration, from `labkit.evaluate.join_published`.
    measure : str
        What is highest.
    by, among : str
        Columns of clusters and of configurations.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each configuration: its name, ``measured`` and ``published``. Only clusters that have a
        value for every configuration count; equal values count for the first. ``meta`` has the number of
        such clusters, "measured" and "published".

    Raises
    ------
    InputError
        If a column is missing.
    """
    columns = {"measured": measure, "published": f"{measure}_published"}
    if not len(table):
        return QTable(names=[among, *columns], dtype=[str, int, int], meta=dict.fromkeys(columns, 0))
    _require(table, (by, among, *columns.values()))
    names, hosts = text(table[among]), text(table[by])
    every = list(dict.fromkeys(names.tolist()))
    found, numbers = QTable({among: every}), {}
    for side, column in columns.items():
        values = np.ma.filled(np.ma.asarray(table[column], dtype=float), np.nan)
        won, numbers[side] = dict.fromkeys(every, 0), 0
        for host in dict.fromkeys(hosts.tolist()):
            here = {name: values[(hosts == host) & (names == name)] for name in every}
            if all(len(one) == 1 and np.isfinite(one[0]) for one in here.values()):
                won[max(every, key=lambda name: here[name][0])] += 1
                numbers[side] += 1
        found[side] = list(won.values())
    found.meta = numbers
    return found


def separations(table: Table, measures: Sequence[str] = _FOUR) -> QTable:
    """How far all pairs of rows are apart, in units of their errors (Angora et al. 2020, appendix D.1).

    Two measurements of the same thing are within one sigma in 68 % of all cases, and 0.80 sigma apart on
    average.

    Parameters
    ----------
    table : Table
        From `labkit.evaluate.measure` with ``over="runs"``; rows are independent.
    measures : sequence of str
        Each pair is compared in each of them.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each measure and "all" of them: ``measure``, ``pairs``, ``within_one_sigma`` (share) and
        ``mean_separation`` (sigma). No row where there are no two rows with errors.

    Raises
    ------
    InputError
        If a column is missing.
    """
    _require(table, [f"{name}{end}" for name in measures for end in ("", "_error")])
    one, other = np.triu_indices(len(table), k=1)
    apart = {}
    for name in measures:
        value, error = (np.asarray(table[f"{name}{end}"], dtype=float) for end in ("", "_error"))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(value[one] - value[other]) / np.hypot(error[one], error[other])
        apart[name] = found[np.isfinite(found)]
    apart["all"] = np.concatenate(list(apart.values()))
    rows = [(name, len(a), np.mean(a < 1), a.mean()) for name, a in apart.items() if len(a)]
    names, kinds = ["measure", "pairs", "within_one_sigma", "mean_separation"], [str, int, float, float]
    return QTable(rows=rows or None, names=names, dtype=kinds)


def linear_fits(
    table: Table,
    *,
    x: str = "train",
    measures: Sequence[str] = ("accuracy", "accuracy_std", "f1", "f1_std"),
    by: str = "bands",
    total: str | None = None,
    unit: float = 500.0,
    confidence: float = 0.95,
) -> QTable:
    """Straight lines through the points of a table (Angora et al. 2020, Figs 5 and D.1), unweighted.

    Parameters
    ----------
    table : Table
        One row for each point.
    x : str
        Column along which measures change.
    measures : sequence of str
        Columns to fit.
    by : str
        One line for each value of this column.
    total : str, optional
        Adds lines of this name through all rows together, last.
    unit : float
        The slope is per so much of `x`.
    confidence : float
        Of the slope's interval (Student's t from the residuals).

    Returns
    -------
    `~astropy.table.QTable`
        `by`, ``measure``, ``points``, ``slope``, ``slope_error``, ``slope_low``, ``slope_high``,
        ``intercept``, ``intercept_error`` and ``p_value``. No row for a line with fewer than three different
        x, which has no error.
    """
    _require(table, [by, x, *measures])
    names = text(table[by])
    groups = [(name, names == name) for name in dict.fromkeys(names.tolist())]
    groups += [] if total is None else [(total, np.ones(len(table), dtype=bool))]
    rows = []
    for group, here in groups:
        for name in measures:
            place, value = (np.asarray(table[here][column], dtype=float) for column in (x, name))
            known = np.isfinite(place) & np.isfinite(value)
            if len(np.unique(place[known])) >= 3:
                line = _line(place[known] / unit, value[known], confidence)
                rows.append({by: group, "measure": name} | line)
    kinds = {by: str, "measure": str, "points": int} | dict.fromkeys(_LINE[1:], float)
    return QTable(rows=rows or None, names=list(kinds), dtype=list(kinds.values()))


def _line(x: NDArray, y: NDArray, confidence: float) -> dict[str, float]:
    fit = linregress(x, y)
    half = float(t.ppf(0.5 + confidence / 2, len(x) - 2)) * fit.stderr
    return {
        "points": len(x),
        "slope": float(fit.slope),
        "slope_error": float(fit.stderr),
        "slope_low": float(fit.slope - half),
        "slope_high": float(fit.slope + half),
        "intercept": float(fit.intercept),
        "intercept_error": float(fit.intercept_stderr),
        "p_value": float(fit.pvalue),
    }
