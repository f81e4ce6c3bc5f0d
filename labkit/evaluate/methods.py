"""Members by photometry: forests, boosting, logistic regression, colour model; out of fold or on a run set.

The colour model takes members and field as two multivariate normal distributions of colours, after Grillo et
al. (2015, ApJ 800, 38, section 3.3) and Angora et al. (2020, appendix C): mean and covariance by the minimum
covariance determinant, which outliers do not move, the prior from the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.covariance import MinCovDet
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import HuberRegressor, LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit.errors import InputError, need_choice
from labkit.predictions import Predictions
from labkit.tables import need_columns, numbers, text
from labkit.taxonomy import MEMBER

_MOST = 30.0  # log-odds are held within this, so that no probability is exactly 0 or 1
_ROWS_PER_FEATURE, _LEAST_ROWS = 3, 5  # needed to estimate a covariance, and in all
_JITTER = 1e-6  # added to the variance of each feature, mag^2, against colours that are sums of others
_WING_WIDTH = 4.0  # standard deviations of the wings, in those of the core
_INNER_FOLDS = 4


@dataclass(frozen=True)
class NormalColours:
    """A normal distribution whose mean moves linearly with the covariates."""

    intercept: NDArray[np.float64]
    slopes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    wings: float = 0.0

    def log_density(self, x: ArrayLike, covariates: ArrayLike) -> NDArray[np.float64]:
        """Log of the density at each row's features; NaN ones are integrated out, a row without any has 0.

        The marginal of a normal distribution is the normal of the remaining features.
        """
        away = np.asarray(x, dtype=np.float64) - self.intercept - np.asarray(covariates) @ self.slopes.T
        patterns, which = np.unique(np.isfinite(away), axis=0, return_inverse=True)
        result = np.zeros(len(away))
        for number, there in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == number)
            if there.any():
                result[rows] = _log_normal(
                    away[np.ix_(rows, there)], self.covariance[np.ix_(there, there)], self.wings
                )
        return result


def _log_normal(away: NDArray, covariance: NDArray, wings: float) -> NDArray[np.float64]:
    factor = cho_factor(covariance, lower=True)
    squared, k = (away * cho_solve(factor, away.T).T).sum(axis=1), away.shape[1]
    constant = -np.log(np.diag(factor[0])).sum() - 0.5 * k * np.log(2 * np.pi)
    if not wings:
        return constant - 0.5 * squared
    core = np.log1p(-wings) - 0.5 * squared
    tail = np.log(wings) - 0.5 * squared / _WING_WIDTH**2 - k * np.log(_WING_WIDTH)
    return constant + np.logaddexp(core, tail)


def fit_normal(x: ArrayLike, covariates: ArrayLike | None = None, *, seed: int = 0) -> NormalColours:
    """Fit a normal distribution of colours that outliers do not move.

    Each feature's line against the covariates is fitted with Huber's loss, the covariance of what is left by
    the minimum covariance determinant (FAST-MCD of scikit-learn; Rousseeuw 1984, JASA 79, 871).
    """
    x = np.asarray(x, dtype=np.float64)
    w = np.zeros((len(x), 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    complete = np.isfinite(x).all(axis=1)
    needed = max(_ROWS_PER_FEATURE * x.shape[1], _LEAST_ROWS)
    if complete.sum() < needed:
        raise InputError(
            f"features must be complete for {needed} rows of each class at least, got "
            f"{complete.sum()} of {len(x)}; leave out the bands that are missing most, or add objects"
        )
    intercept, slopes = _lines(x, w)
    away = (x - intercept - w @ slopes.T)[complete]
    robust = MinCovDet(random_state=seed).fit(away)
    jitter = _JITTER * np.eye(x.shape[1])
    return NormalColours(intercept + robust.location_, slopes, robust.covariance_ + jitter)


def _lines(x: NDArray, w: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intercept and slopes of each feature against the covariates."""
    if not w.shape[1]:
        return np.zeros(x.shape[1]), np.zeros((x.shape[1], 0))
    centre, spread = w.mean(axis=0), np.where(w.std(axis=0) > 0, w.std(axis=0), 1)
    intercept, slopes = [], []
    for feature in x.T:
        good = np.isfinite(feature)
        line = HuberRegressor(max_iter=1000, alpha=1e-6).fit((w[good] - centre) / spread, feature[good])
        slopes.append(line.coef_ / spread)
        intercept.append(line.intercept_ - slopes[-1] @ centre)
    return np.array(intercept), np.array(slopes)


