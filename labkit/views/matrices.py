"""Confusion matrices: what was called what, as counts and shares, down to the cut-outs of each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from bokeh.colors import RGB
from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    CustomJS,
    FactorRange,
    HoverTool,
    ImageURL,
    LinearColorMapper,
    Rect,
    TapTool,
)
from bokeh.plotting import figure
from bokeh.transform import transform
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.style import GLYPH_FONT, INK, axes
from labkit.views.thumbnails import gallery

__all__ = ["confusion", "confusion_gallery"]

#: White to the palette's blue; light enough for dark text below one half.
_BLUES = [RGB(*(round(255 + (c - 255) * k / 63) for c in (0, 90, 150))).to_hex() for k in range(64)]


def confusion(counts: ArrayLike, classes: Sequence[str], *, title: str = "", cell_px: int = 96) -> figure:
    """Confusion matrix with counts and the share of each true class.

    Parameters
    ----------
    counts : array_like, shape (k, k)
        Objects by true class (rows) and predicted class (columns).
    classes : sequence of str
        Names of the k classes.
    title : str
        Title of the figure.
    cell_px : int
        Size of a cell in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; rows from top to bottom and columns from left to right in the order of `classes`.

    Raises
    ------
    InputError
        If the shape is not (k, k) or a count is negative.
    """
    table, names = np.asarray(counts), [str(name) for name in classes]
    k = len(names)
    if table.shape != (k, k) or (table < 0).any():
        raise InputError(f"counts must be {k} x {k} numbers of at least 0, got shape {table.shape}")
    total = table.sum(axis=1, keepdims=True)
    share = np.divide(table, total, out=np.zeros(table.shape), where=total > 0)
    source = ColumnDataSource(
        {
            "true": np.repeat(names, k).tolist(),
            "predicted": names * k,
            "share": share.ravel(),
            "count": [f"{n:g}" for n in table.ravel()],
            "percent": [f"{100 * s:.1f} %" for s in share.ravel()],
            "ink": ["white" if s > 0.5 else "#222222" for s in share.ravel()],
        }
    )
    plot = axes(
        title=title, x="predicted class", y="true class", grid=False, tools="save",
        frame_width=k * cell_px, frame_height=k * cell_px,
        x_range=FactorRange(*names), y_range=FactorRange(*names[::-1]),
    )  # fmt: skip
    mapper = LinearColorMapper(palette=_BLUES, low=0, high=1)
    cells = plot.rect("predicted", "true", 1, 1, source=source, fill_color=transform("share", mapper),
                      line_color="white", line_width=2)  # fmt: skip
    text = {"source": source, "text_font": GLYPH_FONT, "text_align": "center", "text_color": "ink"}
    plot.text("predicted", "true", "count", text_baseline="bottom", text_font_size="18px", y_offset=4, **text)
    plot.text("predicted", "true", "percent", text_baseline="top", text_font_size="13px", y_offset=5, **text)
    plot.axis.major_tick_line_color = None
    if k > 2:
        plot.xaxis.major_label_orientation = 0.7
    tooltips = [
        ("true", "@true"),
        ("predicted", "@predicted"),
        ("objects", "@count"),
        ("share of true", "@percent"),
    ]
    plot.add_tools(HoverTool(renderers=[cells], tooltips=tooltips))
    return plot


_PICK = """
const cell = matrix.selected.indices[0]
if (cell === undefined) return
const name = matrix.data.true[cell], given = matrix.data.predicted[cell]
const found = all.data.uri.flatMap((_, k) =>
  all.data.true[k] === name && all.data.predicted[k] === given ? [k] : [])
