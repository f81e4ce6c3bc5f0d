"""Sources that a catalogue lists more than once."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from labkit.errors import InputError

__all__ = ["groups_within", "merge_repeats"]


def groups_within(positions: SkyCoord, radius: u.Quantity) -> NDArray[np.int64]:
    """Number of the group of each position; those closer than `radius`, also in a chain, are one group.

    Parameters
    ----------
    positions : astropy.coordinates.SkyCoord
        Shape (n,).
    radius : Quantity
        An angle; zero joins none.

    Returns
    -------
    ndarray of int64, shape (n,)
        Group numbers from 0.

    Raises
    ------
    InputError
        If the radius is not an angle of zero or more.
    """
    angle = u.Quantity(radius)
    if not (angle.isscalar and angle.unit.is_equivalent(u.deg) and angle >= 0 * u.deg):
        raise InputError(f"merge_radius must be an angle of zero or more, got {radius!r}")
    n = len(positions)
    if n < 2 or angle == 0 * u.deg:
        return np.arange(n)
    one, other, _, _ = positions.search_around_sky(positions, angle)
    links = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def merge_repeats(
    groups: NDArray[np.int64], labels: NDArray[np.str_], measured: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose one row of each group: the first with a label, else the first with a redshift, else the first.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        Group of each row.
    labels : ndarray of str, shape (n,)
        Label of each row.
    measured : ndarray of bool, shape (n,)
        Rows with a redshift.

    Returns
    -------
    rows : ndarray of int64, shape (group,)
        The rows kept, in order.
    contradicting : ndarray of bool, shape (group,)
        Whether rows of the group have different labels, neither of them empty.
    """
    order = np.lexsort((np.arange(len(groups)), ~measured, labels == "", groups))
    _, first = np.unique(groups[order], return_index=True)
    chosen = order[first]
    kinds = np.unique(np.stack([groups[labels != ""].astype(str), labels[labels != ""]]), axis=1)[0]
    disputed = [group for group in np.unique(kinds) if (kinds == group).sum() > 1]
    keep = np.sort(chosen)
    return keep, np.isin(groups[keep].astype(str), disputed)
