"""Paired comparison of two classifiers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from labkit.errors import InputError
from labkit.evaluate.compare import delong, holm, mcnemar, paired_difference
from labkit.evaluate.metrics import auc


def test_mcnemar_by_hand():
    first = np.array([1] * 10 + [1] * 8 + [0] * 1 + [0] * 3, dtype=bool)
    second = np.array([1] * 10 + [0] * 8 + [1] * 1 + [0] * 3, dtype=bool)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (8, 1)
    assert result.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # binomial, 9 trials, 8 or more, both sides
    assert mcnemar(second, first).p_value == pytest.approx(result.p_value)


def test_mcnemar_without_difference():
    assert mcnemar([True, False], [True, False]).p_value == 1
    with pytest.raises(InputError, match="same objects in the same order"):
        mcnemar([True], [True, False])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=9))
def test_mcnemar_of_several_trainings_is_the_chance_over_all_signs(right):
    first = np.array([[n > k for n, _ in right] for k in range(2)])
    second = np.array([[n > k for _, n in right] for k in range(3)])
    gaps = first.mean(0) - second.mean(0)
    signs = np.array(list(product([-1, 1], repeat=len(gaps))))
    chance = np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9)
    result = mcnemar(first, second)
    assert result.p_value == pytest.approx(chance)
    assert result.only_first - result.only_second == pytest.approx(gaps.sum())


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_of_one_training_is_the_binomial_test(only_first, only_second):
    first = np.repeat([True, False], [only_first, only_second])
    expected = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    assert mcnemar(first, ~first).p_value == pytest.approx(expected)
    twice = mcnemar(np.stack([first, first]), ~first)
    assert twice.p_value == pytest.approx(expected), "the same training twice adds nothing"


def test_mcnemar_of_very_many_objects_is_normal(monkeypatch):
    rng = np.random.default_rng(1)
    first, second = rng.random((3, 900)) < 0.80, rng.random((2, 900)) < 0.78
    exact = mcnemar(first, second)
    monkeypatch.setattr("labkit.evaluate.compare._EXACT_STEPS", 0)
    assert mcnemar(first, second).p_value == pytest.approx(exact.p_value, rel=0.05)


def _classifiers(rng, gain, n=85):
    true = np.repeat([True, False], n)
    sky = rng.normal(np.where(true, 0.8, -0.8), 1.0)
    return true, norm.cdf(sky + rng.normal(0, 0.3, 2 * n)), norm.cdf(sky + rng.normal(0, 0.3 + gain, 2 * n))


def test_paired_difference_sees_a_real_gain():
    true, good, poor = _classifiers(np.random.default_rng(0), 2.0)
    result = paired_difference(true, good, poor, rng=1)
    assert result.difference == pytest.approx(auc(true, good) - auc(true, poor))
    assert 0 < result.interval.low < result.difference < result.interval.high
    assert result.p_value < 0.01
    swapped = paired_difference(true, poor, good, rng=1)
    assert swapped.interval.high == pytest.approx(-result.interval.low)
    assert swapped.p_value == pytest.approx(result.p_value)


def _delong_by_hand(true, first, second):
    """Every pair of a positive and a negative, as DeLong et al. (1988) write it."""
    placed = []
    for scores in (first, second):
        x, y = scores[true], scores[~true]
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        placed.append((wins.mean(1), wins.mean(0)))
    covariance = sum(
        np.cov(np.stack([one[part] for one in placed])) / len(placed[0][part]) for part in (0, 1)
    )
    contrast = np.array([1, -1])
    gap = placed[0][0].mean() - placed[1][0].mean()
    return gap, np.sqrt(contrast @ covariance @ contrast)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_delong_is_that_of_all_pairs_ties_included(m, n, seed, levels):
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat([True, False], [m, n]))
    first, second = rng.integers(0, levels + 1, (2, m + n)) / levels
    gap, error = _delong_by_hand(true, first, second)
    result = delong(true, first, second)
    assert result.difference == pytest.approx(gap)
    assert result.difference == pytest.approx(auc(true, first) - auc(true, second))
    assert result.standard_error == pytest.approx(error, abs=1e-12)
    if error > 1e-9:
        assert result.p_value == pytest.approx(2 * norm.sf(abs(gap) / error))


def test_delong_agrees_with_the_bootstrap():
    true, first, second = _classifiers(np.random.default_rng(6), 0.6)
    many = np.stack([first, np.clip(first + np.random.default_rng(7).normal(0, 0.1, len(first)), 0, 1)])
    exact, drawn = delong(true, many, second), paired_difference(true, many, second, rng=0)
    assert exact.difference == pytest.approx(drawn.difference)
    widths = [one.interval.high - one.interval.low for one in (exact, drawn)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    assert exact.p_value == pytest.approx(drawn.p_value, abs=0.02)


def test_delong_alarms_as_rarely_as_stated():
    rng = np.random.default_rng(8)
    low = sum(delong(*_classifiers(rng, 0.0, 60)).p_value < 0.1 for _ in range(400))
    assert 0.06 < low / 400 < 0.15


def test_delong_of_equal_scores_and_of_too_few_objects():
    true, p, _ = _classifiers(np.random.default_rng(2), 0.0)
    same = delong(true, p, p)
    assert (same.difference, same.standard_error, same.p_value) == (0, 0, 1)
    with pytest.raises(InputError, match="two positives and two negatives at least, got 1 and 3"):
        delong([True, False, False, False], np.arange(4) / 4, np.arange(4) / 4)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([]).shape == (0,)


def test_equal_classifiers_do_not_differ():
    true, p, _ = _classifiers(np.random.default_rng(2), 0.0)
    for metric in ("accuracy", "auc", "f1"):
        result = paired_difference(true, p, p, rng=0, metric=metric, resamples=200)
        assert (result.difference, result.p_value) == (0, 1)


def test_pairing_makes_the_interval_narrower():
    true, first, second = _classifiers(np.random.default_rng(3), 0.0)
    paired = paired_difference(true, first, second, rng=0, resamples=500).interval
    shuffled = np.concatenate([second[:85][::-1], second[85:][::-1]])
    unpaired = paired_difference(true, first, shuffled, rng=0, resamples=500).interval
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_false_alarms_are_as_rare_as_stated():
    rng = np.random.default_rng(4)
    low = sum(
        paired_difference(*_classifiers(rng, 0.0, 60), rng=rng, resamples=200).p_value < 0.1
        for _ in range(150)
    )
    assert low / 150 < 0.18


def test_trainings_are_averaged():
    true, first, second = _classifiers(np.random.default_rng(5), 0.5)
    result = paired_difference(true, np.stack([first, first]), second, rng=0, resamples=100)
    assert result.difference == pytest.approx(auc(true, first) - auc(true, second))


def test_unknown_metric():
    with pytest.raises(InputError, match="metric must be one of .* got 'brier'"):
        paired_difference([1, 0], [0.9, 0.1], [0.8, 0.2], rng=0, metric="brier", resamples=5)
