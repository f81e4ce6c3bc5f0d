"""Figures of the galaxies themselves (Angora et al. 2020): colours, errors, crowding, profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.stats import poisson_conf_interval
from astropy.table import Table
from bokeh.models import BoxAnnotation, ColumnDataSource, GridPlot, Range1d, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from labkit.errors import InputError
from labkit.evaluate import OUTCOMES, member_groups, wilson
from labkit.photometry import ColourMagnitude
from labkit.photometry.red_sequence import RedSequences
from labkit.tables import numbers, text
from labkit.views.distributions import scatter
from labkit.views.marks import draw_line, draw_points, draw_steps
from labkit.views.plots import points
from labkit.views.style import (
    GROUP_COLOURS,
    INK,
    LEGEND_ROW,
    PALETTE,
    axes,
    class_colours,
    colours,
    grid,
    hover,
    legend_above,
    legend_inside,
    log_ticks,
    name_ticks,
)

#: Groups whose galaxies are cluster members, known or predicted.
_MEMBERS = ("member", "spectroscopic member", "candidate member", "TP", "FN")
#: Four lines in one frame: true negatives are light blue and every outcome has its own dash.
_OUTCOMES = {
    "TP": (PALETTE[2], "solid"),
    "TN": (PALETTE[5], "dotdash"),
    "FP": (PALETTE[1], "solid"),
    "FN": (INK, "dashed"),
}
_ENDS = ("", "_low", "_high")
_PROFILE = ("inner", "outer", "members", *(f"{n}{end}" for n in ("cumulative", "density") for end in _ENDS))


def colour_magnitude(
    magnitude: ArrayLike, colour: ArrayLike, group: ArrayLike, *, relation: ColourMagnitude | None = None,
    colour_error: ArrayLike | None = None, details: Mapping[str, ArrayLike] | None = None,
    x: str = "F814 (mag)", y: str = "F606 − F814 (mag)", title: str = "", width: int = 620, height: int = 460,
) -> figure:  # fmt: skip
    """Colour against magnitude, with the relation of the members and its scatter (Angora et al. 2020, 4.2).

    Groups are "member", "spectroscopic member", "candidate member", "non-member", "candidate non-member", or
    "TP", "TN", "FP", "FN"; galaxies without a group, magnitude or colour are left out. Medians of
    `colour_error` in steps of one magnitude stand at the lower edge; `details` are what the pointer shows.
    The axes hold 99 % of the galaxies, the reset tool and the wheel show the rest.
    """
    m, c = _column(magnitude, "magnitude"), _column(colour, "colour", like=magnitude)
    table = Table({"magnitude": m, "colour": c, "group": _names(group, "group", like=m)})
    for name, values in (details or {}).items():
        if np.shape(values) != m.shape:
            raise InputError(
                f"details must have one entry per galaxy, {len(m)}, got {np.shape(values)} in {name!r}"
            )
        table[name] = values
    shown = dict.fromkeys(details or {}, "") | {"magnitude": "0.00", "colour": "0.00"}
    plot = scatter(table, "magnitude", "colour", by="group", details=shown, counts=True, unnamed="",
                   title=title, relation=relation, central=0.99, x_label=x, y_label=y, width=width,
                   height=height)  # fmt: skip
    if colour_error is not None:
        _typical_errors(plot, m, _column(colour_error, "colour_error", like=m))
    return plot


def differential_colour_magnitude(
    magnitude: ArrayLike, differential: ArrayLike, group: ArrayLike, *, sigma: float | None = None,
    colour_error: ArrayLike | None = None, details: Mapping[str, ArrayLike] | None = None,
    x: str = "F814 (mag)", y: str = "(F606 − F814) − red sequence (mag)", title: str = "", width: int = 620,
    height: int = 460,
) -> figure:  # fmt: skip
    """Differential colour against magnitude, the members' median and ± 1 sigma grey (Figs. 9 and 14).

    As `colour_magnitude`, with `labkit.photometry.differential_colour`. The median and, without `sigma`
    (mag), the spread, 1.4826 times the median absolute deviation, are those of the members drawn, missed ones
    among them.
    """
    if sigma is not None and not sigma >= 0:
        raise InputError(f"sigma must be zero or more, in mag, got {sigma}")
    plot = colour_magnitude(magnitude, differential, group, colour_error=colour_error, details=details,
                            x=x, y=y, title=title, width=width, height=height)  # fmt: skip
    m, c = _column(magnitude, "magnitude"), _column(differential, "differential")
    theirs = c[np.isin(text(group), _MEMBERS) & np.isfinite(m) & np.isfinite(c)]
    if len(theirs):
        middle = float(np.median(theirs))
        half = 1.4826 * float(np.median(np.abs(theirs - middle))) if sigma is None else sigma
        plot.add_layout(BoxAnnotation(bottom=middle - half, top=middle + half, fill_color="#bdbdbd",
                                      fill_alpha=0.6, line_color=None, level="underlay"))  # fmt: skip
        plot.add_layout(Span(location=middle, dimension="width", line_color=INK, line_dash="dashed"))
        words, nowhere = f"members' median ± 1σ ({half:.3f} mag)", [np.nan, np.nan]  # only for the legend
        plot.varea(nowhere, nowhere, nowhere, color="#bdbdbd", alpha=0.6, legend_label=words)
        plot.line(nowhere, nowhere, color=INK, line_dash="dashed", legend_label=words, name="median")
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
        plot.segment(places, middle - bars, places, middle + bars, color=INK, line_width=1.5, name="errors")
        plot.scatter(places, middle, size=3, color=INK, legend_label="median error")


def magnitude_distribution(
    magnitude: ArrayLike, group: ArrayLike, *,
    stacked: Sequence[str] = ("spectroscopic member", "candidate member"), step: float = 0.5,
    limit: float | None = 25.0, x: str = "F814 (mag)", title: str = "", width: int = 560, height: int = 340,
) -> figure:  # fmt: skip
    """Magnitudes of spectroscopic and candidate members, stacked (Angora et al. 2020, Fig. 9, first row).

    Bins are `step` mag wide, their edges multiples of it; bars give the 68 % Poisson interval of the sum; the
    dashed line is the magnitude to which candidates are accepted. An empty group keeps its place in the
    legend.
    """
    m = _column(magnitude, "magnitude")
    names = _names(group, "group", like=m)
    if not step > 0:
        raise InputError(f"step must be positive, in mag, got {step}")
    good = np.isfinite(m) & np.isin(names, list(stacked))
    if not good.any():
        raise InputError(f"magnitude must be finite for a galaxy of {list(stacked)}, got none of {len(m)}")
    edges = step * np.arange(np.floor(m[good].min() / step), np.floor(m[good].max() / step) + 2)
    counts = {name: np.histogram(m[good & (names == name)], bins=edges)[0] for name in stacked}
    total = np.sum(list(counts.values()), axis=0)
    low, high = poisson_conf_interval(total, "frequentist-confidence", sigma=norm.isf(0.16))
    plot = axes(title=title, x=x, y=f"galaxies in {step:g} mag", width=width, height=height,
                y_range=Range1d(0, 1.08 * float(high.max())))  # fmt: skip
    bottom = np.zeros(len(total))
    for name, colour in class_colours(stacked).items():
        data = {"left": edges[:-1], "right": edges[1:], "bottom": bottom, "top": bottom + counts[name],
                "count": counts[name], "total": total}  # fmt: skip
        bars = plot.quad(source=ColumnDataSource(data), fill_color=colour, fill_alpha=0.7, line_color="white",
                         legend_label=f"{name} ({counts[name].sum():,})", name=name)  # fmt: skip
        tips = [(name, "@count"), ("all", "@total"), ("magnitude", "@left{0.00} to @right{0.00}")]
        hover(plot, [bars], tips)
        bottom = bottom + counts[name]
    centre, some = (edges[1:] + edges[:-1]) / 2, total > 0
    plot.segment(centre[some], low[some], centre[some], high[some], color=INK, line_width=1.3, name="errors")
    if limit is not None:
        plot.add_layout(Span(location=limit, dimension="height", line_color=INK, line_dash="dashed"))
    return legend_inside(plot, "top_left", clickable=False)


def completed_sequences(
    completed: Table, sequences: RedSequences, *, data: str = "", height: int = 400
) -> GridPlot:  # fmt: skip
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
        left = magnitude_distribution(m, group[here], title=name + note, limit=limit, width=420,
                                      height=height - 50)  # fmt: skip
        panels.append([left, differential_colour_magnitude(m, difference, group[here], width=550,
                                                           height=height)])  # fmt: skip
    return grid(panels)


def error_distributions(
    quantities: Mapping[str, ArrayLike], outcome: ArrayLike, *, bins: int = 16, confidence: float = 0.68,
    title: str = "", width: int = 470, height: int = 300,
) -> GridPlot:  # fmt: skip
    """False positives and negatives beside all members and non-members, a column per quantity (Fig. 13).

    Above, the share of each population in each bin over the central 99 % of the quantity: false positives are
    to be compared with members, false negatives with non-members. Below, the error rates FP / non-members and
    FN / members (Table 3) with Wilson's intervals. `quantities` are by axis label, such as ``{"F814 (mag)":
    magnitude}``; `outcome` is "TP", "TN", "FP", "FN", or "", which is left out.
    """
    if not quantities:
        raise InputError("quantities must hold one axis label with its values at least, got none")
    kinds = _outcomes(outcome, like=numbers(next(iter(quantities.values()))))
    values = {label: _column(column, label, like=kinds) for label, column in quantities.items()}
    columns = []
    for number, (label, column) in enumerate(values.items()):
        good = np.isfinite(column) & (kinds != "")
        if not good.any():
            raise InputError(
                f"{label!r} must be finite for one judged galaxy at least, got none of {len(kinds)}"
            )
        low, high = np.percentile(column[good], [0.5, 99.5])
        if not ((column[good] >= low) & (column[good] <= high)).any():  # two galaxies
            low, high = column[good].min(), column[good].max()
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        counts = {k: np.histogram(column[good & (kinds == k)], bins=edges)[0] for k in OUTCOMES}
        top = axes(title="" if number else title, x=label, y="share of each in a bin", width=width,
                   height=height + 2 * LEGEND_ROW)  # fmt: skip
        top.y_range.start = 0
        populations = (
            ("members", counts["TP"] + counts["FN"], "TP", {"fill": 0.25, "line": False}),
            ("non-members", counts["TN"] + counts["FP"], "TN", {"fill": 0.25, "line": False}),
            ("FP", counts["FP"], "FP", {"width": 2.2}),
            ("FN", counts["FN"], "FN", {"width": 2.2, "dash": "dashed"}),
        )
        for name, count, colour, style in populations:
            words = "" if number else f"{name} ({count.sum():,})"
            draw_steps(top, edges, count / max(count.sum(), 1), colour=GROUP_COLOURS[colour], name=name,
                       label=words, **style)  # fmt: skip
        rates = _error_rates(edges, counts, label, confidence, width=width, height=height + LEGEND_ROW)
        rates.x_range = top.x_range
        rates.legend[0].visible = number == 0
        columns.append((legend_above(top, columns=2), rates))
    return grid([list(row) for row in zip(*columns, strict=True)])


def _error_rates(
    edges: NDArray, counts: Mapping[str, NDArray], label: str, confidence: float, **size: Any
) -> figure:
    """Error rates in each bin that holds objects, with their intervals."""
    rows = []
    for kind, right in (("FP", "TN"), ("FN", "TP")):
        trials = counts[kind] + counts[right]
        low, high = wilson(counts[kind], trials, confidence=confidence)
        for k in np.flatnonzero(trials):
            rate, words = counts[kind][k] / trials[k], f"{counts[kind][k]} of {trials[k]}"
            rows.append((kind, edges[k : k + 2].mean(), rate, low[k], high[k], words))
    table = Table(rows=rows, names=("kind", "x", "rate", "rate_low", "rate_high", "objects"))
    labels = {"FP": "FP / non-members", "FN": "FN / members"}
    plot = points(table, "x", "rate", by="kind", labels=labels, size=7,
                  palette={kind: GROUP_COLOURS[kind] for kind in ("FP", "FN")}, markers=("circle", "square"),
                  dodge=0.24 * float(edges[1] - edges[0]), details={"objects": ""}, x_label=label,
                  y_label="error rate", **size)  # fmt: skip
    plot.y_range = Range1d(-0.02, 1.02)
    return plot


def contamination_distribution(
    index: ArrayLike, outcome: ArrayLike, *, bins: int = 10, confidence: float = 0.68,
    x: str = "contamination index", title: str = "", width: int = 560, height: int = 380,
) -> GridPlot:  # fmt: skip
    """Contamination index of each outcome, logarithmic, beside the share above 0 (Fig. 12).

    `index` is from `contamination_index`, such as its column ``normalised``; `outcome` is "TP", "TN", "FP",
    "FN", or "", which is left out. Bins of equal ratio; Wilson's intervals of the shares in both panels.
    """
    values = _column(index, "index")
    kinds = _outcomes(outcome, like=values)
    if (values < 0).any():
        raise InputError(f"index must never be negative, got {np.nanmin(values)}")
    groups = {kind: values[np.isfinite(values) & (kinds == kind)] for kind in OUTCOMES}
    every = np.concatenate(list(groups.values()))
    if not len(every):
        raise InputError(f"index must be finite for one judged object at least, got none of {len(values)}")
    above = every[every > 0]
    low, high = (above.min(), above.max()) if len(above) else (0.1, 1.0)
    edges = np.geomspace(low / 1.02, high * 1.02, bins + 1)
    left = axes(title=title, x=x, y="share of the outcome's objects", x_axis_type="log", width=width,
                height=height)  # fmt: skip
    left.y_range.start = 0
    for number, (kind, (colour, dash)) in enumerate(_OUTCOMES.items()):
        n, count = len(groups[kind]), np.histogram(groups[kind], bins=edges)[0]
        label = f"{kind} ({n:,})"
        draw_steps(left, edges, count / max(n, 1), colour=colour, dash=dash, name=kind, label=label)
        if n:  # bars in the middle of the bins, a little apart for each outcome
            place = edges[:-1] * (edges[1:] / edges[:-1]) ** (0.26 + 0.16 * number)
            bounds = wilson(count, n, confidence=confidence)
            left.segment(place, bounds[0], place, bounds[1], color=colour, line_width=1.3, legend_label=label)
    log_ticks(left.xaxis[0], low, high)
    right = axes(x="outcome", y="share with a contaminant", width=max(260, width // 2), height=height,
                 y_range=Range1d(-0.02, 1.02))  # fmt: skip
    name_ticks(right, list(_OUTCOMES), lines=False)
    there = [kind for kind in _OUTCOMES if len(groups[kind])]
    k = np.array([(groups[kind] > 0).sum() for kind in there])
    n = np.array([len(groups[kind]) for kind in there])
    place = [list(_OUTCOMES).index(kind) for kind in there]
    draw_points(right, place, k / n, *wilson(k, n, confidence=confidence), colour="colour",
                name="crowded", columns={"k": k, "n": n, "kind": there,
                                                          "colour": [_OUTCOMES[kind][0] for kind in there]},
                tips=[("outcome", "@kind"), ("crowded", "@k of @n"), ("share", "@y{0.00}")])  # fmt: skip
    return grid([[legend_above(left), right]])


def member_profiles(
    profiles: Mapping[str, Table], *, log: bool = True, title: str = "", width: int = 480, height: int = 430
) -> GridPlot:
    """Cumulative and differential projected number profiles of clusters in R/R200, in bands (Fig. 15).

    `profiles` are from `member_profile`. Left N(< R) / N0 at the outer edges, right the number in an annulus
    per R200^2 over N0, at its middle, by default on logarithmic axes, where empty bins are gaps. The radius
    within which N0 counts is dotted.
    """
    if not profiles:
        raise InputError("profiles must hold one cluster at least, got none; use member_profile")
    for name, table in profiles.items():
        if missing := [column for column in _PROFILE if column not in table.colnames]:
            raise InputError(f"profiles[{name!r}] must be from member_profile, it lacks {missing}")
    first = next(iter(profiles.values())).meta
    within, share = first.get("scale_radius"), first.get("confidence")
    heading = f"N0 within {within:g} R200" if within is not None else "N0"
    heading += f", bands {share:.0%}" if share is not None else ""
    kind = "log" if log else "linear"
    left = axes(title=title, x="R / R200", y="N(< R) / N0", width=width, height=height)
    right = axes(x="R / R200", y="N per R200² / N0", x_axis_type=kind, y_axis_type=kind, width=width,
                 height=height)  # fmt: skip
    for number, (name, colour) in enumerate(colours(profiles).items()):
        column = {c: numbers(profiles[name][c]) for c in _PROFILE}
        n0 = profiles[name].meta.get("n0")
        label = f"{name} (N0 = {n0})" if n0 is not None else name
        inner, outer = column["inner"], column["outer"]
        middle = np.where(inner > 0, np.sqrt(inner * outer), outer / 2) if log else (inner + outer) / 2
        for plot, x, what in ((left, outer, "cumulative"), (right, middle, "density")):
            y, low, high = (column[f"{what}{end}"].copy() for end in _ENDS)
            if log and plot is right:  # what a logarithmic axis cannot show becomes a gap
                floor = np.nanmin(y[y > 0], initial=np.inf) / 30
                y[~(y > 0)] = np.nan
                low = np.maximum(low, floor if np.isfinite(floor) else 1e-3)
                high = np.where(high > 0, high, np.nan)
            tips = [(label, ""), ("R / R200", "@x{0.000}"), (what, "@y{0.000} (@low{0.000} to @high{0.000})"),
                    ("members in the annulus", "@members")]  # fmt: skip
            draw_line(plot, x, y, low, high, colour=colour, name=what, label=label if plot is left else "",
                      dash=("solid", "dashed", "dotdash", "dotted")[number // 8 % 4], width=2, band=0.18,
                      dots=True, columns={"members": column["members"]}, tips=tips)  # fmt: skip
    if within is not None:
        for plot in (left, right):
            plot.add_layout(Span(location=within, dimension="height", line_color=INK, line_dash="dotted"))
    if log:
        outer = np.concatenate([numbers(table["outer"]) for table in profiles.values()])
        log_ticks(right.xaxis[0], 0.3 * float(outer.min()), float(outer.max()))
    legend_inside(left, "top_left").legend[0].update(title=heading, title_text_font_style="normal",
                                                     title_text_font_size="12px")  # fmt: skip
    return grid([[left, right]])


def _column(values: ArrayLike, name: str, *, like: ArrayLike | None = None) -> NDArray[np.float64]:
    """Plain numbers, masked entries as NaN, one for each of the galaxies."""
    plain = numbers(values)
    if plain.ndim != 1 or (like is not None and len(plain) != len(np.asarray(like))):
        wanted = "n" if like is None else len(np.asarray(like))
        raise InputError(f"{name} must have the shape ({wanted},), one number per galaxy, got {plain.shape}")
    return plain


def _names(values: ArrayLike, name: str, *, like: NDArray) -> NDArray[np.str_]:
    """Plain text, masked entries empty, one for each of the galaxies."""
    column = text(values)
    if column.shape != (len(like),):
        wanted = f"the shape ({len(like)},), one name per galaxy"
        raise InputError(f"{name} must have {wanted}, got {column.shape}")
    return column


def _outcomes(outcome: ArrayLike, *, like: NDArray) -> NDArray[np.str_]:
    kinds = _names(outcome, "outcome", like=like)
    if unknown := sorted(set(kinds.tolist()) - {*OUTCOMES, ""}):
        raise InputError(f"outcome must be of {OUTCOMES} or empty, got {unknown}")
    return kinds
