"""Completeness by group."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.evaluate import recall_by, wilson
from labkit.predictions import Predictions


def predictions(n=40):
    p = np.linspace(0, 1, n)
    return Predictions.from_arrays(
        [f"X{i}" for i in range(n)],
        np.column_stack([1 - p, p]),
        classes=("non-cluster", "cluster"),
        true=np.where(np.arange(n) % 4 == 0, "non-cluster", "cluster"),
        experiment="E",
        positive="cluster",
    )


def test_recall_of_each_group_with_its_interval():
    groups = np.where(np.arange(40) < 30, "train", "test")
    table = recall_by(predictions(), groups)
    assert table["group"].tolist() == ["train", "test"]
    found = predictions()
    for row in table:
        here = (groups == row["group"]) & (found.table["true"] == "cluster")
        hits = int((found.score[here] > 0.5).sum())
        assert (row["positives"], row["recall"]) == (here.sum(), hits / here.sum())
        bounds = wilson(hits, int(here.sum()))
        assert (row["low"], row["high"]) == (bounds.low, bounds.high)


def test_groups_without_positives_have_no_row():
    none = predictions().select(np.arange(40) % 4 == 0)
    assert len(recall_by(none, ["a"] * 10)) == 0
    with pytest.raises(InputError, match=r"groups must have one value a row, 40, got the shape \(3,\)"):
        recall_by(predictions(), ["a", "b", "c"])
