"""Figures of what a network looks at: maps of filters, class activation, and how far to trust it."""

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, FactorRange, FixedTicker, GridPlot, Range1d, Span
from bokeh.palettes import Inferno256
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.tables import numbers, text
from labkit.views import style
from labkit.views.gallery import gallery, grey_levels, heat_colours, limits_of, png_uri, smoothed
from labkit.views.marks import bounded, draw_line, need_rows

_KINDS = {"both": style.PALETTE[7], "dead": "#cccccc"}
_LEVELS = (0.5, 0.75, 0.9)
_FILTER_PX = 150  # side of a filter's picture on the screen


def filter_grid(
    pictures: Mapping[str, ArrayLike], maps: Mapping[str, ArrayLike], filters: Mapping[str, Sequence[int]], *,
    kinds: Mapping[str, Sequence[str]] | None = None, title: str = "",
) -> figure:  # fmt: skip
    """Outputs of chosen filters for one object, a row per layer (Kosiba et al. 2020, Fig. 12).

    `pictures` are what went in, levels (y, x) or colours (y, x, 3): the first row. `maps` hold the outputs
    (filter, y, x) of the chosen `filters` of each layer; black is 0, yellow the map's maximum, which is
    written above with what each answers to (`kinds`).
    """
    if list(maps) != list(filters) or any(len(np.asarray(maps[name])) != len(filters[name]) for name in maps):
        counts = {name: len(np.asarray(values)) for name, values in maps.items()}
        raise InputError(f"filters must name the filters of each layer of maps {counts}, got {dict(filters)}")
    rows = {"input": [(name, png_uri(np.asarray(levels))) for name, levels in pictures.items()]}
    for name, values in maps.items():
        stack = np.asarray(values, dtype=float)
        tops = stack.max((1, 2)).clip(min=0)
        answers = [f", {kind}" for kind in (kinds or {}).get(name, [])] or [""] * len(stack)
        rows[f"{name}, {stack.shape[1]} px"] = [
            (f"{number}{answer}, max {top:.2g}",
             png_uri(heat_colours(one / (top or 1)), size_px=max(2 * _FILTER_PX, len(one))))
            for number, answer, top, one in zip(filters[name], answers, tops, stack, strict=True)
        ]  # fmt: skip
    columns, blank = max(map(len, rows.values())), ("", png_uri(np.ones((2, 2))))
    cells = [cell for row in rows.values() for cell in row + [blank] * (columns - len(row))]
    titles, uris = zip(*cells, strict=True)
    return gallery(uris, titles, columns=columns, size_px=_FILTER_PX, row_titles=list(rows), title=title)


def activation_overlay(
    optical: ArrayLike, xray: ArrayLike, activation: ArrayLike, titles: Sequence[str] = (), *,
    pixel_scale: u.Quantity,
) -> GridPlot:  # fmt: skip
    """Class activation on both bands, and X-ray contours on the optical image; a row per object.

    Cut-outs and activation (0 to 1, from `labkit.explain.class_activation`) are of one shape (n, y, x). Three
    panels: X-ray with activation, optical with activation, optical with X-ray contours (at half, 0.75 and 0.9
    of the way from its median to its maximum) and the activation's contour at one half.
    """
    plates, heat = np.asarray(optical, dtype=float), np.asarray(activation, dtype=float)
    photons = smoothed(xray, sigma_px=1.5)
    if plates.ndim != 3 or len({plates.shape, photons.shape, heat.shape}) != 1:
        raise InputError(
            "optical, xray and activation must have one shape (n, y, x), "
            f"got {plates.shape}, {photons.shape} and {heat.shape}"
        )
    if len(titles) not in (0, len(plates)):
        raise InputError(f"titles must be one for each of the {len(plates)} objects, got {len(titles)}")
    half = plates.shape[-1] * float(pixel_scale.to_value(u.arcmin)) / 2
    shared = {"x_range": Range1d(-half, half), "y_range": Range1d(-half, half)}
    rows = []
    for number, (plate, emission, glow) in enumerate(zip(plates, photons, heat, strict=True)):
        light = grey_levels(plate, stretch="linear")
        counts = grey_levels(emission, limits=limits_of(emission, lower=5, upper=99.9), stretch="sqrt")
        words = titles[number] if len(titles) else " "
        first = _panel(_blended(counts, glow), half, f"{words}\nX-ray + activation", shared)
        second = _panel(_blended(light, glow), half, " \noptical + activation", shared)
        third = _panel(light, half, " \noptical + contours", shared)
        _contour(third, emission, half, [_between(emission, level) for level in _LEVELS], style.PALETTE[5])
        _contour(third, glow, half, [0.5], style.PALETTE[4])
        rows.append([first, second, third])
    return style.grid(rows)


