"""The history of a training: loss, accuracy and learning rate by epoch."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from bokeh.models import BasicTickFormatter, GridPlot, HoverTool, Range1d
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.views.marks import draw_line
from labkit.views.style import INK, axes, colours, grid, style_legend

_PANELS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "error": "rms error / scatter",
    "learning_rate": "learning rate",
}
_PARTS = {"train_": "dashed", "validation_": "solid", "": "solid"}
History = Sequence[Mapping[str, float]]


def history(runs: Mapping[str, Sequence[History]], *, width: int = 400) -> GridPlot:
    """Loss, accuracy and learning rate by epoch; training dashed, validation solid; epoch axes move together.

    `runs` holds the histories of each experiment, one per run. A history has a row per epoch: ``epoch`` and
    any of ``learning_rate`` and, with ``train_`` or ``validation_`` before them, ``loss``, ``accuracy`` (of
    classes) and ``error`` (of numbers).
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
        panels.append(_history_panel(runs, name, width=width, height=330, **shared))
    for box in [box for panel in panels[1:] for box in panel.legend]:
        box.visible = False  # the first panel's legend holds for all
    return grid([panels])


def _history_panel(runs: Mapping[str, Sequence[History]], name: str, **options: Any) -> figure:
    """One quantity of all runs by epoch."""
    rate = name == "learning_rate"
    plot = axes(x="epoch", y=_PANELS[name], y_axis_type="log" if rate else "linear", **options)
    draw, dashed = partial(plot.step, mode="after") if rate else None, False
    for experiment, colour in colours(runs).items():
        for rows in runs[experiment]:
            for part, dash in _PARTS.items():
                if not any(part + name in row for row in rows):
                    continue
                dashed |= dash == "dashed"
                y = [row.get(part + name, np.nan) for row in rows]
                draw_line(plot, [row["epoch"] for row in rows], y, colour=colour, dash=dash, width=2,
                          alpha=0.75, label=experiment if dash == "solid" else "", draw=draw,
                          name=f"{experiment} {part}".strip("_ "))  # fmt: skip
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
