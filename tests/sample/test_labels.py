"""Labels joined to a Sample: which object gets which, what is refused, and that no pixel is read."""

import logging

import astropy.units as u
import numpy as np
import pytest
import zarr
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, with_columns, with_label_files, with_labels
from labkit.sample.labels import read_labels
from labkit.tables import write_table


def votes(ids, labels, **columns):
    return Table({"object_id": list(ids), "label": list(labels), **columns})


def journal(*lines):
    return Table(rows=lines, names=("object_id", "verdict", "label", "note"))


def test_labels_go_to_their_objects_whatever_the_order(small_sample):
    joined = with_labels(small_sample, votes(["X07", "X02"], ["edge", "cluster"]))
    changed = dict(zip(joined.object_ids, joined.labels, strict=True))
    assert (changed.pop("X07"), changed.pop("X02")) == ("edge", "cluster")
    before = dict(zip(small_sample.object_ids, small_sample.labels, strict=True))
    assert all(before[name] == label for name, label in changed.items())
    assert small_sample.labels[7] == "nearby galaxy", "the Sample itself is unchanged"
    np.testing.assert_array_equal(joined.images, small_sample.images)


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(12)), st.integers(1, 12))
def test_joining_what_a_sample_says_changes_nothing(order, number):
    ids, labels = np.array([f"X{i:02d}" for i in range(12)]), np.array(["edge", "cluster", ""] * 4)
    angle = np.arange(12) * u.deg
    catalogue = QTable({"object_id": ids, "ra": angle, "dec": angle, "label": labels})
    images = np.zeros((12, 1, 8, 8), np.uint8)
    sample = Sample(images, catalogue, bands=("xray",), pixel_scale=1 * u.arcsec)
    rows = list(order)[:number]
    joined = with_labels(sample, votes(ids[rows], labels[rows]))
    assert joined.labels.tolist() == labels.tolist()
    assert joined.content_hash == sample.content_hash


def test_a_new_column_for_volunteers(small_sample):
    table = votes(
        ["X00", "X05", "X09"],
        ["cluster", "non-cluster", "cluster"],
        split=["train", "validation", "train"],
        soft_cluster=[0.9, 0.2, 0.7],
    )
    joined = with_labels(small_sample, table, into="volunteer_label").catalogue
    expected = {0: "cluster", 5: "non-cluster", 9: "cluster"}
    assert joined["volunteer_label"].tolist() == [expected.get(row, "") for row in range(12)]
    assert joined["label"].tolist() == small_sample.labels.tolist()
    assert joined["soft_cluster"][5] == 0.2
    assert np.isnan(joined["soft_cluster"][1])
    parts = joined["volunteer_split"].tolist()
    assert (parts[0], parts[5]) == ("train", "validation")
    assert parts[8:] == ["test"] * 4, "test objects stay test objects, also X09"


def test_pixels_stay_unread_and_the_hash_follows_the_labels(small_sample, tmp_path, monkeypatch):
    stored = Sample.load(small_sample.save(tmp_path / "s"))

    def refuse(*args):
        raise RuntimeError("pixels were read")

    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)
    relabelled = with_labels(stored, votes(["X01"], ["edge"]))
    assert relabelled.content_hash != stored.content_hash
    assert relabelled.content_hash == with_labels(stored, votes(["X01"], ["edge"])).content_hash
    assert relabelled.content_hash != with_labels(stored, votes(["X02"], ["edge"])).content_hash
    moved = with_labels(stored, votes(["X01"], ["point source"], split=["test"]))
    assert moved.content_hash != stored.content_hash
    volunteers = with_labels(stored, votes(["X01"], ["cluster"]), into="volunteer_label")
    assert volunteers.content_hash == stored.content_hash, "the experts' labels are what they were"


def test_the_last_verdict_counts(small_sample):
    table = journal(
        ("X01", "relabel", "edge", ""),
        ("X02", "relabel", "edge", ""),
        ("X02", "withdrawn", "", ""),
        ("X03", "agree", "cluster", "sure"),
        ("X04", "doubtful", "", "?"),
        ("X01", "relabel", "artefact", "no"),
    )
    joined = with_labels(small_sample, table)
    differs = np.flatnonzero(joined.labels != small_sample.labels)
    assert differs.tolist() == [1]
    assert joined.labels[1] == "artefact"
    dropped = with_labels(small_sample, table, doubtful="drop")
    assert np.flatnonzero(dropped.labels == "").tolist() == [4]
    nothing = with_labels(small_sample, journal(("X03", "agree", "cluster", "")))
    assert nothing.content_hash == small_sample.content_hash


def test_unknown_objects_are_refused_or_counted(small_sample, caplog):
    table = votes(["X01", "Y1", "Y2"], ["edge"] * 3)
    with pytest.raises(InputError, match=r"got 2 of 3 that are not in it, first 'Y1'; .* unknown='drop'"):
        with_labels(small_sample, table)
    with caplog.at_level(logging.INFO):
        assert with_labels(small_sample, table, unknown="drop").labels[1] == "edge"
    assert "2 of 3 labels are of objects not in the Sample" in caplog.text
    with pytest.raises(InputError, match="got 2 of 2 that are not in it"):
        with_labels(small_sample, table[1:], unknown="drop")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (votes(["X01", "X01"], ["edge", "edge"]), r"must be unique in a table of labels, got \['X01'\]"),
        (
            votes(["X01"], ["edge"], split=["testing"]),
            "split must be empty or one of .*, got 'testing' .did you mean 'test'",
        ),
        (
            Table({"object_id": ["X01"]}),
            r"have the columns .* \['label'\] missing; it has \['object_id'\]",
        ),
        (journal(("X01", "maybe", "", "")), r"verdict must be one of .*'withdrawn'\), got \['maybe'\]"),
        (journal(("X01", "relabel", "", "")), "'relabel' must give a label, got none for 'X01'"),
    ],
)
def test_bad_tables_are_refused(small_sample, table, message):
    with pytest.raises(InputError, match=message):
        with_labels(small_sample, table)


