"""Curves over all thresholds: ROC, purity against completeness, their means over trainings and classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from labkit.errors import InputError
from labkit.evaluate.measures import AVERAGES, check_scores
from labkit.predictions import Predictions


def _truth_and_score(true: ArrayLike | Predictions, score: ArrayLike | None) -> tuple[NDArray, NDArray]:
    if isinstance(true, Predictions):
        if score is not None:
            raise InputError("score must be left out where the first argument is Predictions")
        known = true.known
        if not len(known):
            raise InputError(
                "predictions must hold objects of known class, got none; a curve needs the truth"
            )
        return check_scores(np.asarray(known.table["true"] == known.positive), known.score)
    if score is None:
        raise InputError("score must be given with an array of truths; or give Predictions, which hold both")
    return check_scores(true, score)


def roc_curve(true: ArrayLike | Predictions, score: ArrayLike | None = None) -> QTable:
    """True positive rate against false positive rate at every threshold (Kosiba et al. 2020, Fig. 8).

    Parameters
    ----------
    true : Predictions, or array_like of bool, shape (n,)
        Predictions with a positive class: all rows of known class together (`Predictions.runs` gives them one
        by one). Or whether each object is a positive.
    score : array_like, shape (n,), optional
        Probability of the positive class, beside an array of truths.

    Returns
    -------
    `~astropy.table.QTable`
        ``threshold`` (from infinity down), ``fpr`` and ``tpr``; a rate is NaN where its class has no object.

    Raises
    ------
    InputError
        If lengths differ, a score is not finite, nothing is known, or there is no positive class.
    """
    truth, scores = _truth_and_score(true, score)
    threshold, tp, fp = _counts(truth, scores)
    with np.errstate(invalid="ignore"):
        tpr, fpr = np.append(0, tp) / tp[-1], np.append(0, fp) / fp[-1]
    return QTable({"threshold": np.append(np.inf, threshold), "fpr": fpr, "tpr": tpr})


def purity_curve(true: ArrayLike | Predictions, score: ArrayLike | None = None) -> QTable:
    """Purity and completeness of the objects selected at every threshold.

    Parameters
    ----------
    true, score
        As for `roc_curve`.

    Returns
    -------
    `~astropy.table.QTable`
        ``threshold`` (an object with this score or a higher one is selected), ``purity``, ``completeness``
        (NaN without positives) and ``selected``, from the highest threshold down.

    Raises
    ------
    InputError
        As for `roc_curve`.
    """
    threshold, tp, fp = _counts(*_truth_and_score(true, score))
    with np.errstate(invalid="ignore"):
        completeness = tp / tp[-1]
    return QTable(
        {"threshold": threshold, "purity": tp / (tp + fp), "completeness": completeness, "selected": tp + fp}
    )


def _counts(truth: NDArray, scores: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Each distinct score from high to low, with the positives and negatives at or above it.

    Counts rather than scikit-learn's curves, which leave out thresholds or append points of their own.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # last of each distinct score
    return scores[order][last], np.cumsum(truth[order])[last], np.cumsum(~truth[order])[last]


def crossing(true: ArrayLike | Predictions, score: ArrayLike | None = None) -> tuple[float, float]:
    """Threshold at which purity and completeness are equal, and their value there (Angora et al., Fig. 7).

    Arguments are those of `roc_curve`.

    Returns
    -------
    tuple of float
        Where as many objects are selected as there are positives, by linear interpolation.
    """
    truth, scores = _truth_and_score(true, score)
    if not truth.any():
        raise InputError("true must name a member (a positive) at least, got none")
    curve = purity_curve(truth, scores)
    selected = np.asarray(curve["selected"], dtype=np.float64)
    threshold, value = (
        float(np.interp(truth.sum(), selected, curve[name])) for name in ("threshold", "completeness")
    )
    return threshold, value


def area_under(curve: QTable) -> float:
    """Area under a ROC curve by trapezia; that of `roc_curve` is the AUC."""
    fpr, tpr = np.asarray(curve["fpr"], dtype=float), np.asarray(curve["tpr"], dtype=float)
    return float(metrics.auc(fpr, tpr)) if np.isfinite([*fpr, *tpr]).all() else float("nan")


def mean_roc(curves: Sequence[QTable], *, points: int = 201) -> QTable:
    """Mean ROC curve of several trainings, averaged at equal false positive rate.

    Parameters
    ----------
    curves : sequence of Table
        From `roc_curve`.
    points : int
        Number of false positive rates.

    Returns
    -------
    `~astropy.table.QTable`
        ``fpr``, ``tpr``, ``tpr_std`` (n - 1; NaN for one curve), ``tpr_low`` and ``tpr_high``, the extremes.
    """
    if points < 2:
        raise InputError(f"points must be at least 2, got {points}")
    if not len(curves) or any(np.isnan(c["tpr"]).any() or np.isnan(c["fpr"]).any() for c in curves):
        raise InputError("curves must hold at least one ROC curve, each of objects of both classes")
    grid = np.linspace(0, 1, points)
    rates = np.array([_heights(grid, np.asarray(c["fpr"]), np.asarray(c["tpr"])) for c in curves])
    std = rates.std(axis=0, ddof=1) if len(rates) > 1 else np.full(points, np.nan)
    columns = {"fpr": grid, "tpr": rates.mean(axis=0), "tpr_std": std}
    return QTable(columns | {"tpr_low": rates.min(axis=0), "tpr_high": rates.max(axis=0)})


def _heights(grid: NDArray, fpr: NDArray, tpr: NDArray) -> NDArray:
    """Height of a curve; where it rises straight up, the top of the rise."""
    left = np.searchsorted(fpr, grid, side="right") - 1
    right = np.minimum(left + 1, len(fpr) - 1)
    width = fpr[right] - fpr[left]
    share = np.divide(grid - fpr[left], width, out=np.zeros_like(grid), where=width > 0)
    return tpr[left] + share * (tpr[right] - tpr[left])


def class_rocs(predictions: Predictions) -> dict[str, list[dict[str, QTable]]]:
    """ROC curve of each class against the rest, and of their averages (Kosiba et al. 2020, Fig. 13).

    Parameters
    ----------
    predictions : Predictions
        Any runs; objects of unknown class are left out.

    Returns
    -------
    dict of str to list of dict of str to `~astropy.table.QTable`
        Of each experiment its runs; of each run a curve for each class that has objects of its own and
        others, then "macro average" (mean at equal false positive rate) and "micro average" (all decisions
        pooled).
    """
    found: dict[str, list[dict[str, QTable]]] = {}
    for run, rows in predictions.known.runs():
        truth, p = rows.true_codes[:, None] == np.arange(len(rows.classes)), rows.probabilities
        defined = np.flatnonzero(truth.any(0) & ~truth.all(0)).tolist()
        if not defined:
            raise InputError(
                f"predictions must hold objects of two classes or more of {rows.classes} in {tuple(run)}"
            )
        curves = {rows.classes[c]: roc_curve(truth[:, c], p[:, c]) for c in defined}
        averages = (mean_roc(list(curves.values()), points=1001), roc_curve(truth.ravel(), p.ravel()))
        found.setdefault(run.experiment, []).append(curves | dict(zip(AVERAGES, averages, strict=True)))
    return found
