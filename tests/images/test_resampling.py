from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.images import regrid


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.2, 4), seed=st.integers(0, 1000))
def test_flux_is_conserved_on_a_parallel_grid(scale, seed):
    image = np.random.default_rng(seed).poisson(0.2, (40, 31)).astype(float)
    shape = (int(40 / scale) + 3, int(31 / scale) + 3)
    result = regrid(image, scale=scale, shape=shape, conserve="flux")
    assert result.sum() == pytest.approx(image.sum(), rel=1e-5)


@pytest.mark.parametrize("angle", [1.0, 30.0, 90.0, 200.0])
def test_flux_is_conserved_under_rotation(angle):
    y, x = np.mgrid[:60, :60]
    image = np.exp(-((x - 33) ** 2 + (y - 28) ** 2) / 50)
    result = regrid(image, scale=0.7, shape=(130, 130), angle_deg=angle, conserve="flux")
    assert result.sum() == pytest.approx(image.sum(), rel=2e-3)


def test_the_identity_changes_nothing():
    image = np.random.default_rng(0).normal(size=(9, 14))
    np.testing.assert_allclose(regrid(image, scale=1, shape=(9, 14)), image, rtol=1e-6)


def test_halving_pixels_repeats_values():
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(regrid(image, scale=0.5, shape=(6, 8)), np.kron(image, np.ones((2, 2))))


def test_rotation_by_a_right_angle_turns_x_to_y():
    image = np.zeros((11, 11))
    image[5, 9] = 1  # on the x axis: in the frame turned by 90 degrees it lies on -y
    turned = regrid(image, scale=1, shape=(11, 11), angle_deg=90)
    assert np.unravel_index(turned.argmax(), turned.shape) == (1, 5)


def test_centre_comes_to_the_middle():
    image = np.zeros((20, 20))
    image[4, 13] = 1
    result = regrid(image, scale=1, shape=(7, 7), centre=(13, 4))
    assert result[3, 3] == pytest.approx(1)
    assert result.sum() == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.0, 1e-6])
def test_exact_and_sampled_integration_agree(angle):
    image = np.random.default_rng(3).uniform(1, 2, (30, 30))
    exact = regrid(image, scale=1.37, shape=(16, 16))
    sampled = regrid(image, scale=1.37, shape=(16, 16), angle_deg=angle, oversample=40)
    np.testing.assert_allclose(sampled, exact, rtol=0.02)


@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_nan_is_left_out_and_stays_only_where_nothing_was_valid(angle):
    image = np.full((20, 20), 3.0)
    image[8:12, 8:12] = np.nan
    result = regrid(image, scale=1.5, shape=(5, 5), angle_deg=angle)
    assert np.isnan(result[2, 2])
    np.testing.assert_allclose(result[np.isfinite(result)], 3, rtol=1e-5)
    assert np.isfinite(result[0]).all()


@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_outside_takes_the_fill(angle):
    result = regrid(np.ones((4, 4)), scale=1, shape=(12, 12), fill=7, angle_deg=angle)
    assert result[0, 0] == pytest.approx(7)
    assert result[6, 6] == pytest.approx(1)
    unknown = regrid(np.ones((4, 4)), scale=1, shape=(12, 12), fill=np.nan, angle_deg=angle)
    assert np.isnan(unknown[0, 0])
    assert np.nanmax(unknown) == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.0, 33.0])
def test_a_stack_equals_one_by_one(angle):
    stack = np.random.default_rng(1).normal(size=(2, 3, 15, 15))
    options = {"scale": 0.8, "shape": (12, 12), "angle_deg": angle}
    together = regrid(stack, **options)
    assert together.shape == (2, 3, 12, 12)
    np.testing.assert_allclose(together[1, 2], regrid(stack[1, 2], **options), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.0}, "scale must be a positive number"),
        ({"scale": np.nan}, "scale must be a positive number"),
        ({"shape": (0, 3)}, "shape must be two positive numbers"),
        ({"conserve": "counts"}, "conserve must be 'flux' or 'surface brightness', got 'counts'"),
        ({"oversample": 0}, "oversample must be at least 1"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        regrid(np.ones((4, 4)), **({"scale": 1.0, "shape": (3, 3)} | change))


def test_an_image_needs_two_axes():
    with pytest.raises(InputError, match=r"image must have the axes \(..., y, x\)"):
        regrid(np.ones(4), scale=1, shape=(3, 3))
