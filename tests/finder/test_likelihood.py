"""Cash's statistic and likelihoods as -ln of a chance probability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from labkit.finder.fits import cash, chance_likelihood


def test_a_difference_of_cash_is_that_of_the_log_likelihoods():
    counts = np.array([0, 1, 3, 7])
    one, other = np.array([0.5, 1.0, 2.0, 9.0]), np.array([1.5, 1.0, 4.0, 5.0])
    logs = [-2 * poisson.logpmf(counts, m).sum() for m in (one, other)]
    assert cash(counts, one) - cash(counts, other) == pytest.approx(logs[0] - logs[1])


@given(st.floats(0.01, 50), st.floats(-5, 5))
def test_the_minimum_lies_at_the_mean_whatever_its_parts(level, part):
    # Fractional and negative counts keep their mean: the best constant is that mean.
    counts = np.array([level + part, level - part, level])
    best = cash(counts, np.full(3, level))
    assert best <= min(cash(counts, np.full(3, level * f)) for f in (0.9, 1.1))


@pytest.mark.parametrize("parameters", [1, 3, 4])
def test_likelihood_is_that_of_chi2(parameters):
    difference = np.array([0.0, 1.0, 10.0, 60.0, 199.0, 201.0, 600.0])
    expected = -chi2.logsf(difference, parameters)
    assert chance_likelihood(difference, parameters) == pytest.approx(expected, rel=1e-5)


@given(st.floats(0, 1e6), st.integers(1, 7))
def test_likelihood_grows_and_stays_finite(difference, parameters):
    low, high = chance_likelihood([difference, difference + 1.0], parameters)
    assert 0 <= low < high < np.inf


def test_a_worse_fit_has_no_likelihood():
    assert chance_likelihood(-3.0, 1) == 0
