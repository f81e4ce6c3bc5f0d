"""Galaxies of clusters: parts by magnitude and colour, crowded cut-outs, profiles about the centre."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.cosmology import FLRW
from astropy.stats import poisson_conf_interval
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.evaluate.trainings import OUTCOMES, find_rows, known_objects, outcomes
from labkit.predictions import Predictions
from labkit.tables import magnitudes, numbers, text

_KINDS = ("bright", "faint", "redder", "bluer")


def galaxy_parts(
    predictions: Predictions | Mapping[Any, Predictions],
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
    predictions : Predictions or mapping to Predictions
        Which galaxies were judged, and which of them are members; an empty mapping: none.
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
    ids, hosts = (text(catalogue[name]) for name in ("object_id", cluster))
    member, judged = (np.zeros(len(catalogue), dtype=bool) for _ in range(2))
    for one in predictions.values() if isinstance(predictions, Mapping) else [predictions]:
        known = known_objects(one, split)
        rows = find_rows(ids, text(known.table["object_id"]), name="catalogue")
        judged[rows] = True
        member[rows[text(known.table["true"]) == known.positive]] = True
    m, differential = (numbers(catalogue[name]) for name in (magnitude, colour))
    parts = {kind: np.zeros(len(catalogue), dtype=bool) for kind in _KINDS}
    for host in dict.fromkeys(hosts[judged].tolist()):
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


#: Nearer than this to the target, arcsec, a source is the target itself.
_ITSELF = 0.3


def contamination_index(
    targets: Table,
    sources: Table,
    *,
    size_arcsec: float = 4.16,
    magnitude: str = "mag_F814",
    faintest: float = np.inf,
) -> QTable:
    """Contamination index of each cut-out, CI = sum_i 1 / (d_i m_i) over the other sources in it.

    With d_i the distance from the target in arcsec and m_i the magnitude of the contaminant (Angora et al.
    2020, section 6). Note that, as published, fainter contaminants count a little less, in proportion to 1 /
    m.

    Parameters
    ----------
    targets, sources : Table
        With ``ra`` and ``dec`` (degrees); sources also with magnitudes. Several fields may stand together.
    size_arcsec : float
        Side of the cut-outs; 64 px of 0.065".
    magnitude : str
        Column of `sources`; sources without one do not count.
    faintest : float
        Sources of this magnitude and fainter ones do not count, mag; deep images have one in every cut-out.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each target: ``contaminants`` (their number), ``index`` (0 without any) and
        ``normalised`` (over the largest of all targets, 0 to 1).
    """
    if not size_arcsec > 0:
        raise InputError(f"size_arcsec must be positive, got {size_arcsec}")
    for name, table, needed in (
        ("targets", targets, ["ra", "dec"]),
        ("sources", sources, ["ra", "dec", magnitude]),
    ):
        if missing := sorted(set(needed) - set(table.colnames)):
            raise InputError(f"{name} must have the columns {needed}, got none for {missing}")
    m = magnitudes(sources[magnitude])
    row, other, distance = _pairs(targets, sources, size_arcsec / 2)
    counts = np.isfinite(m[other]) & (m[other] < faintest)
    row, other, distance = row[counts], other[counts], distance[counts]
    index = np.bincount(row, 1 / (distance * m[other]), minlength=len(targets))
    return QTable(
        {
            "contaminants": np.bincount(row, minlength=len(targets)),
            "index": index,
            "normalised": index / index.max(initial=0) if index.any() else index,
        }
    )


def _pairs(targets: Table, sources: Table, half: float) -> tuple[NDArray, NDArray, NDArray[np.float64]]:
    """Rows of targets and of the other sources in their squares, and the distances, arcsec."""
    here, there = (
        SkyCoord(u.Quantity(t["ra"], u.deg), u.Quantity(t["dec"], u.deg)) for t in (targets, sources)
    )
    if not len(here) or not len(there):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    row, other, separation, _ = search_around_sky(here, there, np.sqrt(2) * half * u.arcsec)
    east, north = (d.to_value(u.arcsec) for d in here[row].spherical_offsets_to(there[other]))
    distance = separation.to_value(u.arcsec)
    inside = (np.maximum(np.abs(east), np.abs(north)) <= half) & (distance > _ITSELF)
    return row[inside], other[inside], distance[inside]


def contamination_by_outcome(predictions: Predictions, index: ArrayLike, *, threshold: float = 0.5) -> QTable:
    """Contamination of true and false positives and negatives.

    Parameters
    ----------
    predictions : Predictions
        Each object once.
    index : array_like, shape (n,)
        Contamination index of each row of the predictions.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        A row each of TP, TN, FP, FN: ``outcome``, ``objects``, ``contaminated`` (share with an index above 0)
        and ``median`` index of those.
    """
    values = np.asarray(index, dtype=np.float64)
    kinds = outcomes(predictions, threshold=threshold)
    if values.shape != kinds.shape:
        raise InputError(f"index must have one value a row, {len(kinds)}, got the shape {values.shape}")
    rows = []
    for kind in OUTCOMES:
        chosen = values[kinds == kind]
        above = chosen[chosen > 0]
        share = len(above) / len(chosen) if len(chosen) else np.nan
        median = float(np.median(above)) if len(above) else np.nan
        rows.append({"outcome": kind, "objects": len(chosen), "contaminated": share, "median": median})
    return QTable(rows=rows)


def projected_radius(
    ra: u.Quantity, dec: u.Quantity, *, centre: SkyCoord, redshift: float, cosmology: FLRW = COSMOLOGY
) -> u.Quantity:
    """Projected distance from the cluster's centre at its redshift.

    Parameters
    ----------
    ra, dec : Quantity, shape (n,)
        Positions.
    centre : SkyCoord
        Of the cluster.
    redshift : float
        Of the cluster.
    cosmology : `~astropy.cosmology.FLRW`
        Gives the scale.

    Returns
    -------
    Quantity, shape (n,)
        In Mpc.
    """
    angle = SkyCoord(ra, dec).separation(centre)
    return (angle * cosmology.kpc_proper_per_arcmin(redshift)).to(u.Mpc)


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
        raise InputError("radius must be finite and never negative, one value a member")
    share = np.ones(len(edges) - 1) if coverage is None else np.asarray(coverage, dtype=np.float64)
    if share.shape != (len(edges) - 1,):
        raise InputError(f"coverage must have one value a bin, {len(edges) - 1}, got {share.shape}")
    n0 = int((r < scale_radius).sum())
    if not n0:
        raise InputError(
            f"radius must have a member within {scale_radius} R200, got none; use a larger scale_radius"
        )
    area = np.pi * np.diff(edges**2) * share
    counts, within = _counted(r, edges)
    table = QTable({"inner": edges[:-1], "outer": edges[1:], "members": counts})
    with np.errstate(invalid="ignore", divide="ignore"):
        if band == "poisson":
            bounds = [
                (b / n0)
                for b in (*_poisson_bounds(within, confidence), *(_poisson_bounds(counts, confidence) / area))
            ]
        else:
            bounds = _bootstrap(
                r, edges, area, scale_radius, confidence, resamples, np.random.default_rng(rng)
            )
        centres = {"cumulative": within / n0, "density": counts / area / n0}
    for (name, values), (low, high) in zip(centres.items(), (bounds[:2], bounds[2:]), strict=True):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values, low, high
    table.meta.update(n0=n0, confidence=confidence, scale_radius=scale_radius)
    return table


def _counted(r: NDArray, edges: NDArray) -> tuple[NDArray, NDArray]:
    """Members in each annulus and within its outer edge."""
    below = np.searchsorted(np.sort(r), edges, side="left")
    return np.diff(below), below[1:]


def _poisson_bounds(counts: NDArray, confidence: float) -> NDArray[np.float64]:
    """Exact bounds of the mean of a Poisson distribution (Garwood 1936), shape (2, n)."""
    sigma = float(norm.ppf(0.5 + confidence / 2))
    return poisson_conf_interval(counts, "frequentist-confidence", sigma=sigma)


def _bootstrap(
    r: NDArray,
    edges: NDArray,
    area: NDArray,
    scale_radius: float,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> list[NDArray[np.float64]]:
    """Bounds of both profiles; Poisson weights, because the number of members is itself random."""
    order = np.sort(r)
    times = rng.poisson(1.0, (resamples, len(r)))
    total = np.concatenate([np.zeros((resamples, 1)), np.cumsum(times, axis=1)], axis=1)
    below = total[:, np.searchsorted(order, edges, side="left")]  # (resample, edge)
    n0 = total[:, [np.searchsorted(order, scale_radius, side="left")]]
    kept = n0[:, 0] > 0
    cumulative, density = (below[:, 1:] / n0)[kept], (np.diff(below, axis=1) / area / n0)[kept]
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return [bound for draws in (cumulative, density) for bound in np.quantile(draws, tails, axis=0)]
