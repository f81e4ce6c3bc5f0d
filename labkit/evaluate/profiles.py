"""Profiles of the members of several clusters, and how alike they are (Angora et al. 2020, section 6)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.galaxies import member_profile, projected_radius
from labkit.tables import numbers, text

logger = logging.getLogger(__name__)

_WHOLE = 0.95  # coverage of a cut-out, or of an annulus, that counts as all of it


class _Field(Protocol):  # `labkit.sources.members.ListedField`, which stands beside this room
    cluster: str
    redshift: float

    @property
    def centre(self) -> SkyCoord | None: ...
    @property
    def r200(self) -> u.Quantity | None: ...


def covered_radius(
    edges: ArrayLike, coverage: Mapping[str, ArrayLike], *, most: float = 0.15, least: int = 3
) -> float:
    """The radius within which members of several clusters can be compared: all images hold it whole.

    Where the image of one cluster ends within the scale radius, N0 would lack galaxies in this cluster alone,
    and its profile would stand too high.

    Parameters
    ----------
    edges : array_like, shape (bin + 1,)
        Of the annuli, units of R200, rising.
    coverage : mapping of str to array_like, shape (bin,)
        Share of each annulus on the image of each cluster.
    most : float
        The scale radius that is wanted, 0.15 R200 in the paper.
    least : int
        At least so many annuli, whatever they hold.

    Returns
    -------
    float
        In units of R200.

    Raises
    ------
    InputError
        If there is no cluster, or a number of annuli differs.
    """
    outer = np.asarray(edges, dtype=np.float64)[1:]
    shares = [np.asarray(share, dtype=np.float64) for share in coverage.values()]
    if not shares or any(one.shape != outer.shape for one in shares):
        raise InputError(
            f"coverage must hold {len(outer)} annuli of a cluster at least, got {[len(s) for s in shares]}; "
            "the list of fields needs ra, dec and r200 of the clusters"
        )
    whole = outer[np.logical_and.accumulate(np.min(shares, axis=0) > _WHOLE)]
    return float(min(most, max([outer[:least][-1], *whole])))


def cluster_profiles(
    members: Table,
    fields: Iterable[_Field],
    *,
    edges: ArrayLike,
    coverage: Mapping[str, ArrayLike] | None = None,
    bands: Sequence[str] = (),
    **options: Any,
) -> dict[str, QTable]:
    """The `member_profile` of each cluster.

    Parameters
    ----------
    members : Table
        ``ra``, ``dec``, ``cluster``, and ``coverage_<band>`` of `bands`.
    fields : iterable of ListedField
        From `labkit.sources.members.read_fields`; those without centre or R200 are left out.
    edges : array_like, shape (bin + 1,)
        Of the annuli, units of R200.
    coverage : mapping of str to array_like, shape (bin,), optional
        Share of each annulus on the image of each cluster.
    bands : sequence of str
        Members count where their cut-outs are whole in all of these.
    **options
        Further ones of `member_profile`: ``scale_radius``, ``band``, ``confidence``, ``resamples``, ``rng``.

    Returns
    -------
    dict of str to `~astropy.table.QTable`
        By cluster; the log names clusters without a member within the scale radius, which have none.

    Raises
    ------
    InputError
        As for `member_profile`, or if no cluster has a profile.
    """
    keep = np.ones(len(members), dtype=bool)
    for band in bands:
        keep &= numbers(members[f"coverage_{band}"]) >= _WHOLE
    hosts, profiles = text(members["cluster"]), {}
    for one in fields:
        if one.centre is None or one.r200 is None:
            continue
        part = members[keep & (hosts == one.cluster)]
        ra, dec = (u.Quantity(part[name], u.deg) for name in ("ra", "dec"))
        distance = projected_radius(ra, dec, centre=one.centre, redshift=one.redshift)
        r = (distance / one.r200).to_value(u.one)
        if not (r < options.get("scale_radius", 0.15)).any():
            logger.warning("%s: no member within the scale radius, no profile", one.cluster)
            continue
        share = None if coverage is None else coverage[one.cluster]
        profiles[one.cluster] = member_profile(r, edges=edges, coverage=share, **options)
    if not profiles:
        raise InputError("fields must hold a cluster with centre, R200 and members, got none")
    return profiles


def central_shares(profiles: Mapping[str, Mapping[str, QTable]]) -> QTable:
    """How concentrated clusters are: members within a third of the scale radius over N0.

    Parameters
    ----------
    profiles : mapping of str to mapping of str to `~astropy.table.QTable`
        From `cluster_profiles`, by what the members are.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each cluster of each kind: ``members`` (the kind), ``cluster``, ``n0``, ``cumulative`` at
        the edge nearest to a third of the scale radius, with ``_low`` and ``_high``, and ``from_mean``, its
        distance from the share in all clusters of the kind together, in standard deviations of the binomial
        distribution.
    """
    rows: list[dict[str, Any]] = []
    for kind, found in profiles.items():
        scale = {cluster: float(table.meta["scale_radius"]) for cluster, table in found.items()}
        inner = {c: table[np.abs(table["outer"] - scale[c] / 3).argmin()] for c, table in found.items()}
        n0 = {cluster: int(table.meta["n0"]) for cluster, table in found.items()}
        share = sum(row["cumulative"] * n0[cluster] for cluster, row in inner.items()) / sum(n0.values())
        for cluster, row in inner.items():
            width = np.sqrt(share * (1 - share) / n0[cluster])
            cells = {f"cumulative{end}": row[f"cumulative{end}"] for end in ("", "_low", "_high")}
            away = (row["cumulative"] - share) / width if width > 0 else np.nan
            rows.append(
                {"members": kind, "cluster": cluster, "n0": n0[cluster]} | cells | {"from_mean": away}
            )
    return QTable(rows=rows)