@pytest.mark.parametrize("option", ["unknown", "doubtful"])
def test_options_are_checked(small_sample, option):
    with pytest.raises(InputError, match=rf"{option} must be one of \('\w+', 'drop'\), got 'never'"):
        with_labels(small_sample, votes(["X01"], ["edge"]), **{option: "never"})


def test_masked_labels_are_unknown(small_sample):
    table = votes(["X01", "X02"], MaskedColumn(["edge", "edge"], mask=[True, False]))
    assert with_labels(small_sample, table).labels[1:3].tolist() == ["", "edge"]


@pytest.mark.parametrize("ending", [".csv", ".ecsv", ".parquet", ".fits"])
def test_files_say_the_same_in_every_format(small_sample, tmp_path, ending):
    table = votes(["X01", "X02"], ["edge", "cluster"], soft_cluster=[0.1, 0.75])
    path = write_table(table, tmp_path / f"t{ending}")
    joined = with_labels(small_sample, path)
    assert joined.labels[1:3].tolist() == ["edge", "cluster"]
    assert joined.catalogue["soft_cluster"][1:3].tolist() == [0.1, 0.75]


def test_ids_of_a_csv_stay_as_they_are_written_and_torn_lines_are_counted(tmp_path, caplog):
    path = tmp_path / "t.csv"
    path.write_text('object_id,verdict,label,note\n007,relabel,edge,"a, b"\n008,relab')
    table = read_labels(path)
    assert table["object_id"].tolist() == ["007"]
    assert table["note"].tolist() == ["a, b"]
    assert "1 incomplete lines were left out" in caplog.text


def test_files_go_where_they_belong(small_sample, tmp_path):
    voted = votes(["X00", "X01"], ["cluster", "non-cluster"], n_votes=[30, 30])
    write_table(voted, tmp_path / "votes.parquet")
    write_table(journal(("X02", "relabel", "edge", "")), tmp_path / "verdicts.csv")
    write_table(votes(["X03"], ["edge"]), tmp_path / "mine.csv")
    files = [tmp_path / "votes.parquet", tmp_path / "verdicts.csv", f"second_label={tmp_path / 'mine.csv'}"]
    joined = with_label_files(small_sample, files).catalogue
    assert joined["volunteer_label"].tolist()[:3] == ["cluster", "non-cluster", ""]
    assert joined["label"][2] == "edge"
    assert joined["second_label"].tolist()[2:4] == ["", "edge"]
    assert with_label_files(small_sample, []) is small_sample


def test_files_that_are_not_tables_are_named(small_sample, tmp_path):
    with pytest.raises(MissingDataError, match=r"table '.*no.csv' does not exist; check the path"):
        with_label_files(small_sample, [tmp_path / "no.csv"])
    (tmp_path / "soft.csv").write_text('object_id,label,soft_cluster\nX01,edge,"0,5"\n')
    with pytest.raises(InputError, match=r"labels '.*soft.csv': column 'soft_cluster' .* got '0,5' in row 1"):
        read_labels(tmp_path / "soft.csv")
    (tmp_path / "bad.csv").write_text("object_id,label\nX99,quasar\n")
    with pytest.raises(InputError, match=r"labels '.*bad.csv': object_id must name objects"):
        with_label_files(small_sample, [tmp_path / "bad.csv"])


@pytest.mark.parametrize("ids", [np.array([7.0]), np.array([7]), [b"7"]])
def test_ids_of_any_type_find_the_objects(ids, small_sample):
    catalogue = small_sample.catalogue.copy()
    catalogue["object_id"] = ["7", *catalogue["object_id"][1:]]
    sample = Sample(small_sample.images, catalogue, bands=small_sample.bands, pixel_scale=2 * u.arcsec)
    assert with_labels(sample, Table({"object_id": ids, "label": ["edge"]})).labels[0] == "edge"


# Columns


def test_columns_are_added_with_pixels_unread(small_sample, tmp_path):
    small_sample.save(tmp_path / "s")
    stored = Sample.load(tmp_path / "s")
    joined = with_columns(stored, {"group": np.arange(12)}, provenance={"groups": 12})
    assert "images" not in joined.__dict__
    assert joined.catalogue["group"].tolist() == list(range(12))
    assert "group" not in stored.catalogue.colnames
    assert joined.provenance["groups"] == 12
    assert "groups" not in stored.provenance
    np.testing.assert_array_equal(joined.images, small_sample.images)


def test_only_labels_and_splits_change_what_a_sample_is(small_sample):
    before = small_sample.content_hash
    assert with_columns(small_sample, {"label_mixed": small_sample.labels}).content_hash == before
    assert with_columns(small_sample, {"label": small_sample.labels}).content_hash == before
    assert with_columns(small_sample, {"label": ["edge"] * 12}).content_hash != before


def test_columns_must_fit(small_sample):
    with pytest.raises(InputError, match=r"column 'x' must have one value per object, 12, got \(3,\)"):
        with_columns(small_sample, {"x": [1, 2, 3]})
    with pytest.raises(InputError, match=r"columns must not be any of .*, got \['ra'\]"):
        with_columns(small_sample, {"ra": np.zeros(12)})
