"""What trainings and methods make of the same objects: outcomes, common objects, agreement, ranks, parts."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import (
    agreement_table,
    common_scores,
    outcomes,
    pair_table,
    rank,
    select_common,
    select_parts,
)
from labkit.predictions import Predictions

IDS, MEMBER = [f"G{i}" for i in range(8)], np.arange(8) < 4


@pytest.fixture(scope="module")
def methods(made):
    """Three methods; the first has 3 TP, 1 FN, 1 FP and 3 TN."""
    scores = {
        "cnn": [0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.1],
        "forest": [0.9, 0.2, 0.7, 0.8, 0.6, 0.7, 0.1, 0.1],
        "bayes": [0.9, 0.8, 0.7, 0.8, 0.6, 0.7, 0.8, 0.1],
    }
    return {name: made.predicted(p, MEMBER, ids=IDS, name=name) for name, p in scores.items()}


def test_outcomes_of_each_row(methods, made):
    assert outcomes(methods["cnn"]).tolist() == ["TP", "TP", "TP", "FN", "FP", "TN", "TN", "TN"]
    unknown = made.predicted([0.9, 0.1], [True, True])
    unknown.table["true"][0] = ""
    assert outcomes(unknown).tolist() == ["", "FN"]


def test_only_common_objects_count_and_seeds_are_averaged(methods, made):
    cnn, forest = methods["cnn"], methods["forest"]
    seeds = Predictions.concatenate([cnn, made.predicted(1 - cnn.score, MEMBER, ids=IDS, seed=1)])
    short = made.predicted([0.9, 0.4], [True, False], ids=["G0", "G7"])
    scores = common_scores({"both": seeds, "short": short})
    assert scores["object_id"].tolist() == ["G0", "G7"]
    np.testing.assert_allclose(scores["both"], 0.5)
    shared = select_common({"both": seeds, "short": short})
    assert {name: len(one) for name, one in shared.items()} == {"both": 4, "short": 2}
    some = select_common({"cnn": cnn, "forest": forest}, among=["G1", "G7", "elsewhere"])
    assert [one.table["object_id"].tolist() for one in some.values()] == [["G1", "G7"]] * 2


def test_methods_that_share_nothing_are_refused(methods, made):
    cnn = methods["cnn"]
    other, wrong = (made.predicted([0.5], [one], ids=[name]) for name, one in (("Z", True), ("G0", False)))
    for call, message in (
        (lambda: select_common(methods, among=["elsewhere"]), "among must name an object that all methods"),
        (lambda: common_scores({"cnn": cnn}), "must be two or more"),
        (lambda: common_scores({"cnn": cnn, "x": other}), "must share objects"),
        (lambda: common_scores({"cnn": cnn, "x": wrong}), r"another by 'x' for \['G0'\]"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_the_fields_of_the_venn_diagram_hold_every_object_once(methods):
    table = agreement_table(methods)
    assert len(table) == 8
    assert table["members"].sum() == table["non_members"].sum() == 4
    assert table["share"].sum() == pytest.approx(1)
    assert (table["members"][0], table["non_members"][0]) == (2, 1), "all right: G0, G2 and G7"
    assert table["non_members"][-1] == 1, "all wrong: G4"
    pair = pair_table(methods)[2]
    assert (pair["first"], pair["second"]) == ("forest", "bayes")
    assert (pair["alike"], pair["right"]) == pytest.approx((6 / 8, 4 / 6))
    assert (pair["false_negatives"], pair["false_positives"]) == (0, 0.5)


def test_parts_are_selected_and_those_too_small_left_out(made):
    member, score, _ = made.field(40, error=0.25)
    found = made.predicted(score, member)
    ids = found.table["object_id"]
    sides = select_parts({"x": found, "y": found.select(np.arange(40) < 10)}, {"A": ids[:20], "B": ids[20:]})
    assert {name: len(one) for name, one in sides.items()} == {"x on A": 20, "y on A": 10, "x on B": 20}
    assert list(select_parts(found, {"A": ids[:5], "none": ["?"]})) == ["A"]
    assert list(select_parts({"x": found}, {"A": ids[:5]}, names="the {part}")) == ["the A"]
    small = [*ids[member][:2], *ids[~member][:3]]
    assert list(select_parts(found, {"A": small}, least=2)) == ["A"]
    assert select_parts(found, {"A": small}, least=3) == {}


def test_ranks_are_by_the_mean_over_runs_with_its_scatter(made):
    def run(p, **options):
        return made.predicted(p, classes=("non-cluster", "cluster"), **options)

    names = ["a", "b", "c"]
    both = [run([0.2, 0.9, 0.5], ids=names), run([0.4, 0.7, 0.9], ids=names, seed=1)]
    ranked = rank(Predictions.concatenate(both))
    assert ranked["object_id"].tolist() == ["b", "c", "a"]
    np.testing.assert_allclose(ranked["p_cluster"], [0.8, 0.7, 0.3])
    np.testing.assert_allclose(ranked["p_std"], np.std([[0.9, 0.7], [0.5, 0.9], [0.2, 0.4]], axis=1, ddof=1))
    assert ranked["rank"].tolist() == [1, 2, 3]
    catalogue = Table({"object_id": ["c", "a", "b"]}, meta={"search": {"sources": 3}})
    about = rank(Predictions.concatenate(both), catalogue, threshold=0.75).meta
    assert about["search"] == {"sources": 3}
    assert (about["ranking"]["threshold"], about["ranking"]["above"]) == (0.75, 1)
    assert about["ranking"]["networks"] == ["cnn"]
    with pytest.raises(InputError, match="threshold must be a probability, 0 to 1, got 75"):
        rank(both[0], threshold=75)
    single = rank(run([0.5, 0.5, 0.5], ids=["z", "m", "a"]))
    assert single["object_id"].tolist() == ["z", "m", "a"], "ties keep their order"
    assert np.isnan(single["p_std"]).all()
    catalogue = QTable({"object_id": ["c", "a", "b"], "ra": [3, 1, 2] * u.deg})
    assert rank(both[0], catalogue)["ra"].value.tolist() == [2, 3, 1]
    catalogue["candidate"] = [True, True, False]  # b is a plain point to the finder
    ordered = rank(both[0], catalogue)
    assert ordered["object_id"].tolist() == ["c", "a", "b"]
    assert ordered["rank"].tolist() == [1, 2, 3]
    assert ordered.meta["ranking"]["above"] == 1  # of c with 0.5 and b with 0.9
    catalogue.remove_column("candidate")
    with pytest.raises(InputError, match=r"catalogue must hold every predicted object, got none for \['c'\]"):
        rank(both[0], catalogue[1:])
