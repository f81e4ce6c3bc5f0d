"""Pictures in a grid, with the details of an object under the pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.scaling import grey_levels, png_uri, smoothed
from labkit.views.style import GLYPH_FONT, INK, axes, field_name, hover_picture

#: A transparent picture, for a place of a gallery where nothing is.
EMPTY_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_STEP = 1.04  # from one picture to the next


def thumbnails(
    images: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    stretch: str = "asinh",
    sigma_px: float = 0.0,
    size_px: int | None = 120,
) -> list[str]:
    """PNG data URI of each image (n, y, x), on a shared grey scale if `limits` are given."""
    pixels = smoothed(images, sigma_px=sigma_px) if sigma_px else np.asarray(images)
    return [png_uri(grey_levels(image, limits=limits, stretch=stretch), size_px=size_px) for image in pixels]


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
    """Pictures in a grid; the pointer enlarges one and shows its details.

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
    number, details = len(pictures), dict(details or {})
    lengths = {"titles": len(titles) or number, "frames": len(frames) or number}
    lengths |= {name: len(values) for name, values in details.items()}
    if number == 0 or set(lengths.values()) != {number}:
        raise InputError(
            f"pictures must be one or more, with as many titles and details, and frames if any, got "
            f"{number} and {lengths}"
        )
    columns = min(columns, number)
    rows = -(-number // columns)
    line = 24 / size_px if len(titles) else 0.04  # room for the text above a picture
    x, y = np.arange(number) % columns * _STEP, -(np.arange(number) // columns) * (1 + line)
    data = {"uri": list(pictures), "title": list(titles) or [""] * number}
    data |= {field_name(name): list(values) for name, values in details.items()}
    data |= {"frame": [colour or None for colour in frames] or ["#bbbbbb"] * number}
    source = ColumnDataSource(data | {"x": x, "y": y, "cx": x + 0.5, "cy": y + 0.5, "ty": y + 1.02})
    longest = max((len(words) for words in row_titles), default=0)
    left, top = (8 * longest + 16) / size_px if longest else 0.0, (30 / size_px if column_titles else 0.0)
    plot = axes(
        title=title, x="", y="", grid=False, tools="save",
        frame_width=round((left + columns * _STEP) * size_px),
        frame_height=round((top + rows * (1 + line)) * size_px),
        x_range=Range1d(-left - 0.02, columns * _STEP - 0.02),
        y_range=Range1d(-(rows - 1) * (1 + line) - 0.02, 1 + line + top - 0.02),
    )  # fmt: skip
    plot.axis.visible = False
    plot.update(outline_line_color=None, min_border=5)
    plot.image_url("uri", x="x", y="y", w=1, h=1, anchor="bottom_left", source=source)
    frame = plot.rect("cx", "cy", 1, 1, source=source, fill_alpha=0, line_color="frame", hover_fill_alpha=0,
                      line_width=2 if len(frames) else 1, hover_line_color=INK)  # fmt: skip
    text = {"text_font": GLYPH_FONT, "text_font_size": "13px", "text_color": INK}
    plot.text("x", "ty", "title", source=source, text_baseline="bottom", **text)
    text |= {"text_font_style": "bold"}
    for column, words in enumerate(column_titles):
        plot.text([column * _STEP + 0.5], [1 + line], [words], text_align="center", **text)
    for row, words in enumerate(row_titles):
        plot.text([-0.06], [0.5 - row * (1 + line)], [words], text_align="right", text_baseline="middle",
                  **text)  # fmt: skip
    lines = [(name, f"@{{{field_name(name)}}}") for name in details]
    hover_picture(plot, [frame], lines, picture="uri", heading="title", size_px=240, attachment="horizontal")
    return plot
