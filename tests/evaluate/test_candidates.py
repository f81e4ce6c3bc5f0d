"""Candidates without a network: cuts, classifiers of numbers, and what groups share."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from sklearn.metrics import roc_auc_score

from labkit.errors import InputError
from labkit.evaluate import binary_scores, measure
from labkit.evaluate.candidates import (
    CUTS,
    FOUND,
    baselines,
    candidate_predictions,
    cut_predictions,
    cut_sentence,
    overlap_table,
)
from labkit.finder import Selection
from labkit.predictions import Predictions
from labkit.sample import Sample

C1 = CUTS["C1 cut"]


@pytest.fixture(scope="module")
def table() -> Table:
    """Five hundred candidates; clusters are likely to be more extended, brightness says nothing."""
    rng = np.random.default_rng(3)
    cluster = rng.random(500) < 0.6
    found = Table({"object_id": [f"c{n}" for n in range(500)]})
    found["label"] = np.where(cluster, "low-z cluster", "point source")
    found["split"] = rng.permutation(np.repeat(["train", "validation", "test", ""], [300, 50, 130, 20]))
    found["fitted_extent"] = np.exp(rng.normal(2 + cluster, 0.6))
    found["extension_likelihood"] = rng.normal(30 + 30 * cluster, 40)
    found["detection_likelihood"] = rng.uniform(20, 400, 500)
    found["fitted_counts"] = rng.uniform(50, 500, 500)
    return found


def test_a_cut_is_itself_at_one_half_and_moves_along_its_last_column(table):
    found = cut_predictions(table, dict(C1), experiment="C1")
    rows = table
    passed = np.all([rows[name] > limit for name, limit in C1.items()], axis=0)
    assert ((found.score > 0.5) == passed).all()
    others = (rows["fitted_extent"] > 5) & (rows["detection_likelihood"] > 32)
    moved = np.where(others, np.maximum(rows["extension_likelihood"], 0), 0)
    tested = rows["split"] == "test"
    auc = roc_auc_score(np.asarray(rows["label"] == "low-z cluster")[tested], moved[tested])
    row = measure(found)[0]
    assert row["auc"] == pytest.approx(auc)
    truth = np.asarray(rows["label"] == "low-z cluster")[tested].astype(int)
    scores = binary_scores(truth, passed[tested].astype(float))
    assert (row["purity"], row["completeness"]) == (scores["purity"], scores["completeness"])


def test_cuts_are_those_of_the_finder(table):
    finder = Selection()
    limits = {"fitted_extent": finder.extent, "detection_likelihood": finder.detection_likelihood}
    assert limits | {"extension_likelihood": finder.extension_likelihood} == CUTS["C1 cut"]
    assert limits | {"extension_likelihood": finder.extended} == CUTS["looser cut"]
    strict, loose = (cut_predictions(table, name) for name in CUTS)
    assert (loose.score > 0.5).sum() > (strict.score > 0.5).sum()
    assert measure(strict)["auc"][0] == measure(loose)["auc"][0], "the same cut, moved"
    with pytest.raises(InputError, match="cut must be one of"):
        cut_predictions(table, "C3")


def test_a_sentence_says_what_the_cut_keeps(table):
    row = measure(cut_predictions(table, "C1 cut"), split=None)[0]
    said = cut_sentence(table)
    assert f"keeps {row['completeness']:.0%} of the {row['positives']} clusters among 500" in said
    assert f"{row['purity']:.0%} of what it keeps" in said
    assert "not measured" in cut_sentence(table["object_id", "label", "split"])


def test_baselines_are_named_runs_that_know_what_they_say(table):
    rng = np.random.default_rng(5)
    y, x = np.indices((80, 80)) - 39.5
    light = np.where(table["label"] == "low-z cluster", 6, 0)[:, None, None] * np.exp(-(x**2 + y**2) / 18)
    images = (rng.normal(0, 1, (500, 2, 80, 80)) + light[:, None]).astype(np.float32)
    catalogue = QTable(table)
    catalogue["ra"], catalogue["dec"] = np.zeros(500) * u.deg, np.zeros(500) * u.deg
    sample = Sample(images, catalogue, bands=("xray", "optical"), pixel_scale=5 * u.arcsec)
    found = baselines(sample)
    assert list(found) == [*CUTS, "trees (finder)", "trees (finder, plate)"]
    assert [one.table["experiment"][0] for one in found.values()] == list(found)
    auc = {name: measure(one)["auc"][0] for name, one in found.items()}
    assert auc["trees (finder, plate)"] > 0.95 > auc["trees (finder)"]
    assert baselines(sample.select(bands=("xray",))) == {}
    sample.catalogue.remove_column("fitted_extent")
    assert baselines(sample) == {}


def test_what_was_not_measured_passes_no_cut(table):
    holes = Table(table, copy=True)
    for name in C1:
        holes[name][:] = np.nan
        assert not cut_predictions(holes, C1, experiment="C1").score.any()


def test_a_classifier_learns_from_the_training_split_alone(table):
    found = candidate_predictions(table, FOUND, seeds=(0, 1), experiment="boosting")
    assert len(found) == 2 * 500
    assert {key.seed for key, _ in found.runs()} == {0, 1}
    assert measure(found)["auc"][0] > 0.75
    other = Table(table, copy=True)
    aside = other["split"] != "train"
    other["label"][aside] = "point source"
    again = candidate_predictions(other, FOUND, seeds=(0, 1))
    assert np.array_equal(again.score, found.score)
    blind = candidate_predictions(table, ["fitted_counts"])
    assert 0.3 < measure(blind)["auc"][0] < 0.7


def test_a_classifier_stands_beside_networks_and_knows_other_schemes(table):
    cut = cut_predictions(table, dict(C1), experiment="C1")
    both = Predictions.concatenate([cut, candidate_predictions(table, FOUND, method="random forest",
                                                               options={"n_estimators": 20})])  # fmt: skip
    assert both.positive == "cluster"
    with pytest.raises(InputError, match="must hold every class, got none of .*'high-z cluster'"):
        candidate_predictions(table, FOUND, scheme="five-class")
    with pytest.raises(InputError, match="method must be one of"):
        candidate_predictions(table, FOUND, method="bayesian")


def test_a_venn_diagram_counts_every_object_once():
    found = overlap_table({"experts": ["a", "b", "c"], "Hunt": ["b", "c", "d"], "test": ["c"]})
    parts = {(row["group"], row["part"]): int(row["objects"]) for row in found}
    assert parts == {
        ("experts", "experts + Hunt + test"): 1,
        ("Hunt", "experts + Hunt + test"): 1,
        ("test", "experts + Hunt + test"): 1,
        ("experts", "experts + Hunt"): 1,
        ("Hunt", "experts + Hunt"): 1,
        ("experts", "experts"): 1,
        ("Hunt", "Hunt"): 1,
    }
    assert len(overlap_table({"experts": [], "Hunt": []})) == 0
