"""Number profiles of members about the centres of clusters, and how alike they are (Angora et al. 2020)."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.stats import poisson_conf_interval
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from labkit.errors import InputError
from labkit.tables import numbers, text

logger = logging.getLogger(__name__)

_WHOLE = 0.95  # coverage of a cut-out, or of an annulus, that counts as all of it


class _Field(Protocol):  # `labkit.sources.members.ListedField`, which stands beside this room
    cluster: str
    centre: SkyCoord | None

    @property
    def r200_angle(self) -> u.Quantity | None: ...


def member_profile(
    radius: ArrayLike,
    *,
    edges: ArrayLike,
    scale_radius: float = 0.15,
    coverage: ArrayLike | None = None,
    band: Literal["bootstrap", "poisson"] = "bootstrap",
    confidence: float = 0.68,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Cumulative and differential number profile, scaled by the number N0 within a radius.

    Parameters
    ----------
    radius : array_like, shape (n,)
        Of the members, in units of R200.
    edges : array_like, shape (bin + 1,)
        Of the annuli, rising, from 0 or more.
    scale_radius : float
        N0 counts the members within; 0.15 R200 in the paper.
    coverage : array_like, shape (bin,), optional
        Share of each annulus on the image (`annulus_coverage`), by which its area is multiplied. The
        cumulative profile is of the members seen.
    band : {"bootstrap", "poisson"}
        "bootstrap" counts each member a Poisson number of times, N0 included; "poisson" takes the exact
        interval of each count (Garwood 1936) and N0 as it is, which also bounds empty bins.
    confidence : float
        Of the bands.
    resamples : int
        Of the bootstrap.
    rng : Generator or int
        Draws them.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each bin: ``inner``, ``outer`` (R200), ``members``, ``cumulative`` (N(< outer) / N0;
        members within the first edge included) and ``density`` (members per R200^2, over N0), each with
        ``_low`` and ``_high``.
        ``meta["n0"]`` is N0.

    Raises
    ------
    InputError
        If edges do not rise, a radius is negative or not finite, coverage has another length, or no member
        lies within the scale radius.
    """
    r, edges = np.asarray(radius, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all():
        raise InputError(f"edges must rise from 0 or more, two at least, got {edges.tolist()}")
    if r.ndim != 1 or not np.isfinite(r).all() or (r < 0).any():
        raise InputError("radius must be finite and never negative, one value per member")
    share = np.ones(len(edges) - 1) if coverage is None else np.asarray(coverage, dtype=np.float64)
    if share.shape != (len(edges) - 1,):
        raise InputError(f"coverage must have one value per bin, {len(edges) - 1}, got {share.shape}")
    n0 = int((r < scale_radius).sum())
    if not n0:
        raise InputError(
            f"radius must have a member within {scale_radius} R200, got none; use a larger scale_radius"
        )
    area = np.pi * np.diff(edges**2) * share
    below = np.searchsorted(np.sort(r), edges, side="left")
    counts, within = np.diff(below), below[1:]  # in each annulus, and within its outer edge
    table = QTable({"inner": edges[:-1], "outer": edges[1:], "members": counts})
    with np.errstate(invalid="ignore", divide="ignore"):
        if band == "poisson":
            cumulative = _poisson_bounds(within, confidence) / n0
            density = _poisson_bounds(counts, confidence) / area / n0
        else:
            times = np.random.default_rng(rng).poisson(1.0, (resamples, len(r)))
            cumulative, density = _bootstrap(r, times, edges, area, scale_radius, confidence)
        found = {"cumulative": (within / n0, cumulative), "density": (counts / area / n0, density)}
    for name, (values, (low, high)) in found.items():
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values, low, high
    table.meta.update(n0=n0, confidence=confidence, scale_radius=scale_radius)
    return table


def _poisson_bounds(counts: NDArray, confidence: float) -> NDArray[np.float64]:
    """Exact bounds of the mean of a Poisson distribution (Garwood 1936), shape (2, n)."""
    sigma = float(norm.ppf(0.5 + confidence / 2))
    return poisson_conf_interval(counts, "frequentist-confidence", sigma=sigma)


def _bootstrap(
    r: NDArray, times: NDArray, edges: NDArray, area: NDArray, scale_radius: float, confidence: float
) -> list[NDArray[np.float64]]:
    """Bounds of both profiles; members count Poisson `times`, because their number is itself random."""
    order = np.sort(r)
    total = np.pad(np.cumsum(times, axis=1), ((0, 0), (1, 0)))
    below = total[:, np.searchsorted(order, edges, side="left")]  # (resample, edge)
    n0 = total[:, [np.searchsorted(order, scale_radius, side="left")]]
    kept = n0[:, 0] > 0
    profiles = (below[:, 1:] / n0)[kept], (np.diff(below, axis=1) / area / n0)[kept]
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return [np.quantile(draws, tails, axis=0) for draws in profiles]


def covered_radius(
    edges: ArrayLike, coverage: Mapping[str, ArrayLike], *, most: float = 0.15, least: int = 3
) -> float:
    """The radius within which members of several clusters can be compared: all images hold it whole.

    Where the image of one cluster ends within the scale radius, N0 would lack galaxies in this cluster alone,
    and its profile would stand too high. From the share of each annulus on the image of each cluster, in
    units of R200: the scale radius of the paper, or less, but at least `least` annuli.
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
    """The `member_profile` of each cluster, with its further options.

    `fields` are from `labkit.sources.members.read_fields`; those without centre or R200 are left out, and so,
    with a word in the log, is a cluster without a member within the scale radius. Members count where their
    cut-outs are whole (``coverage_<band>``) in all `bands`. `coverage` is the share of each annulus on the
    image of each cluster.
    """
    keep = np.ones(len(members), dtype=bool)
    for band in bands:
        keep &= numbers(members[f"coverage_{band}"]).astype(np.float32) >= np.float32(_WHOLE)  # as Samples
    hosts, profiles = text(members["cluster"]), {}
    for one in fields:
        if one.centre is None or one.r200_angle is None:
            continue
        part = members[keep & (hosts == one.cluster)]
        ra, dec = (u.Quantity(part[name], u.deg) for name in ("ra", "dec"))
        r = (SkyCoord(ra, dec).separation(one.centre) / one.r200_angle).to_value(u.one)
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

    `profiles` are from `cluster_profiles`, by what the members are. One row for each cluster of each kind:
    ``members`` (the kind), ``cluster``, ``n0``, ``cumulative`` at the edge nearest to a third of the scale
    radius, with ``_low`` and ``_high``, and ``from_mean``, its distance from the share in all clusters of the
    kind together, in standard deviations of the binomial distribution.
    """
    rows: list[dict[str, Any]] = []
    for kind, found in profiles.items():
        nearest = {c: np.abs(table["outer"] - table.meta["scale_radius"] / 3) for c, table in found.items()}
        inner = {cluster: table[nearest[cluster].argmin()] for cluster, table in found.items()}
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
