"""Where false positives and false negatives lie, in magnitude and in colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, GridPlot, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate import OUTCOMES, wilson
from labkit.views.members.groups import as_names, as_numbers, palette
from labkit.views.members.layout import LEGEND_ROW, grid, legend_above
from labkit.views.style import axes

__all__ = ["error_distributions"]


def error_distributions(
    quantities: Mapping[str, ArrayLike],
    outcome: ArrayLike,
    *,
    bins: int = 16,
    confidence: float = 0.68,
    title: str = "",
    width: int = 470,
    height: int = 300,
) -> GridPlot:
    """False positives and false negatives beside all members and non-members (Angora et al. 2020, Fig. 13).

    Above, the share of each population in each bin: false positives are to be compared with members, false
    negatives with non-members. Below, the error rates FP / non-members and FN / members (Table 3).

    Parameters
    ----------
    quantities : mapping of str to array_like, shape (n,)
        By axis label, such as ``{"F814 (mag)": magnitude}``; not-finite values are left out.
    outcome : array_like of str, shape (n,)
        "TP", "TN", "FP", "FN" from `labkit.evaluate.outcomes`; "" is left out.
    bins : int
        Number of bins over the central 99 % of each quantity; the few values beyond are left out.
    confidence : float
        Of the intervals of the rates (Wilson).
    title : str
        Title of the first panel.
    width, height : int
        Size of a panel in screen pixels, without the legend.

    Returns
    -------
    bokeh.models.GridPlot
        A column a quantity.

    Raises
    ------
    InputError
        If there is no quantity, lengths differ, an outcome is unknown, or no galaxy has a value.
    """
    if not quantities:
        raise InputError("quantities must hold one axis label with its values at least, got none")
    values = {label: as_numbers(column, label) for label, column in quantities.items()}
    kinds = as_names(outcome, "outcome", like=len(next(iter(values.values()))))
    if unknown := sorted(set(kinds.tolist()) - {*OUTCOMES, ""}):
        raise InputError(f"outcome must be of {OUTCOMES} or empty, got {unknown}")
    columns = []
    for number, (label, column) in enumerate(values.items()):
        column = as_numbers(column, label, like=len(kinds))
        good = np.isfinite(column) & (kinds != "")
        if not good.any():
            raise InputError(
                f"{label!r} must be finite for one judged galaxy at least, got none of {len(kinds)}"
            )
        low, high = np.percentile(column[good], [0.5, 99.5])
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        counts = {k: np.histogram(column[good & (kinds == k)], bins=edges)[0] for k in OUTCOMES}
        first: dict[str, Any] = {"legend": number == 0, "width": width}
        top = _shares(edges, counts, label, "" if number else title, height=height + 2 * LEGEND_ROW, **first)
        rates = _rates(edges, counts, label, confidence, top, height=height + LEGEND_ROW, **first)
        columns.append((top, rates))
    rows = [list(row) for row in zip(*columns, strict=True)]
    return grid(rows)


def _shares(
    edges: NDArray, counts: Mapping[str, NDArray], label: str, title: str, *, legend: bool, **size: Any
) -> figure:
    """Populations filled, their errors as lines, each summing to one."""
    plot = axes(title=title, x=label, y="share of each in a bin", **size)
    plot.y_range.start = 0
    colour = palette(OUTCOMES)
    populations = {
        "members": (counts["TP"] + counts["FN"], colour["TP"], True),
        "non-members": (counts["TN"] + counts["FP"], colour["TN"], True),
        "FP": (counts["FP"], colour["FP"], False),
        "FN": (counts["FN"], colour["FN"], False),
    }
    x = np.repeat(edges, 2)
    for name, (count, ink, filled) in populations.items():
        share = count / max(count.sum(), 1)
        y = np.concatenate([[0], np.repeat(share, 2), [0]])
        words = {"legend_label": f"{name} ({count.sum():,})"} if legend else {}
        if filled:
            plot.varea(x, 0, y, color=ink, alpha=0.25, name=name, **words)
        else:
            dash = "solid" if name == "FP" else "dashed"
            plot.line(x, y, color=ink, line_width=2.2, line_dash=dash, name=name, **words)
    return legend_above(plot, columns=2)


def _rates(
    edges: NDArray,
    counts: Mapping[str, NDArray],
    label: str,
    confidence: float,
    above: figure,
    *,
    legend: bool,
    **size: Any,
) -> figure:
    """Error rates in each bin that holds objects, with their intervals."""
    plot = axes(x=label, y="error rate", x_range=above.x_range, y_range=Range1d(-0.02, 1.02), **size)
    colour, shift = palette(OUTCOMES), 0.12 * float(edges[1] - edges[0])
    rates = {
        "FP": ("FP / non-members", "TN", -shift, "circle"),
        "FN": ("FN / members", "TP", shift, "square"),
    }
    for kind, (words, right, offset, marker) in rates.items():
        trials = counts[kind] + counts[right]
        rows = np.flatnonzero(trials > 0)
        x = ((edges[1:] + edges[:-1]) / 2)[rows] + offset
        k, n = counts[kind][rows], trials[rows]
        bounds = [wilson(int(a), int(b), confidence=confidence) for a, b in zip(k, n, strict=True)]
        data = {"x": x, "rate": k / n, "k": k, "n": n,
                "low": [b.low for b in bounds], "high": [b.high for b in bounds]}  # fmt: skip
        source, named = ColumnDataSource(data), {"legend_label": words} if legend else {}
        plot.segment("x", "low", "x", "high", source=source, color=colour[kind], line_width=1.4, **named)
        points = plot.scatter(
            "x", "rate", source=source, marker=marker, size=7, color=colour[kind], name=kind, **named
        )
        plot.add_tools(
            HoverTool(renderers=[points], tooltips=[(words, "@k of @n"), ("rate", "@rate{0.000}")])
        )
    return legend_above(plot)
