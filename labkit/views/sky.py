"""Images of the sky with candidates or members marked, cut-outs side by side, the plane of extents."""

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS
from bokeh.models import (
    BoxAnnotation,
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    Label,
    LinearColorMapper,
    Range1d,
)
from bokeh.palettes import Greys256
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.evaluate import CUTS
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky, sky_to_pixel
from labkit.images.cutouts import cutout
from labkit.sources.mosaics import Mosaics, registered
from labkit.tables import need_columns, numbers, text
from labkit.views import style
from labkit.views.composites import colour_composite
from labkit.views.distributions import scatter
from labkit.views.gallery import gallery, grey_levels, jpeg_uri, limits_of, png_uri, smoothed
from labkit.views.marks import need_rows, plain_column

#: Extent (arcsec) and extension likelihood of the C1 class lie above these.
C1_EXTENT, C1_LIKELIHOOD = (CUTS["C1 cut"][name] for name in ("fitted_extent", "extension_likelihood"))
_FIELD_PX = 520  # width of a field inside the axes, on the screen
_NUMBERED = 5  # candidates, the best ones
_DECADES = 3  # that an axis of the plane reaches below the edge of the selection
_EAST, _NORTH = "offset to the east (arcmin)", "offset to the north (arcmin)"
_DETAILS = ("object_id", "source_id", "mag_F814", "redshift", "velocity", "probability")
_FORMATS = {"redshift": "0.0000", "velocity": "0", "probability": "0.000"}
_CIRCLES = ("non-member", "candidate non-member", "TN")


def field(
    image: ArrayLike, *, wcs: WCS, candidates: Table | None = None, score: str = "",
    limits: tuple[float, float] | None = None, stretch: str = "asinh", sigma_px: float = 0.0,
    label: str = "counts per pixel", title: str = "",
) -> figure:  # fmt: skip
    """An image (y, x) of the sky with offsets in arcmin, a scale bar, and candidates ranked by score.

    North is up and east left. `candidates` have ``ra`` and ``dec`` (angles, or numbers in degrees); the
    pointer shows their other columns, and the column `score` colours and ranks them: the best five are
    numbered. `limits` are the pixel values shown white and black, `label` says for the colour bar what the
    pixels hold.
    """
    pixels = np.asarray(image, dtype=float)
    if pixels.ndim != 2:
        raise InputError(f"image must have shape (y, x), got {pixels.shape}; select one band")
    scale = pixel_scale_arcsec(wcs) / 60
    pixels = smoothed(pixels, sigma_px=sigma_px) if sigma_px else pixels
    limits = limits or limits_of(pixels, lower=1, upper=99.8)
    levels = np.round(255 * grey_levels(pixels, limits=limits, stretch=stretch)).astype(np.uint8)
    half_y, half_x = (0.5 * scale * n for n in pixels.shape)
    plot = style.axes(title=title, x=_EAST, y=_NORTH, grid=False, frame_width=_FIELD_PX,
                      frame_height=round(_FIELD_PX * half_y / half_x), x_range=Range1d(half_x, -half_x),
                      y_range=Range1d(-half_y, half_y))  # fmt: skip
    mapper = LinearColorMapper(palette=Greys256[::-1], low=0, high=255)
    # A flipped x range mirrors the image; the columns are reversed to keep east left.
    plot.image([levels[:, ::-1]], x=-half_x, y=-half_y, dw=2 * half_x, dh=2 * half_y, color_mapper=mapper)
    low, high = limits  # pixel values, not grey levels, at the ticks of the colour bar
    values = np.unique([float(f"{low + (high - low) * share:.2g}") for share in (0.01, 0.05, 0.2, 0.5, 1)])
    values = values[(values >= low) & (values <= high)]
    places = 255 * grey_levels(values[None], limits=limits, stretch=stretch)[0]
    bar = _colour_bar(plot, mapper, label, ticker=FixedTicker(ticks=places.tolist()))
    bar.major_label_overrides = {float(k): f"{v:g}" for k, v in zip(places, values, strict=True)}
    style.scale_bar(plot, half_x, half_y)
    if candidates is not None:
        _mark_candidates(plot, candidates, wcs, scale, pixels.shape, score)
    return plot


def _colour_bar(plot: figure, mapper: LinearColorMapper, title: str, **options: Any) -> ColorBar:
    bar = ColorBar(color_mapper=mapper, title=title, width=12, bar_line_color=style.INK, **options)
    bar.update(major_label_text_font=style.FONT, major_label_text_font_size="12px",
               title_text_font=style.FONT, title_text_font_size="13px",
               title_text_font_style="normal")  # fmt: skip
    plot.add_layout(bar, "right")
    return bar


