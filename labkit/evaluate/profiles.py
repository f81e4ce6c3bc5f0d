"""Projected number profiles of cluster members in units of R200 (Angora et al. 2020, section 6, Fig. 15)."""

from __future__ import annotations

from typing import Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.cosmology import FLRW
from astropy.stats import poisson_conf_interval
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError


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
