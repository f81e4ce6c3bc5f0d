"""What a catalogue holds: class counts, distributions, and scatter figures that are selected together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, FactorRange, GridPlot, HoverTool
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.style import FONT, GLYPH_FONT, axes, class_colours, colours, style_legend

__all__ = ["class_counts", "histogram", "linked_scatters"]

_SELECTING = "pan,wheel_zoom,box_select,lasso_select,reset,save"


def class_counts(
    labels: ArrayLike, *, by: ArrayLike | None = None, title: str = "", width: int = 560
) -> figure:
    """Number of objects of each class, the most frequent on top.

    Parameters
    ----------
    labels : array_like of str, shape (n,)
        Class of each object.
    by : array_like of str, shape (n,), optional
        A second property, such as the split, stacked in colours.
    title : str
        Title of the figure.
    width : int
        Width in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If there is no object, or `by` has another length.
    """
    names = np.asarray(labels, dtype=str)
    groups = np.full(names.shape, "objects") if by is None else np.asarray(by, dtype=str)
    if names.size == 0 or groups.shape != names.shape:
        raise InputError(f"labels must hold objects and by as many, got {names.shape} and {groups.shape}")
    names = np.where(names == "", "unknown", names)
    classes, count = np.unique(names, return_counts=True)
    classes = classes[np.argsort(count, kind="stable")]
    parts = list(dict.fromkeys(groups.tolist()))
    data = {part: [int(((names == name) & (groups == part)).sum()) for name in classes] for part in parts}
    totals = np.sum(list(data.values()), axis=0)
    source = ColumnDataSource(
        data | {"class": classes.tolist(), "total": totals, "text": [f"{n:,}" for n in totals]}
    )
    plot = axes(title=title, x="number of objects", y="", width=width, height=70 + 34 * len(classes),
                y_range=FactorRange(*classes), x_range=(0, 1.15 * totals.max()), tools="save")  # fmt: skip
    plot.hbar_stack(parts, y="class", height=0.72, source=source, color=list(colours(parts).values()),
                    **({"legend_label": parts} if by is not None else {}))  # fmt: skip
    plot.text("total", "class", "text", source=source, x_offset=6, text_baseline="middle",
              text_font=GLYPH_FONT, text_font_size="13px")  # fmt: skip
    plot.ygrid.grid_line_color = None
    for legend in plot.legend:
        style_legend(legend).location = "bottom_right"
    plot.add_tools(HoverTool(tooltips=[("class", "@class"), *[(part, f"@{{{part}}}") for part in parts]]))
    return plot


def histogram(
    values: ArrayLike,
    *,
    label: str,
    by: ArrayLike | None = None,
    bins: int | Sequence[float] = 30,
    log: bool = False,
    normalised: bool = False,
    of: str = "objects",
    title: str = "",
    width: int = 460,
    height: int = 340,
) -> figure:
    """Distribution of a quantity, as steps, one line for each group.

    Parameters
    ----------
    values : array_like, shape (n,)
        The quantity; not-finite values are left out, and with `log` those not above zero.
    label : str
        Axis label, with unit.
    by : array_like of str, shape (n,), optional
        Group of each object, such as class, split, or real and simulated.
    bins : int or sequence of float
        Number of bins, or their edges, the same for all groups; values beyond the edges are left out.
    log : bool
        Bins of equal ratio on a logarithmic axis.
    normalised : bool
        Show the share of each group instead of numbers.
    of : str
        What is counted, for the axis label.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If no value can be shown, or `by` has another length.
    """
    x = np.asarray(getattr(values, "value", values), dtype=float)
    groups = np.full(x.shape, "") if by is None else np.asarray(by, dtype=str)
    if groups.shape != x.shape:
        raise InputError(f"by must have one entry for each value, got {groups.shape} for {x.shape}")
    good = np.isfinite(x) & (x > 0 if log else True)
    if not good.any():
        raise InputError(
            f"values must have finite entries{' above zero' if log else ''}, got none of {x.size}"
        )
    edges = np.asarray(bins, dtype=float)
    if edges.ndim == 0:
        edges = np.histogram_bin_edges(np.log10(x[good]) if log else x[good], bins=int(edges))
        edges = 10**edges if log else edges
    count_label = f"share of {of}" if normalised else f"number of {of}"
    plot = axes(title=title, x=label, y=count_label, width=width,
                height=height, x_axis_type="log" if log else "linear")  # fmt: skip
    plot.y_range.start = 0
    for name, colour in class_colours(dict.fromkeys(groups[good].tolist())).items():
        count = np.histogram(x[good & (groups == name)], bins=edges)[0].astype(float)
        count /= max(count.sum(), 1) if normalised else 1
        steps_x, steps_y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(count, 2), [0]])
        words = {"legend_label": name} if name else {}
        if len(set(groups[good].tolist())) <= 2:  # more fills than two hide one another
            plot.varea(steps_x, 0, steps_y, color=colour, alpha=0.15, **words)
        plot.line(steps_x, steps_y, color=colour, line_width=2, **words)
    for legend in plot.legend:
        style_legend(legend).update(location="top_right", click_policy="hide")
    return plot


def linked_scatters(
    catalogue: Table,
    pairs: Sequence[tuple[str, str]],
    *,
    labels: Mapping[str, str] | None = None,
    by: str = "label",
    log: Sequence[str] = (),
    pictures: Sequence[str] | None = None,
    details: Sequence[str] = ("object_id",),
    size_px: int = 420,
) -> GridPlot:
    """Scatter figures that share their selection; the pointer shows the object and its cut-out.

    Parameters
    ----------
    catalogue : Table
        One row an object.
    pairs : sequence of (str, str)
        Columns on the x and y axis of each figure, such as `("redshift", "luminosity")`.
    labels : mapping of str to str, optional
        Axis label of a column; its name and unit by default.
    by : str
        Column that colours the points.
    log : sequence of str
        Columns shown on a logarithmic axis; values not above zero are left out there.
    pictures : sequence of str, optional
        PNG data URI of each row.
    details : sequence of str
        Columns shown under the pointer.
    size_px : int
        Width and height of a figure on the screen.

    Returns
    -------
    bokeh.models.GridPlot
        One figure for each pair; a lasso or box in one highlights the same objects in all.

    Raises
    ------
    InputError
        If a column or a picture is missing.
    """
    used = list(dict.fromkeys([by, *details, *(name for pair in pairs for name in pair)]))
    if missing := [name for name in used if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns {used}, {missing} missing; it has {catalogue.colnames}"
        )
    if pictures is not None and len(pictures) != len(catalogue):
        raise InputError(f"pictures must be one for each row, got {len(pictures)} for {len(catalogue)} rows")
    data: dict[str, Any] = {
        name: np.asarray(getattr(catalogue[name], "value", catalogue[name])) for name in used
    }
    for name in log:
        data[name] = np.where(data[name] > 0, data[name], np.nan)
    palette = class_colours(sorted(set(data[by].astype(str))))
    data["_colour"] = [palette[str(name)] for name in data[by]]
    data["_group"] = data[by].astype(str)
    source = ColumnDataSource(data | ({"_picture": list(pictures)} if pictures is not None else {}))
    picture = '<img src="@_picture" width="150" height="150">' if pictures is not None else ""
    rows = "".join(f"<div>{name}: <b>@{{{name}}}</b></div>" for name in used)
    hover = f'<div style="font-family:{FONT};font-size:13px">{picture}{rows}</div>'
    plots = []
    for number, (x, y) in enumerate(pairs):
        names = [(labels or {}).get(name) or _with_unit(catalogue, name) for name in (x, y)]
        scales = ["log" if name in log else "linear" for name in (x, y)]
        plot = axes(x=names[0], y=names[1], width=size_px, height=size_px, x_axis_type=scales[0],
                    y_axis_type=scales[1], tools=_SELECTING)  # fmt: skip
        group = {"legend_group": "_group"} if number == 0 else {}
        points = plot.scatter(x, y, source=source, size=7, color="_colour", alpha=0.65, line_color=None,
                              nonselection_alpha=0.06, selection_line_color="#222222", **group)  # fmt: skip
        plot.add_tools(HoverTool(renderers=[points], tooltips=hover))
        for legend in plot.legend:
            style_legend(legend).location = "bottom_right"
        plots.append(plot)
    return gridplot([plots], toolbar_options={"logo": None}, merge_tools=True)


def _with_unit(catalogue: Table, name: str) -> str:
    unit = getattr(catalogue[name], "unit", None)
    return f"{name.replace('_', ' ')} ({unit:unicode})" if unit else name.replace("_", " ")
