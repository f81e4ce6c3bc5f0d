"""Measures of a classification against the redshift of the members (Angora et al. 2020, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, GridPlot, HoverTool
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.views.members.layout import grid, legend_above
from labkit.views.members.marks import boxes, name_ticks, percent_range
from labkit.views.members.measures import (
    FOUR,
    MEASURE_COLOURS,
    MEASURE_MARKERS,
    MEASURES,
    column_of,
    columns_of,
    percent,
)
from labkit.views.members.trends import fitted_line
from labkit.views.style import axes

__all__ = ["redshift_bins"]


def redshift_bins(
    folds: Table,
    overall: Table | None = None,
    *,
    edges: tuple[str, str] = ("z_min", "z_max"),
    measures: Sequence[str] = FOUR,
    title: str = "",
    width: int = 620,
    height: int = 380,
) -> GridPlot:
    """Box plots of the measures over folds in each redshift bin, and global values with lines of best fit.

    Boxes reach from the first to the third quartile, bars to the extremes; the dots are the folds.

    Parameters
    ----------
    folds : Table
        A row a fold and bin: the edges, and the measures as from `labkit.evaluate.measure`.
    overall : Table, optional
        A row a bin: the edges, and the measures of all objects together, with ``_low`` and ``_high`` where
        known, as the row "out of fold" of `labkit.evaluate.fold_table`. Drawn below, against redshift.
    edges : tuple of str
        Columns with the lower and upper redshift of the bin.
    measures : sequence of str
        Of `labkit.views.members.measures.MEASURES`.
    title : str
        Title of the upper panel.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        One panel, or two.

    Raises
    ------
    InputError
        If a column is missing, a table is empty, or a measure is not one of `MEASURES`.
    """
    if unknown := [name for name in measures if name not in MEASURES]:
        raise InputError(f"measures must be of {tuple(MEASURES)}, got {unknown}")
    columns_of(folds, edges, name="folds")
    panels = [[_box_panel(folds, edges, measures, title, width, height)]]
    if overall is not None:
        columns_of(overall, edges, name="overall")
        panels.append([_line_panel(overall, edges, measures, width, height)])
    return grid(panels)


def _bins(table: Table, edges: tuple[str, str]) -> NDArray[np.float64]:
    """Lower and upper edge of each row, shape (n, 2)."""
    return np.column_stack([np.asarray(table[name], dtype=np.float64) for name in edges])


def _box_panel(
    folds: Table, edges: tuple[str, str], measures: Sequence[str], title: str, width: int, height: int
) -> figure:
    bins = _bins(folds, edges)
    different = np.unique(bins, axis=0)
    shown = {name: percent(folds, column_of(folds, name, name="folds")) for name in measures}
    plot = axes(title=title, x="redshift of the members", y="in each fold (%)", width=width, height=height,
                y_range=percent_range(*shown.values()))  # fmt: skip
    name_ticks(plot, [f"{low:.2f}–{high:.2f}" for low, high in different])
    share = 0.8 / len(shown)
    for number, (name, values) in enumerate(shown.items()):
        places = [place + share * (number - (len(shown) - 1) / 2) for place in range(len(different))]
        rows = [values[(bins == one).all(axis=1)] for one in different]
        boxes(plot, places, rows, colour=MEASURE_COLOURS[name], width=0.8 * share, label=name)
    return legend_above(plot)


def _line_panel(
    overall: Table, edges: tuple[str, str], measures: Sequence[str], width: int, height: int
) -> figure:
    bins = _bins(overall, edges)
    x, step = bins.mean(axis=1), 0.012 * float(np.ptp(bins))
    columns = {name: column_of(overall, name, name="overall") for name in measures}
    every = [percent(overall, column + end) for column in columns.values() for end in ("", "_low", "_high")]
    plot = axes(x="redshift of the members", y="all objects of the bin (%)", width=width, height=height,
                y_range=percent_range(*every))  # fmt: skip
    for number, (name, column) in enumerate(columns.items()):
        colour, place = MEASURE_COLOURS[name], x + step * (number - (len(columns) - 1) / 2)
        y, low, high = (percent(overall, column + end) for end in ("", "_low", "_high"))
        line, words = fitted_line(x, y, error=(high - low) / 2), name
        if line is not None:
            error = f" ± {line.slope_error / 10:.1f}" if np.isfinite(line.slope_error) else ""
            words = f"{name}: {line.slope / 10:+.1f}{error} % per 0.1 in z".replace("-", "−")
            ends = np.array([bins.min(), bins.max()])
            plot.line(
                ends, line(ends), color=colour, line_dash="dashed", legend_label=words, name=f"{name} fit"
            )
        source = ColumnDataSource(
            {"x": place, "y": y, "low": low, "high": high, "z0": bins[:, 0], "z1": bins[:, 1]}
        )
        plot.segment("x", "low", "x", "high", source=source, color=colour, line_width=1.5, legend_label=words)
        points = plot.scatter("x", "y", source=source, color=colour, size=8, name=name,
                              marker=MEASURE_MARKERS[name], legend_label=words)  # fmt: skip
        tips = [(name, "@y{0.0} % (@low{0.0} to @high{0.0})"), ("redshift", "@z0{0.00} to @z1{0.00}")]
        plot.add_tools(HoverTool(renderers=[points], tooltips=tips))
    return legend_above(plot, columns=2)
