"""Subject sets: what stands in the manifest and the pictures, resuming, and refusals."""

import csv

import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

from labkit.sample import Sample
from labkit.views.inspector.pictures import Pictures
from labkit.views.subjects import write_subject_set


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def rows_of(manifest) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def with_ids(sample: Sample, ids: list[str], **columns) -> Sample:
    catalogue = QTable(sample.catalogue, copy=True)
    catalogue["object_id"] = ids
    for name, values in columns.items():
        catalogue[name] = values
    return Sample(sample.images, catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale)


def test_pictures_are_the_painters_and_all_columns_are_hidden(small_sample, tmp_path):
    named = with_ids(small_sample, [f"Ä/{n} b,c" for n in range(12)], note=["x"] * 11 + [""])
    options = {"pictures": ["optical+X-ray", "combined"], "columns": ["note"], "size_px": 32}
    rows = rows_of(write_subject_set(named, tmp_path / "set", rng(), **options))
    assert list(rows[0]) == ["#object_id", "#picture_1", "#picture_2", "#note"]
    assert [row["#object_id"] for row in rows] == named.object_ids.tolist()
    assert (rows[0]["#note"], rows[-1]["#note"]) == ("x", "unknown")
    assert not any("cluster" in cell for row in rows for cell in row.values())
    files = {row[f"#picture_{n}"] for row in rows for n in (1, 2)}
    assert files | {"manifest.csv", "subjects.json"} == {file.name for file in (tmp_path / "set").iterdir()}
    with Image.open(tmp_path / "set" / rows[4]["#picture_1"]) as sheet:
        assert sheet.size == (2 * 32 + 8, 32)
        shown = np.asarray(sheet)[:, -32:, 0]
    levels = (
        Pictures(named).levels(4, "X-ray")[::-1].repeat(2, 0).repeat(2, 1)
    )  # the first row is at the bottom
    assert np.abs(shown - 255 * levels).max() < 1


def test_a_killed_call_resumes_and_a_limit_draws_the_same_objects(small_sample, tmp_path, monkeypatch):
    whole = write_subject_set(small_sample, tmp_path / "whole", rng(), limit=7)
    with monkeypatch.context() as during:
        real, seen = Pictures.levels, []

        def killed(painter, row, style):
            seen.append(row)
            if len(set(seen)) == 4:
                raise KeyboardInterrupt
            return real(painter, row, style)

        during.setattr(Pictures, "levels", killed)
        with pytest.raises(KeyboardInterrupt):
            write_subject_set(small_sample, tmp_path / "set", rng(), limit=7)
    assert not (tmp_path / "set" / "manifest.csv").exists()
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "set").glob("*.png")}
    assert len(kept) == 3
    counts = []
    manifest = write_subject_set(
        small_sample, tmp_path / "set", rng(), limit=7, progress=lambda *n: counts.append(n)
    )
    assert counts[-1] == (7, 7)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(rows_of(manifest)) == 7
    for file in whole.parent.iterdir():
        assert (manifest.parent / file.name).read_bytes() == file.read_bytes()


def test_refusals_before_anything_is_written(small_sample, tmp_path, monkeypatch):
    def refused(match, sample=small_sample, name="new", **options):
        with pytest.raises(ValueError, match=match):
            write_subject_set(sample, tmp_path / name, rng(), **options)

    refused(r"a picture must be of optical, X-ray, combined.*got \['red'\]", pictures=["optical+red"])
    refused("catalogue .*'z'", columns=["z"])
    refused("limit must be at least 1, got 0", limit=0)
    refused(
        "object_id must have no blanks .*got 'X  1'", with_ids(small_sample, ["X  1", *map(str, range(11))])
    )
    monkeypatch.setattr("labkit.views.subjects._ALLOWANCE", 11)
    refused("11 objects at most.*got 12; set a limit")
    assert not (tmp_path / "new").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    refused("new or empty folder, it holds other files", name="full", limit=3)
    write_subject_set(small_sample, tmp_path / "set", rng(), limit=3)
    refused("subject set of another Sample or with other options", name="set", limit=4)
    monkeypatch.setattr("labkit.views.subjects._LARGEST", 100)
    refused("a picture must have 100 bytes at most", limit=3)
    assert list((tmp_path / "new").glob("*.png")) == []
