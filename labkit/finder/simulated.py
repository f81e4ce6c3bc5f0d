"""The finder on simulated fields: the candidates of a survey that was found (`labkit.simulate.found`)."""

import shutil
from dataclasses import asdict
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from tqdm.auto import tqdm

from labkit.errors import InputError
from labkit.finder.find import find_candidates
from labkit.images.coordinates import tangent_plane
from labkit.instruments.epic import summed_exposure
from labkit.processes import run_tasks
from labkit.simulate.found import SEARCHED, Field, draw_found_field, read_recipe
from labkit.sources.xmm import EPIC, Observation
from labkit.tables import read_catalogue, write_table

_MEASURED = ("counts", "extent", "extension_likelihood", "detection_likelihood")
_OTHERS = 4  # sources of a field that are kept beside its candidates
_COLUMNS = (
    {"field": np.int32, "x": float, "y": float}
    | dict.fromkeys(_MEASURED, np.float32)
    | {"c1": bool, "candidate": bool, "true_class": str, "seen_as": str}
    | {"source": np.int32, "weight": np.float32}
    | dict.fromkeys(("share", "significance"), np.float32)
)


def as_observation(field: Field) -> Observation:
    """A simulated field as the finder reads one, in memory."""
    counts, exposures = field.images()
    place = field.pointing.ra_deg, field.pointing.dec_deg
    wcs = tangent_plane(*place, 60 * SEARCHED.pixel_arcmin, (SEARCHED.size, SEARCHED.size))
    about = {"telescope": "XMM-Newton", "instrument": ", ".join(EPIC), "exposure_unit": "s"}
    pointing = SkyCoord(*place, unit=u.deg)
    return Observation(
        counts.sum(axis=0), wcs, summed_exposure(exposures), pointing, about, (counts, exposures)
    )


def search_field(seed: int, number: int) -> Table:
    """Candidates of a field of a survey, barely extended ones too, and what they are.

    And some of the other sources that are listed, evenly from the brightest to the faintest. Columns
    ``field``, ``x``, ``y`` (arcmin from the nominal pointing), ``counts``, ``extent`` (arcsec),
    ``extension_likelihood``, ``detection_likelihood``, ``c1``, ``candidate``; what
    `labkit.simulate.found.Field.verdict` says: ``true_class``, ``seen_as``, ``source`` (row in the field; -1
    for none), ``share``, ``significance``; and the source's ``weight``, which undoes the enrichment (1
    without a source).
    """
    field = draw_found_field(seed, number)
    found = find_candidates(as_observation(field))
    measured = {name: np.asarray(found[name].value) for name in _MEASURED}
    x, y = (
        (np.asarray(found[axis].value) + 0.5) * SEARCHED.pixel_arcmin - SEARCHED.half for axis in ("x", "y")
    )
    listed = measured["detection_likelihood"] > found.meta["selection"]["listed"]
    others = np.flatnonzero(listed & ~np.asarray(found["candidate"]))
    others = others[np.argsort(-measured["counts"][others], kind="stable")]
    spread = np.linspace(0, max(len(others) - 1, 0), min(_OTHERS, len(others))).round().astype(int)
    rows = []
    for row in np.sort(np.concatenate([np.flatnonzero(found["candidate"]), others[spread]])).tolist():
        place = float(x[row]), float(y[row])
        verdict = field.verdict(*place, float(measured["extent"][row]))
        rows.append(
            asdict(verdict)
            | {"field": number, "x": place[0], "y": place[1], "c1": bool(found["c1"][row])}
            | {"candidate": bool(found["candidate"][row])}
            | {name: float(values[row]) for name, values in measured.items()}  # counts are the fitted ones
            | {"weight": field.sources[verdict.source].weight if verdict.source >= 0 else 1.0}
        )
    return Table({name: np.array([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()})


def search_fields(
    path: str | Path, seed: int, fields: int, *, n_jobs: int = 1, progress: bool = False
) -> Table:
    """Search simulated fields for the candidates of a survey, and write them: a recipe, as a Parquet table.

    Fields that the table holds are not searched again, nor those that a run which was stopped left in a
    hidden folder beside it. Columns are those of `search_field`; ``meta`` holds the seed and the number of
    fields.

    Raises
    ------
    InputError
        If the table is of another seed or of no recipe, or its name does not end in ``.parquet``.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise InputError(f"path must end in .parquet, got {str(path)!r}; give it another name")
    tables, first = [], 0
    if path.exists():
        before = read_recipe(path, listed=True)
        if before.meta["seed"] != seed:
            raise InputError(
                f"seed must be that of {str(path)!r}, {before.meta['seed']}, to add fields to it, got "
                f"{seed}; give another seed a table of its own"
            )
        tables, first = [before], before.meta["fields"]
    folder = path.with_name(f".{path.stem}.fields")
    folder.mkdir(parents=True, exist_ok=True)
    files = {number: folder / f"{seed}-{number:06d}.parquet" for number in range(first, fields)}
    tasks = [(seed, number, file) for number, file in files.items() if not file.exists()]
    done = run_tasks(_search_into, tasks, n_jobs)
    for _ in tqdm(done, total=len(tasks), unit="field", disable=not progress, desc="search"):
        pass
    found = vstack([*tables, *map(read_catalogue, files.values())], metadata_conflicts="silent")
    found.meta = {"seed": seed, "fields": max(first, fields)}
    write_table(found, path)
    shutil.rmtree(folder)
    return found


def _search_into(seed: int, number: int, path: Path) -> None:
    write_table(search_field(seed, number), path)
