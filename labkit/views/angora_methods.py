"""Methods beside each other, and their errors along magnitude, colour and crowding (Angora et al. 2020).

Figs. 7, 12, 13, D.2 and D.3; intervals are of 68 %.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import FixedTicker, GridPlot, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate import OUTCOMES, common_scores, crossing, roc_curve, wilson
from labkit.evaluate.resampling import draw_weights
from labkit.predictions import Predictions
from labkit.tables import numbers, rows_of, text
from labkit.views import style
from labkit.views.angora_galaxies import galaxy_columns
from labkit.views.marks import draw_line, draw_points, draw_steps, need_rows
from labkit.views.plots import bars, points
from labkit.views.roc import roc, roc_by_class

_GRID = np.linspace(0, 1, 201)
_LINES = {"purity": (style.PALETTE[0], "solid"), "completeness": (style.PALETTE[1], "dashed")}
_CONFIDENCE = 0.68
_ROW = 46  # screen pixels
#: Four lines in one frame: true negatives are light blue and every outcome has its own dash.
_OUTCOMES = {
    "TP": (style.PALETTE[2], "solid"),
    "TN": (style.PALETTE[5], "dotdash"),
    "FP": (style.PALETTE[1], "solid"),
    "FN": (style.INK, "dashed"),
}


def method_agreement(table: Table, *, title: str = "") -> GridPlot:
    """Shares of the members and of the non-members by which methods judge them correctly.

    The three-circle diagrams of Angora et al. (2020), Fig. D.2, as rows that can be read: on the left which
    methods are right (filled) and which are wrong (cross), on the right how many of the members and of the
    non-members that is, with Wilson's interval. All right is on top, all wrong at the bottom, and the
    methods' own totals are below their names. `table` is from `agreement_table`.
    """
    kinds = ("members", "non_members")
    need_rows(table, kinds, "table, from agreement_table,")
    methods = [name for name in table.colnames if np.asarray(table[name]).dtype == bool]
    if not methods:
        raise InputError(f"table must have one bool column per method, got {table.colnames}")
    counts = np.array([np.asarray(table[name], dtype=np.int64) for name in kinds])  # (kind, row)
    if not counts.sum():
        raise InputError("table must count an object at least, got none")
    right = np.column_stack([np.asarray(table[name]) for name in methods])  # (row, method)
    order = np.lexsort((np.arange(len(right)), -right.sum(axis=1)))
    right, counts = right[order], counts[:, order]
    rows, height = Range1d(len(right) - 0.5, -0.5), 110 + _ROW * len(right)
    left = style.axes(x="", y="", width=60 + 96 * len(methods), height=height, tools="save")
    share = [100 * (counts.sum(0) * right[:, k]).sum() / counts.sum() for k in range(len(methods))]
    style.name_ticks(
        left, [f"{name}\n{one:.1f} %" for name, one in zip(methods, share, strict=True)], lines=False
    )
    for name, which, look in (("right", right, {"size": 15, "color": style.INK}),
                              ("wrong", ~right, {"size": 11, "marker": "x", "color": style.PALETTE[1],
                                                 "line_width": 2.4})):  # fmt: skip
        y, x = np.nonzero(which)
        left.scatter(x, y, name=name, **look)
    plot = style.axes(title=title, x="share of the members, of the non-members (%)", y="", width=460,
                      height=height, x_range=Range1d(0, 132), tools="save")  # fmt: skip
    words = [" + ".join(np.array(methods)[one]) or "none" for one in right]
    parts, labels = [], {}
    for number, name in enumerate(("members", "non-members")):
        if total := int(counts[number].sum()):
            labels[name] = f"{name} ({total:,})"
            low, high = 100 * np.array(wilson(counts[number], total, confidence=_CONFIDENCE))
            for k, n in enumerate(counts[number]):
                parts.append(
                    {"right": words[k], "kind": name, "share": 100 * n / total, "share_low": low[k],
                     "share_high": high[k], "objects": n, "words": f"{100 * n / total:.1f} % ({n:,})",
                     "interval": f"{low[k]:.1f} to {high[k]:.1f} %"}
                )  # fmt: skip
    bars(Table(parts), "right", "share", by="kind", beside="words", opacity=0.7, labels=labels, on=plot,
         palette={name: style.GROUP_COLOURS[name.removesuffix("s")] for name in labels},
         details={"objects": "", "share": "0.0", "interval": "", "right": ""})  # fmt: skip
    plot.xaxis.update(ticker=FixedTicker(ticks=[0, 20, 40, 60, 80, 100]), axis_line_color=style.INK)
    for panel in (left, plot):
        panel.y_range = rows
        second = list(range(0, len(right), 2))  # grey, so that the eye keeps the row
        panel.hbar(second, left=-1e3, right=1e3, height=1, color=style.FAINT, alpha=0.5, level="underlay")
        panel.yaxis.ticker = FixedTicker(ticks=[])
        panel.grid.grid_line_color = None
        panel.outline_line_color = None
    return style.grid([[left, style.legend_inside(plot, "bottom_right", clickable=False)]])


def threshold_curves(
    methods: Mapping[str, Predictions], *, resamples: int = 300, rng: np.random.Generator | int = 0,
    width: int = 380, height: int = 360,
) -> GridPlot:  # fmt: skip
    """Purity and completeness against the threshold, their crossing marked, a panel per method (Fig. 7).

    Methods are compared on the objects that all of them judged; trainings of a method are averaged. Bands and
    the error of the crossing, where as many objects are selected as there are members, are from a bootstrap
    of objects.
    """
    scores = _common(methods)
    member, every = np.asarray(scores["member"], dtype=bool), np.ones(len(scores), dtype=bool)
    draws = draw_weights([every], resamples=resamples, rng=np.random.default_rng(rng))
    panels: list[figure] = []
    for name in methods:
        p = np.asarray(scores[name], dtype=np.float64)
        first = panels[0] if panels else None
        shared = {"x_range": first.x_range if first else style.unit_range(),
                  "y_range": first.y_range if first else style.unit_range()}  # fmt: skip
        plot = style.axes(title=name, x="threshold of the probability", y="purity, completeness", width=width,
                          height=height, **shared)  # fmt: skip
        found, spread = _quality_at(member, p, np.ones(len(p))), _quality_at(member, p, draws)
        for kind, (colour, dash) in _LINES.items():
            good = np.isfinite(found[kind]) & np.isfinite(spread[kind]).any(axis=0)
            bounds: Any = (None, None)
            if len(draws) and good.any():
                tails = [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]
                bounds = np.nanquantile(spread[kind][:, good], tails, axis=0)
            draw_line(plot, _GRID[good], found[kind][good], *bounds, colour=colour, dash=dash, name=kind,
                      label="" if panels else kind,
                      tips=[("threshold", "$x{0.00}"), (kind, "$y{0.000}")])  # fmt: skip
        _mark_crossing(plot, member, p, draws)
        panels.append(style.legend_inside(plot, "bottom_left", clickable=False))
    return style.grid(panels, columns=3)


def pooled_rocs(methods: Mapping[str, Predictions], *, title: str = "") -> figure:
    """ROC curves of several methods on the objects that all judged (Fig. 7); trainings are averaged."""
    scores = _common(methods)
    member = np.asarray(scores["member"], dtype=bool)
    lines = {name: [roc_curve(member, scores[name])] for name in methods}
    return roc(lines, title=title)


def method_rocs(methods: Mapping[str, Predictions], catalogue: Table, *, columns: int = 2) -> GridPlot:
    """ROC curves of several methods, a panel per cluster (Angora et al. 2020, Fig. D.3).

    Methods are compared on the objects that all of them judged, of which `catalogue` has ``object_id`` and
    ``cluster``; trainings are averaged. Clusters without members or without others have no panel.
    """
    scores = _common(methods)
    need_rows(catalogue, ["object_id", "cluster"], "catalogue")
    row = rows_of(catalogue["object_id"], scores["object_id"])
    if (row < 0).any():
        lacking = text(scores["object_id"])[row < 0][:5].tolist()
        raise InputError(f"catalogue must hold every object judged, it lacks {lacking}")
    hosts, member = text(catalogue["cluster"])[row], np.asarray(scores["member"], dtype=bool)
    curves = {}
    for host in np.unique(hosts).tolist():
        here = hosts == host
        if member[here].any() and not member[here].all():
            found = {name: roc_curve(member[here], np.asarray(scores[name])[here]) for name in methods}
            curves[f"{host} ({member[here].sum()} of {here.sum()} members)"] = [found]
    if not curves:
        raise InputError(
            f"catalogue must have a cluster with members and others, got {np.unique(hosts).tolist()}"
        )
    return roc_by_class(curves, width=440, columns=columns)


def _common(methods: Mapping[str, Predictions]) -> Table:
    """Probabilities of the common objects; one method alone will do."""
    if not methods:
        raise InputError("methods must hold one name with its predictions at least, got none")
    if len(methods) > 1:
        return common_scores(methods)
    ((name, only),) = methods.items()
    return common_scores({name: only, f"{name} again": only})["object_id", "member", name]


def _quality_at(member: NDArray[np.bool_], p: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """Purity and completeness of what is selected at each threshold of the grid, shape (..., threshold)."""
    order = np.argsort(-p, kind="stable")
    selected = np.searchsorted(-p[order], -_GRID, side="right")  # how many have a score at or above it
    zero = np.zeros((*weight.shape[:-1], 1))
    every = np.concatenate([zero, np.cumsum(weight[..., order], axis=-1)], axis=-1)[..., selected]
    right = np.concatenate([zero, np.cumsum((weight * member)[..., order], axis=-1)], axis=-1)[..., selected]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"purity": right / every, "completeness": right / (weight * member).sum(-1, keepdims=True)}


def _mark_crossing(plot: figure, member: NDArray, p: NDArray, draws: NDArray) -> None:
    """A dot where the curves meet, its value with the bootstrap's standard deviation."""
    threshold, value = crossing(member, p)
    order = np.argsort(-p, kind="stable")
    selected, right = (np.cumsum(w[:, order], axis=1) for w in (draws, draws * member))
    total = right[:, -1]
    last = (selected >= total[:, None]).argmax(axis=1)  # as many as there are members
    values = (right[np.arange(len(draws)), last] / np.maximum(total, 1))[total > 0]
    error = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    plot.line([threshold, threshold], [0, value], color=style.INK, line_dash="dotted")
    plot.scatter([threshold], [value], size=9, color=style.INK, name="crossing")
    left, words = threshold > 0.6, f"{100 * value:.1f}{error} %\nat {threshold:.2f}"
    plot.text([threshold], [value / 2], [words], name="crossing value", x_offset=-10 if left else 10,
              text_align="right" if left else "left", text_baseline="middle", text_font=style.GLYPH_FONT,
              text_font_size="13px", text_color=style.INK)  # fmt: skip


