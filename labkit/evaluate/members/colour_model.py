"""The Bayesian colour model: members and field as two multivariate normal distributions of colours.

After Grillo et al. (2015, ApJ 800, 38, section 3.3) and Angora et al. (2020, appendix C): mean and covariance
by the minimum covariance determinant, the prior from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from labkit.errors import InputError
from labkit.evaluate.members.normals import NormalColours, fit_normal

__all__ = ["ColourModel", "calibrated", "counted_prior", "fit_colour_model"]

#: Log-odds are held within this, so that no probability is exactly 0 or 1.
_MOST = 30.0


@dataclass(frozen=True)
class ColourModel:
    """Probability of membership from colours.

    Attributes
    ----------
    member, field : NormalColours
        The two distributions.
    edges : tuple of ndarray
        Inner edges of the bins of each prior column.
    log_odds : ndarray
        Logarithm of members over field in each bin.
    calibration : tuple of float
        Slope and intercept applied to the logarithm of the Bayes factor.
    """

    member: NormalColours
    field: NormalColours
    edges: tuple[NDArray[np.float64], ...]
    log_odds: NDArray[np.float64]
    calibration: tuple[float, float] = (1.0, 0.0)

    def evidence(self, x: ArrayLike, covariates: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the Bayes factor, members over field, before calibration."""
        return self.member.log_density(x, covariates) - self.field.log_density(x, covariates)

    def prior(self, columns: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the prior odds of each row."""
        columns = np.asarray(columns, dtype=np.float64)
        place = tuple(np.searchsorted(e, c, side="right") for e, c in zip(self.edges, columns.T, strict=True))
        return self.log_odds[place] if place else np.full(len(columns), float(self.log_odds))

    def probability(self, x: ArrayLike, covariates: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
        """Posterior probability of membership, shape (n,).

        Parameters
        ----------
        x : array_like, shape (n, feature)
            Features, NaN where missing.
        covariates : array_like, shape (n, covariate)
            What the means depend on.
        prior : array_like, shape (n, column)
            What the prior depends on.
        """
        slope, shift = self.calibration
        total = slope * self.evidence(x, covariates) + shift + self.prior(prior)
        return expit(np.clip(total, -_MOST, _MOST))


def counted_prior(
    member: ArrayLike, columns: ArrayLike, *, bins: int = 4
) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """Prior odds from the counts of members and field, in bins of equal numbers along each column.

    Half an object of each class, in the proportion of all, is added to a bin, so that none is certain.

    Parameters
    ----------
    member : array_like of bool, shape (n,)
        Who is a member.
    columns : array_like, shape (n, column)
        Such as magnitude and radius; without columns the odds are those of all objects.
    bins : int
        Along each column.

    Returns
    -------
    edges : tuple of ndarray
        Inner edges along each column.
    log_odds : ndarray, shape (bins, ...)
        Logarithm of members over field.
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
    x: ArrayLike,
    member: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    bins: int = 4,
    wings: float = 0.1,
    seed: int = 0,
) -> ColourModel:
    """Fit both distributions and the prior.

    Parameters
    ----------
    x : array_like, shape (n, feature)
        Colours and whatever else is near normal in both classes; NaN where missing.
    member : array_like of bool, shape (n,)
        Who is a member.
    covariates : array_like, shape (n, covariate), optional
        What the means depend on, such as the cluster's redshift, for clusters at several redshifts.
    prior : array_like, shape (n, column), optional
        What the prior depends on (`counted_prior`).
    bins : int
        Of the prior, along each column.
    wings : float
        Share of objects in the wings of both distributions, 0 to less than 1.
    seed : int
        Of the random subsets.

    Raises
    ------
    InputError
        If a class has too few complete rows, or shapes differ.
    """
    x, member = np.asarray(x, dtype=np.float64), np.asarray(member, dtype=bool)
    none = np.zeros((len(x), 0))
    w, columns = (none if a is None else np.asarray(a, dtype=np.float64) for a in (covariates, prior))
    if x.ndim != 2 or not len(x) == len(member) == len(w) == len(columns):
        raise InputError(
            f"x (n, feature), member, covariates and prior must have one row an object, got {x.shape}, "
            f"{member.shape}, {w.shape} and {columns.shape}"
        )
    if not 0 <= wings < 1:
        raise InputError(f"wings must lie in 0 to less than 1, got {wings}")
    inside, outside = (
        replace(fit_normal(x[here], w[here], seed=seed), wings=wings) for here in (member, ~member)
    )
    edges, log_odds = counted_prior(member, columns, bins=bins)
    return ColourModel(inside, outside, edges, log_odds)


def calibrated(evidence: ArrayLike, log_prior: ArrayLike, member: ArrayLike) -> tuple[float, float]:
    """Slope and intercept that make probabilities of held-out objects match their frequencies.

    Colours share bands and real distributions have wider wings than normal ones, so the raw Bayes factor is
    too sure. Platt's (1999) logistic fit shrinks it.

    Parameters
    ----------
    evidence, log_prior : array_like, shape (n,)
        Logarithms of Bayes factor and prior odds of objects that the model was not fitted to.
    member : array_like of bool, shape (n,)
        Who is a member.
    """
    both = np.column_stack([np.clip(evidence, -_MOST, _MOST), np.asarray(log_prior)])
    fitted = LogisticRegression(C=1e3).fit(both, np.asarray(member, dtype=int))
    return float(max(fitted.coef_[0, 0], 0.0)), float(fitted.intercept_[0])
