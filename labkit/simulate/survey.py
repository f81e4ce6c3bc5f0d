"""The simulated survey: X-CLASS-like candidates seen by XMM-Newton and on Schmidt plates.

All candidates were found: they are rows of a recipe (`labkit.simulate.found`), what the finder called
extended on simulated fields. What every row of the survey is, and which labels are wrong, is planned first;
then candidates are drawn from the recipe, and cut from their fields.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from labkit.simulate.found import Field, draw_found_field, read_recipe
from labkit.simulate.numbers import check_share, check_whole, default, read_numbers
from labkit.simulate.plates import plate_cutout
from labkit.simulate.scan import EROSITA
from labkit.simulate.xmm import Grid, circumstances
from labkit.tables import text

logger = logging.getLogger(__name__)

#: Side of a cut-out (Kosiba et al. 2020, section 2).
_FIELD_OF_VIEW = 7 * u.arcmin
_BANDS = ("xray", "optical")
#: Range of the pixels of the archive's images, arcsec.
_NATIVE_ARCSEC = (2.5, 4.4)
#: What a catalogue says of a candidate's source, NaN where it does not apply.
_TRUTH = ("redshift", "m500", "luminosity", "flux", "r500", "core_radius")
_CLUSTERS = ("low-z cluster", "high-z cluster")
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
    """Sizes and composition of a survey. What is None is as the finder found it on the enriched fields."""

    train: tuple[int, int] = default("survey", "survey", "train")  # clusters and non-clusters of the split
    validation: tuple[int, int] = default("survey", "survey", "validation")
    test: tuple[int, int] = default("survey", "survey", "test")
    low_z: float | None = default("survey", "survey", "low_z")  # share of the clusters below redshift 0.3
    test_low_z: float | None = default("survey", "survey", "test_low_z")  # the same in the test split
    #: share of each class among non-clusters
    mix: Mapping[str, float] | None = default("survey", "survey", "mix")
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
        shares = {"low_z": self.low_z, "test_low_z": self.test_low_z, "wrong_labels": self.wrong_labels}
        check_share(**{name: share for name, share in shares.items() if share is not None})
        if self.mix is None:
            return
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

    def as_found(self) -> SurveyCounts:
        """The same numbers of clusters and non-clusters, each in the mix in which the finder found them."""
        return replace(self, low_z=None, test_low_z=None, mix=None)

    def filled(self, recipe: Table, *, edges: bool = True) -> SurveyCounts:
        """The same survey with the shares of a recipe where none is given, and without edges if asked."""
        seen = text(recipe["seen_as"])
        cluster, low = np.isin(seen, _CLUSTERS), float((seen == _CLUSTERS[0]).sum())
        first, last = (
            low / max(int(cluster.sum()), 1) if share is None else share
            for share in (self.low_z, self.test_low_z)
        )
        names, numbers = np.unique(seen[~cluster], return_counts=True)
        mix = dict(zip(names.tolist(), numbers.tolist(), strict=True)) if self.mix is None else self.mix
        mix = {name: share for name, share in mix.items() if edges or name != "edge"}
        mix = {name: share / sum(mix.values()) for name, share in mix.items()}
        return replace(self, low_z=first, test_low_z=last, mix=mix)


def plan_survey(rng: Generator, counts: SurveyCounts) -> Table:
    """Decide what every row of a survey is, in random order.

    Columns ``label``, ``split``, ``seen_as`` (what the expert looked at), ``label_is_wrong``; labels follow
    the counts exactly, of which no share may be None.
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
    seen_as = label.astype("U32")
    confused = read_numbers("survey")["assumed"]["confused"]
    for row in np.flatnonzero(wrong):
        names, chances = zip(*confused[str(label[row])].items(), strict=True)
        seen_as[row] = rng.choice(names, p=chances)
    return Table({"label": label, "split": split_of_row, "seen_as": seen_as, "label_is_wrong": wrong})


def _classes(
    clusters: int, others: int, *, low_z: float | None, mix: Mapping[str, float] | None
) -> NDArray[np.str_]:
    """Class of each of so many clusters and others, by kind, as close to the shares as whole numbers get."""
    if low_z is None or mix is None:
        raise InputError(
            "counts must have all shares, got None; fill them from a recipe (SurveyCounts.filled)"
        )
    numbers = _apportion(clusters, [low_z, 1 - low_z]) + _apportion(others, mix.values())
    return np.repeat([*_CLUSTERS, *mix], numbers)


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


