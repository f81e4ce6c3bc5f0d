"""The spectroscopic campaign: who gets a redshift, how good it is, and the numbers of Table 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Row, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.hst.population import is_member, spectral_completeness, wanted_spectra

__all__ = ["QUALITIES", "Spectra", "take_spectra"]

#: Values of ``z_quality``.
QUALITIES = {
    0: "no spectrum",
    1: "insecure, often wrong: not counted in Table 1",
    2: "likely",
    3: "secure",
    9: "one emission line",
}
#: Error of a redshift over (1 + z); shares of wrong redshifts among the likely and the insecure.
Z_ERROR, WRONG_LIKELY, WRONG_INSECURE = 3e-4, 0.03, 0.4
#: Insecure redshifts for each that counts.
INSECURE = 0.05


@dataclass(frozen=True)
class Spectra:
    """Measured redshifts of all bodies.

    Parameters
    ----------
    redshift : ndarray, shape (n,)
        NaN where there is no spectrum.
    quality : ndarray of int, shape (n,)
        One of `QUALITIES`.
    """

    redshift: NDArray
    quality: NDArray


def take_spectra(
    rng: np.random.Generator, table: Table, cluster: Row, *, zone: NDArray, found: NDArray, scale: float
) -> Spectra:
    """Choose targets and measure their redshifts.

    In every zone of the field, as many members and non-members (by measured redshift) as Table 1 of Angora et
    al. (2020) says get a spectrum of quality 2 or better; which of them is a draw with the weights of
    `spectral_completeness`. Insecure spectra come on top.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    table : `~astropy.table.Table`
        Bodies, as `bodies` gives them.
    cluster : `~astropy.table.Row`
        Row of `clash_clusters`.
    zone : ndarray of int, shape (n,)
        Zone of each body's measured place, from `Zones.zone`.
    found : ndarray of bool, shape (n,)
        Bodies on the list of detections.
    scale : float
        Factor on the numbers of spectra.

    Returns
    -------
    Spectra
        For all bodies.

    Raises
    ------
    InputError
        If a zone has fewer sources than spectra are wanted.
    """
    chance = np.where(found, spectral_completeness(table), 0.0)
    quality = _draw_quality(rng, table)
    redshift = _measure(rng, table, quality)
    member = is_member(redshift, float(cluster["redshift"]))
    # The largest of log(weight) + Gumbel noise are a weighted draw without replacement.
    with np.errstate(divide="ignore"):
        rank = np.log(chance) + rng.gumbel(size=len(table))
    taken = np.zeros(len(table), dtype=bool)
    wanted = wanted_spectra(cluster, scale=scale)
    for place in range(3):
        for kind, label in enumerate(("non-members", "members")):
            rows = np.flatnonzero(
                (zone == place) & (member == bool(kind)) & np.isfinite(rank) & (quality > 1)
            )
            n = int(wanted[place, kind])
            if len(rows) < n:
                raise InputError(
                    f"scale must leave a source for each spectrum, got {scale} and {len(rows)} {label} for "
                    f"{n} spectra of {cluster['short']}; choose a smaller scale or a larger field"
                )
            taken[rows[np.argsort(-rank[rows], kind="stable")[:n]]] = True
    extra = np.flatnonzero((quality == 1) & np.isfinite(rank) & (zone >= 0))
    taken[extra[np.argsort(-rank[extra], kind="stable")[: round(INSECURE * wanted.sum())]]] = True
    return Spectra(np.where(taken, redshift, np.nan), np.where(taken, quality, 0))


def _draw_quality(rng: np.random.Generator, table: Table) -> NDArray:
    """Quality that a spectrum of each body would have: worse for the faint, single lines for late types."""
    n = len(table)
    faint = np.clip((np.asarray(table["magnitude"]) - 21) / 4, 0.1, 1)
    lines = np.isin(np.asarray(table["kind"]), ("late", "arc")) & (rng.random(n) < 0.5 * faint)
    quality = np.where(lines, 9, 3)
    quality[rng.random(n) < 0.25 * faint] = 2
    quality[rng.random(n) < 0.2 * faint] = 1
    return quality


def _measure(rng: np.random.Generator, table: Table, quality: NDArray) -> NDArray:
    """Redshifts with errors; some of those that are not secure are of another line."""
    true = np.asarray(table["redshift"])
    measured = true + Z_ERROR * (1 + true) * rng.normal(size=len(true))
    wrong = rng.random(len(true)) < np.select(
        [quality == 1, quality == 2], [WRONG_INSECURE, WRONG_LIKELY], 0.0
    )
    # H-alpha or [O III] taken for [O II], or the reverse.
    mistaken = (1 + true) * rng.choice(np.array([6563, 5007, 3727]) / 4300, size=len(true)) - 1
    return np.where(wrong, np.clip(mistaken, 0.01, None), measured)
