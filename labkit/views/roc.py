"""Curves over all thresholds, of several runs, classes or folds; `labkit.views.plots.curves` draws others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import Div, GridPlot
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.evaluate import area_under, mean_roc, purity_curve, roc_curve
from labkit.evaluate.metrics import AVERAGES
from labkit.predictions import Predictions
from labkit.views.marks import absent, draw_line
from labkit.views.style import INK, PALETTE, axes, class_colours, colours, grid, legend_inside, unit_range

_GRID = np.linspace(0, 1, 401)
_AVERAGE_DASHES = dict(zip(AVERAGES, ("dashed", "dotdash"), strict=True))
_TIP = "($x{0.000}, $y{0.000})"

Curves = Predictions | Mapping[str, Predictions | Sequence[Table]]


def roc(runs: Curves, *, title: str = "", width: int = 520, height: int = 500) -> figure | Div:
    """ROC curves: every run thin, the mean thick, the area under the curve in the legend.

    The dashed diagonal is a classifier that guesses (Kosiba et al. 2020, Fig. 8).

    Parameters
    ----------
    runs : Predictions, or mapping of str to Predictions or to sequence of Table
        Predictions with a positive class give a curve per run, and a colour per experiment or per name;
        objects of unknown class are left out, those trained on only by ``predictions.select(split="test")``.
        Tables are curves of `labkit.evaluate.roc_curve`, one per run.
    title, width, height
        Of the figure; sizes in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; for an empty mapping a line that says so.

    Raises
    ------
    InputError
        If a name has nothing to draw, a curve lacks its columns, or predictions lack a class or the positive
        one.
    """
    if isinstance(runs, Mapping) and not runs:
        return absent(title or "ROC curves")
    found = _curves(runs, ("fpr", "tpr"), roc_curve)
    plot = _unit_square("false positive rate", "true positive rate", title, width, height)
    plot.line([0, 1], [0, 1], color=INK, line_dash="dashed", line_width=1.2)
    _draw(plot, found, {name: _mean(c) for name, c in found.items()},
          {name: f"{name}: {_areas(curves)}" for name, curves in found.items()})  # fmt: skip
    return legend_inside(plot, "bottom_right")


def purity_completeness(runs: Curves, *, base_rate: float | None = None) -> figure:
    """Purity (precision) against completeness (recall): every run thin, the mean thick.

    As `roc`, with curves of `labkit.evaluate.purity_curve`; `base_rate`, the share of true clusters, is the
    purity of a classifier that guesses, drawn dashed.
    """
    found = _curves(runs, ("completeness", "purity"), purity_curve)
    plot = _unit_square("completeness", "purity", "", 520, 500)
    if base_rate is not None:
        plot.line([0, 1], [base_rate, base_rate], color=INK, line_dash="dashed", line_width=1.2)
    means = {name: _mean_purity(curves) if len(curves) > 1 else curves[0] for name, curves in found.items()}
    _draw(plot, found, means, {name: name for name in found})
    return legend_inside(plot, "bottom_left")


def roc_by_class(
    networks: Mapping[str, Sequence[Mapping[str, Table]]], *, width: int = 470, columns: int | None = None
) -> GridPlot:
    """One panel per network, one curve per class, averages dashed (Kosiba et al. 2020, Fig. 13).

    `networks` holds for each network its runs, each a curve for each class and average as `class_rocs` gives
    them. Runs are averaged at equal false positive rate; a class that a run lacks, over the others.
    """
    if not networks:
        raise InputError("networks must hold one network or more, got none")
    panels = []
    for network, runs in networks.items():
        if not len(runs):
            raise InputError(f"networks[{network!r}] must hold the curves of one run or more, got none")
        found = {name: [run[name] for run in runs if name in run] for run in runs for name in run}
        palette = class_colours(name for name in found if name not in AVERAGES)
        plot = _unit_square("false positive rate", "true positive rate", network, width, width)
        plot.line([0, 1], [0, 1], color=INK, line_dash="dotted", line_width=1.2)
        for name, curves in found.items():
            _check(name, curves, ("fpr", "tpr"))
            _draw_roc(plot, _mean(curves), name, palette.get(name, INK), f"{name}: {_areas(curves)}",
                      dash=_AVERAGE_DASHES.get(name, "solid"))  # fmt: skip
        legend_inside(plot, "bottom_right").legend[0].label_text_font_size = "12px"
        panels.append(plot)
    return grid(panels, columns=columns or len(panels))


def roc_by_fold(
    folds: Mapping[str, Table], *, out_of_fold: Table | None = None, title: str = "", width: int = 520,
    height: int = 500,
) -> figure:  # fmt: skip
    """One thin ROC curve per fold, their mean thick (Kosiba et al. 2020, Fig. 14).

    `out_of_fold` is the curve of all objects, each scored by the network that had not seen it; drawn dashed.
    """
    curves = list(folds.values())
    _check("folds", curves, ("fpr", "tpr"))
    plot = _unit_square("false positive rate", "true positive rate", title, width, height)
    plot.line([0, 1], [0, 1], color=INK, line_dash="dotted", line_width=1.2)
    for name, curve in folds.items():
        _draw_roc(plot, curve, f"fold {name}", PALETTE[0], width=1, alpha=0.45)
    label = f"mean of {len(curves)} folds: {_areas(curves)}"
    _draw_roc(plot, mean_roc(curves, points=401), "mean", PALETTE[0], label, width=2.8)
    if out_of_fold is not None:
        label = f"all objects, out of fold: {_areas([out_of_fold])}"
        _draw_roc(plot, out_of_fold, "all objects", PALETTE[1], label, width=2, dash="dashed")
    return legend_inside(plot, "bottom_right", clickable=False)


def _draw_roc(plot: figure, curve: Table, name: str, colour: str, label: str = "", **look: Any) -> None:
    draw_line(plot, curve["fpr"], curve["tpr"], colour=colour, name=name, label=label, tips=[(name, _TIP)],
              **look)  # fmt: skip


def _mean(curves: Sequence[Table]) -> Table:
    return mean_roc(curves, points=401) if len(curves) > 1 else curves[0]


def _curves(runs: Any, columns: tuple[str, str], curve: Any) -> dict[str, list[Table]]:
    """The curves of each name, one per run, whatever they were given as."""
    if isinstance(runs, Predictions):
        names = dict.fromkeys(run.experiment for run, _ in runs.runs())
        runs = {name: runs.select(experiment=name) for name in names}
    if not isinstance(runs, Mapping):
        raise InputError(f"runs must be Predictions, or a mapping of names to Predictions or to lists of "
                         f"curves, got {type(runs).__name__}")  # fmt: skip
    if not runs:
        raise InputError("runs must hold one name or more, got none")
    found = {}
    for name, given in runs.items():
        curves = _curves_of_runs(name, given, curve) if isinstance(given, Predictions) else given
        if isinstance(curves, Table):
            curves = [curves]
        _check(f"runs[{name!r}]", curves, columns)
        found[name] = list(curves)
    return found


def _curves_of_runs(name: str, given: Predictions, curve: Any) -> list[Table]:
    if given.positive is None:
        raise InputError(f"predictions of {name!r} must have a positive class, got none; use class_rocs and "
                         "roc_by_class for several classes")  # fmt: skip
    positive = given.classes.index(given.positive)
    found = []
    for run, rows in given.known.runs():
        true = rows.true_codes == positive
        if true.all() or not true.any():
            raise InputError(f"predictions must hold objects of both classes in each run, got one in "
                             f"{name!r}, seed {run.seed}; select a split that has both")  # fmt: skip
        found.append(curve(true, rows.score))
    if not found:
        raise InputError(
            f"predictions of {name!r} must hold objects of known class, got none of {len(given)}"
        )
    return found


def _check(name: str, curves: Any, columns: tuple[str, str]) -> None:
    if not len(curves) or any(set(columns) - set(getattr(curve, "colnames", ())) for curve in curves):
        raise InputError(f"{name} must hold one curve or more with the columns {columns}")


def _areas(curves: Sequence[Table]) -> str:
    """Mean area under some curves, with its scatter."""
    areas = [area_under(curve) for curve in curves]
    spread = f" ± {np.std(areas, ddof=1):.3f}" if len(areas) > 1 else ""
    return f"AUC {np.mean(areas):.3f}{spread}"


def _mean_purity(curves: Sequence[Table]) -> Table:
    """Mean purity of several curves at equal completeness; the best where one comes twice."""
    heights = []
    for curve in curves:
        x, y = np.asarray(curve["completeness"], dtype=float), np.asarray(curve["purity"], dtype=float)
        order = np.lexsort((-y, x))
        heights.append(np.interp(_GRID, x[order], y[order]))
    return Table({"completeness": _GRID, "purity": np.mean(heights, axis=0)})


def _unit_square(x: str, y: str, title: str, width: int, height: int) -> figure:
    options = {"width": width, "height": height, "x_range": unit_range(), "y_range": unit_range()}
    return axes(title=title, x=x, y=y, **options)


def _draw(
    plot: figure, runs: Mapping[str, Sequence[Table]], means: Mapping[str, Table], labels: Mapping[str, str]
) -> None:
    """Every run thin, their mean thick, one legend entry for each name."""
    for name, colour in colours(runs).items():
        x, y = ("fpr", "tpr") if "fpr" in means[name].colnames else ("completeness", "purity")
        style: dict[str, Any] = {"colour": colour, "label": labels[name], "name": name}
        for curve in runs[name] if len(runs[name]) > 1 else ():
            draw_line(plot, curve[x], curve[y], alpha=0.3, width=1, **style)
        draw_line(plot, means[name][x], means[name][y], width=2.8, tips=[(name, _TIP)], **style)
