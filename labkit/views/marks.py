"""What figures are made of: columns as numbers, points with intervals, lines in bands, steps, boxes, fits."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, Div
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.tables import need_columns, numbers, text
from labkit.views.style import ABSENT, INK, hover


def need_rows(table: Table, needed: Iterable[str], name: str) -> None:
    """Refuse a table that lacks columns or has no row."""
    need_columns(table, needed, name)
    if not len(table):
        raise InputError(f"{name} must have a row at least, got none")


def absent(title: str) -> Div:
    """One line in place of a figure of nothing, which `labkit.views.show` shows without its caption."""
    return Div(text=f"{html.escape(title or 'Figure')}: this run has none.", tags=[ABSENT])


def column_values(table: Table, name: str, *, percent: bool = False) -> NDArray[np.float64]:
    """A column as numbers, in per cent if wanted; NaN where masked, and everywhere if there is none."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return (100 if percent else 1) * numbers(table[name])


def plain_column(column: Any) -> NDArray:
    """A column without unit or mask, as text unless it is numbers; masked numbers are NaN."""
    values: Any = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind not in "biuf":
        return text(values)
    if np.ma.is_masked(values):
        return np.asarray(values.astype(float).filled(np.nan))
    return np.asarray(values.filled())


def bounded(table: Table, name: str, *, percent: bool = False) -> NDArray[np.float64]:
    """Value, lower and upper bound of a column, shape (3, row): its ``_low`` and ``_high``, or ``_std``."""
    value, low, high, std = (
        column_values(table, f"{name}{end}", percent=percent) for end in ("", "_low", "_high", "_std")
    )
    return np.array(
        [value, np.where(np.isfinite(low), low, value - std), np.where(np.isfinite(high), high, value + std)]
    )


@dataclass(frozen=True)
class Line:
    """A straight line with the standard error of its slope (NaN for fewer than three points)."""

    slope: float
    intercept: float
    slope_error: float

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Height at x."""
        return self.intercept + self.slope * np.asarray(x, dtype=np.float64)


def fitted_line(x: ArrayLike, y: ArrayLike, *, error: ArrayLike | None = None) -> Line | None:
    """Straight line by least squares, weighted if all errors of y are positive; None at a single x."""
    places, heights = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(places) & np.isfinite(heights)
    sigma = np.ones(good.sum()) if error is None else np.asarray(error, dtype=np.float64)[good]
    weight = 1 / sigma if (np.isfinite(sigma) & (sigma > 0)).all() else None
    if len(np.unique(places[good])) < 2:
        return None
    if good.sum() == 2:  # on the line, which says nothing of the error
        slope, intercept = np.polyfit(places[good], heights[good], 1).tolist()
        return Line(slope, intercept, float("nan"))
    line, covariance = np.polyfit(places[good], heights[good], 1, w=weight, cov=True)
    return Line(float(line[0]), float(line[1]), float(np.sqrt(covariance[0, 0])))


def draw_points(
    plot: figure, places: ArrayLike, values: ArrayLike, low: ArrayLike, high: ArrayLike, *, colour: str,
    name: str, label: str = "", marker: str = "circle", size: float = 9, hollow: bool = False,
    across: bool = False, columns: Mapping[str, Any] | None = None, tips: Sequence[tuple[str, str]] = (),
) -> None:  # fmt: skip
    """Points with intervals, the value along x if `across`; hollow ones are for published numbers."""
    x, y = (values, places) if across else (places, values)
    source = ColumnDataSource({"x": x, "y": y, "low": low, "high": high, **(columns or {})})
    style = {"source": source, "color": colour} | ({"legend_label": label} if label else {})
    ends = ("low", "y", "high", "y") if across else ("x", "low", "x", "high")
    plot.segment(*ends, line_width=1.6, **style)
    fill = {"fill_color": "white"} if hollow else {}
    points = plot.scatter("x", "y", size=size, marker=marker, line_width=1.6, name=name, **(style | fill))
    if tips:
        hover(plot, [points], tips)


def draw_line(
    plot: figure, x: ArrayLike, y: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None, *,
    colour: str, name: str, label: str = "", dash: str = "solid", width: float = 2.2, alpha: float = 1.0,
    band: float = 0.2, dots: bool = False, columns: Mapping[str, Any] | None = None,
    tips: Sequence[tuple[str, str]] = (), draw: Callable | None = None,
) -> None:  # fmt: skip
    """A line, in a band where bounds are given, which does not bridge gaps; dots, if any, answer the pointer.

    `draw` is another method of the figure than `line`, such as one of steps.
    """
    data: dict[str, Any] = {"x": np.asarray(x), "y": np.asarray(y), **(columns or {})}
    style: dict[str, Any] = {"color": colour} | ({"legend_label": label} if label else {})
    if low is not None and high is not None:
        data |= {"low": np.asarray(low, dtype=np.float64), "high": np.asarray(high, dtype=np.float64)}
        good = np.isfinite(data["low"]) & np.isfinite(data["high"])
        for rows in np.split(np.arange(len(good)), np.flatnonzero(np.diff(good)) + 1):
            if len(rows) and good[rows].all():
                plot.varea(data["x"][rows], data["low"][rows], data["high"][rows], alpha=band, **style)
    style |= {"source": ColumnDataSource(data), "name": name}
    line = (draw or plot.line)("x", "y", line_width=width, line_dash=dash, line_alpha=alpha, **style)
    shown = plot.scatter("x", "y", size=6, **(style | {"name": f"{name} dots"})) if dots else line
    if tips:
        hover(plot, [shown], tips, **({} if dots else {"mode": "mouse"}))


def draw_steps(
    plot: figure, edges: NDArray, heights: NDArray, *, colour: str, name: str, label: str = "",
    dash: str = "solid", width: float = 2.0, fill: float = 0.0, line: bool = True,
) -> None:  # fmt: skip
    """A histogram's outline, its area filled with some opacity, or the area alone."""
    x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])
    style = {"color": colour, "name": name} | ({"legend_label": label} if label else {})
    if fill:
        plot.varea(x, 0, y, alpha=fill, **style)
    if line:
        plot.line(x, y, line_width=width, line_dash=dash, **style)


