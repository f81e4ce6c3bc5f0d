"""Where an object lies in its cluster's field, among the others with their right and wrong decisions."""

from __future__ import annotations

import html
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from labkit.views.inspector.state import GROUPS, ErrorState

__all__ = ["Neighbours", "field_svg", "neighbours_of"]

_MOST = 2000  # dots; the nearest are drawn
_BARS_ARCSEC = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_SIDE = 226


@dataclass(frozen=True)
class Neighbours:
    """Objects of one cluster.

    Attributes
    ----------
    cluster : str
        Its name.
    index : ndarray of int, shape (n,)
        Numbers of the objects, the nearest to the chosen one last; the chosen one itself comes last of all.
    x, y : ndarray of float, shape (n,)
        Place to the west and to the north of the middle of the field, arcsec.
    """

    cluster: str
    index: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def neighbours_of(state: ErrorState, index: int) -> Neighbours | None:
    """The objects of the same cluster with a position.

    Parameters
    ----------
    state : ErrorState
        Its catalogue has the columns ``cluster``, ``ra`` and ``dec``, or there are no neighbours.
    index : int
        Number of an object.

    Returns
    -------
    Neighbours or None
        None without such a column, an empty name of the cluster, or a position of the object.
    """
    if "cluster" not in state.catalogue.colnames:
        return None
    cluster = state.column("cluster")
    name = str(cluster[index])
    same = np.flatnonzero(cluster == cluster[index]) if name else np.array([], dtype=np.int64)
    rows = state.objects.row[same]
    ra, dec = (state.catalogue[column][rows].to_value(u.deg) for column in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    same, ra, dec = same[known], np.asarray(ra[known]), np.asarray(dec[known])
    if index not in same:
        return None
    middle = (dec.min() + dec.max()) / 2
    east = (ra - ra[0] + 180) % 360 - 180  # a field may lie across the first meridian
    x = -(east - (east.min() + east.max()) / 2) * np.cos(np.radians(middle)) * 3600
    y = (dec - middle) * 3600
    own = same == index
    order = np.argsort(-np.hypot(x - x[own], y - y[own]), kind="stable")[-_MOST:]
    return Neighbours(name, same[order], x[order], y[order])


def field_svg(state: ErrorState, index: int) -> str:
    """The field around an object, north up and east left, as a figure with an SVG; empty without neighbours.

    Parameters
    ----------
    state : ErrorState
        At its present threshold.
    index : int
        Number of the object, which is ringed.
    """
    found = neighbours_of(state, index)
    if found is None:
        return ""
    reach = 1.06 * max(np.abs(found.x).max(), np.abs(found.y).max(), 1.0)
    scale = _SIDE / (2 * reach)
    places = np.column_stack([_SIDE / 2 + found.x * scale, _SIDE / 2 - found.y * scale])
    groups = [state.group_of(int(one)) for one in found.index]
    dots = "".join(
        f'<circle class="lk-kind-{group}" cx="{x:.1f}" cy="{y:.1f}" r="{2.6 if group[0] == "F" else 2}">'
        f"<title>{html.escape(str(state.objects.object_id[one]))} {group}</title></circle>"
        for one, group, (x, y) in zip(found.index, groups, places, strict=True)
    )
    x, y = places[-1]
    length = max((bar for bar in _BARS_ARCSEC if bar <= reach / 2), default=1)
    words = f"{length / 60:g}′" if length >= 60 else f"{length:g}″"
    foot = _SIDE - 8
    key = " ".join(f'<tspan class="lk-kind-{name}">● {name}</tspan>' for name in GROUPS if name in groups)
    return (
        f'<figure class="lk-shot lk-field"><figcaption>field of {html.escape(found.cluster)}, '
        f"{len(found.index):,} objects, north up</figcaption>"
        f'<svg viewBox="0 0 {_SIDE} {_SIDE + 16}" width="{_SIDE}"><rect width="{_SIDE}" height="{_SIDE}"/>'
        f'{dots}<circle class="lk-ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        f'<path d="M8 {foot}h{length * scale:.1f}"/><text x="8" y="{foot - 4}">{words}</text>'
        f'<text x="0" y="{_SIDE + 13}">{key}</text></svg></figure>'
    )
