"""Which objects of a Sample a run trains, validates and tests on, and their labels.

Parts are those of the experiment's split column, or folds: every object is tested once, by a network that
never saw it. Fold f is the test set of run f, the next one its validation set, the rest its training set; or
the validation set is drawn before the folds and the same for all (Angora et al. 2020, appendix A.2). Kosiba
et al. (2020, Table 7) test a tenth of the clusters but a fifth of the non-clusters (114 of 570), so that
their test sets must overlap. Ours hold a tenth of every class, so each object has one out-of-fold prediction.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.targets import Scales, target_scales, target_values
from labkit.sample import Sample
from labkit.sample.labels import meant_part
from labkit.sample.splits import VALIDATION, complete_column, deal_folds
from labkit.tables import numbers as as_numbers
from labkit.tables import text

logger = logging.getLogger(__name__)

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """Objects of one part of a Sample."""

    rows: np.ndarray  # (n,), rows in the Sample, rising
    codes: np.ndarray  # (n,), class numbers; 0 where numbers are learned
    target: np.ndarray | None = None  # (n, classes) fractions where labels are soft, or (n, targets) numbers


def named_bands_of(sample: Sample, experiment: Experiment) -> Sample:
    """The bands that an experiment uses, in its order."""
    for band in experiment.named_bands:
        if band not in sample.bands:
            raise InputError(
                f"bands must include {band!r}, got {sample.bands}; add it to the Sample "
                f"or choose an experiment on other bands than {experiment.named_bands}"
            )
    return sample.select(bands=experiment.named_bands)


def text_column(sample: Sample, name: str, *, use: str) -> np.ndarray:
    """A catalogue column as text, empty where it is masked, shape (n,); `use` says in the error what for."""
    if name not in sample.catalogue.colnames:
        raise InputError(
            f"sample must have a column {name!r} with {use}, got {sample.catalogue.colnames}; "
            "add it (labkit.sample.with_labels joins a table of labels, with_split deals parts)"
        )
    return text(sample.catalogue[name])


def _label_codes(experiment: Experiment, sample: Sample) -> np.ndarray:
    """Class number of each object by the experiment's label column, -1 where it takes no part.

    With targets, 0 for each object that has all of them.
    """
    if experiment.targets:
        return np.where(np.isfinite(target_values(experiment.targets, sample)).all(1), 0, -1)
    return experiment.class_scheme.encode(text_column(sample, experiment.label_column, use="labels"))


def _class_names(experiment: Experiment) -> tuple[str, ...]:
    """What each class number stands for; where numbers are learned, 0 stands for objects that have them."""
    if experiment.targets:
        return (f"known {' and '.join(experiment.targets)}",)
    return experiment.class_scheme.classes


def _needed(experiment: Experiment) -> str:
    """Which objects every part must hold, in messages."""
    return "with known targets" if experiment.targets else f"of every class of scheme {experiment.scheme!r}"


def _soft_fractions(experiment: Experiment, sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Fraction of each class in the labels of some objects, (n, classes): the columns ``soft_<class>``."""
    names = [f"soft_{name}" for name in experiment.class_scheme.classes]
    if missing := [name for name in names if name not in sample.catalogue.colnames]:
        raise InputError(
            f"sample must have the columns {names} for soft_labels=True, {missing} missing; "
            "join the votes with labkit.sample.with_labels, or train on hard labels (soft_labels=False)"
        )
    fractions = np.column_stack([as_numbers(sample.catalogue[name])[rows] for name in names])
    bad = ~np.isfinite(fractions).all(1) | (fractions < 0).any(1) | (np.abs(fractions.sum(1) - 1) > 1e-3)
    if bad.any():
        first = str(sample.object_ids[rows[bad][0]])
        raise InputError(
            f"soft labels {names} must be fractions from 0 that sum to one for each labelled object, got "
            f"{int(bad.sum())} objects where they are not, first {first!r}: {fractions[bad][0].tolist()}; "
            f"mend them, or empty {experiment.label_column!r} there to leave the objects out"
        )
    return fractions


