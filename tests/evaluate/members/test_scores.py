"""Tables D.1 to D.5 and 2: known answers, folds and seeds, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from labkit.errors import InputError
from labkit.evaluate import binary_scores, wilson
from labkit.evaluate.members import (
    cluster_scores,
    configuration_table,
    cut_table,
    error_shares,
    error_table,
    galaxy_parts,
    galaxy_table,
    growth_table,
    linear_fits,
    method_table,
    range_table,
    redshift_table,
)
from labkit.evaluate.members.measures import MEASURES, Judged, measured, quality
from labkit.predictions import Predictions

CLASSES = ("non-member", "member")


def predicted(score, member, *, ids=None, name="cnn", seed=0, fold=-1, split="test"):
    p = np.asarray(score, dtype=float)
    return Predictions.from_arrays(
        [f"G{i:04d}" for i in range(len(p))] if ids is None else ids,
        np.column_stack([1 - p, p]),
        classes=CLASSES,
        true=np.where(member, *CLASSES[::-1]),
        experiment=name,
        seed=seed,
        fold=fold,
        split=split,
        positive="member",
    )


def field(n=400, *, seed=0, error=0.1):
    """Truth, scores of which a share is on the wrong side, clusters A and B."""
    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.45
    right = rng.random(n) > error
    score = np.where(member == right, 0.9, 0.1)
    catalogue = Table(
        {"object_id": [f"G{i:04d}" for i in range(n)], "cluster": np.where(rng.random(n) < 0.3, "A", "B")}
    )
    return member, score, catalogue


def in_folds(score, member, *, folds=5, seed=0, name="cnn"):
    """Out-of-fold predictions of one training."""
    number = np.arange(len(score)) % folds
    ids = np.array([f"G{i:04d}" for i in range(len(score))])
    return Predictions.concatenate(
        predicted(score[number == f], member[number == f], ids=ids[number == f], seed=seed, fold=f, name=name)
        for f in range(folds)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_the_classes_mirror_each_other(seed, n):
    rng = np.random.default_rng(seed)
    member, scores = rng.random(n) < 0.5, rng.random((2, n))
    here = measured(Judged(np.arange(n).astype(str), member, scores))
    there = measured(Judged(np.arange(n).astype(str), ~member, 1 - scores))
    for name in ("purity", "completeness", "f1"):
        np.testing.assert_allclose(here[f"member_{name}"], there[f"non_member_{name}"])
    np.testing.assert_allclose(here["efficiency"], there["efficiency"])
    expected = [binary_scores(member, row).f1 for row in scores]
    np.testing.assert_allclose(here["member_f1"], expected)


def test_a_configuration_has_the_values_and_intervals_of_its_objects():
    member, score, _ = field()
    table = configuration_table({"ACS": in_folds(score, member)}, resamples=400)
    assert table["bands"].tolist() == ["ACS", "ACS"]
    assert table["class"].tolist() == ["member", "non-member"]
    scores, others = binary_scores(member, score), binary_scores(~member, 1 - score)
    for row, one in zip(table, (scores, others), strict=True):
        assert row["objects"] == 400
        assert row["efficiency"] == pytest.approx(scores.accuracy)
        assert (row["purity"], row["completeness"]) == pytest.approx((one.precision, one.recall))
        assert row["f1"] == pytest.approx(one.f1)
        assert row["f1_low"] < row["f1"] < row["f1_high"]
        assert np.isnan(row["f1_std"]), "one training has no scatter"
    bounds = wilson(scores.tp, scores.tp + scores.fn)
    assert (table["completeness_low"][0], table["completeness_high"][0]) == (bounds.low, bounds.high)


def test_seeds_scatter_and_folds_of_one_seed_do_not():
    member, score, _ = field()
    _, other, _ = field(seed=0, error=0.2)
    both = Predictions.concatenate([in_folds(score, member), in_folds(other, member, seed=1)])
    row = configuration_table({"ALL": both}, resamples=0)[0]
    values = [binary_scores(member, s).accuracy for s in (score, other)]
    assert row["trainings"] == 2
    assert row["efficiency"] == pytest.approx(np.mean(values))
    assert row["efficiency_std"] == pytest.approx(np.std(values, ddof=1))
    assert row["efficiency_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(2))
    assert np.isnan(row["f1_low"]), "no resamples, no interval"
    short = Predictions.concatenate(
        [in_folds(score, member), predicted(other[:9], member[:9], seed=1, fold=0)]
    )
    with pytest.raises(
        InputError, match=r"must judge the same objects, got \[400, 9\] that differ; predict with all"
    ):
        configuration_table({"ALL": short})


def test_intervals_of_f1_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    member = np.repeat([True, False], [90, 110])
    inside = 0
    for _ in range(60):
        chosen = np.where(member, rng.random(200) < 0.9, rng.random(200) < 0.1)
        found = quality(
            Judged(np.arange(200).astype(str), member, chosen[None].astype(float)), resamples=300, rng=rng
        )
        inside += found["member_f1_low"] <= 2 * 81 / (81 + 11 + 90) <= found["member_f1_high"]
    assert binom.cdf(inside, 60, 0.95) > 1e-4


def test_only_the_test_part_is_measured_unless_asked_otherwise():
    member, score, _ = field(100)
    parts = np.where(np.arange(100) < 60, "train", "test")
    mixed = predicted(np.where(parts == "train", member, 1 - score), member, split=parts)
    assert configuration_table({"x": mixed}, resamples=0)["objects"].tolist() == [40, 40]
    assert configuration_table({"x": mixed}, split=None, resamples=0)["objects"][0] == 100
    with pytest.raises(InputError, match="split must name objects of known class, got none for 'run'"):
        configuration_table({"x": mixed}, split="run")


def test_clusters_add_up_to_all_and_a_configuration_without_a_cluster_has_no_row():
    member, score, catalogue = field()
    only_b = np.asarray(catalogue["cluster"]) == "B"
    part = predicted(score[only_b], member[only_b], ids=np.asarray(catalogue["object_id"])[only_b])
    table = cluster_scores({"mixed*": in_folds(score, member), "mixed": part}, catalogue[::-1], resamples=50)
    keys = list(zip(table["cluster"].tolist(), table["bands"].tolist(), strict=True))
    assert ("A", "mixed") not in keys
    assert keys[-2:] == [("all", "mixed*"), ("all", "mixed")]
    rows = dict(zip(keys, table, strict=True))
    whole, a, b = (rows[host, "mixed*"] for host in ("all", "A", "B"))
    right = sum(row["objects"] * row["efficiency"] for row in (a, b))
    assert whole["objects"] * whole["efficiency"] == pytest.approx(right)
    assert rows["B", "mixed"]["member_f1"] == b["member_f1"] == rows["all", "mixed"]["member_f1"]
    with pytest.raises(InputError, match=r"catalogue must have the columns \['host'\]"):
        cluster_scores({"mixed": part}, catalogue, cluster="host")


def test_a_cluster_with_only_members_has_no_completeness_of_the_others():
    catalogue = Table({"object_id": ["a", "b", "c"], "cluster": ["A", "A", "B"]})
    found = predicted([0.9, 0.2, 0.1], [True, True, False], ids=["a", "b", "c"])
    a, b = cluster_scores({"x": found}, catalogue, total=None, resamples=20)
    assert a["member_completeness"] == 0.5
    assert a["non_member_purity"] == 0
    assert np.isnan(a["non_member_completeness"])
    assert np.isnan(b["member_purity"])
    assert b["non_member_f1"] == 1


def test_methods_are_measured_on_their_common_objects_in_both_shapes_alike():
    member, score, catalogue = field()
    ids = np.asarray(catalogue["object_id"])
    forest = predicted(1 - score[100:], member[100:], ids=ids[100:], name="forest")
    methods = {"CNN": in_folds(score, member), "forest": forest}
    wide = cluster_scores(methods, catalogue, key="method", common=True, resamples=0)
    assert wide["objects"][-2:].tolist() == [300, 300]
    long = method_table(methods, catalogue)
    values = {
        (
            r["cluster"],
            "efficiency" if r["class"] == "both" else f"{r['class'].replace('-', '_')}_{r['measure']}",
        ): r
        for r in long
        if r["measure"] != "mean delta"
    }
    for row in wide:
        for name in MEASURES:
            assert values[row["cluster"], name][row["method"]] == pytest.approx(row[name], nan_ok=True)


def test_blind_clusters_are_stacked_first_and_scatter_over_seeds():
    member, _, catalogue = field()
    seeds = [predicted(field(seed=0, error=e)[1], member, seed=i) for i, e in enumerate((0.1, 0.15, 0.2))]
    table = range_table(
        {"narrow": Predictions.concatenate(seeds), "large": seeds[0]}, catalogue, resamples=50
    )
    assert table["cluster"].tolist()[:2] == ["stacked", "stacked"]
    assert table["training"].tolist() == ["narrow", "large"] * 3
    assert table["trainings"].tolist() == [3, 1] * 3
    first = table[0]
    scores = [binary_scores(member, one.score) for one in seeds]
    assert first["purity"] == pytest.approx(np.mean([one.precision for one in scores]))
    assert first["efficiency_error"] == pytest.approx(
        np.std([one.accuracy for one in scores], ddof=1) / np.sqrt(3)
    )
    # folds of the training set that all test the blind clusters count as trainings, too
    folds = Predictions.concatenate(predicted(one.score, member, fold=i) for i, one in enumerate(seeds))
    again = range_table({"narrow": folds}, catalogue, resamples=0)[0]
    assert again["purity"] == pytest.approx(first["purity"])


def test_redshift_bins_have_the_mean_over_folds_and_the_whole():
    member, score, catalogue = field(500)
    catalogue["redshift"] = np.where(member, 0.3 + 0.1 * np.arange(500) / 500, 5.0)
    row = redshift_table({"0.30-0.40": in_folds(score, member)}, catalogue, resamples=50)[0]
    folds = np.arange(500) % 5
    each = [binary_scores(member[folds == f], score[folds == f]) for f in range(5)]
    assert row["folds"] == 5
    assert row["member_f1"] == pytest.approx(np.mean([one.f1 for one in each]))
    assert row["efficiency_std"] == pytest.approx(np.std([one.accuracy for one in each], ddof=1))
    assert row["efficiency_error"] == pytest.approx(row["efficiency_std"] / np.sqrt(5))
    assert row["member_f1_global"] == pytest.approx(binary_scores(member, score).f1)
    assert row["member_f1_global_low"] < row["member_f1_global"] < row["member_f1_global_high"]
    assert 0.3 <= row["z_low"] < row["z_median"] < row["z_high"] <= 0.4, "of members only"
    with pytest.raises(InputError, match="must be out-of-fold ones, got some without a fold; set folds=10"):
        redshift_table({"z": predicted(score, member)}, catalogue)


def test_seeds_of_one_dealing_are_averaged_in_each_fold():
    member, score, catalogue = field(200)
    catalogue["redshift"] = 0.4
    twice = Predictions.concatenate([in_folds(score, member), in_folds(score, member, seed=1)])
    once, both = (
        redshift_table({"z": one}, catalogue, resamples=0)[0] for one in (in_folds(score, member), twice)
    )
    assert both["folds"] == 5, "two seeds do not make ten independent folds"
    assert both["efficiency_error"] == pytest.approx(once["efficiency_error"])


def test_growth_follows_the_objects_and_its_line():
    member, score, _ = field(1000)
    grown = {"ACS": {n: in_folds(score[: 100 * n], member[: 100 * n]) for n in (10, 1, 3)}}
    table = growth_table(grown)
    assert table["subsets"].tolist() == [1, 3, 10]
    assert table["objects"].tolist() == [100, 300, 1000]
    assert table["train"].tolist() == [80, 240, 800], "four of five folds"
    assert table["efficiency"][0] == pytest.approx(binary_scores(member[:100], score[:100]).accuracy)
    assert table["f1_std"][0] > table["f1_std"][2], "more objects a fold, less scatter"


def test_a_line_is_found_with_its_error():
    rng = np.random.default_rng(1)
    x = np.arange(200.0) * 10
    table = QTable({"bands": ["a"] * 200, "train": x, "f1": 0.8 + 4e-5 * x + rng.normal(0, 0.01, 200)})
    row = linear_fits(table, measures=("f1",))[0]
    assert row["slope"] == pytest.approx(0.02, abs=4 * row["slope_error"]), "for 500 objects"
    assert row["slope_low"] < 0.02 < row["slope_high"]
    assert row["intercept"] == pytest.approx(0.8, abs=4 * row["intercept_error"])
    assert row["p_value"] < 1e-6
    assert row["slope_error"] == pytest.approx(500 * 0.01 / np.sqrt(200) / x.std(), rel=0.2)
    whole = linear_fits(table, measures=("f1",), by=None, unit=250)
    assert whole.colnames[0] == "measure"
    assert whole["slope"][0] == pytest.approx(row["slope"] / 2)
    with pytest.raises(InputError, match="f1 must have three points or more at different x, got 2"):
        linear_fits(table[:2], measures=("f1",))
    with pytest.raises(InputError, match=r"got none for \['f1_std'\]"):
        linear_fits(table, measures=("f1_std",))


def test_each_cluster_is_split_at_its_own_magnitude_and_colour():
    n = 80
    member, score, catalogue = field(n, error=0.25)
    bright_cluster = np.asarray(catalogue["cluster"]) == "A"
    catalogue["mag_F814"] = np.arange(n) * 0.01 + np.where(bright_cluster, 20, 23)
    catalogue["differential_colour"] = np.where(np.arange(n) % 2, 0.0, -0.162)
    found = predicted(score, member)
    parts = galaxy_parts(found, catalogue, blue_below={"A": -0.165, "B": -0.160})
    for host in "AB":
        halves = [int((parts[host, kind] & member).sum()) for kind in ("bright", "faint")]
        assert abs(halves[0] - halves[1]) <= 1, "equal parts of the members"
    assert not parts["A", "bluer"].any()
    assert parts["B", "bluer"].any()
    np.testing.assert_array_equal(parts["stacked", "faint"], parts["A", "faint"] | parts["B", "faint"])
    table = galaxy_table(found, catalogue, parts, resamples=0)
    assert table.colnames[:2] == ["cluster", "galaxies"]
    assert table["cluster"].tolist()[:4] == ["stacked"] * 4
    mask = parts["A", "bright"]
    row = table[(table["cluster"] == "A") & (table["galaxies"] == "bright")][0]
    assert row["f1"] == pytest.approx(binary_scores(member[mask], score[mask]).f1)
    given = galaxy_parts(found, catalogue, faint_above={"A": 99, "B": 99})
    assert not given["stacked", "faint"].any()
    with pytest.raises(InputError, match="blue_below must have a value for each cluster, got none for 'B'"):
        galaxy_parts(found, catalogue, blue_below={"A": -0.16})
    with pytest.raises(InputError, match=r"got none for \['colour'\]"):
        galaxy_parts(found, catalogue, colour="colour")


def test_errors_as_shares_have_both_populations():
    member, score, catalogue = field(200)
    cuts = {"all": np.ones(200), "first": np.arange(200) < 80}
    errors = error_table(predicted(score, member), catalogue, cuts)
    table = error_shares(errors)
    assert table["population"].tolist() == ["member"] * 2 + ["non-member"] * 2
    whole, first = table[:2]
    assert (whole["share"], whole["errors"]) == (errors["members"][0], errors["fp"][0])
    assert first["share"] == pytest.approx(member[:80].sum() / member.sum())
    false = ~member & (score > 0.5)
    assert first["errors"] == pytest.approx(false[:80].sum() / false.sum())
    assert first["error_rate"] == pytest.approx(false[:80].sum() / (~member[:80]).sum())
    assert table[3]["error_rate"] == errors["fn_rate"][1]


def test_cuts_agree_with_the_clusters():
    member, score, catalogue = field()
    here = np.asarray(catalogue["cluster"]) == "A"
    cut = cut_table(in_folds(score, member), catalogue, {"A": here}, rng=3)[0]
    host = cluster_scores({"x": in_folds(score, member)}, catalogue, resamples=0)
    row = host[host["cluster"] == "A"][0]
    for name in ("purity", "completeness", "f1"):
        assert cut[name] == row[f"member_{name}"]
    assert (cut["purity_low"], cut["purity_high"]) == (row["member_purity_low"], row["member_purity_high"])
    assert cut["f1_low"] < cut["f1"] < cut["f1_high"]
