"""How crowded a cut-out is, and whether crowding makes errors (Angora et al. 2020, section 6, Fig. 12)."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.trainings import OUTCOMES, outcomes
from labkit.predictions import Predictions
from labkit.tables import magnitudes

#: Nearer than this to the target, arcsec, a source is the target itself.
_ITSELF = 0.3


def contamination_index(
    targets: Table, sources: Table, *, size_arcsec: float = 4.16, magnitude: str = "mag_F814"
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
    counts = np.isfinite(m[other])
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
        A row each of TP, TN, FP, FN: ``outcome``, ``objects``, ``contaminated`` (share with an index above 0;
        in the paper 43, 31, 28 and 48 %) and ``median`` index of those.
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
