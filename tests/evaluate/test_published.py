"""The published tables: found, true to themselves, joined to measured numbers and never mixed with them."""

import numpy as np
import pytest
from astropy.table import QTable

from labkit.cooling import COOLING_TIME_LIMITS, DENSITY_LIMITS
from labkit.errors import InputError
from labkit.evaluate import (
    Resampling,
    as_text,
    error_shares,
    highest_counts,
    join_published,
    linear_fits,
    measure,
    method_differences,
    over_classes,
    published,
    ranked_classes,
    reliability,
    separations,
    vote_table,
)
from labkit.evaluate.cores import CONCENTRATION_LIMITS
from labkit.experiment import PRESETS
from labkit.paths import shipped_folder
from labkit.predictions import Predictions
from labkit.taxonomy import get_scheme
from labkit.votes import vote_predictions

SOURCES = {
    "kosiba2020": ("Kosiba et al. 2020, MNRAS 496, 4141", ("1", "2", "4", "5", "6", "7", "8")),
    "angora2020": ("Angora et al. 2020, A&A 643, A177", ("1", "2", "3", "4", "D1", "D2", "D3", "D4", "D5")),
}


def angora(number):
    return published("angora2020", f"table{number}")


def kosiba(number):
    return published("kosiba2020", f"table{number}")


def test_all_tables_name_their_source_and_speak_of_measures_alike():
    tables = {f"{paper}_table{n}" for paper in SOURCES for n in SOURCES[paper][1]}
    names = {path.stem for path in shipped_folder("data/published").glob("*.ecsv")}
    others = {
        "angora2020_fig12",
        "splus_unseen",
        "su2020_methods",
        "su2020_classes",
        "sadikov2025_regression",
    }
    assert names == tables | others
    for name in others:
        assert published(*name.split("_")).meta["source"]
    for paper, (source, numbers) in SOURCES.items():
        for number in numbers:
            table = published(paper, f"table{number}")
            assert (table.meta["source"], table.meta["data"]) == (source, "real")
            assert str(table.meta["table"]).replace(".", "") == number
            assert table.meta["doi"].startswith("10.")
            assert table.meta["caption"]
            assert not {"precision", "recall", "efficiency", "network"} & set(table.colnames)


def test_means_of_su_follow_from_the_classes_and_f1_from_its_parts():
    table = published("su2020", "methods")
    each = table[np.isin(table["class"], ("CC", "WCC", "NCC"))]
    f1 = 2 / (1 / each["purity"] + 1 / each["completeness"])
    assert f1 == pytest.approx(each["f1"], abs=0.011)
    means = {row["experiment"]: row for row in table if row["class"] == "macro average"}
    for name in set(each["experiment"]):
        part = each[each["experiment"] == name]
        for name_of in ("f1", "balanced_accuracy"):
            assert np.mean(part[name_of]) == pytest.approx(means[name][name_of], abs=0.006)


def test_limits_of_the_classes_are_those_of_the_package():
    table = published("su2020", "classes")
    assert tuple(table["class"]) == get_scheme("cool-core").classes
    assert tuple(table["t_cool_max"].value[:2]) == COOLING_TIME_LIMITS
    assert tuple(table["ne_min"].value[:2]) == DENSITY_LIMITS
    assert tuple(table["concentration_min"][:2]) == CONCENTRATION_LIMITS


def test_members_of_angora_table_1_add_up_to_the_printed_totals():
    table = angora("1")
    totals = {"mixed": (1629, 2161), "acs": (1603, 1899), "all": (1156, 1425)}
    for bands, numbers in totals.items():
        columns = [np.asarray(table[f"{bands}_{kind}"]) for kind in ("members", "non_members")]
        assert tuple(int(column[column > 0].sum()) for column in columns) == numbers
    pooled = table[~table["frontier_only"]]
    assert (pooled["mixed_members"].sum(), pooled["mixed_non_members"].sum()) == (1249, 1571)


