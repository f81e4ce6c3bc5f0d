"""The simulated survey: X-CLASS-like candidates seen by XMM-Newton and on Schmidt plates.

What every row is, which labels are wrong, and which rows the volunteers of the Hunt see is planned first;
then every object is drawn and observed from its own random stream.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Row, Table, vstack
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from tqdm.auto import tqdm

from labkit.errors import InputError, need_choice
from labkit.images import regrid
from labkit.processes import run_tasks
from labkit.sample import Sample, collect
from labkit.simulate.candidates import NATIVE_ARCSEC, draw_field, entries
from labkit.simulate.found import Field, draw_found_field
from labkit.simulate.numbers import check_share, check_whole, default, read_numbers
from labkit.simulate.plates import OpticalScene, plate_cutout
from labkit.simulate.scan import EROSITA, scan_image
from labkit.simulate.xmm import Grid, Pointing, count_images, expected_counts
from labkit.tables import text

logger = logging.getLogger(__name__)

#: Side of a cut-out (Kosiba et al. 2020, section 2).
_FIELD_OF_VIEW = 7 * u.arcmin
_BANDS = ("xray", "optical")
#: What the provenance of a survey says, by the X-ray telescope that it is simulated for.
_SOURCES = {
    "XMM-Newton": "simulated XMM-Newton EPIC and Schmidt plate survey",
    "eROSITA": "simulated eROSITA and Schmidt plate survey",
}
_CHUNK = 16
_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "m500": u.M_sun,
    "luminosity": u.erg / u.s,
    "flux": u.erg / u.s / u.cm**2,
    "r500": u.arcmin,
    "core_radius": u.arcsec,
    "fitted_counts": u.ct,
    "fitted_extent": u.arcsec,
    "off_axis": u.arcmin,
    "exposure": u.ks,
    "background": u.ct / u.s / u.arcmin**2,
    "native_pixel_scale": u.arcsec,
    "position_angle": u.deg,
    "galactic_latitude": u.deg,
}
_FAINT = 2.0  # how much the overlap outside the test split leans to faint clusters: chance ~ signal^-this


@dataclass(frozen=True)
class SurveyCounts:
    """Sizes and composition of a survey."""

    train: tuple[int, int] = default("survey", "survey", "train")  # clusters and non-clusters of the split
    validation: tuple[int, int] = default("survey", "survey", "validation")
    test: tuple[int, int] = default("survey", "survey", "test")
    low_z: float = default("survey", "survey", "low_z")  # share of the clusters that are below redshift 0.3
    test_low_z: float = default("survey", "survey", "test_low_z")  # the same in the test split
    mix: Mapping[str, float] = default("survey", "survey", "mix")  # share of each class among non-clusters
    #: share of wrong labels in train and validation; test labels are right, as if confirmed by spectra
    wrong_labels: float = default("survey", "survey", "wrong_labels")

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if len(pair := getattr(self, name)) != 2 or min(pair) < 0:
                raise InputError(
                    f"{name} must be two numbers, clusters and non-clusters, from 0 up, got {pair}"
                )
        if len(self) == 0:
            raise InputError("counts must ask for at least one object, got 0 in every split")
        check_share(low_z=self.low_z, test_low_z=self.test_low_z, wrong_labels=self.wrong_labels)
        object.__setattr__(self, "mix", dict(self.mix))
        known = read_numbers("survey")["survey"]["mix"]
        if set(self.mix) - set(known) or abs(sum(self.mix.values()) - 1) > 1e-6:
            raise InputError(f"mix must share 1 among the classes {tuple(known)}, got {self.mix}")

    def __len__(self) -> int:
        return sum(self.train) + sum(self.validation) + sum(self.test)

    def scaled(self, n_objects: int) -> SurveyCounts:
        """The same composition for another number of objects."""
        check_whole(1, n_objects=n_objects)
        sizes = (*self.train, *self.validation, *self.test)
        a, b, c, d, e, f = _apportion(n_objects, [size / len(self) for size in sizes])
        return replace(self, train=(a, b), validation=(c, d), test=(e, f))

    def with_test(self, n_objects: int) -> SurveyCounts:
        """The same survey with another number of test objects, half of them clusters."""
        return replace(self, test=((n_objects + 1) // 2, n_objects // 2))


def plan_survey(rng: Generator, counts: SurveyCounts) -> Table:
    """Decide what every row of a survey is, in random order.

    Columns ``label``, ``split``, ``true_class``, ``label_is_wrong``; labels follow the counts exactly.
    """
    labels: list[str] = []
    splits: list[str] = []
    for split in ("train", "validation", "test"):
        clusters, others = getattr(counts, split)
        low = counts.test_low_z if split == "test" else counts.low_z
        labels.extend(_classes(clusters, others, low_z=low, mix=counts.mix))
        splits += [split] * (clusters + others)
    order = rng.permutation(len(labels))
    label, split_of_row = np.array(labels)[order], np.array(splits)[order]
    wrong = (rng.random(len(label)) < counts.wrong_labels) & (split_of_row != "test")
    true_class = label.astype("U32")
    confused = read_numbers("survey")["assumed"]["confused"]
    for row in np.flatnonzero(wrong):
        names, chances = zip(*confused[str(label[row])].items(), strict=True)
        true_class[row] = rng.choice(names, p=chances)
    return Table({"label": label, "split": split_of_row, "true_class": true_class, "label_is_wrong": wrong})


def _classes(clusters: int, others: int, *, low_z: float, mix: Mapping[str, float]) -> NDArray[np.str_]:
    """Class of each of so many clusters and others, by kind, as close to the shares as whole numbers get."""
    numbers = _apportion(clusters, [low_z, 1 - low_z]) + _apportion(others, mix.values())
    return np.repeat(["low-z cluster", "high-z cluster", *mix], numbers)


def _apportion(total: int, shares: Iterable[float]) -> list[int]:
    """Whole numbers after shares that add up to the total (largest remainders)."""
    exact = np.array([total * share for share in shares])
    numbers = np.floor(exact + 1e-9).astype(int)
    numbers[np.argsort(numbers - exact, kind="stable")[: total - numbers.sum()]] += 1
    return numbers.tolist()


@dataclass(frozen=True)
class HuntCounts:
    """Sizes and composition of the Hunt beside a survey.

    Kosiba et al. (2020) had 1,600 candidates in the Hunt. 404 of them were the experts', too, with 146 low-z
    and 108 high-z clusters: the 170 of the test split, and 234 others.
    """

    #: clusters and non-clusters of the test split that the volunteers saw, or all if there are fewer
    test: tuple[int, int] = default("survey", "hunt", "test")
    #: low-z clusters, high-z clusters and non-clusters of the other splits that they saw
    overlap: tuple[int, int, int] = default("survey", "hunt", "overlap")
    further: int = default("survey", "hunt", "further")  # candidates that only the volunteers saw
    cluster_share: float = default("survey", "hunt", "cluster_share")  # of true clusters among those

    def __post_init__(self) -> None:
        for name, size in (("test", 2), ("overlap", 3)):
            if len(numbers := getattr(self, name)) != size or min(numbers) < 0:
                raise InputError(f"{name} must be {size} numbers from 0 up, got {numbers}")
        if self.further < 0:
            raise InputError(f"further must be 0 or more, got {self.further}")
        check_share(cluster_share=self.cluster_share)

    def scaled(self, share: float) -> HuntCounts:
        """The same Hunt beside a smaller or larger survey; the test objects stay, as many as there are."""
        if not share > 0:
            raise InputError(f"share must be above 0, got {share}")
        low, high, others = (round(share * number) for number in self.overlap)
        return replace(self, overlap=(low, high, others), further=round(share * self.further))


def plan_further(rng: Generator, hunt: HuntCounts, counts: SurveyCounts) -> Table:
    """The same for the candidates that only the volunteers saw; label and split are empty."""
    clusters = round(hunt.cluster_share * hunt.further)
    classes = _classes(clusters, hunt.further - clusters, low_z=counts.low_z, mix=counts.mix)
    rows = Table({"label": np.full(hunt.further, "")})
    rows["split"], rows["true_class"], rows["label_is_wrong"] = "", rng.permutation(classes), False
    return rows


def seen_by(rng: Generator, plan: Table, signal: NDArray[np.float64], hunt: HuntCounts) -> NDArray[np.bool_]:
    """Choose the experts' candidates that the volunteers of the Hunt see, too; (n,).

    The clusters of the test split are those confirmed by spectra, which tend to be the large and bright ones
    (section 5.1). Those of the overlap outside it are the ones not confirmed, so faint ones are more likely
    to be chosen: chance ~ signal^-2. That reading is ours; it is what Table 1 asks for, where volunteers
    found 55 of 85 clusters in the test split, and 47 of the other 169. `signal` (n,) is a brightness in any
    unit, read for labelled clusters outside the test split.
    """
    label, tested = np.asarray(plan["label"]), np.asarray(plan["split"] == "test")
    low, high = label == "low-z cluster", label == "high-z cluster"
    groups = [tested & (low | high), tested & ~(low | high)]
    groups += [~tested & low, ~tested & high, ~tested & ~(low | high)]
    chosen = np.zeros(len(plan), dtype=bool)
    for number, group in enumerate(groups):
        rows = np.flatnonzero(group)
        wanted = min((*hunt.test, *hunt.overlap)[number], len(rows))
        chance = signal[rows] ** -_FAINT if number in (2, 3) else np.ones(len(rows))
        chosen[rng.choice(rows, wanted, replace=False, p=chance / chance.sum()) if wanted else []] = True
    return chosen


#: The experts' numbers of Kosiba et al. (2020), Table 2: 1,707 objects.
KOSIBA_TABLE_2 = SurveyCounts()
#: The Hunt of Kosiba et al. (2020), sections 2 and 5.1: 1,600 candidates, beside the survey of Table 2.
KOSIBA_HUNT = HuntCounts()


def simulate_survey(
    seed: int,
    *,
    counts: SurveyCounts = KOSIBA_TABLE_2,
    n_objects: int | None = None,
    hunt: HuntCounts | None = None,
    telescope: str = "XMM-Newton",
    size_px: int = 178,
    n_jobs: int = 1,
    progress: bool = False,
    recipe: Table | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Sample:
    """Simulate a survey of cluster candidates in two bands.

    Every object has its own random stream, so the result depends on `seed`, `counts`, `hunt`, `telescope`
    and `size_px` only, and the experts' objects do not depend on `hunt`. With more than one process, a script
    must call this under ``if __name__ == "__main__":``.

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
    telescope : {"XMM-Newton", "eROSITA"}
        What sees the candidates in X-rays. eROSITA sees those that XMM-Newton detects, in a scan as long as
        the observation and through a wider point spread (`labkit.simulate.scan`).
    size_px : int
        Pixels along the side of the 7 arcmin cut-outs.
    n_jobs : int
        Processes.
    progress : bool
        Show a progress bar.
    recipe : Table, optional
        Candidates that were found on simulated fields (`labkit.simulate.read_recipe`), of which the survey is
        made: rows are drawn by ``seen_as`` without repetition, in the order of their fields, and the fields
        are drawn again bit for bit. Without it candidates are drawn, class by class, above a detection limit.
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
        If `telescope` is none of these, `seed`, `size_px` or `n_jobs` is out of range, `recipe` holds too few
        candidates, or `path` exists and `overwrite` is false.
    """
    check_whole(0, seed=seed)
    check_whole(1, n_jobs=n_jobs)
    check_whole(8, size_px=size_px)
    need_choice("telescope", telescope, _SOURCES)
    if n_objects is not None:
        hunt = hunt and hunt.scaled(n_objects / len(counts))
        counts = counts.scaled(n_objects)
    cut = {"telescope": telescope, "size_px": size_px}
    plan, work, tasks = _tasks(int(seed), counts, hunt, recipe, **cut)
    pieces = _pieces(plan, work, tasks, int(seed), n_jobs)
    return collect(
        tqdm(pieces, total=len(tasks), unit="chunk", disable=not progress, desc="simulate"),
        len(plan),
        path=path,
        overwrite=overwrite,
        bands=_BANDS,
        pixel_scale=_FIELD_OF_VIEW.to(u.arcsec) / size_px,
        provenance=_provenance(seed, counts, hunt, telescope, recipe) | {"telescope": telescope},
    )


def _provenance(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, telescope: str, recipe: Table | None = None
) -> dict[str, Any]:
    numbers = {"source": _SOURCES[telescope], "seed": int(seed), "counts": asdict(counts)}
    found = {} if recipe is None else {"found": {"seed": int(recipe.meta["seed"]), "candidates": len(recipe)}}
    return numbers | ({"hunt": asdict(hunt)} if hunt else {}) | found


def _plan(seed: int, counts: SurveyCounts, hunt: HuntCounts | None) -> tuple[Table, list[SeedSequence]]:
    """What every row is, and its random stream; those of the Hunt come last and change none before them."""
    root = SeedSequence(seed)
    order, *streams = root.spawn(len(counts) + 1)
    plan = plan_survey(default_rng(order), counts)
    if hunt is None:
        return plan, streams
    order, *further = root.spawn(hunt.further + 1)
    rng = default_rng(order)
    plan["in_hunt"] = seen_by(rng, plan, _signal(plan, streams), hunt)
    added = plan_further(rng, hunt, counts)
    added["in_hunt"] = np.ones(len(added), dtype=bool)
    return vstack([plan, added]), [*streams, *further]


def _signal(plan: Table, streams: list[SeedSequence]) -> np.ndarray:
    """Counts of the labelled clusters that may be in the overlap, drawn as they will be; 1 for the others."""
    labelled = np.isin(plan["label"], ("low-z cluster", "high-z cluster")) & (plan["split"] != "test")
    signal = np.ones(len(plan))
    for row in np.flatnonzero(labelled):
        drawn = draw_field(default_rng(streams[row]), str(plan["true_class"][row])).row()
        seen = expected_counts(drawn["flux"], exposure_s=1e3 * drawn["exposure"], off_axis=drawn["off_axis"])
        signal[row] = max(float(np.nan_to_num(seen)), 1.0)
    return signal


def _tasks(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, recipe: Table | None, **cut: Any
) -> tuple[Table, Callable[..., tuple[np.ndarray, QTable]], list[tuple]]:
    """The plan of a survey, and the work in pieces that makes its images and catalogue in that order."""
    if recipe is None:
        plan, streams = _plan(seed, counts, hunt)
        classes, starts = plan["true_class"].tolist(), range(0, len(plan), _CHUNK)
        tasks = [(streams[start : start + _CHUNK], classes[start : start + _CHUNK]) for start in starts]
        return plan, partial(_simulate_chunk, **cut), tasks
    plan, rows = _plan_found(seed, counts, hunt, recipe)
    pieces, start = [], 0
    for stop in (np.flatnonzero(np.diff(rows["field"], append=-1)) + 1).tolist():  # never within a field
        if stop - start >= _CHUNK or stop == len(rows):
            pieces.append((rows[start:stop],))
            start = stop
    return plan, partial(_cut_found, int(recipe.meta["seed"]), seed, **cut), pieces


def _pieces(
    plan: Table, work: Callable[..., tuple[np.ndarray, QTable]], tasks: list[tuple], seed: int, n_jobs: int
) -> Iterator[tuple[np.ndarray, QTable]]:
    """Images and catalogue rows in order, a piece at a time."""
    experts = int((plan["split"] != "").sum())
    width, start = len(str(experts)), 0
    logger.info("simulating %d candidates in %d process(es)", len(plan), n_jobs)
    for images, table in run_tasks(work, tasks, n_jobs):
        rows = slice(start, start := start + len(table))
        names = [f"SIM-{seed}-{row:0{width}d}" for row in range(rows.start, rows.stop)]
        table.add_column(names, name="object_id", index=0)
        for index, name in enumerate(plan.colnames):
            table.add_column(plan[name][rows].data, name=name, index=3 + index)
        logger.info("simulated %d of %d candidates", rows.stop, len(plan))
        yield images, table


def _plan_found(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, recipe: Table
) -> tuple[Table, Table]:
    """What every row is, and its row of the recipe; experts' candidates first, all in the order of fields."""
    order, chosen, *of_hunt = (default_rng(stream) for stream in SeedSequence(seed).spawn(4))
    plan, rows = _by_field(
        *_choose(chosen, plan_survey(order, counts), recipe, np.ones(len(recipe), dtype=bool))
    )
    if hunt is not None:
        left = np.ones(len(recipe), dtype=bool)
        left[rows] = False
        plan["in_hunt"] = seen_by(of_hunt[0], plan, np.maximum(np.asarray(recipe["counts"])[rows], 1.0), hunt)
        added, further = _by_field(*_choose(chosen, plan_further(of_hunt[1], hunt, counts), recipe, left))
        added["in_hunt"] = np.ones(len(added), dtype=bool)
        plan, rows = vstack([plan, added]), np.concatenate([rows, further])
    plan["true_class"], found = text(recipe["true_class"])[rows], recipe[rows]
    found["row"] = rows
    return plan, found