def _mark_candidates(
    plot: figure, candidates: Table, wcs: WCS, scale: float, shape: tuple[int, ...], score: str
) -> None:
    """Circles at the candidates, coloured by score, the best numbered."""
    needed = ["ra", "dec", *([score] if score else [])]
    need_columns(candidates, needed, "candidates")
    ra, dec = (numbers(candidates[name], "deg") for name in ("ra", "dec"))
    x, y = sky_to_pixel(wcs, ra, dec)
    value = numbers(candidates[score]) if score else np.zeros(len(candidates))
    rank = np.empty(len(value), dtype=int)
    rank[np.argsort(-value, kind="stable")] = np.arange(1, len(value) + 1)
    others = [name for name in candidates.colnames if name not in needed]
    data: dict[str, Any] = {style.field_name(name): [str(v) for v in candidates[name]] for name in others}
    data |= {
        "_x": -(x - (shape[1] - 1) / 2) * scale,
        "_y": (y - (shape[0] - 1) / 2) * scale,
        "_sky": SkyCoord(ra, dec, unit="deg").to_string("hmsdms", precision=1),
        "_rank": rank,
        "_value": value,
        "_mark": [str(r) if score and r <= _NUMBERED else "" for r in rank],
    }
    source = ColumnDataSource(data)
    # Blue, grey, vermillion: low to high, safe for colour-blind readers.
    ramp = [style.PALETTE[0], style.PALETTE[5], "#bbbbbb", style.PALETTE[4], style.PALETTE[1]]
    mapper = LinearColorMapper(palette=ramp, low=0, high=1)
    colour = {"field": "_value", "transform": mapper} if score else style.PALETTE[1]
    circles = plot.scatter("_x", "_y", source=source, size=18, fill_alpha=0, line_width=2.4,
                           line_color=colour, name="candidates")  # fmt: skip
    plot.text("_x", "_y", "_mark", source=source, x_offset=11, y_offset=-8, text_font=style.GLYPH_FONT,
              text_font_size="15px", text_font_style="bold", text_color=style.PALETTE[1])  # fmt: skip
    tips = [("position", "@_sky"), *([("rank", "@_rank"), (score, "@_value{0.000}")] if score else [])]
    style.hover(plot, [circles], tips + style.column_tips(dict.fromkeys(others, "")))
    if score:
        _colour_bar(plot, mapper, score)


def compare_cutouts(
    groups: Mapping[str, ArrayLike], *, pixel_scale: u.Quantity, sigma_px: float = 0.0, size_px: int = 150,
    title: str = "",
) -> figure:  # fmt: skip
    """Cut-outs (n, y, x) of several origins, such as "real" and "simulated", a row each, on one grey scale.

    White and black are percentiles of all together; the pointer shows each picture's sum and highest value.
    """
    stacks = {name: np.asarray(images, dtype=float) for name, images in groups.items()}
    if len({images.shape for images in stacks.values()}) != 1 or next(iter(stacks.values())).ndim != 3:
        raise InputError(
            f"groups must have one shape (n, y, x), got { {k: v.shape for k, v in stacks.items()} }"
        )
    pixels = np.concatenate(list(stacks.values()))
    shown = smoothed(pixels, sigma_px=sigma_px) if sigma_px else pixels
    limits = limits_of(shown)
    side = float((pixels.shape[2] * pixel_scale).to_value(u.arcmin))
    words = f"{side:.1f}′ wide, same grey scale from {limits[0]:.3g} to {limits[1]:.3g}"
    details = {"sum": [f"{np.nansum(image):.0f}" for image in pixels]}
    details["highest"] = [f"{np.nanmax(image):.3g}" for image in pixels]
    pictures = [png_uri(1 - grey_levels(image, limits=limits)) for image in shown]
    columns, title = len(pixels) // len(stacks), f"{title}: {words}" if title else words
    return gallery(
        pictures, details=details, columns=columns, size_px=size_px, row_titles=list(stacks), title=title
    )


