"""Folds: dealing objects into them, tables of a cross-validation, labels that it contradicts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy.table import QTable, Table, vstack
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict

from labkit.errors import InputError
from labkit.evaluate.measure import measure
from labkit.evaluate.metrics import auc, roc_curve
from labkit.evaluate.resampling import Resampling
from labkit.evaluate.trainings import known_objects
from labkit.predictions import Predictions, mean_scores
from labkit.tables import need_columns, numbers, rows_of, text
from labkit.taxonomy import MEMBER


def _out_of_fold(predictions: Predictions) -> Predictions:
    """The objects of known class of one experiment and seed, each in its test fold."""
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
    return known


def fold_table(
    predictions: Predictions, *, threshold: float = 0.5, resampling: Resampling | None = None
) -> QTable:
    """Quality in each fold, its mean over folds, and of all objects together (Kosiba et al. 2020, Table 8).

    Of the out-of-fold predictions of one experiment and seed. As `labkit.evaluate.measure` with the column
    ``fold``: "1" and so on, "mean" (with ``_std`` over folds) and "out of fold", the only row with intervals,
    by the bootstrap.
    """
    known = _out_of_fold(predictions)
    options: dict[str, Any] = {"split": None, "threshold": threshold}
    each = measure(known, by=("experiment", "fold"), over="runs", **options)
    each["fold"] = [str(fold + 1) for fold in each["fold"]]
    mean = measure(known, over="runs", **options)
    both = measure(known, resampling=resampling or Resampling(proportions="bootstrap"), **options)
    for name in mean.colnames:
        if name.endswith(("_low", "_high")):
            mean[name] = np.nan  # the folds share their training objects: no interval of their mean
    mean.add_column(["mean"], 1, name="fold")
    both.add_column(["out of fold"], 1, name="fold")
    return vstack([each, mean, both], metadata_conflicts="silent")


def fold_rocs(predictions: Predictions) -> dict[str, QTable]:
    """ROC curve of each fold of one experiment and seed, numbered from 1 (Kosiba et al. 2020, Fig. 14)."""
    known = _out_of_fold(predictions)
    folds = np.unique(np.asarray(known.table["fold"])).tolist()
    return {str(fold + 1): roc_curve(known.select(fold=fold)) for fold in folds}


def fold_scatter(predictions: Predictions, *, threshold: float = 0.5) -> QTable:
    """Scatter between two folds or more, beside what counting few objects gives.

    Of the out-of-fold predictions of one experiment and seed. One row for accuracy, purity and completeness:
    ``measure``, ``folds``, ``std`` (n - 1), ``binomial_std`` (of folds that all have the pooled value),
    ``chi_square`` and ``p_value`` of homogeneity.
    """
    counts = ("tp", "fp", "fn", "tn")
    each = measure(
        _out_of_fold(predictions), by=("fold",), measures=counts, split=None, threshold=threshold, over="runs"
    )
    if len(each) < 2:
        raise InputError(f"predictions must hold two folds or more, got {each['fold'].tolist()}")
    tp, fp, fn, tn = (np.asarray(each[name]) for name in counts)
    shares_of = {"accuracy": (tp + tn, tp + tn + fp + fn), "purity": (tp, tp + fp)}
    rows = []
    for name, (k, n) in (shares_of | {"completeness": (tp, tp + fn)}).items():
        with np.errstate(invalid="ignore", divide="ignore"):
            p, shares = k.sum() / n.sum(), k / n
            variance = p * (1 - p) / n
            total = float(((shares - p) ** 2 / variance).sum())
        row = {"measure": name, "folds": len(n), "std": float(shares.std(ddof=1))}
        row |= {"binomial_std": float(np.sqrt(variance.mean())), "chi_square": total}
        rows.append(row | {"p_value": float(chi2.sf(total, len(n) - 1))})
    return QTable(rows=rows)


def contradicted_labels(predictions: Predictions, *, confidence: float = 0.9) -> QTable:
    """Objects whose out-of-fold prediction is sure of another class than their label.

    Probabilities are averaged over the runs of one experiment; `confidence` is the least one of the other
    class. Columns ``object_id``, ``label``, ``predicted``, ``p_predicted`` and ``p_label``, the least
    probable label first.
    """
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence must lie in 0 to 1, got {confidence}")
    known = known_objects(predictions, None)
    if len(names := np.unique(known.table["experiment"])) > 1:
        raise InputError(f"predictions must be of one experiment, got {names.tolist()}; select one")
    means = mean_scores(known, of=known.probabilities)
    p = np.asarray(means["mean"])
    label, best, here = known.true_codes[means["row"]], p.argmax(1), np.arange(len(means))
    table = QTable({"object_id": means["object_id"]})
    table["label"], table["predicted"] = (np.array(known.classes)[codes] for codes in (label, best))
    table["p_predicted"], table["p_label"] = p[here, best], p[here, label]
    table = table[(best != label) & (p[here, best] >= confidence)]
    return table[np.argsort(np.asarray(table["p_label"]), kind="stable")]


def photometric_folds(
    labels: ArrayLike, *, folds: int = 10, groups: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Fold of each object (-1 where the label is unknown), for photometric methods.

    `labels` are "member", "non-member" or "". Objects of a group, such as a cluster, stay together; without
    groups each fold has members in proportion.
    """
    codes = MEMBER.encode(text(labels))
    known = np.flatnonzero(codes >= 0)
    kinds = codes[known] if groups is None else np.asarray(groups)[known]
    sizes = np.unique(kinds, return_counts=True)[1]
    available = min(sizes, default=0) if groups is None else len(sizes)
    if folds < 2 or available < folds:
        what = "objects of the rarer class" if groups is None else "groups"
        raise InputError(
            f"folds must be 2 or more and at most the number of {what}, {available}, got {folds}"
        )
    result = np.full(len(codes), -1, dtype=np.int64)
    if groups is None:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(known, kinds)
    else:
        split = GroupKFold(folds, shuffle=True, random_state=seed).split(known, groups=kinds)
    for number, (_, test) in enumerate(split):
        result[known[test]] = number
    return result


