"""One table function: what makes a row, what it counts, and how it is known."""

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import (
    Resampling,
    as_text,
    binary_scores,
    compare,
    join_published,
    measure,
    wilson,
)
from labkit.evaluate.metrics import AVERAGES, MEASURES
from labkit.predictions import Predictions

FEW = Resampling(50)
NONE = Resampling(0)


@pytest.fixture
def seeds(made):
    """Two experiments of three seeds, and a training part."""
    true = np.repeat([True, False], 40)

    def run(name, seed, noise, split="test"):
        rng = np.random.default_rng([seed, len(name)])
        p = np.clip(rng.normal(np.where(true, 0.7, 0.3), noise), 0, 1)
        return made.predicted(p, true, name=name, seed=seed, split=split)

    runs = [run(name, seed, noise) for name, noise in (("A", 0.2), ("BB", 0.5)) for seed in range(3)]
    return Predictions.concatenate([*runs, run("A", 0, 0.3, "train")])


def test_one_row_for_each_run(seeds):
    measures = ("tp", *MEASURES, "brier")
    table = measure(seeds, by=("experiment", "seed", "fold"), measures=measures, over="runs")
    assert table["experiment"].tolist() == ["A"] * 3 + ["BB"] * 3
    assert table["seed"].tolist() == [0, 1, 2] * 2
    part = seeds.select(experiment="A", seed=1, split="test")
    scores = binary_scores(part.true_codes == 1, part.score)
    assert [table[name][1] for name in ("tp", "auc", "brier")] == [scores[n] for n in ("tp", "auc", "brier")]
    assert (set(table["objects"]), set(table["positives"]), set(table["runs"])) == ({80}, {40}, {1})
    assert np.isnan(table["auc_std"]).all()


def test_runs_scatter_and_objects_are_resampled(seeds):
    runs = measure(seeds, by=("experiment", "seed"), over="runs")
    summary = measure(seeds, over="runs")
    assert summary["runs"].tolist() == [3, 3]
    assert summary.meta == {"split": "test", "over": "runs", "confidence": 0.95}
    objects = measure(seeds, resampling=Resampling(200, rng=3))
    for name in MEASURES:
        values = runs[name][:3]
        for row in (summary[0], objects[0]):
            assert row[name] == pytest.approx(values.mean())
            assert row[f"{name}_std"] == pytest.approx(values.std(ddof=1))
            assert row[f"{name}_error"] == pytest.approx(values.std(ddof=1) / np.sqrt(3))
        half = 4.302653 * values.std(ddof=1) / np.sqrt(3)
        assert summary[f"{name}_high"][0] == pytest.approx(values.mean() + half)
        assert objects[f"{name}_low"][0] < values.mean() < objects[f"{name}_high"][0]


def test_proportions_are_wilsons_from_mean_counts_or_the_bootstraps(made):
    member, score, _ = made.field()
    row, drawn = (
        measure(made.in_folds(score, member), resampling=Resampling(400, proportions=kind))[0]
        for kind in ("wilson", "bootstrap")
    )
    n = binary_scores(member, score)
    bounds = {
        "accuracy": wilson(n["tp"] + n["tn"], 400),
        "purity": wilson(n["tp"], n["predicted"]),
        "completeness": wilson(n["tp"], n["tp"] + n["fn"]),
    }
    for name, expected in bounds.items():
        assert (row[f"{name}_low"], row[f"{name}_high"]) == tuple(expected)
        assert drawn[f"{name}_low"] == pytest.approx(expected.low, abs=0.01)
        assert drawn[f"{name}_low"] != expected.low
    assert (row["f1_low"], row["auc_high"]) == (drawn["f1_low"], drawn["auc_high"])
    assert np.isnan(measure(made.predicted(score, member), resampling=NONE)["f1_low"][0])


def test_each_class_is_resampled_in_its_own_number(made):
    member = np.arange(60) % 3 == 0
    every = made.predicted(np.full(60, 0.9), member)
    drawn = Resampling(50, proportions="bootstrap")
    for options in ({}, {"classes": "each"}):
        row = measure(every, resampling=drawn, **options)[-1]
        assert row["purity_low"] == row["purity_high"] == pytest.approx(1 / 3), "all are called members"
    apart = made.predicted(np.full(40, 0.9), np.arange(40) % 4 == 0, ids=[f"H{i}" for i in range(40)])
    gap = compare({"a": every, "b": apart}, measures=("purity",), resampling=drawn)[0]
    assert gap["low"] == gap["high"] == pytest.approx(1 / 3 - 1 / 4)


def test_intervals_do_not_depend_on_the_order_of_rows(made):
    member, score, _ = made.field(80)
    runs = [made.predicted(score, member, seed=s) for s in range(2)]
    order = np.random.default_rng(0).permutation(80)
    shuffled = Predictions(runs[1].table[order], runs[1].classes, runs[1].positive)
    tables = [measure(Predictions.concatenate(p), resampling=FEW) for p in (runs, [runs[0], shuffled])]
    for name in tables[0].colnames[1:]:
        np.testing.assert_array_equal(tables[0][name], tables[1][name])


