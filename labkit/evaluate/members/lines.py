"""Straight lines through measured points (Angora et al. 2020, Figs 5 and D.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy.stats import linregress, t

from labkit.errors import InputError

__all__ = ["linear_fits"]


def linear_fits(
    table: QTable,
    *,
    x: str = "train",
    measures: Sequence[str] = ("efficiency", "efficiency_std", "f1", "f1_std"),
    by: str | None = "bands",
    unit: float = 500.0,
    confidence: float = 0.95,
) -> QTable:
    """Straight lines through the points of a table, unweighted, with errors from the residuals.

    Sets that grow share objects, so their points scatter less about a line than independent ones and the
    p-values are too small: read them as descriptions.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `growth_table`, or `redshift_table` with ``x="z_median"``, ``by=None``, ``unit=0.1``.
    x : str
        Column of the abscissa.
    measures : sequence of str
        Columns to fit; points that are NaN are left out.
    by : str, optional
        Column whose values are fitted apart.
    unit : float
        Step of x that slopes are given for; the paper quotes gains for 500 objects.
    confidence : float
        Of the intervals (Student's t).

    Returns
    -------
    `~astropy.table.QTable`
        A row a group and measure: `by`, ``measure``, ``points``, ``slope``, ``slope_error``, ``slope_low``,
        ``slope_high`` (per `unit`), ``intercept``, ``intercept_error`` (at x = 0), ``p_value`` (slope 0).

    Raises
    ------
    InputError
        If a column is missing, or a line has fewer than three different points.
    """
    wanted = [x, *measures, *([] if by is None else [by])]
    if missing := [name for name in wanted if name not in table.colnames]:
        raise InputError(f"table must have the columns {wanted}, got none for {missing}")
    groups = [None] if by is None else list(dict.fromkeys(table[by].tolist()))
    rows = []
    for group in groups:
        part = table if by is None else table[table[by] == group]
        for measure in measures:
            line = _line(
                np.asarray(part[x], float) / unit, np.asarray(part[measure], float), measure, confidence
            )
            rows.append(({} if by is None else {by: group}) | {"measure": measure} | line)
    return QTable(rows=rows)


def _line(x: NDArray, y: NDArray, measure: str, confidence: float) -> dict[str, float]:
    known = np.isfinite(x) & np.isfinite(y)
    if len(np.unique(x[known])) < 3:
        raise InputError(f"{measure} must have three points or more at different x, got {int(known.sum())}")
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
