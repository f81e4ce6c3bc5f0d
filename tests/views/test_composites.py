"""Colour pictures of many bands, of fields and of cut-outs, raw and as grey levels."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.images import normalise
from labkit.sample import Sample
from labkit.views.composites import (
    BandLimits,
    SampleColours,
    colour_composite,
    composite_limits,
    share_bands,
    shared_colours,
)

BANDS = ("F435", "F606", "F814", "F105", "F160")
TWELVE = ("F435", "F475", "F606", "F625", "F775", "F814", "F850", "F105", "F110", "F125", "F140", "F160")
NOISE = np.array([0.009, 0.013, 0.007, 0.013, 0.008])
COLOURS = {"red": [0.1, 0.3, 0.7, 0.9, 1.0], "blue": [0.9, 1.0, 0.9, 0.7, 0.6]}  # old galaxy, young one


def galaxy(side: int, x: float, y: float, peak: float, width: float = 2.0) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return peak * np.exp(-np.hypot(columns - x, rows - y) / width)


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """Five bands of 200 x 200 px: a bright old galaxy, a red and a blue one, faint ones, noise."""
    rng = np.random.default_rng(8)
    light = np.zeros((5, 200, 200))
    for x, y, peak, width, kind in (
        (100, 100, 30, 6, "red"), (50, 60, 2, 3, "red"), (150, 60, 2, 3, "blue"),
    ):  # fmt: skip
        light += galaxy(200, x, y, peak, width) * np.array(COLOURS[kind])[:, None, None]
    for x, y in rng.uniform(0, 200, (30, 2)):
        light += galaxy(200, x, y, 0.2) * np.array(COLOURS["blue"])[:, None, None]
    images = light + NOISE[:, None, None] * rng.normal(size=light.shape)
    assert images.shape == (5, 200, 200)
    return images.astype(np.float32)


def objects(field: np.ndarray) -> Sample:
    """Sixteen 40 px cut-outs of the field; the last lacks F160, the one before half of it and of F105."""
    corners = [(x, y) for y in range(0, 160, 40) for x in range(0, 160, 40)]
    images = np.stack([field[:, y : y + 40, x : x + 40] for x, y in corners])
    images[-1, 4] = np.nan
    images[-2, 3:, :, :20] = np.nan
    catalogue = QTable(
        {
            "object_id": [f"M0416-{i}" for i in range(16)],
            "ra": np.linspace(64.01, 64.05, 16) * u.deg,
            "dec": np.linspace(-24.09, -24.05, 16) * u.deg,
            "label": ["member", "non-member"] * 8,
            "cluster": ["M0416"] * 8 + ["A370"] * 8,
        }
        | {f"coverage_{band}": [1.0] * 16 for band in BANDS}
    )
    return Sample(images, catalogue, bands=BANDS, pixel_scale=0.065 * u.arcsec)


def test_bands_are_dealt_by_wavelength():
    assert share_bands(TWELVE) == {"red": TWELVE[8:], "green": TWELVE[4:8], "blue": TWELVE[:4]}
    assert share_bands(BANDS) == {"red": BANDS[3:], "green": BANDS[1:3], "blue": BANDS[:1]}
    assert share_bands("abcd") == {"red": (*"cd",), "green": ("b",), "blue": ("a",)}
    assert share_bands(["a", "b"]) == {"red": ("b",), "green": ("a", "b"), "blue": ("a",)}


def test_the_sky_is_dark_the_brightest_white_old_galaxies_yellow_and_young_ones_blue(field):
    colours = colour_composite(field, BANDS, limits=composite_limits(field, BANDS), dim=0.12)
    assert colours.shape == (200, 200, 3)
    assert 0 <= colours.min() <= colours.max() <= 1
    sky = colours[:30, :30]
    assert 0.05 < np.median(sky) < 0.12, "between black and the level of one sigma"
    assert 0.01 < sky.std() < 0.1
    assert colours[100, 100].min() > 0.9
    assert (colours > 0.99).all(axis=-1).mean() < 0.002
    red, green, blue = colours[58:63, 48:53].mean(axis=(0, 1))
    assert red > green > blue
    red, green, blue = colours[58:63, 148:153].mean(axis=(0, 1))
    assert blue > red


def test_cutouts_look_as_they_do_in_their_field(field):
    limits = composite_limits(field, BANDS)
    whole = colour_composite(field, BANDS, limits=limits)
    one = colour_composite(field[:, 40:104, 20:84], BANDS, limits=limits)
    np.testing.assert_array_equal(one, whole[40:104, 20:84])
    several = colour_composite(np.stack([field, field[:, ::-1]]), BANDS, limits=limits)
    np.testing.assert_array_equal(several[1], whole[::-1])


def test_one_sigma_has_the_dim_level_in_every_channel():
    limits = {band: BandLimits(1.0, noise, 1 + 500 * noise) for band, noise in zip(BANDS, NOISE, strict=True)}
    grey = np.array([limits[band].sky for band in BANDS], dtype=np.float32)[:, None, None]
    assert (colour_composite(grey, BANDS, limits=limits) < 0.12).all()
    three = {band: limits[band] for band in BANDS[:3]}  # one band a channel: its own noise
    above = np.array([[[1 + noise]] for noise in NOISE[:3]], dtype=np.float32)
    np.testing.assert_allclose(colour_composite(above, BANDS[:3], limits=three, dim=0.3), 0.3, atol=1e-3)


def test_levels_rise_with_brightness_and_hold_beyond_the_limits():
    limits = {"V": BandLimits(0.0, 1.0, 1000.0)}
    ramp = np.linspace(-50, 5000, 500, dtype=np.float32).reshape(1, 1, -1)
    levels = colour_composite(ramp, ["V"], limits=limits)[0]
    assert (np.diff(levels, axis=0) >= 0).all()
    assert levels[0].max() == 0
    assert levels[-1].min() == pytest.approx(1, abs=1e-5)


def test_pixels_take_the_bands_that_they_have(field):
    limits = composite_limits(field, BANDS)
    partly = field.copy()
    partly[3:, :, :80] = np.nan
    partly[:, :5] = np.nan
    colours = colour_composite(partly, BANDS, limits=limits)
    assert np.isnan(colours[:5]).all()
    assert np.isfinite(colours[5:]).all()
    whole = colour_composite(field, BANDS, limits=limits)
    np.testing.assert_array_equal(colours[5:, 80:], whole[5:, 80:])
    optical = colour_composite(field[:3], BANDS[:3], limits=limits)
    np.testing.assert_array_equal(colours[5:, :80], optical[5:, :80])


def test_limits_follow_noise_and_leave_out_what_has_no_data(field):
    limits = composite_limits(field, BANDS)
    for band, noise in zip(BANDS, NOISE, strict=True):
        assert limits[band].noise == pytest.approx(noise, rel=0.15)
        assert abs(limits[band].sky) < 2 * noise
    lost = field.copy()
    lost[2] = np.nan
    assert set(composite_limits(lost, BANDS)) == set(BANDS) - {"F814"}


BLANK = np.zeros((1, 9, 9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: composite_limits(np.zeros((2, 9, 9)), ["V"]), r"the axes \(..., band, y, x\)"),
        (lambda: composite_limits(np.zeros((2, 9, 9)), ["V", "V"]), "images must have the axes"),
        (lambda: composite_limits(BLANK, ["V"], saturated=0), "saturated must lie between"),
        (lambda: composite_limits(BLANK * np.nan, ["V"]), "must have data in some of the bands"),
        (lambda: colour_composite(BLANK, ["V"], dim=1), "dim must lie between 0 and 1, got 1"),
        (lambda: colour_composite(BLANK, ["V"], limits={"B": BandLimits(0, 1, 9)}),
         r"limits must hold some of the bands \('V',\), got \('B',\)"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call, message):
    with pytest.raises((InputError, MissingDataError), match=message):
        call()


def test_raw_cutouts_and_their_grey_levels_look_alike(field):
    sample = objects(field)
    levels = normalise(sample, method="fixed-asinh", scales=dict(zip(BANDS, NOISE, strict=True)))
    raw, grey = SampleColours(sample), SampleColours(levels)
    for row in range(len(sample)):
        one, two = raw.composite(sample.images[row]), grey.composite(levels.images[row])
        assert np.abs(one - two).mean() < 0.04, "grey levels end at 1000 sigma"
        a, b = (c.grey("F814", s.images[row, 2]) for c, s in ((raw, sample), (grey, levels)))
        assert np.abs(a - b).mean() < 0.02


@pytest.mark.parametrize("grey", [False, True])
def test_missing_data_are_striped_not_sky(field, grey):
    sample = objects(field)
    if grey:
        sample = normalise(sample, method="fixed-asinh", scales=dict(zip(BANDS, NOISE, strict=True)))
    colours = SampleColours(sample)
    missing = colours.grey("F160", sample.images[-1, 4])
    assert sorted(np.unique(missing)) == [0.28, 0.42]
    half = colours.grey("F160", sample.images[-2, 4])
    np.testing.assert_array_equal(half[:, :20], missing[:, :20])
    assert not np.isin(half[:, 21:], [0.28, 0.42]).any()
    picture = colours.composite(sample.images[-2])
    assert not np.isin(picture, [0.28, 0.42]).all(axis=-1).any(), "the other bands show it in colour"
    assert np.isin(colours.composite(sample.images[-1, [4] * len(BANDS)]), [0.28, 0.42]).all()


def test_bands_that_a_cluster_lacks_are_not_common(field):
    sample = objects(field)
    assert SampleColours(sample).common_bands == BANDS
    sample.catalogue["coverage_F606"][8:] = 0.0
    assert SampleColours(sample).common_bands == ("F435", "F814", "F105", "F160")
    sample.catalogue.remove_column("cluster")
    assert SampleColours(sample).common_bands == BANDS


def test_images_scaled_one_by_one_have_no_shared_colours(field):
    scaled = normalise(objects(field), method="asinh")
    assert shared_colours(scaled) is None
    assert shared_colours(objects(field)) is not None
    with pytest.raises(InputError, match="scaled one by one have lost their colours"):
        SampleColours(scaled)