def test_a_seed_with_all_its_folds_is_one_training_and_folds_are_runs(made):
    member, score, _ = made.field(error=0.1)
    other = made.field(error=0.2)[1]
    both = Predictions.concatenate([made.in_folds(score, member), made.in_folds(other, member, seed=1)])
    row = measure(both, resampling=NONE)[0]
    values = [binary_scores(member, s)["accuracy"] for s in (score, other)]
    assert (row["runs"], row["accuracy"]) == (2, pytest.approx(np.mean(values)))
    assert row["accuracy_std"] == pytest.approx(np.std(values, ddof=1))
    folds = measure(both, over="runs")[0]
    number = np.arange(400) % 5
    each = [
        np.mean([binary_scores(member[number == f], s[number == f])["f1"] for s in (score, other)])
        for f in range(5)
    ]
    assert (folds["runs"], folds["objects"]) == (5, 400), "two seeds do not make ten independent folds"
    assert (folds["f1"], folds["f1_std"]) == pytest.approx((np.mean(each), np.std(each, ddof=1)))
    blind = Predictions.concatenate(made.predicted(s, member, fold=f) for f, s in enumerate((score, other)))
    assert measure(blind, resampling=NONE)["accuracy"][0] == pytest.approx(np.mean(values))


def test_each_class_mirrors_the_other_and_the_published_form_has_a_row_for_each(made):
    member, score, _ = made.field()
    table = measure({"ACS": made.in_folds(score, member)}, by=("bands", "class"), resampling=FEW)
    assert table["bands"].tolist() == ["ACS", "ACS"]
    assert table["class"].tolist() == ["non-member", "member"]
    sides = (binary_scores(~member, 1 - score), binary_scores(member, score))
    for row, one in zip(table, sides, strict=True):
        assert (row["objects"], row["positives"]) == (400, one["tp"] + one["fn"])
        assert [row[name] for name in MEASURES] == pytest.approx([one[name] for name in MEASURES])
        assert row["f1_low"] < row["f1"] < row["f1_high"]


def test_clusters_add_up_to_all_and_a_set_without_a_cluster_has_no_row(made):
    member, score, catalogue = made.field()
    only_b = np.asarray(catalogue["cluster"]) == "B"
    part = made.predicted(score[only_b], member[only_b], ids=np.asarray(catalogue["object_id"])[only_b])
    sets = {"mixed*": made.in_folds(score, member), "mixed": part}
    table = measure(sets, by=("cluster", "bands"), on=catalogue[::-1], total="all", resampling=FEW)
    keys = list(zip(table["cluster"].tolist(), table["bands"].tolist(), strict=True))
    assert ("A", "mixed") not in keys
    assert keys[-2:] == [("all", "mixed*"), ("all", "mixed")]
    rows = dict(zip(keys, table, strict=True))
    whole, a, b = (rows[host, "mixed*"] for host in ("all", "A", "B"))
    right = sum(row["objects"] * row["accuracy"] for row in (a, b))
    assert whole["objects"] * whole["accuracy"] == pytest.approx(right)
    assert rows["B", "mixed"]["f1"] == b["f1"] == rows["all", "mixed"]["f1"]


def test_a_cluster_with_only_members_has_no_completeness_of_the_others(made):
    catalogue = Table({"object_id": ["a", "b", "c"], "cluster": ["A", "A", "B"]})
    found = made.predicted([0.9, 0.2, 0.1], [True, True, False], ids=["a", "b", "c"])
    table = measure(found, by=("cluster", "class"), on=catalogue, resampling=FEW)
    rows = {(r["cluster"], r["class"]): r for r in table}
    assert rows["A", "member"]["completeness"] == 0.5
    assert rows["A", "non-member"]["purity"] == 0
    assert np.isnan(rows["A", "non-member"]["completeness"])
    assert np.isnan(rows["B", "member"]["purity"])
    assert rows["B", "non-member"]["f1"] == 1


def test_parts_are_masks_of_the_catalogue_or_ids_in_any_order(made):
    ids = [f"G{i}" for i in range(8)]
    cnn = made.predicted([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.1], np.arange(8) < 4, ids=ids)
    catalogue = Table({"object_id": ids[::-1]})
    first = np.isin(catalogue["object_id"], ids[:5])
    parts = {"all": np.ones(8, bool), "first": first, "named": set(ids[:5]), "none": np.zeros(8, bool)}
    counts = ("tp", "fp", "fn", "predicted")
    table = measure(cnn, by=("part",), on=catalogue, parts=parts, measures=(*counts, "purity", "f1"))
    assert table.colnames[:2] == ["part", "objects"]
    whole, part, named, none = table
    assert [whole[name] for name in ("positives", *counts)] == [4, 3, 1, 1, 4]
    assert whole["purity"] == whole["f1"] == 0.75
    cells = table.colnames[1:]
    assert [part[n] for n in cells] == pytest.approx([named[n] for n in cells], nan_ok=True)
    assert (part["positives"], part["fp"], part["objects"]) == (4, 1, 5)
    assert np.isnan(none["purity"])
    assert none["objects"] == 0
    assert measure(cnn, parts={"named": ids[:5]}, resampling=FEW)["objects"][0] == 5


