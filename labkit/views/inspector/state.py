"""The state of an inspector in plain Python: who is right and who is wrong at a threshold, in which order.

Runs are joined to Sample and votes by id. Everything is sorted once. A threshold then cuts sorted arrays
(binary search), and a page is a slice of them, so a million objects are as quick as a thousand; other sort
columns and filters take one pass.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import eq, ge, gt, le, lt, ne

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, need_choice
from labkit.evaluate import auc, roc_curve
from labkit.evaluate.metrics import ratios
from labkit.predictions import Predictions, mean_scores
from labkit.sample import Sample
from labkit.tables import need_columns, rows_of, text
from labkit.views.marks import plain_column

#: Who is shown: right and wrong decisions, then objects of unknown class that are taken and that are not.
GROUPS = {
    "TP": "true positives",
    "FP": "false positives",
    "FN": "false negatives",
    "TN": "true negatives",
    "new": "unlabelled, taken",
    "rest": "unlabelled, left",
}
_KIND = {"TP": 1, "FN": 1, "FP": 0, "TN": 0, "new": -1, "rest": -1}
_TAKEN = ("TP", "FP", "new")


@dataclass(frozen=True)
class Objects:
    """What an inspector knows of n objects, sorted by id, before it looks at a pixel."""

    object_id: NDArray  # (n,)
    row: NDArray  # (n,), of the Sample
    vote_row: NDArray  # (n,), -1 without votes
    true: NDArray  # (n,), number of the label's class, -1 where it is unknown
    probabilities: NDArray  # (n, k), means over the runs
    spread: NDArray  # (n, k), standard deviations over the runs, NaN for a single one
    classes: tuple[str, ...]
    positive: str | None  # the class that counts as a detection
    experiment: str
    runs: int  # most runs that an object has

    def __len__(self) -> int:
        return len(self.object_id)

    def find(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Numbers of objects, -1 where there is none; the ids are sorted, so each takes logarithmic time."""
        wanted = np.array(ids, dtype=str)
        place = np.minimum(np.searchsorted(self.object_id, wanted), len(self) - 1)
        return np.where(self.object_id[place] == wanted, place, -1)


def gather(
    sample: Sample, predictions: Predictions, *, experiment: str | None = None, votes: Table | None = None
) -> Objects:
    """The objects of one experiment (the first by default), by id, each with the mean over its runs.

    The Sample holds all of them, in any order; no pixel is read. `votes` have one row per ``object_id``. An
    InputError if an object or experiment is missing, runs disagree about a true class, or a vote's id comes
    twice.
    """
    if not len(predictions):
        raise InputError("predictions must hold one object or more, got none; choose another split")
    names = text(predictions.table["experiment"])
    name = str(names[0]) if experiment is None else experiment
    if name not in names:
        raise InputError(f"experiment must be one of {np.unique(names).tolist()}, got {name!r}")
    chosen = predictions.select(experiment=name)
    found = mean_scores(chosen, of=chosen.probabilities)
    ids, place = text(found["object_id"]), text(chosen.table["object_id"])
    same = np.array_equal(ids, sample.object_ids)
    row = np.arange(len(ids)) if same else rows_of(sample.object_ids, ids)
    if (row < 0).any():
        raise InputError(
            f"sample must hold the objects of the predictions, {(row < 0).sum()} of {len(ids)} are missing, "
            f"first {ids[row < 0][:3].tolist()}; give the Sample that was predicted"
        )
    codes = chosen.true_codes
    true = codes[found["row"]]
    if (other := codes != true[np.searchsorted(ids, place)]).any():
        some = np.unique(place[other])[:3].tolist()
        raise InputError(f"true must be the same in every run of an object, it differs for {some}")
    if votes is not None:
        need_columns(votes, ["object_id"], "votes")
    return Objects(
        object_id=ids, row=row, true=true, probabilities=np.asarray(found["mean"]),
        vote_row=np.full(len(ids), -1) if votes is None else rows_of(votes["object_id"], ids),
        spread=np.asarray(found["std"]), classes=chosen.classes, positive=chosen.positive, experiment=name,
        runs=int(found["runs"].max()),
    )  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """Counts and ratios at a threshold (Kosiba et al. 2020, equations 2 to 5; the last one corrected)."""

    counts: dict[str, int]  # of each of `GROUPS`
    accuracy: float  # ratios are NaN where undefined
    precision: float  # purity
    recall: float  # completeness, the true positive rate
    fpr: float


