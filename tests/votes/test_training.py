"""Volunteers' labels to train on."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.votes import KOSIBA_VALIDATION, training_labels


def votes(clusters: int, others: int) -> QTable:
    number = clusters + others
    soft = np.r_[np.full(clusters, 0.7), np.full(others, 0.2)]
    table = QTable({"object_id": [f"O{row:04d}" for row in range(number)]})
    table["n_votes"] = np.full(number, 30)
    table["soft_non-cluster"], table["soft_cluster"] = 1 - soft, soft
    table["label"] = np.where(soft > 0.5, "cluster", "non-cluster")
    table["agreement"] = np.maximum(soft, 1 - soft)
    table.meta["classes"] = ["non-cluster", "cluster"]
    return table


def sizes(labels: QTable) -> dict[tuple[str, str], int]:
    pairs, counts = np.unique([f"{row['split']}/{row['label']}" for row in labels], return_counts=True)
    return dict(zip(map(str, pairs), counts.tolist(), strict=True))


def test_the_papers_numbers_come_out():
    given = votes(506, 1094)
    tested = [*given["object_id"][:56], *given["object_id"][506:620]]
    labels = training_labels(given, np.random.default_rng(0), exclude=tested)
    assert sizes(labels) == {
        "train/cluster": 320,
        "train/non-cluster": 880,
        "validation/cluster": 130,
        "validation/non-cluster": 100,
    }
    assert set(labels["object_id"]).isdisjoint(tested)
    assert labels.colnames[:5] == ["object_id", "label", "split", "soft_non-cluster", "soft_cluster"]


def test_small_hunts_keep_two_thirds_for_training():
    labels = training_labels(votes(30, 60), np.random.default_rng(0))
    assert sizes(labels)["validation/cluster"] == 10
    assert sizes(labels)["validation/non-cluster"] == 20
    assert sizes(training_labels(votes(2, 2), np.random.default_rng(0))) == dict.fromkeys(
        ("train/cluster", "train/non-cluster", "validation/cluster", "validation/non-cluster"), 1
    )


def test_the_choice_is_random_and_repeatable():
    one, again, other = (training_labels(votes(60, 60), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one["split"] == again["split"]).all()
    assert (one["split"] != other["split"]).any()
    assert dict(KOSIBA_VALIDATION) == {"cluster": 130, "non-cluster": 100}


def test_objects_without_votes_are_left_out():
    given = votes(5, 5)
    given["label"][0] = ""
    assert "O0000" not in training_labels(given, np.random.default_rng(0))["object_id"]


def test_what_cannot_be_labelled_is_refused():
    given = votes(3, 3)
    with pytest.raises(InputError, match="validation must name classes of the votes"):
        training_labels(given, np.random.default_rng(0), validation={"star": 3})
    with pytest.raises(InputError, match="labelled objects that are not excluded, got none of 6"):
        training_labels(given, np.random.default_rng(0), exclude=given["object_id"].tolist())