#: Rows whose printed F1 does not follow from purity and completeness; each has a note.
ODD = {
    ("2", "M0329", "bright"): 0.885,
    ("D2", "M0416", "mixed*"): 0.901,
    ("D4", "MS2137", "narrow"): 0.844,
    ("D4", "MS2137", "intermediate"): 0.806,
    ("D5", "M0416", "CNN"): 0.901,
    ("D5", "M0416", "CNN", "non-member"): 0.928,
    ("D5", "M1206", "random forest"): 0.895,
    ("D5", "M1149", "random forest"): 0.892,
}


@pytest.mark.parametrize("number", ["2", "4", "D1", "D2", "D4", "D5"])
def test_f1_follows_from_purity_and_completeness_or_a_note_says_that_it_does_not(number):
    table, found = angora(number), set()
    for row in table:
        p, c = float(row["purity"]), float(row["completeness"])
        expected = 2 * p * c / (p + c)
        if abs(row["f1"] - expected) > 0.0016:
            names = tuple(str(row[name]) for name in table.colnames if table[name].dtype.kind == "U")
            key = names[:3] if (number, *names[:3]) in ODD else names[:2]
            assert expected == pytest.approx(ODD[(number, *key)], abs=6e-4)
            assert any(key[0] in note and f"{expected:.3f}" in note for note in table.meta["notes"])
            found.add((number, *key))
    assert found == {key for key in ODD if key[0] == number}


def test_other_numbers_that_contradict_each_other_have_a_note():
    a370 = angora("D2")[angora("D2")["cluster"] == "A370"]
    assert (a370["accuracy"] > a370["completeness"].max()).all(), "it must lie between those of both classes"
    assert "A370" in angora("D2").meta["notes"][0]
    fold, split = kosiba("7"), kosiba("2")
    in_fold = sum(int(fold[name][1]) for name in ("train", "validation", "test"))
    experts = sum(int(split[name][1]) for name in ("expert_train", "expert_validation", "test"))
    assert (in_fold, experts) == (570, 577)
    assert all("577" in one.meta["notes"][0] and "570" in one.meta["notes"][0] for one in (fold, split))


def test_the_last_bin_of_table_d3_has_its_printed_error():
    table = angora("D3")
    row = table[(table["redshift_bin"] == "0.46-0.60") & (table["class"] == "non-member")][0]
    assert (row["f1"], row["f1_std"], row["f1_global"]) == (0.9, 0.012, 0.899)


def test_table_1_ratios_follow_from_its_counts():
    table = kosiba("1")
    tp, tn, fp, fn = (table[name] for name in ("tp", "tn", "fp", "fn"))
    np.testing.assert_array_equal(tp + tn + fp + fn, table["objects"])
    np.testing.assert_allclose((tp + tn) / table["objects"], table["accuracy"], atol=6e-4)
    np.testing.assert_allclose(tp / (tp + fp), table["purity"], atol=6e-4)
    np.testing.assert_allclose(tp / (tp + fn), table["completeness"], atol=6e-4)


def test_tables_2_5_and_8_are_those_of_the_text():
    table = kosiba("2")
    for name in table.colnames[1:]:
        assert table[name][:2].sum() == table[name][2]
    experts = [table[name][2] for name in ("expert_train", "expert_validation", "test")]
    assert sum(experts) == 1707  # the abstract's
    rows = {row["experiment"]: row for row in kosiba("5")}
    assert rows["CN-E"]["accuracy"] == 0.90
    assert rows["CN-E solo optical"]["completeness"] == 0.85
    assert rows["MN-Z"]["auc_std"] == 0.02
    assert set(rows) <= set(PRESETS)
    accuracy = kosiba("8")["accuracy"]
    assert (len(accuracy), accuracy.min(), accuracy.max()) == (10, 0.87, 0.92)  # section 5.6


def test_section_5_5_averages_over_classes(made):
    table = over_classes(kosiba("6"))
    assert table["experiment"].tolist() == ["MN grayscale", "CN grayscale"]
    for row, (auc, auc_std, a, a_std) in zip(table, [(91, 2, 86, 6), (88, 2, 85, 4)], strict=True):
        printed = [100 * row[name] for name in ("auc", "auc_std", "accuracy", "accuracy_std")]
        assert printed == pytest.approx([auc, auc_std, a, a_std], abs=0.6)
    ours = made.predicted([0.9, 0.2, 0.6], [1, 0, 0], name="CN grayscale")
    ours = measure(ours, by=("experiment", "class"))
    assert over_classes(ours)["classes"].tolist() == [2]