def extent_plane(
    catalogue: Table, *, by: str = "class", extent: str = "extent", details: Sequence[str] = (),
    title: str = "", width: int = 620, height: int = 520,
) -> figure:  # fmt: skip
    """Extension likelihood against extent of each source, both logarithmic (Kosiba et al. 2020, Appendix B).

    `catalogue` has `extent` (an angle, or numbers in arcsec), ``extension_likelihood`` and `by`; rows
    without finite ones are left out. Sources below an axis, also zero or negative ones, are drawn hollow at
    its end; the pointer shows their values. The region of the C1 class is shaded and its sources are counted.
    """
    need = ["extent", "extension_likelihood", by, *details]
    need_columns(catalogue, [extent, *need[1:]], "catalogue")
    values = [numbers(catalogue[extent], "arcsec"), numbers(catalogue["extension_likelihood"])]
    good = np.isfinite(values).all(axis=0)
    if not good.any():
        raise InputError(
            f"catalogue must hold a row with finite extent and extension_likelihood, got none of "
            f"{len(catalogue)}; run the fits, or lower the detection threshold"
        )
    shown = Table({name: plain_column(catalogue[name])[good] for name in dict.fromkeys([*details, by])})
    ranges, below = [], np.zeros(good.sum(), dtype=bool)
    for name, column, edge in zip(need, values, (C1_EXTENT, C1_LIKELIHOOD), strict=False):
        shown[name] = column[good]
        positive = np.append(column[good & (column > 0)], edge)
        low = max(positive.min(), edge / 10**_DECADES)
        ranges.append(Range1d(float(low / 2), float(positive.max() * 3)))
        floor = 1.25 * ranges[-1].start
        shown[f"_{name}"] = np.maximum(shown[name], floor)
        below |= np.asarray(shown[name]) < floor
    shown["_below"] = below
    forms = {name: "0.0" if np.asarray(shown[name]).dtype.kind == "f" else ""
             for name in dict.fromkeys([*details, by, *need[:2]])}  # fmt: skip
    plot = scatter(shown, "_extent", "_extension_likelihood", by=by, details=forms,
                   log=("_extent", "_extension_likelihood"), hollow="_below", markers=style.MARKERS,
                   title=title, x_label="extent (arcsec)", y_label="extension likelihood", width=width,
                   height=height)  # fmt: skip
    plot.update(x_range=ranges[0], y_range=ranges[1])
    plot.legend[0].update(location="top_left", title=by.replace("_", " "), title_text_font=style.FONT,
                          title_text_font_size="13px", title_text_font_style="normal")  # fmt: skip
    inside = (shown["extent"] > C1_EXTENT) & (shown["extension_likelihood"] > C1_LIKELIHOOD)
    plot.add_layout(BoxAnnotation(left=C1_EXTENT, bottom=C1_LIKELIHOOD, fill_alpha=0.1,
                                  fill_color=style.PALETTE[4], line_color=style.INK, line_dash="dashed",
                                  line_width=1.2, level="underlay"))  # fmt: skip
    words = f"extent > {C1_EXTENT:g}″, likelihood > {C1_LIKELIHOOD:g}: {inside.sum()} of {len(shown)}"
    plot.add_layout(Label(x=ranges[0].end, y=ranges[1].end, x_offset=-8, y_offset=-6, text=words,
                          text_align="right", text_baseline="top", text_font=style.FONT,
                          text_font_size="13px", text_color=style.INK))  # fmt: skip
    return plot


