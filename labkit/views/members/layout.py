"""What member figures share around the data: legends above the frame, ticks of short log axes, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.layouts import gridplot
from bokeh.models import Axis, FixedTicker, GridPlot, PrintfTickFormatter
from bokeh.plotting import figure

from labkit.views.style import style_legend

__all__ = ["LEGEND_ROW", "grid", "legend_above", "log_ticks"]

#: Height of a row of `legend_above`, screen pixels; panels are higher by it, so that frames are alike.
LEGEND_ROW = 26


def legend_above(plot: figure, *, columns: int = 4) -> figure:
    """Move the legend out of the data, between title and frame; a click hides what it names.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        With a legend or without.
    columns : int
        Entries in a row.
    """
    for legend in plot.legend:
        style_legend(legend)
        legend.update(click_policy="hide", orientation="horizontal", ncols=min(columns, len(legend.items)))
        legend.update(padding=0, margin=8, spacing=10, location="bottom_left", label_text_font_size="12px")
        plot.add_layout(legend, "above")
    return plot


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks at 1, 2, 5 of each decade as plain numbers, for axes of few decades.

    Parameters
    ----------
    axis : bokeh.models.Axis
        A logarithmic axis.
    low, high : float
        Ends of the data.
    """
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    axis.ticker = FixedTicker(ticks=[float(f"{n * d:.3g}") for d in decades for n in (1, 2, 5)])
    axis.formatter = PrintfTickFormatter(format="%g")


def grid(panels: Sequence[Any], *, columns: int | None = None) -> GridPlot:
    """Panels in rows with one toolbar.

    Parameters
    ----------
    panels : sequence of figures or of rows of figures
        What is shown.
    columns : int, optional
        Panels in a row, where they are not in rows.
    """
    options = {"toolbar_options": {"logo": None, "autohide": True}, "merge_tools": True}
    return gridplot(panels, **options | ({"ncols": columns} if columns else {}))
