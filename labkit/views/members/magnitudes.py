"""Magnitudes of spectroscopic and candidate members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from labkit.errors import InputError
from labkit.views.members.groups import as_names, as_numbers, palette
from labkit.views.style import INK, axes, style_legend

__all__ = ["magnitude_distribution"]


def magnitude_distribution(
    magnitude: ArrayLike,
    group: ArrayLike,
    *,
    stacked: Sequence[str] = ("spectroscopic member", "candidate member"),
    step: float = 0.5,
    limit: float | None = 25.0,
    x: str = "F814 (mag)",
    title: str = "",
    width: int = 560,
    height: int = 340,
) -> figure:
    """Magnitudes of spectroscopic and candidate members, stacked (Angora et al. 2020, Fig. 9, first row).

    Parameters
    ----------
    magnitude : array_like, shape (n,)
        Mag; galaxies without one are left out.
    group : array_like of str, shape (n,)
        Group of each; those that are not `stacked` are left out.
    stacked : sequence of str
        Groups from the axis upwards; an empty one keeps its place in the legend.
    step : float
        Width of the bins, mag; their edges are multiples of it.
    limit : float, optional
        Magnitude marked by a dashed line, to which candidates are accepted.
    x : str
        Axis label.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; bars give the 68 % Poisson interval of the sum.

    Raises
    ------
    InputError
        If lengths differ, `step` is not positive, or there is no member with a magnitude.
    """
    m = as_numbers(magnitude, "magnitude")
    names = as_names(group, "group", like=len(m))
    if not step > 0:
        raise InputError(f"step must be positive, in mag, got {step}")
    good = np.isfinite(m) & np.isin(names, list(stacked))
    if not good.any():
        raise InputError(f"magnitude must be finite for a galaxy of {list(stacked)}, got none of {len(m)}")
    edges = step * np.arange(np.floor(m[good].min() / step), np.floor(m[good].max() / step) + 2)
    counts = {name: np.histogram(m[good & (names == name)], bins=edges)[0] for name in stacked}
    total = np.sum(list(counts.values()), axis=0)
    low, high = _poisson_bounds(total)
    plot = axes(title=title, x=x, y=f"galaxies in {step:g} mag", width=width, height=height,
                y_range=Range1d(0, 1.08 * float(high.max())))  # fmt: skip
    bottom = np.zeros(len(total))
    for name, colour in palette(stacked).items():
        data = {"left": edges[:-1], "right": edges[1:], "bottom": bottom, "top": bottom + counts[name],
                "count": counts[name], "total": total}  # fmt: skip
        label = f"{name} ({counts[name].sum():,})"
        bars = plot.quad(source=ColumnDataSource(data), fill_color=colour, fill_alpha=0.7, line_color="white",
                         legend_label=label, name=name)  # fmt: skip
        tips = [(name, "@count"), ("all", "@total"), ("magnitude", "@left{0.00} to @right{0.00}")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
        bottom = bottom + counts[name]
    centre, some = (edges[1:] + edges[:-1]) / 2, total > 0
    plot.segment(centre[some], low[some], centre[some], high[some], color=INK, line_width=1.3, name="errors")
    if limit is not None:
        plot.add_layout(Span(location=limit, dimension="height", line_color=INK, line_dash="dashed"))
    style_legend(plot.legend[0]).location = "top_left"
    return plot


def _poisson_bounds(counts: NDArray, confidence: float = 0.68) -> tuple[NDArray, NDArray]:
    """Exact interval of a Poisson mean (Garwood 1936)."""
    tail = (1 - confidence) / 2
    low = np.where(counts > 0, chi2.ppf(tail, 2 * np.maximum(counts, 1)) / 2, 0.0)
    return low, chi2.ppf(1 - tail, 2 * (counts + 1)) / 2
