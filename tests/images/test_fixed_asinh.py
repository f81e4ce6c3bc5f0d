from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.images import fixed_asinh
from labkit.images.stretches import fixed_sky, from_fixed_asinh

FLUXES = st.floats(-1e6, 1e6, width=32)


def test_a_sigma_of_sky_is_sixteen_levels_and_a_bright_level_three_per_cent():
    one_sigma = fixed_asinh([[0.0, 1.0, -1.0]], scale=1)[0].astype(int)
    assert one_sigma.tolist() == [38, 53, 22]
    back = from_fixed_asinh([np.arange(256)], scale=1)[0]
    at_the_sky = np.diff(back)[37:39]
    np.testing.assert_allclose(1 / at_the_sky, 15.7, atol=0.2)
    bright = back > 30
    np.testing.assert_allclose(np.diff(back[bright]) / back[bright][:-1], 0.032, atol=0.001)


def test_rounding_adds_a_fiftieth_of_a_sigma_to_the_noise():
    sky = np.random.default_rng(0).normal(0, 0.5, (200, 200))
    error = from_fixed_asinh(fixed_asinh(sky, scale=0.5), scale=0.5) - sky
    assert error[np.abs(sky) < 1].std() / 0.5 == pytest.approx(0.02, abs=0.004)


def test_limits_are_the_first_and_the_last_level():
    levels = fixed_asinh([[-4.0, -3.0, 1000.0, 1e9]], scale=1)[0]
    assert levels.tolist() == [0, 0, 255, 255]
    assert fixed_asinh([[-1.0, 50.0]], scale=1, low=-1, high=50, softening=10)[0].tolist() == [0, 255]


@given(FLUXES, st.floats(1e-4, 1e4))
def test_only_the_ratio_to_the_scale_counts(flux, scale):
    here = fixed_asinh([[flux * scale]], scale=scale).astype(int)
    assert abs(here - fixed_asinh([[flux]], scale=1))[0, 0] <= 1


@given(st.lists(FLUXES, min_size=2, max_size=20))
def test_brighter_pixels_never_have_lower_levels(fluxes):
    ordered = np.sort(np.array(fluxes, dtype=np.float32))[None]
    assert (np.diff(fixed_asinh(ordered, scale=0.3)[0].astype(int)) >= 0).all()


@given(st.floats(-2.9, 999))
def test_fluxes_come_back_to_half_a_level(flux):
    back = from_fixed_asinh(fixed_asinh([[flux]], scale=1), scale=1)[0, 0]
    assert abs(back - flux) <= 0.017 * np.hypot(flux, 2) + 1e-3


def test_one_scale_an_image():
    images = np.full((2, 3, 4, 4), 5.0)
    scales = np.array([1.0, 2.0, 4.0])
    levels = fixed_asinh(images, scale=scales)
    for i, scale in enumerate(scales):
        assert (levels[:, i] == fixed_asinh([[5.0]], scale=scale)).all()


@pytest.mark.parametrize("flux_sigma", [30, 300])
def test_the_colour_of_a_source_survives(flux_sigma):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:40, :40] - 19.5
    galaxy = flux_sigma * np.exp(-np.hypot(x, y) / 3)
    scales = np.array([0.009, 0.007])
    images = np.stack([galaxy * 0.4, galaxy]) * 0.007 + scales[:, None, None] * rng.normal(size=(2, 40, 40))
    inside = np.hypot(x, y) < 8
    fluxes = [cube[:, inside].sum(axis=1) for cube in (
        images, from_fixed_asinh(fixed_asinh(images, scale=scales), scale=scales)
    )]  # fmt: skip
    colours = [flux[0] / flux[1] for flux in fluxes]
    assert colours[1] == pytest.approx(colours[0], rel=0.005)
    assert colours[1] == pytest.approx(0.4, rel=0.03)


def test_pixels_without_data_have_the_level_of_the_sky():
    levels = fixed_asinh([[np.nan, np.inf, -np.inf, 0.0, 7.0]], scale=1)[0]
    assert (levels[:4] == fixed_sky()).all()
    assert levels[4] > fixed_sky()
    assert fixed_sky(low=0, softening=1, high=10) == 0


def test_the_input_is_left_alone():
    image = np.array([[np.nan, 2000.0]], dtype=np.float32)
    fixed_asinh(image, scale=1)
    np.testing.assert_array_equal(image, np.array([[np.nan, 2000.0]], dtype=np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "scale must be positive, the scatter of the sky in a pixel, got 0"),
        ({"scale": [1, -2]}, "scale must be positive"),
        ({"scale": np.nan}, "scale must be positive"),
        ({"scale": 1, "low": 5, "high": 5}, "low must be below high.*, got 5 and 5"),
        ({"scale": 1, "high": np.inf}, "low must be below high"),
        ({"scale": 1, "softening": 0}, "softening must be positive"),
    ],
)
@pytest.mark.parametrize("function", [fixed_asinh, from_fixed_asinh])
def test_wrong_options_are_refused(function, options, message):
    with pytest.raises(InputError, match=message):
        function(np.zeros((2, 3, 3)), **options)
