"""A multivariate normal distribution of colours that outliers do not move and missing bands do not break."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.covariance import MinCovDet
from sklearn.linear_model import HuberRegressor

from labkit.errors import InputError

__all__ = ["NormalColours", "fit_normal"]

#: Rows needed for each feature to estimate a covariance, and in all.
_ROWS_PER_FEATURE, _LEAST_ROWS = 3, 5
#: Added to the variance of each feature, mag^2, against colours that are sums of others.
_JITTER = 1e-6
#: Standard deviations of the wings, in those of the core.
_WING_WIDTH = 4.0


@dataclass(frozen=True)
class NormalColours:
    """A normal distribution whose mean moves linearly with the covariates.

    Attributes
    ----------
    intercept : ndarray, shape (feature,)
        Mean where all covariates are 0.
    slopes : ndarray, shape (feature, covariate)
        Change of the mean with each covariate.
    covariance : ndarray, shape (feature, feature)
        Around the mean.
    wings : float
        Share of objects in a wider normal of the same shape, 4 times the standard deviations: galaxies with
        bad photometry or unusual colours. 0 is the plain normal distribution.
    """

    intercept: NDArray[np.float64]
    slopes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    wings: float = 0.0

    def log_density(self, x: ArrayLike, covariates: ArrayLike) -> NDArray[np.float64]:
        """Log of the density at each row's features that are not NaN.

        Those that are missing are integrated out: the marginal of a normal distribution is the normal of the
        remaining features. A row without any has log density 0.

        Parameters
        ----------
        x : array_like, shape (n, feature)
            Features.
        covariates : array_like, shape (n, covariate)
            Covariates, finite.
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

    Parameters
    ----------
    x : array_like, shape (n, feature)
        Features; rows with a NaN take no part in the covariance.
    covariates : array_like, shape (n, covariate), optional
        What the mean depends on.
    seed : int
        Of the random subsets.

    Returns
    -------
    NormalColours
        The distribution.

    Raises
    ------
    InputError
        If too few rows are complete.
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
