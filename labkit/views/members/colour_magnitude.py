"""Colour-magnitude diagrams of a field, absolute and relative to the red sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.models import BoxAnnotation, Range1d, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.photometry import ColourMagnitude
from labkit.views.members.groups import MEMBERS, as_names, as_numbers, draw_points
from labkit.views.members.layout import legend_above
from labkit.views.style import INK, axes

__all__ = ["colour_magnitude", "differential_colour_magnitude"]

_SEQUENCE = "#bdbdbd"


def colour_magnitude(
    magnitude: ArrayLike,
    colour: ArrayLike,
    group: ArrayLike,
    *,
    relation: ColourMagnitude | None = None,
    colour_error: ArrayLike | None = None,
    details: Mapping[str, ArrayLike] | None = None,
    x: str = "F814 (mag)",
    y: str = "F606 − F814 (mag)",
    title: str = "",
    width: int = 620,
    height: int = 460,
) -> figure:
    """Colour against magnitude, with the relation of the members and its scatter (Angora et al. 2020, 4.2).

    Parameters
    ----------
    magnitude, colour : array_like, shape (n,)
        Mag; galaxies without one are left out.
    group : array_like of str, shape (n,)
        "member", "spectroscopic member", "candidate member", "non-member", "candidate non-member", or "TP",
        "TN", "FP", "FN" from `labkit.evaluate.outcomes`; "" is left out.
    relation : ColourMagnitude, optional
        Drawn dashed, its intrinsic scatter grey.
    colour_error : array_like, shape (n,), optional
        Standard errors, mag: their medians in steps of one magnitude stand at the lower edge.
    details : mapping of str to array_like, optional
        What the pointer shows, such as ``{"object": object_id}``.
    x, y : str
        Axis labels.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; the axes hold 99 % of the colours, the reset tool and the wheel show the rest.

    Raises
    ------
    InputError
        If lengths differ or no galaxy can be drawn.
    """
    m, c, names = _checked(magnitude, colour, group)
    plot, ranges = _frame(m, c, names, x, y, title, width, height)
    if relation is not None:
        line = np.linspace(*ranges[0], 60)
        words = f"red sequence ± {relation.scatter:.3f} mag"
        middle = relation(line)
        plot.varea(line, middle - relation.scatter, middle + relation.scatter, color=_SEQUENCE,
                   alpha=0.6, legend_label=words, name="scatter")  # fmt: skip
        plot.line(line, middle, color=INK, line_dash="dashed", level="overlay", legend_label=words,
                  name="relation")  # fmt: skip
    _finish(plot, m, c, names, ranges, colour_error, details)
    return plot


def differential_colour_magnitude(
    magnitude: ArrayLike,
    differential: ArrayLike,
    group: ArrayLike,
    *,
    sigma: float | None = None,
    colour_error: ArrayLike | None = None,
    details: Mapping[str, ArrayLike] | None = None,
    x: str = "F814 (mag)",
    y: str = "(F606 − F814) − red sequence (mag)",
    title: str = "",
    width: int = 620,
    height: int = 460,
) -> figure:
    """Differential colour against magnitude, the members' median and +-1 sigma grey.

    Figs 9 and 14 of Angora et al. (2020). The median and, without `sigma`, the spread are those of the
    members drawn ("member", "spectroscopic member", "candidate member", "TP"; also "FN", which are
    members).

    Parameters
    ----------
    magnitude, differential : array_like, shape (n,)
        Mag; from `labkit.photometry.differential_colour`. Galaxies without one are left out.
    group : array_like of str, shape (n,)
        As for `colour_magnitude`.
    sigma : float, optional
        Half width of the grey region, mag; by default 1.4826 times the members' median absolute deviation.
    colour_error : array_like, shape (n,), optional
        Standard errors, mag: their medians in steps of one magnitude stand at the lower edge.
    details : mapping of str to array_like, optional
        What the pointer shows.
    x, y : str
        Axis labels.
    title : str
        Title of the figure.
    width, height : int
        Size in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure; no grey region where there is no member.

    Raises
    ------
    InputError
        If lengths differ, `sigma` is negative, or no galaxy can be drawn.
    """
    m, c, names = _checked(magnitude, differential, group)
    if sigma is not None and not sigma >= 0:
        raise InputError(f"sigma must be zero or more, in mag, got {sigma}")
    plot, ranges = _frame(m, c, names, x, y, title, width, height)
    theirs = c[np.isin(names, [*MEMBERS, "FN"]) & np.isfinite(m) & np.isfinite(c)]
    if len(theirs):
        middle = float(np.median(theirs))
        half = 1.4826 * float(np.median(np.abs(theirs - middle))) if sigma is None else sigma
        plot.add_layout(BoxAnnotation(bottom=middle - half, top=middle + half, fill_color=_SEQUENCE,
                                      fill_alpha=0.6, line_color=None, level="underlay"))  # fmt: skip
        plot.add_layout(Span(location=middle, dimension="width", line_color=INK, line_dash="dashed"))
        words = f"members' median ± 1σ ({half:.3f} mag)"
        nowhere = [np.nan, np.nan]  # only for the legend
        plot.varea(nowhere, nowhere, nowhere, color=_SEQUENCE, alpha=0.6, legend_label=words)
        plot.line(nowhere, nowhere, color=INK, line_dash="dashed", legend_label=words, name="median")
    _finish(plot, m, c, names, ranges, colour_error, details)
    return plot


def _checked(magnitude: Any, colour: Any, group: Any) -> tuple[NDArray, NDArray, NDArray[np.str_]]:
    m = as_numbers(magnitude, "magnitude")
    return m, as_numbers(colour, "colour", like=len(m)), as_names(group, "group", like=len(m))


def _frame(
    m: NDArray, c: NDArray, names: NDArray, x: str, y: str, title: str, width: int, height: int
) -> tuple[figure, list[tuple[float, float]]]:
    """Empty axes around 99 % of the points, and their ranges."""
    good = np.isfinite(m) & np.isfinite(c) & (names != "")
    ranges = []
    for values, margin in ((m[good], 0.03), (c[good], 0.08)):
        low, high = np.percentile(values, [0.5, 99.5]) if len(values) else (0.0, 1.0)
        room = margin * (high - low) or 0.5
        ranges.append((float(low - room), float(high + room)))
    plot = axes(title=title, x=x, y=y, width=width, height=height,
                x_range=Range1d(*ranges[0]), y_range=Range1d(*ranges[1]))  # fmt: skip
    return plot, ranges


def _finish(
    plot: figure,
    m: NDArray,
    c: NDArray,
    names: NDArray[np.str_],
    ranges: list[tuple[float, float]],
    colour_error: ArrayLike | None,
    details: Mapping[str, ArrayLike] | None,
) -> None:
    """Points, typical errors and the legend, which stands beside the frame."""
    extra = {name: np.asarray(values) for name, values in (details or {}).items()}
    if wrong := {name: values.shape for name, values in extra.items() if values.shape != m.shape}:
        raise InputError(f"details must have one entry a galaxy, {len(m)}, got {wrong}")
    numbers = {"magnitude": m, "colour": c}
    draw_points(plot, m, c, names, details=extra | numbers, formats=dict.fromkeys(numbers, "0.00"))
    if colour_error is not None:
        _typical_errors(plot, m, as_numbers(colour_error, "colour_error", like=len(m)), ranges)
    legend_above(plot, columns=3 if (plot.width or 0) >= 600 else 2)


def _typical_errors(plot: figure, m: NDArray, error: NDArray, ranges: list[tuple[float, float]]) -> None:
    """Median error of each whole magnitude, as bars near the lower edge."""
    (bright, faint), (low, high) = ranges
    places, halves = [], []
    for start in np.arange(np.floor(bright), np.ceil(faint)):
        inside = (m >= start) & (m < start + 1) & np.isfinite(error)
        if inside.any() and bright <= start + 0.5 <= faint:
            places.append(float(start) + 0.5)
            halves.append(float(np.median(error[inside])))
    if not places:
        return
    bars = np.minimum(halves, 0.5 * (high - low))
    middle = np.maximum(low + 0.06 * (high - low), low + bars + 0.01 * (high - low))
    plot.segment(places, middle - bars, places, middle + bars, color=INK, line_width=1.5, name="errors")
    plot.scatter(places, middle, size=3, color=INK, legend_label="median error")
