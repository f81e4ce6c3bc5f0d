"""The state of an inspector in plain Python: who is right and who is wrong at a threshold, in which order.

Everything is sorted once. A threshold then cuts sorted arrays (binary search), and a page is a slice of
them, so a million objects are as quick as a thousand; other sort columns and filters take one pass.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import auc, roc_curve
from labkit.views.inspector.objects import Columns, Objects

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
        self,
        objects: Objects,
        catalogue: Table,
        *,
        votes: Table | None = None,
        positive: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        self.objects, self.catalogue, self.votes = objects, catalogue, votes
        self.positive = positive or objects.positive or objects.classes[-1]
        if self.positive not in objects.classes:
            raise InputError(f"positive must be one of {objects.classes}, got {self.positive!r}")
        self.code = objects.classes.index(self.positive)
        self.score = np.ascontiguousarray(objects.probabilities[:, self.code])
        kind = np.where(objects.true < 0, -1, objects.true == self.code)
        up = np.argsort(self.score, kind="stable")
        self._up = {key: up[kind[up] == key] for key in (-1, 0, 1)}
        self._scores = {key: self.score[rows] for key, rows in self._up.items()}
        self._kind = kind
        self._columns = Columns(objects, catalogue, votes)
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
        """Number of objects at or below the threshold, in the order of rising scores."""
        return int(np.searchsorted(self._scores[kind], self.threshold, side="right"))

    @property
    def summary(self) -> Summary:
        """Counts and ratios at the threshold, in logarithmic time."""
        counts = {}
        for group in GROUPS:
            cut, total = self._cut(_KIND[group]), len(self._up[_KIND[group]])
            counts[group] = total - cut if group in _TAKEN else cut
        tp, fp, fn, tn = (counts[name] for name in ("TP", "FP", "FN", "TN"))
        pairs = [(tp + tn, tp + fp + fn + tn), (tp, tp + fp), (tp, tp + fn), (fp, fp + tn)]
        return Summary(counts, *(part / whole if whole else float("nan") for part, whole in pairs))

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
        return ["confidence", "probability", "spread", "true", *self._columns.names]

    def column(self, name: str) -> NDArray:
        """Values of a column in the order of the objects, shape (n,)."""
        if name == "true":
            return np.array([*self.objects.classes, ""])[self.objects.true]
        if name in ("probability", "confidence"):
            return self.score if name == "probability" else np.maximum(self.score, 1 - self.score)
        if name == "spread":
            return self.objects.spread[:, self.code]
        return self._columns.get(name)

    def add_column(self, name: str, values: NDArray) -> None:
        """Add or replace a column of one value per object (verdicts, for example)."""
        self._columns.add(name, values)

    def members(self, selection: Selection) -> NDArray[np.int64]:
        """Numbers of the objects that are looked at, in order, shape (m,)."""
        if selection.group not in GROUPS:
            raise InputError(f"group must be one of {tuple(GROUPS)}, got {selection.group!r}")
        return self._chosen(
            selection, self.threshold, self._columns.age(f"{selection.sort} {selection.text}")
        )

    def _members(self, selection: Selection, _threshold: float, _version: int) -> NDArray[np.int64]:
        kind, taken = _KIND[selection.group], selection.group in _TAKEN
        if selection.sort == "confidence":
            cut = self._cut(kind)
            found = self._up[kind][cut:] if taken else self._up[kind][:cut]
            # the surest detections have the highest scores, the surest rejections the lowest
            found = found[::-1] if taken == selection.descending else found
        else:
            order = self._order(selection.sort, kind, selection.descending, self._columns.age(selection.sort))
            found = order[(self.score[order] > self.threshold) == taken]
        if not selection.text.strip():
            return found
        return found[self._mask(selection.text, self._columns.age(selection.text))[found]]

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

    def with_positive(self, positive: str) -> ErrorState:
        """The same objects with another class against the rest."""
        other = ErrorState(self.objects, self.catalogue, votes=self.votes, positive=positive,
                           threshold=self.threshold)  # fmt: skip
        other._columns = self._columns
        return other


_COMPARE: dict[str, Callable] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "==": operator.eq,
}
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
