"""One look for all figures: fonts, sizes, and colours that colour-blind readers can tell apart."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.layouts import gridplot
from bokeh.models import Axis, FixedTicker, GridPlot, HoverTool, Legend, PrintfTickFormatter, Range1d
from bokeh.plotting import figure

#: Okabe & Ito (2008), the order chosen so that the first two differ most.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
FONT = "Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, sans-serif"
GLYPH_FONT = value(FONT)  # glyphs take a bare text for the name of a column
INK = "#222222"
ABSENT = "absent"  # tag of a line that stands for a figure
FAINT = "#e6e6e6"

#: The same class has the same colour in every figure; here are the classes of each colour.
_CLASSES = (
    ("non-cluster", "point source", "non-member", "CC"),
    ("cluster", "low-z cluster", "NCC"),
    ("nearby galaxy", "member", "WCC"),
    ("double source",),
    ("high-z cluster",),
    ("star or AGN",),
    ("artefact",),
    ("edge", "other"),
)
CLASS_COLOURS = {name: colour for colour, names in zip(PALETTE, _CLASSES, strict=True) for name in names}
#: Galaxies by what is known of them and by how they were judged, in the order in which they are drawn
#: (Angora et al. 2020, Fig. 9, with colours that differ for all eyes).
GROUP_COLOURS = {
    "candidate non-member": PALETTE[5],
    "non-member": PALETTE[0],
    "TN": PALETTE[0],
    "member": PALETTE[2],
    "spectroscopic member": PALETTE[2],
    "TP": PALETTE[2],
    "candidate member": PALETTE[3],
    "FP": PALETTE[1],
    "FN": INK,
}
MEMBER_MARKER = {"marker": "square", "fill_alpha": 0.6, "line_alpha": 0.9, "size": 6}
_OTHER = {"marker": "circle", "fill_alpha": 0.35, "line_alpha": 0.0, "size": 5}
_ERROR = {"marker": "x", "line_width": 2.0, "size": 8}
GROUP_MARKERS: dict[str, dict[str, Any]] = {
    "candidate non-member": {"marker": "circle", "fill_alpha": 0.0, "line_alpha": 0.75, "size": 5},
    "non-member": _OTHER,
    "TN": _OTHER,
    "candidate member": {"marker": "diamond", "fill_alpha": 0.75, "line_alpha": 1.0, "size": 9},
    "FP": _ERROR,
    "FN": _ERROR,
}
MARKERS = ("circle", "square", "triangle", "diamond", "hex", "star", "inverted_triangle", "plus")
#: Height of a row of `legend_above`, screen pixels; panels are higher by it, so that frames are alike.
LEGEND_ROW = 26
_OWN_FIELDS = frozenset("x y low high left right row value place uri title cx cy ty frame".split())  # noqa: SIM905
_LENGTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)  # arcsec


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in the palette's order; it starts again after eight."""
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(dict.fromkeys(names))}


def class_colours(names: Iterable[str]) -> dict[str, str]:
    """The fixed colour of each class or group; names without one take colours that are still free."""
    names, fixed = list(dict.fromkeys(names)), CLASS_COLOURS | GROUP_COLOURS
    used = {fixed.get(name) for name in names}
    free = [colour for colour in PALETTE if colour not in used] or list(PALETTE)
    others = [name for name in names if name not in fixed]
    return {name: fixed.get(name) or free[others.index(name) % len(free)] for name in names}


def in_drawing_order(names: Iterable[str]) -> list[str]:
    """Groups of galaxies in the order of `GROUP_COLOURS`, other names below them."""
    names = list(dict.fromkeys(names))
    return [n for n in names if n not in GROUP_COLOURS] + [n for n in GROUP_COLOURS if n in names]


def axes(
    *, title: str = "", x: str, y: str, width: int = 480, height: int = 400, grid: bool = True, **options: Any
) -> figure:
    """An empty figure in the common style: title, axis labels with units, size in screen pixels.

    `frame_width` and `frame_height` among bokeh's own options fix the size inside the axes instead.
    """
    options = {"tools": "pan,box_zoom,wheel_zoom,reset,save", "active_scroll": None} | options
    if "frame_width" not in options:
        options |= {"width": width, "height": height}
    plot = figure(title=title or None, x_axis_label=x, y_axis_label=y, **options)
    plot.toolbar.update(autohide=True, logo=None)
    plot.update(outline_line_color=INK, outline_line_width=1, min_border=12)
    if plot.title is not None:
        plot.title.update(text_font=FONT, text_font_size="15px", text_font_style="bold", text_color=INK)
    for axis in plot.axis:
        axis.update(axis_label_text_font=FONT, axis_label_text_font_size="14px", axis_label_text_color=INK,
                    axis_label_text_font_style="normal", major_label_text_font=FONT,
                    major_label_text_font_size="13px", major_label_text_color=INK, axis_line_color=None,
                    major_tick_line_color=INK, major_tick_in=6, major_tick_out=0, minor_tick_in=3,
                    minor_tick_out=0)  # fmt: skip
    plot.grid.grid_line_color = FAINT if grid else None
    return plot


def style_legend(legend: Legend) -> Legend:
    """Give a legend the common font and a quiet frame."""
    legend.update(label_text_font=FONT, label_text_font_size="13px", label_text_color=INK,
                  background_fill_alpha=0.85, border_line_color=None, spacing=2, padding=6, glyph_width=24,
                  glyph_height=16)  # fmt: skip
    return legend


def unit_range() -> Range1d:
    """The range 0 to 1 with a little room, for shares and probabilities."""
    return Range1d(-0.01, 1.01)


