"""Cool cores without a network: classes by limits or, like numbers, from the shape of the image."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit.errors import InputError, need_choice
from labkit.predictions import Estimates, Predictions, target_column
from labkit.tables import need_columns, numbers, text
from labkit.taxonomy import get_scheme

#: Limits on C_SB that Su et al. (2020) take from Andrade-Santos et al. (2017, ApJ 843, 76); those on the
#: central density are `labkit.cooling.DENSITY_LIMITS`.
CONCENTRATION_LIMITS = (0.155, 0.075)
_SCHEME = "cool-core"


def limit_predictions(
    table: Table,
    column: str,
    *,
    limits: tuple[float, float] | Literal["fitted", "ranked"],
    folds: ArrayLike | None = None,
    rank_on: Literal["training", "all"] = "training",
    experiment: str | None = None,
) -> Predictions:
    """Class of each cluster by two limits on one number that is highest for cool cores.

    `limits` are two numbers, above the first of which is "CC" and below the second "NCC"; "fitted": those
    that give the training objects of each fold the highest mean recall; or "ranked": those that give them
    the fractions of their classes. `folds` says where each object is tested (-1: nowhere); with
    ``rank_on="all"`` fractions and limits are those of all objects at once, as Su et al. (2020) rank the
    concentration, which uses the truth of what is tested. Probabilities are 1 of the class.
    """
    values = _columns(table, [column])[:, 0]
    name = experiment or f"{column}, {limits if isinstance(limits, str) else 'fixed limits'}"
    if isinstance(limits, str):
        need_choice("limits, if no two numbers,", limits, ("fitted", "ranked"))
    elif len(limits) != 2 or not limits[0] > limits[1]:
        raise InputError(f"limits must be two numbers, the higher first, got {limits}")

    def judge(train: NDArray, codes: NDArray, test: NDArray) -> NDArray:
        if not isinstance(limits, str):
            found = np.array(limits)
        elif limits == "fitted":
            found = _fitted(values[train], codes[train])
        else:
            among = np.flatnonzero(codes >= 0) if rank_on == "all" else train
            found = _ranked(values[among], codes[among])
        return np.eye(3)[(values[test][:, None] <= found).sum(1)]

    return _by_folds(table, folds, judge, name, trains=isinstance(limits, str))


def morphology_predictions(
    table: Table,
    features: Sequence[str],
    *,
    folds: ArrayLike,
    method: str = "logistic",
    experiment: str | None = None,
) -> Predictions:
    """Class probabilities of each cluster by a simple classifier of numbers from its image.

    `features` are columns such as those of `labkit.images.morphology`, `folds` the fold in which each object
    is tested (-1: none). `method` is "logistic" or "gradient boosting" of scikit-learn; classes weigh alike,
    as they do in the balanced accuracy. `experiment` is its name, by default the method.
    """
    need_choice("method", method, ("logistic", "gradient boosting"))
    values = _columns(table, features)

    def judge(train: NDArray, codes: NDArray, test: NDArray) -> NDArray:
        weighed: dict[str, Any] = {"class_weight": "balanced"}
        if method == "logistic":
            model: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, **weighed))
        else:
            weighed |= {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 8, "random_state": 0}
            model = HistGradientBoostingClassifier(**weighed)
        return model.fit(values[train], codes[train]).predict_proba(values[test])

    return _by_folds(table, folds, judge, experiment or method)


def morphology_estimates(
    table: Table,
    features: Sequence[str],
    targets: Sequence[str],
    *,
    folds: ArrayLike,
    experiment: str = "linear",
) -> Estimates:
    """Numbers of each cluster by a linear model of numbers from its image, what a network must beat.

    Ridge regression of each target on the standardised features, trained on the other folds; the width is
    the root mean square error that the training folds have out of one another, the same for all objects.
    `targets` are as in an `Experiment`, such as ``"log t_cool"``, and known for all objects with a fold;
    `folds` is the fold in which each object is tested (-1: none), of three at least.
    """
    values, fold = _columns(table, features), _fold_numbers(table, folds)
    numbered = np.unique(fold[fold >= 0]).tolist()
    if len(numbered) < 3:
        raise InputError(f"folds must be three or more, got {numbered}")
    need_columns(table, [target_column(one)[0] for one in targets], "table")
    columns = {one: table[target_column(one)[0]] for one in targets}
    with np.errstate(divide="ignore", invalid="ignore"):
        true = np.column_stack(
            [np.log10(numbers(c)) if target_column(one)[1] else numbers(c) for one, c in columns.items()]
        )
    if not np.isfinite(true[fold >= 0]).all():
        raise InputError(f"targets {list(targets)} must be finite numbers for all objects with a fold")
    model, parts = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))), []
    for number in numbered:
        test, train = fold == number, (fold >= 0) & (fold != number)
        within = PredefinedSplit(fold[train])
        unseen = cross_val_predict(model, values[train], true[train], cv=within).reshape(-1, len(targets))
        width = np.sqrt(((unseen - true[train]) ** 2).mean(0))
        predicted = model.fit(values[train], true[train]).predict(values[test]).reshape(-1, len(targets))
        units = [str(getattr(column, "unit", None) or "") for column in columns.values()]
        about = {"experiment": experiment, "fold": number, "split": "test", "units": units}
        width = np.broadcast_to(width, predicted.shape)
        ids = text(table["object_id"])[test]
        parts.append(Estimates.from_arrays(ids, predicted, width, targets=targets, true=true[test], **about))
    return Estimates.concatenate(parts)


def _columns(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    need_columns(table, ["object_id", "label", *names], "table")
    values = np.column_stack([numbers(table[name]) for name in names])
    wrong = [name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).all()]
    if wrong:
        raise InputError(f"{wrong} must be finite for all objects; drop the objects or the column")
    return values


def _fold_numbers(table: Table, folds: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(folds)
    if given.shape != (len(table),):
        raise InputError(f"folds must have one number for each object, {len(table)}, got {given.shape}")
    return given


def _by_folds(
    table: Table, folds: ArrayLike | None, judge: Any, name: str, *, trains: bool = True
) -> Predictions:
    """Probabilities of each fold's objects by what was learnt from the others."""
    scheme = get_scheme(_SCHEME)
    codes = scheme.encode(text(table["label"]))
    if folds is None and trains:
        raise InputError("folds must be given where limits or a classifier are learnt, got None")
    given = np.full(len(codes), -1) if folds is None else _fold_numbers(table, folds)
    left_out = (codes < 0) | ((given < 0) & (folds is not None))
    fold = np.where(left_out, -2, given)
    if left_out.all():
        raise InputError("table must hold an object with a label and a fold, got none")
    parts = []
    for number in np.unique(fold[fold > -2]).tolist():
        test, train = np.flatnonzero(fold == number), np.flatnonzero((fold > -2) & (fold != number))
        if trains and len(lacking := set(range(len(scheme.classes))) - set(codes[train].tolist())):
            names = [scheme.classes[code] for code in sorted(lacking)]
            raise InputError(f"each training set must have every class, got none of {names}; use fewer folds")
        run = {"experiment": name, "fold": number, "split": "test", "true": text(table["label"])[test]}
        ids, p = text(table["object_id"])[test], judge(train, codes, test)
        parts.append(Predictions.from_arrays(ids, p, classes=scheme.classes, **run))
    return Predictions.concatenate(parts)


def _fitted(values: NDArray, codes: NDArray) -> NDArray[np.float64]:
    """The two limits, falling, with the highest mean recall, which is a sum of what each limit adds."""
    places = np.unique(values)
    below = [
        np.searchsorted(np.sort(values[codes == code]), places, side="right") / (codes == code).sum()
        for code in range(3)
    ]
    upper, lower = below[1] - below[0], below[2] - below[1]
    best = np.maximum.accumulate(lower)
    first = int(np.argmax(upper + best))
    return np.array([places[first], places[int(np.argmax(lower[: first + 1]))]])


def _ranked(values: NDArray, codes: NDArray) -> NDArray[np.float64]:
    """The two limits, falling, that give each class its fraction."""
    shares = np.cumsum(np.bincount(codes, minlength=3))[:2] / len(codes)
    return np.quantile(values, 1 - shares)
