"""Band configurations beside the published ones (Angora et al. 2020, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.views.members.layout import legend_above
from labkit.views.members.marks import interval_points, name_ticks, percent_range, published_entry
from labkit.views.members.measures import FOUR, bounded, columns_of
from labkit.views.style import axes, colours

__all__ = ["configurations"]


def configurations(
    measured: Table,
    published: Table | None = None,
    *,
    by: str = "experiment",
    published_by: str = "bands",
    names: Mapping[str, str] | None = None,
    of: str = "member",
    measures: Sequence[str] = FOUR,
    data: str = "measured",
    title: str = "",
    width: int = 680,
    height: int = 420,
) -> figure:
    """Measures of each band configuration with intervals, the published value beside (Fig. 4).

    Points instead of bars from zero, so that differences of a few per cent can be seen.

    Parameters
    ----------
    measured : Table
        A row a configuration: `by` and the measures, with ``_low`` and ``_high``, or else ``_std``, where
        known, as from `labkit.evaluate.measure`.
    published : Table, optional
        For example ``published("angora2020", "tableD1")``; drawn hollow.
    by, published_by : str
        Columns that name the configuration.
    names : mapping of str to str, optional
        Configuration of each name in `measured`, where they differ.
    of : str
        Class whose rows are taken where a table has a column "class".
    measures : sequence of str
        Of `labkit.views.members.measures.MEASURES`; a measure that was not published has no hollow point.
    data : str
        What the measured objects were, for the legend, such as "simulated".
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
        If a column is missing, a table has no row, or a configuration comes twice.
    """
    ours, theirs = (_of_class(table, of) for table in (measured, published))
    columns_of(ours, (by,), name="measured")
    keys = [(names or {}).get(str(name), str(name)) for name in ours[by]]
    others: list[str] = []
    if len(set(keys)) < len(keys):
        raise InputError(f"measured must have one row a configuration, got {keys}; select a class or a seed")
    if theirs is not None:
        columns_of(theirs, (published_by,), name="published")
        others = [str(name) for name in theirs[published_by]]
    found = colours([*keys, *others])
    points = [(ours, keys, "measured", -0.3)]
    points += [(theirs, others, "published", 0.3)] if theirs is not None else []
    every = [v for table, _, name, _ in points for measure in measures for v in bounded(table, measure, name)]
    plot = axes(title=title, x="", y=f"{of}s (%)", width=width, height=height,
                y_range=percent_range(*every))  # fmt: skip
    name_ticks(plot, list(measures))
    share = 0.84 / len(found)
    for number, (name, colour) in enumerate(found.items()):
        middle = share * (number - (len(found) - 1) / 2)
        for table, rows, origin, shift in points:
            if name in rows:
                row = rows.index(name)
                values = np.array([[v[row] for v in bounded(table, m, origin)] for m in measures])
                label = f"{name}, {data if origin == 'measured' else origin}"
                place = np.arange(len(measures)) + middle + shift * share * (theirs is not None) * 0.75
                hollow = origin == "published"
                interval_points(plot, place, values, label, colour, hollow=hollow, names=measures)
    if theirs is not None:
        published_entry(plot)
    return legend_above(plot, columns=5)


def _of_class(table: Table | None, of: str) -> Any:
    if table is None or "class" not in table.colnames:
        return table
    return table[np.asarray(table["class"], dtype=str) == of]