def member_field(
    rgb: ArrayLike, wcs: WCS, *, sources: Table | None = None, details: Sequence[str] | None = None,
    size: u.Quantity | None = None, redshift: float | None = None, pixels: int = 800, marker_px: float = 13,
    title: str = "", width: int = 620,
) -> figure:  # fmt: skip
    """A colour image (y, x, 3) with members, candidates and non-members marked (Angora et al. 2020, Fig. 8).

    Any orientation is turned to north up, east left on a tangent plane of side `size` (an angle; by default
    it holds the whole image) around the image's centre; NaN is black. `sources` have ``ra``, ``dec`` and
    ``group``, such as "spectroscopic member" (an empty one is not marked); those beyond the frame are not
    counted in the legend. `details` are the columns that the pointer shows. With a redshift the scale bar
    also says its length in kpc.
    """
    image = np.asarray(rgb)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"rgb must have the shape (y, x, 3), got {image.shape}; move the colours to the end")
    if not wcs.has_celestial:
        raise InputError("wcs must hold celestial coordinates, got none; read it from the mosaic's header")
    image = np.clip(image / 255 if image.dtype == np.uint8 else image, 0, 1).astype(np.float32)
    rows, columns = image.shape[:2]
    centre = SkyCoord(*pixel_to_sky(wcs, (columns - 1) / 2, (rows - 1) / 2), unit="deg")
    plane = WCS(naxis=2)  # whose pixel coordinates are offsets to the east and north, arcmin
    plane.wcs.ctype, plane.wcs.crval = ["RA---TAN", "DEC--TAN"], [centre.icrs.ra.deg, centre.icrs.dec.deg]
    plane.wcs.crpix, plane.wcs.cdelt = [1, 1], [1 / 60, 1 / 60]
    if size is None:
        corners = pixel_to_sky(wcs, *np.meshgrid([-0.5, columns - 0.5], [-0.5, rows - 0.5]))
        size = 2 * float(np.abs(sky_to_pixel(plane, *corners)).max()) * u.arcmin
    side = u.Quantity(size).to_value(u.arcmin)
    half = side / 2
    frame: dict[str, Any] = {"size": side * u.arcmin, "pixels": pixels, "oversample": 1, "fill": np.nan}
    shown = np.stack([cutout(image[..., k], wcs, centre, **frame) for k in range(3)], axis=-1)
    plot = style.axes(
        title=title, x=_EAST, y=_NORTH, grid=False, frame_width=width, frame_height=width,
        x_range=Range1d(half, -half), y_range=Range1d(-half, half), background_fill_color="black",
    )  # fmt: skip
    plot.image_url(url=[jpeg_uri(shown)], x=half, y=-half, w=side, h=side, anchor="bottom_left")
    if sources is not None:
        _mark_members(plot, sources, plane, half, details, marker_px)
    kpc = None if redshift is None else COSMOLOGY.kpc_proper_per_arcmin(redshift).value / 60
    style.scale_bar(plot, half, half, kpc_per_arcsec=kpc, dark=True)
    return plot


def _mark_members(
    plot: figure, sources: Table, plane: WCS, half: float, details: Sequence[str] | None, marker_px: float
) -> None:
    """Open squares at members, open circles at non-members, on a dark edge that shows on bright galaxies."""
    wanted = [name for name in _DETAILS if name in sources.colnames] if details is None else list(details)
    need_rows(sources, ["ra", "dec", "group", *wanted], "sources")
    x, y = sky_to_pixel(plane, numbers(sources["ra"], "deg"), numbers(sources["dec"], "deg"))
    names = text(sources["group"])
    inside = np.isfinite(x) & np.isfinite(y) & (np.maximum(np.abs(x), np.abs(y)) <= half) & (names != "")
    there, shown = {key: plain_column(sources[key]) for key in wanted}, []
    order = style.in_drawing_order(names[inside].tolist())
    for name, colour in style.class_colours(order).items():
        rows = inside & (names == name)
        data: dict[str, NDArray] = {"_x": x[rows], "_y": y[rows], "_group": names[rows]}
        data |= {style.field_name(key): column[rows] for key, column in there.items()}
        circle = name in _CIRCLES
        look = {"marker": "circle" if circle else "square", "size": (0.6 if circle else 1) * marker_px,
                "fill_alpha": 0.0, "legend_label": f"{name} ({rows.sum():,})", "name": name,
                "source": ColumnDataSource(data)}  # fmt: skip
        plot.scatter("_x", "_y", line_color="black", line_alpha=0.6, line_width=4, **look)
        shown.append(plot.scatter("_x", "_y", line_color=colour, line_width=1.8, **look))
    if shown:
        forms = {key: "" if column.dtype.kind in "US" else _FORMATS.get(key, "0.00")
                 for key, column in there.items()}  # fmt: skip
        style.hover(plot, shown, [("", "@_group"), *style.column_tips(forms)])
        style.legend_above(plot)


def mosaic_field(mosaics: Mosaics, *, pixels: int = 640, **options: Any) -> figure:
    """A colour picture of a field straight from its mosaics, whatever grids they are on (Figs. 1 and 8).

    Mosaics are averaged to the pixels of the picture first, never more than the largest has, so that the
    scale is that of the noise one sees; the other options are those of `member_field`.
    """
    side = max(max(one.shape) * one.pixel_scale.to_value(u.arcsec) for one in mosaics.mosaics)
    finest = max(one.pixel_scale.to_value(u.arcsec) for one in mosaics.mosaics)
    there = registered(mosaics, pixel_scale=max(side / pixels, finest) * u.arcsec)
    colours = colour_composite(np.stack([one.data for one in there.mosaics]), there.bands)
    return member_field(colours, there.mosaics[0].wcs, pixels=pixels, **options)
