"""From pixels to pictures for the eye (nothing here is for networks), and pictures in a grid."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch
from bokeh.models import ColumnDataSource, Range1d
from bokeh.palettes import Inferno256
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError, need_choice
from labkit.views.style import GLYPH_FONT, INK, axes, field_name, hover_picture

_INFERNO = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in Inferno256]) / 255
STRETCHES = {
    "linear": LinearStretch,
    "sqrt": SqrtStretch,
    "asinh": lambda: AsinhStretch(a=0.1),
    "log": lambda: LogStretch(a=1000),
}

#: A transparent picture, for a place of a gallery where nothing is.
EMPTY_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_STEP = 1.04  # from one picture to the next


def limits_of(images: ArrayLike, *, lower: float = 1.0, upper: float = 99.7) -> tuple[float, float]:
    """Percentiles of all finite pixels, as limits that images share; different even for a constant image."""
    pixels = np.asarray(images, dtype=float)
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        raise InputError(
            f"images must have finite pixels, got none in shape {pixels.shape}; leave this image out"
        )
    low, high = np.percentile(finite, [lower, upper])
    if high <= low:  # mostly empty photon images: the percentiles meet
        low, high = finite.min(), finite.max()
    return float(low), float(high) if high > low else float(low) + 1.0


def grey_levels(
    image: ArrayLike, *, limits: tuple[float, float] | None = None, stretch: str = "asinh"
) -> NDArray[np.float64]:
    """Levels from 0 to 1 on a screen; not-finite pixels become 0.

    `limits` are the values shown as 0 and 1, `limits_of(image)` by default; `stretch` is "linear", "sqrt",
    "asinh" or "log".
    """
    need_choice("stretch", stretch, STRETCHES)
    pixels = np.asarray(image, dtype=float)
    low, high = limits or limits_of(pixels)
    if not high > low:
        raise InputError(f"limits must rise, got {limits}")
    scaled = np.clip((np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    return STRETCHES[stretch]()(scaled)


def smoothed(image: ArrayLike, *, sigma_px: float = 3.0) -> NDArray[np.float64]:
    """Gaussian-smoothed images, for looking at photons (Kosiba et al. 2020, Fig. 3, uses 3 pixels)."""
    pixels = np.nan_to_num(np.asarray(image, dtype=float))
    return gaussian_filter(pixels, sigma=(*(0,) * (pixels.ndim - 2), sigma_px, sigma_px))


def composite(
    *, red: ArrayLike | None = None, green: ArrayLike | None = None, blue: ArrayLike | None = None
) -> NDArray[np.float64]:
    """A colour image (..., y, x, 3) from up to three levels; an absent channel is zero.

    Kosiba et al. (2020), section 3.1 and Fig. 4, put X-ray in green and optical in blue.
    """
    given = [np.asarray(channel, dtype=float) for channel in (red, green, blue) if channel is not None]
    if not given or len({channel.shape for channel in given}) != 1:
        raise InputError(f"channels must be one or more of equal shape, got {[c.shape for c in given]}")
    zero = np.zeros_like(given[0])
    return np.stack([zero if c is None else np.asarray(c, dtype=float) for c in (red, green, blue)], axis=-1)


def overlay(optical: ArrayLike, xray: ArrayLike) -> NDArray:
    """Optical levels in grey with the X-ray levels as a warm glow on top, (..., y, x, 3)."""
    grey = 0.85 * np.asarray(optical, dtype=float)[..., None]
    glow = np.asarray(xray, dtype=float)[..., None] * np.array([1.0, 0.35, 0.05])
    return 1 - (1 - grey) * (1 - np.clip(glow, 0, 1))


#: Levels of a plate.
plate_levels = partial(grey_levels, stretch="linear")


def photon_sigma_px(image: NDArray) -> float:
    """Smoothing of photons: 2 pixels of 178, which is 4.7" in a 7' cut-out."""
    return max(0.7, image.shape[-1] / 89)