def _between(image: np.ndarray, share: float) -> float:
    return float(np.median(image) + share * (image.max() - np.median(image)))


def _blended(levels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Grey levels under the activation's colours, as opaque as it is strong."""
    alpha = 0.65 * np.clip(heat, 0, 1)[..., None]
    return (1 - alpha) * np.repeat(levels[..., None], 3, axis=-1) + alpha * heat_colours(0.25 + 0.75 * heat)


def _panel(picture: np.ndarray, half: float, title: str, shared: dict[str, Range1d]) -> figure:
    plot = style.axes(title=title, x="arcmin", y="arcmin", grid=False, frame_width=230, frame_height=230,
                      match_aspect=True, **shared)  # fmt: skip
    plot.image_url([png_uri(picture)], x=-half, y=-half, w=2 * half, h=2 * half, anchor="bottom_left")
    plot.title.text_font_size = "13px"
    plot.axis.axis_label_text_font_size = "12px"
    plot.axis.major_label_text_font_size = "11px"
    return plot


def _contour(plot: figure, image: np.ndarray, half: float, levels: list[float], colour: str) -> None:
    """Lines of equal height, if the image has any."""
    inside = sorted({level for level in levels if image.min() < level < image.max()})
    if inside:
        step = 2 * half / image.shape[1]
        x, y = (np.arange(n) * step + step / 2 - half for n in image.shape[::-1])
        plot.contour(x, y, image, levels=inside, line_color=colour, line_width=1.6)


def index_chart(index: Table, *, title: str = "") -> figure:
    """Filters along the axis from one band to the other, a row per layer, with their intervals.

    `index` is from `labkit.explain.band_index`; its bands are the ends of the axis. Dead filters are not
    drawn; their number stands at the right.
    """
    needed = ["layer", "filter", "index", "index_low", "index_high", "kind"]
    need_rows(index, needed, "index, from band_index,")
    first, second = index.meta["bands"]
    kind = text(index["kind"])
    colour = {first: style.PALETTE[0], second: style.PALETTE[1]} | _KINDS
    names = list(dict.fromkeys(str(name) for name in index["layer"]))
    plot = style.axes(
        title=title, x=f"index: {second} only (−1) to {first} only (+1)", y="layer", width=640,
        height=90 + 70 * len(names), x_range=Range1d(-1.08, 1.28), y_range=FactorRange(*names[::-1]),
    )  # fmt: skip
    for at in (-0.5, 0.5):
        plot.add_layout(Span(location=at, dimension="height", line_color=style.INK, line_dash="dotted"))
    for which in (first, second, "both"):
        rows = kind == which
        data: dict[str, Any] = {name: np.asarray(index[name])[rows] for name in needed}
        spread = _spread(data["layer"], data["index"])
        data["place"] = [(str(name), offset) for name, offset in zip(data["layer"], spread, strict=True)]
        source, look = ColumnDataSource(data), {"color": colour[which], "legend_label": which}
        bar = {"line_width": 2, "alpha": 0.35} | look
        plot.segment("index_low", "place", "index_high", "place", source=source, **bar)
        dots = plot.scatter("index", "place", source=source, size=7, alpha=0.9, **look)
        style.hover(plot, [dots], [("layer", "@layer"), ("filter", "@filter"), ("index", "@index{0.00}"),
                                   ("95 %", "@index_low{0.00} to @index_high{0.00}")])  # fmt: skip
    dead = {name: int(np.sum((kind == "dead") & (text(index["layer"]) == name))) for name in names}
    plot.text([1.06] * len(names), names, [f"{dead[name]} dead" for name in names],
              text_font=style.GLYPH_FONT, text_font_size="12px", text_color=style.INK,
              text_baseline="middle")  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=[-1, -0.5, 0, 0.5, 1])
    return style.legend_above(plot)


