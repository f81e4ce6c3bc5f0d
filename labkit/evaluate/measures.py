"""Measures of a classification by scikit-learn, and one rule for what is undefined: NaN, never 0.

Purity is undefined where nothing was called positive, completeness where there are no positives, the AUC
where there is one class only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context, metrics

from labkit.errors import InputError

#: The five measures of the papers, in the order of their tables. Purity is precision, completeness recall.
MEASURES = ("accuracy", "purity", "completeness", "f1", "auc")
#: What `labkit.evaluate.measure` knows of a classification beside them.
RATES = ("fp_rate", "fn_rate")
LOSSES = ("brier", "log_loss")
COUNTS = ("tp", "fp", "fn", "tn", "predicted")
#: Rows that follow those of the classes.
AVERAGES = ("macro average", "micro average")


def check_scores(true: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth as bool and scores as float, of equal length and finite."""
    truth = np.asarray(true)
    if truth.dtype.kind not in "biuf":
        raise InputError(f"true must be 0 or 1 (bool) for each object, got values of {truth.dtype}")
    try:
        scores = np.asarray(score, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"score must be numbers, one for each object, got {type(score).__name__}") from None
    if truth.ndim != 1 or truth.shape != scores.shape or not truth.size:
        raise InputError(
            f"true and score must be of one length, at least 1, got {truth.shape} and {scores.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise InputError(f"true must be 0 or 1 (bool), got {np.unique(truth)[:5].tolist()}")
    if not np.isfinite(scores).all():
        raise InputError(f"score must be finite, got {(~np.isfinite(scores)).sum()} values that are not")
    return truth.astype(bool), scores


def ratios(
    tp: ArrayLike, fp: ArrayLike, positives: ArrayLike, total: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Ratios of counts of any shape; also of counts of resamples, which scikit-learn has not."""
    tp, fp, positives, total = (np.asarray(n, dtype=np.float64) for n in (tp, fp, positives, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (tp + total - positives - fp) / total,
            "purity": tp / (tp + fp),
            "completeness": tp / positives,
            "f1": 2 * tp / (tp + fp + positives),
            "fp_rate": fp / (total - positives),
            "fn_rate": (positives - tp) / positives,
        }


def auc(true: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve; ties count half, NaN with one class only."""
    truth, scores = check_scores(true, score)
    return float(metrics.roc_auc_score(truth, scores)) if truth.any() and not truth.all() else float("nan")


def binary_scores(
    true: ArrayLike,
    score: ArrayLike,
    *,
    threshold: float = 0.5,
    decided: ArrayLike | None = None,
    wanted: Sequence[str] = ("auc", "brier", "log_loss"),
) -> dict[str, float]:
    """All measures of a binary classification (Kosiba et al. 2020, section 4).

    Parameters
    ----------
    true : array_like of bool or 0/1, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Probability of a positive.
    threshold : float
        Objects with a higher score count as positive.
    decided : array_like of bool, shape (n,), optional
        The decisions, where they do not follow from a threshold.
    wanted : sequence of str
        Which of "auc", "brier" and "log_loss" (nats) to compute; the last two need probabilities.

    Returns
    -------
    dict of str to float
        ``tp``, ``fp``, ``fn``, ``tn``, ``predicted``, the five `MEASURES`, ``fp_rate`` (the paper's
        equation 5 prints the specificity), ``fn_rate`` and the losses.
    """
    truth, p = check_scores(true, score)
    chosen = p > threshold if decided is None else check_scores(decided, p)[0]
    with config_context(assume_finite=True, skip_parameter_validation=True):  # checked above
        return _measure(truth, p, chosen, wanted)


def _measure(truth: NDArray, p: NDArray, chosen: NDArray, wanted: Sequence[str]) -> dict[str, float]:
    # four counts by numpy: scikit-learn checks its input for longer than the bootstrap of a group takes
    tn, fp, fn, tp = np.bincount(2 * truth + chosen, minlength=4).tolist()
    found = {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "predicted": tp + fp}
    found |= {name: float(value) for name, value in ratios(tp, fp, tp + fn, len(truth)).items()}
    if "auc" in wanted:
        found["auc"] = auc(truth, p)
    if {"brier", "log_loss"} & {*wanted}:
        if p.min() < 0 or p.max() > 1:
            raise InputError(f"probability must lie in 0 to 1, got {p.min()} to {p.max()}")
        found["brier"] = float(metrics.mean_squared_error(truth, p))
        both = np.column_stack([1 - p, p])
        found["log_loss"] = float(metrics.log_loss(truth, both, labels=[False, True]))
    return found


def class_scores(
    codes: NDArray,
    probabilities: NDArray,
    decided: NDArray,
    *,
    classes: Sequence[str],
    wanted: Sequence[str] = ("auc", "brier", "log_loss"),
) -> dict[str, dict[str, float]]:
    """Measures of each class against the rest, then `AVERAGES` (Kosiba et al. 2020, section 5.5).

    The macro average is the mean over the classes that the objects have; the micro average pools the n x k
    decisions "is it of this class?", so that every object counts alike.
    """
    k = len(classes)
    truth, chosen = (values[:, None] == np.arange(k) for values in (codes, decided))  # (n, k)
    found = {
        name: binary_scores(truth[:, c], probabilities[:, c], decided=chosen[:, c], wanted=wanted)
        for c, name in enumerate(classes)
    }
    there = [found[name] for name, some in zip(classes, truth.any(0).tolist(), strict=True) if some]
    macro = {name: float(np.mean([one[name] for one in there])) for name in there[0]}
    micro = binary_scores(truth.ravel(), probabilities.ravel(), decided=chosen.ravel(), wanted=wanted)
    return found | dict(zip(AVERAGES, (macro, micro), strict=True))


def confusion_matrix(true: ArrayLike, decided: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Number of objects of each true class (row) that were given each class (column).

    Parameters
    ----------
    true, decided : array_like of int, shape (n,)
        Class numbers.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of int, shape (n_classes, n_classes)
        Counts.
    """
    rows, columns = np.asarray(true), np.asarray(decided)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise InputError(f"true and decided must be of one length, got {rows.shape} and {columns.shape}")
    both = np.concatenate([rows, columns])
    if both.size and (both.min() < 0 or both.max() >= n_classes):
        raise InputError(f"class numbers must lie in 0 to {n_classes - 1}, got {both.min()} to {both.max()}")
    if not both.size:
        return np.zeros((n_classes, n_classes), dtype=np.int64)
    return metrics.confusion_matrix(rows, columns, labels=np.arange(n_classes))