def boxes(
    plot: figure, x: Sequence[float], values: Sequence[NDArray], *, colour: str, width: float, label: str
) -> None:
    """Boxes from quartile to quartile, median, bars to the extremes, dots (Angora et al. 2020, Fig. 5).

    Not-finite values are left out; places without any stay empty.
    """
    finite = [np.asarray(one, dtype=np.float64)[np.isfinite(one)] for one in values]
    found = [(place, one) for place, one in zip(x, finite, strict=True) if len(one)]
    marks = np.array([np.percentile(one, [0, 25, 50, 75, 100]) for _, one in found]).reshape(-1, 5)
    data: dict[str, Any] = {"x": [place for place, _ in found], "n": [len(one) for _, one in found]}
    data |= dict(zip(("least", "q1", "median", "q3", "most"), marks.T, strict=True))
    data |= {"left": np.array(data["x"]) - width / 2, "right": np.array(data["x"]) + width / 2}
    style = {"source": ColumnDataSource(data), "line_color": colour, "legend_label": label}
    plot.segment("x", "least", "x", "most", line_width=1.4, **style)
    box = plot.quad(left="left", right="right", bottom="q1", top="q3", fill_color=colour, fill_alpha=0.35,
                    line_width=1.4, name=label, **style)  # fmt: skip
    plot.segment("left", "median", "right", "median", line_width=3, **style)
    for place, one in found:  # the few values themselves say how much the box can mean
        spread = np.linspace(-0.25, 0.25, len(one)) * width if len(one) > 1 else np.zeros(1)
        plot.scatter(place + spread, np.sort(one), size=3, color=colour, alpha=0.7)
    hover(plot, [box], [(label, "@median{0.0} %"), ("quartiles", "@q1{0.0} to @q3{0.0}"),
                        ("extremes", "@least{0.0} to @most{0.0}"), ("values", "@n")])  # fmt: skip


def published_entry(plot: figure) -> None:
    """One entry of the legend for the hollow diamonds of all colours."""
    plot.scatter([np.nan], [np.nan], marker="diamond", size=9, color=INK, fill_color="white", line_width=1.6,
                 legend_label="published")  # fmt: skip
