"""Simulated clusters in the images of an observation: which of them the finder brings back.

What is injected is simulated; background, detectors and neighbours are the observation's own. Clusters are
dealt to copies of the images, a few to each and far apart. Every copy is filtered anew as a whole; sources
are fitted again only where it differs from the observation.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit import __version__
from labkit.errors import InputError
from labkit.finder.find import Changes, Search, deepest_place, search, searched_exposure
from labkit.finder.fits import Selection
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky, pixels_at, sky_to_pixel
from labkit.instruments.epic import MOS1, Camera
from labkit.processes import run_tasks
from labkit.sample import concatenate
from labkit.simulate.injection import ECF, components_of, injected_counts
from labkit.sources.xmm import EPIC, Observation, candidates_sample
from labkit.tables import need_columns, numbers, read_catalogue, write_table

#: A source this near to an injected cluster, arcsec, may be it; the extent is added in quadrature.
MATCHED = 12.0
#: Sources within this radius (arcsec) of a cluster, and so many extents more, are fitted again.
_REACH, _REACH_EXTENTS = 120.0, 3.0
#: Half the sides (arcsec) of the boxes in which exposure and background of a place are taken.
_EXPOSURE_BOX, _BACKGROUND_BOX = 30.0, 60.0
_NEEDED: dict[str, Any] = {"flux": u.erg / u.s / u.cm**2, "extent": u.arcsec, "angle": u.deg}
_UNITS = _NEEDED | {"ra": u.deg, "dec": u.deg, "x": u.pix, "y": u.pix, "injected_counts": u.ct}
_UNITS |= {"off_axis": u.arcmin, "exposure": u.s, "background": u.ct / u.arcmin**2, "distance": u.arcmin}
_UNITS |= {"separation": u.arcsec, "fitted_counts": u.ct, "fitted_extent": u.arcsec}
#: What was measured of a cluster, and the columns of the finder's catalogue.
_MEASURED = {"separation": "", "fitted_counts": "counts", "fitted_extent": "extent"}
_MEASURED |= {name: name for name in ("extension_likelihood", "detection_likelihood")}


@dataclass(frozen=True)
class Target:
    """An observation to inject into, searched as it is."""

    observation: Observation
    cameras: tuple[Camera, ...]
    before: Search
    selection: Selection
    ecf: float  # of one MOS, 1e11 counts cm2 / erg

    @property
    def pixel_arcsec(self) -> float:
        """Side of a pixel."""
        return self.before.scene.pixel_arcsec

    def counts(self, rng: Generator, cluster: Mapping[str, float]) -> NDArray[np.float32]:
        """Counts of a cluster in each camera, (camera, y, x)."""
        assert self.observation.cameras is not None
        pixel, rate = self.pixel_arcsec / 60, self.ecf * 1e11 / MOS1.share
        parts = components_of(cluster, cluster["x"] * pixel, cluster["y"] * pixel)
        planes = []
        for camera, exposure in zip(self.cameras, self.observation.cameras[1], strict=True):
            x, y = deepest_place(exposure)
            planes.append(
                injected_counts(
                    rng, parts, camera, exposure, counts_per_flux=rate * camera.share, pixel_arcmin=pixel,
                    axis=(x * pixel, y * pixel),
                )
            )  # fmt: skip
        return np.stack(planes)

    def altered(self, counts: NDArray[np.float32]) -> Observation:
        """The observation with counts added to its cameras."""
        assert self.observation.cameras is not None
        images, exposures = self.observation.cameras
        image = self.observation.image + counts.sum(axis=0)
        return replace(self.observation, image=image, cameras=(images + counts, exposures))

    def changes(self, x: NDArray, y: NDArray, extent: NDArray) -> Changes:
        """What clusters at some pixels, with extents in arcsec, change."""
        return Changes(self.before, x, y, (_REACH + _REACH_EXTENTS * extent) / self.pixel_arcsec)

    def circumstances(self, x: NDArray, y: NDArray) -> dict[str, NDArray[np.float64]]:
        """What places (pixels) have besides a cluster, by the names of columns.

        ``off_axis`` (arcmin), ``exposure`` (of the summed cameras, s), ``background`` (expected counts per
        arcmin2, wings of extended sources included: median of the exposed pixels around) and ``distance`` to
        the next source of the observation (arcmin).
        """
        scene, found = self.before.scene, self.before.candidates
        pixel = self.pixel_arcsec / 60
        places, expected = list(zip(x.tolist(), y.tolist(), strict=True)), scene.expected
        exposure = [scene.exposure[scene.box(*place, _EXPOSURE_BOX)].mean() for place in places]
        around = [scene.box(*place, _BACKGROUND_BOX) for place in places]
        background = [np.median(expected[box][scene.exposure[box] > 0]) for box in around]
        away = np.hypot(*(a[:, None] - found[n].value for a, n in ((x, "x"), (y, "y"))))
        return {
            "off_axis": np.hypot(x - scene.axis[0], y - scene.axis[1]) * pixel,
            "exposure": np.array(exposure),
            "background": np.array(background) / pixel**2,
            "distance": away.min(axis=1, initial=np.hypot(*expected.shape)) * pixel,
        }


def inject(
    observation: Observation,
    clusters: Table,
    path: str | Path,
    *,
    seed: int,
    masked: Table | None = None,
    separation: u.Quantity = 3 * u.arcmin,
    per_copy: int = 15,
    ecf: float = ECF,
    selection: Selection | None = None,
    models: str | None = None,
    n_jobs: int = 1,
    progress: bool = False,
) -> QTable:
    """Inject simulated clusters into an observation, search it for them, and write what came back.

    Photons of each cluster are drawn through point spread and exposure maps, vignetting and gaps included,
    and added to the counts of each camera; a few clusters share a copy of the images. A source of a copy is
    an injected cluster if it lies within sqrt(12² + extent²) arcsec of it, and the observation as it is has
    no extended source there while this one is extended, or had less than half of its counts; of several, that
    with most counts. Copies that are done are not searched again when the same call is made once more, as
    after it was stopped.

    Parameters
    ----------
    observation : Observation
        Images and exposure maps of PN and MOS apart, as `~labkit.sources.read_observation` reads them.
    clusters : Table
        One row per cluster: ``flux`` (erg/s/cm2, 0.5-2 keV), ``extent`` (core radius, arcsec),
        ``axis_ratio``, ``angle``, as from `~labkit.simulate.cluster_grid` or
        `~labkit.simulate.cluster_population`. With ``ra`` and ``dec`` they are put there, else anywhere that
        is exposed and not masked, evenly in area.
    path : path
        Parquet table to write.
    seed : int
        Seed of places and photons; kept with the table.
    masked : Table, optional
        ``ra``, ``dec`` (degrees) and ``radius`` (arcmin) of circles without injections, such as one around
        the cluster that the observation aims at.
    separation : Quantity
        Least angle between clusters of one copy.
    per_copy : int
        Most clusters of one copy.
    ecf : float
        Energy conversion factor, 1e11 counts cm2 / erg, as `find_candidates` takes it: of one MOS; by default
        that of simulated observations. It depends on spectrum, filters and absorption.
    selection : Selection, optional
        Thresholds of the finder; by default those of the C1 sample.
    models : str, optional
        Networks, as `~labkit.learn.predict` takes them by name or folder, that score the clusters among the
        finder's candidates, each cut out of the observation with this cluster alone.
    n_jobs : int
        Processes; the result does not depend on them.
    progress : bool
        Show how many copies are done.

    Returns
    -------
    QTable
        The rows of `clusters` with ``copy``, ``ra``, ``dec``, ``x``, ``y``; ``off_axis``, ``exposure``,
        ``background`` and ``distance`` to the next source, of the observation as it is; ``injected_counts``;
        ``detected``, ``candidate`` and ``c1`` as the finder says; ``probability`` (mean of the networks; NaN
        for what is no candidate); ``separation``, ``fitted_counts``, ``fitted_extent``,
        ``extension_likelihood``, ``detection_likelihood``, NaN where not detected. ``meta`` says what was
        done, and the ``area`` (deg2) in which they were
        placed evenly.

    Raises
    ------
    InputError
        If the cameras are not apart or not EPIC's, a place is not exposed or masked, no place is left, a
        cluster or an option breaks its rule, or `path` holds other injections.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise InputError(f"path must end in .parquet, got {str(path)!r}; give it another name")
    if not separation > 0 * u.arcmin or per_copy < 1 or not 0 < ecf < np.inf:
        raise InputError(
            "separation, per_copy and ecf must be a positive angle and positive numbers, got "
            f"{separation}, {per_copy} and {ecf}"
        )
    rows, selection = _checked(clusters), selection or Selection()
    cameras, circles = _cameras(observation), _circles(masked)
    if models is not None:
        _networks(models)
    settings = {"seed": seed, "masked": circles, "separation_arcmin": separation.to_value(u.arcmin)}
    settings |= {"per_copy": per_copy, "ecf": ecf, "selection": asdict(selection), "models": models}
    settings |= {"labkit": __version__}
    key = _digest(observation, rows, settings)
    if path.exists():
        table = read_catalogue(path)
        if table.meta.get("key") == key:
            return table
        raise InputError(
            f"path must hold these injections or be new, got {str(path)!r} with others; choose another name"
        )
    pixel = pixel_scale_arcsec(observation.wcs)
    free = (searched_exposure(observation) > 0) & ~_within(circles, observation, pixel)
    if not free.any():
        raise InputError("masked must leave an exposed pixel to inject clusters at, got none; mask less")
    _place(rows, observation, free, default_rng(SeedSequence(seed)))
    rows["copy"] = _deal(rows, separation.to_value(u.arcsec) / pixel, per_copy, seed)
    target = Target(observation, cameras, search(observation, selection=selection), selection, ecf)
    for name, values in target.circumstances(*(numbers(rows[axis]) for axis in ("x", "y"))).items():
        rows[name] = values
    rows.sort("copy", kind="stable")
    folder = path.with_name(f".{path.stem}.copies")
    folder.mkdir(parents=True, exist_ok=True)
    files = {copy: folder / f"{key}-{copy:06d}.parquet" for copy in np.unique(rows["copy"]).tolist()}
    tasks = [
        (target, [dict(row) for row in rows[rows["copy"] == copy]], seed, models, file)
        for copy, file in files.items()
        if not file.exists()
    ]
    done = run_tasks(_search_into, tasks, n_jobs)
    for _ in tqdm(done, total=len(tasks), unit="copy", disable=not progress, desc="inject"):
        pass
    found = vstack([read_catalogue(file) for file in files.values()], metadata_conflicts="silent")
    what = f"simulated clusters in the images of {observation.about.get('target') or 'an observation'}"
    found.meta = {"injected": what, "observation": observation.about, "copies": len(files), "key": key}
    found.meta |= settings
    if "ra" not in clusters.colnames:  # places that were given stand for no area
        found.meta["area"] = float(free.sum()) * (pixel / 3600) ** 2
    write_table(found, path)
    shutil.rmtree(folder)
    return found


