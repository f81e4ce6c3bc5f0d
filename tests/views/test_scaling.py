"""Grey levels, colours and pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from labkit.errors import InputError
from labkit.views.scaling import (
    STRETCHES,
    composite,
    grey_levels,
    hatched,
    jpeg_uri,
    limits_of,
    overlay,
    png_uri,
    smoothed,
)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


@given(st.sampled_from(sorted(STRETCHES)), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_levels_stay_within_bounds_and_keep_the_order(stretch, values):
    image = np.sort(np.array(values))[None]
    levels = grey_levels(image, stretch=stretch)
    assert levels.min() >= 0
    assert levels.max() <= 1
    assert (np.diff(levels[0]) >= -1e-12).all()


def test_the_limits_are_black_and_white_and_gaps_are_black():
    levels = grey_levels([[0.0, 5.0, 10.0, np.nan, np.inf, -3.0]], limits=(0, 10), stretch="linear")
    assert levels.tolist() == [[0, 0.5, 1, 0, 1, 0]]


def test_limits_are_shared_and_differ_even_for_flat_or_sparse_images():
    images = np.zeros((2, 40, 40))
    images[1, 3, 3] = 7
    assert limits_of(images) == (0, 7)
    assert limits_of(np.full((4, 4), 2.0)) == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limits_of(np.full((3, 3), np.nan)), "images must have finite pixels"),
        (lambda: grey_levels(np.eye(2), stretch="cubic"), "stretch must be one of"),
        (lambda: grey_levels(np.eye(2), limits=(2, 1)), "limits must rise"),
        (lambda: composite(), "channels must be one or more"),
        (lambda: composite(red=np.eye(2), blue=np.eye(3)), "channels must be one or more of equal shape"),
        (lambda: png_uri(np.zeros((2, 2, 4))), r"levels must have shape \(y, x\) or \(y, x, 3\)"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_paper_composite_has_an_empty_red_channel():
    xray, optical = np.full((2, 2), 0.3), np.full((2, 2), 0.6)
    colours = composite(green=xray, blue=optical)
    assert colours[0, 0].tolist() == [0, 0.3, 0.6]


def test_a_glow_brightens_and_nothing_is_added_without_xrays():
    optical = np.linspace(0, 1, 16).reshape(4, 4)
    assert np.allclose(overlay(optical, np.zeros((4, 4))), 0.85 * optical[..., None])
    glow = overlay(optical, np.ones((4, 4)))
    assert (glow >= 0.85 * optical[..., None]).all()
    assert glow.max() <= 1


def test_smoothing_keeps_the_sum_of_a_centred_source_and_does_not_mix_images():
    images = np.zeros((2, 41, 41))
    images[0, 20, 20] = 10
    result = smoothed(images, sigma_px=2)
    assert result[0].sum() == pytest.approx(10)
    assert result[1].sum() == 0


def test_the_first_row_is_drawn_at_the_bottom():
    picture = decoded(png_uri(np.array([[0.0, 0.0], [1.0, 1.0]])))
    assert picture.tolist() == [[255, 255], [0, 0]]
    assert decoded(png_uri(np.zeros((8, 8, 3)), size_px=4)).shape == (4, 4, 3)


def test_pixels_without_data_are_striped():
    levels = np.full((12, 12), 0.5)
    levels[:6] = np.nan
    shown = hatched(levels)
    assert (shown[6:] == 0.5).all()
    assert sorted(np.unique(shown[:6])) == [0.28, 0.42]
    assert np.isnan(levels[:6]).all(), "the input is left alone"
    assert hatched(np.full((5, 5, 3), np.nan)).shape == (5, 5, 3)


def test_a_large_picture_is_shorter_as_jpeg_and_the_same_to_the_eye():
    y, x = np.mgrid[:200, :200] / 200
    levels = np.stack([x, y, np.random.default_rng(0).uniform(0, 0.2, x.shape)], axis=-1)
    text = jpeg_uri(levels)
    assert text.startswith("data:image/jpeg;base64,")
    assert len(text) < 0.5 * len(png_uri(levels))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))))[::-1] / 255
    assert np.abs(shown[..., :2] - levels[..., :2]).mean() < 0.02
    with pytest.raises(InputError, match="levels must have shape"):
        jpeg_uri(np.zeros((2, 2, 4)))
