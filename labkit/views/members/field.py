"""A colour image of a cluster with its members marked (Angora et al. 2020, Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.cosmology import FLRW
from astropy.table import Table
from astropy.wcs import WCS
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.images.cutouts import cutout
from labkit.photometry.colours import COSMOLOGY
from labkit.views.members.groups import as_names, as_plain, palette, present
from labkit.views.members.layout import legend_above
from labkit.views.scaling import jpeg_uri
from labkit.views.style import GLYPH_FONT, axes

__all__ = ["member_field"]

_DETAILS = ("object_id", "source_id", "mag_F814", "redshift", "velocity", "probability")
_FORMATS = {"redshift": "0.0000", "velocity": "0", "probability": "0.000"}
_LENGTHS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)  # of the scale bar, arcsec
_CIRCLES = ("non-member", "candidate non-member", "TN")


def member_field(
    rgb: ArrayLike,
    wcs: WCS,
    *,
    sources: Table | None = None,
    group: str = "group",
    details: Sequence[str] | None = None,
    centre: SkyCoord | None = None,
    size: u.Quantity | None = None,
    redshift: float | None = None,
    cosmology: FLRW = COSMOLOGY,
    pixels: int = 800,
    marker_px: float = 13,
    title: str = "",
    width: int = 620,
) -> figure:
    """A colour image with members, candidates and non-members marked; north up, east left.

    Any orientation of the image is turned to north up on a tangent plane. A click on the legend hides a
    group; sources beyond the frame are not counted there.

    Parameters
    ----------
    rgb : array_like, shape (y, x, 3)
        Colours, floats from 0 to 1 or uint8; NaN is black.
    wcs : astropy.wcs.WCS
        World coordinates of the image.
    sources : Table, optional
        One row a source: `ra`, `dec` (angles, or numbers in degrees) and `group`.
    group : str
        Column with the group of each source, such as "spectroscopic member", "candidate member" or
        "non-member"; an empty one is not marked.
    details : sequence of str, optional
        Columns that the pointer shows; by default object_id, magnitude, redshift, velocity and probability
        where the table has them.
    centre : SkyCoord, optional
        Centre of the frame, by default that of the image.
    size : Quantity, optional
        Side of the frame, an angle; by default it holds the whole image.
    redshift : float, optional
        Of the cluster: the scale bar also says its length in kpc.
    cosmology : `~astropy.cosmology.FLRW`
        Gives that length.
    pixels : int
        Pixels of the picture along a side, which bounds the size of the page.
    marker_px : float
        Side of the markers in screen pixels.
    title : str
        Title of the figure.
    width : int
        Side of the frame in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure, axes in arcmin from the centre.

    Raises
    ------
    InputError
        If the image has another shape, the WCS is not celestial, or a column is missing.
    """
    image = _checked(rgb, wcs)
    centre = _middle(image, wcs) if centre is None else centre.icrs
    plane = _tangent_plane(centre)
    side = (_extent(image, wcs, plane) if size is None else u.Quantity(size)).to_value(u.arcmin)
    half = side / 2
    frame: dict[str, Any] = {"size": side * u.arcmin, "pixels": pixels, "oversample": 1, "fill": np.nan}
    shown = np.stack([cutout(image[..., k], wcs, centre, **frame) for k in range(3)], axis=-1)
    plot = axes(
        title=title, x="offset to the east (arcmin)", y="offset to the north (arcmin)", grid=False,
        frame_width=width, frame_height=width, x_range=Range1d(half, -half), y_range=Range1d(-half, half),
        background_fill_color="black",
    )  # fmt: skip
    plot.image_url(url=[jpeg_uri(shown)], x=half, y=-half, w=side, h=side, anchor="bottom_left")
    if sources is not None:
        _mark(plot, sources, plane, half, group=group, details=details, marker_px=marker_px)
    _scale_bar(plot, half, redshift, cosmology)
    return plot


def _checked(rgb: ArrayLike, wcs: WCS) -> NDArray[np.float32]:
    image = np.asarray(rgb)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"rgb must have the shape (y, x, 3), got {image.shape}; move the colours to the end")
    if not wcs.has_celestial:
        raise InputError("wcs must hold celestial coordinates, got none; read it from the mosaic's header")
    levels = image / 255 if image.dtype == np.uint8 else image
    return np.clip(levels, 0, 1).astype(np.float32)


def _middle(image: NDArray, wcs: WCS) -> SkyCoord:
    height, width = image.shape[:2]
    return SkyCoord(*pixel_to_sky(wcs, (width - 1) / 2, (height - 1) / 2), unit="deg")


def _tangent_plane(centre: SkyCoord) -> WCS:
    """A projection whose pixel coordinates (from 0) are offsets to the east and north, arcmin."""
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crval = ["RA---TAN", "DEC--TAN"], [centre.ra.deg, centre.dec.deg]
    plane.wcs.crpix, plane.wcs.cdelt = [1, 1], [1 / 60, 1 / 60]
    return plane


def _extent(image: NDArray, wcs: WCS, plane: WCS) -> u.Quantity:
    """Side of the smallest square around the centre that holds the image."""
    height, width = image.shape[:2]
    corners = np.meshgrid([-0.5, width - 0.5], [-0.5, height - 0.5])
    return 2 * float(np.abs(sky_to_pixel(plane, *pixel_to_sky(wcs, *corners))).max()) * u.arcmin


def _mark(
    plot: figure,
    sources: Table,
    plane: WCS,
    half: float,
    *,
    group: str,
    details: Sequence[str] | None,
    marker_px: float,
) -> None:
    """Open squares at members, open circles at non-members, on a dark edge that shows on bright galaxies."""
    wanted = [name for name in _DETAILS if name in sources.colnames] if details is None else list(details)
    needed = ["ra", "dec", group, *wanted]
    if missing := [name for name in needed if name not in sources.colnames]:
        raise InputError(f"sources must have the columns {needed}, got none for {missing}")
    sky = SkyCoord(u.Quantity(sources["ra"], u.deg), u.Quantity(sources["dec"], u.deg))
    x, y = sky_to_pixel(plane, sky.ra, sky.dec)
    names = as_names(sources[group], group, like=len(sources))
    inside = np.isfinite(x) & np.isfinite(y) & (np.maximum(np.abs(x), np.abs(y)) <= half)
    drawn = []
    for name, colour in palette(present(names[inside])).items():
        rows = inside & (names == name)
        data: dict[str, Any] = {"x": x[rows], "y": y[rows], "group": names[rows]}
        data |= {key: as_plain(sources[key])[rows] for key in wanted}
        circle = name in _CIRCLES
        style = {"marker": "circle" if circle else "square", "size": (0.6 if circle else 1) * marker_px,
                 "fill_alpha": 0.0, "legend_label": f"{name} ({rows.sum():,})", "name": name}  # fmt: skip
        source = ColumnDataSource(data)
        plot.scatter("x", "y", source=source, line_color="black", line_alpha=0.6, line_width=4, **style)
        drawn.append(plot.scatter("x", "y", source=source, line_color=colour, line_width=1.8, **style))
    if not drawn:
        return
    kinds = {
        key: "" if np.asarray(sources[key]).dtype.kind in "US" else _FORMATS.get(key, "0.00")
        for key in wanted
    }
    tips = [(key.replace("_", " "), f"@{{{key}}}" + (f"{{{f}}}" if f else "")) for key, f in kinds.items()]
    plot.add_tools(HoverTool(renderers=drawn, tooltips=[("", "@group"), *tips]))
    legend_above(plot)


def _scale_bar(plot: figure, half: float, redshift: float | None, cosmology: FLRW) -> None:
    length = max([n for n in _LENGTHS if n <= 0.4 * 60 * half], default=_LENGTHS[0])
    words = f"{length:g}″"
    if redshift is not None:
        kpc = cosmology.kpc_proper_per_arcmin(redshift).value * length / 60
        words += f" = {kpc:.0f} kpc"
    left, bottom = 0.93 * half, -0.92 * half
    ends = [left, left - length / 60]
    plot.line(ends, [bottom, bottom], color="black", alpha=0.6, line_width=6)
    plot.line(ends, [bottom, bottom], color="white", line_width=3, name="scale bar")
    plot.text([left], [bottom], [words], y_offset=-6, text_font=GLYPH_FONT, text_font_size="14px",
              text_color="white", background_fill_color="black", background_fill_alpha=0.5,
              name="scale")  # fmt: skip
