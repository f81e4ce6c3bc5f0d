"""The grammar of figures: points with intervals, curves, bars; each may be drawn on a figure that is there.

The figures of the papers are calls of these, of `labkit.views.distributions` and of `labkit.views.gallery`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from labkit.tables import text
from labkit.views import marks, style
from labkit.views.tables import column_title


def points(
    table: Table, x: str, y: str, *, by: str = "", percent: bool = False, across: bool = False,
    dodge: float = 0.0, markers: Sequence[str] = ("circle",), size: float = 9,
    palette: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None,
    lines: Mapping[str, marks.Line | None] | None = None, span: tuple[float, float] | None = None,
    details: Mapping[str, str] | None = None, notes: Mapping[str, str] | None = None, title: str = "",
    x_label: str = "", y_label: str = "", width: int = 620, height: int = 400, on: figure | None = None,
) -> figure:  # fmt: skip
    """Points with intervals, one colour for each group, published values hollow beside them.

    Parameters
    ----------
    table : Table
        One row per point. The interval of a column ``m`` is ``m_low`` to ``m_high``, or ``m`` ± ``m_std``;
        its published values, if there are any, are in ``m_published``, with the same endings.
    x, y, by : str
        Columns, `by` the one with the group of each row. Texts in `x` become named places on the axis, where
        groups stand side by side.
    percent, across : bool
        Show shares as per cent; show the values along the horizontal axis.
    dodge : float
        Distance between groups on an axis of numbers.
    markers, size
        Bokeh's markers of the groups, in turn, and their size in screen pixels.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each group; the common palette and the group's name by default.
    lines, span
        Straight lines of the groups, drawn dashed from one end of `span` to the other; by default from the
        group's first point to its last.
    details : mapping of str to str, optional
        Columns that the pointer shows as well, with bokeh's format of each, such as "0.00" (may be empty).
    notes : mapping of str to str, optional
        A last line of the pointer's box for a group.
    title, x_label, y_label, width, height
        Of the figure; labels are the names of the columns by default, sizes in screen pixels.
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
    details, notes, labels = dict(details or {}), notes or {}, labels or {}
    marks.need_rows(table, [x, y, *([by] if by else []), *details], "table")
    groups = text(table[by]) if by else np.full(len(table), y)
    found = dict(palette or style.colours(groups.tolist()))
    named, sign = np.asarray(table[x]).dtype.kind in "USO", " %" if percent else ""
    places = text(table[x]) if named else marks.column_values(table, x)
    names = list(dict.fromkeys(places.tolist())) if named else []
    centres = np.array([names.index(p) for p in places], dtype=float) if named else places
    values, theirs = marks.bounded(table, y, percent=percent), None
    if f"{y}_published" in table.colnames:
        theirs = marks.bounded(table, f"{y}_published", percent=percent)
    words = (x_label or ("" if named else column_title(table, x)), y_label or column_title(table, y) + sign)
    plot = on or style.axes(title=title, x=words[across], y=words[not across], width=width, height=height)
    if named and on is None:
        style.name_ticks(plot, names, along="y" if across else "x")
    share = 0.84 / len(found) if named else dodge
    shift = 0.225 * share if named and theirs is not None else 0.0
    wanted = {style.field_name(key): marks.plain_column(table[key]) for key in details}
    digits = "{0.0}" if percent else "{0.000}"
    tip = f"@{'x' if across else 'y'}{digits}{sign} (@low{digits} to @high{digits})"
    for number, (name, colour) in enumerate(found.items()):
        rows = groups == name
        if not rows.any():
            continue
        place = centres[rows] + share * (number - (len(found) - 1) / 2)
        label = labels.get(name, name) if by else ""
        if lines and (line := lines.get(name)) is not None:
            ends = np.array(span or (centres[rows].min(), centres[rows].max()))
            marks.draw_line(plot, ends, line(ends), colour=colour, dash="dashed", width=1.5,
                            name=f"{name} fit", label=label)  # fmt: skip
        tips = [(label, "@place"), ("", tip)] if named else [(label or name, tip)]
        tips += style.column_tips(details)
        tips += [("", style.plain_text(notes[name]))] if name in notes else []
        columns = {key: column[rows] for key, column in wanted.items()}
        columns |= {"place": places[rows]} if named else {}
        look: dict[str, Any] = {"colour": colour, "columns": columns, "across": across, "size": size}
        if theirs is None or np.isfinite(values[0, rows]).any():  # some are only published
            marks.draw_points(plot, place - shift, *values[:, rows], name=name, label=label, tips=tips,
                              marker=markers[number % len(markers)], **look)  # fmt: skip
        if theirs is not None:
            tips[0] = (f"{name}, published", tips[0][1])
            marks.draw_points(plot, place + shift, *theirs[:, rows], name=f"{name}, published", tips=tips,
                              marker="diamond", hollow=True, **look)  # fmt: skip
    if theirs is not None:
        marks.published_entry(plot)
    return plot if on else style.legend_above(plot)


