from __future__ import annotations

import json
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest

from labkit.errors import InputError, MissingDataError
from labkit.images import asinh, fixed_asinh, normalise, percentile, sky_scales, stack
from labkit.images.stretches import fixed_sky
from labkit.images.xamin import xamin_optical, xamin_xray
from labkit.sample import Sample


def test_bands_follow_their_tables(small_sample):
    result = normalise(small_sample)
    assert result.dtype == np.uint8
    assert result.bands == small_sample.bands
    np.testing.assert_array_equal(result.band("xray"), xamin_xray(small_sample.band("xray")))
    np.testing.assert_array_equal(result.band("optical"), xamin_optical(small_sample.band("optical")))
    assert "normalisation" not in small_sample.provenance


def test_the_record_is_json_and_independent_of_the_bands_present(small_sample):
    record = normalise(small_sample).provenance["normalisation"]
    assert json.loads(json.dumps(record)) == record
    assert record["method"] == "xamin"
    assert record["no_emission"] == 255
    assert record["xray"]["max_over_median"] == 14
    assert record["optical"] == {"min_std_below": 1, "max_std_above": 5}
    assert normalise(small_sample.select(bands=["xray"])).provenance["normalisation"] == record


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("output", ["grey", "colour"])
def test_writing_to_disk_in_batches_gives_the_same(small_sample, tmp_path, batch_size, output):
    in_memory = normalise(small_sample, output=output)
    on_disk = normalise(small_sample, output=output, path=tmp_path / "sample", batch_size=batch_size)
    np.testing.assert_array_equal(on_disk.images, in_memory.images)
    assert on_disk.provenance == in_memory.provenance
    assert on_disk.content_hash == in_memory.content_hash


def test_colours_are_six_channels(small_sample):
    result = normalise(small_sample, output="colour")
    assert result.bands == tuple(f"{b}_{c}" for b in ("xray", "optical") for c in ("red", "green", "blue"))
    np.testing.assert_array_equal(
        result.images[:, 3:], xamin_optical(small_sample.band("optical"), output="colour")
    )


def test_other_band_names_need_their_kind(small_sample):
    other = Sample(small_sample.images, small_sample.catalogue, bands=("soft", "r"), pixel_scale=2 * u.arcsec)
    with pytest.raises(InputError, match=r"got the bands \['soft', 'r'\]; say what they are"):
        normalise(other)
    result = normalise(other, kinds={"soft": "xray", "r": "optical"})
    np.testing.assert_array_equal(result.images, normalise(small_sample).images)


@pytest.mark.parametrize(("method", "function"), [("asinh", asinh), ("percentile", percentile)])
def test_stretches_of_astropy(small_sample, method, function):
    result = normalise(small_sample, method=method, lower=1, upper=99)
    np.testing.assert_array_equal(result.images, function(small_sample.images, lower=1, upper=99))
    record = result.provenance["normalisation"]
    assert (record["lower"], record["upper"], record["no_emission"]) == (1, 99, 0)


def test_a_normalised_sample_is_refused(small_sample):
    with pytest.raises(InputError, match="sample must hold raw pixels, got one normalised by 'xamin'"):
        normalise(normalise(small_sample))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "log"}, "method must be one of .*'fixed-asinh'.*, got 'log'"),
        ({"output": "rgb"}, "output must be 'grey'"),
        ({"method": "asinh", "output": "colour"}, "output must be 'grey', or 'colour' with method 'xamin'"),
        ({"method": "asinh", "softening": 0}, "softening must be above 0"),
        ({"method": "fixed-asinh", "low": 1000}, "low must be below high.*, got 1000"),
        ({"method": "fixed-asinh", "softening": 0.0}, "softening must be positive"),
        ({"method": "percentile", "lower": 60, "upper": 40}, "lower and upper must be percentiles"),
    ],
)
def test_wrong_options_are_refused(small_sample, options, message):
    with pytest.raises(InputError, match=message):
        normalise(small_sample, **options)


def test_bright_sources_are_bright_in_the_stretches():
    image = np.random.default_rng(0).poisson(0.05, (50, 50)).astype(float)
    image[20:23, 20:23] += 9
    for function in (asinh, percentile):
        levels = function(image)
        assert np.median(levels) == 0
        assert levels[20:23, 20:23].min() > 120
    assert (asinh(image).astype(int) >= percentile(image)).all()


@pytest.mark.parametrize("function", [asinh, percentile])
def test_stretches_of_empty_and_unknown_images(function):
    assert (function(np.full((9, 9), 3.0)) == 0).all()
    assert (function(np.full((9, 9), np.nan)) == 0).all()
    image = np.arange(81.0).reshape(9, 9)
    image[4, 4] = np.nan
    assert function(image)[4, 4] == 0
    single = np.zeros((20, 20))
    single[3, 3] = 1
    assert function(single).max() == 255


