"""Grey levels: fluxes come back from the fixed ones, sources are bright in all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.images import asinh, fixed_asinh, percentile
from labkit.images.stretches import fixed_sky, from_fixed_asinh

FLUXES = st.floats(-1e6, 1e6, width=32)


@given(FLUXES, st.floats(1e-4, 1e4))
def test_only_the_ratio_to_the_scale_counts(flux, scale):
    here = fixed_asinh([[flux * scale]], scale=scale).astype(int)
    assert abs(here - fixed_asinh([[flux]], scale=1))[0, 0] <= 1


@given(st.floats(-2.9, 999))
def test_fluxes_come_back_to_half_a_level(flux):
    back = from_fixed_asinh(fixed_asinh([[flux]], scale=1), scale=1)[0, 0]
    assert abs(back - flux) <= 0.017 * np.hypot(flux, 2) + 1e-3


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


def test_levels_of_known_fluxes():
    image = np.array([[0, 1, -1, -3, -4, 1000, 1e9, np.nan, np.inf, -np.inf]], dtype=np.float32)
    before = image.copy()
    levels = fixed_asinh(image, scale=1)
    assert levels.tolist() == [[38, 53, 22, 0, 0, 255, 255, 38, 38, 38]]
    np.testing.assert_array_equal(image, before)
    assert fixed_sky() == 38
    assert fixed_sky(low=0, softening=1, high=10) == 0
    assert fixed_asinh([[-1.0, 50.0]], scale=1, low=-1, high=50, softening=10)[0].tolist() == [0, 255]
    several = fixed_asinh(np.full((2, 3, 1, 1), 5.0), scale=[1.0, 2.0, 4.0])  # one scale an image
    assert several[1].ravel().tolist() == [int(fixed_asinh([[5.0]], scale=s)[0, 0]) for s in (1, 2, 4)]


def test_a_sigma_of_sky_is_sixteen_levels_and_a_bright_level_three_per_cent():
    back = from_fixed_asinh([np.arange(256)], scale=1)[0]
    np.testing.assert_allclose(1 / np.diff(back)[37:39], 15.7, atol=0.2)
    bright = back > 30
    np.testing.assert_allclose(np.diff(back[bright]) / back[bright][:-1], 0.032, atol=0.001)
    sky = np.random.default_rng(0).normal(0, 0.5, (200, 200))
    error = from_fixed_asinh(fixed_asinh(sky, scale=0.5), scale=0.5) - sky
    assert error[np.abs(sky) < 1].std() / 0.5 == pytest.approx(0.02, abs=0.004)


@pytest.mark.parametrize("function", [asinh, percentile])
def test_stretches_show_bright_sources_and_leave_what_is_empty_or_unknown_dark(function):
    image = np.random.default_rng(0).poisson(0.05, (50, 50)).astype(float)
    image[20:23, 20:23] += 9
    assert np.median(function(image)) == 0
    assert function(image)[20:23, 20:23].min() > 120
    assert (asinh(image).astype(int) >= percentile(image)).all()
    assert not function(np.stack([np.full((9, 9), 3.0), np.full((9, 9), np.nan)])).any()
    image[4, 4] = np.nan
    assert function(image)[4, 4] == 0
    assert function(np.eye(20)[:, :1] * np.eye(20)[:1]).max() == 255  # one bright pixel
