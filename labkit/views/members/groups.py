"""Groups of galaxies in member figures: one colour and one marker for each, points drawn the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.views.style import INK, PALETTE

__all__ = [
    "COLOURS",
    "MEMBERS",
    "as_names",
    "as_numbers",
    "as_plain",
    "draw_points",
    "palette",
    "present",
]

#: Groups whose galaxies are cluster members, known or predicted.
MEMBERS = ("member", "spectroscopic member", "candidate member", "TP")

_GREEN, _PURPLE, _BLUE, _SKY = PALETTE[2], PALETTE[3], PALETTE[0], PALETTE[5]
#: In the order in which they are drawn (Angora et al. 2020, Fig. 9, with colours that differ for all eyes).
COLOURS = {
    "candidate non-member": _SKY,
    "non-member": _BLUE,
    "TN": _BLUE,
    "member": _GREEN,
    "spectroscopic member": _GREEN,
    "TP": _GREEN,
    "candidate member": _PURPLE,
    "FP": PALETTE[1],
    "FN": INK,
}
_MARKERS = {
    "candidate non-member": {"marker": "circle", "fill_alpha": 0.0, "line_alpha": 0.75, "size": 5},
    "non-member": {"marker": "circle", "fill_alpha": 0.35, "line_alpha": 0.0, "size": 5},
    "TN": {"marker": "circle", "fill_alpha": 0.35, "line_alpha": 0.0, "size": 5},
    "candidate member": {"marker": "diamond", "fill_alpha": 0.75, "line_alpha": 1.0, "size": 9},
    "FP": {"marker": "x", "line_width": 2.0, "size": 8},
    "FN": {"marker": "x", "line_width": 2.0, "size": 8},
}
_MEMBER = {"marker": "square", "fill_alpha": 0.6, "line_alpha": 0.9, "size": 6}


def palette(names: Iterable[str]) -> dict[str, str]:
    """Colour of each group; names without a fixed one take what is left.

    Parameters
    ----------
    names : iterable of str
        Groups.
    """
    names = list(dict.fromkeys(names))
    used = {COLOURS[name] for name in names if name in COLOURS}
    free = [colour for colour in PALETTE if colour not in used] or list(PALETTE)
    others = [name for name in names if name not in COLOURS]
    rest = {name: free[number % len(free)] for number, name in enumerate(others)}
    return {name: COLOURS.get(name) or rest[name] for name in names}


def present(group: ArrayLike) -> list[str]:
    """Groups that are there, in the order in which they are drawn; "" is none.

    Parameters
    ----------
    group : array_like of str, shape (n,)
        Group of each galaxy.
    """
    found = dict.fromkeys(np.asarray(group, dtype=str).tolist())
    others = [name for name in found if name and name not in COLOURS]
    return [*others, *(name for name in COLOURS if name in found)]


def as_numbers(values: Any, name: str, *, like: int | None = None) -> NDArray[np.float64]:
    """A column as plain numbers, masked entries as NaN.

    Parameters
    ----------
    values : array_like, shape (n,)
        Numbers; a unit is dropped.
    name : str
        Of the argument, for the message.
    like : int, optional
        Length it must have.

    Raises
    ------
    InputError
        If it has another length or more than one axis.
    """
    plain = np.ma.asarray(getattr(values, "value", values), dtype=np.float64)
    column = np.asarray(np.ma.filled(plain, np.nan))
    if column.ndim != 1 or like not in (None, len(column)):
        raise InputError(f"{name} must have the shape ({like if like is not None else 'n'},), one number a "
                         f"galaxy, got {column.shape}")  # fmt: skip
    return column


def as_names(values: ArrayLike, name: str, *, like: int) -> NDArray[np.str_]:
    """A column as text, masked entries as "".

    Parameters
    ----------
    values : array_like of str, shape (n,)
        Names.
    name : str
        Of the argument, for the message.
    like : int
        Length it must have.

    Raises
    ------
    InputError
        If it has another length.
    """
    column = np.asarray(np.ma.filled(np.ma.asarray(values).astype(str), ""))
    if column.shape != (like,):
        raise InputError(f"{name} must have the shape ({like},), one name a galaxy, got {column.shape}")
    return column


def as_plain(column: Any) -> NDArray:
    """A column for the pointer, without unit or mask, bytes as text.

    Parameters
    ----------
    column : array_like, shape (n,)
        Any kind of column.
    """
    values: Any = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind == "S":
        values = values.astype(str)
    return np.asarray(values.filled(np.nan if values.dtype.kind == "f" else values.fill_value))


def draw_points(
    plot: figure,
    x: NDArray,
    y: NDArray,
    group: NDArray[np.str_],
    *,
    details: Mapping[str, ArrayLike] | None = None,
    formats: Mapping[str, str] | None = None,
) -> None:
    """Points of each group in its colour and marker, with numbers in the legend.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        To draw on.
    x, y : ndarray, shape (n,)
        Positions; not-finite ones are left out.
    group : ndarray of str, shape (n,)
        Group of each; "" is left out.
    details : mapping of str to array_like, shape (n,), optional
        What the pointer shows.
    formats : mapping of str to str, optional
        Bokeh's number format of a detail, such as "0.000".

    Raises
    ------
    InputError
        If no point can be drawn.
    """
    good = np.isfinite(x) & np.isfinite(y) & (group != "")
    if not good.any():
        raise InputError(
            f"points must be finite and of a group for one galaxy at least, got none of {len(x)}"
        )
    names, extra = present(group[good]), dict(details or {})
    tips = [
        (name, f"@{{{name}}}" + (f"{{{f}}}" if (f := (formats or {}).get(name)) else "")) for name in extra
    ]
    drawn = []
    for name, colour in palette(names).items():
        rows = good & (group == name)
        data = {"x": x[rows], "y": y[rows], "group": group[rows]}
        data |= {key: as_plain(values)[rows] for key, values in extra.items()}
        style = _MARKERS.get(name, _MEMBER)
        drawn.append(
            plot.scatter("x", "y", source=ColumnDataSource(data), color=colour, name=name,
                         legend_label=f"{name} ({rows.sum():,})", **style)
        )  # fmt: skip
    plot.add_tools(HoverTool(renderers=drawn, tooltips=[("", "@group"), *tips]))
