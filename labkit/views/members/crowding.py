"""Whether crowded cut-outs are judged worse (Angora et al. 2020, section 6, Fig. 12)."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, GridPlot, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate import OUTCOMES, wilson
from labkit.views.members.groups import as_names, as_numbers
from labkit.views.members.layout import grid, legend_above, log_ticks
from labkit.views.style import INK, PALETTE, axes

__all__ = ["contamination_distribution"]

#: Four lines in one frame: here true negatives are light blue and every outcome has its own dash.
_LINES = {
    "TP": (PALETTE[2], "solid"),
    "TN": (PALETTE[5], "dotdash"),
    "FP": (PALETTE[1], "solid"),
    "FN": (INK, "dashed"),
}


def contamination_distribution(
    index: ArrayLike,
    outcome: ArrayLike,
    *,
    bins: int = 10,
    confidence: float = 0.68,
    x: str = "contamination index",
    title: str = "",
    width: int = 560,
    height: int = 380,
) -> GridPlot:
    """Contamination index of true and false positives and negatives, logarithmic, beside the share above 0.

    Parameters
    ----------
    index : array_like, shape (n,)
        From `labkit.evaluate.contamination_index`, such as its column ``normalised``; not-finite
        ones are left out.
    outcome : array_like of str, shape (n,)
        "TP", "TN", "FP", "FN" from `labkit.evaluate.outcomes`; "" is left out.
    bins : int
        Bins of equal ratio over the indices above 0.
    confidence : float
        Of the intervals: Wilson's for the shares, in both panels.
    x : str
        Axis label.
    title : str
        Title of the left panel.
    width, height : int
        Size of the left panel in screen pixels; the right one is about half as wide.

    Returns
    -------
    bokeh.models.GridPlot
        Left the share of each outcome's objects in each bin, right the share with any contaminant.

    Raises
    ------
    InputError
        If lengths differ, an outcome is unknown, an index is negative, or no object has one.
    """
    values = as_numbers(index, "index")
    kinds = as_names(outcome, "outcome", like=len(values))
    if unknown := sorted(set(kinds.tolist()) - {*OUTCOMES, ""}):
        raise InputError(f"outcome must be of {OUTCOMES} or empty, got {unknown}")
    if (values < 0).any():
        raise InputError(f"index must never be negative, got {np.nanmin(values)}")
    groups = {kind: values[np.isfinite(values) & (kinds == kind)] for kind in OUTCOMES}
    if not any(len(group) for group in groups.values()):
        raise InputError(f"index must be finite for one judged object at least, got none of {len(values)}")
    left = _histogram(groups, bins, confidence, x, title, width, height)
    right = _crowded(groups, confidence, max(260, width // 2), height)
    return grid([[left, right]])


def _histogram(
    groups: dict[str, NDArray], bins: int, confidence: float, x: str, title: str, width: int, height: int
) -> figure:
    """Steps of shares; bars in the middle of the bins, a little apart for each outcome."""
    above = np.concatenate([group[group > 0] for group in groups.values()])
    low, high = (above.min(), above.max()) if len(above) else (0.1, 1.0)
    edges = np.geomspace(low / 1.02, max(high, low) * 1.02, bins + 1)
    plot = axes(title=title, x=x, y="share of the outcome's objects", x_axis_type="log",
                width=width, height=height)  # fmt: skip
    plot.y_range.start = 0
    for number, (kind, (colour, dash)) in enumerate(_LINES.items()):
        n = len(groups[kind])
        count = np.histogram(groups[kind], bins=edges)[0]
        style = {"color": colour, "legend_label": f"{kind} ({n:,})", "name": kind}
        share = count / max(n, 1)
        plot.line(np.repeat(edges, 2), np.concatenate([[0], np.repeat(share, 2), [0]]), line_width=2,
                  line_dash=dash, **style)  # fmt: skip
        if n:
            bounds = [wilson(int(k), n, confidence=confidence) for k in count]
            place = edges[:-1] * (edges[1:] / edges[:-1]) ** (0.26 + 0.16 * number)
            plot.segment(place, [b.low for b in bounds], place, [b.high for b in bounds],
                         line_width=1.3, **style)  # fmt: skip
    log_ticks(plot.xaxis[0], low, high)
    return legend_above(plot)


def _crowded(groups: dict[str, NDArray], confidence: float, width: int, height: int) -> figure:
    """Share of each outcome's objects with any contaminant."""
    plot = axes(x="outcome", y="share with a contaminant", width=width, height=height,
                x_range=Range1d(-0.6, len(_LINES) - 0.4), y_range=Range1d(-0.02, 1.02))  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=list(range(len(_LINES))))
    plot.xaxis.major_label_overrides = dict(enumerate(_LINES))
    plot.xgrid.grid_line_color = None
    kinds = [kind for kind in _LINES if len(groups[kind])]
    k, n = [int((groups[kind] > 0).sum()) for kind in kinds], [len(groups[kind]) for kind in kinds]
    bounds = [wilson(a, b, confidence=confidence) for a, b in zip(k, n, strict=True)]
    source = ColumnDataSource(
        {"x": [list(_LINES).index(kind) for kind in kinds], "share": np.array(k) / np.array(n),
         "low": [b.low for b in bounds], "high": [b.high for b in bounds], "k": k, "n": n, "kind": kinds,
         "colour": [_LINES[kind][0] for kind in kinds]}
    )  # fmt: skip
    plot.segment("x", "low", "x", "high", source=source, color="colour", line_width=2)
    points = plot.scatter("x", "share", source=source, color="colour", size=9, name="crowded")
    plot.add_tools(HoverTool(renderers=[points], tooltips=[("@kind", "@k of @n"), ("share", "@share{0.00}")]))
    return plot
