"""Measures: against scikit-learn, by hand, by identities, and where they are undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate.metrics import (
    auc,
    binary_scores,
    brier_score,
    checked,
    confusion_matrix,
    log_loss,
)
from labkit.evaluate.multiclass import one_versus_rest

probability = st.integers(0, 20).map(lambda k: k / 20)  # with ties
objects = st.lists(st.tuples(st.booleans(), probability), min_size=1, max_size=60)
both_classes = objects.filter(lambda rows: len({true for true, _ in rows}) == 2)


def columns(rows):
    true, score = zip(*rows, strict=True)
    return np.array(true), np.array(score)


@given(both_classes)
def test_as_scikit_learn(rows):
    true, p = columns(rows)
    scores, decided = binary_scores(true, p), p > 0.5
    assert scores.accuracy == pytest.approx(sk.accuracy_score(true, decided))
    assert scores.auc == pytest.approx(sk.roc_auc_score(true, p))
    assert scores.brier == pytest.approx(sk.brier_score_loss(true, p))
    assert scores.log_loss == pytest.approx(sk.log_loss(true, p))
    assert scores.recall == pytest.approx(sk.recall_score(true, decided))
    if decided.any():
        assert scores.precision == pytest.approx(sk.precision_score(true, decided))
        assert scores.f1 == pytest.approx(sk.f1_score(true, decided))


@given(both_classes)
def test_auc_is_the_probability_to_rank_a_pair_right(rows):
    true, p = columns(rows)
    gap = p[true][:, None] - p[~true][None, :]
    assert auc(true, p) == pytest.approx((gap > 0).mean() + 0.5 * (gap == 0).mean())


@given(both_classes)
def test_auc_symmetries(rows):
    true, p = columns(rows)
    assert auc(~true, p) == pytest.approx(1 - auc(true, p))
    assert auc(true, 1 - p) == pytest.approx(1 - auc(true, p))
    assert auc(true, np.exp(3 * p)) == pytest.approx(auc(true, p))


@given(objects)
def test_counts_add_up(rows):
    true, p = columns(rows)
    scores = binary_scores(true, p)
    assert scores.tp + scores.fp + scores.tn + scores.fn == len(true)
    assert scores.tp + scores.fn == true.sum()
    assert 0 <= scores.accuracy <= 1


def test_by_hand():
    scores = binary_scores([1, 1, 1, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.1])
    assert (scores.tp, scores.fp, scores.tn, scores.fn) == (2, 1, 1, 1)
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(2 / 3)
    assert scores.auc == pytest.approx(4 / 6)
    assert scores.false_positive_rate == pytest.approx(1 / 2)  # FP / (FP + TN), not the printed equation 5
    assert scores.brier == pytest.approx((0.01 + 0.16 + 0.64 + 0.49 + 0.01) / 5)


def test_a_probability_of_exactly_one_half_is_no_detection():
    assert binary_scores([1, 0], [0.5, 0.5]).fn == 1
    assert binary_scores([1, 0], [0.5, 0.5], threshold=0.49).tp == 1


def test_nothing_classified_as_positive():
    scores = binary_scores([1, 0], [0.3, 0.2])
    assert math.isnan(scores.precision)
    assert (scores.recall, scores.f1, scores.auc) == (0, 0, 1)


def test_single_class():
    scores = binary_scores([0, 0], [0.3, 0.2])
    assert all(math.isnan(v) for v in (scores.precision, scores.recall, scores.f1, scores.auc))
    assert scores.accuracy == 1
    assert math.isnan(binary_scores([1, 1], [0.3, 0.2]).false_positive_rate)


def test_equal_scores_rank_at_random():
    assert auc([1, 0, 1, 0], [0.4] * 4) == 0.5


def test_certain_probabilities():
    assert binary_scores([1, 0], [1.0, 0.0]).log_loss == 0
    assert binary_scores([1, 0], [0.0, 1.0]).log_loss == pytest.approx(-math.log(np.finfo(float).eps))
    assert brier_score([1, 0], [0.0, 1.0]) == 1


def test_confusion_matrix_as_scikit_learn():
    rng = np.random.default_rng(0)
    true, decided = rng.integers(0, 4, (2, 200))
    ours = confusion_matrix(true, decided, n_classes=5)
    np.testing.assert_array_equal(ours, sk.confusion_matrix(true, decided, labels=range(5)))
    assert ours[:, 4].sum() == 0


def test_several_classes_as_scikit_learn():
    rng = np.random.default_rng(1)
    names = ("a", "b", "c")
    true, p = rng.integers(0, 3, 150), rng.dirichlet([1, 1, 1], 150)
    table = one_versus_rest(true, p, classes=names)
    precision, recall, f1, support = sk.precision_recall_fscore_support(true, p.argmax(1))
    np.testing.assert_allclose(table["precision"], precision)
    np.testing.assert_allclose(table["recall"], recall)
    np.testing.assert_allclose(table["f1"], f1)
    np.testing.assert_array_equal(table["objects"], support)
    assert np.mean(table["auc"]) == pytest.approx(sk.roc_auc_score(true, p, multi_class="ovr"))
    assert table["class"].tolist() == list(names)
    assert log_loss(true, p) == pytest.approx(sk.log_loss(true, p))


def test_two_classes_one_versus_rest_is_the_binary_case():
    rng = np.random.default_rng(2)
    true, p = rng.integers(0, 2, 80), rng.uniform(size=80)
    row = one_versus_rest(true, np.column_stack([1 - p, p]), classes=("no", "yes"))[1]
    scores = binary_scores(true, p)
    assert (row["tp"], row["fp"]) == (scores.tp, scores.fp)
    assert row["auc"] == pytest.approx(scores.auc)


@pytest.mark.parametrize(
    ("true", "score", "message"),
    [
        ([1, 0], [0.1], "of one length, at least 1"),
        ([], [], "of one length, at least 1"),
        ([1, 2], [0.1, 0.2], r"true must be 0 or 1 \(bool\), got \[1, 2\]"),
        ([1, 0], [0.1, np.nan], "score must be finite, got 1 values"),
    ],
)
def test_bad_input(true, score, message):
    with pytest.raises(InputError, match=message):
        checked(true, score)


def test_other_bad_input():
    with pytest.raises(InputError, match="probability must lie in 0 to 1, got 0.1 to 1.2"):
        brier_score([1, 0], [1.2, 0.1])
    with pytest.raises(InputError, match=r"class numbers must lie in 0 to 1, got -1 to 1"):
        confusion_matrix([0, 1], [-1, 1], n_classes=2)
    with pytest.raises(InputError, match="true and decided must be of one length"):
        confusion_matrix([0, 1], [1], n_classes=2)
    with pytest.raises(InputError, match=r"true \(n,\) and probabilities \(n, k\) must fit"):
        log_loss([0, 1], [0.5, 0.5])
    with pytest.raises(InputError, match="true must lie in 0 to 1, got 0 to 2"):
        log_loss([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(
        InputError, match=r"probabilities must have the shape \(2, 3\) with an object or more, got \(2, 2\)"
    ):
        one_versus_rest([0, 1], [[0.5, 0.5], [0.5, 0.5]], classes=("a", "b", "c"))