def _checked(clusters: Table) -> Table:
    """The clusters as plain numbers in known units."""
    need_columns(
        clusters, (*_NEEDED, "axis_ratio"), "clusters", hint="make them by cluster_grid or cluster_population"
    )
    if not len(clusters):
        raise InputError("clusters must hold at least one row, got none")
    units = _NEEDED | {"ra": u.deg, "dec": u.deg, "flux_500": _NEEDED["flux"]}
    rows = Table({name: numbers(clusters[name], units.get(name)) for name in clusters.colnames})
    for name in ("flux", "extent", "axis_ratio"):
        bad = ~((rows[name] > 0) & np.isfinite(rows[name]) & ((name != "axis_ratio") | (rows[name] <= 1)))
        if bad.any():
            rule = "in 0 to 1" if name == "axis_ratio" else "positive"
            raise InputError(f"{name} of clusters must be {rule}, got {rows[name][bad][0]}")
    return rows


def _cameras(observation: Observation) -> tuple[Camera, ...]:
    names = observation.about.get("instrument", "").split(", ")
    number = 0 if observation.cameras is None else len(observation.cameras[0])
    if number != len(names) or not set(names) <= set(EPIC):
        raise InputError(
            f"observation must hold images and exposure maps of {', '.join(EPIC)} apart, each once, got "
            f"{number} of {observation.about.get('instrument') or 'an unknown instrument'}; give each "
            "camera's image with its exposure map"
        )
    if u.Unit(observation.about.get("exposure_unit", "s")) != u.s:
        raise InputError(f"exposure maps must be in s, got {observation.about['exposure_unit']} (BUNIT)")
    return tuple(EPIC[name] for name in names)