def plan_further(rng: Generator, hunt: HuntCounts, found: SurveyCounts) -> Table:
    """The same for the candidates that only the volunteers saw; label and split are empty.

    Their mix is not published: clusters and non-clusters each have the shares of `found`.
    """
    clusters = round(hunt.cluster_share * hunt.further)
    classes = _classes(clusters, hunt.further - clusters, low_z=found.low_z, mix=found.mix)
    rows = Table({"label": np.full(hunt.further, "")})
    rows["split"], rows["seen_as"], rows["label_is_wrong"] = "", rng.permutation(classes), False
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
    low, high = (label == name for name in _CLUSTERS)
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
    exposure: bool = False,
    size_px: int = 178,
    n_jobs: int = 1,
    progress: bool = False,
    recipe: Table | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Sample:
    """Simulate a survey of cluster candidates in two bands.

    All were found on simulated fields, which are drawn again, bit for bit; none is taken twice, and no field
    serves two of the splits. The result depends on `seed`, `counts`, `hunt`, `telescope`, `size_px` and
    `recipe` only, and the experts' objects do not depend on `hunt`. With more than one process, a script must
    call this under ``if __name__ == "__main__":``.

    Parameters
    ----------
    seed : int
        Seed of everything random.
    counts : SurveyCounts
        Sizes and composition; by default those of Kosiba et al. (2020), Table 2. ``counts.as_found()`` keeps
        the mix of classes in which the finder found them.
    n_objects : int, optional
        Scale `counts` to this many objects, and `hunt` with them.
    hunt : HuntCounts, optional
        Add the candidates that only the volunteers of the Hunt saw, after the experts' and without label and
        split, and a bool column ``in_hunt``; `labkit.simulate.KOSIBA_HUNT` has the paper's numbers.
    telescope : {"XMM-Newton", "eROSITA"}
        What sees the candidates in X-rays. eROSITA sees those that XMM-Newton detects, in a scan as long as
        the observation and through a wider point spread (`labkit.simulate.scan`), without those at an edge.
    exposure : bool
        Add a band "exposure" (seconds of MOS1 with the same counts), for `labkit.images.count_rates`; not of
        a scan.
    size_px : int
        Pixels along the side of the 7 arcmin cut-outs.
    n_jobs : int
        Processes.
    progress : bool
        Show a progress bar.
    recipe : Table, optional
        Candidates that were found (`labkit.simulate.read_recipe`, which also gives other listed sources, for
        networks that are to judge them); by default those that ship with labkit.
    path : path, optional
        Write the Sample there while it is made, instead of holding it in memory.
    overwrite : bool
        Replace what is at `path`.

    Returns
    -------
    Sample
        Bands "xray" (counts per pixel of the summed cameras), "optical" (plate density) and maybe
        "exposure", float32.

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
    if exposure and telescope == "eROSITA":
        raise InputError(
            "exposure must be False with telescope='eROSITA', whose scans have no gaps, got True"
        )
    if n_objects is not None:
        hunt = hunt and hunt.scaled(n_objects / len(counts))
        counts = counts.scaled(n_objects)
    recipe = read_recipe() if recipe is None else recipe
    plan, rows = _plan(int(seed), counts, hunt, recipe, edges=telescope != "eROSITA")
    tasks, cut = _tasks(recipe, rows), {"telescope": telescope, "size_px": size_px, "exposure": exposure}
    pieces = _pieces(plan, tasks, int(recipe.meta["seed"]), int(seed), n_jobs, **cut)
    return collect(
        tqdm(pieces, total=len(tasks), unit="chunk", disable=not progress, desc="simulate"),
        len(plan),
        path=path,
        overwrite=overwrite,
        bands=(*_BANDS, "exposure") if exposure else _BANDS,
        pixel_scale=_FIELD_OF_VIEW.to(u.arcsec) / size_px,
        provenance=_provenance(seed, counts, hunt, telescope, recipe) | {"telescope": telescope},
    )


def _provenance(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, telescope: str, recipe: Table
) -> dict[str, Any]:
    numbers = {"source": _SOURCES[telescope], "seed": int(seed), "counts": asdict(counts)}
    found = {
        "seed": int(recipe.meta["seed"]),
        "fields": int(recipe.meta["fields"]),
        "candidates": len(recipe),
    }
    return numbers | ({"hunt": asdict(hunt)} if hunt else {}) | {"found": found}


def _plan(
    seed: int, counts: SurveyCounts, hunt: HuntCounts | None, recipe: Table, *, edges: bool
) -> tuple[Table, NDArray[np.int64]]:
    """What every row is, and its row of the recipe; experts' candidates first, all in the order of fields."""
    pool, filled = np.ones(len(recipe), dtype=bool), partial(SurveyCounts.filled, edges=edges)
    counts = filled(counts, recipe)
    order, chosen, *of_hunt = (default_rng(stream) for stream in SeedSequence(seed).spawn(4))
    plan, rows = _choose(chosen, plan_survey(order, counts), recipe, pool)
    if hunt is not None:
        plan["in_hunt"] = seen_by(of_hunt[0], plan, np.maximum(np.asarray(recipe["counts"])[rows], 1.0), hunt)
        pool[rows] = False
        pool &= ~np.isin(recipe["field"], recipe["field"][rows[plan["split"] == "test"]])
        left = filled(counts.as_found(), recipe[pool])
        added, further = _choose(chosen, plan_further(of_hunt[1], hunt, left), recipe, pool)
        added["in_hunt"] = np.ones(len(added), dtype=bool)
        plan, rows = vstack([plan, added]), np.concatenate([rows, further])
    plan.replace_column("seen_as", text(recipe["true_class"])[rows])
    plan.rename_column("seen_as", "true_class")
    return plan, rows


