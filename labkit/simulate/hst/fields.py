"""All the fields on disk, each in its folder, made once."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable
from threadpoolctl import threadpool_limits

from labkit.errors import InputError
from labkit.simulate.hst.bands import band_names
from labkit.simulate.hst.clusters import pick_clusters
from labkit.simulate.hst.field import field_bands, simulate_field
from labkit.simulate.hst.population import is_member

__all__ = ["simulate_fields"]

logger = logging.getLogger(__name__)


def simulate_fields(
    out: str | Path,
    *,
    seed: int,
    clusters: Iterable[str] | None = None,
    bands: Iterable[str] | None = None,
    size_arcsec: float = 130.0,
    scale: float = 1.0,
    n_jobs: int = 1,
    overwrite: bool = False,
) -> QTable:
    """Simulate fields of the clusters of Angora et al. (2020) and write them, one folder a cluster.

    A field appears whole or not at all, and one that is there with the same numbers is kept, so that a run
    which was stopped goes on where it was.

    Parameters
    ----------
    out : path
        Folder of the fields; each lies in ``<out>/<short name>/``, as `SimulatedField.write` makes it.
    seed, size_arcsec, scale
        As for `simulate_field`.
    clusters : iterable of str, optional
        Short names; all fifteen by default.
    bands : iterable of str, optional
        Bands to paint where they were observed; all by default.
    n_jobs : int
        Number of processes; the result does not depend on it.
    overwrite : bool
        Replace fields that were made with other numbers.

    Returns
    -------
    `~astropy.table.QTable`
        One row a field: ``name``, ``short``, ``redshift``, ``bands``, ``n_sources`` on the list,
        ``n_members`` and ``n_non_members`` with a spectrum of quality 2 or better, ``folder``.

    Raises
    ------
    InputError
        If a name is unknown, a number out of range, or a folder holds something else and `overwrite` is
        false.
    """
    if n_jobs < 1:
        raise InputError(f"n_jobs must be at least 1, got {n_jobs}")
    rows = pick_clusters(clusters)
    asked = band_names(bands)
    made = {"seed": int(seed), "size_arcsec": float(size_arcsec), "scale": float(scale)}
    folders = [Path(out) / str(row["short"]) for row in rows]
    tasks = []
    for row, folder in zip(rows, folders, strict=True):
        expected = {**made, "bands": list(field_bands(row, asked))}
        if not _kept(folder, expected, overwrite=overwrite):
            tasks.append((str(row["short"]), folder, expected))
    logger.info(
        "%d fields are there, simulating %d in %d process(es)", len(rows) - len(tasks), len(tasks), n_jobs
    )
    for number, folder in enumerate(_mapped(tasks, n_jobs), start=1):
        logger.info("simulated %s, %d of %d", folder.name, number, len(tasks))
    return _fields(folders)


def _kept(folder: Path, expected: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether a field with these numbers is there already."""
    if not folder.exists():
        return False
    described = folder / "cluster.json"
    found = json.loads(described.read_text()) if described.is_file() else {}
    if all(found.get(name) == value for name, value in expected.items()):
        return True
    if not overwrite:
        has = {name: found.get(name) for name in expected} if found else "no simulated field"
        raise InputError(
            f"out must hold no other data, got {str(folder)!r} with {has} instead of {expected}; choose "
            "another folder or pass overwrite=True"
        )
    return False


def _mapped(tasks: list[tuple], n_jobs: int) -> Iterator[Path]:
    if n_jobs == 1 or len(tasks) < 2:
        yield from map(_one, tasks)
        return
    with ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_one, task) for task in tasks]):
            yield done.result()


def _one(task: tuple[str, Path, dict[str, Any]]) -> Path:
    """Simulate and write one field; on one thread, because sums depend on how they are split."""
    short, folder, options = task
    with threadpool_limits(1):
        return simulate_field(short, **options).write(folder, overwrite=True)


def _fields(folders: list[Path]) -> QTable:
    rows = []
    for folder in folders:
        about = json.loads((folder / "cluster.json").read_text())
        catalogue = QTable.read(folder / "catalogue.fits")
        counted = catalogue["z_quality"] >= 2
        member = is_member(np.nan_to_num(catalogue["z_spec"]), about["redshift"]) & counted
        rows.append(
            {name: about[name] for name in ("name", "short", "redshift")}
            | {
                "bands": " ".join(about["bands"]),
                "n_sources": len(catalogue),
                "n_members": int(member.sum()),
                "n_non_members": int((counted & ~member).sum()),
                "folder": str(folder),
            }
        )
    return QTable(rows=rows)