def _circles(masked: Table | None) -> list[list[float]]:
    """Right ascension, declination (degrees) and radius (arcmin) of each masked circle."""
    if masked is None:
        return []
    units = {"ra": u.deg, "dec": u.deg, "radius": u.arcmin}
    need_columns(masked, units, "masked")
    circles = np.column_stack([numbers(masked[name], unit) for name, unit in units.items()])
    if not (np.isfinite(circles).all() and (circles[:, 2] > 0).all()):
        raise InputError(f"masked must have positions and positive radii, got {circles.tolist()}")
    return circles.tolist()


def _digest(observation: Observation, rows: Table, settings: dict[str, Any]) -> str:
    """What tells injections apart from others."""
    digest = hashlib.sha256(json.dumps([settings, rows.colnames], sort_keys=True).encode())
    for values in (*(observation.cameras or ()), *rows.itercols()):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _within(circles: Sequence[Sequence[float]], observation: Observation, pixel: float) -> NDArray[np.bool_]:
    """Pixels within circles."""
    y, x = np.indices(observation.image.shape)
    inside = np.zeros(x.shape, dtype=bool)
    for ra, dec, radius in circles:
        column, row = sky_to_pixel(observation.wcs, ra, dec)
        inside |= np.hypot(x - column, y - row) * pixel < 60 * radius
    return inside


