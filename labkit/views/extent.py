"""The extent - extension likelihood plane, in which C1 candidates are selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import BoxAnnotation, ColumnDataSource, HoverTool, Label, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.views.style import FONT, INK, axes, class_colours, style_legend

__all__ = ["C1_EXTENT", "C1_LIKELIHOOD", "extent_plane"]

#: Extent (arcsec) and extension likelihood of the C1 class lie above these (Pacaud et al. 2006).
C1_EXTENT, C1_LIKELIHOOD = 5.0, 33.0

_AXES = ("extent", "extension_likelihood")
_MARKERS = ("circle", "square", "diamond", "inverted_triangle", "hex", "star", "triangle", "plus")
_DECADES = 3  # that an axis reaches below the edge of the selection


def extent_plane(
    catalogue: Table,
    *,
    by: str = "class",
    pictures: Sequence[str] | None = None,
    details: Sequence[str] = (),
    limits: tuple[float, float] | None = (C1_EXTENT, C1_LIKELIHOOD),
    title: str = "",
    width: int = 620,
    height: int = 520,
) -> figure:
    """Extension likelihood against extent of each source, both logarithmic (Kosiba et al. 2020, Appendix B).

    Sources whose extent or likelihood is zero, negative or below the axis are drawn hollow at its end; the
    pointer shows their values. A click on the legend hides a class; a tap or a lasso selects.

    Parameters
    ----------
    catalogue : Table
        One row a source: ``extent`` (an angle, or numbers in arcsec), ``extension_likelihood``, and `by`.
    by : str
        Column that colours the points, such as "class", "label", or the sample that they come from.
    pictures : sequence of str, optional
        PNG data URI of each row, shown under the pointer.
    details : sequence of str
        Further columns shown under the pointer.
    limits : tuple of float, optional
        Extent (arcsec) and likelihood above which the selected region is shaded and its sources are counted;
        those of the C1 class by default.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure. Rows without finite extent and likelihood are left out.

    Raises
    ------
    InputError
        If a column is missing, no row is finite, or pictures differ in number from the rows.
    """
    data = _columns(catalogue, by, details, pictures)
    edges = limits or (1.0, 1.0)
    ranges = [_log_range(data[name], edge) for name, edge in zip(_AXES, edges, strict=True)]
    plot = axes(
        title=title, x="extent (arcsec)", y="extension likelihood", width=width, height=height,
        x_axis_type="log", y_axis_type="log", x_range=ranges[0], y_range=ranges[1],
        tools="pan,wheel_zoom,box_zoom,tap,lasso_select,reset,save",
    )  # fmt: skip
    if limits is not None:
        _shade(plot, limits, data)
    _draw(plot, data, by)
    picture = '<img src="@_picture" width="160" height="160">' if pictures is not None else ""
    rows = "".join(_line(name, data[name]) for name in dict.fromkeys([*details, by, *_AXES]))
    hover = f'<div style="font-family:{FONT};font-size:13px">{picture}{rows}</div>'
    plot.add_tools(HoverTool(renderers=list(plot.renderers), tooltips=hover))
    return plot


def _columns(
    catalogue: Table, by: str, details: Sequence[str], pictures: Sequence[str] | None
) -> dict[str, NDArray[Any]]:
    """Columns of the rows that can be drawn, as plain arrays, the extent in arcsec."""
    needed = list(dict.fromkeys([*_AXES, by, *details]))
    if missing := [name for name in needed if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns {needed}, {missing} missing; it has {catalogue.colnames}"
        )
    if pictures is not None and len(pictures) != len(catalogue):
        raise InputError(f"pictures must be one for each row, got {len(pictures)} for {len(catalogue)} rows")
    data = {name: np.asarray(getattr(catalogue[name], "value", catalogue[name])) for name in needed}
    unit = getattr(catalogue["extent"], "unit", None)
    data["extent"] = data["extent"] * (unit.to("arcsec") if unit else 1.0)
    data["_group"] = data[by].astype(str)
    if pictures is not None:
        data["_picture"] = np.array(list(pictures), dtype=object)
    finite = np.isfinite(data["extent"]) & np.isfinite(data["extension_likelihood"])
    if not finite.any():
        raise InputError(
            f"catalogue must hold a row with finite extent and extension_likelihood, got none of "
            f"{len(catalogue)}; run the fits, or lower the detection threshold"
        )
    return {name: values[finite] for name, values in data.items()}


def _log_range(values: NDArray, edge: float) -> Range1d:
    """A range that holds the positive values and the edge of the selection, and little more below it."""
    positive = np.append(values[values > 0], edge)
    low = max(positive.min(), edge / 10**_DECADES)
    return Range1d(float(low / 2), float(positive.max() * 3))


def _shade(plot: figure, limits: tuple[float, float], data: dict[str, NDArray]) -> None:
    """The selected region and how many sources lie in it."""
    extent, likelihood = limits
    inside = int(((data["extent"] > extent) & (data["extension_likelihood"] > likelihood)).sum())
    style = {"line_color": INK, "line_dash": "dashed", "line_width": 1.2, "fill_color": "#E69F00"}
    plot.add_layout(BoxAnnotation(left=extent, bottom=likelihood, fill_alpha=0.1, level="underlay", **style))
    words = f"extent > {extent:g}″, likelihood > {likelihood:g}: {inside} of {len(data['extent'])}"
    place = {"x": plot.x_range.end, "y": plot.y_range.end, "x_offset": -8, "y_offset": -6}
    text = {"text_align": "right", "text_baseline": "top", "text_font": FONT, "text_font_size": "13px"}
    plot.add_layout(Label(text=words, text_color=INK, **place, **text))


def _draw(plot: figure, data: dict[str, NDArray], by: str) -> None:
    """Points of each group in its colour and marker; hollow where a value lies below the axis."""
    floors = dict(zip(_AXES, (1.25 * plot.x_range.start, 1.25 * plot.y_range.start), strict=True))
    below = np.any([data[name] < floors[name] for name in _AXES], axis=0)
    shown = data | {f"_{name}": np.maximum(data[name], floors[name]) for name in _AXES}
    groups = class_colours(sorted(set(data["_group"].tolist())))
    for number, (group, colour) in enumerate(groups.items()):
        for hollow in (True, False):
            rows = (data["_group"] == group) & (below == hollow)
            if rows.any():
                plot.scatter(
                    "_extent", "_extension_likelihood", size=9, marker=_MARKERS[number % len(_MARKERS)],
                    source=ColumnDataSource({name: values[rows] for name, values in shown.items()}),
                    line_color=colour, line_width=1.4, fill_color=colour, fill_alpha=0.0 if hollow else 0.6,
                    nonselection_alpha=0.15, legend_label=group or "no class",
                )  # fmt: skip
    for legend in plot.legend:
        style_legend(legend).update(location="top_left", click_policy="hide", title=by.replace("_", " "))
        legend.update(title_text_font=FONT, title_text_font_size="13px", title_text_font_style="normal")


def _line(name: str, values: NDArray) -> str:
    """A line of the hover box."""
    digits = "{0.0}" if np.issubdtype(values.dtype, np.floating) else ""
    return f"<div>{name.replace('_', ' ')}: <b>@{{{name}}}{digits}</b></div>"
