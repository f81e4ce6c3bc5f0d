"""Likelihoods of counts: Cash's statistic, and differences of it as -ln of a chance probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc, gammaln


def cash(counts: ArrayLike, model: ArrayLike) -> float:
    """Cash's statistic C = 2 sum(m - n ln m), up to a constant of the data (Cash 1979, equation 6).

    Negative and fractional counts, which the subtraction of out-of-time events leaves, are taken as they are:
    C is linear in n, so that its minimum stays where the expected counts are, while clipping them at zero
    would raise the background.
    """
    expected = np.asarray(model, dtype=float)
    return float(2 * np.sum(expected - np.asarray(counts) * np.log(expected)))


def chance_likelihood(difference: ArrayLike, parameters: int) -> NDArray[np.float64]:
    """Likelihood L = -ln P that a drop of Cash's statistic is no chance.

    By chance, a fit with p more free parameters lowers C by an amount that follows chi2 with p degrees of
    freedom (Cash 1979), so that P = Q(p / 2, difference / 2) with the incomplete gamma function Q. The
    likelihoods of XAmin (Pacaud et al. 2006) and of the SAS task emldetect have this form.
    """
    half, order = np.maximum(np.asarray(difference, dtype=float) / 2, 0), parameters / 2
    # Q underflows where half is above 700; three terms of its asymptotic series do from 100 on.
    large = np.maximum(half, 100.0)
    series = 1 + (order - 1) / large * (1 + (order - 2) / large)
    tail = large - (order - 1) * np.log(large) + gammaln(order) - np.log(series)
    return np.where(half > 100, tail, -np.log(gammaincc(order, np.minimum(half, 100.0)))) + 0.0
