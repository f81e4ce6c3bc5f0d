"""ROC curves of several classes and of several folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.layouts import gridplot
from bokeh.models import GridPlot, HoverTool
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.evaluate.curves import area_under, mean_roc
from labkit.evaluate.multiclass import AVERAGES
from labkit.views.style import INK, PALETTE, axes, class_colours, style_legend, unit_range

__all__ = ["by_class", "by_fold"]

_DASHES = dict(zip(AVERAGES, ("dashed", "dotdash"), strict=True))


def _empty(title: str, width: int, height: int) -> figure:
    plot = axes(title=title, x="false positive rate", y="true positive rate", width=width, height=height,
                x_range=unit_range(), y_range=unit_range())  # fmt: skip
    plot.line([0, 1], [0, 1], color=INK, line_dash="dotted", line_width=1.2)
    return plot


def _line(plot: figure, curve: Table, name: str, **style: Any) -> None:
    line = plot.line(np.asarray(curve["fpr"]), np.asarray(curve["tpr"]), name=name, **style)
    plot.add_tools(HoverTool(renderers=[line], tooltips=[(name, "($x{0.000}, $y{0.000})")], mode="mouse"))


def _areas(curves: Sequence[Table]) -> str:
    """Mean area under some curves, with its scatter."""
    areas = [area_under(curve) for curve in curves]
    spread = f" ± {np.std(areas, ddof=1):.3f}" if len(areas) > 1 else ""
    return f"AUC {np.mean(areas):.3f}{spread}"


def _check(name: str, curves: Sequence[Table]) -> None:
    if not len(curves) or any({"fpr", "tpr"} - set(curve.colnames) for curve in curves):
        raise InputError(f"{name!r} must have one curve or more with the columns fpr and tpr")


def by_class(
    networks: Mapping[str, Sequence[Mapping[str, Table]]], *, width: int = 470, height: int = 470
) -> GridPlot:
    """One panel a network, one curve a class, averages dashed (Kosiba et al. 2020, Fig. 13).

    Parameters
    ----------
    networks : mapping of str to sequence of mappings
        For each network its runs, each a curve for each class and average from
        `labkit.evaluate.class_rocs`. Several runs are averaged at equal false positive rate; a class that
        a run has no curve of is averaged over the others.
    width, height : int
        Size of a panel in screen pixels.

    Returns
    -------
    bokeh.models.GridPlot
        Panels in a row; a class has one colour in all of them.

    Raises
    ------
    InputError
        If there is no network, a network has no run, or a curve lacks its columns.
    """
    if not networks:
        raise InputError("networks must hold one network or more, got none")
    panels = []
    for network, runs in networks.items():
        if not len(runs):
            raise InputError(f"networks[{network!r}] must hold the curves of one run or more, got none")
        names = list(dict.fromkeys(name for run in runs for name in run))
        palette = class_colours(name for name in names if name not in AVERAGES)
        plot = _empty(network, width, height)
        for name in names:
            curves = [run[name] for run in runs if name in run]
            _check(name, curves)
            curve = mean_roc(curves, points=401) if len(curves) > 1 else curves[0]
            style = {"line_color": palette.get(name, INK), "line_dash": _DASHES.get(name, "solid")}
            _line(plot, curve, name, line_width=2.2, legend_label=f"{name}: {_areas(curves)}", **style)
        style_legend(plot.legend[0])
        plot.legend[0].update(location="bottom_right", click_policy="hide", label_text_font_size="12px")
        panels.append(plot)
    return gridplot([panels], toolbar_options={"logo": None, "autohide": True}, merge_tools=True)


def by_fold(
    folds: Mapping[str, Table],
    *,
    out_of_fold: Table | None = None,
    title: str = "",
    width: int = 520,
    height: int = 500,
) -> figure:
    """One thin curve a fold, their mean thick (Kosiba et al. 2020, Fig. 14).

    Parameters
    ----------
    folds : mapping of str to Table
        Curve of each fold, from `labkit.evaluate.roc_curve`.
    out_of_fold : Table, optional
        Curve of all objects together, each scored by the network that had not seen it; drawn dashed.
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
        If there is no fold or a curve lacks its columns.
    """
    curves = list(folds.values())
    _check("folds", curves)
    plot = _empty(title, width, height)
    for name, curve in folds.items():
        _line(plot, curve, f"fold {name}", line_color=PALETTE[0], line_width=1, line_alpha=0.45)
    label = f"mean of {len(curves)} folds: {_areas(curves)}"
    _line(
        plot, mean_roc(curves, points=401), "mean", line_color=PALETTE[0], line_width=2.8, legend_label=label
    )
    if out_of_fold is not None:
        label = f"all objects, out of fold: {_areas([out_of_fold])}"
        style = {"line_color": PALETTE[1], "line_width": 2, "line_dash": "dashed"}
        _line(plot, out_of_fold, "all objects", legend_label=label, **style)
    style_legend(plot.legend[0])
    plot.legend[0].location = "bottom_right"
    return plot