const data = {uri: found.map((k) => all.data.uri[k]), title: found.map((k) => all.data.title[k])}
for (const place of ["x", "y", "cx", "cy", "ty"]) data[place] = grid.data[place].slice(0, found.length)
shown.data = data
const what = name === given ? `${name}, recognised` : `${name} taken for ${given}`
heading.text = `${what}: ${found.length} of ${matrix.data.count[cell]}`
"""


def confusion_gallery(
    counts: ArrayLike,
    classes: Sequence[str],
    cutouts: Table,
    *,
    title: str = "",
    cell_px: int = 96,
    columns: int = 6,
    size_px: int = 110,
) -> Column:
    """Confusion matrix that one can click through to the cut-outs; it needs no server.

    Parameters
    ----------
    counts, classes, title, cell_px
        As for `confusion`.
    cutouts : Table
        Pictures to show, some of each cell, from `labkit.views.cells.cell_cutouts`: columns ``true``,
        ``predicted`` (class names), ``picture`` (PNG data URI) and ``title``.
    columns : int
        Pictures in a row.
    size_px : int
        Width and height of a picture on the screen.

    Returns
    -------
    bokeh.models.Column
        The matrix over a gallery. It opens on the most frequent confusion, so that a reader who cannot
        click sees that one.

    Raises
    ------
    InputError
        As for `confusion`, or if `cutouts` has no row, lacks a column or names another class.
    """
    plot = confusion(counts, classes, title=title, cell_px=cell_px)
    needed = ("true", "predicted", "picture", "title")
    if missing := [name for name in needed if name not in cutouts.colnames]:
        raise InputError(f"cutouts must have the columns {needed}, {missing} missing")
    named = {str(name) for side in ("true", "predicted") for name in cutouts[side]}
    if not len(cutouts) or named - set(classes):
        raise InputError(f"cutouts must be of the classes {tuple(classes)}, one or more, got {sorted(named)}")
    cells = next(r for r in plot.renderers if isinstance(r.glyph, Rect))
    matrix: ColumnDataSource = cells.data_source
    pairs = list(zip(map(str, cutouts["true"]), map(str, cutouts["predicted"]), strict=True))
    pictures = {"uri": list(map(str, cutouts["picture"])), "title": list(map(str, cutouts["title"]))}
    everything = ColumnDataSource(
        {"true": [a for a, _ in pairs], "predicted": [b for _, b in pairs], **pictures}
    )
    places = max(pairs.count(pair) for pair in set(pairs))
    sheet = gallery([""] * places, [" "] * places, columns=columns, size_px=size_px, title=" ")
    sheet.frame_align = False  # its own width, not shifted to the matrix's axis
    shown = next(r for r in sheet.renderers if isinstance(r.glyph, ImageURL)).data_source
    grid = ColumnDataSource({name: list(shown.data[name]) for name in ("x", "y", "cx", "cy", "ty")})
    arguments = {"matrix": matrix, "all": everything, "shown": shown, "grid": grid, "heading": sheet.title}
    matrix.selected.js_on_change("indices", CustomJS(args=arguments, code=_PICK))
    cells.selection_glyph = cells.glyph.clone(line_color=INK, line_width=4)
    for part in (r for r in plot.renderers if r.data_source is matrix):
        part.nonselection_glyph = None  # the other cells do not fade
    plot.add_tools(TapTool(renderers=[cells]))
    _open_on_the_largest(matrix, np.asarray(counts), everything, shown, grid, sheet)
    return column(plot, sheet)


def _open_on_the_largest(
    matrix: ColumnDataSource,
    counts: np.ndarray,
    everything: ColumnDataSource,
    shown: ColumnDataSource,
    grid: ColumnDataSource,
    sheet: figure,
) -> None:
    """Show what a click on the most frequent confusion would show."""
    wrong = np.where(np.eye(len(counts), dtype=bool), -1, counts)
    cell = int(wrong.argmax())
    name, given = matrix.data["true"][cell], matrix.data["predicted"][cell]
    sides = zip(everything.data["true"], everything.data["predicted"], strict=True)
    found = [k for k, pair in enumerate(sides) if pair == (name, given)]
    pictures = {key: [everything.data[key][k] for k in found] for key in ("uri", "title")}
    shown.data = pictures | {key: values[: len(found)] for key, values in grid.data.items()}
    matrix.selected.indices = [cell]
    sheet.title.text = f"{name} taken for {given}: {len(found)} of {matrix.data['count'][cell]}"