@pytest.mark.parametrize(
    ("cluster", "mean", "error"),
    [
        ("R2248", -0.0091, 0.0142),
        ("M0416", 0.0111, 0.0112),
        ("M1206", -0.0024, 0.0090),
        ("M1149", 0.0066, 0.0160),
    ],
)
def test_table_d5_gives_its_own_mean_deltas(cluster, mean, error):
    table = method_differences(angora("D5"))
    last = table[(table["cluster"] == cluster) & (table["measure"] == "mean delta")]
    assert len(last) == 1
    assert (last["delta"][0], last["delta_error"][0]) == pytest.approx((mean, error), abs=2e-4)
    assert "objects" not in table.colnames


def test_methods_in_each_cluster_with_the_difference_to_the_best_other(made):
    ids, member = [f"G{i}" for i in range(8)], np.arange(8) < 4
    scores = {
        "cnn": [0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.1],
        "forest": [0.9, 0.2, 0.7, 0.8, 0.6, 0.7, 0.1, 0.1],
        "bayes": [0.9, 0.8, 0.7, 0.8, 0.6, 0.7, 0.8, 0.1],
    }
    sets = {name: made.predicted(p, member, ids=ids) for name, p in scores.items()}
    on, none = QTable({"object_id": ids[::-1], "cluster": ["B", "A"] * 4}), Resampling(0)
    grouped = {"by": ("cluster", "method", "class"), "on": on, "total": "all", "resampling": none}
    table = method_differences(measure(sets, **grouped))
    whole = table[table["cluster"] == "all"]
    assert len(table) == 3 * 8
    values = {(r["class"], r["measure"]): r for r in whole}
    purity = values["member", "purity"]
    assert [purity[name] for name in scores] == pytest.approx([0.75, 0.6, 4 / 7])
    assert purity["delta"] == pytest.approx(0.15)
    assert values["member", "completeness"]["delta"] == pytest.approx(-0.25)
    assert values["non-member", "completeness"]["bayes"] == 0.25
    assert values["both", "accuracy"]["cnn"] == 0.75
    deltas = np.array([r["delta"] for r in whole[:-1]])
    assert whole["delta"][-1] == pytest.approx(deltas.mean())
    assert whole["delta_error"][-1] == pytest.approx(deltas.std(ddof=1) / np.sqrt(7))


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
    whole = linear_fits(table, measures=("f1",), total="all")
    assert whole["bands"].tolist() == ["a", "all"]
    assert whole["slope"].tolist() == pytest.approx([row["slope"]] * 2)
    few = linear_fits(table[:2], measures=("f1",), total="all")
    assert (len(few), few.colnames) == (0, whole.colnames), "two points have no error"


def test_errors_as_shares_and_rates(made):
    member, score, catalogue = made.field(200)
    cuts = {"all": np.ones(200, bool), "first": np.arange(200) < 80}
    rates = ("fp", "fn", "fp_rate", "fn_rate")
    table = measure(made.predicted(score, member), parts=cuts, on=catalogue, measures=rates)
    false = ~member & (score > 0.5)
    assert table["fp"].tolist() == [false.sum(), false[:80].sum()]
    assert table["fp_rate"][1] == pytest.approx(false[:80].sum() / (~member[:80]).sum())
    assert (table["fn_rate_low"] < table["fn_rate"]).all()
    shares = error_shares(table)
    assert shares["population"].tolist() == ["member"] * 2 + ["non-member"] * 2
    assert (shares["share"][0], shares["errors"][0]) == (member.sum(), false.sum())
    assert shares["share"][1] == pytest.approx(member[:80].sum() / member.sum())
    assert shares["errors"][1] == pytest.approx(false[:80].sum() / false.sum())
    assert shares["error_rate"][3] == table["fn_rate"][1]


