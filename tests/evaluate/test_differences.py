import numpy as np
import pytest

from labkit.errors import InputError
from labkit.evaluate.compare import delong, holm, mcnemar
from labkit.evaluate.differences import difference_table
from labkit.predictions import Predictions

N = 120


def run(experiment, quality, *, seed=0, n=N, shuffle=False):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    p = np.clip(0.5 + quality * (truth - 0.5) + rng.normal(0, 0.25, n), 0, 1)
    order = rng.permutation(n) if shuffle else np.arange(n)
    return Predictions.from_arrays(
        np.array([f"o{i:03d}" for i in range(n)])[order],
        np.column_stack([1 - p, p])[order],
        classes=("non-cluster", "cluster"),
        true=np.array(["non-cluster", "cluster"])[truth][order],
        experiment=experiment,
        seed=seed,
        split="test",
        positive="cluster",
    )


def test_a_better_experiment_is_told_from_a_worse_one():
    both = Predictions.concatenate([run("good", 0.8, seed=s) for s in range(3)] + [run("poor", 0.1, seed=5)])
    table = difference_table(both, [("good", "poor"), ("poor", "good")], resamples=400)
    assert table["metric"].tolist() == ["accuracy", "auc"] * 2
    assert (table["low"][:2] > 0).all()
    assert (table["high"][2:] < 0).all()
    np.testing.assert_allclose(table["difference"][:2], -table["difference"][2:])
    assert table["test"].tolist() == ["McNemar", "DeLong"] * 2
    np.testing.assert_allclose(table["p_value"][:2], table["p_value"][2:])
    assert (table["p_value"] < 1e-4).all()


def test_the_tests_are_those_of_the_same_objects_and_corrected_for_the_number_of_pairs():
    parts = [run("a", 0.4, seed=0), run("a", 0.4, seed=1), run("b", 0.3, seed=2), run("c", 0.2, seed=3)]
    table = difference_table(
        Predictions.concatenate(parts),
        [("a", "b"), ("b", "c"), ("a", "c")],
        metrics=("accuracy", "auc", "f1"),
        resamples=200,
    )
    truth = parts[0].true_codes == 1
    scores = np.stack([part.score for part in parts])
    right = (scores > 0.5) == truth
    assert table["p_value"][0] == pytest.approx(mcnemar(right[:2], right[2]).p_value)
    assert table["p_value"][4] == pytest.approx(delong(truth, scores[2], scores[3]).p_value)
    assert table["test"].tolist()[:3] == ["McNemar", "DeLong", "bootstrap"]
    for metric in ("accuracy", "auc", "f1"):
        rows = table[table["metric"] == metric]
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p_value"]))
        assert (rows["p_holm"] >= rows["p_value"]).all()


def test_an_experiment_does_not_differ_from_itself_whatever_the_order_of_rows():
    a, b = run("a", 0.5, seed=3), run("b", 0.5, seed=3, shuffle=False)
    shuffled = Predictions(b.table[np.random.default_rng(0).permutation(N)], b.classes, b.positive)
    table = difference_table(Predictions.concatenate([a, shuffled]), [("a", "b")], resamples=100)
    np.testing.assert_array_equal(table["difference"], 0)
    np.testing.assert_array_equal(table["low"], 0)


def test_what_cannot_be_compared_is_refused():
    both = Predictions.concatenate([run("a", 0.5), run("b", 0.5, n=100)])
    with pytest.raises(InputError, match="'a' and 'b' must be measured on the same objects"):
        difference_table(both, [("a", "b")])
    with pytest.raises(InputError, match=r"experiment must be one of \['a', 'b'\].* got 'c'"):
        difference_table(both, [("a", "c")])
    mixed = Predictions.concatenate([run("a", 0.5), run("a", 0.5, seed=1, n=100)])
    with pytest.raises(InputError, match="runs of 'a' must be on the same objects"):
        difference_table(mixed, [("a", "a")])


def test_one_experiment_alone_has_no_pairs():
    table = difference_table(run("a", 0.5), [])
    assert len(table) == 0
    assert table.colnames[:3] == ["first", "second", "metric"]
