"""Training ranges on blind clusters beside the published ones (Angora et al. 2020, Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from bokeh.models import GridPlot
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.views.members.layout import LEGEND_ROW, grid, legend_above
from labkit.views.members.marks import boxes, interval_points, name_ticks, percent_range, published_entry
from labkit.views.members.measures import FOUR, bounded, column_of, columns_of, percent
from labkit.views.style import axes, colours

__all__ = ["training_ranges"]


def training_ranges(
    folds: Table,
    published: Table | None = None,
    *,
    cluster: str = "cluster",
    training: str = "training",
    measures: Sequence[str] = FOUR,
    title: str = "",
    columns: int = 2,
    width: int = 470,
    height: int = 330,
) -> GridPlot:
    """Box plots over trainings for each blind cluster and training range, published values beside (Fig. 6).

    Parameters
    ----------
    folds : Table
        A row a training and blind cluster ("stacked": all): `cluster`, `training` (narrow, intermediate,
        large) and the measures.
    published : Table, optional
        ``published("angora2020", "tableD4")``; diamonds with the published errors.
    cluster, training : str
        Columns of both tables.
    measures : sequence of str
        Of `labkit.views.members.measures.MEASURES`.
    title : str
        Before the name of the first cluster.
    columns : int
        Panels in a row.
    width, height : int
        Size of a panel in screen pixels, without the legend.

    Returns
    -------
    bokeh.models.GridPlot
        One panel a cluster, in the order of `folds`, all with the same range.

    Raises
    ------
    InputError
        If a column is missing or a table is empty.
    """
    columns_of(folds, (cluster, training), name="folds")
    if published is not None:
        columns_of(published, (cluster, training), name="published")
    hosts, ranges = (np.asarray(folds[name], dtype=str) for name in (cluster, training))
    values = {m: percent(folds, column_of(folds, m, name="folds")) for m in measures}
    shown = list(dict.fromkeys(hosts.tolist()))
    theirs = _published(published, cluster, training, measures, shown)
    y_range = percent_range(*values.values(), *theirs.values())
    panels: list[figure] = []
    for host in shown:
        words = f"{title}: {host}" if title and not panels else host
        plot = axes(title=words, x="", y="members (%)", y_range=y_range, width=width,
                    height=height + LEGEND_ROW * (len(panels) < columns))  # fmt: skip
        name_ticks(plot, list(measures))
        found = colours(ranges.tolist())
        for place, (name, colour) in enumerate(found.items()):
            here = (hosts == host) & (ranges == name)
            _one_range(
                plot,
                0.84 * np.array([place - (len(found) - 1) / 2, 1.0]) / len(found),
                {m: v[here] for m, v in values.items()},
                theirs.get((host, name)),
                name,
                colour,
            )
        if published is not None:
            published_entry(plot)
        legend_above(plot).legend[0].visible = not panels
        panels.append(plot)
    return grid(panels, columns=columns)


def _published(
    published: Table | None, cluster: str, training: str, measures: Sequence[str], shown: Sequence[str]
) -> dict[tuple[str, str], NDArray]:
    """Value and bounds of the measures, shape (measure, 3), of each cluster and training range."""
    if published is None:
        return {}
    found = [bounded(published, measure, "published") for measure in measures]
    return {
        (str(row[cluster]), str(row[training])): np.array([[v[number] for v in one] for one in found])
        for number, row in enumerate(published)
        if str(row[cluster]) in shown
    }


def _one_range(
    plot: figure,
    place: NDArray,
    values: Mapping[str, NDArray],
    published: NDArray | None,
    name: str,
    colour: str,
) -> None:
    """Boxes of one training range, its published values to their right; place is (offset, width)."""
    offset, share = place.tolist()
    middle, beside = np.arange(len(values)) + offset, published is not None
    boxes(plot, (middle - 0.14 * share * beside).tolist(), list(values.values()), colour=colour,
          width=(0.5 if beside else 0.8) * share, label=name)  # fmt: skip
    if published is not None:
        interval_points(plot, middle + 0.32 * share, published, f"{name}, published", colour, hollow=True,
                        names=list(values))  # fmt: skip