def fold_numbers(experiment: Experiment, sample: Sample) -> np.ndarray:
    """Fold of each object of a Sample, (object,) int64, the same for every seed and run of an experiment.

    0 to k - 1; -1 for objects that take no part, -2 for those set apart for validation. A catalogue column
    ``fold`` of such numbers is taken as it is. Otherwise folds are dealt among all labelled objects or those
    of the parts in `fold_splits`: each has its share of every class and of every value of the column
    `stratify_by`, and none shares a value of `group_by` with another. A column that is missing, incomplete or
    wrong, a fold without a class, and groups that cannot stay whole are refused.
    """
    if not experiment.folds:
        raise InputError(f"experiment must have folds, got folds=0 for {experiment.name!r}; set folds=10")
    codes = _label_codes(experiment, sample)
    if experiment.fold_splits:
        split = text_column(sample, experiment.split_column, use="the parts named by fold_splits")
        codes = np.where(np.isin(split, experiment.fold_splits), codes, -1)
    strata, groups = (
        None if name is None else complete_column(sample, name, codes, argument=argument)
        for argument, name in (("stratify_by", experiment.stratify_by), ("group_by", experiment.group_by))
    )
    if "fold" in sample.catalogue.colnames:
        numbers = np.where(codes >= 0, _given_folds(experiment, sample), -1)
        _check_groups_are_whole(experiment, numbers, groups)
    else:
        _check_groups_are_enough(experiment, codes, groups)
        rng = np.random.default_rng([experiment.fold_seed, experiment.folds])
        how: dict[str, Any] = {"folds": experiment.folds, "validation_share": experiment.validation_share}
        numbers = deal_folds(codes, rng=rng, strata=strata, groups=groups, **how)
    _check_classes(experiment, numbers, codes)
    return numbers


def _check_groups_are_enough(experiment: Experiment, codes: np.ndarray, groups: np.ndarray | None) -> None:
    """Refuse groups that are too few for a class to be in every fold, and in the validation set."""
    if groups is None:
        return
    parts = experiment.folds + (experiment.validation_share > 0)
    for code, name in enumerate(_class_names(experiment)):
        found = len(np.unique(groups[codes == code]))
        if found < parts:
            apart = " and a validation set" if experiment.validation_share else ""
            raise InputError(
                f"group_by must name a column in which every class has {parts} groups or more for "
                f"{experiment.folds} folds{apart}, because no group is split; got {found} groups of "
                f"{experiment.group_by!r} with {name!r}; use fewer folds or group by a finer column"
            )


def _check_groups_are_whole(experiment: Experiment, numbers: np.ndarray, groups: np.ndarray | None) -> None:
    """Refuse given folds that split a group."""
    if groups is None:
        return
    first: dict[str, int] = {}
    for group, number in zip(groups.tolist(), numbers.tolist(), strict=True):
        if number != -1 and first.setdefault(group, number) != number:
            raise InputError(
                f"catalogue column 'fold' must keep each group of {experiment.group_by!r} together, got "
                f"{group!r} in {first[group]} and {number}; mend the column, or leave group_by out"
            )


def _given_folds(experiment: Experiment, sample: Sample) -> np.ndarray:
    """The catalogue's own folds."""
    column = np.ma.asarray(sample.catalogue["fold"])
    if column.dtype.kind not in "iu":
        raise InputError(f"catalogue column 'fold' must hold whole numbers, got {column.dtype}")
    numbers = column.filled(-1).astype(np.int64)
    if numbers.size and (numbers.min() < VALIDATION or numbers.max() >= experiment.folds):
        raise InputError(
            f"catalogue column 'fold' must lie in 0 to {experiment.folds - 1} (or be -1, -2), "
            f"got {numbers.min()} to {numbers.max()}; number the folds from 0, or set folds to their number"
        )
    return numbers


def _check_classes(experiment: Experiment, numbers: np.ndarray, codes: np.ndarray) -> None:
    """Refuse folds, or a validation set, that lack a class."""
    parts = {f"fold {fold}": numbers == fold for fold in range(experiment.folds)}
    if (numbers == VALIDATION).any():
        parts["the validation set"] = numbers == VALIDATION
    for part, here in parts.items():
        for code, name in enumerate(_class_names(experiment)):
            if not (here & (codes == code)).any():
                total = int(((codes == code) & (numbers != -1)).sum())
                raise InputError(
                    f"each of {experiment.folds} folds must have objects {_needed(experiment)}, got none "
                    f"of {name!r} ({total} objects in all) in {part}; use "
                    "fewer folds, merge classes by another scheme, or mend the column 'fold' or group_by"
                )


def fold_parts(numbers: np.ndarray, *, fold: int, folds: int) -> np.ndarray:
    """What each object is in one run, (n,): "test" in its fold, "validation" in the next, else "train".

    Where objects are set apart for validation, they are the validation set and the next fold trains. Empty
    where the object takes no part.
    """
    parts = np.full(len(numbers), "train", dtype="U10")
    apart = numbers == VALIDATION
    parts[apart if apart.any() else numbers == (fold + 1) % folds] = "validation"
    parts[numbers == fold] = "test"
    parts[(numbers < 0) & ~apart] = ""
    return parts


def fold_counts(experiment: Experiment, sample: Sample) -> list[dict[str, Any]]:
    """Objects of each class in each part of each run (Kosiba et al. 2020, Table 7).

    One row per fold and class: ``fold``, ``class``, ``train``, ``validation``, ``test``.
    """
    numbers, codes = fold_numbers(experiment, sample), _label_codes(experiment, sample)
    rows = []
    for fold in range(experiment.folds):
        parts = fold_parts(numbers, fold=fold, folds=experiment.folds)
        for code, name in enumerate(experiment.class_scheme.classes):
            counts = {part: int(((parts == part) & (codes == code)).sum()) for part in _PARTS}
            rows.append({"fold": fold, "class": name, **counts})
    return rows


