"""Table 1: verdicts of volunteers against those of experts."""

from __future__ import annotations

import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import beside_experts, vote_scores

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


def test_experts_stand_beside_the_votes():
    table = beside_experts(VOTES, CATALOGUE)
    assert table["object_id"].tolist() == VOTES["object_id"].tolist()
    assert table["expert"].tolist() == ["", "non-cluster", "", "cluster", "cluster", ""]
    assert table["split"].tolist() == ["train", "test", "", "train", "test", ""]
    assert "expert" not in VOTES.colnames


def test_scores_are_over_the_experts_objects_and_the_test_split():
    scores = vote_scores({"weighted": beside_experts(VOTES, CATALOGUE)})
    assert scores["data_set"].tolist() == ["3 objects", "2 objects"]
    whole, test = scores
    assert (whole["tp"], whole["tn"], whole["fp"], whole["fn"]) == (1, 1, 0, 1)
    assert (test["tp"], test["tn"], test["fp"], test["fn"]) == (0, 1, 0, 1)
    assert whole["precision"] == 1
    assert whole["recall"] == 0.5
    assert whole["auc"] == pytest.approx(0.5)


def test_without_experts_there_are_no_scores():
    catalogue = CATALOGUE.copy()
    catalogue["label"] = ""
    catalogue.remove_column("split")
    scores = vote_scores({"majority": beside_experts(VOTES, catalogue)})
    assert len(scores) == 0
    assert {"data_set", "tp", "auc"} <= set(scores.colnames)


def test_votes_alone_are_refused():
    with pytest.raises(InputError, match="must come from beside_experts"):
        vote_scores({"weighted": VOTES})