def curves(
    table: Table, x: str, y: str, *, by: str = "", palette: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None, log: bool = False, title: str = "", x_label: str = "",
    y_label: str = "", width: int = 520, height: int = 400, on: figure | None = None,
) -> figure:  # fmt: skip
    """One line for each group, in a band where the table has bounds.

    Parameters
    ----------
    table : Table
        One row per point of a line, in order. The band of a column ``m`` is ``m_low`` to ``m_high``.
    x, y, by : str
        Columns, `by` the one with the line that each row belongs to.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each line.
    log : bool
        Make the x axis logarithmic.
    title, x_label, y_label, width, height
        Of the figure; labels are the names of the columns by default, sizes in screen pixels.
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
    marks.need_rows(table, [x, y, *([by] if by else [])], "table")
    groups = text(table[by]) if by else np.full(len(table), y)
    words = (x_label or column_title(table, x), y_label or column_title(table, y))
    scale = "log" if log else "linear"
    plot = on or style.axes(
        title=title, x=words[0], y=words[1], width=width, height=height, x_axis_type=scale
    )
    for name, colour in (palette or style.colours(groups.tolist())).items():
        part = table[groups == name]
        value, low, high = marks.bounded(part, y)
        known = np.isfinite(low).any()
        marks.draw_line(plot, marks.column_values(part, x), value, low if known else None,
                        high if known else None, colour=colour, name=name,
                        label=(labels or {}).get(name, name) if by else "",
                        tips=[(name, "($x{0.000}, $y{0.000})")])  # fmt: skip
    return plot if on else style.legend_inside(plot, "top_right")


def bars(
    table: Table, names: str, value: str, *, by: str = "", stacked: bool = False, beside: str = "",
    opacity: float = 1.0, palette: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None, details: Mapping[str, str] | None = None, title: str = "",
    x_label: str = "", width: int = 560, on: figure | None = None,
) -> figure:  # fmt: skip
    """Horizontal bars from zero, one row for each name, groups side by side or stacked.

    Parameters
    ----------
    table : Table
        One row per bar. The interval of a column ``m`` is ``m_low`` to ``m_high``.
    names, value, by, beside : str
        Columns with the name of the row, the length of the bar, the group that colours it, and words to its
        right.
    stacked : bool
        Put the groups of a row end to end instead of side by side.
    opacity : float
        Of the bars.
    palette, labels : mapping of str to str, optional
        Colour and legend text of each group; without labels there is no legend.
    details : mapping of str to str, optional
        Columns that the pointer shows, with bokeh's format of each.
    title, x_label, width
        Of the figure, in screen pixels; the height follows from the number of rows.
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
    details, labels = dict(details or {}), labels or {}
    marks.need_rows(table, [names, value, *details, *(one for one in (by, beside) if one)], "table")
    rows, groups = text(table[names]), text(table[by]) if by else np.full(len(table), value)
    order, found = list(dict.fromkeys(rows.tolist())), dict(palette or style.class_colours(groups.tolist()))
    length, low, high = marks.bounded(table, value)
    y = np.array([order.index(name) for name in rows], dtype=float)
    start, thick = np.zeros(len(table)), 0.72
    kinds = list(found)
    if stacked:
        for row in order:
            here = np.flatnonzero(rows == row)
            here = here[np.argsort([kinds.index(g) for g in groups[here]], kind="stable")]
            start[here] = np.concatenate([[0], np.cumsum(length[here])[:-1]])
    elif by and len(set(zip(rows, groups, strict=True))) > len(order):
        thick /= len(kinds)
        y += (np.array([kinds.index(g) for g in groups]) - (len(kinds) - 1) / 2) * 1.1 * thick
    end = start + length
    last = np.where(np.isfinite(high), high, end)
    far = float(np.nanmax(np.fmax(end, last), initial=0)) or 1.0
    plot = on or style.axes(title=title, x=x_label or column_title(table, value), y="", width=width,
                            tools="save", height=70 + 34 * len(order),
                            x_range=Range1d(0, 1.15 * far))  # fmt: skip
    if on is None:
        style.name_ticks(plot, order, along="y", lines=False)
        plot.ygrid.grid_line_color = None
    kept = {style.field_name(key): marks.plain_column(table[key]) for key in details}
    for name, colour in found.items():
        here = groups == name
        if not here.any():
            continue
        data: dict[str, Any] = {"row": rows, "y": y, "left": start, "right": end, "value": length}
        data |= {"low": low, "high": high} | kept
        source = ColumnDataSource({key: column[here] for key, column in data.items()})
        legend = {"legend_label": labels[name]} if name in labels else {}
        drawn = plot.hbar("y", left="left", right="right", height=thick, fill_color=colour, line_color=None,
                          fill_alpha=opacity, source=source, name=name, **legend)  # fmt: skip
        if np.isfinite(low[here]).any():
            plot.segment("low", "y", "high", "y", color=style.INK, line_width=1.3, source=source)
        tips = style.column_tips(details) or [("", "@row"), (labels.get(name, name), "@value{0.[000]}")]
        style.hover(plot, [drawn], tips)
    if beside:
        words = {"x": last, "y": y, "text": text(table[beside])}
        if stacked:  # one text at the end of each row
            keep = [max(np.flatnonzero(rows == row), key=lambda k: end[k]) for row in order]
            words = {key: column[keep] for key, column in words.items()}
        plot.text("x", "y", "text", source=ColumnDataSource(words), x_offset=6, text_baseline="middle",
                  text_font=style.GLYPH_FONT, text_font_size="12px", text_color=style.INK,
                  name="words")  # fmt: skip
    return plot if on else style.legend_inside(plot, "bottom_right")
