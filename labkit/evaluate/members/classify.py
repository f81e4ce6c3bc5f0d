"""Members by photometry: out-of-fold probabilities of forests and of the Bayesian colour model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.members.methods import Classifier, Design, classifier, design
from labkit.predictions import Predictions
from labkit.taxonomy import get_scheme

__all__ = ["photometric_members", "photometric_predictions"]


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
        One row an object: ``object_id``, ``label`` ("member", "non-member" or empty) and the columns named.
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

    Raises
    ------
    InputError
        If a column is missing or holds nothing, a method is unknown, or a training set lacks a class.
    """
    data = design(table, features, covariates=covariates, prior=prior, method=method)
    numbers = np.asarray(folds)
    if numbers.shape != (len(table),) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"folds must hold a whole number a row, {len(table)}, got {numbers.shape} of {numbers.dtype}; "
            "use deal_folds or folds_of"
        )
    codes = get_scheme("member").encode(np.asarray(table["label"], dtype=str))
    hosts = np.arange(len(table)) if groups is None else np.asarray(groups)
    parts = []
    for seed in seeds:
        for fold in np.unique(numbers[numbers >= 0]).tolist():
            train = np.flatnonzero((numbers >= 0) & (numbers != fold) & (codes >= 0))
            test = np.flatnonzero(numbers == fold)
            fitted = _fitted(method, data, codes, train, hosts, seed, options)
            name = experiment or method
            parts.append(_predicted(fitted, data, table, test, name, seed=seed, fold=fold, split="test"))
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
    codes = get_scheme("member").encode(np.asarray(table["label"], dtype=str))
    hosts = np.arange(len(table)) if groups is None else np.asarray(groups)
    fitted = _fitted(method, data, codes, np.flatnonzero(codes >= 0), hosts, seed, options)
    rows = np.arange(len(run))
    return _predicted(fitted, sources, run, rows, experiment or method, seed=seed, fold=-1, split="run")


def _fitted(
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


def _predicted(
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
    labels = (
        np.asarray(table["label"], dtype=str)[rows] if "label" in table.colnames else np.full(len(rows), "")
    )
    return Predictions.from_arrays(
        np.asarray(table["object_id"], dtype=str)[rows],
        np.column_stack([1 - p, p]),
        classes=scheme.classes,
        true=labels,
        experiment=name,
        seed=seed,
        fold=fold,
        split=split,
        positive=scheme.positive,
    )
