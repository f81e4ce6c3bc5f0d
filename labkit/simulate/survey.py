"""The simulated survey: X-CLASS-like candidates seen by XMM-Newton and on Schmidt plates."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from tqdm.auto import tqdm

from labkit.images import regrid
from labkit.sample import Sample, SampleWriter
from labkit.simulate.candidates import draw_field
from labkit.simulate.numbers import check_whole
from labkit.simulate.plan import (
    KOSIBA_TABLE_2,
    HuntCounts,
    SurveyCounts,
    expected_counts,
    plan_further,
    plan_survey,
    seen_by,
)
from labkit.simulate.plates import plate_cutout
from labkit.simulate.processes import run_tasks
from labkit.simulate.xmm import Grid, count_images

logger = logging.getLogger(__name__)

#: Side of a cut-out (Kosiba et al. 2020, section 2).
_FIELD_OF_VIEW = 7 * u.arcmin
_BANDS = ("xray", "optical")
#: What the provenance of a simulated survey says.
_SOURCE = "simulated XMM-Newton EPIC and Schmidt plate survey"
_CHUNK = 16
_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "m500": u.M_sun,
    "luminosity": u.erg / u.s,
    "flux": u.erg / u.s / u.cm**2,
    "r500": u.arcmin,
    "core_radius": u.arcsec,
    "off_axis": u.arcmin,
    "exposure": u.ks,
    "background": u.ct / u.s / u.arcmin**2,
    "native_pixel_scale": u.arcsec,
    "position_angle": u.deg,
    "galactic_latitude": u.deg,
}


def simulate_survey(
    seed: int,
    *,
    counts: SurveyCounts = KOSIBA_TABLE_2,
    n_objects: int | None = None,
    hunt: HuntCounts | None = None,
    size_px: int = 178,
    n_jobs: int = 1,
    progress: bool = False,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Sample:
    """Simulate a survey of cluster candidates in two bands.

    Every object has its own random stream, so the result depends on `seed`, `counts`, `hunt` and `size_px`
    only, and the experts' objects do not depend on `hunt`. With more than one process, a script must call
    this under ``if __name__ == "__main__":``.

    Parameters
    ----------
    seed : int
        Seed of everything random.
    counts : SurveyCounts
        Sizes and composition; by default those of Kosiba et al. (2020), Table 2.
    n_objects : int, optional
        Scale `counts` to this many objects, and `hunt` with them.
    hunt : HuntCounts, optional
        Add the candidates that only the volunteers of the Hunt saw, after the experts' and without label and
        split, and a bool column ``in_hunt``; `labkit.simulate.KOSIBA_HUNT` has the paper's numbers.
    size_px : int
        Pixels along the side of the 7 arcmin cut-outs.
    n_jobs : int
        Processes.
    progress : bool
        Show a progress bar.
    path : path, optional
        Write the Sample there while it is made, instead of holding it in memory.
    overwrite : bool
        Replace what is at `path`.

    Returns
    -------
    Sample
        Bands "xray" (counts per pixel of the summed cameras) and "optical" (plate density), float32.

    Raises
    ------
    InputError
        If `seed`, `size_px` or `n_jobs` is out of range, or `path` exists and `overwrite` is false.
    """
    check_whole(0, seed=seed)
    check_whole(1, n_jobs=n_jobs)
    check_whole(8, size_px=size_px)
    if n_objects is not None:
        hunt = hunt and hunt.scaled(n_objects / len(counts))
        counts = counts.scaled(n_objects)
    about = {
        "bands": _BANDS,
        "pixel_scale": _FIELD_OF_VIEW.to(u.arcsec) / size_px,
        "provenance": {"source": _SOURCE, "seed": int(seed), "counts": counts.describe()}
        | ({"hunt": hunt.describe()} if hunt else {}),
    }
    pieces = _pieces(int(seed), counts, hunt, size_px, n_jobs)
    chunks = -(-(len(counts) + (hunt.further if hunt else 0)) // _CHUNK)
    shown = tqdm(pieces, total=chunks, unit="chunk", disable=not progress, desc="simulate")
    if path is None:
        images, tables = zip(*shown, strict=True)
        return Sample(np.concatenate(images), vstack(list(tables)), **about)
    with SampleWriter(path, overwrite=overwrite, **about) as writer:
        for images, table in shown:
            writer.append(images, table)
    return Sample.load(path)


def _plan(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None
) -> tuple[Table, list[np.random.SeedSequence]]:
    """What every row is, and its random stream; those of the Hunt come last and change none before them."""
    root = np.random.SeedSequence(seed)
    order, *streams = root.spawn(len(counts) + 1)
    plan = plan_survey(np.random.default_rng(order), counts)
    if hunt is None:
        return plan, streams
    order, *further = root.spawn(hunt.further + 1)
    rng = np.random.default_rng(order)
    plan["in_hunt"] = seen_by(rng, plan, _signal(plan, streams), hunt)
    added = plan_further(rng, hunt, counts)
    added["in_hunt"] = np.ones(len(added), dtype=bool)
    return vstack([plan, added]), [*streams, *further]


def _signal(plan: Table, streams: list[np.random.SeedSequence]) -> np.ndarray:
    """Counts of the labelled clusters that may be in the overlap, drawn as they will be; 1 for the others."""
    labelled = np.isin(plan["label"], ("low-z cluster", "high-z cluster")) & (plan["split"] != "test")
    signal = np.ones(len(plan))
    for row in np.flatnonzero(labelled):
        drawn = draw_field(np.random.default_rng(streams[row]), str(plan["true_class"][row])).row()
        seen = expected_counts(drawn["flux"], exposure_s=1e3 * drawn["exposure"], off_axis=drawn["off_axis"])
        signal[row] = max(float(np.nan_to_num(seen)), 1.0)
    return signal


def _pieces(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, size_px: int, n_jobs: int
) -> Iterator[tuple[np.ndarray, QTable]]:
    """Images and catalogue rows in order, a chunk at a time."""
    plan, streams = _plan(seed, counts, hunt)
    width = len(str(len(counts)))
    tasks = [
        (streams[start : start + _CHUNK], plan["true_class"][start : start + _CHUNK].tolist(), size_px)
        for start in range(0, len(plan), _CHUNK)
    ]
    logger.info("simulating %d candidates in %d process(es)", len(plan), n_jobs)
    for number, (images, table) in enumerate(run_tasks(_simulate_chunk, tasks, n_jobs)):
        rows = slice(_CHUNK * number, _CHUNK * number + len(table))
        names = [f"SIM-{seed}-{row:0{width}d}" for row in range(rows.start, rows.stop)]
        table.add_column(names, name="object_id", index=0)
        for index, name in enumerate(plan.colnames):
            table.add_column(plan[name][rows].data, name=name, index=3 + index)
        logger.info("simulated %d of %d candidates", rows.stop, len(plan))
        yield images, table


def _simulate_chunk(
    streams: list[np.random.SeedSequence], classes: list[str], size_px: int
) -> tuple[np.ndarray, QTable]:
    drawn = [
        _simulate_candidate(np.random.default_rng(stream), name, size_px=size_px)
        for stream, name in zip(streams, classes, strict=True)
    ]
    table = QTable({key: np.array([row[key] for _, row in drawn]) for key in drawn[0][1]})
    for name, unit in _UNITS.items():
        table[name] = table[name] * unit
    return np.stack([images for images, _ in drawn]), table


def _simulate_candidate(
    rng: np.random.Generator, true_class: str, *, size_px: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Both images (band, y, x) and the catalogue entries of one candidate.

    First come the circumstances, then the object, then the images.
    """
    drawn = draw_field(rng, true_class)
    half, pixel = _FIELD_OF_VIEW.to_value(u.arcmin) / 2, drawn.pixel_arcsec
    scale = 2 * half * 60 / size_px
    grid = Grid(drawn.x, drawn.y, size=int(np.ceil(2 * half * 60 / pixel)) + 2, pixel_arcmin=pixel / 60)
    components = drawn.candidate.components + drawn.surroundings.components
    spurious = drawn.candidate.spurious + drawn.surroundings.spurious
    images = count_images(rng, components, drawn.pointing, grid, spurious=spurious)
    counts = np.sum(list(images.values()), axis=0)
    xray = regrid(counts, scale=scale / pixel, shape=(size_px, size_px), conserve="flux")
    scenes = drawn.candidate.scenes + drawn.surroundings.scenes
    latitude = drawn.pointing.galactic_latitude_deg
    optical = plate_cutout(
        rng, scenes, size=size_px, pixel_scale_arcsec=scale, galactic_latitude_deg=latitude
    )
    return np.stack([xray, optical]), drawn.row() | {"counts": float(counts.sum())}


