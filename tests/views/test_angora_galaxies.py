"""Figures of the galaxies: colours, profiles, cut-outs of right and wrong decisions."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from bokeh.models import BoxAnnotation, GlyphRenderer, ImageURL, LogScale, Quad, Rect

from labkit.errors import InputError, MissingDataError
from labkit.evaluate import complete_members, member_profile
from labkit.images import normalise
from labkit.photometry import ColourMagnitude, red_sequences
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.angora_galaxies import (
    FRAMES,
    band_sheet,
    bright_members,
    caption_of,
    colour_magnitude,
    completed_sequences,
    differential_colour_magnitude,
    magnitude_distribution,
    member_gallery,
    member_profiles,
    position_sheet,
)
from labkit.views.gallery import EMPTY_PICTURE
from labkit.views.style import GROUP_COLOURS

RELATION = ColourMagnitude(-0.04, 0.9, 0.05, 22.0, 0.001, 0.001, np.ones(3, dtype=bool))


@pytest.fixture
def field():
    rng = np.random.default_rng(2)
    group = np.repeat(["spectroscopic member", "candidate member", "non-member", ""], [60, 20, 40, 5])
    m = rng.uniform(18, 26, 125)
    c = np.where(np.char.endswith(group, " member"), RELATION(m), 0.3) + rng.normal(0, 0.05, 125)
    c[0] = np.nan
    return m, c, group


def test_the_diagram_shows_groups_and_the_red_sequence(look, field):
    m, c, group = field
    plot = colour_magnitude(m, c, group, relation=RELATION, details={"object": np.arange(125).astype("S3")})
    assert len(look.data(plot, "spectroscopic member")["object"]) == 59  # one has no colour
    assert "non-member (40)" in look.legend(plot)
    assert look.drawn(plot, "non-member")[0].glyph.fill_color == GROUP_COLOURS["non-member"]
    line = look.data(plot, "relation")
    assert np.polyfit(line["x"], line["y"], 1)[0] == pytest.approx(-0.04)
    band = look.data(plot, "scatter")
    assert np.asarray(band["y2"]) - np.asarray(band["y1"]) == pytest.approx(0.1)
    assert look.axis_labels(plot) == ("F814 (mag)", "F606 − F814 (mag)")
    assert look.data(plot, "non-member")["object"].dtype.kind == "U"


def test_masked_magnitudes_and_single_groups_are_fine(look, field):
    m, c, _ = field
    masked = np.ma.array(m, mask=np.arange(125) < 100)
    plot = colour_magnitude(masked, c, np.full(125, "member"), colour_error=np.full(125, 0.1))
    assert look.legend(plot)[0] == "member (25)"
    bars = look.data(plot, "errors")
    assert np.asarray(bars["y1"]) - np.asarray(bars["y0"]) == pytest.approx(0.2)


def test_the_grey_region_is_the_members_spread(field):
    m, c, group = field
    plot = differential_colour_magnitude(m, c - RELATION(m), group)
    (box,) = [part for part in plot.center if isinstance(part, BoxAnnotation)]
    assert (box.bottom + box.top) / 2 == pytest.approx(0, abs=0.03)
    assert (box.top - box.bottom) / 2 == pytest.approx(0.05, rel=0.3)
    without = differential_colour_magnitude(m, c, np.full(125, "non-member"))
    assert not [part for part in without.center if isinstance(part, BoxAnnotation)]


def test_errors_are_crosses_on_top(look, field):
    m, c, _ = field
    kinds = np.resize(["TP", "FP", "TN", "FN"], 125)
    plot = differential_colour_magnitude(m, c - RELATION(m), kinds)
    order = [r.name for r in plot.renderers if r.name in GROUP_COLOURS]
    assert order == ["TN", "TP", "FP", "FN"]
    assert {look.drawn(plot, kind)[0].glyph.marker for kind in ("FP", "FN")} == {"x"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, c, g: colour_magnitude(m, c[1:], g), r"one entry per galaxy each.*'colour': \(124,\)"),
        (lambda m, c, g: colour_magnitude(m, c, g[1:]), r"'magnitude': \(125,\).*'group': \(124,\)"),
        (lambda m, c, g: colour_magnitude(m, c, g, details={"o": [1]}), "one entry per galaxy each"),
        (lambda m, c, g: colour_magnitude(m, c * np.nan, g), "got none of 125"),
        (lambda m, *_: magnitude_distribution(m, ["non-member"] * 125), "got none of 125"),
        (lambda *_: member_profiles({}), "one cluster at least"),
        (
            lambda *_: member_profiles({"A": profile(1)["inner", "members", "cumulative"]}),
            r"profiles\['A'\], from member_profile, must have the columns .* missing",
        ),
    ],
)
def test_figures_of_galaxies_refuse_what_does_not_fit(field, call, message):
    with pytest.raises(InputError, match=message):
        call(*field)


def test_stacked_magnitudes_add_up_to_all_members(look):
    m = np.array([20.1, 20.2, 20.6, 24.9, 25.4, np.nan, 22.0])
    group = np.array(["spectroscopic member", "candidate member"] * 3 + ["non-member"])
    plot = magnitude_distribution(m, group)
    lower, upper = look.data(plot, "spectroscopic member"), look.data(plot, "candidate member")
    assert np.asarray(lower["left"])[0] == 20
    assert sum(lower["count"]) == 3
    assert sum(upper["count"]) == 2
    assert np.array_equal(upper["bottom"], lower["top"])
    assert np.asarray(upper["top"])[:2].tolist() == [2, 1]
    assert isinstance(look.drawn(plot, "candidate member")[0].glyph, Quad)
    bars = look.data(plot, "errors")
    assert (bars["y0"][0], bars["y1"][0]) == pytest.approx((0.71, 4.64), abs=0.02)  # Garwood's for 2
    alone = magnitude_distribution(m[::2], group[::2])  # no candidates
    assert "candidate member (0)" in look.legend(alone)


def profile(seed: int, **options) -> Table:
    rng = np.random.default_rng(seed)
    edges = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    return member_profile(np.sqrt(rng.uniform(0, 0.04, 80)), edges=edges, resamples=100, **options)


def test_profiles_are_one_at_the_scale_radius_and_gaps_stay_gaps(look):
    tables = {"R2248": profile(1), "M0416": profile(2)}
    left, right = look.panels(member_profiles(tables, title="Simulated"))
    line = look.data(left, "cumulative")
    assert dict(zip(line["x"], line["y"], strict=True))[0.15] == pytest.approx(1)
    assert isinstance(right.y_scale, LogScale)
    shown = look.data(right, "density")
    assert np.isnan(shown["y"][-1])  # no member beyond 0.2 R200
    assert shown["y"][0] == tables["R2248"]["density"][0]
    assert (np.asarray(shown["low"][:-1]) > 0).all()
    assert look.legend(left) == [f"{name} (N0 = {t.meta['n0']})" for name, t in tables.items()]
    bands = [r for r in right.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1")]
    assert [len(r.data_source.data["x"]) for r in bands] == [4, 4]


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


def cells(plot, kind) -> dict:
    return next(r for r in plot.select(GlyphRenderer) if isinstance(r.glyph, kind)).data_source.data


@pytest.mark.parametrize(
    ("group", "velocity", "words"),
    [
        ("TP", -1200.0, "z 0.4391"),
        ("FN", -1200.0, "−1,200 km/s"),
        ("FP", 8999.0, "+8,999 km/s"),
        ("FP", -9001.0, "z 0.4391"),
        ("FN", np.nan, "z 0.4391"),
        ("TP", None, ""),
    ],
)
def test_captions_are_those_of_the_paper(group, velocity, words):
    redshift, velocity = (np.nan, np.nan) if velocity is None else (0.4391, velocity)
    row = QTable({"redshift": [redshift], "velocity": [velocity] * u.km / u.s})[0]
    assert caption_of(row, group) == words


def test_rows_are_groups_with_frames_and_captions(members, predictions):
    plot = member_gallery(members, predictions, columns=3)
    shown = cells(plot, ImageURL)
    assert len(shown["uri"]) == 9
    assert shown["decision"] == ["true positive"] * 3 + ["false positive"] * 3 + ["false negative"] * 3
    assert cells(plot, Rect)["frame"] == [FRAMES[name] for name in ("TP", "FP", "FN") for _ in range(3)]
    assert shown["title"][:3] == ["z 0.4400"] * 3
    assert set(shown["title"][3:6]) <= {"+6,000 km/s", "z 0.4700"}
    assert shown["title"][6:] == ["+500 km/s"] * 3
    assert len(set(shown["uri"])) == 9
    right = [p for p, d in zip(shown["probability"], shown["decision"], strict=True) if d == "true positive"]
    assert right == sorted(right, reverse=True), "the surest first"


def test_blocks_of_clusters_and_rows_that_are_not_full(members, predictions):
    plot = member_gallery(members, predictions, clusters=["M1149", "M1206"], columns=20)
    shown = cells(plot, ImageURL)
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
    frames = np.array(cells(plot, Rect)["frame"], dtype=object).reshape(6, columns)
    assert all(frame is None for frame in frames[blank])


def test_faint_objects_may_be_left_out(members, predictions):
    plot = member_gallery(
        members, predictions, columns=20, where="mag_F814 <= 23", bands=("F435", "F606", "F814")
    )
    names = [name for name in cells(plot, ImageURL)["object"] if name]
    assert (members.select(names).catalogue["mag_F814"] <= 23).all()
    assert len(names) < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
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


def test_a_band_sheet_has_a_row_per_object_and_a_column_per_band(members):
    plot = band_sheet(members, ["g03", "g20"], bands=["F435", "F814"])
    shown = cells(plot, ImageURL)
    assert len(shown["uri"]) == 2 * 3
    assert len(set(shown["uri"])) == 6
    words = {str(text) for r in plot.select(GlyphRenderer) for v in r.data_source.data.values() for text in v}
    assert {"colour", "F435", "F814", "M1206, z 0.470", "M1149, z 0.440"} <= words
    with pytest.raises(InputError, match="object_ids must name one object"):
        band_sheet(members, [])


def test_one_rather_bright_member_of_each_cluster(members):
    found = bright_members(members)  # the brightest but one of 7, the brightest of 5 or fewer
    assert found == ["g02", "g14"]
    catalogue = QTable(members.catalogue, copy=True)
    catalogue["part"] = np.where(np.arange(N) < 14, "non-member", catalogue["label"])
    other = Sample(members.images, catalogue, bands=BANDS, pixel_scale=members.pixel_scale)
    assert bright_members(other, label="part") == ["g14"], "a cluster without a member has none"


def test_positions_of_an_object_in_the_colours_of_its_levels(members):
    sample = normalise(members, method="fixed-asinh", scales=dict.fromkeys(BANDS, 0.01))
    views = np.stack([np.rot90(sample.images[3], k, axes=(1, 2)) for k in range(4)])
    shown = cells(position_sheet(sample, views, columns=2), ImageURL)
    assert len(shown["uri"]) == 4
    assert len(set(shown["uri"])) == 4


def test_a_completed_catalogue_has_two_panels_a_cluster_with_a_red_sequence(look):
    rng = np.random.default_rng(1)
    m = rng.uniform(19, 24, 60)
    label = np.repeat(["member", "non-member", ""], 20)
    catalogue = QTable(
        {
            "object_id": [f"{i:02d}" for i in range(60)],
            "cluster": np.where(np.arange(60) == 59, "few", "A"),
            "label": label,
            "mag_F814": m * u.mag,
            "aper_F814": m * u.mag,
            "aper_F606": (m + 1 - 0.04 * (m - 21) + rng.normal(0, 0.03, 60)) * u.mag,
        }
    )
    for name in ("mag_F814", "aper_F814", "aper_F606"):
        catalogue[f"{name}_err"] = np.full(60, 0.02) * u.mag
    p = np.tile([0.2, 0.9], 30)
    judged = Predictions.from_arrays(
        catalogue["object_id"], np.c_[1 - p, p], classes=("non-member", "member"), true=[""] * 60,
        experiment="net", positive="member",
    )  # fmt: skip
    completed = complete_members(catalogue, judged)
    sequences = red_sequences(completed, label == "member")
    left, right = look.panels(completed_sequences(completed, sequences, data="simulated"))
    assert left.title.text == "A (simulated)"
    assert look.legend(left) == ["spectroscopic member (20)", "candidate member (9)"]
    assert "candidate non-member (10)" in look.legend(right)
