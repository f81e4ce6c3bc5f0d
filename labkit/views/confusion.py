"""Confusion matrices: what was called what, as counts and shares, down to the cut-outs of each cell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from bokeh.colors import RGB
from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    CustomJS,
    FactorRange,
    ImageURL,
    LinearColorMapper,
    Rect,
    TapTool,
)
from bokeh.plotting import figure
from bokeh.transform import transform
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import text
from labkit.views.gallery import gallery, png_uri
from labkit.views.inspector.pictures import Pictures
from labkit.views.marks import need_rows
from labkit.views.style import GLYPH_FONT, INK, axes, hover

#: White to the palette's blue; light enough for dark text below one half.
_BLUES = [RGB(*(round(255 + (c - 255) * k / 63) for c in (0, 90, 150))).to_hex() for k in range(64)]
_PICK = Path(__file__).with_name("confusion.js").read_text()
_PLACES = ("x", "y", "cx", "cy", "ty", "frame")


def confusion(counts: ArrayLike, classes: Sequence[str], *, title: str = "", cell_px: int = 96) -> figure:
    """Confusion matrix with counts and the share of each true class.

    Parameters
    ----------
    counts : array_like, shape (k, k)
        Objects by true class (rows) and predicted class (columns).
    classes : sequence of str
        Names of the k classes.
    title, cell_px
        Title of the figure, and size of a cell in screen pixels.

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
    share = np.divide(table, total, out=np.zeros(table.shape), where=total > 0).ravel()
    source = ColumnDataSource(
        {
            "true": np.repeat(names, k).tolist(),
            "predicted": names * k,
            "share": share,
            "count": [f"{n:g}" for n in table.ravel()],
            "percent": [f"{100 * s:.1f} %" for s in share],
            "ink": ["white" if s > 0.5 else INK for s in share],
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
    look = {"source": source, "text_font": GLYPH_FONT, "text_align": "center", "text_color": "ink"}
    plot.text("predicted", "true", "count", text_baseline="bottom", text_font_size="18px", y_offset=4, **look)
    plot.text("predicted", "true", "percent", text_baseline="top", text_font_size="13px", y_offset=5, **look)
    plot.axis.major_tick_line_color = None
    if k > 2:
        plot.xaxis.major_label_orientation = 0.7
    hover(plot, [cells], [("true", "@true"), ("predicted", "@predicted"), ("objects", "@count"),
                          ("share of true", "@percent")])  # fmt: skip
    return plot


def confusion_gallery(
    counts: ArrayLike, classes: Sequence[str], cutouts: Table, *, title: str = ""
) -> Column:
    """Confusion matrix that one can click through to the cut-outs of `cell_cutouts`; it needs no server.

    It opens on the most frequent confusion, so that a reader who cannot click sees that one.
    """
    plot = confusion(counts, classes, title=title)
    need_rows(cutouts, ("true", "predicted", "picture", "title"), "cutouts")
    names = {side: text(cutouts[side]).tolist() for side in ("true", "predicted")}
    if others := {*names["true"], *names["predicted"]} - set(classes):
        raise InputError(f"cutouts must be of the classes {tuple(classes)}, got {sorted(others)}")
    cells = next(r for r in plot.renderers if isinstance(r.glyph, Rect))
    matrix: ColumnDataSource = cells.data_source
    pictures = {"uri": list(map(str, cutouts["picture"])), "title": list(map(str, cutouts["title"]))}
    everything = ColumnDataSource(names | pictures)
    pairs = list(zip(*names.values(), strict=True))
    places = max(pairs.count(pair) for pair in set(pairs))
    sheet = gallery([""] * places, [" "] * places, size_px=110, title=" ")
    sheet.frame_align = False  # its own width, not shifted to the matrix's axis
    shown = next(r for r in sheet.renderers if isinstance(r.glyph, ImageURL)).data_source
    grid = ColumnDataSource({name: list(shown.data[name]) for name in _PLACES})
    arguments = {"matrix": matrix, "all": everything, "shown": shown, "grid": grid, "heading": sheet.title}
    matrix.selected.js_on_change("indices", CustomJS(args=arguments, code=_PICK))
    cells.selection_glyph = cells.glyph.clone(line_color=INK, line_width=4)
    for part in (r for r in plot.renderers if r.data_source is matrix):
        part.nonselection_glyph = None  # the other cells do not fade
    plot.add_tools(TapTool(renderers=[cells]))
    # what a click on the most frequent confusion would show
    cell = int(np.where(np.eye(len(classes), dtype=bool), -1, np.asarray(counts)).argmax())
    name, given = matrix.data["true"][cell], matrix.data["predicted"][cell]
    found = [k for k, pair in enumerate(pairs) if pair == (name, given)]
    shown.data = {key: [values[k] for k in found] for key, values in pictures.items()} | {
        key: values[: len(found)] for key, values in grid.data.items()
    }
    matrix.selected.indices = [cell]
    sheet.title.text = f"{name} taken for {given}: {len(found)} of {matrix.data['count'][cell]}"
    return column(plot, sheet)


def cell_examples(true: ArrayLike, decided: ArrayLike, order: ArrayLike, *, limit: int = 6) -> np.ndarray:
    """Rows of the `limit` objects of each cell (true and decided class) that are highest in some order."""
    one, two, rank = np.asarray(true), np.asarray(decided), np.asarray(order, dtype=float)
    if not one.shape == two.shape == rank.shape or limit < 1:
        raise InputError(
            f"true, decided and order must be of one length and limit at least 1, got {one.shape}, "
            f"{two.shape}, {rank.shape} and {limit}"
        )
    rows = np.lexsort((-rank, two, one))
    new = np.append(True, (one[rows][1:] != one[rows][:-1]) | (two[rows][1:] != two[rows][:-1]))[: len(rows)]
    starts = np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
    return rows[np.arange(len(rows)) - starts < limit]


def cell_cutouts(predictions: Predictions, sample: Sample, *, limit: int = 6) -> Table:
    """Pictures of the surest objects of each cell of one run's confusion matrix, for `confusion_gallery`.

    Only the images shown are read from the Sample. X-ray and optical images are combined, other bands shown
    in colour, a single one in grey. Columns ``true``, ``predicted``, ``picture`` (PNG data URI, some 10 kB
    each) and ``title`` with the probability of the predicted class.
    """
    sure = predictions.probabilities.max(axis=1)
    rows = cell_examples(predictions.true_codes, predictions.probabilities.argmax(axis=1), sure, limit=limit)
    pictures = Pictures(sample.select(text(predictions.table["object_id"])[rows].tolist()))
    style = "combined" if "combined" in pictures.styles else next(iter(pictures.styles))
    return Table(
        {
            "true": text(predictions.table["true"])[rows],
            "predicted": predictions.decided[rows],
            "picture": [png_uri(pictures.levels(row, style), size_px=96) for row in range(len(rows))],
            "title": [f"p = {p:.2f}" for p in sure[rows]],
        }
    )
