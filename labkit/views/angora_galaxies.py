"""Figures of the galaxies themselves (Angora et al. 2020): colours, profiles, cut-outs, fields."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.stats import poisson_conf_interval
from astropy.table import QTable, Row, Table
from bokeh.models import BoxAnnotation, ColumnDataSource, GridPlot, Range1d, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from labkit.errors import InputError, MissingDataError
from labkit.evaluate import member_groups
from labkit.photometry import ColourMagnitude
from labkit.photometry.red_sequence import RedSequences
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.sources import read_mosaics
from labkit.sources.members import ListedField
from labkit.tables import numbers, text
from labkit.views import marks, style
from labkit.views.composites import SampleColours
from labkit.views.distributions import scatter
from labkit.views.gallery import EMPTY_PICTURE, gallery, png_uri
from labkit.views.inspector.state import GROUPS, ErrorState, Selection, gather
from labkit.views.sky import mosaic_field

#: Groups whose galaxies are cluster members, known or predicted.
_MEMBERS = ("member", "spectroscopic member", "candidate member", "TP", "FN")
_STACKED, _STEP = ("spectroscopic member", "candidate member"), 0.5  # of the magnitudes, mag
_ENDS = ("", "_low", "_high")
_PROFILE = ("inner", "outer", "members", *(f"{n}{end}" for n in ("cumulative", "density") for end in _ENDS))

#: Frames of the pictures: members found, wrongly taken, missed (the paper's green, red, blue, for all eyes).
FRAMES = {"TP": style.PALETTE[2], "FP": style.PALETTE[1], "FN": style.PALETTE[0]}
_NEAR_KM_S = 9000.0


def colour_magnitude(
    magnitude: ArrayLike, colour: ArrayLike, group: ArrayLike, *, relation: ColourMagnitude | None = None,
    colour_error: ArrayLike | None = None, details: Mapping[str, ArrayLike] | None = None,
    y: str = "F606 − F814 (mag)", title: str = "", width: int = 620, height: int = 460,
) -> figure:  # fmt: skip
    """Colour against magnitude, with the relation of the members and its scatter (Angora et al. 2020, 4.2).

    Groups are "member", "spectroscopic member", "candidate member", "non-member", "candidate non-member", or
    "TP", "TN", "FP", "FN"; galaxies without a group, magnitude or colour are left out. Medians of
    `colour_error` in steps of one magnitude stand at the lower edge; `details` are what the pointer shows.
    The axes hold 99 % of the galaxies, the reset tool and the wheel show the rest.
    """
    given = {"magnitude": magnitude, "colour": colour, "group": group, **(details or {})}
    table = galaxy_columns(given if colour_error is None else given | {"_error": colour_error})
    shown = dict.fromkeys(details or {}, "") | {"magnitude": "0.00", "colour": "0.00"}
    plot = scatter(table, "magnitude", "colour", by="group", details=shown, counts=True, unnamed="",
                   title=title, relation=relation, central=0.99, x_label="F814 (mag)", y_label=y,
                   width=width, height=height)  # fmt: skip
    if colour_error is not None:
        _typical_errors(plot, numbers(table["magnitude"]), numbers(table["_error"]))
    return plot


def differential_colour_magnitude(
    magnitude: ArrayLike, differential: ArrayLike, group: ArrayLike, *,
    colour_error: ArrayLike | None = None, details: Mapping[str, ArrayLike] | None = None, title: str = "",
    width: int = 620, height: int = 460,
) -> figure:  # fmt: skip
    """Differential colour against magnitude, the members' median and ± 1 sigma grey (Figs. 9 and 14).

    As `colour_magnitude`, with the colour less the relation's (section 4.2). The median and the
    spread, 1.4826 times the median absolute deviation, are those of the members drawn, missed ones among
    them.
    """
    plot = colour_magnitude(magnitude, differential, group, colour_error=colour_error, details=details,
                            y="(F606 − F814) − red sequence (mag)", title=title, width=width,
                            height=height)  # fmt: skip
    m, c = numbers(magnitude), numbers(differential)
    theirs = c[np.isin(text(group), _MEMBERS) & np.isfinite(m) & np.isfinite(c)]
    if len(theirs):
        middle = float(np.median(theirs))
        half = 1.4826 * float(np.median(np.abs(theirs - middle)))
        plot.add_layout(BoxAnnotation(bottom=middle - half, top=middle + half, fill_color="#bdbdbd",
                                      fill_alpha=0.6, line_color=None, level="underlay"))  # fmt: skip
        plot.add_layout(Span(location=middle, dimension="width", line_color=style.INK, line_dash="dashed"))
        words, nowhere = f"members' median ± 1σ ({half:.3f} mag)", [np.nan, np.nan]  # only for the legend
        plot.varea(nowhere, nowhere, nowhere, color="#bdbdbd", alpha=0.6, legend_label=words)
        plot.line(nowhere, nowhere, color=style.INK, line_dash="dashed", legend_label=words, name="median")
    return plot


def _typical_errors(plot: figure, m: NDArray, error: NDArray) -> None:
    """Median error of each whole magnitude, as bars near the lower edge."""
    bright, faint, low, high = (plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end)
    places, halves = [], []
    for start in np.arange(np.floor(bright), np.ceil(faint)):
        inside = (m >= start) & (m < start + 1) & np.isfinite(error)
        if inside.any() and bright <= start + 0.5 <= faint:
            places.append(float(start) + 0.5)
            halves.append(float(np.median(error[inside])))
    if places:
        bars = np.minimum(halves, 0.5 * (high - low))
        middle = np.maximum(low + 0.06 * (high - low), low + bars + 0.01 * (high - low))
        plot.segment(
            places, middle - bars, places, middle + bars, color=style.INK, line_width=1.5, name="errors"
        )
        plot.scatter(places, middle, size=3, color=style.INK, legend_label="median error")


def magnitude_distribution(
    magnitude: ArrayLike, group: ArrayLike, *, limit: float = 25.0, title: str = ""
) -> figure:
    """Magnitudes of spectroscopic and candidate members, stacked (Angora et al. 2020, Fig. 9, first row).

    Bins are half a magnitude wide; bars give the 68 % Poisson interval of the sum; the
    dashed line is the magnitude to which candidates are accepted. An empty group keeps its place in the
    legend.
    """
    table = galaxy_columns({"magnitude": magnitude, "group": group})
    m, names = numbers(table["magnitude"]), text(table["group"])
    good = np.isfinite(m) & np.isin(names, list(_STACKED))
    if not good.any():
        raise InputError(f"magnitude must be finite for a galaxy of {list(_STACKED)}, got none of {len(m)}")
    edges = _STEP * np.arange(np.floor(m[good].min() / _STEP), np.floor(m[good].max() / _STEP) + 2)
    counts = {name: np.histogram(m[good & (names == name)], bins=edges)[0] for name in _STACKED}
    total = np.sum(list(counts.values()), axis=0)
    low, high = poisson_conf_interval(total, "frequentist-confidence", sigma=norm.isf(0.16))
    plot = style.axes(title=title, x="F814 (mag)", y=f"galaxies in {_STEP:g} mag", width=420, height=350,
                      y_range=Range1d(0, 1.08 * float(high.max())))  # fmt: skip
    bottom = np.zeros(len(total))
    for name, colour in style.class_colours(_STACKED).items():
        data = {"left": edges[:-1], "right": edges[1:], "bottom": bottom, "top": bottom + counts[name],
                "count": counts[name], "total": total}  # fmt: skip
        bars = plot.quad(source=ColumnDataSource(data), fill_color=colour, fill_alpha=0.7, line_color="white",
                         legend_label=f"{name} ({counts[name].sum():,})", name=name)  # fmt: skip
        tips = [(name, "@count"), ("all", "@total"), ("magnitude", "@left{0.00} to @right{0.00}")]
        style.hover(plot, [bars], tips)
        bottom = bottom + counts[name]
    centre, some = (edges[1:] + edges[:-1]) / 2, total > 0
    plot.segment(
        centre[some], low[some], centre[some], high[some], color=style.INK, line_width=1.3, name="errors"
    )
    plot.add_layout(Span(location=limit, dimension="height", line_color=style.INK, line_dash="dashed"))
    return style.legend_inside(plot, "top_left", clickable=False)


def completed_sequences(completed: Table, sequences: RedSequences, *, data: str = "") -> GridPlot:
    """Magnitudes, and colours against the red sequence, of each cluster's members and candidates (Fig. 9).

    `completed` is from `labkit.evaluate.complete_members`, `sequences` from `labkit.photometry.red_sequences`
    of the same rows; a cluster without a red sequence has no panels. `data` says what the galaxies are, such
    as "simulated".
    """
    group, hosts = member_groups(completed), text(completed["cluster"])
    note, limit, panels = f" ({data})" if data else "", completed.meta["limit"], []
    for name in sequences.relations:
        here = hosts == name
        m, difference = sequences.magnitude[here], sequences.differential[here]
        left = magnitude_distribution(m, group[here], title=name + note, limit=limit)
        right = differential_colour_magnitude(m, difference, group[here], width=550, height=400)
        panels.append([left, right])
    return style.grid(panels)


def member_profiles(profiles: Mapping[str, Table], *, title: str = "") -> GridPlot:
    """Cumulative and differential projected number profiles of clusters in R/R200, in bands (Fig. 15).

    `profiles` are from `member_profile`. Left N(< R) / N0 at the outer edges, right the number in an annulus
    per R200^2 over N0, at its middle, on logarithmic axes, where empty bins are gaps. The radius within which
    N0 counts is dotted.
    """
    if not profiles:
        raise InputError("profiles must hold one cluster at least, got none; use member_profile")
    for name, table in profiles.items():
        marks.need_rows(table, _PROFILE, f"profiles[{name!r}], from member_profile,")
    first = next(iter(profiles.values())).meta
    within, share = first.get("scale_radius"), first.get("confidence")
    heading = f"N0 within {within:g} R200" if within is not None else "N0"
    heading += f", bands {share:.0%}" if share is not None else ""
    left = style.axes(title=title, x="R / R200", y="N(< R) / N0", width=480, height=430)
    right = style.axes(x="R / R200", y="N per R200² / N0", x_axis_type="log", y_axis_type="log", width=480,
                       height=430)  # fmt: skip
    for number, (name, colour) in enumerate(style.colours(profiles).items()):
        column = {c: numbers(profiles[name][c]) for c in _PROFILE}
        dash, n0 = ("solid", "dashed", "dotdash", "dotted")[number // 8 % 4], profiles[name].meta.get("n0")
        label = f"{name} (N0 = {n0})" if n0 is not None else name
        inner, outer = column["inner"], column["outer"]
        middle = np.where(inner > 0, np.sqrt(inner * outer), outer / 2)
        for plot, x, what in ((left, outer, "cumulative"), (right, middle, "density")):
            y, low, high = (column[f"{what}{end}"].copy() for end in _ENDS)
            if plot is right:  # what a logarithmic axis cannot show becomes a gap
                floor = np.nanmin(y[y > 0], initial=np.inf) / 30
                y[~(y > 0)] = np.nan
                low = np.maximum(low, floor if np.isfinite(floor) else 1e-3)
                high = np.where(high > 0, high, np.nan)
            tips = [(label, ""), ("R / R200", "@x{0.000}"), (what, "@y{0.000} (@low{0.000} to @high{0.000})"),
                    ("members in the annulus", "@members")]  # fmt: skip
            marks.draw_line(plot, x, y, low, high, colour=colour, name=what, dash=dash, width=2, band=0.18,
                            label=label if plot is left else "", dots=True, tips=tips,
                            columns={"members": column["members"]})  # fmt: skip
    if within is not None:
        for plot in (left, right):
            plot.add_layout(
                Span(location=within, dimension="height", line_color=style.INK, line_dash="dotted")
            )
    outer = np.concatenate([numbers(table["outer"]) for table in profiles.values()])
    style.log_ticks(right.xaxis[0], 0.3 * float(outer.min()), float(outer.max()))
    style.legend_inside(left, "top_left").legend[0].update(title=heading, title_text_font_style="normal",
                                                           title_text_font_size="12px")  # fmt: skip
    return style.grid([[left, right]])


def caption_of(row: Row, group: str) -> str:
    """What stands above a cut-out in Figs. 10 and 11, such as "z 0.4391" or "−2,310 km/s".

    "TP" gives the redshift, "FN" the velocity in the cluster's frame, others the velocity where it is within
    9000 km/s and else the redshift; empty without a redshift.
    """
    redshift, velocity = (float(getattr(row[name], "value", row[name])) for name in ("redshift", "velocity"))
    near = group == "FN" or (group != "TP" and abs(velocity) <= _NEAR_KM_S)
    if near and np.isfinite(velocity):
        return f"{velocity:+,.0f} km/s".replace("-", "−")
    return f"z {redshift:.4f}" if np.isfinite(redshift) else ""


def member_gallery(
    sample: Sample, predictions: Predictions, *, clusters: Sequence[str] | None = None,
    threshold: float = 0.5, columns: int = 8, where: str = "", bands: Sequence[str] | None = None,
    title: str = "",
) -> figure:  # fmt: skip
    """Colour cut-outs of right and wrong decisions, a row for each group of each cluster (Figs. 10 and 11).

    The Sample is raw or of "fixed-asinh"; only the pixels shown are read, and some for the limits. Its
    catalogue has ``redshift`` and ``velocity``, and ``cluster`` if `clusters` are given. Probabilities are
    means over the runs of the first experiment, the surest decisions come first; `where` is a condition such
    as ``mag_F814 <= 25``; `bands` are those of the composites by wavelength. Frames are green for TP, orange
    for FP, blue for FN.
    """
    needed = ["redshift", "velocity", *(["cluster"] if clusters is not None else [])]
    if missing := [name for name in needed if name not in sample.catalogue.colnames]:
        raise MissingDataError(
            f"the catalogue must have the columns {needed}, {missing} missing; make the Sample with "
            "labkit.sources.members"
        )
    if columns < 1:
        raise InputError(f"columns must be at least 1, got {columns}")
    if clusters is not None:
        there = np.unique(text(sample.catalogue["cluster"])).tolist()
        if not len(clusters) or set(clusters) - set(there):
            raise InputError(f"clusters must be of {there}, got {list(clusters)}")
    objects = gather(sample, predictions)
    state = ErrorState(objects, sample.catalogue, threshold=threshold)
    rows: dict[str, list[tuple[int, str]]] = {}
    for cluster in clusters if clusters is not None else [""]:
        for group in FRAMES:
            words = " and ".join(part for part in (f"cluster = {cluster}" if cluster else "", where) if part)
            shown = state.page(Selection(group, text=words), 0, size=columns)
            rows[f"{cluster} {group}".strip()] = [(int(index), group) for index in shown]
    widest = max(map(len, rows.values()))
    if not widest:
        raise InputError(f"there must be objects to show, got none in {list(rows)} at {threshold}")
    chosen = sample.select(bands=bands)
    colours_of = SampleColours(chosen)
    images = iter(chosen.select(objects.row[[index for found in rows.values() for index, _ in found]]).images)
    pictures: list[str] = []
    cells: list[tuple[str, ...]] = []  # title, frame, then details
    for found in rows.values():
        for index, group in found:
            row = sample.catalogue[int(objects.row[index])]
            pictures.append(png_uri(colours_of.composite(next(images))))
            cells.append(
                (caption_of(row, group), FRAMES[group], str(objects.object_id[index]), GROUPS[group][:-1],
                 f"{state.score[index]:.3f}", caption_of(row, "TP"), caption_of(row, "FN"))
            )  # fmt: skip
        blank = widest - len(found)
        pictures += [EMPTY_PICTURE] * blank
        cells += [("",) * 7] * blank
    titles, frames, *values = map(list, zip(*cells, strict=True))
    names = ("object", "decision", "probability", "redshift", "velocity")
    return gallery(pictures, titles, details=dict(zip(names, values, strict=True)), frames=frames,
                   columns=widest, row_titles=list(rows), size_px=96, title=title)  # fmt: skip


def band_sheet(sample: Sample, object_ids: Sequence[str], *, bands: Sequence[str] | None = None) -> figure:
    """One object per row: its colours, then each band, all pictures of a band on one scale (Fig. 2).

    The Sample is raw or of "fixed-asinh"; only the pixels of the objects are read, and some for the limits.
    Rows are named by its columns ``cluster`` and ``redshift`` where it has them.
    """
    if not len(object_ids):
        raise InputError("object_ids must name one object at least, got none")
    chosen = sample.select(bands=bands)
    colours_of = SampleColours(chosen)
    shown = chosen.select(list(map(str, object_ids)))
    pictures = [
        png_uri(picture)
        for pixels in shown.images
        for picture in (colours_of.composite(pixels), *map(colours_of.grey, chosen.bands, pixels))
    ]
    names = text(shown.catalogue["cluster"]) if "cluster" in shown.catalogue.colnames else shown.object_ids
    rows = [str(name) for name in names]
    if "redshift" in shown.catalogue.colnames:
        redshift = numbers(shown.catalogue["redshift"])
        rows = [f"{n}, z {z:.3f}" if np.isfinite(z) else n for n, z in zip(rows, redshift, strict=True)]
    columns = ["colour", *chosen.bands]
    return gallery(pictures, size_px=96, columns=len(columns), column_titles=columns,
                   row_titles=rows)  # fmt: skip


def bright_members(sample: Sample, *, label: str = "label") -> list[str]:
    """Ids of one rather bright member of each of the first five clusters, for `band_sheet`.

    A sixth of the cluster's members are brighter in ``mag_F814``; without magnitudes, one of them.
    """
    members = QTable(sample.catalogue)[text(sample.catalogue[label]) == "member"]
    if "mag_F814" in members.colnames:
        members.sort("mag_F814")
    ids, hosts = text(members["object_id"]), text(members["cluster"])
    clusters = [name for name in dict.fromkeys(text(sample.catalogue["cluster"]).tolist()) if name in hosts]
    return [str(ids[hosts == name][int((hosts == name).sum() / 6)]) for name in clusters[:5]]


def position_sheet(sample: Sample, views: NDArray, *, columns: int = 8) -> figure:
    """One object of a "fixed-asinh" Sample in several positions, in its grey levels' colours (Fig. A.1).

    `views` are from `labkit.learn.augmented_views`, in the Sample's bands.
    """
    colours_of = SampleColours(sample)
    return gallery([png_uri(colours_of.composite(one)) for one in views], columns=columns, size_px=100)


def field_pictures(
    fields: Sequence[ListedField], *, bands: Sequence[str] | None = None, sources: Table | None = None,
    columns: int = 3, **options: Any,
) -> GridPlot:  # fmt: skip
    """Colour pictures of fields from their mosaics, side by side (Figs. 1 and 8).

    `fields` are from `labkit.sources.members.read_fields`; of `sources`, those of the field's ``cluster`` are
    marked. Other options are those of `mosaic_field`.
    """
    panels = []
    for one in fields:
        theirs = None if sources is None else sources[text(sources["cluster"]) == one.cluster]
        about: dict[str, Any] = {"redshift": one.redshift, "title": f"{one.cluster}, z = {one.redshift:g}"}
        about |= {"sources": theirs} if theirs is not None and len(theirs) else {}
        panels.append(mosaic_field(read_mosaics(one.folder, bands=bands), **about, **options))
    return style.grid(panels, columns=columns)


def galaxy_columns(columns: Mapping[str, ArrayLike]) -> Table:
    """Columns without units and masks, with one entry per galaxy each."""
    plain = {name: marks.plain_column(values) for name, values in columns.items()}
    shapes = {name: values.shape for name, values in plain.items()}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 1:
        raise InputError(f"{', '.join(shapes)} must have one entry per galaxy each, got the shapes {shapes}")
    return Table(plain)
