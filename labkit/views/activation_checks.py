"""Figures of how far to trust what a network seems to look at: brightness, random weights, deleted pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from bokeh.models import FactorRange, HoverTool, Range1d, Span
from bokeh.palettes import Inferno256
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.style import FAINT, INK, PALETTE, axes, style_legend, unit_range

__all__ = ["deletion_curves", "randomisation_curve", "sensitivity_curves"]


def sensitivity_curves(
    brightness: ArrayLike, response: ArrayLike, threshold: ArrayLike, *, band: str = "X-ray", title: str = "",
    width: int = 520, height: int = 400,
) -> figure:  # fmt: skip
    """Answer of each filter, relative to that at full brightness, against the peak brightness of a band.

    Parameters
    ----------
    brightness : array_like, shape (level,)
        Peak brightness above the sky.
    response : array_like, shape (filter, level)
        Answers, from `labkit.explain.sensitivity`.
    threshold : array_like, shape (filter,)
        Where half the answer is reached; filters with NaN are not drawn.
    band : str
        Name of the band.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; the dashed line is a filter in proportion to the brightness.
    """
    x, y, half = (np.asarray(values, dtype=float) for values in (brightness, response, threshold))
    plot = axes(title=title, x=f"peak brightness in {band} (1 = highest grey level)",
                y="answer, relative to that at 1",
                width=width, height=height, x_range=unit_range())  # fmt: skip
    for number in np.flatnonzero(np.isfinite(half)):
        colour = Inferno256[round(40 + 180 * float(np.clip(half[number], 0, 1)))]
        curve = np.concatenate([[0.0], y[number] / y[number, -1]])
        line = plot.line(np.concatenate([[0.0], x]), curve, color=colour, line_width=1.8, alpha=0.8)
        tips = [("filter", str(number)), ("half of its answer at", f"{half[number]:.2f}")]
        plot.add_tools(HoverTool(renderers=[line], tooltips=tips))
    plot.line([0, 1], [0, 1], color=INK, line_dash="dashed", legend_label="in proportion")
    style_legend(plot.legend[0]).location = "top_left"
    return plot


def randomisation_curve(
    checks: Mapping[str, Table],
    *,
    between: float | None = None,
    title: str = "",
    width: int = 640,
    height: int = 400,
) -> figure:
    """Similarity to the trained network's maps while layers are randomised from the last to the first.

    Parameters
    ----------
    checks : mapping of str to Table
        Tables of `labkit.explain.randomisation_check` by method: ``step``, ``rank``, ``rank_low``,
        ``rank_high``.
    between : float, optional
        Rank correlation of the maps of different objects, dotted.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure, with 95 % intervals over the objects.

    Raises
    ------
    InputError
        If there is no table, or the tables differ in their steps.
    """
    steps = [tuple(str(step) for step in table["step"]) for table in checks.values()]
    if not steps or len(set(steps)) != 1:
        raise InputError(f"checks must hold tables with the same steps, got {steps}")
    names = list(steps[0])
    plot = axes(
        title=title, x="randomised from the output down to", y="rank correlation with the trained map",
        width=width, height=height, x_range=FactorRange(*names), y_range=Range1d(-0.25, 1.05),
    )  # fmt: skip
    for (name, table), colour in zip(checks.items(), PALETTE, strict=False):
        columns = [np.asarray(table[key], dtype=float) for key in ("rank", "rank_low", "rank_high")]
        plot.varea(names, columns[1], columns[2], color=colour, alpha=0.2, legend_label=name)
        plot.line(names, columns[0], color=colour, line_width=2.5, legend_label=name)
        plot.scatter(names, columns[0], color=colour, size=7, legend_label=name)
    plot.add_layout(Span(location=0, dimension="width", line_color=FAINT, line_width=2))
    if between is not None:
        dotted = {"line_dash": "dotted", "legend_label": "maps of other objects"}
        plot.line(names, [between] * len(names), color=INK, **dotted)
    plot.xaxis.major_label_orientation = 0.6
    style_legend(plot.legend[0]).location = "top_right"
    return plot


def deletion_curves(
    checks: Mapping[str, Table], *, title: str = "", width: int = 520, height: int = 400
) -> figure:
    """Drop of the probability without the pixels that a map ranks highest, beside that without others.

    Parameters
    ----------
    checks : mapping of str to Table
        Tables of `labkit.explain.deletion` by method: ``share``, ``drop``, ``reference``, ``difference_low``,
        ``difference_high``.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure: solid for the map's pixels, dashed for others; the bar is the 95 % interval of their
        difference, drawn from the dashed line upwards.

    Raises
    ------
    InputError
        If there is no table.
    """
    if not checks:
        raise InputError("checks must hold one table or more, got none")
    plot = axes(
        title=title, x="share of pixels blanked (%)", y="drop of the probability", width=width, height=height
    )
    for (name, table), colour in zip(checks.items(), PALETTE, strict=False):
        share = 100 * np.asarray(table["share"], dtype=float)
        drop, other = (np.asarray(table[key], dtype=float) for key in ("drop", "reference"))
        low, high = (other + np.asarray(table[f"difference_{end}"], dtype=float) for end in ("low", "high"))
        plot.segment(share, low, share, high, color=colour, line_width=5, alpha=0.3)
        plot.line(share, drop, color=colour, line_width=2.5, legend_label=name)
        plot.scatter(share, drop, color=colour, size=7, legend_label=name)
        dashed = {"line_dash": "dashed", "legend_label": f"{name}, same hole elsewhere"}
        plot.line(share, other, color=colour, line_width=1.8, **dashed)
    legend = style_legend(plot.legend[0])
    plot.add_layout(legend, "above")
    legend.update(ncols=2, location="left", padding=0)
    return plot
