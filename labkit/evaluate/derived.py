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

_FOUR = MEASURES[:4]


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


def linear_fits(
    table: Table,
    *,
    x: str = "train",
    measures: Sequence[str] = ("accuracy", "accuracy_std", "f1", "f1_std"),
    by: str | None = "bands",
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
    by : str, optional
        One line for each value of this column; None fits all rows together.
    unit : float
        The slope is per so much of `x`.
    confidence : float
        Of the slope's interval (Student's t from the residuals).

    Returns
    -------
    `~astropy.table.QTable`
        `by`, ``measure``, ``points``, ``slope``, ``slope_error``, ``slope_low``, ``slope_high``,
        ``intercept``, ``intercept_error`` and ``p_value``.
    """
    _require(table, [x, *measures, *([] if by is None else [by])])
    groups = [None] if by is None else list(dict.fromkeys(table[by].tolist()))
    rows = []
    for group in groups:
        part = table if by is None else table[table[by] == group]
        for name in measures:
            place, value = np.asarray(part[x], dtype=float) / unit, np.asarray(part[name], dtype=float)
            rows.append(
                ({} if by is None else {by: group})
                | {"measure": name}
                | _line(place, value, name, confidence)
            )
    return QTable(rows=rows)


def _line(x: NDArray, y: NDArray, name: str, confidence: float) -> dict[str, float]:
    known = np.isfinite(x) & np.isfinite(y)
    if len(np.unique(x[known])) < 3:
        raise InputError(f"{name} must have three points or more at different x, got {int(known.sum())}")
    fit = linregress(x[known], y[known])
    half = float(t.ppf(0.5 + confidence / 2, known.sum() - 2)) * fit.stderr
    return {
        "points": int(known.sum()),
        "slope": float(fit.slope),
        "slope_error": float(fit.stderr),
        "slope_low": float(fit.slope - half),
        "slope_high": float(fit.slope + half),
        "intercept": float(fit.intercept),
        "intercept_error": float(fit.intercept_stderr),
        "p_value": float(fit.pvalue),
    }
