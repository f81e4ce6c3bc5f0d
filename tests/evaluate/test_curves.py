"""Curves: against scikit-learn, exact thresholds, ties, missing classes, mean over seeds."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate import area_under, auc, class_rocs, crossing, mean_roc, measure, purity_curve, roc_curve
from labkit.evaluate.measures import AVERAGES
from labkit.predictions import Predictions

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
    curve = purity_curve(true, score)
    precision, recall, threshold = sk.precision_recall_curve(true, score)
    np.testing.assert_allclose(curve["purity"][::-1], precision[:-1])
    np.testing.assert_allclose(curve["completeness"][::-1], recall[:-1])
    np.testing.assert_array_equal(curve["threshold"][::-1], threshold)


@given(rows)
def test_thresholds_are_exact(objects):
    true, score = (np.array(column) for column in zip(*objects, strict=True))
    for row in purity_curve(true, score):
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
    assert np.isnan(purity_curve([0, 0], [0.2, 0.7])["completeness"]).all()


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


def test_curves_of_predictions_are_those_of_their_arrays(made):
    true, p = np.arange(60) % 3 == 0, np.random.default_rng(1).random(60)
    found = made.predicted(p, true)
    found.table["true"][:5] = ""
    for curve in (roc_curve, purity_curve):
        ours, expected = curve(found), curve(true[5:], p[5:])
        for name in ours.colnames:
            np.testing.assert_array_equal(ours[name], expected[name])
    assert crossing(found) == crossing(true[5:], p[5:])


def test_purity_meets_completeness_where_as_many_are_selected_as_there_are():
    rng = np.random.default_rng(0)
    true = rng.random(300) < 0.4
    score = np.clip(0.5 + 0.2 * (true - 0.5) + rng.normal(0, 0.15, 300), 0, 1)
    threshold, value = crossing(true, score)
    chosen = score >= threshold
    assert chosen.sum() == true.sum()
    assert value == pytest.approx((chosen & true).sum() / chosen.sum())
    assert crossing([True, False], [0.9, 0.1]) == (0.9, 1.0)


def test_curves_of_several_classes_have_the_areas_of_the_table():
    rng, names = np.random.default_rng(3), ("a", "b", "c")
    true, p = rng.integers(0, 3, 150), rng.dirichlet(np.ones(3), 150)
    ids = [f"X{i}" for i in range(150)]
    found = Predictions.from_arrays(ids, p, classes=names, true=np.array(names)[true], experiment="CN")
    found.table["true"][:10] = ""
    ((curves,),) = class_rocs(found).values()
    assert list(curves) == [*names, *AVERAGES]
    table = measure(found, classes="each", split=None, over="runs")
    for curve, row in zip(curves.values(), table, strict=True):
        tolerance = 2e-3 if row["class"] == AVERAGES[0] else 1e-12  # the mean curve is drawn on a grid
        assert area_under(curve) == pytest.approx(row["auc"], abs=tolerance)
    some = class_rocs(found.select(found.true_codes < 2))["CN"][0]
    assert list(some) == [*names[:2], *AVERAGES]
    with pytest.raises(InputError, match="must hold objects of two classes or more"):
        class_rocs(found.select(found.true_codes == 1))
    with pytest.raises(InputError, match="no positive class"):
        roc_curve(found)


def test_curves_that_cannot_be_drawn_are_refused(made):
    found = made.predicted([0.1, 0.9], [False, True])
    unknown = made.predicted([0.1, 0.9], [False, True])
    unknown.table["true"] = ""
    for call, message in (
        (lambda: roc_curve([1, 0], [0.1]), "of one length, at least 1"),
        (lambda: roc_curve([], []), "of one length, at least 1"),
        (lambda: roc_curve([1, 2], [0.1, 0.2]), r"true must be 0 or 1 \(bool\), got \[1, 2\]"),
        (
            lambda: roc_curve(["cluster", "star"], [0.1, 0.2]),
            r"true must be 0 or 1 \(bool\) for each object, got",
        ),
        (lambda: roc_curve([1, 0], ["high", "low"]), "score must be numbers, one for each object"),
        (lambda: roc_curve([1, 0], [0.1, np.nan]), "score must be finite, got 1 values"),
        (lambda: roc_curve([1, 0]), "score must be given with an array of truths; or give Predictions"),
        (
            lambda: roc_curve(found, [0.1, 0.9]),
            "score must be left out where the first argument is Predictions",
        ),
        (lambda: purity_curve(unknown), "predictions must hold objects of known class, got none"),
        (lambda: crossing([False, False], [0.1, 0.2]), "must name a member"),
        (lambda: mean_roc([]), "at least one ROC curve, each of objects of both classes"),
        (lambda: mean_roc([roc_curve([1, 1], [0.2, 0.7])]), "each of objects of both classes"),
        (lambda: mean_roc(_curves(1), points=1), "points must be at least 2, got 1"),
    ):
        with pytest.raises(InputError, match=message):
            call()
