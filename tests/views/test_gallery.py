"""Grey levels, colours, pictures, and pictures in a grid."""

import base64
import io

import numpy as np
import pytest
from bokeh.models import GlyphRenderer, ImageURL
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from labkit.errors import InputError
from labkit.views.gallery import (
    STRETCHES,
    composite,
    gallery,
    grey_levels,
    hatched,
    jpeg_uri,
    limits_of,
    overlay,
    png_uri,
    smoothed,
    thumbnails,
)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


@given(st.sampled_from(sorted(STRETCHES)), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_levels_stay_within_bounds_and_keep_the_order(stretch, values):
    levels = grey_levels(np.sort(np.array(values))[None], stretch=stretch)
    assert 0 <= levels.min() <= levels.max() <= 1
    assert (np.diff(levels[0]) >= -1e-12).all()


def test_limits_are_black_and_white_and_differ_even_for_flat_or_sparse_images():
    levels = grey_levels([[0.0, 5.0, 10.0, np.nan, np.inf, -3.0]], limits=(0, 10), stretch="linear")
    assert levels.tolist() == [[0, 0.5, 1, 0, 1, 0]]
    images = np.zeros((2, 40, 40))
    images[1, 3, 3] = 7
    assert limits_of(images) == (0, 7)
    assert limits_of(np.full((4, 4), 2.0)) == (2, 3)


def test_the_paper_composite_has_an_empty_red_channel_and_a_glow_only_brightens():
    xray, optical = np.full((2, 2), 0.3), np.full((2, 2), 0.6)
    assert composite(green=xray, blue=optical)[0, 0].tolist() == [0, 0.3, 0.6]
    optical = np.linspace(0, 1, 16).reshape(4, 4)
    assert np.allclose(overlay(optical, np.zeros((4, 4))), 0.85 * optical[..., None])
    glow = overlay(optical, np.ones((4, 4)))
    assert (glow >= 0.85 * optical[..., None]).all()
    assert glow.max() <= 1


def test_smoothing_keeps_the_sum_of_a_centred_source_and_does_not_mix_images():
    images = np.zeros((2, 41, 41))
    images[0, 20, 20] = 10
    assert smoothed(images, sigma_px=2).sum(axis=(1, 2)) == pytest.approx([10, 0])


def test_pixels_without_data_are_striped():
    levels = np.full((12, 12), 0.5)
    levels[:6] = np.nan
    shown = hatched(levels)
    assert (shown[6:] == 0.5).all()
    assert sorted(np.unique(shown[:6])) == [0.28, 0.42]
    assert np.isnan(levels[:6]).all(), "the input is left alone"
    assert hatched(np.full((5, 5, 3), np.nan)).shape == (5, 5, 3)


def test_the_first_row_is_at_the_bottom_and_a_jpeg_is_shorter_and_the_same_to_the_eye():
    assert decoded(png_uri(np.array([[0.0, 0.0], [1.0, 1.0]]))).tolist() == [[255, 255], [0, 0]]
    assert decoded(png_uri(np.zeros((8, 8, 3)), size_px=4)).shape == (4, 4, 3)
    y, x = np.mgrid[:200, :200] / 200
    levels = np.stack([x, y, np.random.default_rng(0).uniform(0, 0.2, x.shape)], axis=-1)
    text = jpeg_uri(levels)
    assert text.startswith("data:image/jpeg;base64,")
    assert len(text) < 0.5 * len(png_uri(levels))
    assert np.abs(decoded(text)[::-1, :, :2] / 255 - levels[..., :2]).mean() < 0.02


def test_a_gallery_places_pictures_row_by_row(look):
    uris = thumbnails(np.random.default_rng(0).poisson(1, (5, 9, 9)), sigma_px=1)
    plot = gallery(uris, [f"X{i}" for i in range(5)], details={"p": list("abcde")}, columns=3,
                   row_titles=["one", "two"], column_titles=["c"])  # fmt: skip
    shown = look.glyphs(plot, ImageURL)[0].data_source.data
    assert shown["title"][4] == "X4"
    assert (shown["x"][3], shown["x"][4]) == (shown["x"][0], shown["x"][1])
    assert shown["y"][3] < shown["y"][0]
    assert shown["p"] == list("abcde")
    words = [r.data_source.data["text"] for r in plot.select(GlyphRenderer) if "text" in r.data_source.data]
    assert sorted(words) == [["c"], ["one"], ["two"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limits_of(np.full((3, 3), np.nan)), "images must have finite pixels"),
        (lambda: grey_levels(np.eye(2), stretch="cubic"), "stretch must be one of"),
        (lambda: grey_levels(np.eye(2), limits=(2, 1)), "limits must rise"),
        (lambda: composite(), "channels must be one or more"),
        (lambda: composite(red=np.eye(2), blue=np.eye(3)), "channels must be one or more of equal shape"),
        (lambda: png_uri(np.zeros((2, 2, 4))), r"levels must have shape \(y, x\) or \(y, x, 3\)"),
        (lambda: jpeg_uri(np.zeros((2, 2, 4))), "levels must have shape"),
        (lambda: gallery(["u", "v"], ["one"]), "as many titles and details"),
        (lambda: gallery([]), "pictures must be one or more"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