def survey_at(
    path: str | Path,
    seed: int,
    *,
    counts: SurveyCounts = KOSIBA_TABLE_2,
    hunt: HuntCounts | None = None,
    size_px: int = 178,
    n_jobs: int = 1,
) -> Sample:
    """Open the Sample at `path`, or simulate a survey there.

    A survey simulated before with other numbers is simulated again; a Sample of any other source is opened as
    it is, whatever the numbers say.

    Parameters
    ----------
    path : path
        Folder of the Sample.
    seed, counts, hunt, size_px, n_jobs
        As for `simulate_survey`.

    Returns
    -------
    Sample
        Raw Sample, opened from disk.
    """
    options: dict[str, Any] = {"counts": counts, "hunt": hunt, "size_px": size_px, "n_jobs": n_jobs}
    if not Path(path).exists():
        return simulate_survey(seed, path=path, **options)
    found = Sample.load(path)
    about = found.provenance
    asked = {"seed": seed, "counts": counts.describe(), "hunt": hunt and hunt.describe()}
    same = json.loads(json.dumps(asked)) == {name: about.get(name) for name in asked}
    same &= found.shape[-1] == size_px
    if about.get("source") != _SOURCE or same:
        return found
    logger.info("%s holds a survey simulated with other numbers; simulating it again", path)
    return simulate_survey(seed, path=path, overwrite=True, **options)
