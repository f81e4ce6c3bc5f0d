"""The photometric methods behind one call: features in, probability of membership out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GroupKFold

from labkit.errors import InputError
from labkit.evaluate.members.colour_model import ColourModel, calibrated, fit_colour_model

__all__ = ["METHODS", "Classifier", "Design", "classifier", "design"]

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
    """Columns of a table as numbers.

    Parameters
    ----------
    table : Table
        One row an object, with ``object_id``.
    features, covariates, prior : sequence of str
        Columns; features may be NaN or masked, the others must be finite.
    method : str
        Must be known; covariates and prior belong to "bayesian".

    Raises
    ------
    InputError
        If a column is missing, empty or not finite where it must be, or does not belong to the method.
    """
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
    columns = [np.ma.asarray(getattr(table[name], "value", table[name]), dtype=np.float64) for name in names]
    return np.column_stack([c.filled(np.nan) for c in columns]) if columns else np.zeros((len(table), 0))


def classifier(
    method: str,
    data: Design,
    member: NDArray[np.bool_],
    hosts: NDArray,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Classifier:
    """Train a method.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    data : Design
        Training objects.
    member : ndarray of bool, shape (n,)
        Who is a member.
    hosts : ndarray, shape (n,)
        Host clusters, kept whole in the inner folds of the calibration.
    seed : int
        Of the method's random numbers.
    options : mapping, optional
        Override those of `METHODS`.

    Returns
    -------
    callable
        Takes a Design, returns probabilities of membership.
    """
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
    return replace(whole, calibration=calibrated(evidence, prior, member))
