"""Quality and its scatter against the size of the training set (Angora et al. 2020, Fig. D.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, GridPlot, HoverTool
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.views.members.layout import LEGEND_ROW, grid, legend_above
from labkit.views.members.marks import percent_range
from labkit.views.members.measures import column_of, columns_of, percent
from labkit.views.members.trends import fitted_line
from labkit.views.style import axes, colours

__all__ = ["training_size"]

_MARKERS = ("circle", "square", "triangle", "diamond", "hex", "star")


def training_size(
    folds: Table,
    *,
    by: str = "configuration",
    size: str = "train",
    measures: Sequence[str] = ("F1", "average efficiency"),
    title: str = "",
    width: int = 470,
    height: int = 310,
) -> GridPlot:
    """Mean and standard deviation over folds against the number of training objects, with linear fits.

    Parameters
    ----------
    folds : Table
        A row a fold: `by`, `size` and the measures as from `labkit.evaluate.measure`.
    by : str
        Column with the band configuration, or what else is compared.
    size : str
        Column with the number of objects trained on; folds of one training set may differ by a few, their
        group is what has the same ``set`` if there is such a column, and otherwise the same size.
    measures : sequence of str
        Of `labkit.views.members.measures.MEASURES`, a column of panels each.
    title : str
        Title of the first panel.
    width, height : int
        Size of a panel in screen pixels, without the legend.

    Returns
    -------
    bokeh.models.GridPlot
        Above the means with their standard errors, below the standard deviations with theirs (which need two
        folds); dashed the straight lines of best fit. The pointer shows the slope per 500 objects.

    Raises
    ------
    InputError
        If a column is missing or the table is empty.
    """
    columns_of(folds, (by, size), name="folds")
    panels: list[tuple[figure, figure]] = []
    for measure in measures:
        found = _grouped(folds, by, size, column_of(folds, measure, name="folds"))
        first: dict[str, Any] = {"legend": not panels, "title": "" if panels else title}
        shared = {"x_range": panels[0][0].x_range} if panels else {}
        top = _panel(
            found, "mean", f"{measure} (%)", width=width, height=height + LEGEND_ROW, **first, **shared
        )
        label, plain = f"std of {measure} (%)", {"legend": False, "title": "", "x_range": top.x_range}
        panels.append((top, _panel(found, "std", label, width=width, height=height, **plain)))
    return grid([list(row) for row in zip(*panels, strict=True)])


def _grouped(folds: Table, by: str, size: str, column: str) -> dict[str, dict[str, NDArray]]:
    """For each configuration: size, mean, std and their errors, by rising size."""
    names, sizes = np.asarray(folds[by], dtype=str), np.asarray(folds[size], dtype=np.float64)
    sets = np.asarray(folds["set"]).astype(str) if "set" in folds.colnames else sizes.astype(str)
    values, found = percent(folds, column), {}
    for name in dict.fromkeys(names.tolist()):
        parts = []
        for one in dict.fromkeys(sets[names == name].tolist()):
            here = (names == name) & (sets == one) & np.isfinite(values)
            if here.any():
                n, part = int(here.sum()), values[here]
                std = part.std(ddof=1) if n > 1 else np.nan
                spread = std / np.sqrt(2 * (n - 1)) if n > 1 else np.nan
                parts.append((sizes[here].mean(), part.mean(), std / np.sqrt(n), std, spread, n))
        table = np.array(sorted(parts), dtype=np.float64).reshape(-1, 6).T
        keys = ("size", "mean", "mean_error", "std", "std_error", "n")
        found[name] = dict(zip(keys, table, strict=True))
    return found


def _panel(
    found: dict[str, dict[str, NDArray]], kind: str, label: str, *, title: str, legend: bool, **options: Any
) -> figure:
    """Points with errors and lines of best fit of every configuration."""
    every = [
        one[kind] + sign * np.nan_to_num(one[f"{kind}_error"]) for one in found.values() for sign in (-1, 1)
    ]
    plot = axes(title=title, x="objects trained on", y=label, y_range=percent_range(*every), **options)
    for (name, colour), marker in zip(colours(found).items(), _MARKERS * len(found), strict=False):
        one = found[name]
        words = {"legend_label": name} if legend else {}
        error = one["mean_error"] if kind == "mean" else None  # errors of a std grow with it: no weights
        line = fitted_line(one["size"], one[kind], error=error)
        slope = "no fit"
        if line is not None:
            ends = np.array([one["size"].min(), one["size"].max()])
            plot.line(
                ends,
                line(ends),
                color=colour,
                line_dash="dashed",
                line_width=1.5,
                name=f"{name} fit",
                **words,
            )
            slope = f"{500 * line.slope:+.2f} ± {500 * line.slope_error:.2f} % per 500 objects"
        low, high = one[kind] - one[f"{kind}_error"], one[kind] + one[f"{kind}_error"]
        source = ColumnDataSource({"x": one["size"], "y": one[kind], "low": low, "high": high, "n": one["n"]})
        plot.segment("x", "low", "x", "high", source=source, color=colour, line_width=1.4, **words)
        points = plot.scatter(
            "x", "y", source=source, color=colour, marker=marker, size=7, name=name, **words
        )
        tips = [
            (name, "@y{0.0} % (@low{0.0} to @high{0.0})"),
            ("objects", "@x{0}"),
            ("folds", "@n"),
            ("slope", slope),
        ]
        plot.add_tools(HoverTool(renderers=[points], tooltips=tips))
    return legend_above(plot)
