"""The finder on simulated fields: the candidates of a survey that was found (`labkit.simulate.found`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from tqdm.auto import tqdm

from labkit.finder.find import find_candidates
from labkit.images.coordinates import tangent_plane
from labkit.instruments.epic import CAMERAS, MOS1
from labkit.processes import run_tasks
from labkit.simulate.found import SEARCHED, Field, draw_found_field
from labkit.sources.xmm import Observation
from labkit.tables import read_catalogue, write_table

#: What a candidate exceeds in extent (arcsec) and extension likelihood: far below C1, for any cut after it.
LEAST_EXTENT, LEAST_LIKELIHOOD = 5.0, 5.0
_MEASURED = ("counts", "extent", "extension_likelihood", "detection_likelihood")
_COLUMNS = (
    {"field": np.int32, "x": float, "y": float}
    | dict.fromkeys(_MEASURED, np.float32)
    | {"c1": bool, "true_class": str, "seen_as": str, "source": np.int32, "weight": np.float32}
    | dict.fromkeys(("share", "significance"), np.float32)
)


def as_observation(field: Field) -> Observation:
    """A simulated field as the finder reads one, in memory."""
    counts, exposures = field.images()
    place = field.pointing.ra_deg, field.pointing.dec_deg
    wcs = tangent_plane(*place, 60 * SEARCHED.pixel_arcmin, (SEARCHED.size, SEARCHED.size))
    shares = np.array([camera.share / MOS1.share for camera in CAMERAS], dtype=np.float32)
    total = (shares[:, None, None] * exposures).sum(axis=0)
    about = {"telescope": "XMM-Newton", "exposure_unit": "s"}
    pointing = SkyCoord(*place, unit=u.deg)
    return Observation(counts.sum(axis=0), wcs, total, pointing, about, (counts, exposures))


def search_field(seed: int, number: int) -> Table:
    """Candidates of a field of a survey, barely extended ones too, and what they are.

    Columns ``field``, ``x``, ``y`` (arcmin from the nominal pointing), ``counts``, ``extent`` (arcsec),
    ``extension_likelihood``, ``detection_likelihood``, ``c1``; what `labkit.simulate.found.Field.verdict`
    says: ``true_class``, ``seen_as``, ``source`` (row in the field; -1 for none), ``share``,
    ``significance``; and the source's ``weight``, which undoes the enrichment (1 without a source).
    """
    field = draw_found_field(seed, number)
    found = find_candidates(as_observation(field))
    measured = {name: np.asarray(found[name].value) for name in _MEASURED}
    kept = measured["extent"] > LEAST_EXTENT
    kept &= measured["extension_likelihood"] > LEAST_LIKELIHOOD
    kept &= measured["detection_likelihood"] > found.meta["selection"]["listed"]
    x, y = (
        (np.asarray(found[axis].value) + 0.5) * SEARCHED.pixel_arcmin - SEARCHED.half for axis in ("x", "y")
    )
    rows = []
    for row in np.flatnonzero(kept).tolist():
        place = float(x[row]), float(y[row])
        verdict = field.verdict(*place, float(measured["extent"][row]))
        rows.append(
            {"field": number, "x": place[0], "y": place[1]}
            | {name: float(values[row]) for name, values in measured.items()}
            | {"c1": bool(found["c1"][row]), **asdict(verdict)}
            | {"counts": float(measured["counts"][row])}
            | {"weight": field.sources[verdict.source].weight if verdict.source >= 0 else 1.0}
        )
    return Table({name: np.array([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()})


def search_fields(
    folder: str | Path, seed: int, numbers: Iterable[int], *, n_jobs: int = 1, progress: bool = False
) -> Table:
    """Candidates of many fields of a survey, as of `search_field`, by number of the field.

    Each field is kept in a file of the folder and not searched again.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {number: folder / f"{seed}-{number:06d}.parquet" for number in numbers}
    tasks = [(seed, number, path) for number, path in files.items() if not path.exists()]
    done = run_tasks(_search_into, tasks, n_jobs)
    for _ in tqdm(done, total=len(tasks), unit="field", disable=not progress, desc="search"):
        pass
    found = vstack([read_catalogue(path) for path in files.values()])
    found.meta = {"seed": seed}
    return found


def _search_into(seed: int, number: int, path: Path) -> None:
    write_table(search_field(seed, number), path)
