"""What every training, and every method, made of the same objects of known class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.predictions import AnyRunTable, Estimates, Predictions, mean_scores
from labkit.tables import rows_of, text

if TYPE_CHECKING:
    from labkit.evaluate.operating import OperatingPoint

logger = logging.getLogger(__name__)
#: Names of `outcomes`.
OUTCOMES = ("TP", "TN", "FP", "FN")


def known_objects(predictions: AnyRunTable, split: str | None) -> AnyRunTable:
    """The rows of a split whose true class, or number, is known."""
    chosen = predictions if split is None else predictions.select(split=split)
    chosen = chosen.known
    if not len(chosen):
        splits = sorted(set(predictions.table["split"].tolist()))
        raise InputError(
            f"split must name objects of known class, got none for {split!r}; splits present: {splits}"
        )
    return chosen


@dataclass(frozen=True)
class Rows:
    """Rows of predictions of one experiment as arrays."""

    object_id: NDArray[np.str_]  # (row,)
    seed: NDArray[np.int64]  # (row,)
    fold: NDArray[np.int64]  # (row,)
    codes: NDArray  # (row,), numbers of the classes, or true numbers
    probabilities: NDArray[np.float64]  # (row, class), or means and widths (row, 2)

    @classmethod
    def of(
        cls, predictions: Predictions | Estimates, split: str | None, *, name: str = "predictions"
    ) -> Rows:
        """The rows of known class; refuses several experiments."""
        known = known_objects(predictions, split)
        names = list(dict.fromkeys(known.table["experiment"].tolist()))
        if len(names) != 1:
            raise InputError(f"{name} must be of one experiment with known truth, got {names}; select one")
        seed, fold = (np.asarray(known.table[name]) for name in ("seed", "fold"))
        ids = text(known.table["object_id"])
        if isinstance(known, Estimates):
            return cls(ids, seed, fold, known.true, np.column_stack([known.predicted, known.width]))
        return cls(ids, seed, fold, known.true_codes, known.probabilities)

    def __len__(self) -> int:
        return len(self.object_id)

    def take(self, chosen: NDArray) -> Rows:
        """Some of the rows."""
        parts = (self.object_id, self.seed, self.fold, self.codes, self.probabilities)
        return Rows(*(part[chosen] for part in parts))

    def units(self) -> list[Trainings]:
        """What scatters over runs: each fold with its seeds, or each seed where there are no folds."""
        of = self.fold if self.fold.min(initial=0) >= 0 and len(np.unique(self.fold)) > 1 else self.seed
        return [self.take(of == number).trainings() for number in np.unique(of).tolist()]

    def trainings(self) -> Trainings:
        """One row of probabilities for each training, objects in the order of their ids.

        A training is a seed with all its folds, or each run where the objects of a seed come in several.
        """
        sets: list[Rows] = []
        for seed in np.unique(self.seed).tolist():
            part = self.take(self.seed == seed)
            once = len(np.unique(part.object_id)) == len(part)
            folds = list(dict.fromkeys(part.fold.tolist()))
            sets += [part] if once else [part.take(part.fold == fold) for fold in folds]
        if not sets:
            return Trainings(self.object_id, self.codes, self.probabilities[None])
        sets = [one.take(np.argsort(one.object_id)) for one in sets]
        if any(not np.array_equal(sets[0].object_id, one.object_id) for one in sets[1:]):
            raise InputError(
                f"trainings must judge the same objects, got {[len(one) for one in sets]} that differ; "
                "predict with all folds of every seed, select(seed=...) the complete ones, or measure "
                "over='runs'"
            )
        return Trainings(sets[0].object_id, sets[0].codes, np.array([one.probabilities for one in sets]))


@dataclass(frozen=True)
class Trainings:
    """Objects of known class or number, sorted by id, and what every training made of them."""

    object_id: NDArray[np.str_]  # (n,)
    codes: NDArray  # (n,)
    probabilities: NDArray[np.float64]  # (training, n, class), or (training, n, 2)

    def part(self, chosen: NDArray) -> Trainings:
        """Some of the objects."""
        return Trainings(self.object_id[chosen], self.codes[chosen], self.probabilities[:, chosen])


def find_rows(object_id: NDArray, wanted: NDArray, *, name: str) -> NDArray[np.int64]:
    """Row of each wanted object in a catalogue; raises if it lacks one."""
    rows = rows_of(object_id, wanted)
    if (rows < 0).any():
        missing = text(wanted)[rows < 0][:5].tolist()
        raise InputError(f"{name} must hold every predicted object, got none for {missing}")
    return rows


def outcomes(predictions: Predictions, *, threshold: float = 0.5) -> NDArray[np.str_]:
    """One of `OUTCOMES` for each row; "" where the truth is unknown."""
    chosen = predictions.score > threshold
    kinds = np.where(predictions.is_positive, np.where(chosen, "TP", "FN"), np.where(chosen, "FP", "TN"))
    return np.where(predictions.true_codes >= 0, kinds, "")


def select_parts(
    predictions: Predictions | Mapping[str, Predictions],
    parts: Mapping[str, ArrayLike],
    *,
    names: str = "{set} on {part}",
    least: int = 0,
) -> dict[str, Predictions]:
    """Predictions of parts of the sample, given by ids that may overlap; part by part, the sets within.

    `names` is what a part of a set is called; of Predictions alone the names are those of `parts`. Parts with
    fewer than `least` objects of a class (`compare` needs 2), or none at all, are left out, and the log names
    them.
    """
    several = isinstance(predictions, Mapping)
    sets = predictions if isinstance(predictions, Mapping) else {"": predictions}
    found = {}
    for part, ids in parts.items():
        wanted = text(ids)
        for key, rows in sets.items():
            name = names.format(set=key, part=part) if several else part
            chosen = rows.select(np.isin(text(rows.table["object_id"]), wanted))
            objects, codes = text(chosen.table["object_id"]), chosen.true_codes
            classes = [len(set(objects[codes == code])) for code in range(len(chosen.classes))]
            if not len(chosen) or min(classes) < least:
                logger.warning("%s is left out: it has %s objects of the classes", name, classes)
                continue
            found[name] = chosen
    return found


def common_scores(methods: Mapping[str, Predictions]) -> Table:
    """Mean probability of the positive class by each method, for the objects that all of them judged.

    Columns ``object_id`` (sorted), ``member`` (bool: of the positive class) and one for each method.
    """
    if len(methods) < 2:
        raise InputError(f"methods must be two or more, got {list(methods)}")
    known = {name: predictions.known for name, predictions in methods.items()}
    means = {name: mean_scores(one) for name, one in known.items()}
    common = sorted(set.intersection(*(set(one["object_id"].tolist()) for one in means.values())))
    if not common:
        raise InputError(f"methods must share objects of known truth, got none in common for {list(methods)}")
    table = Table({"object_id": common})
    for name, found in means.items():
        here = np.isin(found["object_id"], common)
        truth = known[name].is_positive[found["row"][here]]
        if "member" not in table.colnames:
            table["member"] = truth
        if (wrong := table["object_id"][table["member"] != truth]).size:
            raise InputError(
                f"truth must be the same for every method, got another by {name!r} for {wrong[:5].tolist()}"
            )
        table[name] = found["mean"][here]
    return table


def select_common(
    methods: Mapping[str, Predictions], *, among: ArrayLike | None = None
) -> dict[str, Predictions]:
    """The same methods on the objects that all of them judged, `among` those ids if any are given."""
    shared = text(common_scores(methods)["object_id"])
    if among is not None:
        wanted = text(among)
        shared = shared[np.isin(shared, wanted)]
        if not len(shared):
            raise InputError(f"among must name an object that all methods judged, got none of {len(wanted)}")
    return {name: one.select(np.isin(one.table["object_id"], shared)) for name, one in methods.items()}


def agreement_table(methods: Mapping[str, Predictions], *, threshold: float = 0.5) -> QTable:
    """How many objects which methods classify correctly together: the fields of the Venn diagram (Fig. D.2).

    Of the objects that all methods judged: one row for each combination of methods that are right while the
    others are wrong, all right first, with one bool column for each method, ``members``, ``non_members``
    (numbers), ``share_members``, ``share_non_members`` and ``share`` (of all).
    """
    member, right = _right(methods, threshold)
    rows = []
    for pattern in product((True, False), repeat=len(methods)):
        here = (right == pattern).all(axis=1)
        row: dict[str, Any] = dict(zip(methods, pattern, strict=True))
        row |= {"members": int((here & member).sum()), "non_members": int((here & ~member).sum())}
        row |= {"share_members": _share(here, member), "share_non_members": _share(here, ~member)}
        rows.append(row | {"share": here.mean()})
    return QTable(rows=rows)


def pair_table(methods: Mapping[str, Predictions], *, threshold: float = 0.5) -> QTable:
    """How often two methods decide alike, rightly and wrongly (Angora et al. 2020, section 4.3).

    One row for each pair: ``first``, ``second``, ``alike`` (share of all objects), ``right`` (share of those
    decided alike that are correct), ``false_negatives`` and ``false_positives`` (common errors, of all
    members and of all non-members).
    """
    member, right = _right(methods, threshold)
    column = dict(zip(methods, right.T, strict=True))
    rows = []
    for first, second in combinations(methods, 2):
        alike, wrong = column[first] == column[second], ~column[first] & ~column[second]
        row = {"first": first, "second": second, "alike": alike.mean()}
        row |= {"right": _share(column[first], alike), "false_negatives": _share(wrong, member)}
        rows.append(row | {"false_positives": _share(wrong, ~member)})
    return QTable(rows=rows)


def _share(here: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(here[of].mean()) if of.any() else float("nan")


def _right(methods: Mapping[str, Predictions], threshold: float) -> tuple[NDArray, NDArray]:
    """Who is a member, and which methods are right about it, shape (n, method)."""
    scores = common_scores(methods)
    member = np.asarray(scores["member"], dtype=bool)
    chosen = np.column_stack([np.asarray(scores[name]) > threshold for name in methods])
    return member, chosen == member[:, None]


def candidates(catalogue: Table) -> NDArray[np.bool_]:
    """Which rows are candidates, where the finder says that others are plain points; else all of them."""
    if "candidate" in catalogue.colnames:
        return np.asarray(catalogue["candidate"], dtype=bool)
    return np.ones(len(catalogue), dtype=bool)


def rank(
    predictions: Predictions,
    catalogue: Table | None = None,
    *,
    threshold: float = 0.5,
    point: OperatingPoint | None = None,
) -> QTable:
    """Rank objects by the mean probability of the positive class over all runs.

    Where the catalogue says which sources are candidates (bool column ``candidate``, as that of the finder),
    these stand first: a plain point is none, and networks that learned from candidates alone give it any
    probability.

    Parameters
    ----------
    predictions : Predictions
        Any number of runs (seeds, folds, networks) on the same or different objects.
    catalogue : Table, optional
        Rows to add to, matched by ``object_id``; objects without predictions are left out.
    threshold : float
        Probability from which an object counts as one of the positive class, to be recorded.
    point : OperatingPoint, optional
        Of these predictions and this catalogue, from `labkit.evaluate.operating_point`.

    Returns
    -------
    `~astropy.table.QTable`
        ``rank`` (from 1), ``object_id``, ``p_<positive>`` (mean over runs), ``p_std`` (scatter between runs;
        NaN for one), ``runs``, then the catalogue's columns. Equal probabilities keep the order of the table.
        After ``runs`` come, where the predictions have it, ``novelty`` (see `labkit.evaluate.domain_shift`),
        and, with a `point`, ``p_calibrated`` (NaN of what is no candidate), ``contaminants`` (expected down
        to this row) and ``selected``; ``meta["ranking"]["operating_point"]`` has its facts.
        ``meta["ranking"]`` holds the networks, the threshold, how many candidates reach it, and how the
        predictions were made (run folder, labkit's version, telescopes); what the catalogue's meta holds,
        such as the thresholds of the finder, stands beside it.

    Raises
    ------
    InputError
        If no class is the positive one, the catalogue lacks an object, the threshold is no probability, or
        the point is of other objects.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be a probability, 0 to 1, got {threshold}")
    found, rows = mean_scores(predictions), None
    mean, candidate = np.asarray(found["mean"]), np.ones(len(found), dtype=bool)
    if catalogue is not None:
        rows = catalogue[find_rows(catalogue["object_id"], found["object_id"], name="catalogue")]
        candidate = candidates(rows)
    order = np.lexsort((found["row"], -mean, ~candidate))
    found, rows = found[order], None if rows is None else rows[order]
    ranked = QTable({"rank": np.arange(1, len(found) + 1), "object_id": found["object_id"].data})
    ranked[f"p_{predictions.positive}"] = found["mean"].data
    ranked["p_std"], ranked["runs"] = found["std"].data, found["runs"].data
    if "novelty" in predictions.table.colnames:
        ranked["novelty"] = np.asarray(predictions.table["novelty"])[found["row"]]
    if point is not None:
        place = rows_of(point.objects["object_id"], ranked["object_id"])
        if not np.array_equal(place >= 0, candidate[order]) or len(point.objects) != candidate.sum():
            raise InputError(
                "point must be of the ranked candidates, got one of others; give it the catalogue"
            )
        p = np.where(place >= 0, np.asarray(point.objects["p"])[place], np.nan)
        ranked["p_calibrated"], ranked["contaminants"] = p, np.cumsum(1 - p)
        ranked["selected"] = p >= point.values["threshold"] if point.values["selected"] else p > 1
    ranked.meta["ranking"] = {
        "positive": predictions.positive,
        "threshold": threshold,
        "above": int((candidate & (mean >= threshold)).sum()),
        "networks": sorted(set(text(predictions.table["experiment"]).tolist())),
        "made": predictions.table.meta.get("made", []),
    } | ({} if point is None else {"operating_point": point.facts})
    if rows is None:
        return ranked
    ranked.meta |= {name: value for name, value in rows.meta.items() if name != "ranking"}
    for name in rows.colnames:
        if name not in ranked.colnames:
            ranked[name] = rows[name]
    return ranked
