"""Measures of many resamples at once, from how often each object was drawn.

A resample is a row of weights (how often each object was drawn), so that counts are matrix products and
no object is copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BLOCK", "multiplicities", "ratios", "weighted_auc", "weighted_ratios"]

BLOCK = 4_000_000  # weights held in memory at a time


def multiplicities(groups: Sequence[np.ndarray], *, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each object is drawn in each resample, stratified: each group in its own number.

    Parameters
    ----------
    groups : sequence of ndarray of bool, shape (n,)
        Members of each group, such as the true classes.
    resamples : int
        Number of resamples.
    rng : Generator
        Draws the objects.

    Returns
    -------
    ndarray of float64, shape (resamples, n)
        Whole numbers; zero for objects in no group.
    """
    weights = np.zeros((resamples, len(groups[0])))
    for group in groups:
        if n := int(group.sum()):
            weights[:, group] = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return weights


def weighted_auc(weights: np.ndarray, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC of each row of weights: positives above negatives, ties half; NaN without one of them.

    Parameters
    ----------
    weights : ndarray, shape (resamples, n)
        From `multiplicities`.
    truth : ndarray of bool, shape (n,)
        Whether each object is a positive.
    scores : ndarray, shape (n,)
        Score of each.

    Returns
    -------
    ndarray, shape (resamples,)
        Areas.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # first of each distinct score
    positive = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~truth[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(1) * negative.sum(1)
    with np.errstate(invalid="ignore"):
        return (positive * (below + 0.5 * negative)).sum(1) / pairs


def ratios(tp: np.ndarray, fp: np.ndarray, positives: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, precision, recall and F1 from counts of any shape; NaN where undefined."""
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": (tp + total - positives - fp) / total,
            "precision": tp / (tp + fp),
            "recall": tp / positives,
            "f1": 2 * tp / (tp + fp + positives),
        }


def weighted_ratios(weights: np.ndarray, truth: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, precision, recall and F1 of each row of weights.

    Parameters
    ----------
    weights : ndarray, shape (resamples, n)
        From `multiplicities`.
    truth, chosen : ndarray of bool, shape (n,)
        Whether each object is a positive, and was classified as one.

    Returns
    -------
    dict of str to ndarray, shape (resamples,)
        Measures.
    """
    tp, fp, positives = (
        weights @ group.astype(np.float64) for group in (truth & chosen, ~truth & chosen, truth)
    )
    return ratios(tp, fp, positives, weights.sum(1))
