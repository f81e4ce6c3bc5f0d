"""The embedded default data: simulated when first asked for, opened the next time."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.table import QTable

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.simulate.candidates.hunt_plan import HuntCounts
from labkit.simulate.candidates.plan import KOSIBA_TABLE_2, SurveyCounts
from labkit.simulate.candidates.survey import SOURCE, simulate_survey
from labkit.simulate.xmm.observation import simulate_observation

__all__ = ["field_files", "survey_at"]

log = logging.getLogger(__name__)

_CAMERAS = ("pn", "mos1", "mos2")


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

    Raises
    ------
    InputError
        If a number is out of range, or `path` is something else than a Sample.
    """
    options: dict[str, Any] = {"counts": counts, "hunt": hunt, "size_px": size_px, "n_jobs": n_jobs}
    if not Path(path).exists():
        return simulate_survey(seed, path=path, **options)
    found = Sample.load(path)
    about = found.provenance
    asked = {"seed": seed, "counts": counts.describe(), "hunt": hunt and hunt.describe()}
    same = json.loads(json.dumps(asked)) == {name: about.get(name) for name in asked}
    same &= found.shape[-1] == size_px
    if about.get("source") != SOURCE or same:
        return found
    log.info("%s holds a survey simulated with other numbers; simulating it again", path)
    return simulate_survey(seed, path=path, overwrite=True, **options)


def field_files(
    path: str | Path, seed: int, *, least_counts: float = 30.0
) -> tuple[list[str], list[str], str]:
    """Files of a simulated observation, as a user would hold them: images, exposure maps, candidates.

    Parameters
    ----------
    path : path
        Folder of the observation; made again, with the files in it.
    seed : int
        Seed of everything random.
    least_counts : float
        Expected counts from which a source of the field is on the candidate list, which holds only positions.

    Returns
    -------
    images, exposures : list of str
        FITS files of PN, MOS1 and MOS2.
    candidates : str
        ECSV table with ``ra`` and ``dec``.

    Raises
    ------
    InputError
        If no source of the field is that bright.
    """
    observation = simulate_observation(seed, path=path, overwrite=True)
    truth = observation.truth[observation.truth["counts"] >= least_counts]
    inside = observation.exposures["epic"] > 0
    x, y = truth["x"].round().astype(int), truth["y"].round().astype(int)
    size_y, size_x = inside.shape
    on = (x >= 0) & (x < size_x) & (y >= 0) & (y < size_y)
    on[on] = inside[y[on], x[on]]
    if not on.any():
        raise InputError(
            f"least_counts must leave a candidate, got {least_counts} and none in the field of view"
        )
    folder = Path(path)
    listed = QTable({"ra": truth["ra"][on].to(u.deg), "dec": truth["dec"][on].to(u.deg)})
    listed.write(folder / "candidates.ecsv", overwrite=True)
    images, exposures = (
        [str(folder / f"{c}_{kind}.fits") for c in _CAMERAS] for kind in ("image", "exposure")
    )
    return images, exposures, str(folder / "candidates.ecsv")