def _place(rows: Table, observation: Observation, free: NDArray[np.bool_], rng: Generator) -> None:
    """Add the places of clusters, those that are given or any free pixels, as x, y, ra and dec."""
    if {"ra", "dec"} & set(rows.colnames):
        need_columns(rows, ("ra", "dec"), "clusters")
        rows["x"], rows["y"] = sky_to_pixel(observation.wcs, rows["ra"], rows["dec"])
        at, inside = pixels_at(free, rows["x"], rows["y"])
        if (lost := np.flatnonzero(~(at & inside))).size:
            first = rows[int(lost[0])]
            raise InputError(
                f"clusters must lie on exposed pixels outside what is masked, got {lost.size} of {len(rows)} "
                f"that do not, first row {lost[0]} at {first['ra']:.5f}, {first['dec']:.5f}; move them"
            )
        return
    y, x = np.nonzero(free)
    chosen = rng.integers(len(x), size=len(rows))
    rows["x"], rows["y"] = (axis[chosen] + rng.uniform(-0.5, 0.5, len(rows)) for axis in (x, y))
    rows["ra"], rows["dec"] = pixel_to_sky(observation.wcs, rows["x"], rows["y"])


def _deal(rows: Table, separation: float, most: int, seed: int) -> NDArray[np.int64]:
    """A copy for each cluster, in random order the first with room: places themselves stay as they are."""
    x, y = np.asarray(rows["x"]), np.asarray(rows["y"])
    members: list[list[int]] = []
    copies = np.zeros(len(rows), dtype=np.int64)
    for row in default_rng(SeedSequence(seed, spawn_key=(0, 0))).permutation(len(rows)).tolist():
        for copy, others in enumerate(members):  # noqa: B007
            if len(others) < most and (np.hypot(x[others] - x[row], y[others] - y[row]) >= separation).all():
                break
        else:
            copy, others = len(members), []
            members.append(others)
        others.append(row)
        copies[row] = copy
    return copies


def search_copy(
    target: Target,
    clusters: Sequence[Mapping[str, float]],
    counts: NDArray[np.float32],
    *,
    whole: bool = False,
) -> QTable:
    """Sources of a copy with the counts (camera, y, x) of clusters: those near them, or all."""
    x, y, extent = (np.array([one[name] for one in clusters]) for name in ("x", "y", "extent"))
    changes = None if whole else target.changes(x, y, extent)
    return search(target.altered(counts), selection=target.selection, changes=changes).candidates


