"""Stratified folds of a Sample: every object is tested once, by a network that never saw it.

Fold f is the test set of run f, the next one its validation set, the rest its training set; or the validation
set is drawn before the folds and the same for all (Angora et al. 2020, appendix A.2). Kosiba
et al. (2020, Table 7) do the same for the clusters, a tenth each for validation and test. Of the
non-clusters they test a fifth (114 of 570), to have as many of both classes in a test set, so that
their test sets must overlap. Ours hold a tenth of every class: each object has one out-of-fold
prediction, and the classes keep their shares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.labels import label_codes, text_column
from labkit.sample import Sample
from labkit.sample.dealing import dealing_order, every

_PARTS = ("train", "validation", "test")

#: Number of the objects drawn for validation before the folds.
VALIDATION = -2


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
    by one at most between folds.

    Shapes: codes (n,), groups (n,) -> (n,).
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
    folds are dealt by `assign_folds` among all labelled objects, or those of the parts in `fold_splits`.

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
    codes = label_codes(experiment, sample)
    if experiment.fold_splits:
        split = text_column(sample, experiment.split_column, use="the parts named by fold_splits")
        codes = np.where(np.isin(split, experiment.fold_splits), codes, -1)
    if "fold" in sample.catalogue.colnames:
        numbers = np.where(codes >= 0, _given(experiment, sample), -1)
    else:
        by = experiment.fold_by
        groups = None if by is None else text_column(sample, by, use="what each fold keeps in proportion")
        rng = np.random.default_rng([experiment.fold_seed, experiment.folds])
        numbers = assign_folds(
            codes,
            folds=experiment.folds,
            rng=rng,
            groups=groups,
            validation_share=experiment.validation_share,
        )
    _check_classes(experiment, numbers, codes)
    return numbers


def _given(experiment: Experiment, sample: Sample) -> np.ndarray:
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
    """What each object is in one run: "test" in its fold, "validation" in the next, else "train".

    Where objects are set apart for validation, they are the validation set and the next fold trains.

    Shapes: numbers (n,) -> (n,).
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
        A row a fold and class: ``fold``, ``class``, ``train``, ``validation``, ``test``.

    Raises
    ------
    InputError
        As for `fold_numbers`.
    """
    numbers, codes = fold_numbers(experiment, sample), label_codes(experiment, sample)
    rows = []
    for fold in range(experiment.folds):
        parts = fold_parts(numbers, fold=fold, folds=experiment.folds)
        for code, name in enumerate(experiment.class_scheme.classes):
            counts = {part: int(((parts == part) & (codes == code)).sum()) for part in _PARTS}
            rows.append({"fold": fold, "class": name, **counts})
    return rows
