"""Radial profiles of the members of several clusters in one scale (Angora et al. 2020, Fig. 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, GridPlot, HoverTool, Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.views.members.layout import grid, log_ticks
from labkit.views.style import INK, axes, colours, style_legend

__all__ = ["member_profiles"]

_DASHES = ("solid", "dashed", "dotdash", "dotted")
_ENDS = ("", "_low", "_high")
_NEEDED = ("inner", "outer", "members", *(f"{n}{end}" for n in ("cumulative", "density") for end in _ENDS))


def member_profiles(
    profiles: Mapping[str, Table],
    *,
    log: bool = True,
    title: str = "",
    width: int = 480,
    height: int = 430,
) -> GridPlot:
    """Cumulative and differential projected number profiles in R/R200, with their bands.

    Parameters
    ----------
    profiles : mapping of str to Table
        Of each cluster, from `labkit.evaluate.member_profile`.
    log : bool
        Logarithmic axes for the differential profile; empty bins are gaps.
    title : str
        Title of the left panel.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        Left N(< R) / N0 at the outer edges, right the number in an annulus per R200^2 over N0, at its middle.
        The radius within which N0 counts is dotted.

    Raises
    ------
    InputError
        If there is no profile, or one lacks a column.
    """
    if not profiles:
        raise InputError("profiles must hold one cluster at least, got none; use member_profile")
    for name, table in profiles.items():
        if missing := [column for column in _NEEDED if column not in table.colnames]:
            raise InputError(f"profiles[{name!r}] must be from member_profile, it lacks {missing}")
    first = next(iter(profiles.values())).meta
    within, share = first.get("scale_radius"), first.get("confidence")
    words = f"N0 within {within:g} R200" if within is not None else "N0"
    band = f", bands {share:.0%}" if share is not None else ""
    size: dict[str, Any] = {"width": width, "height": height}
    left = axes(title=title, x="R / R200", y="N(< R) / N0", **size)
    right = axes(x="R / R200", y="N per R200² / N0", x_axis_type="log" if log else "linear",
                 y_axis_type="log" if log else "linear", **size)  # fmt: skip
    for number, (name, ink) in enumerate(colours(profiles).items()):
        table, dash = profiles[name], _DASHES[number // 8 % len(_DASHES)]
        columns = {c: np.asarray(getattr(table[c], "value", table[c]), dtype=float) for c in _NEEDED}
        n0 = table.meta.get("n0")
        label = f"{name} (N0 = {n0})" if n0 is not None else name
        _draw(left, columns["outer"], columns, "cumulative", label, ink, dash, positive=False)
        _draw(right, _middles(columns, log), columns, "density", "", ink, dash, positive=log)
    for plot in (left, right):
        if within is not None:
            plot.add_layout(Span(location=within, dimension="height", line_color=INK, line_dash="dotted"))
    outer = np.concatenate([np.asarray(table["outer"], dtype=float) for table in profiles.values()])
    if log:
        log_ticks(right.xaxis[0], 0.3 * float(outer.min()), float(outer.max()))
    style_legend(left.legend[0]).update(click_policy="hide", location="top_left", title=words + band)
    left.legend[0].update(title_text_font_style="normal", title_text_font_size="12px")
    return grid([[left, right]])


def _middles(columns: Mapping[str, NDArray], log: bool) -> NDArray[np.float64]:
    """Middle of each annulus, geometric on a logarithmic axis."""
    inner, outer = columns["inner"], columns["outer"]
    return np.where(inner > 0, np.sqrt(inner * outer), outer / 2) if log else (inner + outer) / 2


def _draw(
    plot: figure,
    x: NDArray,
    columns: Mapping[str, NDArray],
    name: str,
    label: str,
    colour: str,
    dash: str,
    *,
    positive: bool,
) -> None:
    """A line in its band; what a logarithmic axis cannot show becomes a gap."""
    y, low, high = (columns[f"{name}{end}"].copy() for end in _ENDS)
    if positive:
        floor = np.nanmin(y[y > 0], initial=np.inf) / 30
        floor = floor if np.isfinite(floor) else 1e-3
        y[~(y > 0)] = np.nan
        low, high = np.maximum(low, floor), np.where(high > 0, high, np.nan)
    good = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    named = {"legend_label": label} if label else {}
    for rows in np.split(np.arange(len(x)), np.flatnonzero(np.diff(good)) + 1):
        if good[rows].all():  # bands do not bridge gaps
            plot.varea(x[rows], low[rows], high[rows], color=colour, alpha=0.18, **named)
    source = ColumnDataSource({"x": x, "y": y, "low": low, "high": high, "members": columns["members"]})
    plot.line("x", "y", source=source, color=colour, line_width=2, line_dash=dash, name=name, **named)
    points = plot.scatter("x", "y", source=source, color=colour, size=5, **named)
    tips = [("R / R200", "@x{0.000}"), (name, "@y{0.000} (@low{0.000} to @high{0.000})")]
    tips += [("members in the annulus", "@members")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=[("", label), *tips] if label else tips))
