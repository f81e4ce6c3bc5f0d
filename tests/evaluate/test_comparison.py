"""Comparisons: textbook tests, on the objects that both sides judged, told no louder than the numbers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from labkit.errors import InputError
from labkit.evaluate import Resampling, auc, binary_scores, compare, sentences
from labkit.evaluate.comparison import NO_DIFFERENCE, delong, holm, mcnemar
from labkit.predictions import Predictions

N = 600
MEMBER = np.random.default_rng(0).random(N) < 0.45


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=9))
def test_mcnemar_of_several_trainings_is_the_chance_over_all_signs(right):
    first = np.array([[n > k for n, _ in right] for k in range(2)])
    second = np.array([[n > k for _, n in right] for k in range(3)])
    gaps = first.mean(0) - second.mean(0)
    signs = np.array(list(product([-1, 1], repeat=len(gaps))))
    chance = np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9)
    assert mcnemar(first, second) == pytest.approx(chance)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_of_one_training_is_the_binomial_test(only_first, only_second):
    first = np.repeat([True, False], [only_first, only_second])
    expected = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    assert mcnemar(first, ~first) == pytest.approx(expected)
    twice = mcnemar(np.stack([first, first]), ~first)
    assert twice == pytest.approx(expected), "the same training twice adds nothing"


def test_mcnemar_of_very_many_objects_is_normal(monkeypatch):
    rng = np.random.default_rng(1)
    first, second = rng.random((3, 900)) < 0.80, rng.random((2, 900)) < 0.78
    exact = mcnemar(first, second)
    monkeypatch.setattr("labkit.evaluate.comparison._EXACT_STEPS", 0)
    assert mcnemar(first, second) == pytest.approx(exact, rel=0.05)


def _classifiers(rng, gain, n=85):
    true = np.repeat([True, False], n)
    sky = rng.normal(np.where(true, 0.8, -0.8), 1.0)
    return true, norm.cdf(sky + rng.normal(0, 0.3, 2 * n)), norm.cdf(sky + rng.normal(0, 0.3 + gain, 2 * n))


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


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([]).shape == (0,)


@pytest.fixture(scope="module")
def side(made):
    """Scores of which a share is wrong, of some of the objects."""

    def make(error, *, seed=0, rows=slice(None), member=MEMBER, name="x", folds=0):
        rng = np.random.default_rng(seed)
        score = np.where(member == (rng.random(N) > error), 0.9, 0.1) + rng.uniform(-0.1, 0.1, N)
        ids = np.array([f"G{i:04d}" for i in range(N)])[rows]
        options = {"ids": ids, "seed": seed, "name": name} | ({"folds": folds} if folds else {})
        return (made.in_folds if folds else made.predicted)(score[rows], member[rows], **options)

    return make


def test_a_clear_difference_is_seen_and_a_small_one_is_not(side):
    sides = {"good": side(0.05, seed=1), "bad": side(0.25, seed=2), "alike": side(0.05, seed=3)}
    pairs = [("good", "bad"), ("bad", "good"), ("good", "alike")]
    table = compare(sides, pairs, measures=("f1",), resampling=Resampling(400))
    assert table["verdict"].tolist() == ["higher", "lower", NO_DIFFERENCE]
    first, back, _ = table
    assert first["difference"] == pytest.approx(-back["difference"])
    assert first["low"] < first["difference"] < first["high"]
    assert (back["low"], back["high"]) == pytest.approx((-first["high"], -first["low"]), abs=0.02)
    assert first["difference"] == pytest.approx(first["first_value"] - first["second_value"])
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"]))


def test_the_tests_are_those_of_the_same_objects_and_corrected_by_measure_or_all_together(side):
    parts = [side(0.1, seed=0, name="a"), side(0.1, seed=1, name="a"), side(0.15, seed=2, name="b")]
    parts.append(side(0.2, seed=3, name="c"))
    pairs, measures = [("a", "b"), ("b", "c"), ("a", "c")], ("accuracy", "auc", "purity")
    every = Predictions.concatenate(parts)
    options = {"measures": measures, "resampling": Resampling(200)}
    table, alone = (compare(every, pairs, correct=word, **options) for word in ("table", "measure"))
    scores = np.stack([part.score for part in parts])
    right = (scores > 0.5) == MEMBER
    assert table["test"].tolist()[:3] == ["McNemar", "DeLong", "bootstrap"]
    assert table["p_value"][0] == pytest.approx(mcnemar(right[:2], right[2]))
    assert table["p_value"][4] == pytest.approx(delong(MEMBER, scores[2], scores[3]).p_value)
    assert table["difference"][4] == pytest.approx(auc(MEMBER, scores[2]) - auc(MEMBER, scores[3]))
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"]))
    for name in measures:
        rows = alone[alone["measure"] == name]
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p_value"]))


def test_an_experiment_does_not_differ_from_itself_whatever_the_order_of_rows(side):
    one = side(0.1, seed=3, name="a")
    order = np.random.default_rng(0).permutation(N)
    two = Predictions(side(0.1, seed=3, name="b").table[order], one.classes, one.positive)
    table = compare(Predictions.concatenate([one, two]), [("a", "b")], measures=("accuracy", "auc", "f1"))
    for name in ("difference", "low", "high"):
        np.testing.assert_array_equal(table[name], 0)
    np.testing.assert_array_equal(table["p_value"], 1)


def test_delong_agrees_with_the_paired_bootstrap(made):
    true, first, second = _classifiers(np.random.default_rng(6), 0.6)
    noisy = np.clip(first + np.random.default_rng(7).normal(0, 0.1, len(first)), 0, 1)
    many = [made.predicted(p, true, seed=seed) for seed, p in enumerate((first, noisy))]
    sides = {"many": Predictions.concatenate(many), "one": made.predicted(second, true)}
    row, exact = compare(sides, [("many", "one")], measures=("auc",))[0], delong(true, [first, noisy], second)
    assert row["difference"] == pytest.approx(exact.difference)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * exact.standard_error, rel=0.1)
    shuffled = np.concatenate([second[:85][::-1], second[85:][::-1]])
    apart = compare(sides | {"one": made.predicted(shuffled, true)}, [("many", "one")], measures=("auc",))[0]
    assert row["high"] - row["low"] < 0.8 * (apart["high"] - apart["low"]), "pairing makes it narrower"


def test_folds_and_seeds_are_compared_on_common_objects_only(side):
    wide = Predictions.concatenate([side(0.1, seed=1, folds=5), side(0.1, seed=2, folds=5)])
    part = side(0.2, seed=3, rows=slice(0, 250), folds=4)
    sides = {"wide": wide, "part": part}
    table = compare(sides, measures=("f1",), resampling=Resampling(200))
    row = table[0]
    assert (row["pairing"], row["objects"], row["positives"]) == ("paired", 250, MEMBER[:250].sum())
    values = [binary_scores(MEMBER[:250], side(0.1, seed=s).score[:250])["f1"] for s in (1, 2)]
    assert (row["first_value"], row["first_std"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert np.isnan(row["second_std"]), "one training has no scatter"
    end = f"; trainings scatter by {row['first_std']:.3f} and an unknown amount."
    assert sentences(table)[0].endswith(end)


def test_sides_without_a_common_object_are_resampled_apart(side):
    red, blue = side(0.03, seed=1, rows=slice(0, 300)), side(0.3, seed=1, rows=slice(300, 600))
    options = {"measures": ("accuracy", "f1", "auc"), "resampling": Resampling(400)}
    table = compare({"red": red, "blue": blue}, [("red", "blue")], **options)
    assert set(table["pairing"]) == {"unpaired"}
    assert set(table["test"]) == {"bootstrap"}
    assert table["objects"].tolist() == [600] * 3
    assert table["verdict"].tolist() == ["higher"] * 3
    parts = ((slice(300), red), (slice(300, 600), blue))
    values = [binary_scores(MEMBER[s], p.score)["f1"] for s, p in parts]
    assert table["difference"][1] == pytest.approx(values[0] - values[1])


def test_equal_sides_are_seldom_called_different(side):
    alarms = {"paired": 0, "unpaired": 0}
    for seed in range(40):
        made = {"a": (seed, slice(0, 300)), "b": (seed, slice(300, 600)), "c": (seed + 100, slice(0, 300))}
        sides = {name: side(0.15, seed=number, rows=rows) for name, (number, rows) in made.items()}
        options = {"measures": ("f1",), "resampling": Resampling(200, rng=seed)}
        for row in compare(sides, [("a", "b"), ("a", "c")], **options):
            alarms[row["pairing"]] += row["p_value"] < 0.05
    assert max(alarms.values()) <= 7  # chance below 0.005 at a rate of 0.05


def test_sentences_say_what_the_table_says(side):
    sides = {"good": side(0.05, seed=1), "bad": side(0.25, seed=2)}
    sides["part"] = side(0.05, seed=3, rows=slice(99))
    pairs = [("good", "bad"), ("bad", "good"), ("good", "part")]
    table = compare(sides, pairs, measures=("f1",), resampling=Resampling(300))
    higher, lower, neither = sentences(table)
    gap = f"{table['difference'][0]:.3f}"
    assert higher.startswith(f"F1 of good is higher than that of bad by {gap} (")
    assert lower.startswith(f"F1 of bad is lower than that of good by {gap} (0.")
    assert higher.endswith("; paired on 600 objects, p = 0.02; one training on each side."), (
        "1 of 301 resamples, twice, of three pairs"
    )
    assert neither.startswith("No significant difference in F1 between good and part: ")
    assert "paired on 99 objects" in neither
    purity = sentences(compare(sides, [("good", "bad")], measures=("purity",)))[0]
    assert purity.startswith("Purity of good is higher")


def test_a_key_of_several_parts_is_one_name(side):
    sets = {("tuned", 50): side(0.05, seed=1), ("tuned", 200): side(0.25, seed=2)}
    table = compare(sets, [(("tuned", 50), ("tuned", 200))], measures=["accuracy"])
    assert table["first"].tolist() == ["tuned, 50"]
    assert "Accuracy of tuned, 50 is higher than that of tuned, 200 by" in sentences(table)[0]


def test_no_pair_gives_no_row(side):
    for table in (compare(side(0.1), []), compare({}, [("x", "y")])):
        assert len(table) == 0
        assert table.colnames[:3] == ["first", "second", "measure"]
        assert sentences(table) == ["This run has nothing to compare here."]


def test_comparisons_that_make_no_sense_are_refused(side):
    sides = {"a": side(0.1, seed=1), "b": side(0.1, seed=2)}
    sides["few"] = side(0.1, seed=1, rows=np.flatnonzero(MEMBER)[:9])
    sides["other"] = side(0.1, seed=1, member=~MEMBER)
    for pair, options, message in (
        (("a", "c"), {}, r"pairs must name two of \('a', 'b', 'few', 'other'\), got \['c'\]"),
        (("a", "a"), {}, "pairs must be of different sides, got"),
        (("a", "b"), {"measures": ("recall",)}, r"measures must be among .*, got \['recall'\]"),
        (("a", "b"), {"correct": "none"}, "correct must be one of .*'measure'.*, got 'none'"),
        (("a", "b"), {"split": "run"}, "got none for 'run'"),
        (("a", "few"), {}, "two positives and two negatives at least, got 9 and 0 of 'a'"),
        (("a", "other"), {}, "truth of 'a' and 'other' must be the same"),
    ):
        with pytest.raises(InputError, match=message):
            compare(sides, [pair], **options)
    with pytest.raises(InputError, match="same objects in the same order"):
        mcnemar([True], [True, False])
    with pytest.raises(InputError, match="two positives and two negatives at least, got 1 and 3"):
        delong([True, False, False, False], np.arange(4) / 4, np.arange(4) / 4)
