"""The grammar of figures: points with intervals, curves, bars.

The figures of the papers are calls of these, of `histogram` and `scatter` (labkit.views.distributions) and of
`gallery` (labkit.views.gallery). Each takes a
table and returns a figure; points, curves and bars may also be drawn on a figure that is there (`on`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from labkit.tables import text
from labkit.views.marks import (
    Line,
    bounded,
    column_values,
    draw_line,
    draw_points,
    fitted_line,
    need_columns,
    published_entry,
)
from labkit.views.style import (
    GLYPH_FONT,
    INK,
    axes,
    class_colours,
    colours,
    field_name,
    hover,
    legend_above,
    legend_inside,
    name_ticks,
    plain_text,
)
from labkit.views.tables import column_title


def points(
    table: Table,
    x: str,
    y: str,
    *,
    by: str = "",
    reference: str = "",
    percent: bool = False,
    across: bool = False,
    dodge: float = 0.0,
    markers: Sequence[str] = ("circle",),
    size: float = 9,
    palette: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    lines: Mapping[str, Line | None] | None = None,
    fit: bool = False,
    span: tuple[float, float] | None = None,
    details: Mapping[str, str] | None = None,
    notes: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: int = 620,
    height: int = 400,
    on: figure | None = None,
) -> figure:
    """Points with intervals, one colour for each group, published values hollow beside them.

    Parameters
    ----------
    table : Table
        One row per point. The interval of a column ``m`` is ``m_low`` to ``m_high``, or ``m`` ± ``m_std``.
    x, y : str
        Columns. A column of text becomes named places on the axis, where groups stand side by side.
    by : str
        Column with the group of each row.
    reference : str
        Column with the published values, by default ``<y>_published`` if it is there.
    percent : bool
        Show shares as per cent.
    across : bool
        Show the values along the horizontal axis.
    dodge : float
        Distance between groups on an axis of numbers.
    markers : sequence of str
        Bokeh's markers of the groups, in turn.
    size : float
        Of the markers, in screen pixels.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each group; the common palette and the group's name by default.
    lines : mapping of str to Line or None, optional
        Straight lines of the groups, drawn dashed over their range.
    fit : bool
        Fit these lines by least squares, weighted by the intervals.
    span : tuple of float, optional
        Ends of the lines; by default those of the group's points.
    details : mapping of str to str, optional
        Columns that the pointer shows as well, with bokeh's format of each, such as "0.00" (may be empty).
    notes : mapping of str to sequence of (str, str), optional
        Further lines of the pointer's box for a group: label and text.
    title, x_label, y_label : str
        Of the figure; the names of the columns by default.
    width, height : int
        Size in screen pixels.
    on : bokeh.plotting.figure, optional
        Draw on this figure instead.

    Returns
    -------
    bokeh.plotting.figure
        The figure, its legend above the frame if there are groups.

    Raises
    ------
    InputError
        If a column is missing or the table is empty.
    """
    need_columns(table, [x, y, *([by] if by else []), *(details or {})], "table")
    groups = text(table[by]) if by else np.full(len(table), y)
    found = dict(palette or colours(groups.tolist()))
    named, labels, sign = np.asarray(table[x]).dtype.kind in "USO", labels or {}, " %" if percent else ""
    places = text(table[x]) if named else column_values(table, x)
    names = list(dict.fromkeys(places.tolist())) if named else []
    centres = np.array([names.index(p) for p in places], dtype=float) if named else places
    reference = reference or (f"{y}_published" if f"{y}_published" in table.colnames else "")
    values = bounded(table, y, percent=percent)
    theirs = bounded(table, reference, percent=percent) if reference else None
    words = (x_label or ("" if named else column_title(table, x)), y_label or column_title(table, y) + sign)
    plot = on or axes(title=title, x=words[across], y=words[not across], width=width, height=height)
    if named and on is None:
        name_ticks(plot, names, along="y" if across else "x")
    share = 0.84 / len(found) if named else dodge
    shift = 0.225 * share * named * bool(reference)
    wanted = {field_name(key): np.asarray(getattr(table[key], "value", table[key])) for key in details or {}}
    more = [(key, f"@{{{field_name(key)}}}" + (f"{{{form}}}" if form else ""))
            for key, form in (details or {}).items()]  # fmt: skip
    tip = "@x{0.0}" if across else "@y{0.0}"
    digits = "{0.0}" if percent else "{0.000}"
    tip = tip.replace("{0.0}", digits) + f"{sign} (@low{digits} to @high{digits})"
    for number, (name, colour) in enumerate(found.items()):
        rows = groups == name
        if not rows.any():
            continue
        place = centres[rows] + share * (number - (len(found) - 1) / 2)
        label = labels.get(name, name) if by else ""
        line = (lines or {}).get(name)
        if fit:
            line = fitted_line(centres[rows], values[0, rows], error=(values[2] - values[1])[rows] / 2)
        if line is not None:
            ends = np.array(span or (centres[rows].min(), centres[rows].max()))
            draw_line(plot, ends, line(ends), colour=colour, dash="dashed", width=1.5, name=f"{name} fit",
                      label=label)  # fmt: skip
        told = labels.get(name, name) if by else ""
        tips = [(told, "@place"), ("", tip)] if named else [(told or name, tip)]
        tips += more + [(a, plain_text(b)) for a, b in (notes or {}).get(name, ())]
        columns = {key: column[rows] for key, column in wanted.items()}
        columns |= {"place": places[rows]} if named else {}
        look = {"colour": colour, "columns": columns, "across": across, "tips": tips, "size": size}
        ours = (place - shift, *values[:, rows])
        ours = (ours[1], ours[0], *ours[2:]) if across else ours
        if theirs is None or np.isfinite(values[0, rows]).any():  # some are only published
            draw_points(plot, *ours, name=name, label=label, marker=markers[number % len(markers)], **look)
        if theirs is not None:
            other = (place + shift, *theirs[:, rows])
            other = (other[1], other[0], *other[2:]) if across else other
            look["tips"] = [(f"{name}, published", tips[0][1]), *tips[1:]]
            draw_points(plot, *other, name=f"{name}, published", marker="diamond", hollow=True, **look)
    if reference:
        published_entry(plot)
    return plot if on else legend_above(plot)


def curves(
    table: Table,
    x: str,
    y: str,
    *,
    by: str = "",
    palette: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    dashes: Sequence[str] = ("solid",),
    line_width: float = 2.2,
    alpha: float = 1.0,
    dots: bool = False,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: int = 520,
    height: int = 400,
    on: figure | None = None,
) -> figure:
    """One line for each group, in a band where the table has bounds.

    Parameters
    ----------
    table : Table
        One row per point of a line, in order. The band of a column ``m`` is ``m_low`` to ``m_high``.
    x, y : str
        Columns.
    by : str
        Column with the line that each row belongs to.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each line.
    dashes : sequence of str
        Bokeh's dash patterns of the lines, in turn.
    line_width, alpha : float
        Of the lines.
    dots : bool
        Mark the points of the lines.
    title, x_label, y_label : str
        Of the figure; the names of the columns by default.
    width, height : int
        Size in screen pixels.
    on : bokeh.plotting.figure, optional
        Draw on this figure instead.

    Returns
    -------
    bokeh.plotting.figure
        The figure; a click on the legend hides a line.

    Raises
    ------
    InputError
        If a column is missing or the table is empty.
    """
    need_columns(table, [x, y, *([by] if by else [])], "table")
    groups = text(table[by]) if by else np.full(len(table), y)
    words = (x_label or column_title(table, x), y_label or column_title(table, y))
    plot = on or axes(title=title, x=words[0], y=words[1], width=width, height=height)
    for number, (name, colour) in enumerate((palette or colours(groups.tolist())).items()):
        part = table[groups == name]
        value, low, high = bounded(part, y)
        known = np.isfinite(low).any()
        draw_line(plot, column_values(part, x), value, low if known else None, high if known else None,
                  colour=colour, name=name, label=(labels or {}).get(name, name) if by else "",
                  dash=dashes[number % len(dashes)], width=line_width, alpha=alpha, dots=dots,
                  tips=[(name, "($x{0.000}, $y{0.000})")])  # fmt: skip
    return plot if on else legend_inside(plot, "top_right")


def bars(
    table: Table,
    names: str,
    value: str,
    *,
    by: str = "",
    stacked: bool = False,
    beside: str = "",
    percent: bool = False,
    opacity: float = 1.0,
    palette: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    details: Mapping[str, str] | None = None,
    room: float = 0.15,
    title: str = "",
    x_label: str = "",
    width: int = 560,
    row_px: int = 34,
    on: figure | None = None,
) -> figure:
    """Horizontal bars from zero, one row for each name, groups side by side or stacked.

    Parameters
    ----------
    table : Table
        One row per bar. The interval of a column ``m`` is ``m_low`` to ``m_high``.
    names, value : str
        Columns with the name of the row, and the length of the bar.
    by : str
        Column with the group of each bar, which colours it.
    stacked : bool
        Put the groups of a row end to end instead of side by side.
    beside : str
        Column with words to the right of each bar.
    percent : bool
        Show shares as per cent.
    opacity : float
        Of the bars.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each group; without labels there is no legend.
    details : mapping of str to str, optional
        Columns that the pointer shows, with bokeh's format of each.
    room : float
        Share of the axis kept free to the right, for the words.
    title, x_label : str
        Of the figure.
    width : int
        Width in screen pixels.
    row_px : int
        Height of a row in screen pixels.
    on : bokeh.plotting.figure, optional
        Draw on this figure, whose rows stand at 0, 1, 2, instead.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If a column is missing or the table is empty.
    """
    shown = dict(details or {})
    need_columns(table, [names, value, *shown, *(one for one in (by, beside) if one)], "table")
    rows, groups = text(table[names]), text(table[by]) if by else np.full(len(table), value)
    order, found = list(dict.fromkeys(rows.tolist())), dict(palette or class_colours(groups.tolist()))
    length, low, high = bounded(table, value, percent=percent)
    y = np.array([order.index(name) for name in rows], dtype=float)
    start, thick = np.zeros(len(table)), 0.72
    kinds = list(found)
    if stacked:
        for number, row in enumerate(order):
            here = np.flatnonzero(rows == row)
            here = here[np.argsort([kinds.index(g) for g in groups[here]], kind="stable")]
            start[here] = np.concatenate([[0], np.cumsum(length[here])[:-1]])
            y[here] = number
    elif by and len(set(zip(rows, groups, strict=True))) > len(order):
        thick /= len(kinds)
        y += (np.array([kinds.index(g) for g in groups]) - (len(kinds) - 1) / 2) * 1.1 * thick
    end = start + length
    far = float(np.nanmax(np.fmax(end, np.where(np.isfinite(high), high, end)), initial=0)) or 1.0
    plot = on or axes(title=title, x=x_label or column_title(table, value), y="", width=width, tools="save",
                      height=70 + row_px * len(order), x_range=Range1d(0, far * (1 + room)))  # fmt: skip
    if on is None:
        name_ticks(plot, order, along="y", lines=False)
        plot.ygrid.grid_line_color = None
    kept = {field_name(key): np.asarray(getattr(table[key], "value", table[key])) for key in shown}
    tips = [(key, f"@{{{field_name(key)}}}" + (f"{{{form}}}" if form else "")) for key, form in shown.items()]
    digits = "{0.0} %" if percent else "{0.[000]}"
    for name, colour in found.items():
        here = groups == name
        if not here.any():
            continue
        data: dict[str, Any] = {"row": rows[here], "y": y[here], "left": start[here], "right": end[here]}
        data |= {"value": length[here], "low": low[here], "high": high[here]}
        data |= {key: column[here] for key, column in kept.items()}
        source = ColumnDataSource(data)
        legend = {"legend_label": labels[name]} if name in (labels or {}) else {}
        drawn = plot.hbar("y", left="left", right="right", height=thick, fill_color=colour, line_color=None,
                          fill_alpha=opacity, source=source, name=name, **legend)  # fmt: skip
        if np.isfinite(low[here]).any():
            plot.segment("low", "y", "high", "y", color=INK, line_width=1.3, source=source)
        label = (labels or {}).get(name, name)
        hover(plot, [drawn], tips or [("", "@row"), (label, f"@value{digits}")])
    if beside:
        last = np.where(np.isfinite(high), high, end)
        words = {"x": last, "y": y, "text": text(table[beside])}
        if stacked:  # one text at the end of each row
            keep = [max(np.flatnonzero(rows == row), key=lambda k: end[k]) for row in order]
            words = {key: column[keep] for key, column in words.items()}
        plot.text("x", "y", "text", source=ColumnDataSource(words), x_offset=6, text_baseline="middle",
                  text_font=GLYPH_FONT, text_font_size="12px", text_color=INK, name="words")  # fmt: skip
    return plot if on else legend_inside(plot, "bottom_right")