def error_distributions(
    quantities: Mapping[str, ArrayLike], outcome: ArrayLike, *, bins: int = 16, title: str = ""
) -> GridPlot:
    """False positives and negatives beside all members and non-members, a column per quantity (Fig. 13).

    Above, the share of each population in each bin over the central 99 % of the quantity: false positives are
    to be compared with members, false negatives with non-members. Below, the error rates FP / non-members and
    FN / members (Table 3) with Wilson's intervals. `quantities` are by axis label, such as ``{"F814 (mag)":
    magnitude}``; `outcome` is "TP", "TN", "FP", "FN", or "", which is left out.
    """
    if not quantities:
        raise InputError("quantities must hold one axis label with its values at least, got none")
    table, columns = galaxy_columns({**quantities, "outcome": outcome}), []
    kinds = _outcomes(table)
    for number, label in enumerate(quantities):
        column = numbers(table[label])
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
        top = style.axes(title="" if number else title, x=label, y="share of each in a bin", width=470,
                         height=300 + 2 * style.LEGEND_ROW)  # fmt: skip
        top.y_range.start = 0
        populations = (
            ("members", counts["TP"] + counts["FN"], "TP", {"fill": 0.25, "line": False}),
            ("non-members", counts["TN"] + counts["FP"], "TN", {"fill": 0.25, "line": False}),
            ("FP", counts["FP"], "FP", {"width": 2.2}),
            ("FN", counts["FN"], "FN", {"width": 2.2, "dash": "dashed"}),
        )
        for name, count, colour, look in populations:
            words = "" if number else f"{name} ({count.sum():,})"
            draw_steps(top, edges, count / max(count.sum(), 1), colour=style.GROUP_COLOURS[colour], name=name,
                       label=words, **look)  # fmt: skip
        rates = _error_rates(edges, counts, label)
        rates.x_range = top.x_range
        rates.legend[0].visible = number == 0
        columns.append((style.legend_above(top, columns=2), rates))
    return style.grid([list(row) for row in zip(*columns, strict=True)])


