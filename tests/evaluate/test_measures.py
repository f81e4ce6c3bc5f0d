"""Measures: scikit-learn's, by hand, by identities, and NaN where they are undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluate import auc, binary_scores, confusion_matrix
from labkit.evaluate.measures import AVERAGES, class_scores

objects = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda k: k / 20)), min_size=1, max_size=60
)
both_classes = objects.filter(lambda rows: len({true for true, _ in rows}) == 2)


def columns(rows):
    true, score = zip(*rows, strict=True)
    return np.array(true), np.array(score)


@given(both_classes)
def test_measures_are_scikit_learns(rows):
    true, p = columns(rows)
    scores, decided = binary_scores(true, p), p > 0.5
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(true, decided))
    assert scores["brier"] == pytest.approx(sk.brier_score_loss(true, p))
    assert scores["log_loss"] == pytest.approx(sk.log_loss(true, p))
    found = sk.precision_recall_fscore_support(true, decided, average="binary", zero_division=np.nan)
    ours = [scores[name] for name in ("purity", "completeness", "f1")]
    assert ours == pytest.approx(found[:3], nan_ok=True)


@given(both_classes)
def test_auc_is_the_probability_to_rank_a_pair_right(rows):
    true, p = columns(rows)
    gap = p[true][:, None] - p[~true][None, :]
    assert auc(true, p) == pytest.approx((gap > 0).mean() + 0.5 * (gap == 0).mean())
    assert auc(~true, p) == pytest.approx(1 - auc(true, p))
    assert auc(true, np.exp(3 * p)) == pytest.approx(auc(true, p))


@given(objects)
def test_counts_add_up_and_rates_complement_each_other(rows):
    true, p = columns(rows)
    scores = binary_scores(true, p)
    assert scores["tp"] + scores["fp"] + scores["tn"] + scores["fn"] == len(true)
    assert (scores["tp"] + scores["fn"], scores["predicted"]) == (true.sum(), (p > 0.5).sum())
    assert scores["fn_rate"] + scores["completeness"] == pytest.approx(
        1 if true.any() else np.nan, nan_ok=True
    )
    mirrored = binary_scores(~true, 1 - p, decided=~(p > 0.5))
    assert mirrored["fn_rate"] == pytest.approx(scores["fp_rate"], nan_ok=True)


def test_measures_by_hand():
    scores = binary_scores([1, 1, 1, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.1])
    assert (scores["tp"], scores["fp"], scores["tn"], scores["fn"]) == (2, 1, 1, 1)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["purity"] == scores["completeness"] == scores["f1"] == pytest.approx(2 / 3)
    assert scores["auc"] == pytest.approx(4 / 6)
    assert scores["fp_rate"] == pytest.approx(1 / 2)  # FP / (FP + TN), not the printed equation 5
    assert scores["brier"] == pytest.approx((0.01 + 0.16 + 0.64 + 0.49 + 0.01) / 5)


def test_a_probability_of_exactly_one_half_is_no_detection():
    assert binary_scores([1, 0], [0.5, 0.5])["fn"] == 1
    assert binary_scores([1, 0], [0.5, 0.5], threshold=0.49)["tp"] == 1


def test_what_is_undefined_is_nan_and_never_nought():
    nothing = binary_scores([1, 0], [0.3, 0.2])
    assert math.isnan(nothing["purity"])
    assert (nothing["completeness"], nothing["f1"], nothing["auc"]) == (0, 0, 1)
    single = binary_scores([0, 0], [0.3, 0.2])
    assert all(math.isnan(single[name]) for name in ("purity", "completeness", "f1", "auc", "fn_rate"))
    assert single["accuracy"] == 1
    assert math.isnan(binary_scores([1, 1], [0.3, 0.2])["fp_rate"])
    assert auc([1, 0, 1, 0], [0.4] * 4) == 0.5


def test_certain_probabilities():
    assert binary_scores([1, 0], [1.0, 0.0])["log_loss"] == pytest.approx(0, abs=1e-15)
    assert binary_scores([1, 0], [0.0, 1.0])["log_loss"] == pytest.approx(-math.log(np.finfo(float).eps))


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
    found = class_scores(true, p, decided, classes=[str(c) for c in range(k)])
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
    found = class_scores(true, p, p.argmax(1), classes="abcd")
    assert np.isnan(found["d"]["auc"])
    assert np.isnan(found["d"]["completeness"])
    assert found["d"]["accuracy"] == 1
    for name in ("accuracy", "purity", "completeness", "f1", "auc"):
        assert found[AVERAGES[0]][name] == pytest.approx(np.mean([found[c][name] for c in "abc"]))
