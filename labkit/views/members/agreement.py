"""Which methods are right together, as sets with their sizes (Angora et al. 2020, Fig. D.2)."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, FixedTicker, GridPlot, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import wilson
from labkit.views.members.groups import COLOURS
from labkit.views.members.layout import grid
from labkit.views.style import FAINT, GLYPH_FONT, INK, PALETTE, axes, style_legend

__all__ = ["method_agreement"]

_NUMBERS = ("members", "non_members")
_ROW = 46  # screen pixels


def method_agreement(
    table: Table, *, confidence: float = 0.68, title: str = "", width: int = 460
) -> GridPlot:
    """Shares of the members and of the non-members by which methods judge them correctly.

    The three-circle diagrams of Angora et al. (2020), Fig. D.2, as rows that can be read: on the left which
    methods are right (filled) and which are wrong (cross), on the right how many of the members and of the
    non-members that is. All right is on top, all wrong at the bottom, and the methods' own totals are below
    their names.

    Parameters
    ----------
    table : Table
        From `labkit.evaluate.agreement_table`.
    confidence : float
        Of the intervals of the shares (Wilson).
    title : str
        Title of the right panel.
    width : int
        Of the right panel in screen pixels; the left one grows with the number of methods.

    Returns
    -------
    bokeh.models.GridPlot
        The two panels.

    Raises
    ------
    InputError
        If the table lacks its columns, has no method, or counts nothing.
    """
    if missing := [name for name in _NUMBERS if name not in table.colnames]:
        raise InputError(f"table must be from agreement_table, it lacks {missing}")
    methods = [name for name in table.colnames if np.asarray(table[name]).dtype == bool]
    if not methods:
        raise InputError(f"table must have one bool column a method, got {table.colnames}")
    counts = np.array([np.asarray(table[name], dtype=np.int64) for name in _NUMBERS])  # (kind, row)
    if not counts.sum():
        raise InputError("table must count an object at least, got none")
    right = np.column_stack([np.asarray(table[name]) for name in methods])  # (row, method)
    order = np.lexsort((np.arange(len(right)), -right.sum(axis=1)))
    right, counts = right[order], counts[:, order]
    height = 110 + _ROW * len(right)
    rows = Range1d(len(right) - 0.5, -0.5)
    left = _matrix(right, counts, methods, rows, height)
    bars = _bars(right, counts, methods, rows, confidence, title, width, height)
    return grid([[left, bars]])


def _bands(plot: figure, number: int) -> None:
    """Every second row grey, so that the eye keeps the row."""
    plot.hbar(
        list(range(0, number, 2)), left=-1e3, right=1e3, height=1, color=FAINT, alpha=0.5, level="underlay"
    )
    plot.yaxis.ticker = FixedTicker(ticks=[])
    plot.grid.grid_line_color = None


def _matrix(
    right: NDArray[np.bool_], counts: NDArray, methods: list[str], rows: Range1d, height: int
) -> figure:
    """Dots for right, crosses for wrong."""
    totals = [
        f"{name}\n{100 * (counts.sum(0) * right[:, k]).sum() / counts.sum():.1f} %"
        for k, name in enumerate(methods)
    ]
    plot = axes(x="", y="", width=60 + 96 * len(methods), height=height, y_range=rows,
                x_range=Range1d(-0.6, len(methods) - 0.4), tools="save")  # fmt: skip
    _bands(plot, len(right))
    plot.outline_line_color = None
    plot.xaxis.ticker = FixedTicker(ticks=list(range(len(methods))))
    plot.xaxis.major_label_overrides = dict(enumerate(totals))
    plot.xaxis.major_tick_in = 0
    y, x = np.nonzero(right)
    plot.scatter(x, y, size=15, color=INK, name="right")
    y, x = np.nonzero(~right)
    plot.scatter(x, y, size=11, marker="x", color=PALETTE[1], line_width=2.4, name="wrong")
    return plot


def _bars(
    right: NDArray[np.bool_],
    counts: NDArray,
    methods: list[str],
    rows: Range1d,
    confidence: float,
    title: str,
    width: int,
    height: int,
) -> figure:
    """Two bars a row, each with its share, number and interval."""
    plot = axes(title=title, x="share of the members, of the non-members (%)", y="", width=width,
                height=height, y_range=rows, tools="save",
                x_range=Range1d(0, 132))  # fmt: skip
    _bands(plot, len(right))
    plot.outline_line_color, plot.xaxis.axis_line_color = None, INK
    plot.xaxis.ticker = FixedTicker(ticks=[0, 20, 40, 60, 80, 100])
    words = [" + ".join(np.array(methods)[one]) or "none" for one in right]
    for kind, name, colour, shift in zip(range(2), ("members", "non-members"),
                                         (COLOURS["member"], COLOURS["non-member"]), (-0.2, 0.2),
                                         strict=True):  # fmt: skip
        total = int(counts[kind].sum())
        if not total:
            continue
        bounds = [wilson(int(n), total, confidence=confidence) for n in counts[kind]]
        share, high = 100 * counts[kind] / total, np.array([100 * b.high for b in bounds])
        source = ColumnDataSource(
            {"y": np.arange(len(right)) + shift, "share": share, "n": counts[kind], "right": words,
             "low": [100 * b.low for b in bounds], "high": high,
             "text": [f"{s:.1f} % ({n:,})" for s, n in zip(share, counts[kind], strict=True)]}
        )  # fmt: skip
        style = {"source": source, "legend_label": f"{name} ({total:,})"}
        bars = plot.hbar("y", right="share", height=0.36, fill_color=colour, fill_alpha=0.7, line_color=None,
                         name=name, **style)  # fmt: skip
        plot.segment("low", "y", "high", "y", color=INK, line_width=1.3, source=source)
        plot.text("high", "y", "text", source=source, x_offset=6, text_baseline="middle", text_color=INK,
                  text_font=GLYPH_FONT, text_font_size="12px")  # fmt: skip
        tips = [(name, "@n"), ("share", "@share{0.0} % (@low{0.0} to @high{0.0})"), ("right", "@right")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    style_legend(plot.legend[0]).location = "bottom_right"
    return plot
