"""Members by photometry: forests and the Bayesian colour model, out of fold or on a run set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GroupKFold

from labkit.errors import InputError
from labkit.evaluate.colour_model import ColourModel, fit_colour_model, platt_calibration
from labkit.predictions import Predictions
from labkit.tables import numbers, text
from labkit.taxonomy import get_scheme

#: Methods and the options they start from; the forest is that of scikit-learn as it comes, with more trees.
METHODS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "random forest": (RandomForestClassifier, {"n_estimators": 500, "min_samples_leaf": 1}),
    "extra trees": (ExtraTreesClassifier, {"n_estimators": 500, "min_samples_leaf": 3}),
    "gradient boosting": (HistGradientBoostingClassifier, {"learning_rate": 0.05, "max_iter": 150}),
    "bayesian": (fit_colour_model, {"calibrate": True}),
}
_INNER_FOLDS = 4


@dataclass(frozen=True)
class Design:
    """What a method sees of the objects, one row each: features, covariates and columns of the prior."""

    features: NDArray[np.float64]
    covariates: NDArray[np.float64]
    prior: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.int64]) -> Design:
        """Some of the objects."""
        return Design(self.features[chosen], self.covariates[chosen], self.prior[chosen])


Classifier = Callable[[Design], NDArray[np.float64]]


def design(
    table: Table,
    features: Sequence[str],
    *,
    covariates: Sequence[str] = (),
    prior: Sequence[str] = (),
    method: str = "random forest",
) -> Design:
    """Columns of a table as numbers."""
    if method not in METHODS:
        raise InputError(f"method must be one of {tuple(METHODS)}, got {method!r}")
    if (covariates or prior) and method != "bayesian":
        raise InputError(
            f"covariates and prior belong to method='bayesian', got {method!r}; add them to features"
        )
    names = ["object_id", *features, *covariates, *prior]
    missing = [name for name in names if name not in table.colnames]
    if missing or not features:
        raise InputError(
            f"table must have object_id and the features named, got none for {missing or 'features'}"
        )
    found = Design(*(_columns(table, chosen) for chosen in (features, covariates, prior)))
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(found.features).any(axis=0))
    if len(table) and not seen.all():
        empty = [name for name, some in zip(features, seen.tolist(), strict=True) if not some]
        raise InputError(f"features must hold values, got only NaN in {empty}; leave them out")
    for name, columns in {"covariates": found.covariates, "prior": found.prior}.items():
        if not np.isfinite(columns).all():
            raise InputError(f"{name} must be finite for all objects; drop the objects or the column")
    return found


def _columns(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    columns = [numbers(table[name]) for name in names]
    return np.column_stack(columns) if columns else np.zeros((len(table), 0))


def classifier(
    method: str,
    data: Design,
    member: NDArray[np.bool_],
    hosts: NDArray,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Classifier:
    """Train a method."""
    maker, defaults = METHODS[method]
    chosen = {**defaults, **(options or {})}
    if method == "bayesian":
        model = _colour_model(data, member, hosts, seed=seed, **chosen)
        return lambda new: model.probability(new.features, new.covariates, new.prior)
    trees = maker(random_state=seed, **chosen).fit(data.features, member)
    return lambda new: trees.predict_proba(new.features)[:, 1]


def _colour_model(
    data: Design, member: NDArray[np.bool_], hosts: NDArray, *, seed: int, calibrate: bool, **options: Any
) -> ColourModel:
    """The colour model, calibrated on objects that copies of it were not fitted to."""

    def fit(rows: NDArray) -> ColourModel:
        part = data.rows(rows)
        return fit_colour_model(
            part.features, member[rows], covariates=part.covariates, prior=part.prior, seed=seed, **options
        )

    whole = fit(np.arange(len(member)))
    folds = min(_INNER_FOLDS, len(np.unique(hosts)))
    if not calibrate or folds < 2:
        return whole
    evidence, prior = np.zeros((2, len(member)))
    for train, held in GroupKFold(folds, shuffle=True, random_state=seed).split(data.features, groups=hosts):
        part, model = data.rows(held), fit(train)
        evidence[held] = model.evidence(part.features, part.covariates)
        prior[held] = model.prior(part.prior)
    return replace(whole, calibration=platt_calibration(evidence, prior, member))


def photometric_predictions(
    table: Table,
    features: Sequence[str],
    *,
    method: str = "random forest",
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    covariates: Sequence[str] = (),
    prior: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    experiment: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictions:
    """Probability of membership of every object, by models that were not trained on its fold.

    The methods of Angora et al. (2020), section 4.3 and appendix C. A network of this lab sets one further
    fold aside to stop its training; photometric methods train on it, as they need no such set.

    Parameters
    ----------
    table : Table
        One row for each object: ``object_id``, ``label`` ("member", "non-member" or empty) and the columns
        named.
    features : sequence of str
        Columns the method sees; NaN where missing.
    method : str
        One of `METHODS`: "random forest", "extra trees", "gradient boosting" or "bayesian".
    folds : array_like of int, shape (n,)
        Fold of each row, -1: takes no part; from `deal_folds`, or `folds_of` a network's predictions.
    groups : array_like, shape (n,), optional
        Host cluster; kept whole when the Bayesian model is calibrated on parts of its training set.
    covariates : sequence of str
        For "bayesian": columns on which the mean colours depend; finite.
    prior : sequence of str
        For "bayesian": columns on which the prior depends; finite.
    seeds : sequence of int
        One run each.
    experiment : str, optional
        Name in the predictions, by default the method's.
    options : mapping, optional
        Of the method: keywords of scikit-learn's classifier, or of `fit_colour_model` and ``calibrate``.

    Returns
    -------
    Predictions
        Runs by seed and fold, of the scheme "member", split "test".
    """
    data = design(table, features, covariates=covariates, prior=prior, method=method)
    numbers = np.asarray(folds)
    if numbers.shape != (len(table),) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"folds must hold a whole number for each row, {len(table)}, got {numbers.shape} of "
            f"{numbers.dtype}; use deal_folds or folds_of"
        )
    codes = get_scheme("member").encode(text(table["label"]))
    hosts = np.arange(len(table)) if groups is None else np.asarray(groups)
    parts = []
    for seed in seeds:
        for fold in np.unique(numbers[numbers >= 0]).tolist():
            train = np.flatnonzero((numbers >= 0) & (numbers != fold) & (codes >= 0))
            test = np.flatnonzero(numbers == fold)
            fitted = _fit(method, data, codes, train, hosts, seed, options)
            name = experiment or method
            parts.append(_predict(fitted, data, table, test, name, seed=seed, fold=fold, split="test"))
    return Predictions.concatenate(parts)


def photometric_members(
    table: Table,
    run: Table,
    features: Sequence[str],
    *,
    method: str = "random forest",
    groups: ArrayLike | None = None,
    covariates: Sequence[str] = (),
    prior: Sequence[str] = (),
    seed: int = 0,
    experiment: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictions:
    """Probability of membership of sources without redshift, by a model trained on all that have one.

    Parameters
    ----------
    table, run : Table
        Training objects with labels, and the sources to classify (Angora et al. 2020, section 5), both with
        ``object_id`` and the columns named; `run` may have a ``label``.
    features, method, groups, covariates, prior, seed, experiment, options
        As for `photometric_predictions`.

    Returns
    -------
    Predictions
        One run, split "run".

    Raises
    ------
    InputError
        As for `photometric_predictions`.
    """
    data, sources = (
        design(part, features, covariates=covariates, prior=prior, method=method) for part in (table, run)
    )
    codes = get_scheme("member").encode(text(table["label"]))
    hosts = np.arange(len(table)) if groups is None else np.asarray(groups)
    fitted = _fit(method, data, codes, np.flatnonzero(codes >= 0), hosts, seed, options)
    rows = np.arange(len(run))
    return _predict(fitted, sources, run, rows, experiment or method, seed=seed, fold=-1, split="run")


def _fit(
    method: str,
    data: Design,
    codes: NDArray,
    train: NDArray,
    hosts: NDArray,
    seed: int,
    options: Mapping[str, Any] | None,
) -> Classifier:
    if len(np.unique(codes[train])) < 2:
        raise InputError(
            f"label must hold members and non-members in each training set, got {len(train)} objects of one "
            "class; use fewer folds, or add clusters"
        )
    return classifier(method, data.rows(train), codes[train] == 1, hosts[train], seed=seed, options=options)


def _predict(
    fitted: Classifier,
    data: Design,
    table: Table,
    rows: NDArray,
    name: str,
    *,
    seed: int,
    fold: int,
    split: str,
) -> Predictions:
    scheme = get_scheme("member")
    p = fitted(data.rows(rows))
    labels = text(table["label"])[rows] if "label" in table.colnames else np.full(len(rows), "")
    return Predictions.from_arrays(
        text(table["object_id"])[rows],
        np.column_stack([1 - p, p]),
        classes=scheme.classes,
        true=labels,
        experiment=name,
        seed=seed,
        fold=fold,
        split=split,
        positive=scheme.positive,
    )
