"""Contact sheets of cut-outs, with the details of an object under the pointer."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.scaling import composite, grey_levels, limits_of, overlay, png_uri, smoothed
from labkit.views.style import FONT, GLYPH_FONT, INK, axes

__all__ = ["EMPTY_PICTURE", "band_gallery", "gallery", "thumbnails"]


#: A transparent picture, for a place of a contact sheet where nothing is.
EMPTY_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def thumbnails(
    images: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    stretch: str = "asinh",
    sigma_px: float = 0.0,
    size_px: int | None = 120,
) -> list[str]:
    """Pictures of cut-outs for hover boxes and tables.

    Parameters
    ----------
    images : array_like, shape (n, y, x)
        Pixel values.
    limits : tuple of float, optional
        Grey scale shared by all; each image has its own by default.
    stretch : str
        See `grey_levels`.
    sigma_px : float
        Gaussian smoothing before, in pixels.
    size_px : int, optional
        Width and height of a picture.

    Returns
    -------
    list of str
        One PNG data URI for each image.
    """
    pixels = smoothed(images, sigma_px=sigma_px) if sigma_px else np.asarray(images)
    return [png_uri(grey_levels(image, limits=limits, stretch=stretch), size_px=size_px) for image in pixels]


def _tooltip(details: Sequence[str]) -> str:
    rows = "".join(f"<div>{html.escape(name)}: <b>@{{{name}}}</b></div>" for name in details)
    return (
        f'<div style="font-family:{FONT};font-size:13px;max-width:260px">'
        f'<img src="@uri" width="240" height="240"><div><b>@title</b></div>{rows}</div>'
    )


def gallery(
    pictures: Sequence[str],
    titles: Sequence[str] = (),
    *,
    details: Mapping[str, Sequence] | None = None,
    columns: int = 6,
    size_px: int = 130,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    frames: Sequence[str] = (),
    title: str = "",
) -> figure:
    """A contact sheet in one figure; the pointer enlarges a picture and shows its details.

    Parameters
    ----------
    pictures : sequence of str
        PNG data URIs, from `png_uri` or `thumbnails`, row by row.
    titles : sequence of str
        Text above each picture.
    details : mapping of str to sequence, optional
        Values shown under the pointer, one for each picture.
    columns : int
        Pictures in a row.
    size_px : int
        Width and height of a picture on the screen.
    column_titles, row_titles : sequence of str
        Text above each column and beside each row.
    frames : sequence of str, optional
        Colour of each picture's frame, empty for none; thin and grey by default.
    title : str
        Title of the sheet.

    Returns
    -------
    bokeh.plotting.figure
        The sheet.

    Raises
    ------
    InputError
        If there is no picture, or titles, details or frames differ in number from the pictures.
    """
    number = len(pictures)
    details = dict(details or {})
    lengths = {"titles": len(titles) or number, "frames": len(frames) or number} | {
        name: len(values) for name, values in details.items()
    }
    if number == 0 or set(lengths.values()) != {number}:
        raise InputError(
            f"pictures must be one or more, with as many titles and details, and frames if any, got "
            f"{number} and {lengths}"
        )
    columns = min(columns, number)
    rows = -(-number // columns)
    line = 24 / size_px if len(titles) else 0.04  # room for the text above a picture
    y = -(np.arange(number) // columns) * (1 + line)
    data = {"uri": list(pictures), "title": list(titles) or [""] * number} | {
        k: list(v) for k, v in details.items()
    }
    x = np.arange(number) % columns * 1.04
    source = ColumnDataSource(data | {"x": x, "y": y, "cx": x + 0.5, "cy": y + 0.5, "ty": y + 1.02})
    longest = max((len(words) for words in row_titles), default=0)
    left, top = (8 * longest + 16) / size_px if longest else 0.0, (30 / size_px if column_titles else 0.0)
    width, height = left + columns * 1.04, top + rows * (1 + line)
    plot = axes(
        title=title, x="", y="", grid=False, tools="save",
        frame_width=round(width * size_px), frame_height=round(height * size_px),
        x_range=Range1d(-left - 0.02, columns * 1.04 - 0.02),
        y_range=Range1d(-(rows - 1) * (1 + line) - 0.02, 1 + line + top - 0.02),
    )  # fmt: skip
    plot.axis.visible = False
    plot.outline_line_color = None
    plot.min_border = 5
    plot.image_url("uri", x="x", y="y", w=1, h=1, anchor="bottom_left", source=source)
    source.data["frame"] = [colour or None for colour in frames] or ["#bbbbbb"] * number
    frame = plot.rect(
        "cx", "cy", 1, 1, source=source,
        fill_alpha=0, line_color="frame", line_width=2 if len(frames) else 1,
        hover_line_color=INK, hover_fill_alpha=0,
    )  # fmt: skip
    text = {"text_font": GLYPH_FONT, "text_font_size": "13px", "text_color": INK}
    plot.text("x", "ty", "title", source=source, text_baseline="bottom", **text)
    for column, words in enumerate(column_titles):
        plot.text(
            [column * 1.04 + 0.5], [1 + line], [words], text_align="center", text_font_style="bold", **text
        )
    for row, words in enumerate(row_titles):
        plot.text([-0.06], [0.5 - row * (1 + line)], [words], text_align="right", text_baseline="middle",
                  text_font_style="bold", **text)  # fmt: skip
    plot.add_tools(HoverTool(renderers=[frame], tooltips=_tooltip(list(details)), attachment="horizontal"))
    return plot


def band_gallery(
    optical: ArrayLike,
    xray: ArrayLike,
    titles: Sequence[str] = (),
    *,
    details: Mapping[str, Sequence] | None = None,
    colours: str = "glow",
    sigma_px: float = 2.0,
    size_px: int = 180,
    title: str = "",
) -> figure:
    """Optical, X-ray and combined picture of each object (Kosiba et al. 2020, Figs. 4 and 9 to 11).

    Parameters
    ----------
    optical, xray : array_like, shape (n, y, x)
        Cut-outs of the same objects.
    titles : sequence of str
        Text above each row's first picture.
    details : mapping of str to sequence, optional
        Values shown under the pointer, one for each object.
    colours : str
        "glow" for X-rays as a warm glow on the optical image, "paper" for X-ray in green and optical in blue.
    sigma_px : float
        Gaussian smoothing of the X-ray image, in pixels.
    size_px : int
        Width and height of a picture on the screen.
    title : str
        Title of the figure.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If the bands differ in number or `colours` is unknown.
    """
    if colours not in ("glow", "paper"):
        raise InputError(f"colours must be 'glow' or 'paper', got {colours!r}")
    if len(optical) != len(xray):  # type: ignore[arg-type]
        raise InputError(f"optical and xray must hold the same objects, got {len(optical)} and {len(xray)}")  # type: ignore[arg-type]
    pictures: list[str] = []
    for plate, photons in zip(np.asarray(optical), smoothed(xray, sigma_px=sigma_px), strict=True):
        light = grey_levels(plate, stretch="linear")
        emission = grey_levels(photons, limits=limits_of(photons, lower=60, upper=99.9), stretch="sqrt")
        both = overlay(light, emission) if colours == "glow" else composite(green=emission, blue=light)
        pictures += [png_uri(light), png_uri(emission), png_uri(both)]
    captions = [text for words in titles for text in (words, "", "")]
    repeated = {
        name: [v for value in values for v in (value,) * 3] for name, values in (details or {}).items()
    }
    return gallery(pictures, captions, details=repeated, columns=3, size_px=size_px,
                   column_titles=("optical", "X-ray", "combined"), title=title)  # fmt: skip
