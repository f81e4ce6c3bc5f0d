"""Colour cut-outs of right and wrong decisions on members, as in Figs. 10 and 11 of Angora et al. (2020)."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from bokeh.models import GlyphRenderer, ImageURL, Rect

from labkit.errors import InputError, MissingDataError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.gallery import EMPTY_PICTURE
from labkit.views.members.band_sheet import band_sheet
from labkit.views.members.gallery import FRAMES, caption_of, member_gallery

BANDS, N = ("F435", "F606", "F814", "F160"), 24


@pytest.fixture(scope="module")
def members() -> Sample:
    rng = np.random.default_rng(2)
    member = np.arange(N) % 2 == 0
    images = rng.normal(0, 0.01, (N, 4, 16, 16)).astype(np.float32)
    images[:, :, 6:10, 6:10] += 0.5
    catalogue = QTable(
        {
            "object_id": [f"g{i:02d}" for i in range(N)],
            "ra": np.linspace(181.54, 181.56, N) * u.deg,
            "dec": np.linspace(-8.81, -8.79, N) * u.deg,
            "label": np.where(member, "member", "non-member"),
            "cluster": np.where(np.arange(N) < 14, "M1206", "M1149"),
            "redshift": np.where(member, 0.44, 0.47),
            "velocity": np.where(member, 500.0, np.where(np.arange(N) % 4 == 1, 6000.0, 9500.0)) * u.km / u.s,
            "mag_F814": np.linspace(20, 26, N),
        }
    )
    return Sample(images, catalogue, bands=BANDS, pixel_scale=0.065 * u.arcsec)


@pytest.fixture(scope="module")
def predictions(members) -> Predictions:
    """Every third decision is wrong."""
    right = np.arange(N) % 3 != 0
    sure = np.linspace(0.6, 0.95, N)
    p = np.where((members.labels == "member") == right, sure, 1 - sure)
    return Predictions.from_arrays(
        members.object_ids, np.c_[1 - p, p], classes=("non-member", "member"), true=members.labels,
        experiment="mixed", positive="member",
    )  # fmt: skip


def data(plot, kind) -> dict:
    return next(r for r in plot.select(GlyphRenderer) if isinstance(r.glyph, kind)).data_source.data


@pytest.mark.parametrize(
    ("group", "velocity", "words"),
    [
        ("TP", -1200.0, "z 0.4391"),
        ("FN", -1200.0, "−1,200 km/s"),
        ("FP", 8999.0, "+8,999 km/s"),
        ("FP", -9001.0, "z 0.4391"),
        ("FN", np.nan, "z 0.4391"),
    ],
)
def test_captions_are_those_of_the_paper(group, velocity, words):
    row = QTable({"redshift": [0.4391], "velocity": [velocity] * u.km / u.s})[0]
    assert caption_of(row, group) == words


def test_without_a_redshift_there_is_no_caption():
    row = QTable({"redshift": [np.nan], "velocity": [np.nan]})[0]
    assert caption_of(row, "TP") == ""


def test_rows_are_groups_with_frames_and_captions(members, predictions):
    plot = member_gallery(members, predictions, columns=3)
    shown = data(plot, ImageURL)
    assert len(shown["uri"]) == 9
    assert shown["decision"] == ["true positive"] * 3 + ["false positive"] * 3 + ["false negative"] * 3
    assert data(plot, Rect)["frame"] == [FRAMES[name] for name in ("TP", "FP", "FN") for _ in range(3)]
    assert shown["title"][:3] == ["z 0.4400"] * 3
    assert set(shown["title"][3:6]) <= {"+6,000 km/s", "z 0.4700"}
    assert shown["title"][6:] == ["+500 km/s"] * 3
    assert len(set(shown["uri"])) == 9
    right = [p for p, d in zip(shown["probability"], shown["decision"], strict=True) if d == "true positive"]
    assert right == sorted(right, reverse=True), "the surest first"


def test_blocks_of_clusters_and_rows_that_are_not_full(members, predictions):
    plot = member_gallery(members, predictions, clusters=["M1149", "M1206"], columns=20)
    shown = data(plot, ImageURL)
    columns = len(shown["uri"]) // 6
    blank = np.array([uri == EMPTY_PICTURE for uri in shown["uri"]]).reshape(6, columns)
    assert blank.any()
    assert not blank[:, 0].any()
    assert (np.diff(blank.astype(int), axis=1) >= 0).all(), "what is missing is at the end of a row"
    names = np.array(shown["object"]).reshape(6, columns)
    for row, cluster in zip((0, 3), ("M1149", "M1206"), strict=True):
        found = [name for name in names[row : row + 3].ravel() if name]
        chosen = members.select(found).catalogue["cluster"]
        assert set(np.asarray(chosen, dtype=str)) == {cluster}
    frames = np.array(data(plot, Rect)["frame"], dtype=object).reshape(6, columns)
    assert all(frame is None for frame in frames[blank])


def test_faint_objects_may_be_left_out(members, predictions):
    plot = member_gallery(
        members, predictions, columns=20, where="mag_F814 <= 23", bands=("F435", "F606", "F814")
    )
    names = [name for name in data(plot, ImageURL)["object"] if name]
    assert (members.select(names).catalogue["mag_F814"] <= 23).all()
    assert len(names) < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["XX"]}, "groups must be of"),
        ({"groups": []}, "groups must be of"),
        ({"columns": 0}, "columns must be at least 1"),
        ({"clusters": ["A370"]}, r"clusters must be of \['M1149', 'M1206'\], got \['A370'\]"),
        ({"where": "mag_F814 > 30"}, "there must be objects to show, got none in"),
        ({"bands": ["F999"]}, "bands must be among"),
    ],
)
def test_wrong_options_are_refused(members, predictions, options, message):
    with pytest.raises(InputError, match=message):
        member_gallery(members, predictions, **options)


def test_a_catalogue_without_velocities_is_refused(members, predictions):
    catalogue = members.catalogue.copy()
    catalogue.remove_column("velocity")
    lacking = Sample(members.images, catalogue, bands=BANDS, pixel_scale=members.pixel_scale)
    with pytest.raises(MissingDataError, match=r"must have the columns .*\['velocity'\] missing"):
        member_gallery(lacking, predictions)


def test_a_band_sheet_has_a_row_an_object_and_a_column_a_band(members):
    plot = band_sheet(members, ["g03", "g20"], bands=["F435", "F814"])
    shown = data(plot, ImageURL)
    assert len(shown["uri"]) == 2 * 3
    assert len(set(shown["uri"])) == 6
    words = {str(text) for r in plot.select(GlyphRenderer) for v in r.data_source.data.values() for text in v}
    assert {"colour", "F435", "F814", "M1206, z 0.470", "M1149, z 0.440"} <= words
    with pytest.raises(InputError, match="object_ids must name one object"):
        band_sheet(members, [])
