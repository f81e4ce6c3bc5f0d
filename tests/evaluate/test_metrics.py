"""Measures and curves: scikit-learn's, by hand, by identities, and NaN where they are undefined."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate import (
    area_under,
    auc,
    binary_scores,
    class_rocs,
    confusion_matrix,
    crossing,
    mean_roc,
    measure,
    purity_curve,
    roc_curve,
)
from labkit.evaluate.metrics import AVERAGES, class_scores
from labkit.predictions import Predictions

objects = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda k: k / 20)), min_size=1, max_size=60
)
both_classes = objects.filter(lambda rows: len({true for true, _ in rows}) == 2)


def columns(rows):
    true, score = zip(*rows, strict=True)
    return np.array(true), np.array(score)


@given(both_classes)
def test_measures_and_curves_are_scikit_learns(rows):
    true, p = columns(rows)
    scores, decided = binary_scores(true, p), p > 0.5
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(true, decided))
    assert scores["brier"] == pytest.approx(sk.brier_score_loss(true, p))
    assert scores["log_loss"] == pytest.approx(sk.log_loss(true, p))
    found = sk.precision_recall_fscore_support(true, decided, average="binary", zero_division=np.nan)
    ours = [scores[name] for name in ("purity", "completeness", "f1")]
    assert ours == pytest.approx(found[:3], nan_ok=True)
    roc, (fpr, tpr, threshold) = roc_curve(true, p), sk.roc_curve(true, p, drop_intermediate=False)
    np.testing.assert_allclose([roc["fpr"], roc["tpr"]], [fpr, tpr])
    np.testing.assert_array_equal(roc["threshold"], threshold)
    assert area_under(roc) == pytest.approx(auc(true, p))
    curve, (precision, recall, threshold) = purity_curve(true, p), sk.precision_recall_curve(true, p)
    np.testing.assert_allclose(curve["purity"][::-1], precision[:-1])
    np.testing.assert_allclose(curve["completeness"][::-1], recall[:-1])
    np.testing.assert_array_equal(curve["threshold"][::-1], threshold)
    assert curve["selected"].tolist() == [(p >= one).sum() for one in curve["threshold"]]


@given(objects)
def test_counts_add_up_and_rates_complement_each_other(rows):
    true, p = columns(rows)
    scores = binary_scores(true, p)
    assert scores["tp"] + scores["fp"] + scores["tn"] + scores["fn"] == len(true)
    assert (scores["tp"] + scores["fn"], scores["predicted"]) == (true.sum(), (p > 0.5).sum())
    whole = 1 if true.any() else np.nan
    assert scores["fn_rate"] + scores["completeness"] == pytest.approx(whole, nan_ok=True)
    mirrored = binary_scores(~true, 1 - p, decided=~(p > 0.5))
    assert mirrored["fn_rate"] == pytest.approx(scores["fp_rate"], nan_ok=True)


def test_measures_by_hand():
    scores = binary_scores([1, 1, 1, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.1])
    assert (scores["tp"], scores["fp"], scores["tn"], scores["fn"]) == (2, 1, 1, 1)
    assert scores["fp_rate"] == pytest.approx(1 / 2)  # FP / (FP + TN), not the printed equation 5
    assert binary_scores([1, 0], [0.5, 0.5])["fn"] == 1, "exactly one half is no detection"
    assert binary_scores([1, 0], [0.5, 0.5], threshold=0.49)["tp"] == 1
    assert binary_scores([1, 0], [1.0, 0.0])["log_loss"] == pytest.approx(0, abs=1e-15)
    assert binary_scores([1, 0], [0.0, 1.0])["log_loss"] == pytest.approx(-math.log(np.finfo(float).eps))


def test_what_is_undefined_is_nan_and_never_nought():
    nothing = binary_scores([1, 0], [0.3, 0.2])
    assert math.isnan(nothing["purity"])
    assert (nothing["completeness"], nothing["f1"], nothing["auc"]) == (0, 0, 1)
    single = binary_scores([0, 0], [0.3, 0.2])
    assert all(math.isnan(single[name]) for name in ("purity", "completeness", "f1", "auc", "fn_rate"))
    assert single["accuracy"] == 1
    assert math.isnan(binary_scores([1, 1], [0.3, 0.2])["fp_rate"])
    curve = roc_curve([1, 1], [0.2, 0.7])
    assert np.isnan(curve["fpr"]).all()
    assert np.isfinite(curve["tpr"]).all()
    assert np.isnan(purity_curve([0, 0], [0.2, 0.7])["completeness"]).all()


def test_confusion_matrix_has_a_row_for_each_class():
    true, decided = np.random.default_rng(0).integers(0, 4, (2, 200))
    ours = confusion_matrix(true, decided, n_classes=5)
    np.testing.assert_array_equal(ours, sk.confusion_matrix(true, decided, labels=range(5)))
    assert confusion_matrix([], [], n_classes=2).tolist() == [[0, 0], [0, 0]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 6))
def test_averages_are_scikit_learns(seed, k):
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(k), rng.integers(0, k, 80 - k)])
    p = rng.dirichlet(np.ones(k), 80)
    decided, hot = p.argmax(1), np.eye(k)[true]
    found = class_scores(hot > 0, p, np.eye(k)[decided] > 0, classes=[str(c) for c in range(k)])
    for average in ("macro", "micro"):
        row = found[f"{average} average"]
        assert row["auc"] == pytest.approx(sk.roc_auc_score(hot, p, average=average))
        assert row["accuracy"] == pytest.approx(sk.accuracy_score(hot.ravel(), np.eye(k)[decided].ravel()))
        if average == "macro" and len(set(decided)) < k:
            assert np.isnan(row["purity"]), "a class that was never given has no purity"
            continue
        ours = [row[name] for name in ("purity", "completeness", "f1")]
        assert ours == pytest.approx(sk.precision_recall_fscore_support(true, decided, average=average)[:3])


def test_a_class_without_objects_takes_no_part_in_the_macro_average():
    rng = np.random.default_rng(3)
    true, p = rng.integers(0, 3, 90), np.column_stack([rng.dirichlet(np.ones(3), 90), np.zeros(90)])
    found = class_scores(np.eye(4)[true] > 0, p, np.eye(4)[p.argmax(1)] > 0, classes="abcd")
    assert np.isnan([found["d"]["auc"], found["d"]["completeness"]]).all()
    assert found["d"]["accuracy"] == 1
    for name in ("accuracy", "purity", "completeness", "f1", "auc"):
        assert found[AVERAGES[0]][name] == pytest.approx(np.mean([found[c][name] for c in "abc"]))


def drawn_curves(n):
    rng = np.random.default_rng(0)
    true = np.repeat([True, False], 80)
    return [roc_curve(true, rng.normal(true, 0.7)) for _ in range(n)]


def test_mean_of_one_curve_is_the_curve_and_of_several_has_their_mean_area():
    (curve,) = drawn_curves(1)
    mean = mean_roc([curve], points=81)  # the false positive rates are multiples of 1/80
    top = [curve["tpr"][np.isclose(curve["fpr"], x)].max() for x in mean["fpr"]]
    np.testing.assert_allclose(mean["tpr"], top)
    assert np.isnan(mean["tpr_std"]).all()
    curves = drawn_curves(5)
    mean = mean_roc(curves, points=401)
    assert (np.diff([mean["tpr_low"], mean["tpr"], mean["tpr_high"]], axis=0) >= 0).all()
    assert (np.diff(mean["tpr"]) >= -1e-12).all()
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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: roc_curve([1, 0], [0.1]), "of one length, at least 1"),
        (lambda: roc_curve([], []), "of one length, at least 1"),
        (lambda: roc_curve([1, 2], [0.1, 0.2]), r"true must be 0 or 1 \(bool\), got \[1, 2\]"),
        (lambda: roc_curve(["cluster", "star"], [0.1, 0.2]), r"true must be 0 or 1 \(bool\) for each object"),
        (lambda: roc_curve([1, 0], ["high", "low"]), "score must be numbers, one for each object"),
        (lambda: roc_curve([1, 0], [0.1, np.nan]), "score must be finite, got 1 values"),
        (lambda: roc_curve([1, 0]), "score must be given with an array of truths; or give Predictions"),
        (lambda: crossing([False, False], [0.1, 0.2]), "must name a member"),
        (lambda: mean_roc([]), "at least one ROC curve, each of objects of both classes"),
        (lambda: mean_roc([roc_curve([1, 1], [0.2, 0.7])]), "each of objects of both classes"),
        (lambda: mean_roc(drawn_curves(1), points=1), "points must be at least 2, got 1"),
        (lambda: binary_scores([1, 0], [2.0, 0.0]), "probability must lie in 0 to 1, got 0.0 to 2.0"),
        (lambda: confusion_matrix([0, 1], [0], n_classes=2), "true and decided must be of one length"),
        (lambda: confusion_matrix([0], [2], n_classes=2), "class numbers must lie in 0 to 1, got 0 to 2"),
    ],
)
def test_what_has_no_measure_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_predictions_without_truth_or_with_scores_beside_them_have_no_curve(made):
    with pytest.raises(InputError, match="score must be left out where the first argument is Predictions"):
        roc_curve(made.predicted([0.1, 0.9], [False, True]), [0.1, 0.9])
    with pytest.raises(InputError, match="predictions must hold objects of known class, got none"):
        purity_curve(made.predicted([0.1, 0.9]))