def test_the_highest_is_counted_where_all_have_a_value():
    table = QTable({"cluster": ["A", "A", "B", "B", "C"], "bands": ["x", "y", "x", "y", "y"]})
    table["accuracy"] = [0.8, 0.9, 0.7, 0.75, 0.9]
    table["accuracy_published"] = [0.8, 0.8, np.nan, 0.6, 0.9]
    found = highest_counts(table)
    assert [row.as_void().tolist() for row in found] == [("x", 0, 1), ("y", 2, 0)]
    assert found.meta == {"measured": 2, "published": 1}
    assert highest_counts(table[:0]).colnames == found.colnames


def test_pairs_are_apart_in_units_of_their_errors():
    table = QTable({"f1": [0.80, 0.8501, 0.80], "f1_error": [0.03, 0.04, 0.03]})
    found = separations(table, ("f1",))
    assert found["measure"].tolist() == ["f1", "all"]
    assert found["pairs"].tolist() == [3, 3]
    assert found["within_one_sigma"][1] == pytest.approx(1 / 3)  # 1.002, 0 and 1.002 sigma
    assert found["mean_separation"][0] == pytest.approx(2 / 3, rel=0.01)
    assert len(separations(table[:1], ("f1",))) == 0


def test_votes_are_measured_over_the_experts_objects_and_the_test_split():
    experts = QTable({"object_id": ["a", "b", "c", "d"], "split": ["train", "test", "test", ""]})
    experts["label"] = ["low-z cluster", "high-z cluster", "artefact", ""]
    votes = QTable({"object_id": ["c", "a", "b", "d"], "label": ["non-cluster", "cluster", "", "cluster"]})
    votes["soft_cluster"] = [0.1, 0.7, np.nan, 0.6]
    scores = vote_table(vote_predictions({"weighted": votes}, experts))
    assert scores["data_set"].tolist() == ["3 objects", "2 objects"]
    counts = [tuple(row[name] for name in ("tp", "tn", "fp", "fn")) for row in scores]
    assert counts == [(1, 1, 0, 1), (0, 1, 0, 1)]
    assert (scores["purity"][0], scores["completeness"][0], scores["auc"][0]) == (1, 0.5, 0.5)
    experts["label"] = ""
    none = vote_table(vote_predictions({"weighted": votes}, experts))
    assert (len(none), none.colnames) == (0, scores.colnames)


@pytest.fixture
def summary():
    columns = {"experiment": ["mine", "CN-E"], "runs": [3, 3], "objects": [170, 170]}
    for name in ("accuracy", "purity", "completeness", "f1", "auc"):
        columns |= {name: [0.7, 0.8], f"{name}_std": [0.02, 0.01]}
        columns |= {f"{name}_low": [0.65, 0.78], f"{name}_high": [0.75, 0.82]}
    return QTable(columns)


def test_published_numbers_stand_in_columns_of_their_own(summary):
    table = join_published(summary, "kosiba2020", "table5", data="simulated")
    assert table["experiment"][:2].tolist() == ["CN-E", "MN-E"], "in the order of the paper"
    assert table["experiment"][-1] == "mine", "what was not published comes last"
    assert len(table) == 8 + 1
    assert table["accuracy"][0] == 0.8
    assert (table["accuracy_published"][0], table["accuracy_published_std"][0]) == (0.9, 0.03)
    assert np.isnan([table["accuracy"][1], table["accuracy_low"][1], table["accuracy_published"][-1]]).all()
    assert table["runs"].mask.tolist() == [False, *[True] * 7, False]
    assert "simulated objects" in table.meta["note"]
    assert "f1_published" not in table.colnames  # the paper gives none
    text = as_text(table, digits=2)
    assert text["auc"][:2].tolist() == ["0.80 ± 0.01 [0.78, 0.82]", "undefined"]
    assert text["auc_published"][[0, -1]].tolist() == ["0.96 ± 0.01", "–"]
    only = join_published(summary, "kosiba2020", "table5", data="real", unmeasured="drop")
    assert only["experiment"].tolist() == ["CN-E", "mine"]
    assert "note" not in only.meta
    assert summary.colnames[0] == "experiment"
    named = join_published(summary, "kosiba2020", "table5", data="real", names={"mine": "MN-E"})
    assert named["accuracy"][1] == 0.7