@dataclass(frozen=True)
class Selection:
    """Which objects are looked at, and in which order; entries that are not numbers come last either way."""

    group: str = "FP"  # one of `GROUPS`
    sort: str = "confidence"  # the surest decisions first, or the name of a column
    descending: bool = True
    text: str = ""  # filter line, see `matching`


class ErrorState:
    """Right and wrong decisions for one class against the rest at a threshold.

    `objects` are from `gather`; columns of the Sample's `catalogue` and of `votes` (by ``object_id``) sort
    and filter. `positive` is the class that counts as a detection: that of the predictions by default, or
    else the last. An object with a *higher* mean probability than `threshold` counts as a detection, as in
    `labkit.evaluate`; of more than two classes this is one against the rest, whichever is the most probable.
    """

    def __init__(
        self, objects: Objects, catalogue: Table, *, votes: Table | None = None, positive: str | None = None,
        threshold: float = 0.5,
    ) -> None:  # fmt: skip
        self.objects, self.catalogue, self.votes = objects, catalogue, votes
        self.positive = positive or objects.positive or objects.classes[-1]
        need_choice("positive", self.positive, objects.classes)
        self.code = objects.classes.index(self.positive)
        self.score = np.ascontiguousarray(objects.probabilities[:, self.code])
        kind = np.where(objects.true < 0, -1, objects.true == self.code)
        up = np.argsort(self.score, kind="stable")
        self._up = {key: up[kind[up] == key] for key in (-1, 0, 1)}
        self._scores = {key: self.score[rows] for key, rows in self._up.items()}
        self._kind = kind
        given = {} if votes is None else {n: votes[n] for n in votes.colnames if n != "object_id"}
        self._votes = {f"votes_{n}" if n in catalogue.colnames else n: given[n] for n in given}
        self._added: dict[str, NDArray] = {}
        self._version = 0  # of the added columns
        self._order = lru_cache(8)(self._sorted)
        self._mask = lru_cache(4)(self._filtered)
        self._chosen = lru_cache(16)(self._members)
        self.threshold = threshold

    @property
    def threshold(self) -> float:
        """Probability above which an object counts as a detection."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise InputError(f"threshold must lie in 0 to 1, got {value}")
        self._threshold = float(value)

    def _cut(self, kind: int) -> int:
        """Number of objects of a kind at or below the threshold."""
        return int(np.searchsorted(self._scores[kind], self.threshold, side="right"))

    @property
    def summary(self) -> Summary:
        """Counts and ratios at the threshold, in logarithmic time."""
        counts = {}
        for group in GROUPS:
            cut, total = self._cut(_KIND[group]), len(self._up[_KIND[group]])
            counts[group] = total - cut if group in _TAKEN else cut
        tp, fp, fn, tn = (counts[name] for name in ("TP", "FP", "FN", "TN"))
        found = ratios(tp, fp, tp + fn, tp + fp + fn + tn)
        names = ("accuracy", "purity", "completeness", "fp_rate")
        return Summary(counts, *(float(found[name]) for name in names))

    @cached_property
    def roc(self) -> Table:
        """Columns fpr, tpr and threshold of the ROC curve, some 400 points; empty without both classes.

        The thresholds lie half-way between scores, so that setting one gives the point.
        """
        known = self._kind >= 0
        if not (len(self._up[0]) and len(self._up[1])):
            return Table({"fpr": [], "tpr": [], "threshold": []}, dtype=[float] * 3)
        curve = roc_curve(self._kind[known] == 1, self.score[known])
        at = np.asarray(curve["threshold"])
        below = np.clip((np.append(at[1:], 0) + np.minimum(at, 1)) / 2, 0, 1)
        below[-1] = 0.0
        length = np.asarray(curve["fpr"] + curve["tpr"])
        keep = np.unique(np.searchsorted(length, np.linspace(0, 2, 400)).clip(0, len(length) - 1))
        return Table({"fpr": curve["fpr"][keep], "tpr": curve["tpr"][keep], "threshold": below[keep]})

    @cached_property
    def auc(self) -> float:
        """Area under the ROC curve; NaN without both classes."""
        known = self._kind >= 0
        return auc(self._kind[known] == 1, self.score[known]) if len(self.roc) else float("nan")

    def nearest_threshold(self, fpr: float, tpr: float) -> float:
        """Threshold of the point of the ROC curve nearest to a place in its plane."""
        distance = (self.roc["fpr"] - fpr) ** 2 + (self.roc["tpr"] - tpr) ** 2
        return float(self.roc["threshold"][int(np.argmin(distance))]) if len(self.roc) else self.threshold

    def group_of(self, index: int) -> str:
        """Group of an object at the present threshold."""
        pair = {1: ("FN", "TP"), 0: ("TN", "FP"), -1: ("rest", "new")}[int(self._kind[index])]
        return pair[int(self.score[index] > self.threshold)]

    def decided(self, index: int) -> str:
        """What the network says of an object: the positive class above the threshold, else the best other."""
        if self.score[index] > self.threshold:
            return self.positive
        others = self.objects.probabilities[index].copy()
        others[self.code] = -1
        return self.objects.classes[int(others.argmax())]

    def true(self, index: int) -> str:
        """True class of an object, empty if it is unknown."""
        code = int(self.objects.true[index])
        return self.objects.classes[code] if code >= 0 else ""

    @property
    def columns(self) -> list[str]:
        """Names that sort and filter."""
        own = ["confidence", "probability", "spread", "true", "object_id"]
        return list(dict.fromkeys([*own, *self.catalogue.colnames, *self._votes, *self._added]))

    def column(self, name: str) -> NDArray:
        """Plain values of a column, shape (n,); objects without votes have empty texts and NaN in theirs.

        A column of the votes whose name the catalogue has, too, is called ``votes_<name>``.
        """
        objects = self.objects
        if name == "true":
            return np.array([*objects.classes, ""])[objects.true]
        if name in ("probability", "confidence"):
            return self.score if name == "probability" else np.maximum(self.score, 1 - self.score)
        if name == "spread":
            return objects.spread[:, self.code]
        if name in self._added:
            return self._added[name]
        if name == "object_id":
            return objects.object_id
        if name in self.catalogue.colnames:
            return plain_column(self.catalogue[name])[objects.row]
        if name not in self._votes:
            raise InputError(f"column must be one of {self.columns}, got {name!r}")
        values = plain_column(self._votes[name])
        gap = "" if values.dtype.kind == "U" else np.nan
        if not len(values):
            return np.full(len(objects), gap)
        return np.where(objects.vote_row < 0, gap, values[objects.vote_row])

    def add_column(self, name: str, values: NDArray) -> None:
        """Add or replace a column of one value per object (verdicts, for example)."""
        self._added[name] = values
        self._version += 1

    def _age(self, words: str) -> int:
        """A number that changes with the added columns named in a text; what names none stays cached."""
        return self._version if any(name in words for name in self._added) else 0

    def members(self, selection: Selection) -> NDArray[np.int64]:
        """Numbers of the objects that are looked at, in order, shape (m,)."""
        need_choice("group", selection.group, GROUPS)
        return self._chosen(selection, self.threshold, self._age(f"{selection.sort} {selection.text}"))

    def _members(self, selection: Selection, _threshold: float, _version: int) -> NDArray[np.int64]:
        kind, taken = _KIND[selection.group], selection.group in _TAKEN
        if selection.sort == "confidence":
            cut = self._cut(kind)
            found = self._up[kind][cut:] if taken else self._up[kind][:cut]
            # the surest detections have the highest scores, the surest rejections the lowest
            found = found[::-1] if taken == selection.descending else found
        else:
            order = self._order(selection.sort, kind, selection.descending, self._age(selection.sort))
            found = order[(self.score[order] > self.threshold) == taken]
        if not selection.text.strip():
            return found
        return found[self._mask(selection.text, self._age(selection.text))[found]]

    def _sorted(self, name: str, kind: int, descending: bool, _version: int) -> NDArray[np.int64]:
        """Objects of one kind in the order of a column."""
        rows = np.flatnonzero(self._kind == kind)
        values = self.column(name)[rows]
        order = np.argsort(values, kind="stable")
        if values.dtype.kind == "f":
            lost = int(np.isnan(values).sum())  # numpy sorts them to the end
            order, last = order[: len(order) - lost], order[len(order) - lost :]
            return rows[np.append(order[::-1] if descending else order, last)]
        return rows[order[::-1] if descending else order]

    def _filtered(self, text: str, _version: int) -> NDArray[np.bool_]:
        return matching(text, self.column, size=len(self.objects))

    def step(self, selection: Selection, index: int, by: int) -> int:
        """The object `by` places after another; the ends hold; not in the selection, the first."""
        found = self.members(selection)
        if not len(found):
            return -1
        place = np.flatnonzero(found == index)
        return int(found[np.clip(place[0] + by, 0, len(found) - 1)] if len(place) else found[0])

    def page(self, selection: Selection, number: int, *, size: int) -> NDArray[np.int64]:
        """Objects of a page, counted from 0; empty beyond the last."""
        return self.members(selection)[number * size : (number + 1) * size]


_COMPARE: dict[str, Callable] = {"<=": le, ">=": ge, "!=": ne, "<": lt, ">": gt, "=": eq, "==": eq}
_FORM = re.compile(r"\s*([^<>=!~]+?)\s*(<=|>=|!=|==|<|>|=|~)\s*(.*?)\s*")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def matching(text: str, column: Callable[[str], NDArray], *, size: int) -> NDArray[np.bool_]:
    """Objects that meet every comparison of a filter line, `counts > 200 and label = other`; shape (size,).

    Comparisons are joined by ``and``, ``&`` or a comma; ``~`` means "contains"; a bare word is part of an id.
    An entry that is not a number meets only ``!=``.
    """
    keep = np.ones(size, dtype=bool)
    for part in re.split(r"\s+and\s+|&|,", text):
        form = _FORM.fullmatch(part)
        if form:
            keep &= _meets(form[1], form[2], form[3].strip("'\""), column(form[1]))
        elif part.strip():
            keep &= _meets("object_id", "~", part.strip(), column("object_id"))
    return keep


def _meets(name: str, sign: str, value: str, values: NDArray) -> NDArray[np.bool_]:
    if not value:
        raise InputError(f"filter must compare with a value, as in 'counts > 200', got '{name} {sign}'")
    if sign == "~":
        return np.strings.find(np.strings.lower(values.astype(str)), value.lower()) >= 0
    if values.dtype.kind == "b":
        if value.lower() not in _TRUTH or sign not in ("=", "==", "!="):
            raise InputError(f"filter: {name!r} is true or false, got {value!r}")
        return _COMPARE[sign](values, _TRUTH[value.lower()])
    if values.dtype.kind in "fiu":
        try:
            return _COMPARE[sign](values, float(value))
        except ValueError as error:
            raise InputError(f"filter: {name!r} must be compared with a number, got {value!r}") from error
    if sign not in ("=", "==", "!="):
        raise InputError(f"filter: {name!r} is text; use =, != or ~, got {sign!r}")
    return _COMPARE[sign](values.astype(str), value)
