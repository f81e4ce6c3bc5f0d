"""Folds: rows of Table 8, scatter that chance explains, labels that networks contradict."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.evaluate import (
    Resampling,
    area_under,
    binary_scores,
    contradicted_labels,
    fold_rocs,
    fold_scatter,
    fold_table,
    join_published,
)
from labkit.evaluate.measures import MEASURES
from labkit.evaluate.resampling import spread
from labkit.predictions import Predictions


def out_of_fold(n=400, *, folds=10, seed=0, right=0.9, shift=0.0, experiment="CN-E"):
    """Predictions that are right with a probability that may change from fold to fold."""
    rng = np.random.default_rng(seed)
    true, fold = rng.random(n) < 0.6, np.arange(n) % folds
    correct = rng.random(n) < right + shift * np.where(fold % 2, 1, -1)
    p = np.where(true == correct, 0.95, 0.05) + rng.uniform(-0.04, 0.04, n)
    parts = [
        Predictions.from_arrays(
            np.array([f"X{i}" for i in range(n)])[here],
            np.column_stack([1 - p, p])[here],
            classes=("non-cluster", "cluster"),
            true=np.where(true, "cluster", "non-cluster")[here],
            experiment=experiment,
            seed=seed,
            fold=f,
            split="test",
            positive="cluster",
        )
        for f in range(folds)
        for here in [fold == f]
    ]
    return Predictions.concatenate(parts)


def test_a_row_a_fold_their_mean_and_all_objects():
    predictions = out_of_fold()
    table = fold_table(predictions, resampling=Resampling(200))
    assert table["fold"].tolist() == [*(str(f) for f in range(1, 11)), "mean", "out of fold"]
    third = predictions.select(fold=2)
    assert table["completeness"][2] == binary_scores(third.true_codes == 1, third.score)["completeness"]
    for metric in MEASURES:
        expected = spread(table[metric][:10])
        assert table[metric][10] == pytest.approx(expected.mean)
        assert table[f"{metric}_std"][10] == pytest.approx(expected.std)
        assert table[f"{metric}_low"][11] < table[metric][11] < table[f"{metric}_high"][11]
    assert table["accuracy"][11] == pytest.approx(np.mean(predictions.decided == predictions.table["true"]))
    assert table["objects"].tolist() == [40] * 10 + [400] * 2


def test_curves_of_folds_have_the_areas_of_the_table():
    predictions = out_of_fold()
    curves, table = fold_rocs(predictions), fold_table(predictions, resampling=Resampling(5))
    assert list(curves) == table["fold"][:10].tolist()
    for curve, expected in zip(curves.values(), table["auc"], strict=False):
        assert area_under(curve) == pytest.approx(expected)


def test_table_8_stands_beside_the_published_one():
    table = fold_table(out_of_fold(), resampling=Resampling(20))
    table = join_published(table, "kosiba2020", "table8", data="simulated")
    assert table["fold"].tolist() == [*(str(n) for n in range(1, 11)), "mean", "out of fold"]
    assert table["accuracy_published"][0] == 0.89
    assert np.isnan(table["accuracy_published"][-1])
    assert np.isnan(table["accuracy_low"][:11]).all()


def test_scatter_by_chance_is_binomial():
    p_values, ratio = [], []
    for seed in range(60):
        row = fold_scatter(out_of_fold(seed=seed))[0]
        assert row["binomial_std"] == pytest.approx(np.sqrt(0.9 * 0.1 / 40), rel=0.35)
        p_values.append(row["p_value"])
        ratio.append(row["std"] / row["binomial_std"])
    assert 0.9 < np.mean(ratio) < 1.1
    assert 0.3 < np.mean(np.array(p_values) < 0.5) < 0.7


def test_scatter_beyond_chance_is_seen():
    table = fold_scatter(out_of_fold(4000, shift=0.08))
    assert table["measure"].tolist() == ["accuracy", "purity", "completeness"]
    assert (table["p_value"] < 1e-3).all()
    assert (table["std"] > 1.5 * table["binomial_std"]).all()
    flawless = fold_scatter(out_of_fold(right=1.1))
    assert np.isnan(flawless["p_value"]).all()


def test_surest_contradictions_come_first():
    predictions = out_of_fold(100)
    table = contradicted_labels(predictions, confidence=0.92)
    by_id = {row["object_id"]: row for row in predictions.table}
    assert 0 < len(table) < np.sum(predictions.decided != predictions.table["true"]) + 1
    assert (np.diff(table["p_label"]) >= 0).all()
    assert (table["p_predicted"] >= 0.92).all()
    assert (table["label"] != table["predicted"]).all()
    for row in table:
        assert by_id[row["object_id"]]["true"] == row["label"]
        assert by_id[row["object_id"]][f"p_{row['label']}"] == pytest.approx(row["p_label"])
    assert len(contradicted_labels(predictions, confidence=1)) == 0


def test_probabilities_are_averaged_spread():
    one = out_of_fold(50)
    other = out_of_fold(50)
    other.table["seed"] = 1
    for name, opposite in (("p_cluster", "p_non-cluster"), ("p_non-cluster", "p_cluster")):
        other.table[name] = one.table[opposite]
    even = contradicted_labels(Predictions.concatenate([one, other]), confidence=0.51)
    assert len(even) == 0


def test_other_predictions_are_refused():
    predictions = out_of_fold(60)
    two = Predictions.concatenate([predictions, out_of_fold(60, seed=1)])
    with pytest.raises(InputError, match="out-of-fold ones of one experiment and seed, got"):
        fold_table(two)
    twice = out_of_fold(60)
    twice.table["fold"] = (twice.table["fold"] + 1) % 10
    with pytest.raises(InputError, match="hold each object once, in its test fold"):
        fold_table(Predictions.concatenate([predictions, twice]))
    with pytest.raises(InputError, match=r"two folds or more, got \[3\]"):
        fold_scatter(predictions.select(fold=3))
    with pytest.raises(InputError, match="confidence must lie in 0 to 1, got 2"):
        contradicted_labels(predictions, confidence=2)
    with pytest.raises(InputError, match=r"of one experiment, got \['CN-E', 'MN-E'\]; select one"):
        contradicted_labels(Predictions.concatenate([predictions, out_of_fold(60, experiment="MN-E")]))