def _error_rates(edges: NDArray, counts: Mapping[str, NDArray], label: str) -> figure:
    """Error rates in each bin that holds objects, with their intervals."""
    rows = []
    for kind, right in (("FP", "TN"), ("FN", "TP")):
        trials = counts[kind] + counts[right]
        low, high = wilson(counts[kind], trials, confidence=_CONFIDENCE)
        for k in np.flatnonzero(trials):
            rate, words = counts[kind][k] / trials[k], f"{counts[kind][k]} of {trials[k]}"
            rows.append((kind, edges[k : k + 2].mean(), rate, low[k], high[k], words))
    table = Table(rows=rows, names=("kind", "x", "rate", "rate_low", "rate_high", "objects"))
    labels = {"FP": "FP / non-members", "FN": "FN / members"}
    plot = points(table, "x", "rate", by="kind", labels=labels, size=7,
                  palette={kind: style.GROUP_COLOURS[kind] for kind in ("FP", "FN")},
                  markers=("circle", "square"), dodge=0.24 * float(edges[1] - edges[0]),
                  details={"objects": ""}, x_label=label, y_label="error rate", width=470,
                  height=300 + style.LEGEND_ROW)  # fmt: skip
    plot.y_range = Range1d(-0.02, 1.02)
    return plot


def contamination_distribution(
    index: ArrayLike, outcome: ArrayLike, *, bins: int = 10, title: str = ""
) -> GridPlot:
    """Contamination index of each outcome, logarithmic, beside the share above 0 (Fig. 12).

    `index` is from `contamination_index`, such as its column ``normalised``; `outcome` is "TP", "TN", "FP",
    "FN", or "", which is left out. Bins of equal ratio; Wilson's intervals of the shares in both panels.
    """
    table = galaxy_columns({"index": index, "outcome": outcome})
    values, kinds = numbers(table["index"]), _outcomes(table)
    if (values < 0).any():
        raise InputError(f"index must never be negative, got {np.nanmin(values)}")
    groups = {kind: values[np.isfinite(values) & (kinds == kind)] for kind in OUTCOMES}
    every = np.concatenate(list(groups.values()))
    if not len(every):
        raise InputError(f"index must be finite for one judged object at least, got none of {len(values)}")
    above = every[every > 0]
    low, high = (above.min(), above.max()) if len(above) else (0.1, 1.0)
    edges = np.geomspace(low / 1.02, high * 1.02, bins + 1)
    left = style.axes(title=title, x="contamination index", y="share of the outcome's objects", width=560,
                      height=380, x_axis_type="log")  # fmt: skip
    left.y_range.start = 0
    for number, (kind, (colour, dash)) in enumerate(_OUTCOMES.items()):
        n, count = len(groups[kind]), np.histogram(groups[kind], bins=edges)[0]
        label = f"{kind} ({n:,})"
        draw_steps(left, edges, count / max(n, 1), colour=colour, dash=dash, name=kind, label=label)
        if n:  # bars in the middle of the bins, a little apart for each outcome
            place = edges[:-1] * (edges[1:] / edges[:-1]) ** (0.26 + 0.16 * number)
            bounds = wilson(count, n, confidence=_CONFIDENCE)
            left.segment(place, bounds[0], place, bounds[1], color=colour, line_width=1.3, legend_label=label)
    style.log_ticks(left.xaxis[0], low, high)
    right = style.axes(x="outcome", y="share with a contaminant", width=280, height=380,
                       y_range=Range1d(-0.02, 1.02))  # fmt: skip
    style.name_ticks(right, list(_OUTCOMES), lines=False)
    there = {kind: place for place, kind in enumerate(_OUTCOMES) if len(groups[kind])}
    k = np.array([(groups[kind] > 0).sum() for kind in there])
    trials = np.array([len(groups[kind]) for kind in there])
    columns = {"k": k, "n": trials, "kind": list(there), "colour": [_OUTCOMES[kind][0] for kind in there]}
    bounds = wilson(k, trials, confidence=_CONFIDENCE)
    draw_points(right, list(there.values()), k / trials, *bounds, colour="colour", name="crowded",
                columns=columns,
                tips=[("outcome", "@kind"), ("crowded", "@k of @n"), ("share", "@y{0.00}")])  # fmt: skip
    return style.grid([[style.legend_above(left), right]])


def _outcomes(table: Table) -> NDArray[np.str_]:
    kinds = text(table["outcome"])
    if unknown := sorted(set(kinds.tolist()) - {*OUTCOMES, ""}):
        raise InputError(f"outcome must be of {OUTCOMES} or empty, got {unknown}")
    return kinds
