"""Measures and curves of a classification, and one rule for what is undefined: NaN, never 0.

Purity is undefined where nothing was called positive, completeness where there are no positives, the AUC
where there is one class only. Tables of measures with intervals are those of `labkit.evaluate.measure`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context, metrics

from labkit.errors import InputError
from labkit.predictions import Predictions, RunTable

#: The five measures of the papers, in the order of their tables. Purity is precision, completeness recall.
MEASURES = ("accuracy", "purity", "completeness", "f1", "auc")
#: What `labkit.evaluate.measure` knows of a classification beside them.
RATES = ("balanced_accuracy", "fp_rate", "fn_rate")
LOSSES = ("brier", "log_loss")
COUNTS = ("tp", "fp", "fn", "tn", "predicted")
#: Rows that follow those of the classes.
AVERAGES = ("macro average", "micro average")
_WANTED = ("auc", *LOSSES)


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
            "balanced_accuracy": (tp / positives + 1 - fp / (total - positives)) / 2,
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
    wanted: Sequence[str] = _WANTED,
) -> dict[str, float]:
    """All measures of a binary classification (Kosiba et al. 2020, section 4).

    Objects with a score above the threshold count as positive, or those that `decided` says. `wanted` are
    those of "auc", "brier" and "log_loss" (nats) to compute; the last two need probabilities. ``fp_rate`` is
    FP / (FP + TN); the paper's equation 5 prints the specificity. ``balanced_accuracy`` is the mean of the
    completeness and the specificity (Su et al. 2020, equation 6).
    """
    truth, p = check_scores(true, score)
    chosen = p > threshold if decided is None else check_scores(decided, p)[0]
    # four counts by numpy: scikit-learn checks its input for longer than the bootstrap of a group takes
    tn, fp, fn, tp = np.bincount(2 * truth + chosen, minlength=4).tolist()
    found = {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "predicted": tp + fp}
    found |= {name: float(value) for name, value in ratios(tp, fp, tp + fn, len(truth)).items()}
    with config_context(assume_finite=True, skip_parameter_validation=True):  # checked above
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
    truth: NDArray[np.bool_],
    p: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    *,
    classes: Sequence[str],
    averages: bool = True,
    wanted: Sequence[str] = _WANTED,
) -> dict[str, dict[str, float]]:
    """Measures of each class against the rest, then `AVERAGES` (Kosiba et al. 2020, section 5.5).

    Truth, probabilities and decisions have a column for each class, shape (n, k). The macro average is the
    mean over the classes that the objects have; the micro average pools the n x k decisions "is it of this
    class?", so that every object counts alike. So the macro average of the balanced accuracy is that of Su et
    al. (2020); the multi-class one of scikit-learn is the macro average of the completeness.
    """
    found = {
        name: binary_scores(truth[:, c], p[:, c], decided=chosen[:, c], wanted=wanted)
        for c, name in enumerate(classes)
    }
    if not averages:
        return found
    micro = binary_scores(truth.ravel(), p.ravel(), decided=chosen.ravel(), wanted=wanted)
    return with_averages(found, truth, micro)


def with_averages(
    found: dict[str, dict[str, Any]], truth: NDArray[np.bool_], micro: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Measures of classes, numbers or arrays, and of `AVERAGES`; truth is of shape (n, class)."""
    there = [one for one, column in zip(found.values(), truth.T, strict=True) if column.any()]
    macro = {name: np.mean([one[name] for one in there], axis=0) for name in there[0]}
    return found | dict(zip(AVERAGES, (macro, micro), strict=True))


def overall(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All classes together: macro averages, and as accuracy the share of objects given their class."""
    macro, micro = (found[name] for name in AVERAGES)
    return dict(macro) | ({"accuracy": micro["completeness"]} if micro else {})


def confusion_matrix(true: ArrayLike, decided: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Number of objects of each true class (row) that were given each class (column), from class numbers."""
    rows, columns = np.asarray(true), np.asarray(decided)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise InputError(f"true and decided must be of one length, got {rows.shape} and {columns.shape}")
    both = np.concatenate([rows, columns])
    if both.size and (both.min() < 0 or both.max() >= n_classes):
        raise InputError(f"class numbers must lie in 0 to {n_classes - 1}, got {both.min()} to {both.max()}")
    cells = np.bincount((rows * n_classes + columns).astype(np.int64), minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def _truth_and_score(true: ArrayLike | Predictions, score: ArrayLike | None) -> tuple[NDArray, NDArray]:
    if isinstance(true, RunTable):
        if score is not None:
            raise InputError("score must be left out where the first argument is Predictions")
        known = true.known
        if not len(known):
            raise InputError(
                "predictions must hold objects of known class, got none; a curve needs the truth"
            )
        return check_scores(known.is_positive, known.score)
    if score is None:
        raise InputError("score must be given with an array of truths; or give Predictions, which hold both")
    return check_scores(true, score)


def roc_curve(true: ArrayLike | Predictions, score: ArrayLike | None = None) -> QTable:
    """True positive rate against false positive rate at every threshold (Kosiba et al. 2020, Fig. 8).

    Parameters
    ----------
    true : Predictions, or array_like of bool, shape (n,)
        Predictions with a positive class: all rows of known class together (`Predictions.runs` gives them one
        by one, ``select(split="test")`` those not trained on). Or whether each object is a positive.
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
    threshold, tp, fp = _counts(*_truth_and_score(true, score))
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

    Where as many objects are selected as there are positives, by linear interpolation; arguments are those of
    `roc_curve`.
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
    """Mean of ROC curves at `points` equal false positive rates.

    Columns ``fpr``, ``tpr``, ``tpr_std`` (n - 1; NaN for one curve), and the extremes ``tpr_low`` and
    ``tpr_high``.
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

    Of each experiment its runs; of each run a curve for each class that has objects of its own and others,
    then "macro average" (mean at equal false positive rate) and "micro average" (all decisions pooled).
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
