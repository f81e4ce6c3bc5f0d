from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import check_members, complete_members, completion_counts, member_groups
from labkit.predictions import Predictions


def predictions(ids, p, *, seed=0, fold=-1):
    p = np.asarray(p, dtype=float)
    return Predictions.from_arrays(
        ids,
        np.column_stack([1 - p, p]),
        classes=("non-member", "member"),
        true=[""] * len(p),
        experiment="VGG",
        seed=seed,
        fold=fold,
        positive="member",
    )


@pytest.fixture
def catalogue():
    """Seven sources of two clusters: two with spectra, five of the run set."""
    return QTable(
        {
            "object_id": list("abcdefg"),
            "label": ["member", "non-member", "", "", "", "", ""],
            "cluster": ["A", "A", "A", "A", "A", "B", "B"],
            "mag_F814": [26.0, 20.0, 22.0, 25.5, 25.0, np.nan, 21.0] * u.mag,
        }
    )


def test_spectra_decide_first_and_the_network_down_to_the_limit(catalogue):
    p = predictions(list("abcdef"), [0.1, 0.99, 0.8, 0.9, 0.95, 0.9])
    table = complete_members(catalogue, p)
    assert table["member_by"].tolist() == ["spectroscopy", "", "network", "", "network", "", ""]
    assert table["probability"][1] == pytest.approx(0.99)
    assert np.isnan(table["probability"][6])
    assert table["object_id"].tolist() == list("abcdefg")
    assert "member_by" not in catalogue.colnames
    deeper = complete_members(catalogue, p, limit=26, threshold=0.85)
    assert deeper["member_by"].tolist() == ["spectroscopy", "", "", "network", "network", "", ""]


def test_probabilities_are_means_over_trainings_and_the_threshold_is_excluded(catalogue):
    two = Predictions.concatenate(
        [predictions(list("cg"), [0.9, 0.4], seed=0), predictions(list("gc"), [0.6, 0.3], seed=1)]
    )
    table = complete_members(catalogue, two)
    np.testing.assert_allclose(table["probability"][[2, 6]], [0.6, 0.5])
    assert table["member_by"][[2, 6]].tolist() == ["network", ""]


def test_counts_by_cluster_add_up(catalogue):
    table = complete_members(catalogue, predictions(list("bcdef"), [0.9, 0.95, 0.8, 0.6, 0.9]))
    counts = completion_counts(table)
    assert counts["cluster"].tolist() == ["A", "B", "all"]
    rows = {name: counts[name].tolist() for name in counts.colnames[1:]}
    assert rows == {
        "spectroscopic_members": [1, 0, 1],
        "spectroscopic_non_members": [1, 0, 1],
        "run": [3, 1, 4],
        "unjudged": [0, 1, 1],
        "network_members": [2, 0, 2],
        "sure": [1, 0, 1],
        "too_faint": [1, 1, 2],
        "members": [3, 0, 3],
    }
    table.remove_column("cluster")
    assert completion_counts(table)["cluster"].tolist() == ["all"]
    with pytest.raises(InputError, match=r"completed must come from complete_members, got no columns"):
        completion_counts(catalogue)


def test_what_does_not_belong_together_is_named(catalogue):
    p = predictions(["c"], [0.9])
    with pytest.raises(InputError, match=r"got none for \['mag_I'\]; name the column of magnitudes"):
        complete_members(catalogue, p, magnitude="mag_I")
    with pytest.raises(InputError, match="predictions must judge sources of the catalogue, got none"):
        complete_members(catalogue, predictions(["z"], [0.9]))
    plain = Table({"object_id": ["c"], "label": [""], "mag_F814": np.ma.array([20.0], mask=[True])})
    assert complete_members(plain, p)["member_by"].tolist() == [""]


def test_groups_of_figures_say_who_decided(catalogue):
    table = complete_members(catalogue, predictions(list("bcdef"), [0.99, 0.8, 0.1, 0.2, 0.9]))
    expected = ["spectroscopic member", "non-member", "candidate member", "", "candidate non-member", "", ""]
    assert member_groups(table).tolist() == expected
    with pytest.raises(InputError, match="completed must come from complete_members"):
        member_groups(catalogue)


def test_a_candidate_without_counterpart_is_no_true_member():
    place = np.arange(5) * u.arcmin
    table = QTable({"object_id": list("abcde"), "label": ["member", "", "", "", ""], "cluster": ["A"] * 5})
    table["mag_F814"], table["ra"], table["dec"] = [21.0] * 5 * u.mag, place, 0 * place
    table = complete_members(table, predictions(list("bcde"), [0.9, 0.9, 0.9, 0.2]))
    truth = QTable({"ra": place[[0, 1, 3, 4]], "dec": [0.0, 0.2, 0.0, 0.0] * u.arcsec})
    truth["member"] = [True, True, False, True]
    found = check_members(table, {"A": truth})
    rows = {(row["cluster"], row["group"]): row for row in found}
    one = rows["A", "candidate member"]
    assert (one["sources"], one["true_members"], one["no_counterpart"]) == (3, 1, 1)
    assert one["share"] == pytest.approx(1 / 3), "not one half: c is a piece of nothing"
    assert rows["A", "spectroscopic member"]["share"] == 1
    assert rows["A", "candidate non-member"]["true_members"] == 1
    assert [rows["all", "candidate member"][n] for n in found.colnames[2:]] == [
        one[n] for n in found.colnames[2:]
    ]
    assert len(check_members(table, {})) == 0
