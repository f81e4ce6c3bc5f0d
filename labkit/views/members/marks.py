"""Boxes, points with intervals, and named ticks of figures of measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.views.style import INK

__all__ = ["boxes", "interval_points", "name_ticks", "percent_range", "published_entry"]


def percent_range(*values: Any) -> Range1d:
    """A range around some per cent, with room, never far outside 0 to 100; NaN does not count."""
    every = np.concatenate([np.ravel(np.asarray(one, dtype=np.float64)) for one in values])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 100.0)
    room = max(0.06 * (high - low), 0.5)
    return Range1d(max(low - room, -1.0), min(high + room, 101.0))


def name_ticks(plot: figure, names: Sequence[str]) -> None:
    """Names instead of 0, 1, 2 on the x axis, and lines between them."""
    plot.x_range = Range1d(-0.5, len(names) - 0.5)
    plot.xaxis.ticker = FixedTicker(ticks=list(range(len(names))))
    plot.xaxis.major_label_overrides = dict(enumerate(names))
    plot.xaxis.major_tick_in = 0
    plot.xgrid.ticker = FixedTicker(ticks=[n + 0.5 for n in range(len(names) - 1)])


def boxes(
    plot: figure, x: Sequence[float], values: Sequence[NDArray], *, colour: str, width: float, label: str
) -> None:
    """Boxes from quartile to quartile, median, bars to the extremes (Angora et al. 2020, Fig. 5).

    Parameters
    ----------
    plot : bokeh.plotting.figure
        To draw on.
    x : sequence of float
        Places.
    values : sequence of ndarray
        Values at each place; not-finite ones are left out, empty places stay empty.
    colour : str
        Of the boxes.
    width : float
        Of a box on the x axis.
    label : str
        In the legend.
    """
    finite = [np.asarray(one, dtype=np.float64)[np.isfinite(one)] for one in values]
    found = [(place, one) for place, one in zip(x, finite, strict=True) if len(one)]
    marks = np.array([np.percentile(one, [0, 25, 50, 75, 100]) for _, one in found]).reshape(-1, 5)
    names = ("least", "q1", "median", "q3", "most")
    data: dict[str, Any] = {"x": [place for place, _ in found], "n": [len(one) for _, one in found]}
    data |= dict(zip(names, marks.T, strict=True))
    data |= {"left": np.array(data["x"]) - width / 2, "right": np.array(data["x"]) + width / 2}
    source = ColumnDataSource(data)
    style = {"source": source, "line_color": colour, "legend_label": label}
    plot.segment("x", "least", "x", "most", line_width=1.4, **style)
    box = plot.quad(left="left", right="right", bottom="q1", top="q3", fill_color=colour, fill_alpha=0.35,
                    line_width=1.4, name=label, **style)  # fmt: skip
    plot.segment("left", "median", "right", "median", line_width=3, **style)
    for place, one in found:  # the few values themselves say how much the box can mean
        spread = np.linspace(-0.25, 0.25, len(one)) * width if len(one) > 1 else [0.0]
        plot.scatter(place + np.array(spread), np.sort(one), size=3, color=colour, alpha=0.7)
    tips = [(label, "@median{0.0} %"), ("quartiles", "@q1{0.0} to @q3{0.0}"),
            ("extremes", "@least{0.0} to @most{0.0}"), ("values", "@n")]  # fmt: skip
    plot.add_tools(HoverTool(renderers=[box], tooltips=tips))


def interval_points(
    plot: figure,
    x: NDArray,
    values: NDArray,
    label: str,
    colour: str,
    *,
    hollow: bool,
    names: Sequence[str],
) -> None:
    """Points with intervals.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        To draw on.
    x : ndarray, shape (n,)
        Places.
    values : ndarray, shape (n, 3)
        Value, lower and upper bound, per cent; NaN is not drawn.
    label, colour : str
        In the legend.
    hollow : bool
        A hollow diamond, for published numbers, without an own entry in the legend (`published_entry`).
    names : sequence of str
        Measure of each point, for the pointer.
    """
    value, low, high = values.T
    source = ColumnDataSource({"x": x, "y": value, "low": low, "high": high, "measure": list(names)})
    style = {"source": source, "color": colour} | ({} if hollow else {"legend_label": label})
    plot.segment("x", "low", "x", "high", line_width=1.6, **style)
    fill = {"fill_color": "white"} if hollow else {}
    points = plot.scatter("x", "y", size=9, marker="diamond" if hollow else "circle", line_width=1.6,
                          name=label, **(style | fill))  # fmt: skip
    tips = [(label, "@measure"), ("", "@y{0.0} % (@low{0.0} to @high{0.0})")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=tips))


def published_entry(plot: figure) -> None:
    """One entry of the legend for the hollow diamonds of all colours."""
    plot.scatter([np.nan], [np.nan], marker="diamond", size=9, color=INK, fill_color="white", line_width=1.6,
                 legend_label="published")  # fmt: skip