@dataclass(frozen=True)
class ColourModel:
    """Probability of membership from colours."""

    member: NormalColours
    field: NormalColours
    edges: tuple[NDArray[np.float64], ...]  # inner edges of the bins of each prior column
    log_odds: NDArray[np.float64]  # logarithm of members over field in each bin
    calibration: tuple[float, float] = (1.0, 0.0)  # slope, intercept of the logarithm of the Bayes factor

    def evidence(self, x: ArrayLike, covariates: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the Bayes factor, members over field, before calibration."""
        return self.member.log_density(x, covariates) - self.field.log_density(x, covariates)

    def prior(self, columns: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the prior odds of each row."""
        columns = np.asarray(columns, dtype=np.float64)
        place = tuple(np.searchsorted(e, c, side="right") for e, c in zip(self.edges, columns.T, strict=True))
        return self.log_odds[place] if place else np.full(len(columns), float(self.log_odds))

    def probability(self, x: ArrayLike, covariates: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
        """Posterior probability of membership, shape (n,)."""
        slope, shift = self.calibration
        total = slope * self.evidence(x, covariates) + shift + self.prior(prior)
        return expit(np.clip(total, -_MOST, _MOST))


def count_prior(
    member: ArrayLike, columns: ArrayLike, *, bins: int = 4
) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """Prior odds from the counts of members and field, in bins of equal numbers along each column.

    Half an object of each class, in the proportion of all, is added to a bin, so that none is certain.
    """
    member, columns = np.asarray(member, dtype=bool), np.asarray(columns, dtype=np.float64)
    inner = np.arange(1, bins) / bins
    edges = tuple(np.unique(np.quantile(column, inner)) for column in columns.T)
    place = tuple(np.searchsorted(e, c, side="right") for e, c in zip(edges, columns.T, strict=True))
    shape = tuple(len(e) + 1 for e in edges)
    share = np.clip(member.mean(), 0.5 / len(member), 1 - 0.5 / len(member))
    cell = np.ravel_multi_index(place, shape) if place else np.zeros(len(member), dtype=np.int64)
    inside, outside = (
        pseudo + np.bincount(cell[chosen], minlength=int(np.prod(shape))).reshape(shape)
        for chosen, pseudo in ((member, share), (~member, 1 - share))
    )
    return edges, np.log(inside / outside)


def fit_colour_model(
    x: ArrayLike,  # (n, feature); NaN where missing
    member: ArrayLike,  # (n,)
    *,
    covariates: ArrayLike | None = None,  # (n, covariate): what the means depend on, as a cluster's redshift
    prior: ArrayLike | None = None,  # (n, column)
    bins: int = 4,
    wings: float = 0.1,
    seed: int = 0,
) -> ColourModel:
    """Fit both distributions, with a share of objects in their wings, and the prior (`count_prior`)."""
    x, member = np.asarray(x, dtype=np.float64), np.asarray(member, dtype=bool)
    none = np.zeros((len(x), 0))
    w, columns = (none if a is None else np.asarray(a, dtype=np.float64) for a in (covariates, prior))
    if x.ndim != 2 or not len(x) == len(member) == len(w) == len(columns):
        raise InputError(
            "x (n, feature), member, covariates and prior must have one row for each object, got "
            f"{x.shape}, {member.shape}, {w.shape} and {columns.shape}"
        )
    if not 0 <= wings < 1:
        raise InputError(f"wings must lie in 0 to less than 1, got {wings}")
    inside, outside = (
        replace(fit_normal(x[here], w[here], seed=seed), wings=wings) for here in (member, ~member)
    )
    edges, log_odds = count_prior(member, columns, bins=bins)
    return ColourModel(inside, outside, edges, log_odds)


def platt_calibration(evidence: ArrayLike, log_prior: ArrayLike, member: ArrayLike) -> tuple[float, float]:
    """Slope and intercept that make probabilities of held-out objects match their frequencies.

    Colours share bands and real distributions have wider wings than normal ones, so the raw Bayes factor is
    too sure. Platt's (1999) logistic fit shrinks it.
    """
    both = np.column_stack([np.clip(evidence, -_MOST, _MOST), np.asarray(log_prior)])
    fitted = LogisticRegression(C=1e3).fit(both, np.asarray(member, dtype=int))
    return float(max(fitted.coef_[0, 0], 0.0)), float(fitted.intercept_[0])


def logistic_regression(*, random_state: int, **options: Any) -> Pipeline:
    """Logistic regression of standardised features; a missing one is its median, and flagged."""
    fill = SimpleImputer(strategy="median", add_indicator=True)
    return make_pipeline(fill, StandardScaler(), LogisticRegression(random_state=random_state, **options))


#: Methods and the options they start from; the forest is that of scikit-learn as it comes, with more trees.
METHODS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "random forest": (RandomForestClassifier, {"n_estimators": 500, "min_samples_leaf": 1}),
    "extra trees": (ExtraTreesClassifier, {"n_estimators": 500, "min_samples_leaf": 3}),
    "gradient boosting": (HistGradientBoostingClassifier, {"learning_rate": 0.05, "max_iter": 150}),
    "logistic regression": (logistic_regression, {"max_iter": 1000}),
    "bayesian": (fit_colour_model, {"calibrate": True}),
}


@dataclass(frozen=True)
class _Design:
    """What a method sees of the objects, one row each: features, covariates and columns of the prior."""

    features: NDArray[np.float64]
    covariates: NDArray[np.float64]
    prior: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        table: Table,
        method: str,
        features: Sequence[str],
        covariates: Sequence[str],
        prior: Sequence[str],
    ) -> _Design:
        """Columns of a table as numbers."""
        need_choice("method", method, METHODS)
        if (covariates or prior) and method != "bayesian":
            raise InputError(
                f"covariates and prior belong to method='bayesian', got {method!r}; add them to features"
            )
        if not features:
            raise InputError("features must name a column at least, got none")
        need_columns(table, ["object_id", *features, *covariates, *prior], "table")
        none, groups = np.zeros((len(table), 0)), (features, covariates, prior)
        found = cls(*(np.column_stack([none, *(numbers(table[n]) for n in names)]) for names in groups))
        columns = zip(features, found.features.T, strict=True)
        empty = [name for name, values in columns if not np.isfinite(values).any()]
        if len(table) and empty:
            raise InputError(f"features must hold values, got only NaN in {empty}; leave them out")
        for name, values in {"covariates": found.covariates, "prior": found.prior}.items():
            if not np.isfinite(values).all():
                raise InputError(f"{name} must be finite for all objects; drop the objects or the column")
        return found

    def rows(self, chosen: NDArray[np.int64]) -> _Design:
        """Some of the objects."""
        return _Design(self.features[chosen], self.covariates[chosen], self.prior[chosen])


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

    The methods of Angora et al. (2020), section 4.3 and appendix C; one run for each seed and fold. A network
    of this lab sets one further fold aside to stop its training; photometric methods train on it, as they
    need no such set. `folds` is the fold of each row (-1: takes no part), from `photometric_folds` or
    `folds_of` a network's predictions; the rest is as for `photometric_members`.
    """
    data = _Design.of(table, method, features, covariates, prior)
    numbers = np.asarray(folds)
    if numbers.shape != (len(table),) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"folds must hold a whole number for each row, {len(table)}, got {numbers.shape} of "
            f"{numbers.dtype}; use photometric_folds or folds_of"
        )
    codes = MEMBER.encode(text(table["label"]))
    parts = []
    for seed in seeds:
        for fold in np.unique(numbers[numbers >= 0]).tolist():
            train = np.flatnonzero((numbers >= 0) & (numbers != fold) & (codes >= 0))
            test = np.flatnonzero(numbers == fold)
            judge = _trained(method, data, codes, groups, train, seed, options or {})
            run = {"experiment": experiment or method, "seed": seed, "fold": fold, "split": "test"}
            parts.append(member_predictions(table[test], judge(data.rows(test)), **run))
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
        Training objects with ``label`` ("member", "non-member" or empty), and the sources to classify (Angora
        et al. 2020, section 5), both with ``object_id`` and the columns named; `run` may have a ``label``.
    features : sequence of str
        Columns the method sees; NaN where missing.
    method : {"random forest", "extra trees", "gradient boosting", "logistic regression", "bayesian"}
        The classifier.
    groups : array_like, shape (n,), optional
        Host cluster; kept whole when the Bayesian model is calibrated on parts of its training set.
    covariates, prior : sequence of str
        For "bayesian": columns on which the mean colours, or the prior, depend; finite.
    seed : int
        Of the classifier.
    experiment : str, optional
        Name in the predictions, by default the method's.
    options : mapping, optional
        Of the method: keywords of scikit-learn's classifier, or of the colour model (``bins``, ``wings``) and
        ``calibrate``.

    Returns
    -------
    Predictions
        One run of the scheme "member", split "run".

    Raises
    ------
    InputError
        If a column or the method is unknown, a feature holds only NaN, or a class has no object to train on.
    """
    data, sources = (_Design.of(part, method, features, covariates, prior) for part in (table, run))
    codes = MEMBER.encode(text(table["label"]))
    judge = _trained(method, data, codes, groups, np.flatnonzero(codes >= 0), seed, options or {})
    name = experiment or method
    return member_predictions(run, judge(sources), experiment=name, seed=seed, fold=-1, split="run")


