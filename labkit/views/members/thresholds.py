"""Methods at every threshold: purity against completeness, and ROC curves cluster by cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import GridPlot, HoverTool
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import common_scores, crossing, roc_curve
from labkit.evaluate.trainings import find_rows
from labkit.predictions import Predictions
from labkit.views.curves import roc_by_class
from labkit.views.members.layout import grid
from labkit.views.style import GLYPH_FONT, INK, PALETTE, axes, style_legend, unit_range

__all__ = ["method_rocs", "threshold_curves"]

_GRID = np.linspace(0, 1, 201)
_LINES = {"purity": (PALETTE[0], "solid"), "completeness": (PALETTE[1], "dashed")}


def threshold_curves(
    methods: Mapping[str, Predictions],
    *,
    resamples: int = 300,
    confidence: float = 0.68,
    rng: np.random.Generator | int = 0,
    columns: int = 3,
    width: int = 380,
    height: int = 360,
) -> GridPlot:
    """Purity and completeness against the threshold, their crossing marked (Angora et al. 2020, Fig. 7).

    Parameters
    ----------
    methods : mapping of str to Predictions
        Compared on the objects that all of them judged; trainings of a method are averaged.
    resamples : int
        Bootstrap resamples of the objects, for the bands and the error of the crossing.
    confidence : float
        Of the bands.
    rng : Generator or int
        Draws the resamples.
    columns : int
        Panels in a row.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        A panel a method; the crossing is where as many objects are selected as there are members.

    Raises
    ------
    InputError
        If there is no method, no common object of known truth, or no member.
    """
    scores = _scores(methods)
    member, generator = np.asarray(scores["member"], dtype=bool), np.random.default_rng(rng)
    draws = generator.multinomial(len(member), np.full(len(member), 1 / len(member)), size=resamples)
    panels: list[figure] = []
    for name in methods:
        p = np.asarray(scores[name], dtype=np.float64)
        shared = {"x_range": panels[0].x_range, "y_range": panels[0].y_range} if panels else {
            "x_range": unit_range(), "y_range": unit_range()}  # fmt: skip
        plot = axes(title=name, x="threshold of the probability", y="purity, completeness", width=width,
                    height=height, **shared)  # fmt: skip
        _curves(plot, member, p, draws, confidence, legend=not panels)
        _crossing(plot, member, p, draws)
        panels.append(plot)
    return grid(panels, columns=columns)


def _scores(methods: Mapping[str, Predictions]) -> Table:
    """Probabilities of the common objects; one method alone will do."""
    if not methods:
        raise InputError("methods must hold one name with its predictions at least, got none")
    if len(methods) > 1:
        return common_scores(methods)
    ((name, only),) = methods.items()
    scores = common_scores({name: only, f"{name} again": only})
    return scores["object_id", "member", name]


def _measured(member: NDArray[np.bool_], p: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """Purity and completeness of what is selected at each threshold of the grid, shape (..., threshold)."""
    order = np.argsort(-p, kind="stable")
    selected = np.searchsorted(-p[order], -_GRID, side="right")  # how many have a score at or above it
    zero = np.zeros((*weight.shape[:-1], 1))
    every = np.concatenate([zero, np.cumsum(weight[..., order], axis=-1)], axis=-1)[..., selected]
    right = np.concatenate([zero, np.cumsum((weight * member)[..., order], axis=-1)], axis=-1)[..., selected]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"purity": right / every, "completeness": right / (weight * member).sum(-1, keepdims=True)}


def _curves(
    plot: figure, member: NDArray, p: NDArray, draws: NDArray, confidence: float, *, legend: bool
) -> None:
    """Both curves in their bands."""
    found = _measured(member, p, np.ones(len(p)))
    spread = _measured(member, p, draws)
    for name, (colour, dash) in _LINES.items():
        style: dict[str, Any] = {"color": colour} | ({"legend_label": name} if legend else {})
        good = np.isfinite(found[name]) & np.isfinite(spread[name]).any(axis=0)
        if len(draws) and good.any():
            tails = [(1 - confidence) / 2, (1 + confidence) / 2]
            low, high = np.nanquantile(spread[name][:, good], tails, axis=0)
            plot.varea(_GRID[good], low, high, alpha=0.2, **style)
        line = plot.line(_GRID[good], found[name][good], line_width=2.2, line_dash=dash, name=name, **style)
        tips = [("threshold", "$x{0.00}"), (name, "$y{0.000}")]
        plot.add_tools(HoverTool(renderers=[line], tooltips=tips))
    if legend:
        style_legend(plot.legend[0]).location = "bottom_left"


def _crossing(plot: figure, member: NDArray, p: NDArray, draws: NDArray) -> None:
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
    plot.text([threshold], [value / 2], [words], name="crossing value",
              x_offset=-10 if left else 10, text_align="right" if left else "left",
              text_baseline="middle", text_font=GLYPH_FONT, text_font_size="13px",
              text_color=INK)  # fmt: skip


def method_rocs(
    methods: Mapping[str, Predictions],
    catalogue: Table,
    *,
    by: str = "cluster",
    columns: int = 2,
    width: int = 440,
    height: int = 440,
) -> GridPlot:
    """ROC curves of several methods in each cluster (Angora et al. 2020, Fig. D.3).

    Parameters
    ----------
    methods : mapping of str to Predictions
        Compared on the objects that all of them judged; trainings of a method are averaged.
    catalogue : Table
        ``object_id`` and the column `by`.
    by : str
        Column that names the cluster.
    columns : int
        Panels in a row.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        A panel a cluster, in the order of their names; clusters without members or without others have none.

    Raises
    ------
    InputError
        If the catalogue lacks an object or the column, or no cluster has both classes.
    """
    scores = _scores(methods)
    if by not in catalogue.colnames:
        raise InputError(f"catalogue must have the column {by!r}, got {catalogue.colnames}")
    row = find_rows(np.asarray(catalogue["object_id"], dtype=str), scores["object_id"], name="catalogue")
    hosts, member = np.asarray(catalogue[by], dtype=str)[row], np.asarray(scores["member"], dtype=bool)
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