def _choose(
    rng: Generator, plan: Table, recipe: Table, pool: NDArray[np.bool_]
) -> tuple[Table, NDArray[np.int64]]:
    """A plan in the order of fields, and for each row one of a recipe's pool that an expert sees as that.

    Fields are gone through in random order, for one split after another, the smallest first.
    """
    seen_as, rows = text(recipe["seen_as"]), np.full(len(plan), -1)
    fields = np.asarray(recipe["field"])
    members = {
        number: np.flatnonzero(pool & (fields == number)) for number in np.unique(fields[pool]).tolist()
    }
    left = rng.permutation(list(members)).tolist()
    splits, sizes = np.unique(plan["split"], return_counts=True)
    for split in splits[np.argsort(sizes, kind="stable")]:
        wanted: dict[str, list[int]] = {}
        for row in np.flatnonzero(plan["split"] == split).tolist():
            wanted.setdefault(str(plan["seen_as"][row]), []).append(row)
        untouched, open_rows = [], sum(map(len, wanted.values()))
        for number in left:
            before = open_rows
            for candidate in rng.permutation(members[number]).tolist() if open_rows else ():
                if same := wanted.get(str(seen_as[candidate])):
                    rows[same.pop()] = candidate
                    open_rows -= 1
            if open_rows == before:
                untouched.append(number)
        left = untouched
        if short := {name: len(lacking) for name, lacking in wanted.items() if lacking}:
            lacking = ", ".join(f"{number} more seen as {name!r}" for name, number in short.items())
            raise InputError(
                f"recipe must hold enough candidates of every class, got {lacking} too few; ask for fewer "
                "objects, take the mix that was found (SurveyCounts.as_found), or search more fields "
                "(labkit simulate recipe)"
            )
    order = np.argsort(rows)
    return plan[order], rows[order]


def _tasks(recipe: Table, rows: NDArray[np.int64]) -> list[tuple[Table]]:
    """The candidates in order, in pieces of which none ends within a field."""
    found, tasks, start = recipe[rows], [], 0
    found["row"] = rows
    for stop in (np.flatnonzero(np.diff(found["field"], append=-1)) + 1).tolist():
        if stop - start >= _CHUNK or stop == len(rows):
            tasks.append((found[start:stop],))
            start = stop
    return tasks


def _pieces(
    plan: Table, tasks: list[tuple[Table]], fields_seed: int, seed: int, n_jobs: int, **cut: Any
) -> Iterator[tuple[np.ndarray, QTable]]:
    """Images and catalogue rows in order, a piece at a time."""
    experts = int((plan["split"] != "").sum())
    width, start = len(str(experts)), 0
    logger.info("simulating %d candidates in %d process(es)", len(plan), n_jobs)
    for images, table in run_tasks(partial(_cut_out, fields_seed, seed, **cut), tasks, n_jobs):
        here = slice(start, start := start + len(table))
        names = [f"SIM-{seed}-{row:0{width}d}" for row in range(here.start, here.stop)]
        table.add_column(names, name="object_id", index=0)
        for index, name in enumerate(plan.colnames):
            table.add_column(plan[name][here].data, name=name, index=3 + index)
        logger.info("simulated %d of %d candidates", here.stop, len(plan))
        yield images, table


