"""Parts of a member sample by magnitude and differential colour (Angora et al. 2020, Tables 2 to 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.trainings import find_rows, known_objects
from labkit.predictions import Predictions
from labkit.tables import numbers, text

_KINDS = ("bright", "faint", "redder", "bluer")


def galaxy_parts(
    predictions: Predictions,
    catalogue: Table,
    *,
    magnitude: str = "mag_F814",
    colour: str = "differential_colour",
    cluster: str = "cluster",
    faint_above: Mapping[str, float] | None = None,
    blue_below: float | Mapping[str, float] = -0.16,
    split: str | None = "test",
) -> dict[str, NDArray[np.bool_]]:
    """Bright and faint, redder and bluer galaxies of each cluster that was judged (Table 2).

    Parameters
    ----------
    predictions : Predictions
        Which galaxies were judged, and which of them are members.
    catalogue : Table
        ``object_id`` and the columns named next.
    magnitude, colour, cluster : str
        Columns of the magnitude, of the difference to the red sequence, and of the host.
    faint_above : mapping of str to float, optional
        Limit between bright and faint in each cluster, mag; by default the median of its members.
    blue_below : float or mapping of str to float
        Differential colour below which a galaxy is bluer; by default near the paper's -0.160, -0.165, -0.157.
    split : str or None
        Part of the Sample that was judged.

    Returns
    -------
    dict of str to ndarray of bool, shape (row of the catalogue,)
        "bright", "faint", "redder", "bluer", for ``parts=`` of `labkit.evaluate.measure` with
        ``by=("cluster", "part")``. Galaxies without a magnitude or colour are in no such part.
    """
    wanted = ("object_id", magnitude, colour, cluster)
    if missing := [name for name in wanted if name not in catalogue.colnames]:
        raise InputError(f"catalogue must have the columns {wanted}, got none for {missing}")
    known = known_objects(predictions, split)
    ids, hosts = (text(catalogue[name]) for name in ("object_id", cluster))
    rows = find_rows(ids, text(known.table["object_id"]), name="catalogue")
    member = np.zeros(len(catalogue), dtype=bool)
    member[rows[np.asarray(known.table["true"] == known.positive)]] = True
    m, differential = (numbers(catalogue[name]) for name in (magnitude, colour))
    parts = {kind: np.zeros(len(catalogue), dtype=bool) for kind in _KINDS}
    for host in dict.fromkeys(hosts[np.sort(rows)].tolist()):
        here = hosts == host
        limit = (faint_above or {}).get(host)
        theirs = m[member & here & np.isfinite(m)]
        if limit is None and not len(theirs):
            raise InputError(
                f"catalogue must have a member of {host!r} with a {magnitude}, got none; give faint_above"
            )
        limit = float(np.median(theirs)) if limit is None else limit
        blue = blue_below.get(host) if isinstance(blue_below, Mapping) else blue_below
        if blue is None:
            raise InputError(f"blue_below must have a value for each cluster, got none for {host!r}")
        masks = (m <= limit, m > limit, differential >= blue, differential < blue)
        for kind, mask in zip(_KINDS, masks, strict=True):
            parts[kind] |= mask & here
    return parts


def magnitude_and_colour_cuts(
    magnitude: ArrayLike, differential_colour: ArrayLike, *, faintest: float = 25.0, very_blue: float = -0.5
) -> dict[str, NDArray[np.bool_]]:
    """The rows of Table 3 and the samples of Table 4, for ``parts=`` of `labkit.evaluate.measure`.

    Parameters
    ----------
    magnitude, differential_colour : array_like, shape (n,)
        Of each galaxy, mag; one that is NaN is in no cut of it.
    faintest, very_blue : float
        Limits, mag.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        "all" first, then each cut, and last both together.
    """
    m, colour = np.asarray(magnitude, dtype=np.float64), np.asarray(differential_colour, dtype=np.float64)
    return {
        "all": np.ones(m.shape, dtype=bool),
        f"magnitude < {faintest:g}": m < faintest,
        f"magnitude >= {faintest:g}": m >= faintest,
        f"colour < {very_blue:g}": colour < very_blue,
        "colour < 0": colour < 0,
        "colour >= 0": colour >= 0,
        f"magnitude < {faintest:g}, colour >= {very_blue:g}": (m < faintest) & (colour >= very_blue),
    }