def _trained(
    method: str,
    data: _Design,
    codes: NDArray,
    groups: ArrayLike | None,
    train: NDArray,
    seed: int,
    options: Mapping[str, Any],
) -> Callable[[_Design], NDArray[np.float64]]:
    """The method trained on some of the objects: what gives others their probability."""
    if len(np.unique(codes[train])) < 2:
        raise InputError(
            f"label must hold members and non-members in each training set, got {len(train)} objects of one "
            "class; use fewer folds, or add clusters"
        )
    known, member = data.rows(train), codes[train] == 1
    maker, defaults = METHODS[method]
    chosen = {**defaults, **options}
    if method == "bayesian":
        hosts = train if groups is None else np.asarray(groups)[train]
        model = _colour_model(known, member, hosts, seed=seed, **chosen)
        return lambda new: model.probability(new.features, new.covariates, new.prior)
    trees = maker(random_state=seed, **chosen).fit(known.features, member)
    return lambda new: trees.predict_proba(new.features)[:, 1]


def _colour_model(
    data: _Design, member: NDArray[np.bool_], hosts: NDArray, *, seed: int, calibrate: bool, **options: Any
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


def member_predictions(table: Table, p: NDArray, **run: Any) -> Predictions:
    """Probabilities of membership of the rows of a table as one run of Predictions."""
    labels = text(table["label"]) if "label" in table.colnames else np.full(len(table), "")
    probabilities = np.column_stack([1 - p, p])
    about: dict[str, Any] = {"classes": MEMBER.classes, "positive": MEMBER.positive}
    return Predictions.from_arrays(table["object_id"], probabilities, true=labels, **about, **run)