def _cut_out(
    fields_seed: int, seed: int, found: Table, *, telescope: str, size_px: int, exposure: bool
) -> tuple[np.ndarray, QTable]:
    """Images (n, band, y, x) and catalogue of candidates of a recipe; a field is drawn once."""
    drawn, number = [], -1
    for row in found:
        if row["field"] != number:
            number = int(row["field"])
            field = draw_found_field(fields_seed, number)
        rng = default_rng(SeedSequence(seed, spawn_key=(number, int(row["row"]))))
        drawn.append(_cut_one(rng, field, row, telescope=telescope, size_px=size_px, exposure=exposure))
    table = QTable({key: np.array([row[key] for _, row in drawn]) for key in drawn[0][1]})
    for name in _UNITS.keys() & set(table.colnames):
        table[name] = table[name] * _UNITS[name]
    return np.stack([images for images, _ in drawn]), table


def _cut_one(
    rng: Generator, field: Field, found: Row, *, telescope: str, size_px: int, exposure: bool
) -> tuple[np.ndarray, dict[str, float]]:
    """The images (band, y, x) of a candidate of a field, and its catalogue entries."""
    x, y, pixel = float(found["x"]), float(found["y"]), float(rng.uniform(*_NATIVE_ARCSEC))
    pointing, scans = field.pointing, telescope == "eROSITA"
    observed: Callable[[Grid], NDArray] = partial(field.scan, rng, x, y) if scans else field.summed
    pixel = EROSITA["pixel_arcsec"] if scans else pixel
    side = _FIELD_OF_VIEW.to_value(u.arcsec)
    seen_on = Grid(x, y, size=int(np.ceil(side / pixel)) + 2, pixel_arcmin=pixel / 60)
    counts, to_cut = observed(seen_on), {"scale": side / size_px / pixel, "shape": (size_px, size_px)}
    xray = regrid(counts, **to_cut, conserve="flux")
    seconds = [regrid(field.exposure(seen_on), **to_cut)] if exposure else []
    optical = plate_cutout(
        rng,
        field.scenes(x, y),
        size=size_px,
        pixel_scale_arcsec=side / size_px,
        galactic_latitude_deg=pointing.galactic_latitude_deg,
    )
    around = circumstances(pointing, x, y)
    row = {name: around[name] for name in ("ra", "dec")} | dict.fromkeys(_TRUTH, np.nan)
    if found["source"] >= 0 and found["true_class"] != "artefact":
        row |= field.sources[found["source"]].truth
    row |= around | {f"fitted_{name}": float(found[name]) for name in ("counts", "extent")}
    row |= {name: float(found[name]) for name in ("extension_likelihood", "detection_likelihood")}
    row |= {name: found[name] for name in ("c1", "candidate", "weight")} | {"field": int(found["field"])}
    row |= {"native_pixel_scale": pixel, "counts": float(counts.sum())}
    if scans:
        background = (EROSITA["sky"] + EROSITA["particle"]) * pointing.background
        row |= {"off_axis": np.nan, "position_angle": np.nan, "out_of_time_subtracted": False}
        row |= {"background": background}
    return np.stack([xray, optical, *seconds]), row


def survey_at(
    path: str | Path,
    seed: int,
    *,
    counts: SurveyCounts = KOSIBA_TABLE_2,
    hunt: HuntCounts | None = None,
    telescope: str = "XMM-Newton",
    size_px: int = 178,
    n_jobs: int = 1,
    recipe: Table | None = None,
) -> Sample:
    """Open the Sample in the folder `path`, or simulate a survey there.

    A survey simulated before with other numbers is simulated again; a Sample of any other source is opened as
    it is, whatever the numbers say.
    """
    recipe = read_recipe() if recipe is None else recipe
    if Path(path).exists():
        found = Sample.load(path)
        asked = {"hunt": None} | json.loads(json.dumps(_provenance(seed, counts, hunt, telescope, recipe)))
        about = {name: found.provenance.get(name) for name in asked}
        if about["source"] not in _SOURCES.values() or (about == asked and found.shape[-1] == size_px):
            return found
        logger.info("%s holds a survey simulated with other numbers; simulating it again", path)
    return simulate_survey(
        seed, counts=counts, hunt=hunt, telescope=telescope, size_px=size_px, n_jobs=n_jobs, recipe=recipe,
        path=path, overwrite=True,
    )  # fmt: skip
