"""Tables as pages show them, and measured numbers beside published ones."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from bokeh.models import (
    ColumnDataSource,
    DataTable,
    FactorRange,
    HTMLTemplateFormatter,
    NumberFormatter,
    TableColumn,
)
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.views.style import FONT, INK, PALETTE, axes, style_legend

__all__ = ["Html", "browse", "intervals", "listed", "static_table"]

_CELL = "padding:3px 14px;border:none;text-align:{align};white-space:nowrap"


@dataclass(frozen=True)
class Html:
    """A piece of a page; Jupyter shows it by itself, and `str` gives the text."""

    text: str

    def _repr_html_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


def _shown(value: object, form: str) -> str:
    if value is None or value is np.ma.masked or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if form:
        return format(value, form)
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def static_table(
    table: Table,
    *,
    caption: str = "",
    formats: Mapping[str, str] | None = None,
    pictures: tuple[str, ...] = (),
    rows: int = 200,
) -> Html:
    """A table as in a paper: rules above and below, numbers to the right, nothing that needs a click.

    Parameters
    ----------
    table : Table
        The table; units go into the header.
    caption : str
        Text above it.
    formats : mapping of str to str, optional
        Format specification of a column, such as `{"auc": ".3f"}`.
    pictures : tuple of str
        Columns that hold data URIs, shown as pictures.
    rows : int
        Longest table to show; the rest is counted in a last line.

    Returns
    -------
    Html
        The table.

    Raises
    ------
    InputError
        If `formats` or `pictures` name a column that is not there.
    """
    formats = dict(formats or {})
    if unknown := sorted({*formats, *pictures} - set(table.colnames)):
        raise InputError(
            f"formats and pictures must name columns of the table {table.colnames}, got {unknown}"
        )
    rule = f"border-bottom:1px solid {INK};font-weight:600"
    numeric = {
        name: np.issubdtype(getattr(table[name], "dtype", np.dtype(object)), np.number)
        for name in table.colnames
    }
    style = {name: _CELL.format(align="right" if numeric[name] else "left") for name in table.colnames}
    head = "".join(
        f'<th style="{style[name]};{rule}">{html.escape(_title(table, name))}</th>' for name in table.colnames
    )
    body = []
    for row in table[:rows]:
        cells = []
        for name in table.colnames:
            value = getattr(row[name], "value", row[name])
            text = html.escape(_shown(value, formats.get(name, "")))
            shown = f'<img src="{text}" height="72">' if name in pictures else text
            cells.append(f'<td style="{style[name]}">{shown}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    rest = (
        f"<tr><td colspan={len(table.colnames)}>… {len(table) - rows:,} more rows</td></tr>"
        if len(table) > rows
        else ""
    )
    above = (
        f'<caption style="text-align:left;padding:6px 14px;caption-side:top">{html.escape(caption)}</caption>'
        if caption
        else ""
    )
    return Html(
        f'<table style="font-family:{FONT};font-size:14px;border-collapse:collapse;'
        f'border-top:2px solid {INK};border-bottom:2px solid {INK};margin:12px 0">{above}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}{rest}</tbody></table>"
    )


def listed(sentences: Iterable[str]) -> Html:
    """Sentences as a list that wraps with the page, such as those of `trend_sentences` in `labkit.evaluate`.

    Parameters
    ----------
    sentences : iterable of str
        Plain text.

    Returns
    -------
    Html
        The list; nothing for no sentence.
    """
    items = "".join(f'<li style="margin:3px 0">{html.escape(one)}</li>' for one in sentences)
    style = f"font-family:{FONT};font-size:14px;line-height:1.45;padding-left:24px;margin:12px 0"
    return Html(f'<ul style="{style}">{items}</ul>' if items else "")


def _title(table: Table, name: str) -> str:
    unit = getattr(table[name], "unit", None)
    return f"{name.replace('_', ' ')} ({unit:unicode})" if unit else name.replace("_", " ")


def browse(table: Table, *, pictures: tuple[str, ...] = (), width: int = 900, height: int = 320) -> DataTable:
    """A table to scroll and sort; it draws the visible rows only, so it stays quick for long catalogues.

    Parameters
    ----------
    table : Table
        The table.
    pictures : tuple of str
        Columns that hold data URIs, shown as pictures.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.models.DataTable
        The table; its source's selection can be linked to figures.
    """
    data, columns = {}, []
    for name in table.colnames:
        values = np.asarray(getattr(table[name], "value", table[name]))
        numeric = np.issubdtype(values.dtype, np.number)
        data[name] = values if numeric or values.dtype == bool else values.astype(str)
        options = {"formatter": NumberFormatter(format="0.[0000]")} if values.dtype.kind == "f" else {}
        if name in pictures:
            options = {"formatter": HTMLTemplateFormatter(template='<img src="<%= value %>" height="60">')}
        columns.append(TableColumn(field=name, title=_title(table, name), **options))
    return DataTable(source=ColumnDataSource(data), columns=columns, width=width, height=height,
                     row_height=64 if pictures else 25, index_position=None)  # fmt: skip


def intervals(
    beside: Table, metric: str = "auc", *, unit: str = "", title: str = "", width: int = 640
) -> figure:
    """Measured values with their intervals, and published values on the same line.

    Parameters
    ----------
    beside : Table
        From `labkit.evaluate.published.beside_published`: columns `network`, `from` ("published, ..." or
        "measured"), the metric, and its `_low` and `_high`.
    metric : str
        Which measure to show.
    unit : str
        Label of the value axis, with unit; the metric's name by default.
    title : str
        Title of the figure; say here whether the measurement is on real or simulated data.
    width : int
        Width in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure: a dot and a bar for what was measured, a diamond for what was published.

    Raises
    ------
    InputError
        If a column is missing.
    """
    needed = ["network", "from", metric, f"{metric}_low", f"{metric}_high"]
    if missing := [column for column in needed if column not in beside.colnames]:
        raise InputError(f"beside must have the columns {needed}, {missing} missing")
    names = list(dict.fromkeys(str(value) for value in beside["network"]))
    published = np.array([str(origin).startswith("published") for origin in beside["from"]], dtype=bool)
    columns = {"value": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
    data = {key: np.asarray(beside[column], dtype=float) for key, column in columns.items()}
    data["network"] = np.asarray(beside["network"], dtype=str)
    ours, theirs = (
        ColumnDataSource({k: v[rows] for k, v in data.items()}) for rows in (~published, published)
    )
    plot = axes(title=title, x=unit or metric.replace("_", " "), y="", width=width,
                height=100 + 36 * len(names), y_range=FactorRange(*names[::-1]), tools="save")  # fmt: skip
    plot.hbar("network", left="low", right="high", height=0.14, source=ours, color=PALETTE[0], alpha=0.55,
              line_color=None, legend_label="measured, with interval")  # fmt: skip
    plot.scatter(
        "value", "network", source=ours, size=10, color=PALETTE[0], legend_label="measured, with interval"
    )
    plot.scatter("value", "network", source=theirs, size=13, marker="diamond", fill_color="white",
                 line_color=PALETTE[1], line_width=2, legend_label="published")  # fmt: skip
    legend = style_legend(plot.legend[0])
    plot.add_layout(legend, "above")
    legend.update(orientation="horizontal", location="left", padding=0)
    return plot
