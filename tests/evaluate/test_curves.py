"""Curves: against scikit-learn, exact thresholds, ties, missing classes, mean over seeds."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate.curves import area_under, mean_roc, purity_completeness_curve, roc_curve
from labkit.evaluate.metrics import auc

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 15)), min_size=2, max_size=50).filter(
    lambda r: len({true for true, _ in r}) == 2
)


@given(rows)
def test_roc_as_scikit_learn(objects):
    true, score = (np.array(column) for column in zip(*objects, strict=True))
    curve = roc_curve(true, score)
    fpr, tpr, threshold = sk.roc_curve(true, score, drop_intermediate=False)
    np.testing.assert_allclose(curve["fpr"], fpr)
    np.testing.assert_allclose(curve["tpr"], tpr)
    np.testing.assert_array_equal(curve["threshold"], threshold)
    assert area_under(curve) == pytest.approx(auc(true, score))


@given(rows)
def test_purity_completeness_as_scikit_learn(objects):
    true, score = (np.array(column) for column in zip(*objects, strict=True))
    curve = purity_completeness_curve(true, score)
    precision, recall, threshold = sk.precision_recall_curve(true, score)
    np.testing.assert_allclose(curve["purity"][::-1], precision[:-1])
    np.testing.assert_allclose(curve["completeness"][::-1], recall[:-1])
    np.testing.assert_array_equal(curve["threshold"][::-1], threshold)


@given(rows)
def test_thresholds_are_exact(objects):
    true, score = (np.array(column) for column in zip(*objects, strict=True))
    for row in purity_completeness_curve(true, score):
        selected = score >= row["threshold"]
        assert row["selected"] == selected.sum()
        assert row["purity"] == pytest.approx(true[selected].mean())
        assert row["completeness"] == pytest.approx(selected[true].mean())


def test_rates_follow_their_definitions_not_the_misprint():
    curve = roc_curve([1, 1, 0, 0, 0], [0.9, 0.4, 0.6, 0.2, 0.1])
    np.testing.assert_allclose(curve["fpr"], [0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve["tpr"], [0, 0.5, 0.5, 1, 1, 1])


def test_ties_make_one_point():
    curve = roc_curve([1, 0, 1, 0], [0.5] * 4)
    assert len(curve) == 2
    assert area_under(curve) == 0.5


def test_single_class_has_no_rates():
    curve = roc_curve([1, 1], [0.2, 0.7])
    assert np.isnan(curve["fpr"]).all()
    assert np.isfinite(curve["tpr"]).all()
    assert np.isnan(purity_completeness_curve([0, 0], [0.2, 0.7])["completeness"]).all()


def _curves(n):
    rng = np.random.default_rng(0)
    true = np.repeat([True, False], 80)
    return [roc_curve(true, rng.normal(true, 0.7)) for _ in range(n)]


def test_mean_of_one_curve_is_the_curve():
    (curve,) = _curves(1)
    mean = mean_roc([curve], points=81)  # the false positive rates are multiples of 1/80
    top = [curve["tpr"][np.isclose(curve["fpr"], x)].max() for x in mean["fpr"]]
    np.testing.assert_allclose(mean["tpr"], top)
    assert np.isnan(mean["tpr_std"]).all()


def test_mean_over_seeds():
    curves = _curves(5)
    mean = mean_roc(curves, points=401)
    assert (np.diff(mean["tpr"]) >= -1e-12).all()
    assert (mean["tpr_low"] <= mean["tpr"]).all()
    assert (mean["tpr"] <= mean["tpr_high"]).all()
    assert mean["tpr"][-1] == 1
    assert area_under(mean) == pytest.approx(np.mean([area_under(c) for c in curves]), abs=0.006)
    np.testing.assert_allclose(mean_roc(curves[:1] * 3)["tpr_std"], 0, atol=1e-12)


def test_mean_needs_curves_of_both_classes():
    with pytest.raises(InputError, match="at least one ROC curve, each of objects of both classes"):
        mean_roc([])
    with pytest.raises(InputError, match="each of objects of both classes"):
        mean_roc([roc_curve([1, 1], [0.2, 0.7])])
    with pytest.raises(InputError, match="points must be at least 2, got 1"):
        mean_roc(_curves(1), points=1)
