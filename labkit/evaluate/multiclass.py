"""Several classes: each against the rest, and their averages (Kosiba et al. 2020, section 5.5).

The macro average is the plain mean over the classes that the objects have: every class counts alike, however
rare. The micro average pools the n x k decisions "is it of this class?" of n objects and k classes: every
object counts alike; its precision, recall and F1 are all the share of objects that were given their class.

Undefined values are NaN, as everywhere in this room. A class without objects has no recall and no AUC;
it takes no part in the macro average. A class that was never given has no precision, and then neither
has the macro average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.metrics import binary_scores
from labkit.evaluate.resamples import BLOCK, multiplicities, ratios, weighted_auc

__all__ = ["AVERAGES", "METRICS", "bootstrap_classes", "class_scores", "one_versus_rest", "overall"]

#: Measures of a summary, in the order of its columns.
METRICS = ("accuracy", "precision", "recall", "f1", "auc")

#: What follows the classes in `class_scores` and `bootstrap_classes`.
AVERAGES = ("macro average", "micro average")


def _checked(true: ArrayLike, probabilities: ArrayLike, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    codes, p = np.asarray(true), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape != (len(codes), n_classes) or not len(codes):
        raise InputError(
            f"probabilities must have the shape ({len(codes)}, {n_classes}) with an object or more, "
            f"got {p.shape}"
        )
    if codes.min() < 0 or codes.max() >= n_classes:
        raise InputError(f"true must lie in 0 to {n_classes - 1}, got {codes.min()} to {codes.max()}")
    return codes, p


def one_versus_rest(true: ArrayLike, probabilities: ArrayLike, *, classes: Sequence[str]) -> QTable:
    """Each class against all others (Kosiba et al. 2020, section 5.5 and Table 6).

    Parameters
    ----------
    true : array_like of int, shape (n,)
        Number of the true class.
    probabilities : array_like, shape (n, k)
        Probability of each class; an object is given the most probable one.
    classes : sequence of str
        Names of the k classes.

    Returns
    -------
    `~astropy.table.QTable`
        A row a class: ``class``, ``objects`` and the fields of `labkit.evaluate.metrics.Scores`.

    Raises
    ------
    InputError
        If shapes do not fit or a class number is not a column.
    """
    codes, p = _checked(true, probabilities, len(classes))
    decided = p.argmax(1)
    rows = [
        {"class": name, "objects": int((codes == number).sum())}
        | vars(binary_scores(codes == number, p[:, number], decided=decided == number))
        for number, name in enumerate(classes)
    ]
    return QTable(rows=rows)


def _measured(weights: np.ndarray, codes: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of each row of weights (resamples, n): shape (resamples, k + 2), classes then averages."""
    k = p.shape[1]
    truth, chosen = (values[:, None] == np.arange(k) for values in (codes, p.argmax(1)))
    tp, fp, positives = (
        weights @ group.astype(np.float64) for group in (truth & chosen, ~truth & chosen, truth)
    )  # (resamples, k)
    total = weights.sum(1, keepdims=True)
    each = ratios(tp, fp, positives, total)
    each["auc"] = np.stack([weighted_auc(weights, truth[:, c], p[:, c]) for c in range(k)], 1)
    pooled = ratios(tp.sum(1), fp.sum(1), positives.sum(1), k * total[:, 0])
    pooled["auc"] = weighted_auc(np.tile(weights, k), truth.T.ravel(), p.T.ravel())
    there = truth.any(0)
    macro = {name: values[:, there].mean(1) for name, values in each.items()}
    return {name: np.column_stack([each[name], macro[name], pooled[name]]) for name in METRICS}


def class_scores(true: ArrayLike, probabilities: ArrayLike, *, classes: Sequence[str]) -> QTable:
    """Measures of each class against the rest, and their macro and micro averages.

    Parameters
    ----------
    true : array_like of int, shape (n,)
        Number of the true class.
    probabilities : array_like, shape (n, k)
        Probability of each class; an object is given the most probable one.
    classes : sequence of str
        Names of the k classes.

    Returns
    -------
    `~astropy.table.QTable`
        A row a class and one for each of `AVERAGES`: ``class``, ``objects`` and the measures of `METRICS`.

    Raises
    ------
    InputError
        If shapes do not fit or a class number is not a column.
    """
    codes, p = _checked(true, probabilities, len(classes))
    measured = _measured(np.ones((1, len(codes))), codes, p)
    counts = np.bincount(codes, minlength=len(classes))
    objects = np.append(counts, [len(codes)] * 2)
    table = QTable({"class": [*classes, *AVERAGES], "objects": objects})
    for name in METRICS:
        table[name] = measured[name][0]
    return table


def overall(measures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measures of a whole classification, from values whose last axis is classes, macro, micro.

    Returns
    -------
    dict of str to ndarray
        ``accuracy``: the share of objects that were given their class. The others: macro averages.
    """
    found = {name: values[..., -2] for name, values in measures.items()}
    return found | {"accuracy": measures["recall"][..., -1]}


def bootstrap_classes(
    true: ArrayLike, probabilities: ArrayLike, *, rng: np.random.Generator | int, resamples: int = 2000
) -> dict[str, np.ndarray]:
    """Measures of each class and their averages on resampled objects.

    The objects of each true class are drawn with replacement in their own number. Several trainings are
    measured on the *same* resampled objects and averaged.

    Parameters
    ----------
    true : array_like of int, shape (n,)
        Number of the true class.
    probabilities : array_like, shape (n, k) or (trainings, n, k)
        Probability of each class.
    rng : Generator or int
        Draws the objects.
    resamples : int
        Number of resamples, at least 1.

    Returns
    -------
    dict of str to ndarray, shape (resamples, k + 2)
        The measures of `METRICS`; columns are the classes, then `AVERAGES`. Undefined values are NaN.

    Raises
    ------
    InputError
        If shapes do not fit or `resamples` is below 1.
    """
    if resamples < 1:
        raise InputError(f"resamples must be at least 1, got {resamples}")
    runs = np.asarray(probabilities, dtype=np.float64)
    runs = runs[None] if runs.ndim == 2 else runs
    codes = np.asarray(true)
    for p in runs:
        _checked(codes, p, runs.shape[-1])
    groups = [codes == c for c in np.unique(codes)]
    rng = np.random.default_rng(rng)
    block = max(1, BLOCK // (len(codes) * runs.shape[-1]))
    parts = []
    for start in range(0, resamples, block):
        weights = multiplicities(groups, resamples=min(block, resamples - start), rng=rng)
        measured = [_measured(weights, codes, p) for p in runs]
        parts.append({name: np.mean([one[name] for one in measured], axis=0) for name in METRICS})
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}