def _choose(
    rng: Generator, plan: Table, recipe: Table, left: NDArray[np.bool_]
) -> tuple[Table, NDArray[np.int64]]:
    """Rows of a recipe among those left, none twice, that an expert sees as what each row of a plan is."""
    wanted, pool, rows = plan["true_class"], text(recipe["seen_as"]), np.zeros(len(plan), dtype=int)
    for name in dict.fromkeys(wanted.tolist()):
        here, there = np.flatnonzero(wanted == name), np.flatnonzero((pool == name) & left)
        if len(there) < len(here):
            raise InputError(
                f"recipe must hold {len(here)} more candidates seen as {name!r}, got {len(there)}; ask for "
                "fewer objects, or search more fields (labkit.finder.search_fields)"
            )
        rows[here] = rng.choice(there, len(here), replace=False)
    return plan, rows


def _by_field(plan: Table, rows: NDArray[np.int64]) -> tuple[Table, NDArray[np.int64]]:
    order = np.argsort(rows)
    return plan[order], rows[order]


def _cut_found(
    fields_seed: int, seed: int, rows: Table, *, telescope: str, size_px: int
) -> tuple[np.ndarray, QTable]:
    """Images and catalogue of candidates of a recipe; a field is drawn once."""
    drawn, number = [], -1
    for row in rows:
        if row["field"] != number:
            number = int(row["field"])
            field = draw_found_field(fields_seed, number)
        rng = default_rng(SeedSequence(seed, spawn_key=(number, int(row["row"]))))
        drawn.append(_cut_from(rng, field, row, telescope=telescope, size_px=size_px))
    return _stacked(drawn)


