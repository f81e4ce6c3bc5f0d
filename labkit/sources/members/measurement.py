"""Photometry of the objects of a member Sample, measured on their fields' mosaics."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.photometry import match
from labkit.sample import Sample
from labkit.sources.members.fields import ListedField, read_fields
from labkit.sources.mosaics import extract_mosaics, read_mosaics
from labkit.sources.mosaics.names import blue_to_red
from labkit.tables import text

logger = logging.getLogger(__name__)

#: Columns of `~labkit.photometry.extract` that are no magnitudes, and their values where nothing was found.
_KEPT = {"half_light": np.nan * u.arcsec, "kron_radius": np.nan * u.arcsec, "flags": -1, "halo": False}
Task = tuple[ListedField, QTable, str, u.Quantity, dict[str, Any]]


def measure_fields(
    fields: str | Path | Table,
    sample: Sample | Table,
    *,
    pattern: str = "*_{band}.fits*",
    radius: u.Quantity = 0.5 * u.arcsec,
    n_jobs: int = 1,
    **options: Any,
) -> QTable:
    """Measure the objects of a member Sample in all bands of their fields.

    Each field's sources are found and measured anew, whoever made its catalogue, and matched to the objects
    one to one (`~labkit.photometry.match`), as photometric methods of Angora et al. (2020, section 4.3) need
    it. An object that is not a source of its own on the detection image, for example one within the isophote
    of a brighter galaxy, stays without magnitudes.

    Parameters
    ----------
    fields : path or Table
        As for `~labkit.sources.fields_sample`; for radii with ``ra``, ``dec`` (centre) and ``r200`` (Mpc) of
        the cluster, or the ``cluster.json`` of a simulated field.
    sample : Sample or Table
        With the columns ``object_id``, ``ra``, ``dec`` and ``cluster``; pixels stay unread.
    pattern : str
        Names of the mosaics, see `~labkit.sources.read_mosaics`.
    radius : Quantity
        Largest separation of an object from its source.
    n_jobs : int
        Number of processes, a field each (about 1 GB for twelve bands of 2,000 x 2,000 px); the result does
        not depend on it.
    **options
        Of `~labkit.sources.mosaics.extract_mosaics`: ``detect_on``, ``threshold``, ``deblend_contrast``,
        ``zero_points``, ``pixel_scale`` and others, the same for all fields. Bands of ``detect_on`` that a
        field lacks are left out there.

    Returns
    -------
    `~astropy.table.QTable`
        One row per object, in its order: ``object_id``, ``cluster``, ``measured`` (bool), ``separation``
        (arcsec), ``radius`` (arcsec from the centre) and ``radius_r200`` (NaN where not known); for each band
        ``mag_<band>``, ``mag_<band>_err`` (AUTO), ``aper_<band>``, ``aper_<band>_err`` (fixed aperture), NaN
        where not found or not covered; ``half_light``, ``kron_radius`` (arcsec), ``flags`` (-1 where not
        found), ``halo``. ``meta["measured"]`` is the share found of each cluster, ``meta["data"]`` says
        "simulated" where mosaics are.

    Raises
    ------
    MissingDataError
        If a file or a column is not there.
    InputError
        If an object is of a cluster that is not listed, or an option is out of its range.
    """
    objects = QTable(sample.catalogue if isinstance(sample, Sample) else sample)
    if missing := [n for n in ("object_id", "ra", "dec", "cluster") if n not in objects.colnames]:
        raise InputError(
            f"sample must have the columns object_id, ra, dec and cluster, got none for {missing}"
        )
    if n_jobs < 1:
        raise InputError(f"n_jobs must be at least 1, got {n_jobs}")
    clusters = text(objects["cluster"])
    listed = read_fields(fields)
    if unknown := sorted(set(clusters.tolist()) - {one.cluster for one in listed}):
        raise InputError(f"fields must list every cluster of the sample, got none for {unknown}")
    rows = {one.cluster: np.flatnonzero(clusters == one.cluster) for one in listed}
    tasks: list[Task] = [
        (one, objects["ra", "dec"][rows[one.cluster]], pattern, radius, options)
        for one in listed
        if len(rows[one.cluster])
    ]
    parts = []
    for number, part in enumerate(_mapped(tasks, n_jobs), start=1):
        parts.append(part)
        logger.info(
            "%s, %d of %d: measured %d of %d objects in %.1f s",
            *(tasks[number - 1][0].cluster, number, len(tasks)),
            *(part["measured"].sum(), len(part), part.meta["seconds"]),
        )
    ids = QTable({"object_id": text(objects["object_id"]), "cluster": clusters})
    return _joined(ids, [(task[0].cluster, rows[task[0].cluster]) for task in tasks], parts)


def _mapped(tasks: Sequence[Task], n_jobs: int) -> Iterator[QTable]:
    if n_jobs == 1 or len(tasks) < 2:
        yield from map(_measured, tasks)
        return
    with ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_measured, tasks)


def _measured(task: Task) -> QTable:
    """The rows of one field; on one thread, because processes share the cores."""
    field, objects, pattern, radius, options = task
    start = time.perf_counter()
    mosaics = read_mosaics(field.folder, pattern=pattern)
    options = options | _detection(options.get("detect_on"), mosaics.bands, field.cluster)
    with threadpool_limits(1):
        found = extract_mosaics(mosaics, **options)
    pairs = match(objects, found, radius)
    there, source = np.asarray(pairs["row"]), np.asarray(pairs["reference_row"])
    table = QTable({"measured": np.isin(np.arange(len(objects)), there)})
    table["separation"] = np.full(len(objects), np.nan) * u.arcsec
    table["separation"][there] = pairs["separation"]
    table["radius"], table["radius_r200"] = _radii(field, SkyCoord(objects["ra"], objects["dec"]))
    magnitudes = [name for name in found.colnames if name.startswith(("mag_", "aper_"))]
    for name, nothing in {**dict.fromkeys(magnitudes, np.nan * u.mag), **_KEPT}.items():
        table[name] = u.Quantity([nothing] * len(objects)) if hasattr(nothing, "unit") else nothing
        table[name][there] = found[name][source]
    simulated = any("simulated" in one.origin for one in mosaics.mosaics)
    table.meta = {"bands": mosaics.bands, "simulated": simulated, "seconds": time.perf_counter() - start}
    return table


def _detection(asked: str | Sequence[str] | None, bands: Sequence[str], cluster: str) -> dict[str, Any]:
    if asked is None:
        return {}
    names = [asked] if isinstance(asked, str) else list(asked)
    chosen = [name for name in names if name in bands]
    if not chosen:
        raise InputError(f"detect_on must name a band of {cluster}, {tuple(bands)}, got {names}")
    return {"detect_on": chosen}


def _radii(field: ListedField, positions: SkyCoord) -> tuple[u.Quantity, NDArray[np.float64]]:
    nothing = np.full(len(positions), np.nan)
    if field.centre is None:
        return nothing * u.arcsec, nothing
    angle = positions.separation(field.centre).to(u.arcsec)
    if field.r200 is None:
        return angle, nothing
    return angle, (angle * COSMOLOGY.kpc_proper_per_arcmin(field.redshift) / field.r200).to_value(u.one)


def _joined(ids: QTable, places: Sequence[tuple[str, NDArray]], parts: Sequence[QTable]) -> QTable:
    """The fields' rows in the objects' order; NaN in bands that a field lacks."""
    bands = sorted({band for part in parts for band in part.meta["bands"]}, key=blue_to_red)
    about = ["measured", "separation", "radius", "radius_r200"]
    kinds = ("mag_{}", "mag_{}_err", "aper_{}", "aper_{}_err")
    table = ids
    for name in [*about, *(kind.format(band) for band in bands for kind in kinds), *_KEPT]:
        first = next(part[name] for part in parts if name in part.colnames)
        unit = getattr(first, "unit", None)
        values = np.zeros(len(ids), first.dtype) if first.dtype.kind in "bi" else np.full(len(ids), np.nan)
        for (_, rows), part in zip(places, parts, strict=True):
            if name in part.colnames:
                values[rows] = part[name] if unit is None else part[name].to_value(unit)
        table[name] = values if unit is None else values * unit
    table.meta["measured"] = {
        name: float(part["measured"].mean()) for (name, _), part in zip(places, parts, strict=True)
    }
    table.meta["data"] = "simulated" if any(part.meta["simulated"] for part in parts) else "real"
    return table
