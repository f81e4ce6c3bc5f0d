"""The inspector on cluster members: composites, chosen bands, redshifts, the place in the field."""

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from bs4 import BeautifulSoup

from labkit.images import normalise
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.taxonomy import get_scheme
from labkit.views.inspector import ErrorState, Inspector, Pictures, error_sheet, gather, inspect_errors
from labkit.views.inspector.markup import field_svg, in_order, neighbours_of, shown_value, with_redshift
from labkit.views.inspector.pictures import styles_for
from labkit.views.inspector.static import error_page

BANDS = ("F435", "F475", "F606", "F625", "F775", "F814", "F850", "F105", "F110", "F125", "F140", "F160")
COMMON = ("F435", "F606", "F814", "F105", "F125", "F140", "F160")
N, SIZE = 30, 20
STRIPES = (0.28, 0.42)


@pytest.fixture(scope="module")
def members() -> Sample:
    """Raw cut-outs of two clusters, one across the first meridian; the second lacks five bands."""
    rng = np.random.default_rng(6)
    first = np.arange(N) < 18
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    light = (
        np.exp(-np.hypot(x, y) / 2)
        * rng.uniform(0.1, 3, (N, 1, 1, 1))
        * np.linspace(0.3, 1, 12)[:, None, None]
    )
    images = light + rng.normal(0, 0.01, (N, 12, SIZE, SIZE))
    lacking = [i for i, band in enumerate(BANDS) if band not in COMMON]
    images[np.ix_(~first, lacking)] = np.nan
    member = np.arange(N) % 2 == 0
    offsets = rng.uniform(-0.015, 0.015, (2, N))
    catalogue = QTable(
        {
            "object_id": [f"{'M1206' if one else 'A2744'}-{i:02d}" for i, one in enumerate(first)],
            "ra": (np.where(first, 181.55, 0.0) + offsets[0]) % 360 * u.deg,
            "dec": (np.where(first, -8.8, -30.4) + offsets[1]) * u.deg,
            "label": np.where(member, "member", "non-member"),
            "z_quality": np.full(N, 3),
            "mag_F814": np.linspace(19, 25, N),
            "cluster": np.where(first, "M1206", "A2744"),
            "redshift": np.where(member, 0.4391, 0.7),
            "velocity": np.where(member, -520.0, 54000.0) * u.km / u.s,
        }
        | {f"coverage_{band}": np.where(first | (band in COMMON), 1.0, 0.0) for band in BANDS}
    )
    made = Sample(
        images.astype(np.float32), catalogue, bands=BANDS, pixel_scale=0.065 * u.arcsec,
        provenance={"source": "simulated mosaics of M1206, A2744"},
    )  # fmt: skip
    assert made.shape == (N, 12, SIZE, SIZE)
    return made


@pytest.fixture(scope="module")
def scored(members) -> Predictions:
    """Out-of-fold predictions with errors in both clusters."""
    scheme = get_scheme("member")
    truth = members.labels == "member"
    p = 1 / (1 + np.exp(-np.random.default_rng(1).normal(np.where(truth, 1, -1), 1.6)))
    made = Predictions.from_arrays(
        members.object_ids, np.c_[1 - p, p], classes=scheme.classes, true=members.labels,
        experiment="mixed", positive=scheme.positive,
    )  # fmt: skip
    assert (((p > 0.5) != truth) & (np.arange(N) < 18)).any()
    assert (((p > 0.5) != truth) & (np.arange(N) >= 18)).any()
    return made


@pytest.fixture(params=["raw", "fixed-asinh"])
def either(request, members) -> Sample:
    return members if request.param == "raw" else normalise(members, method="fixed-asinh")


def detail(widget: Inspector) -> BeautifulSoup:
    return BeautifulSoup(widget.controls.detail.value, "html.parser")


def captions(page: BeautifulSoup) -> list[str]:
    return [text.get_text() for text in page.find_all("figcaption")]


