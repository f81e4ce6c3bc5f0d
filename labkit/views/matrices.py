"""Confusion matrices: what was called what, as counts and shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.colors import RGB
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, LinearColorMapper
from bokeh.plotting import figure
from bokeh.transform import transform
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.style import GLYPH_FONT, axes

__all__ = ["confusion"]

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