def match(target: Target, cluster: Mapping[str, float], found: Table) -> int:
    """Row of the source that is an injected cluster, by the rule of `inject`; -1 where none is."""
    radius = np.hypot(MATCHED, cluster["extent"]) / target.pixel_arcsec
    before = target.before.candidates

    def near(table: Table, x: float, y: float) -> NDArray[np.bool_]:
        return np.hypot(table["x"].value - x, table["y"].value - y) < radius

    counts, best, most = np.nan_to_num(found["counts"].value), -1, 0.0
    for row in np.flatnonzero(near(found, cluster["x"], cluster["y"])).tolist():
        there = before[near(before, found["x"][row].value, found["y"][row].value)]
        fresh = "extended" in found["class"][row] and not any("extended" in kind for kind in there["class"])
        fresh |= counts[row] > 2 * np.nansum(there["counts"].value)
        if fresh and counts[row] > most:
            best, most = row, float(counts[row])
    return best


def _search_into(
    target: Target, clusters: Sequence[dict[str, float]], seed: int, models: str | None, path: Path
) -> None:
    """Inject the clusters of one copy, search it, and write what became of each."""
    rng = default_rng(SeedSequence(seed, spawn_key=(1, int(clusters[0]["copy"]))))
    each = [target.counts(rng, cluster) for cluster in clusters]
    found = search_copy(target, clusters, np.sum(each, axis=0))
    rows, seen = [], []
    for cluster, counts in zip(clusters, each, strict=True):
        row = match(target, cluster, found)
        rows.append(
            cluster | {"injected_counts": float(counts.sum())} | _outcome(target, cluster, found, row)
        )
        if rows[-1]["candidate"]:
            seen.append((len(rows) - 1, target.altered(counts), found[[row]]))
    table = QTable(rows, units={name: unit for name, unit in _UNITS.items() if name in rows[0]})
    if models is not None:
        table["probability"] = np.nan
        if seen:
            numbered, alone, candidates = zip(*seen, strict=True)
            table["probability"][list(numbered)] = _scores(alone, candidates, models)
    write_table(table, path)


def _outcome(target: Target, cluster: Mapping[str, float], found: QTable, row: int) -> dict[str, Any]:
    """What the finder says of a cluster that is a row of its catalogue, or none, by the names of columns."""
    if row < 0:
        return dict.fromkeys(("detected", "candidate", "c1"), False) | dict.fromkeys(_MEASURED, np.nan)
    values = {name: float(numbers(found[own])[row]) for name, own in _MEASURED.items() if own}
    x, y = (found[axis][row].value - cluster[axis] for axis in ("x", "y"))
    values["separation"] = float(np.hypot(x, y)) * target.pixel_arcsec
    return {"detected": True} | {name: bool(found[name][row]) for name in ("candidate", "c1")} | values


@lru_cache(maxsize=2)
def _networks(models: str) -> list[Any]:
    """The networks of `inject`, which see X-rays alone and have a positive class."""
    from labkit.learn import find_models

    found = find_models(models)
    for one in found:
        if set(one.experiment.named_bands) != {"xray"} or one.experiment.class_scheme.positive is None:
            raise InputError(
                f"models must be networks for X-rays alone with a positive class, got {models!r} with "
                f"{one.experiment.named_bands}; name others"
            )
    return found


def _scores(
    observations: Sequence[Observation], candidates: Sequence[QTable], models: str
) -> NDArray[np.float64]:
    """Mean probability of networks for candidates, each the only injected cluster of its observation."""
    from labkit.learn import predict

    networks = _networks(models)
    pixels, scale = networks[0].image_shape[-1], networks[0].pixel_scale_arcsec * u.arcsec
    cut = [
        candidates_sample(observation, candidate, size=pixels * scale, pixels=pixels)
        for observation, candidate in zip(observations, candidates, strict=True)
    ]
    return predict(networks, concatenate(cut)).score.reshape(len(networks), -1).mean(axis=0)
