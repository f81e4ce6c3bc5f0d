"""Intervals: textbook values, limits, and how often they cover the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from labkit.errors import InputError
from labkit.evaluate.intervals import bootstrap_scores, over_seeds, percentile_interval, wilson
from labkit.evaluate.metrics import binary_scores


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17, 857, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_in_the_literature(k, n, low, high):
    interval = wilson(k, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.5, 0.999))
def test_wilson_bounds_and_symmetry(k, n, confidence):
    k = min(k, n)
    interval, mirrored = wilson(k, n, confidence=confidence), wilson(n - k, n, confidence=confidence)
    assert 0 <= interval.low <= k / n <= interval.high <= 1
    assert (interval.low, interval.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-12)


def test_wilson_bounds_solve_their_equation():
    interval, n, z = wilson(153, 170), 170, norm.ppf(0.975)
    for bound in (interval.low, interval.high):
        assert abs(153 / 170 - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n))


def test_wilson_limits_and_errors():
    assert math.isnan(wilson(0, 0).low)
    assert wilson(20, 20).high == 1
    with pytest.raises(InputError, match="successes must lie in 0 to trials, got 3 of 2"):
        wilson(3, 2)
    with pytest.raises(InputError, match="confidence must lie between 0 and 1, such as 0.95, got 95"):
        wilson(1, 2, confidence=95)


def test_over_seeds_by_hand():
    result = over_seeds([0.88, 0.90, 0.92])
    assert result.mean == pytest.approx(0.90)
    assert result.std == pytest.approx(0.02)
    half = 4.302653 * 0.02 / math.sqrt(3)  # Student's t, two degrees of freedom, 97.5 %
    assert (result.interval.low, result.interval.high) == pytest.approx((0.9 - half, 0.9 + half))


def test_over_seeds_limits_and_errors():
    single = over_seeds([0.9])
    assert single.mean == 0.9
    assert math.isnan(single.std)
    assert math.isnan(single.interval.low)
    assert math.isnan(over_seeds([0.9, np.nan]).mean)
    with pytest.raises(InputError, match="one number a training, at least one"):
        over_seeds([])
    with pytest.raises(InputError, match="confidence must lie between 0 and 1"):
        over_seeds([0.9, 0.8], confidence=1)


def test_percentiles():
    interval = percentile_interval(np.append(np.arange(101), np.nan), confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((5, 95))
    assert math.isnan(percentile_interval([np.nan]).low)


def _objects(rng, n=85):
    true = np.repeat([True, False], n)
    return true, norm.cdf(rng.normal(np.where(true, 0.9, -0.9), 1.0))


def test_draws_are_the_measures_of_the_resampled_objects():
    rng = np.random.default_rng(3)
    true, p = _objects(rng, 12)
    p = p.round(1)  # ties
    draws = bootstrap_scores(true, p, rng=5, resamples=20)
    weights = np.zeros((20, 24), dtype=int)
    again = np.random.default_rng(5)
    weights[:, true] = again.multinomial(12, np.full(12, 1 / 12), size=20)
    weights[:, ~true] = again.multinomial(12, np.full(12, 1 / 12), size=20)
    for i, row in enumerate(weights):
        scores = binary_scores(np.repeat(true, row), np.repeat(p, row))
        for name, values in draws.items():
            assert values[i] == pytest.approx(getattr(scores, name), nan_ok=True), name


def test_same_seed_same_draws_and_blocks_do_not_matter(monkeypatch):
    true, p = _objects(np.random.default_rng(0), 20)
    whole = bootstrap_scores(true, p, rng=1, resamples=50)
    np.testing.assert_array_equal(whole["auc"], bootstrap_scores(true, p, rng=1, resamples=50)["auc"])
    monkeypatch.setattr("labkit.evaluate.intervals.BLOCK", 7 * 40)
    parts = bootstrap_scores(true, p, rng=1, resamples=50)
    assert len(parts["auc"]) == 50
    assert parts["auc"].mean() == pytest.approx(whole["auc"].mean(), abs=0.02)


def test_draws_without_the_auc_are_the_same():
    rng = np.random.default_rng(3)
    true, score = _objects(rng)
    whole, quick = (bootstrap_scores(true, score, rng=1, resamples=30, ranked=r) for r in (True, False))
    assert set(whole) - set(quick) == {"auc"}
    for name, draws in quick.items():
        np.testing.assert_array_equal(draws, whole[name])


def test_several_trainings_are_averaged_on_the_same_objects():
    rng = np.random.default_rng(4)
    true, first = _objects(rng, 30)
    _, second = _objects(rng, 30)
    both = bootstrap_scores(true, np.stack([first, second]), rng=9, resamples=40)
    each = [bootstrap_scores(true, p, rng=9, resamples=40) for p in (first, second)]
    for name in both:
        np.testing.assert_allclose(both[name], (each[0][name] + each[1][name]) / 2)


def test_single_class_has_no_auc():
    draws = bootstrap_scores([True, True], [0.2, 0.8], rng=0, resamples=10)
    assert np.isnan(draws["auc"]).all()
    assert np.isfinite(draws["recall"]).all()


@pytest.mark.parametrize("metric", ["auc", "f1", "recall"])
def test_bootstrap_covers_the_truth_about_as_often_as_it_says(metric):
    rng = np.random.default_rng(11)
    big_true, big_p = _objects(rng, 200_000)
    expected = getattr(binary_scores(big_true, big_p), metric)
    hits = 0
    for _ in range(200):
        true, p = _objects(rng)
        draws = bootstrap_scores(true, p, rng=rng, resamples=300)[metric]
        interval = percentile_interval(draws, confidence=0.9)
        hits += interval.low <= expected <= interval.high
    assert 0.83 <= hits / 200 <= 0.96


def test_bad_bootstrap_input():
    with pytest.raises(InputError, match="resamples must be at least 1, got 0"):
        bootstrap_scores([1, 0], [0.1, 0.2], rng=0, resamples=0)
    with pytest.raises(InputError, match=r"decided must have the shape of scores, \(1, 2\), got \(1, 1\)"):
        bootstrap_scores([1, 0], [0.1, 0.2], rng=0, decided=[True])
    with pytest.raises(InputError, match="score must be finite"):
        bootstrap_scores([1, 0], [0.1, np.inf], rng=0)