def _spread(layers: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Offsets within a row, so that filters of like index lie above one another in order."""
    offset = np.zeros(len(index))
    for name in np.unique(layers):
        rows = np.flatnonzero(layers == name)
        rows = rows[np.argsort(index[rows], kind="stable")]
        offset[rows] = ((np.arange(len(rows)) * 5) % 11 - 5) * 0.065
    return offset


def sensitivity_curves(
    brightness: ArrayLike, response: ArrayLike, threshold: ArrayLike, *, band: str = "X-ray", title: str = ""
) -> figure:
    """Answer of each filter, relative to that at full brightness, against the peak brightness of a band.

    `response` (filter, level) and `threshold` (filter,), where half the answer is reached, are from
    `labkit.explain.sensitivity`; filters with NaN are not drawn. Dashed: in proportion to the brightness.
    """
    x, y, half = (np.asarray(values, dtype=float) for values in (brightness, response, threshold))
    plot = style.axes(title=title, x=f"peak brightness in {band} (1 = highest grey level)",
                      y="answer, relative to that at 1", width=520, x_range=style.unit_range())  # fmt: skip
    for number in np.flatnonzero(np.isfinite(half)):
        colour = Inferno256[round(40 + 180 * float(np.clip(half[number], 0, 1)))]
        tips = [("filter", str(number)), ("half of its answer at", f"{half[number]:.2f}")]
        draw_line(plot, np.concatenate([[0.0], x]), np.concatenate([[0.0], y[number] / y[number, -1]]),
                  colour=colour, name=f"filter {number}", width=1.8, alpha=0.8, tips=tips)  # fmt: skip
    plot.line([0, 1], [0, 1], color=style.INK, line_dash="dashed", legend_label="in proportion")
    return style.legend_inside(plot, "top_left")


def randomisation_curve(
    checks: Mapping[str, Table], *, between: float | None = None, title: str = ""
) -> figure:
    """Similarity to the trained network's maps while layers are randomised from the last to the first.

    `checks` are tables of `labkit.explain.randomisation_check` by method, with 95 % intervals over the
    objects; `between` is the rank correlation of the maps of different objects, dotted.
    """
    steps = [tuple(text(table["step"]).tolist()) for table in checks.values()]
    if not steps or len(set(steps)) != 1:
        raise InputError(f"checks must hold tables with the same steps, got {steps}")
    plot = style.axes(title=title, x="randomised from the output down to", width=640,
                      y="rank correlation with the trained map", y_range=Range1d(-0.25, 1.05))  # fmt: skip
    style.name_ticks(plot, steps[0], lines=False)
    place = np.arange(len(steps[0]))
    for (name, table), colour in zip(checks.items(), style.PALETTE, strict=False):
        value, low, high = bounded(table, "rank")
        tips = [(name, "@y{0.00} (@low{0.00} to @high{0.00})")]
        draw_line(plot, place, value, low, high, colour=colour, name=name, label=name, width=2.5, dots=True,
                  tips=tips)  # fmt: skip
    plot.add_layout(Span(location=0, dimension="width", line_color=style.FAINT, line_width=2))
    if between is not None:
        draw_line(plot, place, np.full(len(place), between), colour=style.INK, dash="dotted", width=1,
                  name="other objects", label="maps of other objects")  # fmt: skip
    plot.xaxis.major_label_orientation = 0.6
    return style.legend_inside(plot, "top_right")


def deletion_curves(checks: Mapping[str, Table], *, title: str = "") -> figure:
    """Drop of the probability without the pixels that a map ranks highest, and without others (dashed).

    `checks` are tables of `labkit.explain.deletion` by method; the bar is the 95 % interval of the
    difference, drawn from the dashed line upwards.
    """
    if not checks:
        raise InputError("checks must hold one table or more, got none")
    plot = style.axes(title=title, x="share of pixels blanked (%)", y="drop of the probability", width=520)
    for (name, table), colour in zip(checks.items(), style.PALETTE, strict=False):
        share = 100 * numbers(table["share"])
        drop, other = numbers(table["drop"]), numbers(table["reference"])
        low, high = (other + numbers(table[f"difference_{end}"]) for end in ("low", "high"))
        plot.segment(share, low, share, high, color=colour, line_width=5, alpha=0.3, name=f"{name} interval")
        draw_line(plot, share, drop, colour=colour, name=name, label=name, width=2.5, dots=True,
                  tips=[(name, "@y{0.000}"), ("pixels", "@x{0} %")])  # fmt: skip
        draw_line(plot, share, other, colour=colour, name=f"{name} elsewhere", dash="dashed", width=1.8,
                  label=f"{name}, same hole elsewhere")  # fmt: skip
    return style.legend_above(plot, columns=2)
