"""Paired comparison of two classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from labkit.errors import InputError
from labkit.evaluate.compare import mcnemar, paired_difference
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