def test_a_page_shows_the_composite_and_four_bands_that_all_clusters_have(either, scored):
    widget = inspect_errors(either, scored, page_size=4)
    assert list(widget.pictures.styles)[:5] == ["colour", "F435", "F814", "F125", "F160"]
    assert sorted(widget.pictures.styles) == sorted(["colour", *BANDS])
    assert {len(card["pictures"]) for card in widget.controls.sheet.cards} == {5}
    assert widget.controls.sheet.columns == 2
    assert captions(detail(widget))[:5] == ["colour", "F435", "F814", "F125", "F160"]
    assert len(detail(widget).select(".lk-small figure")) == 4


def test_any_other_band_can_be_called_up(members, scored):
    widget = inspect_errors(members, scored, page_size=4)
    widget.controls.shown.value = "F606"
    assert {len(card["pictures"]) for card in widget.controls.sheet.cards} == {1}
    assert captions(detail(widget))[:5] == ["colour", "F435", "F814", "F125", "F606"]
    widget.controls.shown.value = ""
    assert captions(detail(widget))[4] == "F160"


@pytest.mark.parametrize(
    ("bands", "chosen"),
    [
        ("F435 F606 F814 F105 F140", "F435 F814 F105 F140"),
        ("F435 F606 F814 F105", "F435 F606 F814 F105"),
        ("F435 F475 F606 F775 F814 F105 F160", "F435 F606 F814 F160"),
        ("F435 F606 F105 F125 F140", "F435 F606 F125 F140"),
    ],
)
def test_the_four_bands_include_that_of_the_magnitudes(bands, chosen):
    assert [style.name for style in styles_for(bands.split())][1:5] == chosen.split()


def test_missing_bands_are_striped_and_the_composite_is_made_of_the_others(either, scored):
    widget = inspect_errors(either, scored)
    lacking, whole = 25, 3
    assert np.isin(widget.pictures.levels(lacking, "F475"), STRIPES).all()
    assert not np.isin(widget.pictures.levels(whole, "F475"), STRIPES).any()
    colour = widget.pictures.levels(lacking, "colour")
    assert colour.shape == (SIZE, SIZE, 3)
    assert not np.isin(colour, STRIPES).all(axis=-1).any()
    assert colour[9:11, 9:11].mean() > 2 * np.median(colour)


def test_pictures_share_their_limits(members):
    pictures = Pictures(members)
    faint, bright = np.argsort(members.images[:18, 5, 10, 10])[[0, -1]]
    for style in ("colour", "F814"):
        assert pictures.levels(faint, style).max() < pictures.levels(bright, style).max()


def test_cards_and_facts_give_redshift_velocity_and_magnitude(members, scored):
    widget = inspect_errors(members, scored)
    widget.controls.groups["TP"].click()
    assert {card["foot"] for card in widget.controls.sheet.cards} == {"member · z 0.4391 · v −520 km/s"}
    widget.controls.groups["TN"].click()
    assert "z 0.7000 · v +54,000 km/s" in widget.controls.sheet.cards[0]["foot"]
    page = detail(widget)
    names = [name.get_text() for name in page.select(".lk-row span")]
    assert names[:5] == ["label", "cluster", "redshift", "velocity", "mag_F814"]
    assert names[5] == "z_quality"
    assert names[6:] == [f"coverage_{band}" for band in BANDS]
    assert "velocity 54,000 km s⁻¹" in page.select_one(".lk-row").get_text(" ")
    assert "simulated position" in page.get_text(" ")
    widget.controls.text.value = "cluster = A2744 and mag_F814 > 22"
    assert all(card["id"].startswith("A2744") for card in widget.controls.sheet.cards)


def test_the_field_shows_the_same_cluster_with_its_decisions(members, scored):
    widget = inspect_errors(members, scored)
    page = detail(widget)
    field, chosen = page.select_one(".lk-field"), widget.chosen
    cluster = str(members.catalogue["cluster"][widget.state.objects.row[chosen]])
    titles = [title.get_text() for title in field.find_all("title")]
    assert len(titles) == (np.asarray(members.catalogue["cluster"]) == cluster).sum()
    assert all(title.startswith(f"{cluster}-") for title in titles)
    for title in titles:
        name, group = title.split(" ")
        assert group == widget.state.group_of(widget.state.objects.find(name))
    assert titles[-1].split(" ")[0] == str(widget.state.objects.object_id[chosen]), "drawn on top"
    widget.controls.threshold.value = 0.0
    after = [title.get_text() for title in detail(widget).select_one(".lk-field").find_all("title")]
    assert {title.split(" ")[1] for title in after} == {"TP", "FP"}


