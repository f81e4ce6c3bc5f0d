import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate.members import (
    agreement_table,
    bright_and_red,
    common_scores,
    contamination_by_outcome,
    contamination_index,
    crossing,
    cut_table,
    error_table,
    magnitude_and_colour_cuts,
    method_table,
    outcomes,
    pair_table,
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
CATALOGUE = Table({"object_id": IDS[::-1], "cluster": ["B", "A"] * 4})


def test_outcomes_of_each_row():
    assert outcomes(CNN).tolist() == ["TP", "TP", "TP", "FN", "FP", "TN", "TN", "TN"]
    unknown = predicted([0.9, 0.1], ids=["a", "b"], true=["", "member"])
    assert outcomes(unknown).tolist() == ["", "FN"]


def test_cuts_count_the_published_way_in_any_order_of_the_catalogue():
    first = np.isin(CATALOGUE["object_id"], IDS[:5])
    table = cut_table(CNN, CATALOGUE, {"all": np.ones(8), "first": first, "none": np.zeros(8)})
    whole, part, none = table
    assert (whole["tp"], whole["fp"], whole["fn"], whole["members"], whole["predicted"]) == (3, 1, 1, 4, 4)
    assert whole["purity"] == whole["completeness"] == whole["f1"] == 0.75
    assert whole["purity_low"] < 0.75 < whole["purity_high"]
    assert (part["members"], part["fp"]) == (4, 1)
    assert np.isnan(none["purity"])


def test_trainings_on_the_same_objects_give_a_scatter_and_folds_of_one_training_do_not():
    blind = Predictions.concatenate([CNN, predicted([0.9, 0.8, 0.7, 0.9, 0.1, 0.3, 0.1, 0.1], fold=1)])
    row = cut_table(blind, CATALOGUE, {"all": np.ones(8)})[0]
    assert row["trainings"] == 2
    assert row["f1"] == pytest.approx((0.75 + 1) / 2)
    assert row["f1_std"] == pytest.approx(0.25 / np.sqrt(2))
    halves = [
        predicted(CNN.score[s], ids=IDS[s], true=TRUE[s], fold=f)
        for f, s in enumerate([slice(4), slice(4, 8)])
    ]
    out_of_fold = Predictions.concatenate(halves)
    assert cut_table(out_of_fold, CATALOGUE, {"all": np.ones(8)})[0]["f1"] == 0.75
    with pytest.raises(InputError, match="each object once, got 2 trainings"):
        error_table(blind, CATALOGUE, {"all": np.ones(8)})


def test_errors_as_shares_and_rates():
    red = np.isin(CATALOGUE["object_id"], ["G0", "G1", "G4", "G5"])
    table = error_table(CNN, CATALOGUE, {"all": np.ones(8), "red": red, "blue": ~red})
    assert table["fp"].tolist() == [1, 1, 0]
    assert table["fn"].tolist() == [1, 0, 1]
    np.testing.assert_allclose(table["share_members"], [1, 0.5, 0.5])
    np.testing.assert_allclose(table["fp_rate"], [0.25, 0.5, 0])
    np.testing.assert_allclose(table["fn_rate"], [0.25, 0, 0.5])
    assert (table["fn_rate_high"] > table["fn_rate"]).all()


def test_parts_by_magnitude_and_colour():
    m = np.array([20.0, 21, 22, 26, 24, np.nan])
    colour = np.array([0.1, -0.1, -0.3, -0.7, np.nan, 0.0])
    member = np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    parts = bright_and_red(m, colour, member)
    assert parts["bright"].tolist() == [True, True, False, False, False, False]
    assert parts["faint"].tolist() == [False, False, True, True, True, False]
    assert parts["bluer"].tolist() == [False, False, True, True, False, False]
    assert bright_and_red(m, colour, member, faint_above=25)["faint"].sum() == 1
    cuts = magnitude_and_colour_cuts(m, colour)
    sizes = {name: int(mask.sum()) for name, mask in cuts.items()}
    assert list(sizes.values()) == [6, 4, 1, 1, 3, 2, 3]
    assert list(sizes)[-1] == "magnitude < 25, colour >= -0.5"
    with pytest.raises(InputError, match="member must name objects with a magnitude"):
        bright_and_red(m, colour, np.zeros(6))


def test_catalogues_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"one value a row of the catalogue, 8, got \{'all': \(3,\)\}"):
        cut_table(CNN, CATALOGUE, {"all": np.ones(3)})
    with pytest.raises(InputError, match=r"must hold every predicted object, got none for \['G0'\]"):
        cut_table(CNN, CATALOGUE[:-1], {"all": np.ones(7)})
    two = Predictions.concatenate([CNN, predicted(CNN.score, name="other")])
    with pytest.raises(InputError, match=r"of one experiment .*\['cnn', 'other'\]"):
        cut_table(two, CATALOGUE, {"all": np.ones(8)})


FOREST = predicted([0.9, 0.2, 0.7, 0.8, 0.6, 0.7, 0.1, 0.1], name="forest")
BAYES = predicted([0.9, 0.8, 0.7, 0.8, 0.6, 0.7, 0.8, 0.1], name="bayes")
METHODS = {"cnn": CNN, "forest": FOREST, "bayes": BAYES}


def test_methods_in_each_cluster_with_the_difference_to_the_best_other():
    table = method_table(METHODS, CATALOGUE)
    whole = table[table["cluster"] == "all"]
    assert len(table) == 3 * 8
    values = {(r["class"], r["measure"]): r for r in whole}
    purity = values["member", "purity"]
    assert (purity["cnn"], purity["forest"], purity["bayes"]) == (0.75, 0.6, 4 / 7)
    assert purity["delta"] == pytest.approx(0.15)
    assert values["member", "completeness"]["delta"] == pytest.approx(-0.25)
    assert values["non-member", "completeness"]["bayes"] == 0.25
    deltas = np.array([r["delta"] for r in whole[:-1]])
    assert whole[-1]["delta"] == pytest.approx(deltas.mean())
    assert whole[-1]["delta_error"] == pytest.approx(deltas.std(ddof=1) / np.sqrt(7))
    with pytest.raises(InputError, match=r"catalogue must have the columns \['host'\]"):
        method_table(METHODS, CATALOGUE, by="host")


def test_only_common_objects_count_and_seeds_are_averaged():
    seeds = Predictions.concatenate([CNN, predicted(1 - CNN.score, seed=1)])
    short = predicted([0.9, 0.4], ids=["G0", "G7"], true=["member", "non-member"])
    scores = common_scores({"both": seeds, "short": short})
    assert scores["object_id"].tolist() == ["G0", "G7"]
    np.testing.assert_allclose(scores["both"], 0.5)
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


def test_purity_meets_completeness_where_as_many_are_selected_as_there_are():
    rng = np.random.default_rng(0)
    true = rng.random(300) < 0.4
    score = np.clip(0.5 + 0.2 * (true - 0.5) + rng.normal(0, 0.15, 300), 0, 1)
    threshold, value = crossing(true, score)
    chosen = score >= threshold
    assert chosen.sum() == true.sum()
    assert value == pytest.approx((chosen & true).sum() / chosen.sum())
    assert crossing([True, False], [0.9, 0.1]) == (0.9, 1.0)
    with pytest.raises(InputError, match="must name a member"):
        crossing([False, False], [0.1, 0.2])


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
