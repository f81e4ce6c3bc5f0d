"""How good a classification is: counts, ratios, ranking and probabilities.

All ratios are NaN where they are undefined, never 0 by convention: precision when nothing was
classified as positive, recall without positives, AUC with one class only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from labkit.errors import InputError

__all__ = [
    "Scores",
    "auc",
    "binary_scores",
    "brier_score",
    "checked",
    "confusion_matrix",
    "log_loss",
]


@dataclass(frozen=True)
class Scores:
    """Quality of a binary classification (Kosiba et al. 2020, section 4).

    Parameters
    ----------
    tp, fp, tn, fn : int
        True positives, false positives, true negatives, false negatives.
    accuracy, precision, recall : float
        Equations 2, 3 and 4; precision is the purity, recall the completeness.
    f1 : float
        Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN).
    auc : float
        Area under the ROC curve.
    brier, log_loss : float
        Mean squared error of the probability and mean negative log-likelihood (nats).
    """

    tp: int
    fp: int
    tn: int
    fn: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    brier: float
    log_loss: float

    @property
    def false_positive_rate(self) -> float:
        """FP / (FP + TN). Equation 5 of the paper prints TN / (TN + FP), which is the specificity."""
        return _ratio(self.fp, self.fp + self.tn)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def checked(true: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Truth as bool and scores as float, of equal length and finite.

    Parameters
    ----------
    true : array_like of bool or 0/1, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Score of each, higher for positives.

    Raises
    ------
    InputError
        If lengths differ, there is no object, truth is not 0 or 1, or a score is not finite.
    """
    truth, scores = np.asarray(true), np.asarray(score, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape or not truth.size:
        raise InputError(
            f"true and score must be of one length, at least 1, got {truth.shape} and {scores.shape}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise InputError(f"true must be 0 or 1 (bool), got {np.unique(truth)[:5].tolist()}")
    if not np.isfinite(scores).all():
        raise InputError(f"score must be finite, got {(~np.isfinite(scores)).sum()} values that are not")
    return truth.astype(bool), scores


def auc(true: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve.

    It equals the probability that a positive scores higher than a negative, ties counting half
    (the Mann-Whitney statistic).

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Score of each.

    Returns
    -------
    float
        0 to 1; NaN if all objects are of one class.

    Raises
    ------
    InputError
        As for `checked`.
    """
    truth, scores = checked(true, score)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    rank_sum = rankdata(scores)[truth].sum()
    return _ratio(rank_sum - positives * (positives + 1) / 2, positives * negatives)


def brier_score(true: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared difference between the probability of a positive and the truth, 0 (best) to 1.

    Raises
    ------
    InputError
        As for `checked`, or if a probability leaves 0 to 1.
    """
    truth, p = checked(true, probability)
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"probability must lie in 0 to 1, got {p.min()} to {p.max()}")
    return float(((p - truth) ** 2).mean())


def log_loss(true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of -ln(probability given to the true class), in nats.

    Parameters
    ----------
    true : array_like of int, shape (n,)
        Number of the true class.
    probabilities : array_like, shape (n, k)
        Probability of each class. Zeros count as 2.2e-16, so a certain error costs 36, not infinity.

    Raises
    ------
    InputError
        If the shapes do not fit, or a class number is not a column.
    """
    codes, p = np.asarray(true), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or codes.shape != p.shape[:1] or not codes.size:
        raise InputError(f"true (n,) and probabilities (n, k) must fit, got {codes.shape} and {p.shape}")
    if codes.min() < 0 or codes.max() >= p.shape[1]:
        raise InputError(f"true must lie in 0 to {p.shape[1] - 1}, got {codes.min()} to {codes.max()}")
    given = p[np.arange(len(codes)), codes]
    return float(-np.log(np.clip(given, np.finfo(np.float64).eps, 1)).mean())


def binary_scores(
    true: ArrayLike, score: ArrayLike, *, threshold: float = 0.5, decided: ArrayLike | None = None
) -> Scores:
    """All measures of a binary classification.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Probability of the positive class.
    threshold : float
        Objects with a *higher* score are classified as positive (Kosiba et al. 2020, section 5.3).
    decided : array_like of bool, shape (n,), optional
        The classification, if it does not follow from the threshold, as with more than two classes.

    Returns
    -------
    Scores
        The measures; undefined ones are NaN.

    Raises
    ------
    InputError
        As for `checked`, or if a probability leaves 0 to 1.
    """
    truth, p = checked(true, score)
    chosen = p > threshold if decided is None else checked(decided, p)[0]
    tp, fp = int((truth & chosen).sum()), int((~truth & chosen).sum())
    fn, tn = int((truth & ~chosen).sum()), int((~truth & ~chosen).sum())
    return Scores(
        *(tp, fp, tn, fn),
        accuracy=_ratio(tp + tn, len(truth)),
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        auc=auc(truth, p),
        brier=brier_score(truth, p),
        log_loss=log_loss(truth.astype(int), np.column_stack([1 - p, p])),
    )


def confusion_matrix(true: ArrayLike, decided: ArrayLike, *, n_classes: int) -> np.ndarray:
    """Number of objects of each true class (row) that were given each class (column).

    Parameters
    ----------
    true, decided : array_like of int, shape (n,)
        Class numbers.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Axes (true, decided).

    Raises
    ------
    InputError
        If lengths differ or a number lies outside 0 to ``n_classes - 1``.
    """
    rows, columns = np.asarray(true), np.asarray(decided)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise InputError(f"true and decided must be of one length, got {rows.shape} and {columns.shape}")
    both = np.concatenate([rows, columns])
    if both.size and (both.min() < 0 or both.max() >= n_classes):
        raise InputError(f"class numbers must lie in 0 to {n_classes - 1}, got {both.min()} to {both.max()}")
    flat = np.bincount(rows.astype(np.int64) * n_classes + columns, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes)
