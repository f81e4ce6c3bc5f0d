"""Curves: receiver operating characteristic, purity against completeness, training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.layouts import gridplot
from bokeh.models import BasicTickFormatter, GridPlot, HoverTool, Range1d
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.evaluate.curves import area_under, mean_roc
from labkit.views.style import INK, axes, colours, style_legend, unit_range

__all__ = ["history", "purity_completeness", "roc"]

_GRID = np.linspace(0, 1, 401)


def _mean_purity(curves: Sequence[Table]) -> Table:
    """Mean purity of several curves at equal completeness; the best where one comes twice."""
    heights = []
    for curve in curves:
        x, y = np.asarray(curve["completeness"], dtype=float), np.asarray(curve["purity"], dtype=float)
        order = np.lexsort((-y, x))
        heights.append(np.interp(_GRID, x[order], y[order]))
    return Table({"completeness": _GRID, "purity": np.mean(heights, axis=0)})


def _check_runs(runs: Mapping[str, Sequence[Table]], columns: tuple[str, str]) -> None:
    for name, curves in runs.items():
        if not len(curves) or any(set(columns) - set(curve.colnames) for curve in curves):
            got = [curve.colnames for curve in curves]
            raise InputError(
                f"runs[{name!r}] must hold one curve or more with the columns {columns}, got {got}"
            )


def _draw(
    plot: figure, runs: Mapping[str, Sequence[Table]], means: Mapping[str, Table], labels: Mapping[str, str]
) -> None:
    """Every run thin, their mean thick, one legend entry for each name."""
    palette = colours(runs)
    for name, curves in runs.items():
        first, second = ("fpr", "tpr") if "fpr" in means[name].colnames else ("completeness", "purity")
        style = {"color": palette[name], "legend_label": labels[name]}
        for curve in curves if len(curves) > 1 else ():
            plot.line(np.asarray(curve[first]), np.asarray(curve[second]), alpha=0.3, line_width=1, **style)
        line = plot.line(
            np.asarray(means[name][first]), np.asarray(means[name][second]), line_width=2.8, **style
        )
        plot.add_tools(HoverTool(renderers=[line], tooltips=[(name, "($x{0.000}, $y{0.000})")], mode="mouse"))
    style_legend(plot.legend[0])
    plot.legend[0].click_policy = "hide"


def roc(
    runs: Mapping[str, Sequence[Table]], *, title: str = "", width: int = 520, height: int = 500
) -> figure:
    """ROC curves: every run thin, the mean thick, the area under the curve in the legend.

    The dashed diagonal is a classifier that guesses (Kosiba et al. 2020, Fig. 8).

    Parameters
    ----------
    runs : mapping of str to sequence of Table
        Curves of each experiment, one a run, from `labkit.evaluate.curves.roc_curve` (columns fpr, tpr).
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If a name has no curve, or a curve lacks its columns.
    """
    _check_runs(runs, ("fpr", "tpr"))
    labels = {}
    for name, curves in runs.items():
        areas = [area_under(curve) for curve in curves]
        spread = f" ± {np.std(areas, ddof=1):.3f}" if len(areas) > 1 else ""
        labels[name] = f"{name}: AUC {np.mean(areas):.3f}{spread}"
    plot = axes(title=title, x="false positive rate", y="true positive rate", width=width, height=height,
                x_range=unit_range(), y_range=unit_range())  # fmt: skip
    plot.line([0, 1], [0, 1], color=INK, line_dash="dashed", line_width=1.2)
    means = {
        name: mean_roc(curves, points=401) if len(curves) > 1 else curves[0] for name, curves in runs.items()
    }
    _draw(plot, runs, means, labels)
    plot.legend[0].location = "bottom_right"
    return plot


def purity_completeness(
    runs: Mapping[str, Sequence[Table]],
    *,
    base_rate: float | None = None,
    title: str = "",
    width: int = 520,
    height: int = 500,
) -> figure:
    """Purity (precision) against completeness (recall): every run thin, the mean thick.

    Parameters
    ----------
    runs : mapping of str to sequence of Table
        Curves of each experiment, one a run, from `labkit.evaluate.curves.purity_completeness_curve` (columns
        completeness, purity).
    base_rate : float, optional
        Share of true clusters: the purity of a classifier that guesses, drawn dashed.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If a name has no curve, or a curve lacks its columns.
    """
    _check_runs(runs, ("completeness", "purity"))
    plot = axes(title=title, x="completeness", y="purity", width=width, height=height,
                x_range=unit_range(), y_range=unit_range())  # fmt: skip
    if base_rate is not None:
        plot.line([0, 1], [base_rate, base_rate], color=INK, line_dash="dashed", line_width=1.2)
    means = {name: _mean_purity(curves) if len(curves) > 1 else curves[0] for name, curves in runs.items()}
    _draw(plot, runs, means, {name: name for name in runs})
    plot.legend[0].location = "bottom_left"
    return plot


_PANELS = {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning rate"}
_PARTS = {"train_": "dashed", "validation_": "solid", "": "solid"}
History = Sequence[Mapping[str, float]]


def history(runs: Mapping[str, Sequence[History]], *, width: int = 400, height: int = 330) -> GridPlot:
    """Loss, accuracy and learning rate by epoch; training dashed, validation solid.

    Parameters
    ----------
    runs : mapping of str to sequence of histories
        The histories of each experiment, one a run. A history is a row an epoch: `epoch` and any of
        `train_loss`, `validation_loss`, `train_accuracy`, `validation_accuracy`, `learning_rate`.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        One panel for each quantity that a run has; the epoch axes move together.

    Raises
    ------
    InputError
        If a history is empty or lacks `epoch`, or none has a known column.
    """
    columns = {name for histories in runs.values() for rows in histories for row in rows for name in row}
    if lacking := [name for name, all_ in runs.items() for h in all_ if not h or "epoch" not in h[0]]:
        raise InputError(f"runs must hold histories with the column 'epoch', got none in {lacking[0]!r}")
    shown = [name for name in _PANELS if any(part + name in columns for part in _PARTS)]
    if not shown:
        raise InputError(f"runs must have loss, accuracy or learning_rate columns, got {sorted(columns)}")
    panels: list[figure] = []
    for name in shown:
        shared = {"x_range": panels[0].x_range} if panels else {}
        panels.append(_history_panel(runs, name, width=width, height=height, **shared))
    for box in [box for panel in panels[1:] for box in panel.legend]:
        box.visible = False  # the first panel's legend holds for all
    return gridplot([panels], toolbar_options={"logo": None, "autohide": True}, merge_tools=True)


def _history_panel(runs: Mapping[str, Sequence[History]], name: str, **options: Any) -> figure:
    """One quantity of all runs by epoch."""
    rate = name == "learning_rate"
    plot = axes(x="epoch", y=_PANELS[name], y_axis_type="log" if rate else "linear", **options)
    palette, dashed = colours(runs), False
    for experiment, histories in runs.items():
        for rows in histories:
            for part, dash in _PARTS.items():
                if not any(part + name in row for row in rows):
                    continue
                dashed |= dash == "dashed"
                y = [row.get(part + name, np.nan) for row in rows]
                draw = partial(plot.step, mode="after") if rate else plot.line
                style = {"color": palette[experiment], "line_dash": dash, "line_width": 2, "alpha": 0.75}
                style |= {"legend_label": experiment} if dash == "solid" else {}
                draw([row["epoch"] for row in rows], y, name=f"{experiment} {part}".strip("_ "), **style)
    if dashed:
        plot.line([np.nan], [np.nan], color=INK, line_dash="dashed", legend_label="training")
    for box in plot.legend:
        style_legend(box)
    if name == "accuracy":
        plot.y_range = Range1d(0, 1.01)
    if rate:
        plot.yaxis.formatter = BasicTickFormatter(precision=1, use_scientific=True, power_limit_low=-2)
    plot.add_tools(HoverTool(tooltips=[("run", "$name"), ("epoch", "$x{0}"), (_PANELS[name], "$y{0.0000}")]))
    return plot
