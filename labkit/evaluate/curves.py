"""Curves over all thresholds: ROC, purity against completeness, their means over seeds and classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.metrics import checked
from labkit.evaluate.multiclass import AVERAGES
from labkit.predictions import Predictions

__all__ = [
    "area_under",
    "class_rocs",
    "class_rocs_by_run",
    "mean_roc",
    "purity_completeness_curve",
    "roc_curve",
]


def _counts(true: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each distinct score from high to low, with the positives and negatives at or above it."""
    truth, scores = checked(true, score)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # last of each distinct score
    return scores[order][last], np.cumsum(truth[order])[last], np.cumsum(~truth[order])[last]


def roc_curve(true: ArrayLike, score: ArrayLike) -> QTable:
    """True positive rate against false positive rate at every threshold.

    TPR = TP / (TP + FN) and FPR = FP / (FP + TN). Kosiba et al. (2020), equation 5, prints
    TN / (TN + FP) for the latter, a misprint: that is the specificity.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Score of each.

    Returns
    -------
    `~astropy.table.QTable`
        ``threshold`` (falling; the first is infinite), ``fpr`` and ``tpr`` of the objects with a
        score *at or above* it. Equal scores make one point, so ties give a slope, not steps. A rate is
        NaN if there is no object to count.

    Raises
    ------
    InputError
        As for `labkit.evaluate.metrics.checked`.
    """
    threshold, tp, fp = _counts(true, score)
    with np.errstate(invalid="ignore"):
        tpr, fpr = np.append(0, tp) / tp[-1], np.append(0, fp) / fp[-1]
    return QTable({"threshold": np.append(np.inf, threshold), "fpr": fpr, "tpr": tpr})


def purity_completeness_curve(true: ArrayLike, score: ArrayLike) -> QTable:
    """Purity and completeness of the objects selected at every threshold.

    Purity is TP / (TP + FP), also called precision; completeness TP / (TP + FN), also called recall.

    Parameters
    ----------
    true : array_like of bool, shape (n,)
        Whether each object is a positive.
    score : array_like of float, shape (n,)
        Score of each.

    Returns
    -------
    `~astropy.table.QTable`
        ``threshold`` (falling), ``purity``, ``completeness`` and ``selected``, the number of objects
        with a score at or above the threshold. Completeness is NaN without positives.

    Raises
    ------
    InputError
        As for `labkit.evaluate.metrics.checked`.
    """
    threshold, tp, fp = _counts(true, score)
    with np.errstate(invalid="ignore"):
        completeness = tp / tp[-1]
    return QTable(
        {"threshold": threshold, "purity": tp / (tp + fp), "completeness": completeness, "selected": tp + fp}
    )


def area_under(curve: QTable) -> float:
    """Area under a ROC curve, by trapezia; for `roc_curve` it equals `labkit.evaluate.metrics.auc`."""
    return float(np.trapezoid(np.asarray(curve["tpr"]), np.asarray(curve["fpr"])))


def mean_roc(curves: Sequence[QTable], *, points: int = 201) -> QTable:
    """Mean ROC curve of several trainings, averaged at equal false positive rate.

    Parameters
    ----------
    curves : sequence of `~astropy.table.QTable`
        Curves of `roc_curve`, one a training.
    points : int
        Number of false positive rates, evenly spaced from 0 to 1, at least 2.

    Returns
    -------
    `~astropy.table.QTable`
        ``fpr``, ``tpr`` (mean), ``tpr_std`` (sample standard deviation, n - 1; NaN for one curve),
        ``tpr_low`` and ``tpr_high`` (smallest and largest).

    Raises
    ------
    InputError
        If there is no curve, a curve has NaN rates (a class was missing), or `points` is below 2.
    """
    if points < 2:
        raise InputError(f"points must be at least 2, got {points}")
    if not len(curves) or any(np.isnan(c["tpr"]).any() or np.isnan(c["fpr"]).any() for c in curves):
        raise InputError("curves must hold at least one ROC curve, each of objects of both classes")
    grid = np.linspace(0, 1, points)
    rates = np.array([_at(grid, np.asarray(c["fpr"]), np.asarray(c["tpr"])) for c in curves])
    std = rates.std(axis=0, ddof=1) if len(rates) > 1 else np.full(points, np.nan)
    return QTable(
        {
            "fpr": grid,
            "tpr": rates.mean(axis=0),
            "tpr_std": std,
            "tpr_low": rates.min(axis=0),
            "tpr_high": rates.max(axis=0),
        }
    )


def _at(grid: np.ndarray, fpr: np.ndarray, tpr: np.ndarray) -> np.ndarray:
    """Height of a curve; where it rises straight up, the top of the rise."""
    left = np.searchsorted(fpr, grid, side="right") - 1
    right = np.minimum(left + 1, len(fpr) - 1)
    width = fpr[right] - fpr[left]
    share = np.divide(grid - fpr[left], width, out=np.zeros_like(grid), where=width > 0)
    return tpr[left] + share * (tpr[right] - tpr[left])


def class_rocs(true: ArrayLike, probabilities: ArrayLike, *, classes: Sequence[str]) -> dict[str, QTable]:
    """ROC curve of each class against the rest, and of their averages (Kosiba et al. 2020, Fig. 13).

    Parameters
    ----------
    true : array_like of int, shape (n,)
        Number of the true class.
    probabilities : array_like, shape (n, k)
        Probability of each class.
    classes : sequence of str
        Names of the k classes.

    Returns
    -------
    dict of str to `~astropy.table.QTable`
        Curves of `roc_curve`; a class that has no objects, or all, has none. Then "macro average", the mean
        true positive rate of these classes at equal false positive rate, and "micro average", the curve
        of all n x k pooled decisions.

    Raises
    ------
    InputError
        If shapes do not fit or no class has a curve.
    """
    codes, p = np.asarray(true), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape != (len(codes), len(classes)):
        raise InputError(f"probabilities must have the shape ({len(codes)}, {len(classes)}), got {p.shape}")
    truth = codes[:, None] == np.arange(len(classes))
    defined = np.flatnonzero(truth.any(0) & ~truth.all(0))
    if not defined.size:
        raise InputError(f"true must hold objects of two classes or more of {tuple(classes)}")
    found = {classes[c]: roc_curve(truth[:, c], p[:, c]) for c in defined.tolist()}
    macro, micro = AVERAGES
    return found | {
        macro: mean_roc(list(found.values()), points=1001),
        micro: roc_curve(truth.ravel(), p.ravel()),
    }


def class_rocs_by_run(predictions: Predictions) -> dict[str, list[dict[str, QTable]]]:
    """Curves of `class_rocs` of each experiment's runs; objects of unknown class are left out."""
    found: dict[str, list[dict[str, QTable]]] = {}
    for run, rows in predictions.known.runs():
        curves = class_rocs(rows.true_codes, rows.probabilities, classes=rows.classes)
        found.setdefault(run.experiment, []).append(curves)
    return found
