"""The red sequence of each of several clusters, and how far their galaxies lie from it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.photometry.relation import ColourMagnitude, colour_magnitude_relation, differential_colour
from labkit.tables import magnitudes

logger = logging.getLogger(__name__)

_FEWEST = 5  # galaxies for a fit


@dataclass(frozen=True)
class RedSequences:
    """Colour-magnitude relations of clusters, and colours against them.

    Attributes
    ----------
    relations : dict of str to ColourMagnitude
        Of each cluster with enough members.
    magnitude, colour, colour_error, differential : ndarray, shape (n,)
        Of each galaxy, mag; NaN where not measured, the last also in clusters without a relation.
    """

    relations: dict[str, ColourMagnitude]
    magnitude: NDArray[np.float64]
    colour: NDArray[np.float64]
    colour_error: NDArray[np.float64]
    differential: NDArray[np.float64]

    def table(self) -> QTable:
        """One row a cluster: ``cluster``, ``members`` (kept in the fit), the relation and its errors."""
        names = ("slope", "slope_error", "zero_point", "zero_point_error", "pivot", "scatter")
        rows = [
            {"cluster": name, "members": int(one.kept.sum())} | {key: getattr(one, key) for key in names}
            for name, one in self.relations.items()
        ]
        return QTable(rows=rows, names=["cluster", "members", *names])


def red_sequences(
    table: Table,
    member: ArrayLike,
    *,
    bands: Sequence[str] = ("F606", "F814"),
    magnitude: str = "mag_F814",
    colours: str = "aper_{band}",
    by: str = "cluster",
    rng: np.random.Generator | int = 0,
) -> RedSequences:
    """Fit the colour-magnitude relation of each cluster and take it off all of its galaxies.

    Parameters
    ----------
    table : Table
        Measured galaxies: the columns named, and errors ``<column>_err``.
    member : array_like of bool, shape (n,)
        Those that the relations are fitted to.
    bands : sequence of str
        Two bands, the colour is the first minus the second.
    magnitude : str
        Column of magnitudes.
    colours : str
        Names of the columns of which colours are made.
    by : str
        Column with the cluster of each galaxy.
    rng : Generator or int
        As for `~labkit.photometry.colour_magnitude_relation`.

    Returns
    -------
    RedSequences
        Clusters with fewer than five measured members have no relation, and the log names them.

    Raises
    ------
    InputError
        If a column is missing, `member` has another length, or not two bands are named.
    """
    if len(bands) != 2:
        raise InputError(f"bands must be two, for a colour, got {list(bands)}")
    columns = [colours.format(band=band) for band in bands]
    needed = [magnitude, f"{magnitude}_err", by, *columns, *(f"{name}_err" for name in columns)]
    if missing := [name for name in needed if name not in table.colnames]:
        raise InputError(f"table must have the columns {needed}, got none for {missing}")
    chosen, hosts = np.asarray(member, dtype=bool), np.asarray(table[by], dtype=str)
    if chosen.shape != hosts.shape:
        raise InputError(f"member must have one value a galaxy, {len(hosts)}, got {chosen.shape}")
    wanted = (magnitude, f"{magnitude}_err", *columns, *needed[-2:])
    m, dm, blue, red, blue_error, red_error = (magnitudes(table[name]) for name in wanted)
    colour, error = blue - red, np.hypot(blue_error, red_error)
    differential, relations = np.full(len(m), np.nan), {}
    generator = np.random.default_rng(rng)
    for host in dict.fromkeys(hosts.tolist()):
        here = hosts == host
        fitted = here & chosen
        if np.isfinite(m[fitted] + colour[fitted]).sum() < _FEWEST:
            logger.warning("%s: fewer than %d members have a colour, no red sequence", host, _FEWEST)
            continue
        errors = {"magnitude_error": dm[fitted], "colour_error": error[fitted]}
        relation = colour_magnitude_relation(m[fitted], colour[fitted], rng=generator, **errors)
        differential[here] = differential_colour(m[here], colour[here], relation)
        relations[host] = relation
    return RedSequences(relations, m, colour, error, differential)
