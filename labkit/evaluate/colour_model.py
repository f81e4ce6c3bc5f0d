"""The Bayesian colour model: members and field as two multivariate normal distributions of colours.

After Grillo et al. (2015, ApJ 800, 38, section 3.3) and Angora et al. (2020, appendix C): mean and covariance
by the minimum covariance determinant, which outliers do not move, the prior from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.covariance import MinCovDet
from sklearn.linear_model import HuberRegressor, LogisticRegression

from labkit.errors import InputError

# Log-odds are held within this, so that no probability is exactly 0 or 1.
_MOST = 30.0
# Rows needed for each feature to estimate a covariance, and in all.
_ROWS_PER_FEATURE, _LEAST_ROWS = 3, 5
# Added to the variance of each feature, mag^2, against colours that are sums of others.
_JITTER = 1e-6
# Standard deviations of the wings, in those of the core.
_WING_WIDTH = 4.0


@dataclass(frozen=True)
class NormalColours:
    """A normal distribution whose mean moves linearly with the covariates."""

    intercept: NDArray[np.float64]
    slopes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    wings: float = 0.0

    def log_density(self, x: ArrayLike, covariates: ArrayLike) -> NDArray[np.float64]:
        """Log of the density at each row's features that are not NaN.

        Those that are missing are integrated out: the marginal of a normal distribution is the normal of the
        remaining features. A row without any has log density 0.
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
    counts = []
    for chosen, pseudo in ((member, share), (~member, 1 - share)):
        count = np.full(shape, pseudo)
        np.add.at(count, tuple(p[chosen] for p in place), 1) if place else np.add(
            count, chosen.sum(), out=count
        )
        counts.append(count)
    return edges, np.log(counts[0] / counts[1])


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
            f"x (n, feature), member, covariates and prior must have one row for each object, got {x.shape}, "
            f"{member.shape}, {w.shape} and {columns.shape}"
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
