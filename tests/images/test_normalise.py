import json
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest

from labkit.errors import InputError
from labkit.images import asinh, fixed_asinh, normalise, percentile, sky_scales, stack
from labkit.images.stretches import fixed_sky
from labkit.images.xamin import xamin_optical, xamin_xray
from labkit.sample import Sample


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("output", ["grey", "colour"])
def test_writing_to_disk_in_batches_gives_the_same(small_sample, tmp_path, batch_size, output):
    in_memory = normalise(small_sample, output=output)
    on_disk = normalise(small_sample, output=output, path=tmp_path / "sample", batch_size=batch_size)
    np.testing.assert_array_equal(on_disk.images, in_memory.images)
    assert on_disk.provenance == in_memory.provenance
    assert on_disk.content_hash == in_memory.content_hash


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


def test_bands_follow_their_tables_and_the_record_holds_all(small_sample):
    result = normalise(small_sample)
    assert result.dtype == np.uint8
    assert result.bands == small_sample.bands
    np.testing.assert_array_equal(result.band("xray"), xamin_xray(small_sample.band("xray")))
    np.testing.assert_array_equal(result.band("optical"), xamin_optical(small_sample.band("optical")))
    assert "normalisation" not in small_sample.provenance
    record = result.provenance["normalisation"]
    assert json.loads(json.dumps(record)) == record
    assert (record["method"], record["no_emission"], record["xray"]["max_over_median"]) == ("xamin", 255, 14)
    assert record["optical"] == {"min_std_below": 1, "max_std_above": 5}
    assert normalise(small_sample.select(bands=["xray"])).provenance["normalisation"] == record
    colours = normalise(small_sample, output="colour")
    assert colours.bands == tuple(f"{b}_{c}" for b in ("xray", "optical") for c in ("red", "green", "blue"))
    expected = xamin_optical(small_sample.band("optical"), output="colour")
    np.testing.assert_array_equal(colours.images[:, 3:], expected)


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
    lost = ~np.isfinite(member_sample.band("F160"))
    assert lost.any()
    assert (measured.band("F160")[lost] == 38).all()
    one = normalise(member_sample.select([3], bands=["F814", "F435"]), like=measured)
    np.testing.assert_array_equal(one.images[0], measured.images[3][[2, 0]])
    assert one.provenance["normalisation"] == record


def test_channels_are_stacked_in_any_order(small_sample):
    sample = normalise(small_sample)
    channels = stack(sample)
    assert (channels.shape, channels.dtype) == ((12, 3, 16, 16), np.uint8)
    assert not channels[:, 0].any()
    np.testing.assert_array_equal(channels[:, 1:], sample.images)
    np.testing.assert_array_equal(stack(sample, ["optical", "xray", "empty"]), channels[:, ::-1])
    np.testing.assert_array_equal(stack(sample, "xray")[:, 0], sample.band("xray"))
    assert stack(sample, ["xray", "xray"]).shape[1] == 2


def test_scales_of_another_zero_point_give_the_same_grey_levels(member_sample, member_scales):
    """Two surveys of one sky in other units: what normalises the first does the second."""

    def survey(zero_point, images):
        fields = [{"mosaics": {band: {"zero_point": zero_point} for band in member_sample.bands}}]
        about = {"bands": member_sample.bands, "pixel_scale": member_sample.pixel_scale}
        return Sample(images, member_sample.catalogue, provenance={"fields": fields}, **about)

    first = normalise(survey(25.0, member_sample.images), method="fixed-asinh", scales=member_scales)
    deeper = survey(30.0, member_sample.images * np.float32(100))
    second = normalise(deeper, like=first)
    assert np.mean(second.images == first.images) > 0.999
    assert np.abs(second.images.astype(int) - first.images).max() <= 1
    assert second.provenance["normalisation"] == first.provenance["normalisation"]
    assert first.provenance["normalisation"]["zero_points"] == dict.fromkeys(member_sample.bands, 25.0)
    with pytest.raises(InputError, match=r"sample must have AB zero points of \['F435', .*--zero-point"):
        normalise(member_sample, like=first)
