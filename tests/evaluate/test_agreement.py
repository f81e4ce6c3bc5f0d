"""What methods share, and what crowds a cut-out."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import (
    agreement_table,
    common_scores,
    contamination_by_outcome,
    contamination_index,
    outcomes,
    pair_table,
    select_common,
)
from labkit.predictions import Predictions

CLASSES = ("non-member", "member")
IDS = [f"G{i}" for i in range(8)]
TRUE = ["member"] * 4 + ["non-member"] * 4


def predicted(p, *, ids=IDS, true=TRUE, name="cnn", seed=0, fold=-1):
    p = np.asarray(p, dtype=float)
    return Predictions.from_arrays(
        ids,
        np.column_stack([1 - p, p]),
        classes=CLASSES,
        true=true,
        experiment=name,
        seed=seed,
        fold=fold,
        split="test",
        positive="member",
    )


CNN = predicted([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.1])  # 3 TP, 1 FN, 1 FP, 3 TN
FOREST = predicted([0.9, 0.2, 0.7, 0.8, 0.6, 0.7, 0.1, 0.1], name="forest")
BAYES = predicted([0.9, 0.8, 0.7, 0.8, 0.6, 0.7, 0.8, 0.1], name="bayes")
METHODS = {"cnn": CNN, "forest": FOREST, "bayes": BAYES}


def test_outcomes_of_each_row():
    assert outcomes(CNN).tolist() == ["TP", "TP", "TP", "FN", "FP", "TN", "TN", "TN"]
    unknown = predicted([0.9, 0.1], ids=["a", "b"], true=["", "member"])
    assert outcomes(unknown).tolist() == ["", "FN"]


def test_only_common_objects_count_and_seeds_are_averaged():
    seeds = Predictions.concatenate([CNN, predicted(1 - CNN.score, seed=1)])
    short = predicted([0.9, 0.4], ids=["G0", "G7"], true=["member", "non-member"])
    scores = common_scores({"both": seeds, "short": short})
    assert scores["object_id"].tolist() == ["G0", "G7"]
    np.testing.assert_allclose(scores["both"], 0.5)
    assert {name: len(one) for name, one in select_common({"both": seeds, "short": short}).items()} == {
        "both": 4,
        "short": 2,
    }
    some = select_common({"cnn": CNN, "forest": FOREST}, among=["G1", "G7", "elsewhere"])
    assert [one.table["object_id"].tolist() for one in some.values()] == [["G1", "G7"]] * 2
    with pytest.raises(InputError, match="among must name an object that all methods judged, got none of 1"):
        select_common({"cnn": CNN, "forest": FOREST}, among=["elsewhere"])
    with pytest.raises(InputError, match="must be two or more"):
        common_scores({"cnn": CNN})
    with pytest.raises(InputError, match="must share objects"):
        common_scores({"cnn": CNN, "x": predicted([0.5], ids=["Z"], true=["member"])})
    with pytest.raises(InputError, match=r"another by 'x' for \['G0'\]"):
        common_scores({"cnn": CNN, "x": predicted([0.5], ids=["G0"], true=["non-member"])})


def test_the_fields_of_the_venn_diagram_hold_every_object_once():
    table = agreement_table(METHODS)
    assert len(table) == 8
    assert table["members"].sum() == table["non_members"].sum() == 4
    assert table["share"].sum() == pytest.approx(1)
    first = table[0]  # all right: G0, G2 and G7
    assert (first["members"], first["non_members"]) == (2, 1)
    assert table[-1]["non_members"] == 1  # all wrong: G4
    pair = pair_table(METHODS)[2]
    assert (pair["first"], pair["second"]) == ("forest", "bayes")
    assert pair["alike"] == pytest.approx(6 / 8)
    assert pair["right"] == pytest.approx(4 / 6)
    assert (pair["false_negatives"], pair["false_positives"]) == (0, 0.5)


def test_contamination_is_the_published_sum():
    arcsec = 1 / 3600
    sources = Table(
        {
            "ra": [10.0, 10.0 + arcsec, 10.0, 10.0, 20.0],
            "dec": [0.0, 0.0, 2 * arcsec, 3 * arcsec, 0.0],
            "mag_F814": [20.0, 25.0, 24.0, 22.0, np.nan],
        }
    )
    targets = Table({"ra": [10.0, 10.0 + arcsec, 20.0 + arcsec], "dec": [0.0, 0.0, 0.0]})
    found = contamination_index(targets, sources)
    assert found["contaminants"].tolist() == [2, 2, 0]  # 3" lies outside, a source without magnitude is none
    assert found["index"][0] == pytest.approx(1 / 25 + 1 / (2 * 24), rel=1e-5)
    assert found["index"][1] == pytest.approx(1 / 20 + 1 / (np.sqrt(5) * 24), rel=1e-5)
    assert found["normalised"].max() == 1
    assert found["index"][2] == 0
    bright = contamination_index(targets, sources, faintest=24.5)
    assert bright["contaminants"].tolist() == [1, 2, 0]
    assert contamination_index(targets, sources, faintest=24.0)["contaminants"].tolist() == [0, 1, 0]
    assert contamination_index(targets, sources[:0])["normalised"].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match=r"sources must have the columns .* got none for \['mag_F814'\]"):
        contamination_index(targets, targets)
    with pytest.raises(InputError, match="size_arcsec must be positive, got 0"):
        contamination_index(targets, sources, size_arcsec=0)


def test_a_diagonal_neighbour_in_the_corner_of_the_square_counts():
    sources = Table({"ra": [0.0, 2.0 / 3600], "dec": [0.0, 2.0 / 3600], "mag_F814": [20.0, 20.0]})
    assert contamination_index(sources[:1], sources)["contaminants"][0] == 1


def test_contamination_by_outcome():
    table = contamination_by_outcome(CNN, [0.2, 0, 0.4, 0, 0.5, 0, 0, 0.1])
    assert table["outcome"].tolist() == ["TP", "TN", "FP", "FN"]
    np.testing.assert_allclose(table["contaminated"], [2 / 3, 1 / 3, 1, 0])
    assert table["median"][0] == pytest.approx(0.3)
    assert np.isnan(table["median"][3])
    with pytest.raises(InputError, match="index must have one value a row, 8"):
        contamination_by_outcome(CNN, [0.1])
