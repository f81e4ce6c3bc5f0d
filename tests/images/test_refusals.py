"""What the room refuses, and what it says."""

from functools import partial
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from labkit.errors import InputError
from labkit.images import (
    cutout,
    cutouts,
    fixed_asinh,
    level_table,
    normalise,
    pixel_to_sky,
    regrid,
    sky_scales,
    sky_table,
    sky_to_pixel,
    stack,
)
from labkit.images.coordinates import tangent_plane
from labkit.images.stretches import from_fixed_asinh
from labkit.images.xamin import xamin_xray
from labkit.sample import Sample

IMAGE, PLANE = np.ones((32, 32)), tangent_plane(150.0, -11.0, 4.35, (32, 32))
HERE = SkyCoord(150 * u.deg, -11 * u.deg)
PAIR = SkyCoord([150, 151] * u.deg, [-11, -11] * u.deg)
NO_SKY = WCS(naxis=2)
OFFSETS = WCS({"CTYPE1": "XOFF", "CTYPE2": "YOFF"})
one = partial(cutout, IMAGE, PLANE, HERE)
grid = partial(regrid, IMAGE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(one, size=3 * u.kpc), "size must be one positive angle"),
        (partial(one, size=-3 * u.arcmin), "size must be one positive angle"),
        (partial(one, pixels=0), "pixels must be at least 1"),
        (partial(one, oversample=0), "oversample must be at least 1"),
        (partial(one, conserve="counts"), "conserve must be one of .*'flux'.*, got 'counts'"),
        (partial(cutout, IMAGE[None], PLANE, HERE), r"must have the axes \(y, x\), got shape \(1, 32, 32\)"),
        (partial(cutout, IMAGE, NO_SKY, HERE), "wcs must hold celestial coordinates"),
        (partial(cutout, IMAGE, PLANE, PAIR), "position must be one sky position, got 2"),
        (partial(cutouts, IMAGE, PLANE, HERE), "positions must be an array"),
        (partial(sky_to_pixel, NO_SKY, 150, 2), "celestial"),
        (partial(pixel_to_sky, OFFSETS, 1, 2), r"celestial .*got axes \['XOFF', 'YOFF'\]"),
        (partial(grid, scale=0.0, shape=(3, 3)), "scale must be a positive number"),
        (partial(grid, scale=np.nan, shape=(3, 3)), "scale must be a positive number"),
        (partial(grid, scale=1.0, shape=(0, 3)), "shape must be two positive numbers"),
        (partial(regrid, np.ones(4), scale=1, shape=(3, 3)), r"image must have the axes \(..., y, x\)"),
        (partial(xamin_xray, np.ones(5)), r"image must have the axes \(..., y, x\)"),
        (partial(fixed_asinh, IMAGE, scale=0), "scale must be positive, the scatter of the sky .*, got 0"),
        (partial(fixed_asinh, IMAGE, scale=[1, -2]), "scale must be positive"),
        (partial(from_fixed_asinh, IMAGE, scale=np.nan), "scale must be positive"),
        (partial(fixed_asinh, IMAGE, scale=1, low=5, high=5), "low must be below high.*, got 5 and 5"),
        (partial(from_fixed_asinh, IMAGE, scale=1, high=np.inf), "low must be below high"),
        (partial(fixed_asinh, IMAGE, scale=1, softening=0), "softening must be positive"),
    ],
)
def test_pixels_and_options_that_cannot_be_used(call, message):
    with pytest.raises(InputError, match=message):
        call()


FIXED, LIKE = {"method": "fixed-asinh"}, {"method": "xamin"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "log"}, "method must be one of .*'fixed-asinh'.*, got 'log'"),
        ({"output": "rgb"}, "output must be 'grey'"),
        ({"method": "asinh", "output": "colour"}, "output must be 'grey', or 'colour' with method 'xamin'"),
        ({"method": "asinh", "softening": 0}, "softening must be above 0"),
        (FIXED | {"low": 1000}, "low must be below high.*, got 1000"),
        (FIXED | {"softening": 0.0}, "softening must be positive"),
        (FIXED | {"scales": {"xray": 1.0}}, r"scales must give .* got none for \['optical'\]; measure"),
        (FIXED | {"scales": {"xray": 1.0, "optical": 0.0}}, r"scales must be positive, got \{'optical'"),
        (FIXED | {"scales": {"xray": np.nan, "optical": np.inf}}, r"scales must be positive, got \{'xray'"),
        ({"method": "percentile", "lower": 60, "upper": 40}, "lower and upper must be percentiles"),
        ({"like": LIKE, "lower": 1.0}, r"like must stand alone, got also \['lower'\]"),
        ({"like": LIKE, "method": "asinh"}, "like must stand alone, got also method='asinh'"),
        ({"like": {"method": "xamin, as published"}}, "got 'xamin, as published', which cannot be repeated"),
        ({"like": SimpleNamespace(normalisation=None)}, "like must be a Sample, model or record .* got None"),
        ({"like": "a folder"}, "like must be .* got 'a folder'"),
    ],
)
def test_normalisations_that_cannot_be_made(small_sample, options, message):
    with pytest.raises(InputError, match=message):
        normalise(small_sample, **options)


def test_samples_that_do_not_fit(small_sample, member_sample, member_scales):
    grey = normalise(member_sample, method="fixed-asinh", scales=member_scales)
    about = {"bands": member_sample.bands, "pixel_scale": member_sample.pixel_scale}
    blank = Sample(np.zeros_like(member_sample.images), member_sample.catalogue, **about)
    xray = small_sample.select(bands=["xray"])
    for call, message in (
        (partial(normalise, normalise(small_sample)), "must hold raw pixels, got one normalised by 'xamin'"),
        (partial(normalise, small_sample, like=small_sample), "like must be a Sample, .* got None"),
        (partial(stack, xray, ["empty"]), "channels must name at least one band"),
        (partial(stack, xray), r"got \['optical'\]; make the Sample with that band"),
        (partial(sky_scales, member_sample, objects=0), "objects must be at least 1, got 0"),
        (partial(sky_scales, member_sample.select([])), "sample must hold raw pixels of at least one object"),
        (partial(sky_scales, grey), "sample must hold raw pixels"),
        (partial(sky_scales, blank), "band 'F435' must scatter from pixel to pixel"),
        (partial(sky_scales, member_sample.select(slice(-6, None))), "'F160' must have sky .*none in 6"),
        (partial(sky_table, member_sample), "must be normalised by 'fixed-asinh', got None"),
        (partial(level_table, member_sample), "must be normalised by 'fixed-asinh', got None"),
    ):
        with pytest.raises(InputError, match=message):
            call()
