"""The published tables: found, true to themselves, and never mixed with measured numbers."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable

from labkit import paths
from labkit.errors import InputError, MissingDataError
from labkit.evaluate.published import beside_published, published_folder, published_table, published_tables
from labkit.evaluate.tables import as_text
from labkit.experiment import PRESETS

SOURCES = {
    "kosiba2020": ("Kosiba et al. 2020, MNRAS 496, 4141", ("1", "2", "5", "6", "7", "8")),
    "angora2020": ("Angora et al. 2020, A&A 643, A177", ("1", "2", "3", "4", "D1", "D2", "D3", "D4", "D5")),
}


def test_all_tables_name_their_source():
    assert set(published_tables()) == {f"{paper}_table{n}" for paper in SOURCES for n in SOURCES[paper][1]}
    for paper, (source, numbers) in SOURCES.items():
        for number in numbers:
            meta = published_table(f"table{number}", paper=paper).meta
            assert (meta["source"], meta["data"]) == (source, "real")
            assert str(meta["table"]).replace(".", "") == number
            assert meta["doi"].startswith("10.")
            assert meta["caption"]


def test_members_of_angora_table_1_add_up_to_the_printed_totals():
    table = published_table("table1", paper="angora2020")
    totals = {"mixed": (1629, 2161), "acs": (1603, 1899), "all": (1156, 1425)}
    for bands, numbers in totals.items():
        columns = [np.asarray(table[f"{bands}_{kind}"]) for kind in ("members", "non_members")]
        assert tuple(int(column[column > 0].sum()) for column in columns) == numbers
    pooled = table[~table["frontier_only"]]
    assert (pooled["mixed_members"].sum(), pooled["mixed_non_members"].sum()) == (1249, 1571)


def test_table_1_ratios_follow_from_its_counts():
    table = published_table("table1")
    tp, tn, fp, fn = (table[name] for name in ("tp", "tn", "fp", "fn"))
    np.testing.assert_array_equal(tp + tn + fp + fn, table["objects"])
    np.testing.assert_allclose((tp + tn) / table["objects"], table["accuracy"], atol=6e-4)
    np.testing.assert_allclose(tp / (tp + fp), table["precision"], atol=6e-4)
    np.testing.assert_allclose(tp / (tp + fn), table["recall"], atol=6e-4)


def test_table_2_adds_up():
    table = published_table("table2")
    for name in table.colnames[1:]:
        assert table[name][:2].sum() == table[name][2]
    experts = table["expert_train"][2] + table["expert_validation"][2] + table["test"][2]
    assert experts == 1707  # the abstract's number


def test_table_5_as_in_the_text():
    table = published_table("table5")
    rows = {row["network"]: row for row in table}
    assert rows["CN-E"]["accuracy"] == 0.90
    assert rows["CN-E solo optical"]["recall"] == 0.85
    assert rows["MN-Z"]["auc_std"] == 0.02
    assert set(rows) <= set(PRESETS)
    assert table.meta["runs"] == 10


def test_table_6_averages_are_those_of_section_5_5():
    table = published_table("table6")
    for name, accuracy, auc in (("MN grayscale", 0.86, 0.91), ("CN grayscale", 0.85, 0.88)):
        rows = table[table["network"] == name]
        assert len(rows) == 5
        assert np.mean(rows["accuracy"]) == pytest.approx(accuracy, abs=0.006)
        assert np.mean(rows["auc"]) == pytest.approx(auc, abs=0.006)


def test_table_8_range_is_that_of_section_5_6():
    accuracy = published_table("table8")["accuracy"]
    assert (len(accuracy), accuracy.min(), accuracy.max()) == (10, 0.87, 0.92)


@pytest.fixture
def summary():
    columns = {"experiment": ["CN-E", "mine"], "runs": [3, 3], "objects": [170, 170]}
    for metric in ("accuracy", "precision", "recall", "f1", "auc"):
        columns |= {metric: [0.8, 0.7], f"{metric}_std": [0.01, 0.02]}
        columns |= {f"{metric}_low": [0.78, 0.65], f"{metric}_high": [0.82, 0.75]}
    return QTable(columns)


def test_measured_rows_stand_under_their_published_one(summary):
    table = beside_published(summary, "table5", data="simulated")
    assert table["network"][:3].tolist() == ["CN-E", "CN-E", "MN-E"]
    assert table["from"][:3].tolist() == ["published, table5", "measured", "published, table5"]
    assert table["data"][:3].tolist() == ["real", "simulated", "real"]
    assert table["accuracy"][:3].tolist() == [0.90, 0.8, 0.88]
    assert table["accuracy_low"][1] == 0.78
    assert np.isnan(table["accuracy_low"][0])
    assert table[-1]["network"] == "mine"
    assert len(table) == 8 + 2
    assert "simulated objects" in table.meta["note"]
    assert "f1" not in table.colnames  # the paper gives none


def test_every_row_says_what_it_is(summary):
    table = beside_published(summary, data="simulated")
    measured = np.char.startswith(np.asarray(table["from"], dtype=str), "measured")
    assert set(table["data"][measured]) == {"simulated"}
    assert set(table["data"][~measured]) == {"real"}
    assert as_text(table, digits=2)["auc"][:2].tolist() == ["0.96 ± 0.01", "0.80 ± 0.01 [0.78, 0.82]"]


def test_names_may_differ(summary):
    table = beside_published(summary, data="real", names={"mine": "MN-E"})
    assert table["network"].tolist().count("MN-E") == 2
    assert table.meta["note"] == ""
    with pytest.raises(InputError, match=r"names must map experiments .* got \['NN'\]"):
        beside_published(summary, data="real", names={"mine": "NN"})
    with pytest.raises(InputError, match="each experiment must stand for another network"):
        beside_published(summary, data="real", names={"mine": "CN-E"})


def test_bad_requests(summary, tmp_path):
    with pytest.raises(InputError, match="data must be 'real' or 'simulated', got 'mixed'"):
        beside_published(summary, data="mixed")
    with pytest.raises(InputError, match=r"rows and columns like 'table8' .* lacks \['fold'\]; measure what"):
        beside_published(summary, "table8", data="real")
    with pytest.raises(
        MissingDataError, match="table must be one of .*kosiba2020_table5.* got kosiba2020_table9"
    ):
        published_table("table9")
    with pytest.raises(MissingDataError, match=r"table must be one of \(\)"):
        published_table("table5", folder=tmp_path)


def test_folder_in_the_package_or_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / "labkit"
    monkeypatch.setattr(paths.resources, "files", lambda _: package)
    with pytest.raises(MissingDataError, match="found neither; install labkit again"):
        published_folder()
    (tmp_path / "data" / "published").mkdir(parents=True)
    assert published_folder() == tmp_path / "data" / "published"
    (package / "data" / "published").mkdir(parents=True)
    assert published_folder() == package / "data" / "published"
