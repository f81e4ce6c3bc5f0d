"""One look for all figures: fonts, sizes, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bokeh.core.properties import value
from bokeh.models import Legend, Range1d
from bokeh.plotting import figure

__all__ = ["CLASS_COLOURS", "FONT", "INK", "PALETTE", "axes", "class_colours", "colours"]

#: Okabe & Ito (2008), the order chosen so that the first two differ most.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
FONT = "Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, sans-serif"
GLYPH_FONT = value(FONT)  # glyphs take a bare text for the name of a column
INK = "#222222"
FAINT = "#e6e6e6"

#: The same class has the same colour in every figure.
CLASS_COLOURS = {
    "cluster": PALETTE[1],
    "low-z cluster": PALETTE[1],
    "high-z cluster": PALETTE[4],
    "non-cluster": PALETTE[0],
    "point source": PALETTE[0],
    "star or AGN": PALETTE[5],
    "nearby galaxy": PALETTE[2],
    "double source": PALETTE[3],
    "artefact": PALETTE[6],
    "edge": PALETTE[7],
    "other": PALETTE[7],
    "member": PALETTE[2],
    "non-member": PALETTE[0],
}


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in the palette's order; it starts again after eight."""
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(dict.fromkeys(names))}


def class_colours(names: Iterable[str]) -> dict[str, str]:
    """The fixed colour of each class; classes without one take those that are still free."""
    names = list(dict.fromkeys(names))
    used = {CLASS_COLOURS.get(name) for name in names}
    free = [colour for colour in PALETTE if colour not in used] or list(PALETTE)
    others = [name for name in names if name not in CLASS_COLOURS]
    fallback = {name: free[number % len(free)] for number, name in enumerate(others)}
    return {name: CLASS_COLOURS.get(name) or fallback[name] for name in names}


def axes(
    *, title: str = "", x: str, y: str, width: int = 480, height: int = 400, grid: bool = True, **options: Any
) -> figure:
    """An empty figure in the common style.

    Parameters
    ----------
    title : str
        Title above the frame.
    x, y : str
        Axis labels, with units.
    width, height : int
        Size in screen pixels; `frame_width` and `frame_height` fix the size inside the axes instead.
    grid : bool
        Draw faint grid lines.
    **options
        Passed to `bokeh.plotting.figure`.

    Returns
    -------
    bokeh.plotting.figure
        The figure.
    """
    options = {"tools": "pan,box_zoom,wheel_zoom,reset,save", "active_scroll": None} | options
    if "frame_width" not in options:
        options |= {"width": width, "height": height}
    plot = figure(title=title or None, x_axis_label=x, y_axis_label=y, **options)
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    plot.outline_line_color = INK
    plot.outline_line_width = 1
    plot.min_border = 12
    if plot.title is not None:
        plot.title.update(text_font=FONT, text_font_size="15px", text_font_style="bold", text_color=INK)
    plot.axis.axis_label_text_font = FONT
    plot.axis.axis_label_text_font_size = "14px"
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = INK
    plot.axis.major_label_text_font = FONT
    plot.axis.major_label_text_font_size = "13px"
    plot.axis.major_label_text_color = INK
    plot.axis.axis_line_color = None
    plot.axis.major_tick_line_color = INK
    plot.axis.major_tick_in = 6
    plot.axis.major_tick_out = 0
    plot.axis.minor_tick_in = 3
    plot.axis.minor_tick_out = 0
    plot.grid.grid_line_color = FAINT if grid else None
    return plot


def style_legend(legend: Legend) -> Legend:
    """Give a legend the common font and a quiet frame."""
    legend.update(
        label_text_font=FONT,
        label_text_font_size="13px",
        label_text_color=INK,
        background_fill_alpha=0.85,
        border_line_color=None,
        spacing=2,
        padding=6,
        glyph_width=24,
        glyph_height=16,
    )
    return legend


def unit_range() -> Range1d:
    """The range 0 to 1 with a little room, for shares and probabilities."""
    return Range1d(-0.01, 1.01)