def legend_above(plot: figure, *, columns: int = 4) -> figure:
    """Move the legend out of the data, between title and frame; a click hides what it names."""
    for legend in plot.legend:
        style_legend(legend)
        legend.update(click_policy="hide", orientation="horizontal", ncols=min(columns, len(legend.items)))
        legend.update(padding=0, margin=8, spacing=10, location="bottom_left", label_text_font_size="12px")
        plot.add_layout(legend, "above")
    return plot


def legend_inside(plot: figure, location: str, *, clickable: bool = True) -> figure:
    """Style a legend that stands in the frame."""
    for legend in plot.legend:
        style_legend(legend).update(location=location, click_policy="hide" if clickable else "none")
    return plot


def percent_range(*values: Any) -> Range1d:
    """A range around some per cent, with room, never far outside 0 to 100; NaN does not count."""
    every = np.concatenate([np.ravel(np.asarray(one, dtype=np.float64)) for one in values])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 100.0)
    room = max(0.06 * (high - low), 0.5)
    return Range1d(max(low - room, -1.0), min(high + room, 101.0))


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks at 1, 2, 5 of each decade as plain numbers, for logarithmic axes of few decades."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    axis.ticker = FixedTicker(ticks=[float(f"{n * d:.3g}") for d in decades for n in (1, 2, 5)])
    axis.formatter = PrintfTickFormatter(format="%g")


def name_ticks(plot: figure, names: Sequence[str], *, along: str = "x", lines: bool = True) -> None:
    """Names instead of 0, 1, 2 on an axis, with lines between them; the first name left or on top."""
    axis, grid = (plot.xaxis, plot.xgrid) if along == "x" else (plot.yaxis, plot.ygrid)
    ends = (-0.5, len(names) - 0.5)
    setattr(plot, f"{along}_range", Range1d(*(ends if along == "x" else ends[::-1])))
    axis.ticker = FixedTicker(ticks=list(range(len(names))))
    axis.major_label_overrides = dict(enumerate(names))
    axis.major_tick_in = 0
    grid.ticker = FixedTicker(ticks=[n + 0.5 for n in range(len(names) - 1)] if lines else [])


def grid(panels: Sequence[Any], *, columns: int | None = None) -> GridPlot:
    """Panels, in rows or `columns` in a row, with one toolbar."""
    options = {"toolbar_options": {"logo": None, "autohide": True}, "merge_tools": True}
    return gridplot(panels, **options | ({"ncols": columns} if columns else {}))


def round_length(most_arcsec: float) -> tuple[float, str]:
    """The longest round angle up to a limit, arcsec, and how it is written."""
    length = max((one for one in _LENGTHS if one <= most_arcsec), default=most_arcsec)
    return length, f"{length / 60:g}′" if length >= 60 else f"{length:g}″"


def scale_bar(
    plot: figure, half_x: float, half_y: float, *, kpc_per_arcsec: float | None = None, dark: bool = False
) -> None:
    """A bar of round length at the lower left of a frame from `half_x` arcmin (left, east) to `-half_x`."""
    length, words = round_length(0.45 * half_x * 60)
    if kpc_per_arcsec is not None:
        words += f" = {length * kpc_per_arcsec:.0f} kpc"
    left, bottom, ink, edge = 0.92 * half_x, -0.9 * half_y, *(("white", "black") if dark else (INK, "white"))
    ends = [left, left - length / 60]
    plot.line(ends, [bottom] * 2, color=edge, alpha=0.6 if dark else 1.0, line_width=7)
    plot.line(ends, [bottom] * 2, color=ink, line_width=3, name="scale bar")
    plot.text([left], [bottom + 0.03 * half_y], [words], text_font=GLYPH_FONT, text_font_size="14px",
              text_color=ink, text_font_style="bold", background_fill_color=edge, background_fill_alpha=0.55,
              name="scale")  # fmt: skip


def field_name(name: str) -> str:
    """A column's name as a pointer's box may hold it between braces, and none that figures use themselves."""
    name = re.sub(r"[{}<>&\"']", "_", name)
    return f"{name}_" if name in _OWN_FIELDS else name


def plain_text(words: str) -> str:
    """Words for a pointer's box as they are: no tags, no columns of bokeh's."""
    return html.escape(str(words)).replace("@", "&#64;").replace("$", "&#36;")


def column_tips(details: Mapping[str, str]) -> list[tuple[str, str]]:
    """Lines of a pointer's box for columns, each with bokeh's format of its values (may be empty)."""
    return [
        (name.replace("_", " "), f"@{{{field_name(name)}}}" + (f"{{{form}}}" if form else ""))
        for name, form in details.items()
    ]


def hover(plot: figure, renderers: Sequence[Any], tips: Sequence[tuple[str, str]], **options: Any) -> None:
    """What the pointer shows at some glyphs: pairs of a label and bokeh's template of the value.

    Values come from columns, which bokeh escapes; words of a template must have gone through `plain_text`.
    """
    plot.add_tools(HoverTool(renderers=list(renderers), tooltips=list(tips), **options))


def hover_picture(
    plot: figure, renderers: Sequence[Any], details: Sequence[tuple[str, str]], *, picture: str = "",
    heading: str = "", size_px: int = 160, **options: Any,
) -> None:  # fmt: skip
    """The pointer's box with a picture from the column `picture`, a bold heading, and lines of details."""
    image = f'<img src="@{{{picture}}}" width="{size_px}" height="{size_px}">' if picture else ""
    top = f"<div><b>@{{{heading}}}</b></div>" if heading else ""
    rows = "".join(f"<div>{plain_text(label)}: <b>{template}</b></div>" for label, template in details)
    box = f'<div style="font-family:{FONT};font-size:13px;max-width:260px">{image}{top}{rows}</div>'
    plot.add_tools(HoverTool(renderers=list(renderers), tooltips=box, **options))
