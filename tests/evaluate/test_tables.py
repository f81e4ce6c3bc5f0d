"""Summaries of predictions: runs, experiments, classes."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.evaluate.class_tables import class_table
from labkit.evaluate.intervals import over_seeds
from labkit.evaluate.metrics import binary_scores
from labkit.evaluate.tables import METRICS, as_text, run_table, summary_table
from labkit.predictions import Predictions

CLASSES = ("non-cluster", "cluster")
TRUE = np.repeat(["cluster", "non-cluster"], 40)
IDS = np.array([f"X{i}" for i in range(80)])


def _run(experiment, seed, *, noise=0.3, order=None, split="test", fold=-1):
    rng = np.random.default_rng([seed, len(experiment)])
    p = np.clip(rng.normal(np.where(TRUE == "cluster", 0.7, 0.3), noise), 0, 1)
    order = np.arange(80) if order is None else order
    return Predictions.from_arrays(
        IDS[order],
        np.column_stack([1 - p, p])[order],
        classes=CLASSES,
        true=TRUE[order],
        experiment=experiment,
        seed=seed,
        split=split,
        fold=fold,
        positive="cluster",
    )


@pytest.fixture
def predictions():
    runs = [_run(name, seed, noise=noise) for name, noise in (("A", 0.2), ("BB", 0.5)) for seed in range(3)]
    return Predictions.concatenate([*runs, _run("A", 0, split="train")])


def test_run_table_measures_each_run(predictions):
    table = run_table(predictions)
    assert table["experiment"].tolist() == ["A"] * 3 + ["BB"] * 3
    assert table["seed"].tolist() == [0, 1, 2] * 2
    part = predictions.select(experiment="A", seed=1, split="test")
    scores = binary_scores(part.true_codes == 1, part.score)
    assert table[1]["auc"] == scores.auc
    assert table[1]["tp"] == scores.tp
    assert set(table["objects"]) == {80}


def test_summary_is_mean_and_spread_of_the_runs(predictions):
    runs, summary = run_table(predictions), summary_table(predictions)
    assert summary["experiment"].tolist() == ["A", "BB"]
    assert summary["runs"].tolist() == [3, 3]
    for metric in METRICS:
        expected = over_seeds(runs[metric][:3])
        row = summary[0]
        assert row[metric] == pytest.approx(expected.mean)
        assert row[f"{metric}_std"] == pytest.approx(expected.std)
        assert row[f"{metric}_low"] == pytest.approx(expected.interval.low)
    assert summary.meta == {"split": "test", "interval": "seeds", "confidence": 0.95}


def test_single_run_has_no_spread_but_an_interval_over_objects():
    one = _run("A", 0)
    assert np.isnan(summary_table(one)["auc_std"][0])
    assert np.isnan(summary_table(one)["auc_low"][0])
    row = summary_table(one, interval="objects", rng=3)[0]
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert row["accuracy_high"] - row["accuracy_low"] < 0.25


def test_intervals_over_objects_do_not_depend_on_the_order_of_rows():
    straight = [_run("A", seed) for seed in range(2)]
    shuffled = [straight[0], _run("A", 1, order=np.random.default_rng(0).permutation(80))]
    tables = [
        summary_table(Predictions.concatenate(p), interval="objects", rng=0, resamples=200)
        for p in (straight, shuffled)
    ]
    for metric in METRICS:
        assert tables[0][f"{metric}_low"][0] == pytest.approx(tables[1][f"{metric}_low"][0])


def test_intervals_over_objects_need_the_same_objects():
    half = _run("A", 1, fold=1).select(np.arange(80) % 2 == 0)
    with pytest.raises(InputError, match="same objects in every run .*choose interval='seeds'"):
        summary_table(Predictions.concatenate([_run("A", 0, fold=0), half]), interval="objects")


def test_objects_of_unknown_class_are_left_out():
    part = _run("A", 0)
    part.table["true"][:10] = ""
    assert run_table(part)["objects"].tolist() == [70]
    part.table["true"] = ""
    with pytest.raises(InputError, match=r"objects of known class, got none for 'test'"):
        run_table(part)


def test_split_must_be_there(predictions):
    assert len(run_table(predictions, split="train")) == 1
    with pytest.raises(InputError, match=r"got none for 'validation'; splits present: \['test', 'train'\]"):
        summary_table(predictions, split="validation")
    with pytest.raises(InputError, match="interval must be 'seeds' or 'objects', got 'both'"):
        summary_table(predictions, interval="both")


def _three_classes():
    rng = np.random.default_rng(8)
    p = rng.dirichlet([1, 1, 1], 90)
    true = np.repeat(["a", "b", "c"], 30)
    ids = [f"Y{i}" for i in range(90)]
    return Predictions.from_arrays(ids, p, classes=("a", "b", "c"), true=true, experiment="E", split="test")


def test_several_classes_one_at_a_time():
    predictions = _three_classes()
    table = class_table(predictions)
    assert table["class"].tolist() == ["a", "b", "c"]
    row = summary_table(predictions, positive="b")[0]
    for metric in METRICS:
        assert row[metric] == pytest.approx(table[metric][1])
    with pytest.raises(InputError, match=r"positive must be one of \('a', 'b', 'c'\), got 'd'"):
        summary_table(predictions, positive="d")


def test_all_classes_together_where_none_is_the_positive_one():
    predictions = _three_classes()
    table, row = class_table(predictions), summary_table(predictions, interval="objects", rng=1)[0]
    assert row["accuracy"] == np.mean(predictions.decided == predictions.table["true"])
    for metric in ("precision", "recall", "f1", "auc"):
        assert row[metric] == pytest.approx(table[metric].mean())
        assert row[f"{metric}_low"] < row[metric] < row[f"{metric}_high"]
    assert run_table(predictions)["accuracy"][0] == row["accuracy"]


def test_text_for_people(predictions):
    text = as_text(summary_table(predictions), digits=2)
    row = summary_table(predictions)[0]
    expected = f"{row['auc']:.2f} ± {row['auc_std']:.2f} [{row['auc_low']:.2f}, {row['auc_high']:.2f}]"
    assert text["auc"][0] == expected
    assert text.colnames == ["experiment", "runs", "objects", *METRICS]
    single = as_text(summary_table(_run("A", 0)), digits=1)
    assert "±" not in single["auc"][0]
    assert "[" not in single["auc"][0]
    nothing = _run("A", 0)
    nothing.table["p_cluster"], nothing.table["p_non-cluster"] = 0.1, 0.9
    assert as_text(summary_table(nothing))["precision"][0] == "undefined"