def test_fixed_asinh_measures_its_scales_or_takes_them(member_sample):
    measured = normalise(member_sample, method="fixed-asinh")
    record = measured.provenance["normalisation"]
    assert json.loads(json.dumps(record)) == record
    assert record["scales"] == sky_scales(member_sample)
    limits = {name: record[name] for name in ("low", "softening", "high")}
    assert limits == {"low": -3, "softening": 2, "high": 1000}
    assert record["no_emission"] == fixed_sky(**limits) == 38
    again = normalise(member_sample, method="fixed-asinh", scales=record["scales"])
    np.testing.assert_array_equal(again.images, measured.images)
    for i, band in enumerate(member_sample.bands):
        levels = fixed_asinh(member_sample.band(band), scale=record["scales"][band], **limits)
        np.testing.assert_array_equal(measured.images[:, i], levels)


def test_fixed_asinh_of_one_object_does_not_depend_on_others_or_other_bands(member_sample, member_scales):
    options = {"method": "fixed-asinh", "scales": member_scales}
    whole = normalise(member_sample, **options)
    one = normalise(member_sample.select([3], bands=["F814", "F435"]), **options)
    np.testing.assert_array_equal(one.images[0], whole.images[3][[2, 0]])
    assert one.provenance["normalisation"] == whole.provenance["normalisation"]


def test_fixed_asinh_fills_what_has_no_data_with_sky(member_sample, member_scales):
    levels = normalise(member_sample, method="fixed-asinh", scales=member_scales).band("F160")
    lost = ~np.isfinite(member_sample.band("F160"))
    assert lost.any()
    assert (levels[lost] == 38).all()
    assert np.isin(levels[~lost], [38]).mean() < 0.1


def test_fixed_asinh_needs_all_scales(member_sample, member_scales):
    del member_scales["F606"]
    with pytest.raises(MissingDataError, match=r"scales must give .* got none for \['F606'\]; measure"):
        normalise(member_sample, method="fixed-asinh", scales=member_scales)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_fixed_asinh_refuses_scales_that_are_none(member_sample, member_scales, scale):
    with pytest.raises(InputError, match=r"scales must be positive, got \{'F606'"):
        normalise(member_sample, method="fixed-asinh", scales=member_scales | {"F606": scale})


def test_default_stack_is_empty_xray_optical(small_sample):
    sample = normalise(small_sample)
    channels = stack(sample)
    assert channels.shape == (12, 3, 16, 16)
    assert channels.dtype == np.uint8
    assert not channels[:, 0].any()
    np.testing.assert_array_equal(channels[:, 1], sample.band("xray"))
    np.testing.assert_array_equal(channels[:, 2], sample.band("optical"))


def test_other_assignments_and_single_bands(small_sample):
    sample = normalise(small_sample)
    turned = stack(sample, ["optical", "xray", "empty"])
    np.testing.assert_array_equal(turned, stack(sample)[:, ::-1])
    np.testing.assert_array_equal(stack(sample, "xray")[:, 0], sample.band("xray"))
    assert stack(sample, ["xray", "xray"]).shape[1] == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output": "colour"},
        {"method": "asinh", "lower": 1.0, "softening": 0.3},
        {"method": "percentile", "upper": 90.0},
        {"method": "fixed-asinh", "low": -2.0, "softening": 1.0, "scales": {"xray": 0.4, "optical": 7.0}},
    ],
)
def test_raw_pixels_become_grey_levels_like_those_of_a_sample_or_a_model(small_sample, options):
    done = normalise(small_sample, **options)
    record = json.loads(json.dumps(done.provenance["normalisation"]))
    few = small_sample.select([2, 5])
    for like in (done, record, SimpleNamespace(normalisation=record)):
        again = normalise(few, like=like)
        np.testing.assert_array_equal(again.images, done.images[[2, 5]])
        assert again.provenance["normalisation"] == record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"like": {"method": "xamin"}, "lower": 1.0}, r"like must stand alone, got also \['lower'\]"),
        ({"like": {"method": "xamin"}, "method": "asinh"}, "like must stand alone, got also method='asinh'"),
        ({"like": {"method": "xamin, as published"}}, "got 'xamin, as published', which cannot be repeated"),
        ({"like": SimpleNamespace(normalisation=None)}, "like must be a Sample, model or record .* got None"),
        ({"like": "a folder"}, "like must be .* got 'a folder'"),
    ],
)
def test_likes_that_cannot_be_followed(small_sample, options, message):
    with pytest.raises(InputError, match=message):
        normalise(small_sample, **options)
    with pytest.raises(InputError, match="like must be a Sample, model or record .* got None"):
        normalise(small_sample, like=small_sample)


def test_a_missing_band_is_refused(small_sample):
    only = small_sample.select(bands=["xray"])
    with pytest.raises(MissingDataError, match=r"got \['optical'\]; make the Sample with that band"):
        stack(only)
    with pytest.raises(InputError, match="channels must name at least one band"):
        stack(only, ["empty"])