def test_nothing_measured_is_a_table_without_rows(made):
    member, score, catalogue = made.field(20, error=0.25)
    options = {"by": ("cluster", "bands", "class"), "measures": ("accuracy", "fp", "f1"), "resampling": NONE}
    some = measure({"x": made.predicted(score, member)}, on=catalogue, **options)
    none = measure({}, on=catalogue, **options)
    assert (len(none), none.colnames, none.meta) == (0, some.colnames, some.meta)
    assert len(join_published(none, "angora2020", "tableD2", data="real", unmeasured="drop")) == 0
    assert as_text(none, measures=("accuracy",), percent=True).colnames[:3] == ["cluster", "bands", "class"]


def test_keys_of_a_mapping_may_have_several_names(made):
    member, score, _ = made.field(1000)
    grown = {("ACS", n): made.in_folds(score[: 100 * n], member[: 100 * n]) for n in (1, 3, 10)}
    table = measure(grown, by=("bands", "subsets"), over="runs")
    assert table["subsets"].tolist() == [1, 3, 10]
    assert table["objects"].tolist() == [100, 300, 1000]
    assert table["f1_std"][0] > table["f1_std"][2], "more objects in a fold, less scatter"


def test_unknown_objects_and_other_splits_are_left_out(made, seeds):
    part = seeds.select(experiment="A", seed=0, split="test")
    part.table["true"][:10] = ""
    assert measure(part, resampling=NONE)["objects"].tolist() == [70]
    assert measure(seeds, split="train", resampling=NONE)["experiment"].tolist() == ["A"]


def three_classes(**options):
    rng = np.random.default_rng(8)
    p, true, ids = rng.dirichlet([1, 1, 1], 90), np.repeat(["a", "b", "c"], 30), [f"Y{i}" for i in range(90)]
    return Predictions.from_arrays(
        ids, p, classes=("a", "b", "c"), true=true, experiment="E", split="test", **options
    )


def test_several_classes_each_together_and_one_of_them():
    found = three_classes()
    each = measure(found, classes="each", resampling=Resampling(100, proportions="bootstrap"))
    assert each["class"].tolist() == ["a", "b", "c", *AVERAGES]
    assert each["positives"].tolist() == [30, 30, 30, 90, 90]
    for average in (3, 4):
        assert each["f1_low"][average] < each["f1"][average] < each["f1_high"][average]
    together = measure(found, resampling=Resampling(100))[0]
    assert together["accuracy"] == np.mean(found.decided == found.table["true"])
    for name in ("purity", "completeness", "f1", "auc"):
        assert together[name] == pytest.approx(each[name][:3].mean())
        assert together[f"{name}_low"] < together[name] < together[f"{name}_high"]
    one = measure(three_classes(positive="b"), resampling=NONE)[0]
    assert [one[name] for name in MEASURES] == pytest.approx([each[name][1] for name in MEASURES])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "run"}, r"got none for 'run'; splits present: \['test', 'train'\]"),
        ({"over": "seeds"}, r"over must be one of \('objects', 'runs'\), got 'seeds'"),
        ({"classes": "all"}, "classes must be one of .*, got 'all'"),
        ({"measures": ("recall",)}, r"measures must be a list of .*, got \['recall'\]"),
        ({"measures": "auc"}, "measures must be a list of .*, got auc"),
        ({"by": ("bands",)}, r"by must name columns of on, \[\], or of .*, got \['bands'\]"),
        ({"by": ("seed",)}, r"by must tell \['A', 'BB'\] apart, got \['seed'\]"),
        ({"parts": {"x": np.ones(80, bool)}}, "parts that are masks need on="),
        ({"on": Table({"ra": [1.0]})}, r"on must have the column object_id, got \['ra'\]"),
        ({"on": Table({"object_id": ["G0000"]})}, r"on must hold every predicted object, got .*'G0001'"),
    ],
)
def test_what_cannot_be_measured_is_refused(seeds, options, message):
    with pytest.raises(InputError, match=message):
        measure(seeds, **options)


def test_sets_that_do_not_fit_are_refused(made, seeds):
    member, score, catalogue = made.field(80)
    with pytest.raises(InputError, match=r"one value for each row of on, 80, got \(3,\) for 'x'"):
        measure(made.predicted(score, member), on=catalogue, parts={"x": np.ones(3, bool)})
    with pytest.raises(InputError, match=r"both must be of one experiment .* got \['A', 'BB'\]"):
        measure({"both": seeds})
    short = Predictions.concatenate(
        [made.in_folds(score, member), made.predicted(score[:9], member[:9], seed=1, fold=0)]
    )
    with pytest.raises(InputError, match=r"must judge the same objects, got \[80, 9\] that differ; predict"):
        measure(short)
    with pytest.raises(InputError, match="number of resamples must be 0 or more, got -1"):
        Resampling(-1)
    with pytest.raises(InputError, match="confidence must lie between 0 and 1, such as 0.95, got 95"):
        Resampling(confidence=95)
    with pytest.raises(InputError, match="proportions must be one of .*'bootstrap'.*, got 'exact'"):
        Resampling(proportions="exact")
