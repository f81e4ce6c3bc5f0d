"""Out-of-fold predictions: a row a fold, the scatter between folds, and labels that they contradict."""

from __future__ import annotations

import dataclasses

import numpy as np
from astropy.table import QTable
from scipy.stats import chi2

from labkit.errors import InputError
from labkit.evaluate.curves import roc_curve
from labkit.evaluate.intervals import (
    Interval,
    OverSeeds,
    bootstrap_scores,
    over_seeds,
    percentile_interval,
)
from labkit.evaluate.metrics import Scores, binary_scores
from labkit.evaluate.multiclass import METRICS
from labkit.evaluate.tables import known_objects, measure_columns
from labkit.predictions import Predictions

__all__ = ["contradicted_labels", "fold_rocs", "fold_scatter", "fold_table"]

_NONE = Interval(float("nan"), float("nan"), float("nan"))


def _folds(predictions: Predictions) -> tuple[Predictions, dict[int, Predictions]]:
    """The objects of known class of one experiment and seed, all and by fold."""
    known = known_objects(predictions, None)
    runs = [run for run, _ in known.runs()]
    if len({(run.experiment, run.seed) for run in runs}) > 1 or min(run.fold for run in runs) < 0:
        raise InputError(
            "predictions must be the out-of-fold ones of one experiment and seed, got "
            f"{[tuple(run) for run in runs[:4]]}; select(experiment=..., seed=...) from those with folds"
        )
    if len(np.unique(known.table["object_id"])) != len(known):
        raise InputError(
            "predictions must hold each object once, in its test fold, got some in several folds; "
            "use labkit.learn.out_of_fold"
        )
    return known, {run.fold: part for run, part in sorted(known.runs(), key=lambda pair: pair[0].fold)}


def _scores(predictions: Predictions, threshold: float) -> Scores:
    truth = np.asarray(predictions.table["true"] == predictions.positive)
    return binary_scores(truth, predictions.score, threshold=threshold)