def test_table_7_counts_stay_whole_numbers():
    rows = [{"class": name, "train": 8, "validation": 1, "test": 1} for name in ("non-cluster", "cluster")]
    table = join_published(QTable(rows=rows), "kosiba2020", "table7", data="simulated")
    assert table["class"].tolist() == ["cluster", "non-cluster"]
    assert table["train_published"].tolist() == [904, 399]
    assert table["test"].dtype.kind == "i"


def test_configurations_and_classes_are_joined_under_the_papers_names(made):
    member, score, catalogue = made.field(60)
    catalogue = QTable({"object_id": catalogue["object_id"], "cluster": ["M0416"] * 60})
    found, few = made.predicted(score, member), Resampling(20)
    first = measure({"mixed_star": found}, by=("bands", "class"), resampling=few)
    first = join_published(first, "angora2020", "tableD1", data="simulated")
    assert len(first) == 8
    row = first[(first["bands"] == "mixed*") & (first["class"] == "member")][0]
    assert (row["f1_published"], row["accuracy_published"]) == (0.874, 0.893)
    assert row["f1_low"] < row["f1"]
    grouped = {"by": ("cluster", "method", "class"), "on": catalogue, "total": "all", "resampling": few}
    fifth = measure({"bayesian": found}, **grouped)
    fifth = join_published(fifth, "angora2020", "tableD5", data="simulated", unmeasured="drop")
    assert fifth["cluster"].tolist() == ["M0416"] * 2 + ["all"] * 2
    assert fifth["purity_published"][:2].tolist() == [0.846, 0.9]
    assert np.isnan(fifth["purity_published"][2:]).all()


def test_parts_of_tables_2_to_4_have_known_names():
    parts = ["all", "magnitude < 25", "magnitude >= 25", "colour < -0.5", "colour < 0", "colour >= 0"]
    errors = {"part": parts, "objects": [22] * 6, "positives": [10] * 6, "fp": [2] * 6, "fn": [3] * 6}
    errors |= {f"{name}_rate{end}": [0.1] * 6 for name in ("fp", "fn") for end in ("", "_low", "_high")}
    table = join_published(error_shares(QTable(errors)), "angora2020", "table3", data="simulated")
    assert len(table) == 12
    assert np.isfinite(table["error_rate"]).all()
    row = table[(table["part"] == "F814 >= 25.0") & (table["population"] == "non-member")][0]
    assert row["error_rate_published"] == 0.95
    cuts = {"part": ["all", "magnitude < 25, colour >= -0.5"], "positives": [10, 9], "purity": [0.8, 0.9]}
    fourth = join_published(QTable(cuts), "angora2020", "table4", data="simulated")
    assert fourth["positives_published"].tolist() == [1187, 1100]
    assert fourth["purity_published"].tolist() == [0.879, 0.884]
    second = QTable({"cluster": ["stacked"], "part": ["bright"], "f1": [0.5]})
    second = join_published(second, "angora2020", "table2", data="real", unmeasured="drop")
    assert second["f1_published"].tolist() == [0.903]


def test_other_edges_of_bins_are_named():
    ours = QTable({"redshift_bin": ["0.18-0.34", "0.34-0.37"], "class": ["member"] * 2})
    ours["accuracy"] = [0.8, 0.9]
    names = {"0.18-0.34": "0.18-0.32", "0.34-0.37": "0.32-0.37"}
    table = join_published(ours, "angora2020", "tableD3", data="simulated", names=names, unmeasured="drop")
    assert table["accuracy"].tolist() == [0.8, 0.9]
    assert table["accuracy_published_std"].tolist() == [0.011, 0.012]


