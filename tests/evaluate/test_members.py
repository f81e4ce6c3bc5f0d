"""Galaxies of clusters: parts, crowded cut-outs, and the catalogue that a network completed."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import (
    Resampling,
    binary_scores,
    check_members,
    complete_members,
    completion_counts,
    contamination_by_outcome,
    contamination_index,
    galaxy_parts,
    magnitude_and_colour_cuts,
    measure,
    member_groups,
)
from labkit.predictions import Predictions


def test_each_cluster_is_split_at_its_own_magnitude_and_by_colour(made):
    member, score, catalogue = made.field(80, error=0.25)
    a = np.asarray(catalogue["cluster"]) == "A"
    catalogue["mag_F814"] = np.arange(80) * 0.01 + np.where(a, 20, 23)
    catalogue["differential_colour"] = np.where(np.arange(80) % 2, 0.0, -0.162)
    found = made.predicted(score, member)
    parts = galaxy_parts(found, catalogue)
    for here in (a, ~a):
        halves = [int((parts[kind] & member & here).sum()) for kind in ("bright", "faint")]
        assert abs(halves[0] - halves[1]) <= 1, "equal parts of the members"
    assert (parts["bluer"] == (catalogue["differential_colour"] < -0.16)).all()
    options = {"parts": parts, "on": catalogue, "total": "stacked", "resampling": Resampling(0)}
    table = measure(found, by=("cluster", "part"), **options)
    mask = parts["bright"] & a
    row = table[(table["cluster"] == "A") & (table["part"] == "bright")][0]
    assert row["f1"] == pytest.approx(binary_scores(member[mask], score[mask])["f1"])
    assert table["objects"][table["cluster"] == "stacked"].tolist() == [m.sum() for m in parts.values()]
    again = galaxy_parts({"x": found}, catalogue, blue_below=-0.165)
    assert not again["bluer"].any()
    assert (again["faint"] == parts["faint"]).all()
    assert not any(part.any() for part in galaxy_parts({}, catalogue).values())
    catalogue["mag_F814"][a] = np.nan
    with pytest.raises(InputError, match="catalogue must have a member of 'A' with a mag_F814, got none"):
        galaxy_parts(found, catalogue)


def test_cuts_by_magnitude_and_colour_leave_unknown_values_out():
    cuts = magnitude_and_colour_cuts([20.0, 21, 22, 26, 24, np.nan], [0.1, -0.1, -0.3, -0.7, np.nan, 0.0])
    assert [int(mask.sum()) for mask in cuts.values()] == [6, 4, 1, 1, 3, 2, 3]
    assert list(cuts)[-1] == "magnitude < 25, colour >= -0.5"


def test_contamination_is_the_published_sum():
    arcsec, place = 1 / 3600, np.array([0, 0, 2, 3, 0])
    sources = Table({"ra": [10.0, 10.0 + arcsec, 10.0, 10.0, 20.0], "dec": place * arcsec})
    sources["mag_F814"] = [20.0, 25.0, 24.0, 22.0, np.nan]
    targets = Table({"ra": [10.0, 10.0 + arcsec, 20.0 + arcsec], "dec": [0.0, 0.0, 0.0]})
    found = contamination_index(targets, sources)
    assert found["contaminants"].tolist() == [2, 2, 0]  # 3" lies outside, a source without magnitude is none
    expected = [1 / 25 + 1 / (2 * 24), 1 / 20 + 1 / (np.sqrt(5) * 24), 0]
    np.testing.assert_allclose(found["index"], expected, rtol=1e-5)
    assert found["normalised"].max() == 1
    bright = contamination_index(targets, sources, faintest=24.5)
    assert bright["contaminants"].tolist() == [1, 2, 0]
    assert contamination_index(targets, sources, faintest=24.0)["contaminants"].tolist() == [0, 1, 0]
    assert contamination_index(targets, sources[:0])["normalised"].tolist() == [0, 0, 0]
    corner = Table({"ra": [0.0, 2 * arcsec], "dec": [0.0, 2 * arcsec], "mag_F814": [20.0, 20.0]})
    assert contamination_index(corner[:1], corner)["contaminants"][0] == 1, "the cut-out is a square"
    with pytest.raises(InputError, match=r"sources must have the columns .* \['mag_F814'\] missing"):
        contamination_index(targets, targets)
    with pytest.raises(InputError, match="size_arcsec must be positive, got 0"):
        contamination_index(targets, sources, size_arcsec=0)


def test_contamination_by_outcome(made):
    cnn = made.predicted([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.1], np.arange(8) < 4)
    table = contamination_by_outcome(cnn, [0.2, 0, 0.4, 0, 0.5, 0, 0, 0.1])
    assert table["outcome"].tolist() == ["TP", "TN", "FP", "FN"]
    np.testing.assert_allclose(table["contaminated"], [2 / 3, 1 / 3, 1, 0])
    assert table["median"][0] == pytest.approx(0.3)
    assert np.isnan(table["median"][3])
    with pytest.raises(InputError, match="index must have one value per row, 8"):
        contamination_by_outcome(cnn, [0.1])


@pytest.fixture
def catalogue():
    """Seven sources of two clusters: two with spectra, five of the run set."""
    labels = ["member", "non-member", *[""] * 5]
    table = QTable({"object_id": list("abcdefg"), "label": labels, "cluster": [*"AAAAABB"]})
    table["mag_F814"] = [26.0, 20.0, 22.0, 25.5, 25.0, np.nan, 21.0] * u.mag
    return table


def test_spectra_decide_first_and_the_network_down_to_the_limit(catalogue, made):
    p = made.predicted([0.1, 0.99, 0.8, 0.9, 0.95, 0.9], ids=list("abcdef"))
    table = complete_members(catalogue, p)
    assert table["member_by"].tolist() == ["spectroscopy", "", "network", "", "network", "", ""]
    assert table["probability"][1] == pytest.approx(0.99)
    assert np.isnan(table["probability"][6])
    assert table["object_id"].tolist() == list("abcdefg")
    assert "member_by" not in catalogue.colnames
    deeper = complete_members(catalogue, p, limit=26, threshold=0.85)
    assert deeper["member_by"].tolist() == ["spectroscopy", "", "", "network", "network", "", ""]
    plain = Table({"object_id": ["c"], "label": [""], "mag_F814": np.ma.array([20.0], mask=[True])})
    assert complete_members(plain, p)["member_by"].tolist() == [""]


def test_probabilities_are_means_over_trainings_and_the_threshold_is_excluded(catalogue, made):
    first, second = made.predicted([0.9, 0.4], ids=[*"cg"]), made.predicted([0.6, 0.3], ids=[*"gc"], seed=1)
    table = complete_members(catalogue, Predictions.concatenate([first, second]))
    np.testing.assert_allclose(table["probability"][[2, 6]], [0.6, 0.5])
    assert table["member_by"][[2, 6]].tolist() == ["network", ""]


def test_counts_by_cluster_add_up(catalogue, made):
    table = complete_members(catalogue, made.predicted([0.9, 0.95, 0.8, 0.6, 0.9], ids=[*"bcdef"]))
    counts = completion_counts(table)
    assert counts["cluster"].tolist() == ["A", "B", "all"]
    assert {name: counts[name].tolist() for name in counts.colnames[1:]} == {
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


def test_groups_of_figures_say_who_decided(catalogue, made):
    table = complete_members(catalogue, made.predicted([0.99, 0.8, 0.1, 0.2, 0.9], ids=[*"bcdef"]))
    expected = ["spectroscopic member", "non-member", "candidate member", "", "candidate non-member", "", ""]
    assert member_groups(table).tolist() == expected


def test_what_does_not_belong_together_is_named(catalogue, made):
    p = made.predicted([0.9], ids=["c"])
    with pytest.raises(InputError, match=r"\['mag_I'\] missing; name the column of magnitudes"):
        complete_members(catalogue, p, magnitude="mag_I")
    with pytest.raises(InputError, match="predictions must judge sources of the catalogue, got none"):
        complete_members(catalogue, made.predicted([0.9], ids=["z"]))
    for call in (completion_counts, member_groups):
        with pytest.raises(InputError, match=r"completed must have .* it must come from complete_members"):
            call(catalogue)


def test_a_candidate_without_counterpart_is_no_true_member(made):
    place = np.arange(5) * u.arcmin
    table = QTable({"object_id": list("abcde"), "label": ["member", "", "", "", ""], "cluster": ["A"] * 5})
    table["mag_F814"], table["ra"], table["dec"] = [21.0] * 5 * u.mag, place, 0 * place
    table = complete_members(table, made.predicted([0.9, 0.9, 0.9, 0.2], ids=list("bcde")))
    truth = QTable({"ra": place[[0, 1, 3, 4]], "dec": [0.0, 0.2, 0.0, 0.0] * u.arcsec})
    truth["member"] = [True, True, False, True]
    found = check_members(table, {"A": truth})
    rows = {(row["cluster"], row["group"]): row for row in found}
    one, whole = rows["A", "candidate member"], rows["all", "candidate member"]
    assert (one["sources"], one["true_members"], one["no_counterpart"]) == (3, 1, 1)
    assert one["share"] == pytest.approx(1 / 3), "not one half: c is a piece of nothing"
    assert rows["A", "spectroscopic member"]["share"] == 1
    assert rows["A", "candidate non-member"]["true_members"] == 1
    assert [whole[name] for name in found.colnames[2:]] == [one[name] for name in found.colnames[2:]]
    assert len(check_members(table, {})) == 0
