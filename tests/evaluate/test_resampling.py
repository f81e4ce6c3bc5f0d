"""Intervals: textbook values, limits, and how often they cover the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from labkit.evaluate import binary_scores, wilson
from labkit.evaluate.metrics import AVERAGES, class_scores
from labkit.evaluate.resampling import bootstrap, percentile_interval, spread


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.5, 0.999))
def test_wilson_is_scipys_bounded_and_symmetric(k, n, confidence):
    k = min(k, n)
    found, mirrored = wilson(k, n, confidence=confidence), wilson(n - k, n, confidence=confidence)
    expected = binomtest(k, n).proportion_ci(confidence, "wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found.low <= k / n <= found.high <= 1
    assert found == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-12)


def test_wilson_of_arrays_and_of_no_trial():
    found = wilson([0, 5, 20], [0, 10, 20])
    assert math.isnan(found.low[0])
    assert (found.low[1], found.high[1]) == tuple(wilson(5, 10))
    assert found.high[2] == 1
    assert wilson(0, 20).low == 0


def test_spread_by_hand():
    found = spread([0.88, 0.90, 0.92])
    assert (found.mean, found.std, found.error) == pytest.approx((0.9, 0.02, 0.02 / math.sqrt(3)))
    half = 4.302653 * 0.02 / math.sqrt(3)  # Student's t, two degrees of freedom, 97.5 %
    assert found.interval == pytest.approx((0.9 - half, 0.9 + half))
    single = spread([0.9])
    assert single.mean == 0.9
    assert np.isnan([single.std, single.error, *single.interval]).all()
    assert math.isnan(spread([0.9, np.nan]).mean)


def test_percentiles_leave_undefined_draws_out():
    assert percentile_interval(np.append(np.arange(101), np.nan), confidence=0.9) == pytest.approx((5, 95))
    assert math.isnan(percentile_interval([np.nan]).low)


def drawn_objects(rng, n=85):
    true = np.repeat([True, False], n)
    return true, norm.cdf(rng.normal(np.where(true, 0.9, -0.9), 1.0))


def draws(true, p, *, rng, resamples, ranked=True):
    """Of the positive class, and of the other one, which mirrors it."""
    truth, scores = np.stack([true, ~true], 1), np.stack([np.atleast_2d(p), 1 - np.atleast_2d(p)], -1)
    chosen = np.stack([scores[..., 0] > 0.5, scores[..., 0] <= 0.5], -1)
    options = {"classes": ("positive", "other"), "strata": (true, ~true), "ranked": ranked}
    return tuple(bootstrap(truth, scores, chosen, rng=rng, resamples=resamples, **options).values())


def test_draws_repeat_themselves_in_blocks_and_without_the_auc(monkeypatch):
    true, p = drawn_objects(np.random.default_rng(0), 20)
    (whole, _), (quick, _) = (draws(true, p, rng=1, resamples=50, ranked=ranked) for ranked in (True, False))
    assert set(whole) - set(quick) == {"auc"}
    np.testing.assert_array_equal(whole["f1"], quick["f1"])
    monkeypatch.setattr("labkit.evaluate.resampling._BLOCK", 7 * 40)
    parts, _ = draws(true, p, rng=1, resamples=50)
    assert len(parts["auc"]) == 50
    assert not np.array_equal(parts["auc"], whole["auc"]), "blocks of seven draw the classes by turns"
    assert parts["auc"].mean() == pytest.approx(whole["auc"].mean(), abs=0.02)


def test_trainings_are_averaged_on_the_same_objects():
    rng = np.random.default_rng(4)
    true, first = drawn_objects(rng, 30)
    second = drawn_objects(rng, 30)[1]
    (both, _), *each = (draws(true, p, rng=9, resamples=40) for p in ([first, second], first, second))
    for name, values in both.items():
        np.testing.assert_allclose(values, (each[0][0][name] + each[1][0][name]) / 2)


def test_a_single_class_has_no_auc():
    found, _ = draws(np.array([True, True]), [0.2, 0.8], rng=0, resamples=10)
    assert np.isnan(found["auc"]).all()
    assert np.isfinite(found["completeness"]).all()


@pytest.mark.parametrize("k", [2, 4])
def test_draws_are_the_measures_of_the_resampled_objects_ties_included(k):
    rng = np.random.default_rng(3)
    true = np.concatenate([np.arange(k), rng.integers(0, k, 40 - k)])
    p = rng.dirichlet(np.ones(k), 40).round(1)
    truth, chosen = np.eye(k)[true] > 0, np.eye(k)[p.argmax(1)] > 0
    names, averages = "abcd"[:k], k > 2
    options = {"classes": names, "strata": list(truth.T), "averages": averages, "rng": 4, "resamples": 8}
    found = bootstrap(truth, p[None], chosen[None], **options)
    assert list(found) == [*names, *(AVERAGES if averages else ())]
    again, weights = np.random.default_rng(4), np.zeros((8, 40), dtype=int)
    for c, n in enumerate(np.bincount(true)):
        weights[:, true == c] = again.multinomial(n, np.full(n, 1 / n), size=8)
    for i, row in enumerate(weights):
        drawn = (np.repeat(part, row, axis=0) for part in (truth, p, chosen))
        expected = class_scores(*drawn, classes=names, averages=averages)
        for label, values in found.items():
            for name, one in values.items():
                assert one[i] == pytest.approx(expected[label][name], nan_ok=True), (label, name)


@pytest.mark.parametrize("name", ["auc", "f1", "completeness"])
def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says(name):
    rng = np.random.default_rng(11)
    expected = binary_scores(*drawn_objects(rng, 200_000))[name]
    hits = 0
    for _ in range(200):
        found, _ = draws(*drawn_objects(rng), rng=rng, resamples=300)
        interval = percentile_interval(found[name], confidence=0.9)
        hits += interval.low <= expected <= interval.high
    assert 0.83 <= hits / 200 <= 0.96