def folds_of(predictions: Predictions, object_id: ArrayLike) -> NDArray[np.int64]:
    """Fold in which each object was tested (-1: in none), so that another method can be given the same."""
    ids, first, row = np.unique(text(predictions.table["object_id"]), return_index=True, return_inverse=True)
    given = np.asarray(predictions.table["fold"], dtype=np.int64)
    if (given[first][row] != given).any():
        raise InputError(
            "predictions must test each object in one fold; select(seed=...) those of one dealing"
        )
    return np.append(given[first], -1)[rows_of(ids, object_id)]  # -1, not tested, is the last


class Leak(NamedTuple):
    """Result of a leak check."""

    auc: float  # of a forest that sees only what must not matter; 0.5 is guessing
    noise: float  # standard deviation of that AUC if nothing leaks

    @property
    def sigmas(self) -> float:
        """Distance of the AUC from guessing, in standard deviations."""
        return (self.auc - 0.5) / self.noise


def leak(
    catalogue: Table,
    positive: np.ndarray,
    columns: Sequence[str],
    *,
    group_by: str | None = None,
    seed: int = 0,
) -> Leak:
    """How well a random forest guesses the class from columns that have nothing to do with it.

    The order of the rows counts as one more column. Probabilities are those of five folds, each predicted by
    a forest that did not see it.

    Parameters
    ----------
    catalogue : Table
        One row for each object.
    positive : ndarray of bool, shape (n,)
        Class of each object.
    columns : sequence of str
        What must not matter.
    group_by : str, optional
        Column of what objects share, such as the field that they lie in: a group is in one fold, and the
        noise is that of drawing groups, not objects.
    seed : int
        Of the forest and of the draws.

    Returns
    -------
    Leak
        AUC and its noise: of the Mann-Whitney statistic, or of 200 bootstrap samples of the groups.

    Raises
    ------
    InputError
        If a column is missing, a class has fewer than five objects, or there are fewer than five groups.
    """
    positive = np.asarray(positive, dtype=bool)
    need_columns(catalogue, [*columns, *([group_by] if group_by else [])], "catalogue")
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 5:
        raise InputError(
            f"positive must have five objects of each class or more, got {n_positive} and {n_negative}"
        )
    values = [numbers(catalogue[name]) for name in columns]
    features = np.column_stack([*values, np.arange(len(catalogue))])
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
    if group_by is None:
        guessed = cross_val_predict(forest, features, positive, cv=5, method="predict_proba")[:, 1]
        noise = np.sqrt((n_positive + n_negative + 1) / (12 * n_positive * n_negative))
        return Leak(float(auc(positive, guessed)), float(noise))
    names, group = np.unique(np.asarray(catalogue[group_by]), return_inverse=True)
    if len(names) < 5:
        raise InputError(
            f"group_by must name a column of five groups or more, got {len(names)} in {group_by!r}"
        )
    folds = {"cv": GroupKFold(5), "groups": group, "method": "predict_proba"}
    guessed = cross_val_predict(forest, features, positive, **folds)[:, 1]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=200)[:, group]
    draws = [roc_auc_score(positive, guessed, sample_weight=one) for one in weights]
    return Leak(float(auc(positive, guessed)), float(np.std(draws)))
