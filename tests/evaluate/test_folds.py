"""Folds: rows of Table 8, scatter that chance explains, labels that networks contradict."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import (
    Resampling,
    area_under,
    binary_scores,
    contradicted_labels,
    fold_rocs,
    fold_scatter,
    fold_table,
    folds_of,
    join_published,
    leak,
    photometric_folds,
)
from labkit.evaluate.metrics import MEASURES
from labkit.evaluate.resampling import spread
from labkit.predictions import Predictions


@pytest.fixture(scope="module")
def out_of_fold(made):
    """Predictions that are right with a probability that may change from fold to fold."""

    def make(n=400, *, seed=0, right=0.9, shift=0.0, name="CN-E"):
        rng = np.random.default_rng(seed)
        true, fold = rng.random(n) < 0.6, np.arange(n) % 10
        correct = rng.random(n) < right + shift * np.where(fold % 2, 1, -1)
        p = np.where(true == correct, 0.95, 0.05) + rng.uniform(-0.04, 0.04, n)
        classes = ("non-cluster", "cluster")
        return made.in_folds(p, true, folds=10, seed=seed, name=name, classes=classes)

    return make


def test_one_row_per_fold_their_mean_and_all_objects(out_of_fold):
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
    curves = fold_rocs(predictions)
    assert list(curves) == table["fold"][:10].tolist()
    for curve, expected in zip(curves.values(), table["auc"], strict=False):
        assert area_under(curve) == pytest.approx(expected)
    table = join_published(table, "kosiba2020", "table8", data="simulated")
    assert table["fold"].tolist() == [*(str(n) for n in range(1, 11)), "mean", "out of fold"]
    assert table["accuracy_published"][0] == 0.89
    assert np.isnan(table["accuracy_published"][-1])
    assert np.isnan(table["accuracy_low"][:11]).all()


def test_scatter_by_chance_is_binomial(out_of_fold):
    p_values, ratio = [], []
    for seed in range(40):
        row = fold_scatter(out_of_fold(seed=seed))[0]
        assert row["binomial_std"] == pytest.approx(np.sqrt(0.9 * 0.1 / 40), rel=0.35)
        p_values.append(row["p_value"])
        ratio.append(row["std"] / row["binomial_std"])
    assert 0.9 < np.mean(ratio) < 1.1
    assert 0.3 < np.mean(np.array(p_values) < 0.5) < 0.7


def test_scatter_beyond_chance_is_seen(out_of_fold):
    table = fold_scatter(out_of_fold(4000, shift=0.08))
    assert table["measure"].tolist() == ["accuracy", "purity", "completeness"]
    assert (table["p_value"] < 1e-3).all()
    assert (table["std"] > 1.5 * table["binomial_std"]).all()
    flawless = fold_scatter(out_of_fold(right=1.1))
    assert np.isnan(flawless["p_value"]).all()


def test_surest_contradictions_come_first(out_of_fold):
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


def test_probabilities_are_averaged_over_runs(out_of_fold):
    one = out_of_fold(50)
    other = out_of_fold(50)
    other.table["seed"] = 1
    for name, opposite in (("p_cluster", "p_non-cluster"), ("p_non-cluster", "p_cluster")):
        other.table[name] = one.table[opposite]
    even = contradicted_labels(Predictions.concatenate([one, other]), confidence=0.51)
    assert len(even) == 0


def test_other_predictions_are_refused(out_of_fold):
    predictions = out_of_fold(60)
    two = Predictions.concatenate([predictions, out_of_fold(60, seed=1)])
    twice = out_of_fold(60)
    twice.table["fold"] = (twice.table["fold"] + 1) % 10
    twice = Predictions.concatenate([predictions, twice])
    others = Predictions.concatenate([predictions, out_of_fold(60, name="MN-E")])
    for call, message in (
        (lambda: fold_table(two), "out-of-fold ones of one experiment and seed, got"),
        (lambda: fold_table(twice), "hold each object once, in its test fold"),
        (lambda: fold_scatter(predictions.select(fold=3)), r"two folds or more, got \[3\]"),
        (lambda: contradicted_labels(predictions, confidence=2), "confidence must lie in 0 to 1, got 2"),
        (lambda: contradicted_labels(others), r"of one experiment, got \['CN-E', 'MN-E'\]; select one"),
        (lambda: folds_of(twice, ["G0000"]), "must test each object in one fold"),
        (lambda: photometric_folds([*"ab"], folds=2), "labels must be known to the scheme 'member'"),
        (
            lambda: leak(CATALOGUE, CLUSTER, ["flare"]),
            r"catalogue must have the columns .* \['flare'\] missing",
        ),
        (
            lambda: leak(CATALOGUE, np.arange(400) < 2, []),
            "five objects of each class or more, got 2 and 398",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


RNG = np.random.default_rng(4)
CLUSTER = RNG.random(400) < 0.6
CATALOGUE = QTable(
    {"exposure": RNG.uniform(5, 20, 400) * u.ks, "leaking": RNG.normal(0, 1, 400) + 1.5 * CLUSTER}
)


def test_what_is_independent_does_not_tell_and_what_depends_does():
    assert abs(leak(CATALOGUE, CLUSTER, ["exposure"]).sigmas) < 3
    found = leak(CATALOGUE, CLUSTER, ["exposure", "leaking"])
    assert found.auc > 0.75
    assert found.sigmas > 8
    ordered = np.sort(CLUSTER)[np.argsort(np.arange(400) % 2, kind="stable")]
    assert leak(CATALOGUE, ordered, ["exposure"]).sigmas > 3, "the order of the rows is looked at"
    grouped = Table({"field": np.arange(400) // 5, "exposure": RNG.random(80).repeat(5)})
    alike = (RNG.random(80) < 0.5).repeat(5)  # what a field holds is of one class: rows do not count apart
    assert abs(leak(grouped, alike, ["exposure"], group_by="field").sigmas) < 3
    assert leak(grouped, alike, ["exposure"]).noise < 0.7 * leak(grouped, alike, [], group_by="field").noise
    assert leak(grouped, grouped["exposure"] > 0.5, ["exposure"], group_by="field").auc > 0.95
    with pytest.raises(InputError, match="five groups or more, got 4"):
        leak(Table({"field": np.arange(400) % 4}), CLUSTER, [], group_by="field")
    shuffles = [leak(CATALOGUE[:100], RNG.permutation(CLUSTER[:100]), ["exposure"]).sigmas for _ in range(3)]
    assert np.abs(shuffles).max() < 3.5, "noise is that of guessing"
