"""What a catalogue holds: histograms, class counts, and scatter figures by group, selected together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import CDSView, ColumnDataSource, GridPlot, IndexFilter, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.tables import numbers, text
from labkit.views import style
from labkit.views.marks import column_values, draw_steps, need_rows, plain_column
from labkit.views.plots import bars
from labkit.views.tables import column_title

_SELECTING = "pan,wheel_zoom,box_zoom,tap,box_select,lasso_select,reset,save"


def histogram(
    values: ArrayLike, *, label: str, by: ArrayLike | None = None, bins: int | Sequence[float] = 30,
    log: bool = False, normalised: bool = False, of: str = "objects", title: str = "", width: int = 460,
    height: int = 340,
) -> figure:  # fmt: skip
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
    log, normalised : bool
        Bins of equal ratio on a logarithmic axis; the share of each group instead of numbers.
    of : str
        What is counted, for the axis label.
    title, width, height
        Of the figure; sizes in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If no value can be shown, or `by` has another length.
    """
    x = numbers(values)
    groups = np.full(x.shape, "") if by is None else text(by)
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
    plot = style.axes(title=title, x=label, y=f"share of {of}" if normalised else f"number of {of}",
                      width=width, height=height, x_axis_type="log" if log else "linear")  # fmt: skip
    plot.y_range.start = 0
    names = style.class_colours(groups[good].tolist())
    for name, colour in names.items():
        count = np.histogram(x[good & (groups == name)], bins=edges)[0].astype(float)
        count /= max(count.sum(), 1) if normalised else 1
        fill = 0.15 if len(names) <= 2 else 0.0  # more fills than two hide one another
        draw_steps(plot, edges, count, colour=colour, name=name or label, label=name, fill=fill)
    return style.legend_inside(plot, "top_right")


def scatter(
    table: Table, x: str, y: str, *, by: str = "label",
    details: Sequence[str] | Mapping[str, str] = ("object_id",), pictures: Sequence[str] | None = None,
    log: Sequence[str] = (), hollow: str = "", markers: Sequence[str] = (), counts: bool = False,
    unnamed: str = "no class", relation: Any = None, central: float = 1.0,
    source: ColumnDataSource | None = None, title: str = "", x_label: str = "", y_label: str = "",
    width: int = 480, height: int = 460,
) -> figure:  # fmt: skip
    """One point for each object, coloured by group; the pointer shows the object and its picture.

    Parameters
    ----------
    table : Table
        One row per object.
    x, y, by : str
        Columns, `by` the one with the group of each object; objects without a value are left out.
    details : sequence of str, or mapping of str to str
        Columns that the pointer shows, with bokeh's format of each if wanted.
    pictures : sequence of str, optional
        PNG data URI of each row.
    log, hollow
        Columns shown on a logarithmic axis, where values not above zero are left out; a boolean column,
        where it is true, the point is hollow.
    markers : sequence of str
        Bokeh's markers of the groups, in turn; members, candidates and errors have their own.
    counts, unnamed
        Write the number of objects of each group into the legend, which then stands above the frame; legend
        text of objects without a group, which are left out if it is empty.
    relation : callable, optional
        Mean of y at x, with the attribute ``scatter``, drawn dashed in a grey band.
    central : float
        Share of the values that the axes hold at first; the wheel and the reset tool show the rest.
    source : ColumnDataSource, optional
        That of another scatter figure of the same table: what is selected in one is selected in both.
    title, x_label, y_label, width, height
        Of the figure; names and units of the columns by default, sizes in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; a tap, box or lasso selects, a click on the legend hides a group.

    Raises
    ------
    InputError
        If a column or a picture is missing, or no object can be drawn.
    """
    details = dict(details) if isinstance(details, Mapping) else dict.fromkeys(details, "")
    need_rows(table, [x, y, by, *details, *([hollow] if hollow else [])], "table")
    if pictures is not None and len(pictures) != len(table):
        raise InputError(f"pictures must be one for each row, got {len(pictures)} for {len(table)} rows")
    places = {name: column_values(table, name) for name in (x, y)}
    for name in set(log) & set(places):
        places[name] = np.where(places[name] > 0, places[name], np.nan)
    groups = text(table[by])
    good = np.isfinite(places[x]) & np.isfinite(places[y]) & ((groups != "") | bool(unnamed))
    if not good.any():
        raise InputError(f"points must be finite and of a group for one object at least, got none of "
                         f"{len(table)} in {x!r} and {y!r}")  # fmt: skip
    scales: dict[str, Any] = {
        f"{axis}_axis_type": "log" if name in log else "linear" for axis, name in (("x", x), ("y", y))
    }
    ranges = {}
    if central < 1:
        for axis, name, margin in (("x", x, 0.03), ("y", y, 0.08)):
            low, high = np.percentile(places[name][good], [50 * (1 - central), 50 * (1 + central)])
            room = margin * (high - low) or 0.5
            ranges[f"{axis}_range"] = Range1d(float(low - room), float(high + room))
    plot = style.axes(title=title, x=x_label or column_title(table, x), y=y_label or column_title(table, y),
                      width=width, height=height, tools=_SELECTING, **scales, **ranges)  # fmt: skip
    if relation is not None:
        _draw_relation(plot, relation, ranges.get("x_range"), places[x][good])
    if source is None:
        source = ColumnDataSource({style.field_name(name): plain_column(table[name]) for name in details})
    for name, values in places.items():
        source.data[style.field_name(name)] = values
    source.data["_group"] = groups
    if pictures is not None:
        source.data["_picture"] = list(pictures)
    palette = style.class_colours(sorted(set(groups[good].tolist())))
    drawn = []
    for number, name in enumerate(style.in_drawing_order(palette)):
        rows = np.flatnonzero(good & (groups == name))
        if name in style.GROUP_MARKERS or counts:
            look: dict[str, Any] = {"color": palette[name]} | style.GROUP_MARKERS.get(
                name, style.MEMBER_MARKER
            )
        elif markers:
            look = {"marker": markers[number % len(markers)], "size": 9, "line_width": 1.4,
                    "fill_alpha": 0.6, "color": palette[name]}  # fmt: skip
        else:
            look = {"marker": "circle", "size": 7, "fill_alpha": 0.65, "line_color": None,
                    "fill_color": palette[name]}  # fmt: skip
        words = (name or unnamed) + (f" ({len(rows):,})" if counts else "")
        empty = np.asarray(table[hollow])[rows] if hollow else np.zeros(len(rows), dtype=bool)
        for part, filled in ((rows[~empty], True), (rows[empty], False)):
            if len(part):  # the legend shows the first, a filled marker where a group has one
                label = {"legend_label": words} if filled or empty.all() else {}
                opacity = {} if filled else {"fill_alpha": 0.0}
                drawn.append(
                    plot.scatter(style.field_name(x), style.field_name(y), source=source, name=name, **label,
                                 view=CDSView(filter=IndexFilter(part)), nonselection_alpha=0.08,
                                 **(look | opacity))
                )  # fmt: skip
                if not label:  # a click on the legend hides it, too
                    plot.legend[0].items[-1].renderers.append(drawn[-1])
    picture = "_picture" if pictures is not None else ""
    style.hover_picture(plot, drawn, style.column_tips(details), picture=picture, heading="_group")
    if counts:
        return style.legend_above(plot, columns=3 if width >= 600 else 2)
    return style.legend_inside(plot, "bottom_right")


