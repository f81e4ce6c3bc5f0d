"""Which filters to look at, when nobody can look at all of them."""

from __future__ import annotations

import numpy as np

from labkit.errors import InputError
from labkit.tables import Table

__all__ = ["typical_filters"]


def typical_filters(index: Table, layer: str, *, number: int = 3) -> list[int]:
    """Filters of a layer from the one most of the first band to the one most of the second, evenly by rank.

    Only the half that the bands move most takes part: faint filters look striking when each map is scaled.

    Parameters
    ----------
    index : Table
        From `labkit.explain.filter_index`.
    layer : str
        One of its layers.
    number : int
        How many; fewer where there are fewer.

    Returns
    -------
    list of int
        Their numbers.

    Raises
    ------
    InputError
        If the layer was not measured, or `number` is below 1.
    """
    part = index[np.asarray(index["layer"], dtype=str) == layer]
    if not len(part) or number < 1:
        known = list(dict.fromkeys(str(name) for name in index["layer"]))
        raise InputError(f"layer must be among {known} and number at least 1, got {layer!r} and {number}")
    alive = part[np.asarray(part["kind"], dtype=str) != "dead"]
    if not len(alive):
        return []
    moved = np.hypot(*(np.asarray(alive[f"change_{band}"]) for band in index.meta["bands"]))
    strong = alive[moved >= np.median(moved)]
    order = np.argsort(-np.asarray(strong["index"]), kind="stable")
    places = np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int)
    return [int(strong["filter"][row]) for row in order[places]]
