"""Claims are tested on the objects that both sides judged, and told no louder than the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.evaluate import auc, binary_scores, holm, mcnemar
from labkit.evaluate.members import trend_sentences, trend_table
from labkit.predictions import Predictions

N = 600
IDS = np.array([f"G{i:04d}" for i in range(N)])
MEMBER = np.random.default_rng(0).random(N) < 0.45


def side(error, *, seed=0, rows=slice(None), member=MEMBER, name="x", folds=0):
    """Scores of which a share is wrong, of some of the objects."""
    rng = np.random.default_rng(seed)
    score = np.where(member == (rng.random(N) > error), 0.9, 0.1) + rng.uniform(-0.1, 0.1, N)
    ids, p, truth = IDS[rows], score[rows], member[rows]
    parts = []
    for fold in range(max(folds, 1)):
        here = np.arange(len(ids)) % max(folds, 1) == fold
        parts.append(
            Predictions.from_arrays(
                ids[here],
                np.column_stack([1 - p, p])[here],
                classes=("non-member", "member"),
                true=np.where(truth, "member", "non-member")[here],
                experiment=name,
                seed=seed,
                fold=fold if folds else -1,
                split="test",
                positive="member",
            )
        )
    return Predictions.concatenate(parts)


def test_a_clear_difference_is_told_and_a_small_one_is_not():
    sides = {"good": side(0.05, seed=1), "bad": side(0.25, seed=2), "alike": side(0.05, seed=3)}
    table = trend_table(sides, [("good", "bad"), ("bad", "good"), ("good", "alike")], resamples=400)
    assert table["verdict"].tolist() == ["higher", "lower", "not told apart"]
    first, back, _ = table
    assert first["difference"] == pytest.approx(-back["difference"])
    assert first["low"] < first["difference"] < first["high"]
    assert first["difference"] == pytest.approx(first["first_value"] - first["second_value"])
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"]))


def test_folds_and_seeds_are_compared_on_common_objects_only():
    wide = Predictions.concatenate([side(0.1, seed=1, folds=5), side(0.1, seed=2, folds=5)])
    part = side(0.2, seed=3, rows=slice(0, 250), folds=4)
    table = trend_table({"wide": wide, "part": part}, [("wide", "part")], resamples=200)
    row = table[0]
    assert (row["pairing"], row["objects"], row["members"]) == ("paired", 250, MEMBER[:250].sum())
    scores = [side(0.1, seed=s).score[:250] for s in (1, 2)]
    values = [binary_scores(MEMBER[:250], s).f1 for s in scores]
    assert (row["first_value"], row["first_std"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert np.isnan(row["second_std"]), "one training has no scatter"
    assert trend_sentences(table)[0].endswith(
        f"; trainings scatter by {row['first_std']:.3f} and an unknown amount."
    )


def test_each_measure_has_its_own_test():
    one, other = side(0.1, seed=1), side(0.15, seed=2)
    metrics = ("efficiency", "purity", "auc")
    table = trend_table({"a": one, "b": other}, [("a", "b")], metrics=metrics, resamples=200)
    assert table["test"].tolist() == ["McNemar", "bootstrap", "DeLong"]
    right = [(s.score > 0.5) == MEMBER for s in (one, other)]
    assert table["p_value"][0] == pytest.approx(mcnemar(*right).p_value)
    assert table["difference"][2] == pytest.approx(auc(MEMBER, one.score) - auc(MEMBER, other.score))


def test_sides_without_a_common_object_are_resampled_apart():
    red, blue = side(0.03, seed=1, rows=slice(0, 300)), side(0.3, seed=1, rows=slice(300, 600))
    table = trend_table({"red": red, "blue": blue}, [("red", "blue")], metrics=("f1", "auc"), resamples=400)
    assert table["pairing"].tolist() == ["unpaired"] * 2
    assert table["objects"].tolist() == [600, 600]
    assert table["verdict"].tolist() == ["higher", "higher"]
    values = [binary_scores(MEMBER[s], p.score).f1 for s, p in ((slice(300), red), (slice(300, 600), blue))]
    assert table["difference"][0] == pytest.approx(values[0] - values[1])


def test_equal_parts_are_seldom_told_apart():
    alarms = 0
    for seed in range(40):
        sides = {
            "a": side(0.15, seed=seed, rows=slice(0, 300)),
            "b": side(0.15, seed=seed, rows=slice(300, 600)),
        }
        alarms += trend_table(sides, [("a", "b")], resamples=200, rng=seed)["verdict"][0] != "not told apart"
    assert alarms <= 7  # chance below 0.005 at a rate of 0.05


def test_sentences_say_what_the_table_says():
    sides = {
        "good": side(0.05, seed=1),
        "bad": side(0.25, seed=2),
        "part": side(0.05, seed=3, rows=slice(99)),
    }
    table = trend_table(sides, [("good", "bad"), ("bad", "good"), ("good", "part")], resamples=300)
    higher, lower, neither = trend_sentences(table, digits=2)
    gap = f"{table['difference'][0]:.2f}"
    assert higher.startswith(f"F1 of good is higher than that of bad by {gap} (")
    assert lower.startswith(f"F1 of bad is lower than that of good by {gap} (0.")
    assert higher.endswith("; paired on 600 objects, p = 0.02; one training a side."), (
        "1 of 301 resamples, twice, of three claims"
    )
    assert "F1 of good and part are not told apart: " in neither
    assert "paired on 99 objects" in neither


def test_claims_that_make_no_sense_are_refused():
    sides = {"a": side(0.1, seed=1), "b": side(0.1, seed=2)}
    with pytest.raises(InputError, match=r"claims must name two of \('a', 'b'\), got \['c'\]"):
        trend_table(sides, [("a", "c")])
    with pytest.raises(InputError, match="must be pairs of different sides, one or more, got"):
        trend_table(sides, [("a", "a")])
    with pytest.raises(InputError, match="must be pairs of different sides, one or more, got"):
        trend_table(sides, [])
    with pytest.raises(InputError, match=r"metrics must be among .*, got \['recall'\]"):
        trend_table(sides, [("a", "b")], metrics=("recall",))
    few = side(0.1, seed=1, rows=np.flatnonzero(MEMBER)[:9])
    with pytest.raises(InputError, match="two members and two non-members at least, got 9 and 0 of 'a'"):
        trend_table({"a": sides["a"], "few": few}, [("a", "few")])
    other = side(0.1, seed=1, member=~MEMBER)
    with pytest.raises(InputError, match="truth of 'a' and 'other' must be the same"):
        trend_table({"a": sides["a"], "other": other}, [("a", "other")])