@pytest.mark.parametrize("cluster", ["M1206", "A2744"])
def test_places_are_offsets_with_east_to_the_left(members, scored, cluster):
    state = ErrorState(gather(members, scored), members.catalogue)
    index = int(np.flatnonzero(state.column("cluster") == cluster)[0])
    found, x, y = neighbours_of(state, index)
    assert set(state.column("cluster")[found]) == {cluster}
    assert found[-1] == index
    rows = state.objects.row[found]
    east = (members.catalogue["ra"][rows].value + 180) % 360 - 180
    north = members.catalogue["dec"][rows].value
    scale = np.cos(np.radians(north.mean())) * 3600
    turn = np.diff(east)
    np.testing.assert_allclose(np.diff(x), -((turn + 180) % 360 - 180) * scale, atol=0.05)
    np.testing.assert_allclose(np.diff(y), np.diff(north) * 3600, atol=1e-6)
    assert np.abs(x).max() < 60, "a field across the first meridian stays together"
    assert (np.diff(np.hypot(x - x[-1], y - y[-1])) <= 0).all()
    places = np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', field_svg(state, index)), dtype=float)
    assert ((places >= 0) & (places <= 226)).all()
    assert np.corrcoef(places[:-1, 1], y)[0, 1] < -0.999, "north is up"


def with_column(members: Sample, name: str, value) -> Sample:
    catalogue = members.catalogue.copy()
    catalogue[name] = [value] * N
    return Sample(members.images, catalogue, bands=BANDS, pixel_scale=members.pixel_scale)


def test_without_a_cluster_or_a_position_there_is_no_field(members, scored, sample, predictions):
    assert "lk-field" not in inspect_errors(sample, predictions).controls.detail.value
    for column, value in (("cluster", ""), ("ra", np.nan * u.deg)):
        lost = with_column(members, column, value)
        assert "lk-field" not in inspect_errors(lost, scored).controls.detail.value


def test_the_static_twin_shows_composites_and_the_field(either, scored):
    state = ErrorState(gather(either, scored), either.catalogue)
    page = BeautifulSoup(str(error_page(state, Pictures(either), objects=2)), "html.parser")
    assert page.find("script") is None
    assert {len(strip.find_all("img")) for strip in page.select(".lk-strip")} == {5}
    assert "z 0.4391 · v −520 km/s" in page.select_one(".lk-kind-TP .lk-card-foot").get_text()
    assert len(page.select(".lk-field")) == 1
    first = page.select_one(".lk-kind-FP .lk-card-id").get_text()
    assert page.select_one(".lk-facts h4").get_text() == first
    state.threshold = 1.0
    assert not BeautifulSoup(str(error_page(state, Pictures(either))), "html.parser").select(".lk-field")
    sheet = BeautifulSoup(str(error_sheet(state, Pictures(either), "FN", objects=2)), "html.parser")
    assert len(sheet.select(".lk-field")) == 2
    assert "labelled member · z 0.4391 · v −520 km/s" in sheet.get_text(" ")


def test_columns_and_values_of_a_row_for_a_reader():
    assert in_order(["object_id", "b", "a", "ra"]) == ["b", "a"]
    assert in_order(["label_z1", "seed", "mag_F606", "velocity", "cluster", "split_large"]) == [
        "cluster", "velocity", "mag_F606", "seed", "label_z1", "split_large",
    ]  # fmt: skip
    assert shown_value(-27265.3 * u.km / u.s) == "-27,265 km s⁻¹"
    assert shown_value(0.43912) == "0.4391"
    assert shown_value(np.nan) == "–"
    row = QTable({"redshift": [np.nan], "velocity": [np.nan] * u.km / u.s})[0]
    assert with_redshift("no label", row) == "no label"