def photon_levels(image: NDArray) -> NDArray[np.float64]:
    """Levels of photons (y, x), smoothed, under a square root."""
    soft = smoothed(image, sigma_px=photon_sigma_px(image))
    return grey_levels(soft, limits=limits_of(soft, lower=60, upper=99.9), stretch="sqrt")


def plate_pictures(optical: ArrayLike, xray: ArrayLike) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Optical, X-ray and combined picture of each of the cut-outs (n, y, x), bright on dark."""
    plates, photons = np.asarray(optical), np.asarray(xray)
    if len(plates) != len(photons):
        raise InputError(f"optical and xray must hold the same objects, got {len(plates)} and {len(photons)}")
    for light, emission in zip(map(plate_levels, plates), map(photon_levels, photons), strict=True):
        yield light, emission, overlay(light, emission)


def heat_colours(levels: ArrayLike) -> NDArray[np.float64]:
    """Levels from 0 to 1 as colours (..., 3) from black over red to yellow."""
    return _INFERNO[np.round(255 * np.clip(levels, 0, 1)).astype(int)]


def hatched(levels: ArrayLike) -> NDArray[np.float64]:
    """Pictures, (y, x) or (y, x, 3), whose pixels without data (NaN) carry grey stripes, as no sky has."""
    levels = np.array(levels, dtype=float)
    y, x = np.indices(levels.shape[:2])
    stripes = np.where((x + y) // 3 % 2, 0.42, 0.28)
    lost = ~np.isfinite(levels)
    levels[lost] = np.broadcast_to(stripes[..., None] if levels.ndim == 3 else stripes, levels.shape)[lost]
    return levels


def png_uri(levels: ArrayLike, *, size_px: int | None = None) -> str:
    """A picture as text that a page can hold (a PNG data URI).

    Grey levels (y, x) or colours (y, x, 3), floats from 0 to 1 or uint8; the first row is at the bottom, as
    in FITS. `size_px` is the width and height of the picture; that of the array by default.
    """
    return _uri(picture(levels, size_px), "png", optimize=True)


def jpeg_uri(levels: ArrayLike, *, size_px: int | None = None, quality: int = 88) -> str:
    """A picture as `png_uri`'s, made quicker and a fifth as long; noise of single pixels hardly survives."""
    return _uri(picture(levels, size_px), "jpeg", quality=quality, subsampling=0)


def picture(levels: ArrayLike, size_px: int | None = None) -> Image.Image:
    """A picture to be saved or joined to others, of what `png_uri` takes."""
    pixels = np.asarray(levels)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(f"levels must have shape (y, x) or (y, x, 3), got {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = np.round(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels[::-1]))
    if size_px is None:
        return picture
    return picture.resize((size_px, size_px), Image.Resampling.BOX if size_px < picture.height else 0)


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind.upper(), **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnails(images: ArrayLike, *, sigma_px: float = 0.0) -> list[str]:
    """PNG data URI of each image (n, y, x), smoothed if wanted, each between its own limits."""
    pixels = smoothed(images, sigma_px=sigma_px) if sigma_px else np.asarray(images)
    return [png_uri(grey_levels(image), size_px=120) for image in pixels]


def gallery(
    pictures: Sequence[str | ArrayLike], titles: Sequence[str] = (), *,
    details: Mapping[str, Sequence] | None = None, columns: int = 6, size_px: int = 130,
    column_titles: Sequence[str] = (), row_titles: Sequence[str] = (),
    frames: Sequence[str] = (), title: str = "",
) -> figure:  # fmt: skip
    """Pictures in a grid; the pointer enlarges one and shows its details.

    Parameters
    ----------
    pictures : sequence of array or str
        Images (y, x), each shown between its own limits, or PNG data URIs from `png_uri` or `thumbnails`, row
        by row.
    titles : sequence of str
        Text above each picture.
    details : mapping of str to sequence, optional
        Values shown under the pointer, one for each picture.
    columns, size_px : int
        Pictures in a row; their width and height on the screen.
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
    pictures = [one if isinstance(one, str) else png_uri(grey_levels(one)) for one in pictures]
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
    data: dict[str, list[Any]] = {"uri": list(pictures), "title": list(titles) or [""] * number}
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
