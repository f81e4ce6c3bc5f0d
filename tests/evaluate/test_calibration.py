"""Soft labels of volunteers against a known truth, before and after calibration."""

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import calibrate_votes, measure
from labkit.votes import vote_predictions


def table_of(p: np.ndarray) -> Table:
    table = Table({"object_id": np.arange(len(p)).astype(str), "n_votes": np.where(np.isnan(p), 0, 3)})
    table["soft_no"], table["soft_yes"] = 1 - p, p
    table["label"] = np.where(np.isnan(p), "", np.where(p > 0.5, "yes", "no"))
    table.meta |= {"classes": ["no", "yes"], "positive": "yes"}
    return table


def test_too_sure_and_biased_probabilities_become_frequencies():
    rng = np.random.default_rng(2)
    evidence = rng.normal(size=3000)
    honest = 1 / (1 + np.exp(-evidence))
    table = table_of(1 / (1 + np.exp(2 - 3 * evidence)))  # log-odds three times too large, and shifted
    table["soft_yes"][-1] = table["soft_no"][-1] = np.nan
    table["n_votes"][-1] = 0
    there = rng.random(3000) < honest
    truth = Table({"object_id": table["object_id"], "label": np.where(there, "yes", "no")})[:2000]
    found = calibrate_votes(table, truth, np.random.default_rng(1))
    assert np.abs(found["soft_yes"] - honest)[:-1][np.abs(evidence[:-1]) < 1].max() < 0.05
    judged = vote_predictions({"before": table, "after": found}, truth)
    before, after = measure(judged, measures=("log_loss",), split=None)["log_loss"]
    assert after < before - 0.1
    assert after < -np.mean(np.log(np.where(there, honest, 1 - honest)[:2000])) + 0.01
    assert np.isnan(found["soft_yes"][-1])
    assert found["label"][-1] == ""
    assert (found["label"][:-1] == np.where(found["soft_yes"][:-1] > 0.5, "yes", "no")).all()
    assert table["label"][5] == ("yes" if table["soft_yes"][5] > 0.5 else "no")  # the input stays
    same = calibrate_votes(table, truth, np.random.default_rng(1))
    np.testing.assert_array_equal(found["soft_yes"], same["soft_yes"])


def test_a_truth_that_is_too_small_is_refused():
    table = table_of(np.full(8, 0.7))
    truth = Table({"object_id": table["object_id"], "label": ["yes"] * 6 + ["no"] * 2})
    with pytest.raises(InputError, match=r"5 objects with votes of two classes at least, got .*'no': 2"):
        calibrate_votes(table, truth, np.random.default_rng(1))
    with pytest.raises(InputError, match="folds must be at least 2, got 1"):
        calibrate_votes(table, truth, np.random.default_rng(1), folds=1)
