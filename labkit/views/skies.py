"""Images of the sky: fields and cut-outs with a scale bar, candidates, one grey scale side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS
from bokeh.models import ColorBar, ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d
from bokeh.palettes import Greys256
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.images.coordinates import pixel_scale_arcsec, sky_to_pixel
from labkit.views.gallery import gallery
from labkit.views.scaling import grey_levels, limits_of, png_uri, smoothed
from labkit.views.style import FONT, GLYPH_FONT, INK, PALETTE, axes

__all__ = ["compare_cutouts", "field"]

_NICE_LENGTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)


def _pixel_scale_arcmin(wcs: WCS | None, pixel_scale: u.Quantity | None) -> float:
    if (wcs is None) == (pixel_scale is None):
        raise InputError(
            "one of wcs and pixel_scale must be given, got both or none; pass wcs=... or pixel_scale=..."
        )
    if wcs is not None:
        return pixel_scale_arcsec(wcs) / 60
    return float(u.Quantity(pixel_scale).to_value(u.arcmin))


def _colour_bar(limits: tuple[float, float], stretch: str, label: str, mapper: LinearColorMapper) -> ColorBar:
    """A bar with the pixel values, not the grey levels, at its ticks."""
    low, high = limits
    values = np.unique([float(f"{low + (high - low) * share:.2g}") for share in (0.01, 0.05, 0.2, 0.5, 1)])
    values = values[(values >= low) & (values <= high)]
    levels = 255 * grey_levels(values[None], limits=limits, stretch=stretch)[0]
    bar = ColorBar(color_mapper=mapper, ticker=FixedTicker(ticks=levels.tolist()), title=label, width=12)
    bar.major_label_overrides = {float(k): f"{v:g}" for k, v in zip(levels, values, strict=True)}
    bar.update(major_label_text_font=FONT, major_label_text_font_size="12px", title_text_font=FONT,
               title_text_font_size="13px", title_text_font_style="normal", bar_line_color=INK)  # fmt: skip
    return bar


def field(
    image: ArrayLike,
    *,
    wcs: WCS | None = None,
    pixel_scale: u.Quantity | None = None,
    candidates: Table | None = None,
    score: str = "",
    limits: tuple[float, float] | None = None,
    stretch: str = "asinh",
    sigma_px: float = 0.0,
    label: str = "counts per pixel",
    title: str = "",
    width: int = 520,
    marked: int = 5,
) -> figure:
    """An image of the sky with offsets in arcmin, a scale bar, and candidates ranked by score.

    Parameters
    ----------
    image : array_like, shape (y, x)
        Pixel values, north up and east left.
    wcs : astropy.wcs.WCS, optional
        Frame of the image; needed for candidates.
    pixel_scale : Quantity, optional
        Angle of a pixel, where there is no `wcs`.
    candidates : Table, optional
        One row an object, with `ra` and `dec` (angles, or numbers in degrees); the other columns
        show under the pointer.
    score : str
        Column of `candidates` that ranks them: colour by score, the best ones numbered.
    limits : tuple of float, optional
        Pixel values shown white and black.
    stretch : str
        "linear", "sqrt", "asinh" or "log".
    sigma_px : float
        Gaussian smoothing before, in pixels.
    label : str
        What the pixels hold, for the colour bar.
    title : str
        Title of the figure.
    width : int
        Width inside the axes, in screen pixels.
    marked : int
        How many candidates get their rank written beside them.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If neither or both of `wcs` and `pixel_scale` are given, the image has another shape, or
        candidates lack a position, a score column or a `wcs`.
    """
    pixels = np.asarray(image, dtype=float)
    if pixels.ndim != 2:
        raise InputError(f"image must have shape (y, x), got {pixels.shape}; select one band")
    scale = _pixel_scale_arcmin(wcs, pixel_scale)
    pixels = smoothed(pixels, sigma_px=sigma_px) if sigma_px else pixels
    limits = limits or limits_of(pixels, lower=1, upper=99.8)
    levels = np.round(255 * grey_levels(pixels, limits=limits, stretch=stretch)).astype(np.uint8)
    half_y, half_x = (0.5 * scale * n for n in pixels.shape)
    plot = axes(
        title=title, x="offset to the east (arcmin)", y="offset to the north (arcmin)", grid=False,
        frame_width=width, frame_height=round(width * half_y / half_x),
        x_range=Range1d(half_x, -half_x), y_range=Range1d(-half_y, half_y),
    )  # fmt: skip
    mapper = LinearColorMapper(palette=Greys256[::-1], low=0, high=255)
    # A flipped x range mirrors the image; the columns are reversed to keep east left.
    plot.image([levels[:, ::-1]], x=-half_x, y=-half_y, dw=2 * half_x, dh=2 * half_y, color_mapper=mapper)
    plot.add_layout(_colour_bar(limits, stretch, label, mapper), "right")
    _scale_bar(plot, half_x, half_y)
    if candidates is not None:
        _mark(plot, candidates, wcs, scale, pixels.shape, score=score, marked=marked)
    return plot


def _scale_bar(plot: figure, half_x: float, half_y: float) -> None:
    length = max([n for n in _NICE_LENGTHS if n <= 0.5 * half_x], default=_NICE_LENGTHS[0])
    left, bottom = 0.92 * half_x, -0.9 * half_y
    plot.line([left, left - length], [bottom, bottom], color="white", line_width=7)
    plot.line([left, left - length], [bottom, bottom], color=INK, line_width=3)
    plot.text([left - length / 2], [bottom + 0.03 * half_y], [f"{length:g}′"], text_align="center",
              text_font=GLYPH_FONT, text_font_size="14px", text_color=INK, text_font_style="bold",
              background_fill_color="white", background_fill_alpha=0.6)  # fmt: skip


def _mark(
    plot: figure,
    candidates: Table,
    wcs: WCS | None,
    scale: float,
    shape: tuple[int, ...],
    *,
    score: str,
    marked: int,
) -> None:
    """Circles at the candidates, coloured by score, the best numbered."""
    needed = ["ra", "dec", *([score] if score else [])]
    if wcs is None or any(name not in candidates.colnames for name in needed):
        raise InputError(
            f"candidates need wcs and the columns {needed}, got {candidates.colnames} and wcs={wcs!r}"
        )
    sky = SkyCoord(u.Quantity(candidates["ra"], u.deg), u.Quantity(candidates["dec"], u.deg))
    x, y = sky_to_pixel(wcs, sky.ra, sky.dec)
    value = np.asarray(candidates[score], dtype=float) if score else np.zeros(len(candidates))
    rank = np.empty(len(value), dtype=int)
    rank[np.argsort(-value, kind="stable")] = np.arange(1, len(value) + 1)
    data: dict[str, Any] = {
        str(name): [str(v) for v in candidates[name]] for name in candidates.colnames if name not in needed
    }
    data |= {
        "x": -(x - (shape[1] - 1) / 2) * scale,
        "y": (y - (shape[0] - 1) / 2) * scale,
        "sky": sky.to_string("hmsdms", precision=1),
        "rank": rank,
        "value": value,
        "mark": [str(r) if score and r <= marked else "" for r in rank],
    }
    source = ColumnDataSource(data)
    # Blue, grey, vermillion: low to high, safe for colour-blind readers.
    mapper = LinearColorMapper(
        palette=[PALETTE[0], PALETTE[5], "#bbbbbb", PALETTE[4], PALETTE[1]], low=0, high=1
    )
    colour = {"field": "value", "transform": mapper} if score else PALETTE[1]
    circles = plot.scatter("x", "y", source=source, size=18, fill_alpha=0, line_width=2.4, line_color=colour)
    plot.text("x", "y", "mark", source=source, x_offset=11, y_offset=-8, text_font=GLYPH_FONT,
              text_font_size="15px", text_font_style="bold", text_color=PALETTE[1])  # fmt: skip
    tooltips = [("position", "@sky")] + ([("rank", "@rank"), (score, "@value{0.000}")] if score else [])
    tooltips += [
        (str(name), f"@{{{name}}}") for name in data if name not in {"x", "y", "sky", "rank", "value", "mark"}
    ]
    plot.add_tools(HoverTool(renderers=[circles], tooltips=tooltips))
    if score:
        bar = ColorBar(color_mapper=mapper, title=score, width=12)
        bar.update(title_text_font=FONT, title_text_font_size="13px", title_text_font_style="normal")
        plot.add_layout(bar, "right")


def compare_cutouts(
    groups: Mapping[str, ArrayLike],
    *,
    pixel_scale: u.Quantity,
    limits: tuple[float, float] | None = None,
    stretch: str = "asinh",
    sigma_px: float = 0.0,
    size_px: int = 150,
    title: str = "",
) -> figure:
    """Cut-outs of several origins, a row each, all on the same grey scale.

    Parameters
    ----------
    groups : mapping of str to array_like, shape (n, y, x)
        Images of each origin, such as "real" and "simulated"; the same number and size for each.
    pixel_scale : Quantity
        Angle of a pixel.
    limits : tuple of float, optional
        Pixel values shown white and black; percentiles of all groups together by default.
    stretch : str
        See `grey_levels`.
    sigma_px : float
        Gaussian smoothing before, in pixels.
    size_px : int
        Width and height of a picture on the screen.
    title : str
        Title of the figure.

    Returns
    -------
    bokeh.plotting.figure
        The figure; brighter pixels are darker, and each picture shows its summed value under the pointer.

    Raises
    ------
    InputError
        If the groups differ in shape.
    """
    stacks = {name: np.asarray(images, dtype=float) for name, images in groups.items()}
    if len({images.shape for images in stacks.values()}) != 1 or next(iter(stacks.values())).ndim != 3:
        raise InputError(
            f"groups must have one shape (n, y, x), got { {k: v.shape for k, v in stacks.items()} }"
        )
    pixels = np.concatenate(list(stacks.values()))
    shown = smoothed(pixels, sigma_px=sigma_px) if sigma_px else pixels
    limits = limits or limits_of(shown)
    pictures = [png_uri(1 - grey_levels(image, limits=limits, stretch=stretch)) for image in shown]
    side = float((pixels.shape[2] * pixel_scale).to_value(u.arcmin))
    number = len(pixels) // len(stacks)
    words = f"{side:.1f}′ wide, same grey scale from {limits[0]:.3g} to {limits[1]:.3g}"
    return gallery(
        pictures,
        details={
            "sum": [f"{np.nansum(image):.0f}" for image in pixels],
            "highest": [f"{np.nanmax(i):.3g}" for i in pixels],
        },
        columns=number,
        size_px=size_px,
        row_titles=list(stacks),
        title=f"{title}: {words}" if title else words,
    )
