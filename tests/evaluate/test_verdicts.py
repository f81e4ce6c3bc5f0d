"""Table 1: verdicts of volunteers against those of experts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import vote_predictions, vote_table

CATALOGUE = Table(
    {
        "object_id": ["a", "b", "c", "d", "e"],
        "label": ["low-z cluster", "high-z cluster", "artefact", "", "dubious"],
        "split": ["train", "test", "test", "", "train"],
    }
)
VOTES = Table(
    {
        "object_id": ["e", "c", "z", "a", "b", "d"],
        "label": ["cluster", "non-cluster", "cluster", "cluster", "", "cluster"],
        "soft_cluster": [0.9, 0.1, 0.8, 0.7, float("nan"), 0.6],
    }
)


def test_the_experts_word_is_the_truth_of_the_votes():
    found = vote_predictions({"weighted": VOTES}, CATALOGUE)["weighted"]
    assert found.table["object_id"].tolist() == VOTES["object_id"].tolist()
    assert found.table["true"].tolist() == ["", "non-cluster", "", "cluster", "cluster", ""]
    assert found.table["split"].tolist() == ["train", "test", "", "train", "test", ""]
    assert found.score.tolist() == [0.9, 0.1, 0.8, 0.7, 0.0, 0.6], "no votes: no cluster"
    assert found.positive == "cluster"


def test_a_tie_goes_the_way_of_its_label():
    ties = Table({"object_id": ["a", "c"], "label": ["cluster", "non-cluster"], "soft_cluster": [0.5, 0.5]})
    found = vote_predictions({"majority": ties}, CATALOGUE)["majority"]
    assert (found.score > 0.5).tolist() == [True, False]
    np.testing.assert_allclose(found.score, 0.5)


def test_scores_are_over_the_experts_objects_and_the_test_split():
    scores = vote_table(vote_predictions({"weighted": VOTES}, CATALOGUE))
    assert scores["data_set"].tolist() == ["3 objects", "2 objects"]
    whole, test = scores
    assert (whole["tp"], whole["tn"], whole["fp"], whole["fn"]) == (1, 1, 0, 1)
    assert (test["tp"], test["tn"], test["fp"], test["fn"]) == (0, 1, 0, 1)
    assert (whole["purity"], whole["completeness"]) == (1, 0.5)
    assert whole["auc"] == pytest.approx(0.5)


def test_without_experts_there_are_no_scores():
    catalogue = CATALOGUE.copy()
    catalogue["label"] = ""
    catalogue.remove_column("split")
    scores = vote_table(vote_predictions({"majority": VOTES}, catalogue))
    assert len(scores) == 0
    assert {"data_set", "tp", "auc"} <= set(scores.colnames)


def test_other_tables_are_refused():
    with pytest.raises(InputError, match=r"votes\['x'\] must come from labkit.votes.consensus, it lacks"):
        vote_predictions({"x": CATALOGUE}, CATALOGUE)