def fold_table(
    predictions: Predictions,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Quality in each fold, its mean over folds, and of all objects together (Kosiba et al. 2020, Table 8).

    Parameters
    ----------
    predictions : Predictions
        Out-of-fold predictions of one experiment and seed, of a scheme with a positive class.
    threshold : float
        A higher probability counts as a detection.
    confidence : float
        Confidence of the intervals.
    resamples : int
        Resamples of the bootstrap.
    rng : Generator or int
        Draws the resamples.

    Returns
    -------
    `~astropy.table.QTable`
        ``experiment``, ``fold`` (counted from 1, as in the paper), ``objects`` and each measure. Then a row
        "mean", with the standard deviation over folds (n - 1), and a row "out of fold": all objects, each
        judged by the network that had not seen it, with bootstrap intervals over the objects. Its AUC
        ranks scores of different networks together and so is mostly a little below the mean of the folds.

    Raises
    ------
    InputError
        If there are several experiments or seeds, an object comes twice, or no class is the positive one.
    """
    known, folds = _folds(predictions)
    name = str(known.table["experiment"][0])
    each = {fold: _scores(part, threshold) for fold, part in folds.items()}
    rows = []
    for fold, scores in each.items():
        row = {"experiment": name, "fold": str(fold + 1), "objects": len(folds[fold])}
        rows.append(row | _columns({m: OverSeeds(getattr(scores, m), np.nan, _NONE, 1) for m in METRICS}))
    spread = {m: over_seeds([getattr(one, m) for one in each.values()]) for m in METRICS}
    mean = {m: dataclasses.replace(found, interval=_NONE) for m, found in spread.items()}
    rows.append({"experiment": name, "fold": "mean", "objects": len(known)} | _columns(mean))
    truth = np.asarray(known.table["true"] == known.positive)
    draws = bootstrap_scores(truth, known.score, threshold=threshold, resamples=resamples, rng=rng)
    bounds = {m: percentile_interval(draws[m], confidence=confidence) for m in METRICS}
    total = _scores(known, threshold)
    pooled = {m: OverSeeds(getattr(total, m), np.nan, bounds[m], 1) for m in METRICS}
    rows.append({"experiment": name, "fold": "out of fold", "objects": len(known)} | _columns(pooled))
    table = QTable(rows=rows)
    table.meta.update(interval="objects", confidence=confidence)
    return table


def _columns(measures: dict[str, OverSeeds]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for metric, found in measures.items():
        columns |= measure_columns(metric, found, found.interval)
    return columns


def fold_rocs(predictions: Predictions) -> dict[str, QTable]:
    """ROC curve of each fold, by its number from 1 (Kosiba et al. 2020, Fig. 14).

    Parameters
    ----------
    predictions : Predictions
        As for `fold_table`.

    Returns
    -------
    dict of str to `~astropy.table.QTable`
        Curves of `labkit.evaluate.roc_curve`.

    Raises
    ------
    InputError
        As for `fold_table`.
    """
    return {
        str(fold + 1): roc_curve(np.asarray(part.table["true"] == part.positive), part.score)
        for fold, part in _folds(predictions)[1].items()
    }


def fold_scatter(predictions: Predictions, *, threshold: float = 0.5) -> QTable:
    """Scatter between folds, beside what counting few objects gives.

    A proportion p measured on n_f objects of fold f scatters by sqrt(p (1 - p) / n_f) if nothing but chance
    differs between the folds. The sum over folds of ((p_f - p) / that)^2, with p of all objects, then follows
    a chi-square distribution with k - 1 degrees of freedom.

    Parameters
    ----------
    predictions : Predictions
        As for `fold_table`.
    threshold : float
        A higher probability counts as a detection.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each of accuracy, precision (of the n_f selected) and recall (of the n_f positives):
        ``metric``, ``folds``, ``std`` (measured, n - 1), ``binomial_std`` (expected), ``chi_square`` and
        ``p_value``, the probability of at least this scatter by chance. NaN where p is 0, 1 or
        undefined in a fold.

    Raises
    ------
    InputError
        As for `fold_table`, or if there is one fold only.
    """
    _, folds = _folds(predictions)
    if len(folds) < 2:
        raise InputError(f"predictions must hold two folds or more, got {list(folds)}")
    each = [_scores(part, threshold) for part in folds.values()]
    counts = {
        "accuracy": [(s.tp + s.tn, s.tp + s.tn + s.fp + s.fn) for s in each],
        "precision": [(s.tp, s.tp + s.fp) for s in each],
        "recall": [(s.tp, s.tp + s.fn) for s in each],
    }
    rows = []
    for metric, pairs in counts.items():
        k, n = np.array(pairs, dtype=np.float64).T
        with np.errstate(invalid="ignore", divide="ignore"):
            p, shares = k.sum() / n.sum(), k / n
            variance = p * (1 - p) / n
            total = float(((shares - p) ** 2 / variance).sum())
        rows.append(
            {
                "metric": metric,
                "folds": len(n),
                "std": float(shares.std(ddof=1)),
                "binomial_std": float(np.sqrt(variance.mean())),
                "chi_square": total,
                "p_value": float(chi2.sf(total, len(n) - 1)),
            }
        )
    return QTable(rows=rows)


def contradicted_labels(predictions: Predictions, *, confidence: float = 0.9) -> QTable:
    """Objects whose out-of-fold prediction is sure of another class than their label.

    No network saw the label that it contradicts, so such an object is either a hard one or a wrong
    label; both are worth a second look. Probabilities are averaged over seeds.

    Parameters
    ----------
    predictions : Predictions
        Out-of-fold predictions of one experiment, any number of seeds.
    confidence : float
        Least probability of the other class, 0 to 1.

    Returns
    -------
    `~astropy.table.QTable`
        ``object_id``, ``label`` (the class that the label stands for), ``predicted``, ``p_predicted`` and
        ``p_label``; the surest contradiction first.

    Raises
    ------
    InputError
        If `confidence` leaves 0 to 1, there are several experiments, or no object has a label.
    """
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence must lie in 0 to 1, got {confidence}")
    known = known_objects(predictions, None)
    if len(names := np.unique(known.table["experiment"])) > 1:
        raise InputError(f"predictions must be of one experiment, got {names.tolist()}; select one")
    ids, first, row = np.unique(
        np.asarray(known.table["object_id"], dtype=str), return_index=True, return_inverse=True
    )
    p = np.zeros((len(ids), len(known.classes)))
    np.add.at(p, row, known.probabilities)
    p /= np.bincount(row)[:, None]
    label, best, here = known.true_codes[first], p.argmax(1), np.arange(len(ids))
    table = QTable(
        {
            "object_id": ids,
            "label": np.array(known.classes)[label],
            "predicted": np.array(known.classes)[best],
            "p_predicted": p[here, best],
            "p_label": p[here, label],
        }
    )
    table = table[(best != label) & (p[here, best] >= confidence)]
    return table[np.argsort(np.asarray(table["p_label"]), kind="stable")]
