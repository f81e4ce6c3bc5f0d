from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.photometry import differential_colour
from labkit.photometry.red_sequence import colour_magnitude_relation
from labkit.photometry.trimmed import least_trimmed_squares


def sequence(rng, n=200, *, blue=0, slope=-0.03, zero_point=1.2, scatter=0.05, error=0.0):
    """A red sequence at the pivot 21.5 with a share of far bluer galaxies."""
    m = rng.uniform(18, 25, n)
    c = zero_point + slope * (m - 21.5) + rng.normal(0, np.hypot(scatter, error), n)
    c[:blue] -= rng.uniform(0.4, 1.5, blue)
    return m, c


def test_the_smallest_half_is_found_where_almost_half_lies_elsewhere():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 10, 101)
    y = 2 + 0.5 * x
    y[:48] = -30 + 4 * x[:48]  # a second, rival line
    fit = least_trimmed_squares(x, y, rng=1)
    assert fit.slope == pytest.approx(0.5)
    assert fit.intercept == pytest.approx(2)
    assert fit.objective == pytest.approx(0, abs=1e-18)
    assert not fit.inside[:48].any()
    assert fit.inside.sum() == 52  # (n + 3) / 2


def test_concentration_reaches_the_least_sum_of_all_pairs():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 12))
    h = 7
    subsets = [list(s) for s in combinations(range(12), h)]
    sums = []
    for s in subsets:
        line = np.polyfit(x[s], y[s], 1)
        sums.append(((y[s] - np.polyval(line, x[s])) ** 2).sum())
    assert least_trimmed_squares(x, y).objective == pytest.approx(min(sums))


def test_the_whole_fraction_is_ordinary_least_squares_with_weights():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 40))
    variance = rng.uniform(0.5, 2, 40)
    fit = least_trimmed_squares(x, y, variance=variance, fraction=1)
    slope, intercept = np.polyfit(x, y, 1, w=1 / np.sqrt(variance))
    assert fit.slope == pytest.approx(slope)
    assert fit.intercept == pytest.approx(intercept)


def test_many_points_take_the_subset_path_and_agree():
    m, c = sequence(np.random.default_rng(4), 20_000, blue=7_000)
    fit = least_trimmed_squares(m - 21.5, c)
    assert fit.slope == pytest.approx(-0.03, abs=0.006)
    assert fit.intercept == pytest.approx(1.2, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(a=st.floats(-5, 5), b=st.floats(-2, 2))
def test_the_fit_moves_with_the_data(a, b):
    m, c = sequence(np.random.default_rng(5), 60, blue=15)
    plain = colour_magnitude_relation(m, c)
    moved = colour_magnitude_relation(m, c + a + b * (m - plain.pivot))
    assert moved.slope == pytest.approx(plain.slope + b, abs=1e-6)
    assert moved.zero_point == pytest.approx(plain.zero_point + a, abs=1e-6)
    assert moved.scatter == pytest.approx(plain.scatter, abs=1e-5)


@pytest.mark.parametrize("blue", [0, 60])
def test_slope_zero_point_and_scatter_within_their_errors_in_spite_of_blue_galaxies(blue):
    pulls, scatters = [], []
    for seed in range(20):
        m, c = sequence(np.random.default_rng(seed), 200, blue=blue, error=0.03)
        found = colour_magnitude_relation(m, c, colour_error=0.03, rng=seed)
        expected = 1.2 - 0.03 * (found.pivot - 21.5)
        pulls += [(found.slope + 0.03) / found.slope_error]
        pulls += [(found.zero_point - expected) / found.zero_point_error]
        scatters.append(found.scatter)
        assert found.kept[:blue].mean() < 0.05 if blue else found.kept.mean() > 0.95
    assert 0.6 < np.std(pulls) < 1.5
    assert abs(np.mean(pulls)) < 0.5
    assert np.mean(scatters) == pytest.approx(0.05, abs=0.005)


def test_least_squares_would_fail_on_the_same_galaxies():
    m, c = sequence(np.random.default_rng(0), 200, blue=60)
    zero = np.polyfit(m - 21.5, c, 1)[1]
    found = colour_magnitude_relation(m, c)
    assert abs(zero - 1.2) > 0.2 > 20 * abs(found(21.5) - 1.2)


def test_no_scatter_is_invented_where_errors_explain_it():
    m, c = sequence(np.random.default_rng(7), 150, scatter=0.0, error=0.05)
    assert colour_magnitude_relation(m, c, colour_error=0.08).scatter == 0
    exact = colour_magnitude_relation(m, 1.2 - 0.03 * m)
    assert exact.scatter == 0
    assert exact.kept.all()


def test_errors_in_magnitude_count_through_the_slope():
    m, c = sequence(np.random.default_rng(8), 300, slope=-0.5, scatter=0.1)
    without = colour_magnitude_relation(m, c).scatter
    with_errors = colour_magnitude_relation(m, c, magnitude_error=0.15).scatter
    assert with_errors**2 == pytest.approx(without**2 - (0.5 * 0.15) ** 2, rel=0.15)


def test_galaxies_without_colour_take_no_part_and_have_no_differential_colour():
    m, c = sequence(np.random.default_rng(9), 80)
    c[:5] = np.nan
    found = colour_magnitude_relation(m, c)
    assert not found.kept[:5].any()
    away = differential_colour(m, c, found)
    assert np.isnan(away[:5]).all()
    assert np.nanmedian(away) == pytest.approx(0, abs=0.02)
    np.testing.assert_allclose(away[5:] + found(m[5:]), c[5:])


def test_bad_input_is_named():
    m, c = sequence(np.random.default_rng(9), 20)
    with pytest.raises(InputError, match="finite for 5 galaxies at least, got 4 of 20"):
        colour_magnitude_relation(m, np.where(np.arange(20) < 4, c, np.nan))
    with pytest.raises(InputError, match=r"one length, got \(20,\) and \(19,\)"):
        colour_magnitude_relation(m, c[1:])
    with pytest.raises(InputError, match="must never be negative"):
        colour_magnitude_relation(m, c, colour_error=-0.1)
    with pytest.raises(InputError, match="clip must be positive, such as 2.6, got 0"):
        colour_magnitude_relation(m, c, clip=0)
    with pytest.raises(InputError, match="at least 4 points, got"):
        least_trimmed_squares([1, 2, 3], [1, 2, 3])
    with pytest.raises(InputError, match="x must hold two different values at least, got 1.0"):
        least_trimmed_squares(np.ones(5), np.arange(5))
    with pytest.raises(InputError, match="finite and the variance positive"):
        least_trimmed_squares(m, c, variance=0.0)
    with pytest.raises(InputError, match="fraction must lie in 0.5 to 1, got 0.2"):
        least_trimmed_squares(m, c, fraction=0.2)
