"""Which objects of a Sample a run trains, validates and tests on, and their labels.

Parts are those of the experiment's split column, or stratified folds: every object is tested once, by a
network that never saw it. Fold f is the test set of run f, the next one its validation set, the rest its
training set; or the validation set is drawn before the folds and the same for all (Angora et al. 2020,
appendix A.2). Kosiba et al. (2020, Table 7) do the same for the clusters, a tenth each for validation and
test. Of the non-clusters they test a fifth (114 of 570), to have as many of both classes in a test set, so
that their test sets must overlap. Ours hold a tenth of every class: each object has one out-of-fold
prediction, and the classes keep their shares.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.sample import Sample
from labkit.sample.dealing import dealing_order, every
from labkit.tables import numbers as as_numbers
from labkit.tables import text

logger = logging.getLogger(__name__)

_PARTS = ("train", "validation", "test")

#: Number of the objects drawn for validation before the folds.
VALIDATION = -2


@dataclass(frozen=True)
class Part:
    """Objects of one part of a Sample."""

    rows: np.ndarray  # (n,), rows in the Sample, rising
    codes: np.ndarray  # (n,), class numbers
    soft: np.ndarray | None = None  # (n, classes), fraction of each class, where labels are soft


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
            "add it (labkit.sample.with_labels joins a table of labels)"
        )
    return text(sample.catalogue[name])


def _label_codes(experiment: Experiment, sample: Sample) -> np.ndarray:
    """Class number of each object by the experiment's label column, -1 where it takes no part."""
    return experiment.class_scheme.encode(text_column(sample, experiment.label_column, use="labels"))


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


def assign_folds(
    codes: np.ndarray,
    *,
    folds: int,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
    validation_share: float = 0.0,
) -> np.ndarray:
    """Deal objects into folds, so that each fold has its share of every class and group.

    Objects are shuffled within each group of each class and dealt one by one, going on from group to group
    and class to class. So the numbers of any class, of any group in a class, and of all objects differ
    by one at most between folds. Objects of negative class number take no part (-1); every
    1 / validation_share-th in the same order is set apart for validation first (-2).
    """
    codes = np.asarray(codes)
    groups = np.zeros(len(codes)) if groups is None else np.asarray(groups)
    if groups.shape != codes.shape:
        raise InputError(f"groups must have one value an object, {codes.shape}, got {groups.shape}")
    order = dealing_order(codes, groups, rng)
    result = np.full(len(codes), -1, dtype=np.int64)
    if validation_share:
        apart = every(validation_share, len(order), start=rng.random())
        result[order[apart]], order = VALIDATION, order[~apart]
    result[order] = np.arange(len(order)) % folds
    return result


def fold_numbers(experiment: Experiment, sample: Sample) -> np.ndarray:
    """Fold of each object of a Sample, the same for every seed and run of an experiment.

    A catalogue column ``fold`` (0 to k - 1; -1: takes no part; -2: validation) is taken as it is. Otherwise
    folds are dealt, each with its share of every class and of every value of the column `fold_by`, among all
    labelled objects or those of the parts in `fold_splits`.

    Parameters
    ----------
    experiment : Experiment
        Gives number of folds, seed, label column, scheme, and what else is kept in proportion.
    sample : Sample
        Labelled objects.

    Returns
    -------
    ndarray of int64, shape (object,)
        0 to k - 1; -1 for objects that take no part, -2 for those set apart for validation.

    Raises
    ------
    InputError
        If the experiment has no folds, a column is missing or wrong, or a fold lacks a class.
    """
    if not experiment.folds:
        raise InputError(f"experiment must have folds, got folds=0 for {experiment.name!r}; set folds=10")
    codes = _label_codes(experiment, sample)
    if experiment.fold_splits:
        split = text_column(sample, experiment.split_column, use="the parts named by fold_splits")
        codes = np.where(np.isin(split, experiment.fold_splits), codes, -1)
    if "fold" in sample.catalogue.colnames:
        numbers = np.where(codes >= 0, _given_folds(experiment, sample), -1)
    else:
        by = experiment.fold_by
        numbers = assign_folds(
            codes,
            folds=experiment.folds,
            rng=np.random.default_rng([experiment.fold_seed, experiment.folds]),
            groups=None if by is None else text_column(sample, by, use="what each fold keeps in proportion"),
            validation_share=experiment.validation_share,
        )
    _check_classes(experiment, numbers, codes)
    return numbers


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
    """Refuse folds that lack a class."""
    names = experiment.class_scheme.classes
    inside = numbers >= 0
    counts = np.zeros((experiment.folds, len(names)), dtype=np.int64)
    np.add.at(counts, (numbers[inside], codes[inside]), 1)
    lacking = [(fold, names[code]) for fold, code in np.argwhere(counts == 0)]
    if lacking:
        fold, name = lacking[0]
        total = int(counts[:, names.index(name)].sum())
        raise InputError(
            f"each of {experiment.folds} folds must have objects of every class of scheme "
            f"{experiment.scheme!r}, got none of {name!r} ({total} objects in all) in fold {fold}; use fewer "
            "folds, merge classes by another scheme, or mend the column 'fold'"
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

    Parameters
    ----------
    experiment : Experiment
        With folds.
    sample : Sample
        Labelled objects.

    Returns
    -------
    list of dict
        One row per fold and class: ``fold``, ``class``, ``train``, ``validation``, ``test``.

    Raises
    ------
    InputError
        As for `fold_numbers`.
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

    Parameters
    ----------
    experiment : Experiment
        With folds.
    sample : Sample
        Labelled objects.
    by : str
        Column of the catalogue whose values are the groups.

    Returns
    -------
    list of dict
        A row a group, in their order in the Sample: the group under the name `by`, ``validation`` where
        objects are set apart for it, ``fold 0`` and so on.

    Raises
    ------
    InputError
        As for `fold_numbers`, or if there is no such column.
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

    Objects whose label takes no part in the experiment's scheme are left out; their number is logged. A
    missing column, label, band or class raises InputError.
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
    names = _PARTS if experiment.folds else _PARTS[:2]
    return {name: _part(experiment, sample, codes, split == name, name) for name in names}


def _part(experiment: Experiment, sample: Sample, codes: np.ndarray, here: np.ndarray, name: str) -> Part:
    scheme = experiment.class_scheme
    if left_out := int((here & (codes < 0)).sum()):
        logger.info("%d %s objects have a label that scheme %r leaves out", left_out, name, scheme.name)
    rows = np.flatnonzero(here & (codes >= 0))
    counts = np.bincount(codes[rows], minlength=len(scheme.classes))
    if empty := [scheme.classes[i] for i in np.flatnonzero(counts == 0)]:
        raise InputError(
            f"split {name!r} must have objects of every class of scheme {scheme.name!r}, "
            f"got none of {empty}; move objects of that class into it or choose another scheme"
        )
    soft = _soft_fractions(experiment, sample, rows) if experiment.soft_labels else None
    return Part(rows, codes[rows], soft)


def parts_digest(sample: Sample, parts: Mapping[str, Part]) -> str:
    """Short hash of which objects are in which part, with their labels: equal for equal trainings."""
    digest = hashlib.sha256()
    ids = sample.object_ids
    for name, part in parts.items():
        digest.update(f"{name}\n{chr(10).join(ids[part.rows])}\n".encode())
        digest.update(part.codes.astype("<i8").tobytes())
        if part.soft is not None:
            digest.update(part.soft.astype("<f8").tobytes())
    return digest.hexdigest()[:12]