def fold_sizes(experiment: Experiment, sample: Sample, *, by: str = "cluster") -> list[dict[str, Any]]:
    """Objects of each group in the validation set and in each fold.

    One row per value of the catalogue column `by`, in the Sample's order: the value under the name `by`,
    ``validation`` where objects are set apart for it, ``fold 0`` and so on.
    """
    numbers = fold_numbers(experiment, sample)
    groups = text_column(sample, by, use="the groups to count")
    apart = {"validation": VALIDATION} if (numbers == VALIDATION).any() else {}
    parts = apart | {f"fold {fold}": fold for fold in range(experiment.folds)}
    return [
        {by: name} | {part: int(((numbers == n) & (groups == name)).sum()) for part, n in parts.items()}
        for name in dict.fromkeys(groups.tolist())
    ]


def split_for_training(experiment: Experiment, sample: Sample, *, fold: int = -1) -> dict[str, Part]:
    """Objects for training and validation, with folds also for test; fold -1 without folds.

    Objects whose label takes no part in the experiment's scheme, or that lack a target, are left out; their
    number is logged. A missing column, label, band or class, and a target that does not vary, raise
    InputError.
    """
    named_bands_of(sample, experiment)
    codes = _label_codes(experiment, sample)
    if experiment.folds:
        if not 0 <= fold < experiment.folds:
            raise InputError(f"fold must lie in 0 to {experiment.folds - 1}, got {fold}")
        split = fold_parts(fold_numbers(experiment, sample), fold=fold, folds=experiment.folds)
    elif fold != -1:
        raise InputError(f"fold must be -1 for the experiment {experiment.name!r} without folds, got {fold}")
    else:
        split = text_column(sample, experiment.split_column, use="'train' and 'validation'")
        _check_parts(experiment, split)
    names = _PARTS if experiment.folds else _PARTS[:2]
    parts = {name: _part(experiment, sample, codes, split == name, name) for name in names}
    training_scales(experiment, sample, parts)  # refuses what does not vary
    return parts


def training_scales(experiment: Experiment, sample: Sample, parts: Mapping[str, Part]) -> Scales:
    """Unit, mean and scatter of each target in the training set; empty without targets."""
    values = parts["train"].target
    if not experiment.targets or values is None:
        return {}
    return target_scales(experiment.targets, sample, values)


def _check_parts(experiment: Experiment, split: np.ndarray) -> None:
    """Refuse a split column without a training or validation part, which may be there under another name."""
    for word in np.unique(split).tolist():
        if word not in _PARTS and (meant := meant_part(word)):
            column = experiment.split_column
            logger.warning("%r in column %r is no part%s; its objects are left out", word, column, meant)
    if missing := [name for name in _PARTS[:2] if not (split == name).any()]:
        found = [f"{word!r}{meant_part(word)}" for word in np.unique(split).tolist() if word not in _PARTS]
        but = f", but {', '.join(found)}" if found else ""
        raise InputError(
            f"column {experiment.split_column!r} must name objects for {' and '.join(map(repr, missing))}, "
            f"got none{but}; mend it, or deal by with_split"
        )


def _part(experiment: Experiment, sample: Sample, codes: np.ndarray, here: np.ndarray, name: str) -> Part:
    names = _class_names(experiment)
    if left_out := int((here & (codes < 0)).sum()):
        what = f"a label that scheme {experiment.scheme!r} leaves out"
        what = f"no {' or no '.join(experiment.targets)}" if experiment.targets else what
        logger.info("%d %s objects have %s", left_out, name, what)
    rows = np.flatnonzero(here & (codes >= 0))
    counts = np.bincount(codes[rows], minlength=len(names))
    if empty := [names[i] for i in np.flatnonzero(counts == 0)]:
        raise InputError(
            f"split {name!r} must have objects {_needed(experiment)}, "
            f"got none of {empty}; move such objects into it or choose another scheme or target"
        )
    target = _soft_fractions(experiment, sample, rows) if experiment.soft_labels else None
    if experiment.targets:
        target = target_values(experiment.targets, sample)[rows]
    return Part(rows, codes[rows], target)


def parts_digest(sample: Sample, parts: Mapping[str, Part]) -> str:
    """Short hash of which objects are in which part, with their labels or numbers, for equal trainings."""
    digest = hashlib.sha256()
    ids = sample.object_ids
    for name, part in parts.items():
        digest.update(f"{name}\n{chr(10).join(ids[part.rows])}\n".encode())
        digest.update(part.codes.astype("<i8").tobytes())
        if part.target is not None:
            digest.update(part.target.astype("<f8").tobytes())
    return digest.hexdigest()[:12]