def _cut_from(rng: Generator, field: Field, row: Row, **cut: Any) -> tuple[np.ndarray, dict[str, float]]:
    """Both images of a candidate of a field, and its catalogue entries, those of the finder among them."""
    x, y, pixel = float(row["x"]), float(row["y"]), float(rng.uniform(*NATIVE_ARCSEC))
    truth = field.sources[row["source"]].truth if row["source"] >= 0 else {}
    measured = {f"fitted_{name}": float(row[name]) for name in ("counts", "extent")}
    measured |= {name: float(row[name]) for name in ("extension_likelihood", "detection_likelihood")}
    entry = entries(field.pointing, x, y, truth) | measured | {"c1": row["c1"], "weight": row["weight"]}
    scans = cut["telescope"] == "eROSITA"
    observed: Callable[[Grid], NDArray] = partial(field.scan, rng, x, y) if scans else field.summed
    scenes = field.scenes(x, y)
    return _cut_out(rng, field.pointing, observed, scenes, entry, x=x, y=y, pixel_arcsec=pixel, **cut)


def _simulate_chunk(
    streams: list[SeedSequence], classes: list[str], *, telescope: str, size_px: int
) -> tuple[np.ndarray, QTable]:
    return _stacked(
        [
            _simulate_candidate(default_rng(stream), name, telescope=telescope, size_px=size_px)
            for stream, name in zip(streams, classes, strict=True)
        ]
    )


