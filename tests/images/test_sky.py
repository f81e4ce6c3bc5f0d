"""The scatter of the empty sky, and what grey levels mean by it."""

import astropy.units as u
import numpy as np
import pytest

from labkit.images import fixed_asinh, level_table, normalise, sky_scales, sky_table
from labkit.images.sky import scatter_of_sky
from labkit.sample import Sample


def changed(sample: Sample, images) -> Sample:
    return Sample(images, sample.catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale)


def test_normal_noise_is_measured_without_bias():
    sky = np.random.default_rng(0).normal(3, 0.5, (200, 48, 48))
    level, scatter = scatter_of_sky(sky).mean(axis=1)
    assert level == pytest.approx(3, abs=0.002)
    assert scatter == pytest.approx(0.5, rel=0.003)


def test_faint_sources_raise_it_by_little():
    rng = np.random.default_rng(4)
    images = rng.normal(size=(60, 64, 64))
    y, x = np.mgrid[:64, :64]
    for image in images:
        for cx, cy, peak in zip(*rng.uniform(0, 64, (2, 12)), rng.uniform(1, 30, 12), strict=True):
            image += peak * np.exp(-np.hypot(x - cx, y - cy) / 1.5)
    assert 1.0 < np.median(scatter_of_sky(images)[1]) < 1.1
    assert np.median(images.std(axis=(1, 2))) > 1.5


def test_the_number_of_objects_is_bounded_and_they_are_spread(member_sample):
    read = []

    class Watched:
        shape, dtype = member_sample.shape, member_sample.dtype

        def __getitem__(self, rows):
            read.append(np.asarray(rows))
            return member_sample.images[rows]

    watched = changed(member_sample, Watched())
    sky_scales(watched, objects=7)
    assert [len(rows) for rows in read] == [7]
    assert read[-1].tolist() == [0, 4, 8, 12, 15, 19, 23]


def test_the_grey_levels_and_their_unit_as_tables(member_sample, member_scales):
    fields = [{"mosaics": {band: {"zero_point": 25.0} for band in list(member_scales)[1:]}}]
    member_sample.provenance["fields"] = fields
    sample = normalise(member_sample, method="fixed-asinh", scales=member_scales)
    sky = sky_table(sample)
    assert sky["band"].tolist() == list(member_scales)
    assert sky["scatter"].tolist() == list(member_scales.values())
    assert np.isnan(sky["brightness"][0]), "no zero point"
    second = list(member_scales.values())[1]
    expected = 25.0 - 2.5 * np.log10(second / 0.065**2)
    assert sky["brightness"][1].to_value(u.mag / u.arcsec**2) == pytest.approx(expected)
    table = level_table(sample, levels=(0, 128, 255))
    assert table["level"].tolist() == [0, 38, 128, 255]
    assert fixed_asinh(table["flux"][:, None], scale=1.0).tolist() == [[0], [38], [128], [255]]
    following = fixed_asinh((table["flux"] + table["step"])[:3, None], scale=1.0)
    assert following.tolist() == [[1], [39], [129]]


def test_scales_are_those_of_the_sky_in_the_unit_of_the_pixels(member_sample, member_scales, caplog):
    measured = sky_scales(member_sample)
    assert measured == pytest.approx(member_scales, rel=0.04)
    twice = sky_scales(changed(member_sample, 2 * member_sample.images))
    assert twice == pytest.approx({band: 2 * scale for band, scale in measured.items()})
    images = member_sample.images.copy()  # some deeper or filled cut-outs do not decide
    images[:5] /= 2.5
    images[5:9] += 50 * np.random.default_rng(0).random(images[5:9].shape)
    others = sky_scales(changed(member_sample, images).select(bands=list(member_scales)[:3]))
    assert others == pytest.approx({band: member_scales[band] for band in others}, rel=0.06)
    assert not caplog.text
    sky_scales(changed(member_sample, member_sample.images + np.float32(0.1)))
    assert "the sky of F435 lies at 0.1" in caplog.text
    assert "are the mosaics sky-subtracted?" in caplog.text