def test_per_cent_under_the_papers_abbreviations():
    ours = {"cluster": ["A370", "M1206"], "training": ["large"] * 2, "objects": [535, 9]}
    ours["accuracy"] = [0.882, 0.5]
    ours |= {"accuracy_std": [0.012, np.nan], "accuracy_low": [0.85, 0.4], "accuracy_high": [0.91, 0.6]}
    ours |= {"purity": [0.8, 0.8], "completeness": [1.0, 1.0], "f1": [np.nan, 0.9]}
    both = join_published(QTable(ours), "angora2020", "tableD4", data="simulated", unmeasured="drop")
    text = as_text(both, keep=(), bounds=False, percent=True)
    each = [f"{name}{end}" for name in ("AE", "pur", "compl", "F1") for end in ("", ", paper")]
    assert text.colnames == ["cluster", "training", *each]
    assert (text["AE"][0], text["AE, paper"][0]) == ("88.2 ± 1.2", "87.4 ± 0.3")
    assert (text["pur"][0], text["F1"][0], text["AE, paper"][1]) == ("80.0", "undefined", "–")
    one = as_text(QTable(ours), measures=["accuracy"], keep=["objects"], percent=True)
    assert one.colnames == ["cluster", "training", "objects", "AE"]
    assert (one["AE"][0], one["objects"][0]) == ("88.2 ± 1.2 [85.0, 91.0]", 535)
    assert "auc" not in as_text(QTable(ours)).colnames


def test_what_cannot_be_joined_made_or_shown_is_refused(summary):
    def joined(table=summary, name="table5", data="real", **options):
        return lambda: join_published(table, "kosiba2020", name, data=data, **options)

    twice = QTable({"class": ["cluster"] * 2, "train": [1, 2]})
    for call, message in (
        (joined(data="mixed"), "data must be one of .*, got 'mixed'"),
        (joined(unmeasured="hide"), "unmeasured must be one of .*, got 'hide'"),
        (joined(name="table8"), "measured must have rows and columns like the published table, .* got"),
        (joined(names={"mine": "NN"}), r"names must map measured .* got \['NN'\]"),
        (joined(names={"yours": "CN-E"}), r"names must map measured .* got \['yours'\]"),
        (joined(names={"mine": "CN-E"}), "measured must have one row for each experiment, got some twice"),
        (joined(twice, "table7"), "measured must have one row for each class, got some twice"),
        (lambda: kosiba("9"), "table must be one of .*kosiba2020_table5.* got kosiba2020_table9"),
        (lambda: as_text(summary, measures=["brier"], keep=["a"]), r"got none for \['brier', 'a'\]"),
        (lambda: as_text(QTable({"a": [1]})), "measures must name a column at least, got none"),
        (lambda: over_classes(kosiba("5")), r"\['class'\] missing"),
        (lambda: method_differences(angora("D5")[:2]), r"two methods in each cluster, got \['CNN'\]"),
        (lambda: linear_fits(QTable({"bands": ["a"]})), "table must have the columns .* missing"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_reliability_is_the_fraction_in_each_bin():
    p = np.array([0.05, 0.15, 0.15, 0.95, 1.0, 0.5])
    true = ["no", "yes", "no", "yes", "yes", ""]
    about = {"classes": ("no", "yes"), "positive": "yes", "experiment": "x"}
    ids = [f"o{n}" for n in range(6)]
    one = Predictions.from_arrays(ids, np.column_stack([1 - p, p]), true=true, **about)
    table = reliability({"mine": one})
    assert table["objects"].tolist() == [1, 2, 2], "unknown objects are left out, 1 belongs to the last bin"
    np.testing.assert_allclose(table["p"], [0.05, 0.15, 0.975])
    np.testing.assert_allclose(table["fraction"], [0, 0.5, 1])
    assert (table["fraction_low"] <= table["fraction"]).all()
    with pytest.raises(InputError, match="bins must be at least 1, got 0"):
        reliability({"mine": one}, bins=0)


def test_the_custom_network_knows_nearby_galaxies_least():
    """Its text (section 5.5) calls them the easiest; its Table 6 says otherwise."""
    found = {row["experiment"]: row for row in ranked_classes(kosiba(6))}
    assert found["CN grayscale"]["lowest"] == "nearby galaxy"
    assert found["CN grayscale"]["lowest_auc"] == 0.85
    assert found["MN grayscale"]["lowest"] == "point source"
    assert (found["MN grayscale"]["next"], found["MN grayscale"]["highest"]) == (
        "high-z cluster",
        "low-z cluster",
    )