def _stacked(drawn: list[tuple[np.ndarray, dict[str, float]]]) -> tuple[np.ndarray, QTable]:
    """Images and rows of candidates as arrays and a catalogue with units."""
    table = QTable({key: np.array([row[key] for _, row in drawn]) for key in drawn[0][1]})
    for name in _UNITS.keys() & set(table.colnames):
        table[name] = table[name] * _UNITS[name]
    return np.stack([images for images, _ in drawn]), table


def _simulate_candidate(
    rng: Generator, true_class: str, *, telescope: str, size_px: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Both images (band, y, x) and the catalogue entries of one candidate.

    First come the circumstances, then the object, then the images.
    """
    # a scan has no candidates at an edge
    no_edge = telescope == "eROSITA" and true_class == "edge"
    drawn = draw_field(rng, "point source" if no_edge else true_class)
    components = drawn.candidate.components + drawn.surroundings.components
    spurious = drawn.candidate.spurious + drawn.surroundings.spurious

    def observed(grid: Grid) -> NDArray:
        images = count_images(rng, components, drawn.pointing, grid, spurious=spurious)
        return np.sum(list(images.values()), axis=0)

    if telescope == "eROSITA":
        observed = partial(scan_image, rng, components, drawn.pointing, spurious=spurious)
    scenes = drawn.candidate.scenes + drawn.surroundings.scenes
    place = {"x": drawn.x, "y": drawn.y, "pixel_arcsec": drawn.pixel_arcsec}
    return _cut_out(
        rng, drawn.pointing, observed, scenes, drawn.row(), **place, telescope=telescope, size_px=size_px
    )


def _cut_out(
    rng: Generator,
    pointing: Pointing,
    observed: Callable[[Grid], NDArray],
    scenes: Sequence[OpticalScene],
    row: dict[str, float],
    *,
    x: float,
    y: float,
    pixel_arcsec: float,
    telescope: str,
    size_px: int,
) -> tuple[np.ndarray, dict[str, float]]:
    """Both images (band, y, x) of a place, and its row with what they add."""
    scans = telescope == "eROSITA"
    pixel = EROSITA["pixel_arcsec"] if scans else pixel_arcsec
    side = _FIELD_OF_VIEW.to_value(u.arcsec)
    counts = observed(Grid(x, y, size=int(np.ceil(side / pixel)) + 2, pixel_arcmin=pixel / 60))
    xray = regrid(counts, scale=side / size_px / pixel, shape=(size_px, size_px), conserve="flux")
    latitude = pointing.galactic_latitude_deg
    optical = plate_cutout(
        rng, scenes, size=size_px, pixel_scale_arcsec=side / size_px, galactic_latitude_deg=latitude
    )
    row = row | {"native_pixel_scale": pixel, "counts": float(counts.sum())}
    if scans:
        background = (EROSITA["sky"] + EROSITA["particle"]) * pointing.background
        row |= {"off_axis": np.nan, "position_angle": np.nan, "out_of_time_subtracted": False}
        row |= {"background": background}
    return np.stack([xray, optical]), row


def survey_at(
    path: str | Path,
    seed: int,
    *,
    counts: SurveyCounts = KOSIBA_TABLE_2,
    hunt: HuntCounts | None = None,
    telescope: str = "XMM-Newton",
    size_px: int = 178,
    n_jobs: int = 1,
) -> Sample:
    """Open the Sample in the folder `path`, or simulate a survey there.

    A survey simulated before with other numbers is simulated again; a Sample of any other source is opened as
    it is, whatever the numbers say.
    """
    if Path(path).exists():
        found = Sample.load(path)
        asked = {"hunt": None} | json.loads(json.dumps(_provenance(seed, counts, hunt, telescope)))
        about = {name: found.provenance.get(name) for name in asked}
        if about["source"] not in _SOURCES.values() or (about == asked and found.shape[-1] == size_px):
            return found
        logger.info("%s holds a survey simulated with other numbers; simulating it again", path)
    return simulate_survey(
        seed, counts=counts, hunt=hunt, telescope=telescope, size_px=size_px, n_jobs=n_jobs, path=path,
        overwrite=True,
    )  # fmt: skip
