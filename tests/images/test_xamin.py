"""Grey levels and colours of XAmin, as Kosiba et al. (2020, Appendix A) print them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labkit.images import regrid
from labkit.images.xamin import (
    GREY_WEIGHTS,
    cut,
    optical_cuts,
    xamin_colour,
    xamin_optical,
    xamin_xray,
    xray_cuts,
)


def grey(colours):
    return np.rint(np.einsum("c,...cyx->...yx", GREY_WEIGHTS, colours))


def xray(seed=0, *, rate=0.1, side=96, source=0.0):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.random.default_rng(seed).poisson(rate + source * np.exp(-(x**2 + y**2) / 18)).astype(float)


def test_cuts_of_table_a1():
    rng = np.random.default_rng(0)
    counts = rng.poisson(20.0, (64, 64)).astype(float)
    assert xray_cuts(counts) == (0, 14 * np.median(counts))
    plate = rng.normal(8000, 300, (64, 64))
    low, high = optical_cuts(plate)
    assert low == pytest.approx(np.median(plate) - plate.std(), rel=1e-5)
    assert high == pytest.approx(np.median(plate) + 5 * plate.std(), rel=1e-5)


def test_scale_of_appendix_a():
    image = np.array([[-3.0, 0, 5, 10], [10.1, 2.5, np.nan, 1e9]])
    np.testing.assert_allclose(cut(image, 0, 10), [[255, 255, 127.5, 0], [0, 191.25, 255, 0]])


@pytest.mark.parametrize(
    ("pixel", "colour"),
    [
        (0, (0, 0, 0)),
        (88, (127.5, 0, 0)),
        (120, (173.8636, 0, 0)),
        (176, (255, 105.7778, 0)),
        (190, (255, 132.2222, 0)),
        (255, (255, 255, 255)),
    ],
)
def test_colours_of_table_a2(pixel, colour):
    np.testing.assert_allclose(xamin_colour(pixel), colour, rtol=1e-5)


@pytest.mark.parametrize("render", [xamin_xray, xamin_optical])
def test_grey_output_is_the_grey_of_the_colour_output(render):
    images = np.random.default_rng(0).poisson(30, (2, 40, 40)).astype(float)
    colours = render(images, output="colour")
    assert colours.shape == (2, 3, 40, 40)
    assert np.abs(grey(colours).astype(int) - render(images)).max() <= 1


def test_a_bright_source_is_black_on_white_sky():
    image = xamin_xray(xray(source=30.0))
    assert np.median(image) == 255
    assert (image[46:50, 46:50] < 30).all()
    plate = np.random.default_rng(0).normal(9000, 100, (60, 60))
    plate[30, 30] = 20000
    grey_levels = xamin_optical(plate)
    assert grey_levels[30, 30] == 0
    assert 150 < np.median(grey_levels) < 230


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.6])
def test_the_level_of_sparse_images_is_their_background(rate):
    _, high = xray_cuts(np.stack([xray(s, rate=rate, side=160) for s in range(5)]))
    np.testing.assert_allclose(high / 14, rate, rtol=0.15)


@pytest.mark.parametrize(("brighter", "level"), [(1.25, 1.0), (1.26, 1 + 7 * 0.26 / 16)])
def test_the_median_counts_where_it_agrees_with_the_blocks_within_ten_per_cent(brighter, level):
    block = np.ones(16)
    block[:7] = brighter  # the median then lies 9.9 or 10.2 per cent below the mean
    image = np.tile(block.reshape(4, 4), (16, 16))
    assert xray_cuts(image)[1] == pytest.approx(14 * level, rel=1e-6)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9, 5.0])
@pytest.mark.parametrize("factor", [2, 3])
def test_smaller_pixels_leave_the_look_unchanged(rate, factor):
    image = xray(rate=rate, source=20.0)
    side = 96 * factor
    finer = regrid(image, scale=1 / factor, shape=(side, side), conserve="flux")
    np.testing.assert_allclose(xray_cuts(finer)[1] * factor**2, xray_cuts(image)[1], rtol=0.1)
    if rate < 0.5:  # the median is zero on both grids
        enlarged = np.kron(xamin_xray(image), np.ones((factor, factor)))
        np.testing.assert_allclose(xamin_xray(finer), enlarged, atol=1)


@settings(max_examples=20)
@given(gain=st.floats(0.01, 100))
def test_a_gain_leaves_the_look_unchanged(gain):
    image = xray(rate=0.3, source=5)
    assert np.abs(xamin_xray(gain * image).astype(int) - xamin_xray(image)).max() <= 1
    plate = np.random.default_rng(0).normal(100, 5, (48, 48))
    assert np.abs(xamin_optical(gain * plate).astype(int) - xamin_optical(plate)).max() <= 1


def test_sources_and_unexposed_sky_hardly_move_the_level():
    plain = xray(rate=0.2, side=160)
    _, level = xray_cuts(plain)
    assert xray_cuts(xray(rate=0.2, side=160, source=50.0))[1] == pytest.approx(level, rel=0.1)
    plain[:100] = 0  # more than half
    assert xray_cuts(plain)[1] == pytest.approx(level, rel=0.15)


def test_each_image_has_its_own_cuts_and_negative_counts_are_white():
    subtracted = xray(rate=0.3) - 0.06
    subtracted[0, 0] = -0.6
    stack = np.stack([xray(0), 100 * xray(1), np.zeros((96, 96)), subtracted])
    together = xamin_xray(stack)
    for image, alone in zip(together, stack, strict=True):
        np.testing.assert_array_equal(image, xamin_xray(alone))
    assert together[3, 0, 0] == 255
    assert (together[3][subtracted > 0] < 255).all()


@pytest.mark.parametrize(
    ("render", "values"), [(xamin_xray, [0.0, -2.0, np.nan]), (xamin_optical, [0.0, 5000.0, -7.0, np.nan])]
)
def test_images_without_structure_are_blank_and_unknown_pixels_white(render, values):
    assert (render(np.tile(np.reshape(values, (-1, 1, 1)), (1, 20, 20))) == 255).all()
    image = np.random.default_rng(4).poisson(30, (48, 48)).astype(float)
    holes = image.copy()
    holes[:2] = np.nan
    holes[2, :9] = np.inf
    levels = render(holes)
    assert (levels[:2] == 255).all()
    assert (levels[2, :9] == 255).all()
    assert np.abs(levels[3:].astype(int) - render(image)[3:]).max() <= 15


def test_grey_is_that_of_the_png_library():
    colours = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(np.moveaxis(colours, 0, -1)).convert("L"))
    assert np.abs(grey(colours).astype(int) - expected).max() <= 1
