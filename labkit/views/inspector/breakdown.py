"""Which objects the errors are: error rates by class and along a measured quantity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table
from bokeh.models import BasicTickFormatter, ColumnDataSource, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import wilson
from labkit.views.inspector.state import ErrorState
from labkit.views.style import PALETTE, axes

_BAD, _ALL = ("FP", "FN"), ("TP", "FP", "FN", "TN")


def error_rates(
    state: ErrorState, column: str, *, only: str | None = None, bins: int = 6, confidence: float = 0.95
) -> QTable:
    """Errors among objects of known class, by class or along a quantity, with Wilson intervals.

    Parameters
    ----------
    state : ErrorState
        Right and wrong decisions at a threshold.
    column : str
        Text columns give one row per value; numbers give `bins` rows with about as many objects each.
    only : str, optional
        Count the objects of this true class only; with the positive class, the rate is the incompleteness.
    bins : int
        Rows of a column of numbers.
    confidence : float
        Confidence of the intervals.

    Returns
    -------
    `~astropy.table.QTable`
        The value (text) or ``low``, ``high`` and ``middle`` (median) of a bin; ``objects``, ``FP``, ``FN``,
        ``rate`` (of errors), ``rate_low``, ``rate_high``. Objects without a finite entry are left out.

    Raises
    ------
    InputError
        If there is no such column or class, `bins` is below 1 or no object is left.
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    classes = state.objects.classes
    if only is not None and only not in classes:
        raise InputError(f"only must be one of {classes}, got {only!r}")
    values, true = state.column(column), state.objects.true
    known = true >= 0 if only is None else true == classes.index(only)
    numeric = values.dtype.kind in "fiu"
    keep = known & np.isfinite(values) if numeric else known
    if not keep.any():
        raise InputError(f"column {column!r} must have entries for objects of known class, got none")
    truth, taken = state.objects.true == state.code, state.score > state.threshold
    rows = []
    for head, inside in _parts(values, keep, column, bins) if numeric else _names(values, keep, column):
        fp, fn = int((inside & taken & ~truth).sum()), int((inside & ~taken & truth).sum())
        number = int(inside.sum())
        interval = wilson(fp + fn, number, confidence=confidence)
        rows.append(
            head
            | {"objects": number, "FP": fp, "FN": fn, "rate": (fp + fn) / number}
            | {"rate_low": interval.low, "rate_high": interval.high}
        )
    return QTable(rows=rows)


def _names(values: NDArray, keep: NDArray, column: str) -> list[tuple[dict, NDArray]]:
    text = values.astype(str)
    return [({column: str(name)}, keep & (text == name)) for name in np.unique(text[keep])]


def _parts(values: NDArray, keep: NDArray, column: str, bins: int) -> list[tuple[dict, NDArray]]:
    """Bins of equal number; equal values stay together, so there may be fewer."""
    edges = np.unique(np.quantile(values[keep], np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for number in np.unique(place[keep]):
        inside = keep & (place == number)
        inner = values[inside]
        found.append(({"low": inner.min(), "high": inner.max(), "middle": float(np.median(inner))}, inside))
    return found


def rates_figure(
    tables: Mapping[str, Table], *, x: str, title: str = "", log: bool = False, width: int = 420
) -> figure:
    """Error rate along a quantity: a dot at each bin's median, a bar for the interval, a line for its width.

    Parameters
    ----------
    tables : mapping of str to Table
        From `error_rates` along one quantity, by name (experiments, for example).
    x : str
        Label of the axis, with unit.
    title : str
        Title of the figure.
    log : bool
        Logarithmic axis; bins at or below zero are left out.
    width : int
        Width in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If a table has no bins.
    """
    if wrong := [name for name, table in tables.items() if "middle" not in table.colnames]:
        raise InputError(
            f"tables must be error rates along numbers, with the column 'middle'; {wrong} are not"
        )
    plot = axes(title=title, x=x, y="error rate", width=width, height=300,
                x_axis_type="log" if log else "linear")  # fmt: skip
    for (name, table), colour in zip(tables.items(), PALETTE, strict=False):
        shown = table[np.asarray(table["low"]) > 0] if log else table
        source = ColumnDataSource({key: np.asarray(shown[key]) for key in shown.colnames})
        style = {"source": source, "color": colour}
        plot.segment("low", "rate", "high", "rate", line_width=1, alpha=0.6, **style)
        plot.segment("middle", "rate_low", "middle", "rate_high", line_width=2, **style)
        legend = {"legend_label": name} if len(tables) > 1 else {}
        dots = plot.scatter("middle", "rate", size=9, **legend, **style)
        tips = [("objects", "@objects"), ("FP, FN", "@FP, @FN"), ("rate", "@rate{0.000}")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=tips))
    if log:
        low, high = (
            f(f(table[name]) for table in tables.values()) for f, name in ((min, "low"), (max, "high"))
        )
        decades = 10.0 ** np.arange(np.floor(np.log10(max(low, 1e-12))), np.ceil(np.log10(high)) + 1)
        plot.xaxis.ticker = FixedTicker(ticks=np.outer(decades, [1, 2, 5]).ravel().tolist())
        plot.xaxis.formatter = BasicTickFormatter()
    top = max(float(np.nanmax(table["rate_high"])) for table in tables.values())
    plot.y_range = Range1d(0, min(1.0, 1.05 * top))
    return plot