def _draw_relation(plot: figure, relation: Any, frame: Range1d | None, x: np.ndarray) -> None:
    """A relation over the frame, or from the least to the largest x, dashed in the band of its scatter."""
    ends = (x.min(), x.max()) if frame is None else (frame.start, frame.end)
    line = np.linspace(*ends, 60)
    words, middle = f"red sequence ± {relation.scatter:.3f} mag", relation(line)
    plot.varea(line, middle - relation.scatter, middle + relation.scatter, color="#bdbdbd", alpha=0.6,
               legend_label=words, name="scatter")  # fmt: skip
    plot.line(line, middle, color=style.INK, line_dash="dashed", level="overlay", legend_label=words,
              name="relation")  # fmt: skip


def class_counts(labels: ArrayLike, *, by: ArrayLike | None = None, title: str = "") -> figure:
    """Number of objects of each class, the most frequent on top, stacked by a property such as the split."""
    names = text(labels)
    groups = np.full(names.shape, "objects") if by is None else text(by)
    if names.size == 0 or groups.shape != names.shape:
        raise InputError(f"labels must hold objects and by as many, got {names.shape} and {groups.shape}")
    names = np.where(names == "", "unknown", names)
    classes, count = np.unique(names, return_counts=True)
    parts = list(dict.fromkeys(groups.tolist()))
    rows = [
        (classes[k], part, int(((names == classes[k]) & (groups == part)).sum()), f"{count[k]:,}")
        for k in np.argsort(-count, kind="stable")
        for part in parts
    ]
    table = Table(rows=rows, names=("class", "part", "objects", "text"))
    words = {part: part for part in parts} if by is not None else None
    return bars(table, "class", "objects", by="part", stacked=True, beside="text",
                palette=style.colours(parts), labels=words, title=title,
                x_label="number of objects")  # fmt: skip


def linked_scatters(
    catalogue: Table, pairs: Sequence[tuple[str, str]], *, log: Sequence[str] = (),
    pictures: Sequence[str] | None = None,
) -> GridPlot:  # fmt: skip
    """Scatter figures of pairs of columns that share their selection.

    The pointer shows the object, all its numbers and its cut-out (`pictures`, one PNG data URI per row).
    """
    used = list(dict.fromkeys(["label", "object_id", *(name for pair in pairs for name in pair)]))
    need_rows(catalogue, used, "catalogue")
    plots: list[figure] = []
    for x, y in pairs:
        source = plots[0].renderers[0].data_source if plots else None
        plot = scatter(catalogue, x, y, details=used, pictures=pictures, log=log, source=source,
                       width=420, height=420)  # fmt: skip
        for legend in plot.legend:
            legend.visible = not plots
        plots.append(plot)
    return style.grid([plots])
