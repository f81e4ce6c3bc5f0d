"""Methods beside each other on the same objects (Angora et al. 2020, Figs. 7, D.2 and D.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import FixedTicker, GridPlot, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import common_scores, crossing, roc_curve, wilson
from labkit.predictions import Predictions
from labkit.tables import rows_of, text
from labkit.views.curves import roc, roc_by_class
from labkit.views.marks import (
    draw_line,
    need_columns,
)
from labkit.views.plots import bars
from labkit.views.style import (
    FAINT,
    GLYPH_FONT,
    GROUP_COLOURS,
    INK,
    PALETTE,
    axes,
    grid,
    legend_inside,
    name_ticks,
    unit_range,
)

_GRID = np.linspace(0, 1, 201)
_LINES = {"purity": (PALETTE[0], "solid"), "completeness": (PALETTE[1], "dashed")}
_ROW = 46  # screen pixels


def method_agreement(
    table: Table, *, confidence: float = 0.68, title: str = "", width: int = 460
) -> GridPlot:
    """Shares of the members and of the non-members by which methods judge them correctly.

    The three-circle diagrams of Angora et al. (2020), Fig. D.2, as rows that can be read: on the left which
    methods are right (filled) and which are wrong (cross), on the right how many of the members and of the
    non-members that is, with Wilson's interval. All right is on top, all wrong at the bottom, and the
    methods' own totals are below their names. `table` is from `agreement_table`.
    """
    kinds = ("members", "non_members")
    if missing := [name for name in kinds if name not in table.colnames]:
        raise InputError(f"table must be from agreement_table, it lacks {missing}")
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
    left = axes(x="", y="", width=60 + 96 * len(methods), height=height, tools="save")
    share = [100 * (counts.sum(0) * right[:, k]).sum() / counts.sum() for k in range(len(methods))]
    name_ticks(left, [f"{name}\n{one:.1f} %" for name, one in zip(methods, share, strict=True)], lines=False)
    for name, which, style in (("right", right, {"size": 15, "color": INK}),
                               ("wrong", ~right, {"size": 11, "marker": "x", "color": PALETTE[1],
                                                  "line_width": 2.4})):  # fmt: skip
        y, x = np.nonzero(which)
        left.scatter(x, y, name=name, **style)
    plot = axes(title=title, x="share of the members, of the non-members (%)", y="", width=width,
                height=height, x_range=Range1d(0, 132), tools="save")  # fmt: skip
    words = [" + ".join(np.array(methods)[one]) or "none" for one in right]
    parts, labels = [], {}
    for number, name in enumerate(("members", "non-members")):
        if total := int(counts[number].sum()):
            labels[name] = f"{name} ({total:,})"
            low, high = 100 * np.array(wilson(counts[number], total, confidence=confidence))
            for k, n in enumerate(counts[number]):
                parts.append(
                    {"right": words[k], "kind": name, "share": 100 * n / total, "share_low": low[k],
                     "share_high": high[k], "objects": n, "words": f"{100 * n / total:.1f} % ({n:,})",
                     "interval": f"{low[k]:.1f} to {high[k]:.1f} %"}
                )  # fmt: skip
    bars(Table(parts), "right", "share", by="kind", beside="words", opacity=0.7, labels=labels, on=plot,
         palette={name: GROUP_COLOURS[name.removesuffix("s")] for name in labels},
         details={"objects": "", "share": "0.0", "interval": "", "right": ""})  # fmt: skip
    plot.xaxis.update(ticker=FixedTicker(ticks=[0, 20, 40, 60, 80, 100]), axis_line_color=INK)
    for panel in (left, plot):
        panel.y_range = rows
        panel.hbar(list(range(0, len(right), 2)), left=-1e3, right=1e3, height=1, color=FAINT, alpha=0.5,
                   level="underlay")  # every second row grey, so that the eye keeps the row  # fmt: skip
        panel.yaxis.ticker = FixedTicker(ticks=[])
        panel.grid.grid_line_color = None
        panel.outline_line_color = None
    return grid([[left, legend_inside(plot, "bottom_right", clickable=False)]])


def threshold_curves(
    methods: Mapping[str, Predictions], *, resamples: int = 300, confidence: float = 0.68,
    rng: np.random.Generator | int = 0, columns: int = 3, width: int = 380, height: int = 360,
) -> GridPlot:  # fmt: skip
    """Purity and completeness against the threshold, their crossing marked, a panel per method (Fig. 7).

    Methods are compared on the objects that all of them judged; trainings of a method are averaged. Bands and
    the error of the crossing, where as many objects are selected as there are members, are from a bootstrap
    of objects.
    """
    scores = _common(methods)
    member, generator = np.asarray(scores["member"], dtype=bool), np.random.default_rng(rng)
    draws = generator.multinomial(len(member), np.full(len(member), 1 / len(member)), size=resamples)
    panels: list[figure] = []
    for name in methods:
        p = np.asarray(scores[name], dtype=np.float64)
        first = panels[0] if panels else None
        shared = {"x_range": first.x_range if first else unit_range(),
                  "y_range": first.y_range if first else unit_range()}  # fmt: skip
        plot = axes(title=name, x="threshold of the probability", y="purity, completeness", width=width,
                    height=height, **shared)  # fmt: skip
        found, spread = _quality_at(member, p, np.ones(len(p))), _quality_at(member, p, draws)
        for kind, (colour, dash) in _LINES.items():
            good = np.isfinite(found[kind]) & np.isfinite(spread[kind]).any(axis=0)
            bounds: Any = (None, None)
            if len(draws) and good.any():
                tails = [(1 - confidence) / 2, (1 + confidence) / 2]
                bounds = np.nanquantile(spread[kind][:, good], tails, axis=0)
            draw_line(plot, _GRID[good], found[kind][good], *bounds, colour=colour, dash=dash, name=kind,
                      label="" if panels else kind,
                      tips=[("threshold", "$x{0.00}"), (kind, "$y{0.000}")])  # fmt: skip
        _mark_crossing(plot, member, p, draws)
        panels.append(legend_inside(plot, "bottom_left", clickable=False))
    return grid(panels, columns=columns)


def pooled_rocs(
    methods: Mapping[str, Predictions], *, title: str = "", width: int = 520, height: int = 500
) -> figure:
    """ROC curves of several methods on the objects that all judged (Fig. 7); trainings are averaged."""
    scores = _common(methods)
    member = np.asarray(scores["member"], dtype=bool)
    lines = {name: [roc_curve(member, scores[name])] for name in methods}
    return roc(lines, title=title, width=width, height=height)


def method_rocs(
    methods: Mapping[str, Predictions], catalogue: Table, *, by: str = "cluster", columns: int = 2,
    width: int = 440, height: int = 440,
) -> GridPlot:  # fmt: skip
    """ROC curves of several methods, a panel per cluster (Angora et al. 2020, Fig. D.3).

    Methods are compared on the objects that all of them judged, of which `catalogue` has ``object_id`` and
    `by`; trainings are averaged. Clusters without members or without others have no panel.
    """
    scores = _common(methods)
    need_columns(catalogue, ["object_id", by], "catalogue")
    row = rows_of(catalogue["object_id"], scores["object_id"])
    if (row < 0).any():
        lacking = text(scores["object_id"])[row < 0][:5].tolist()
        raise InputError(f"catalogue must hold every object judged, it lacks {lacking}")
    hosts, member = text(catalogue[by])[row], np.asarray(scores["member"], dtype=bool)
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
    panels = [panel for panel, *_ in roc_by_class(curves, width=width, height=height).children]
    return grid(panels, columns=columns)


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
    plot.line([threshold, threshold], [0, value], color=INK, line_dash="dotted")
    plot.scatter([threshold], [value], size=9, color=INK, name="crossing")
    left, words = threshold > 0.6, f"{100 * value:.1f}{error} %\nat {threshold:.2f}"
    plot.text([threshold], [value / 2], [words], name="crossing value", x_offset=-10 if left else 10,
              text_align="right" if left else "left", text_baseline="middle", text_font=GLYPH_FONT,
              text_font_size="13px", text_color=INK)  # fmt: skip
