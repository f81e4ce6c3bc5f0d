"""Augmentation does what it says, each image on its own, the same from the same generator."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.experiment import Augmentation
from labkit.learn.augment import Affine, augment, draw_affine, resample


def affine(n=1, *, scale=1.0, degrees=0.0, shift=(0.0, 0.0)):
    return Affine(
        torch.full((n,), scale), torch.full((n,), math.radians(degrees)), torch.tensor([shift]).expand(n, 2)
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(3, 2, 24, 24, generator=generator()) * 255


def spot(size, x, y, width=1.5):
    """A Gaussian at (x, y) pixels from the centre."""
    axis = torch.arange(size) - (size - 1) / 2
    return torch.exp(-0.5 * ((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / width**2)[None, None]


def moments(image):
    axis = torch.arange(image.shape[-1]) - (image.shape[-1] - 1) / 2
    flat = image[0, 0] / image.sum()
    x, y = (flat.sum(0) * axis).sum(), (flat.sum(1) * axis).sum()
    return x.item(), y.item(), (flat.sum(0) * (axis - x) ** 2).sum().sqrt().item()


@pytest.mark.parametrize("degrees", [0, 360])
def test_nothing_and_a_full_turn_are_the_identity(images, degrees):
    torch.testing.assert_close(resample(images, affine(3, degrees=degrees)), images, rtol=0, atol=0.02)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(images, turns):
    turned = resample(images, affine(3, degrees=90 * turns))
    torch.testing.assert_close(turned, torch.rot90(images, turns, (3, 2)), rtol=0, atol=0.02)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, 3), (-2, 1)])
def test_whole_shifts_move_pixels(images, dx, dy):
    moved = resample(images, affine(3, shift=(float(dx), float(dy))))
    inner = slice(6, -6)
    expected = torch.roll(images, (dy, dx), (2, 3))[..., inner, inner]
    torch.testing.assert_close(moved[..., inner, inner], expected, rtol=0, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1 / 1.3, 1.3), degrees=st.floats(0, 360), dx=st.floats(-4, 4), dy=st.floats(-4, 4))
def test_a_point_goes_where_the_transformation_says(scale, degrees, dx, dy):
    moved = resample(
        spot(48, 5.0, -3.0), affine(scale=scale, degrees=degrees, shift=(dx, dy)), border="zeros"
    )
    x, y, _ = moments(moved)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    assert x == pytest.approx(scale * (cos * 5 + sin * 3) + dx, abs=0.1)
    assert y == pytest.approx(scale * (sin * 5 - cos * 3) + dy, abs=0.1)


@pytest.mark.parametrize("scale", [1 / 1.3, 1.3])
def test_objects_grow_by_the_scale(scale):
    width = moments(resample(spot(64, 0, 0, 4.0), affine(scale=scale)))[2]
    assert width == pytest.approx(4 * scale, rel=0.02)


def test_oblong_images_turn_without_distortion():
    image = torch.zeros(1, 1, 20, 40)
    image[..., 9:11, 14:16] = 1  # 5 px left of the centre
    turned = resample(image, affine(degrees=90))
    assert turned[..., 4:6, 19:21].sum() == pytest.approx(4, abs=0.05)


def test_draws_fill_the_ranges_of_the_paper():
    drawn = draw_affine(20_000, Augmentation(), generator=generator())
    assert drawn.scale.min() == pytest.approx(1 / 1.3, abs=1e-3)
    assert drawn.scale.max() == pytest.approx(1.3, abs=1e-3)
    assert drawn.scale.mean() == pytest.approx((1 / 1.3 + 1.3) / 2, abs=5e-3)
    assert drawn.angle.max() == pytest.approx(2 * math.pi, abs=2e-3)
    assert drawn.shift_px.abs().max() == pytest.approx(4, abs=2e-3)
    assert abs(torch.corrcoef(drawn.shift_px.T)[0, 1]) < 0.03, "each axis has its own shift"


def test_shifts_shrink_with_the_image():
    drawn = draw_affine(5000, Augmentation(), generator=generator(), image_size=178)
    assert drawn.shift_px.abs().max() == pytest.approx(2, abs=2e-3)


def test_each_image_has_its_own_draw_and_bands_move_together():
    same = torch.rand(1, 1, 16, 16, generator=generator()).expand(4, 2, 16, 16)
    moved = augment(same, Augmentation(), generator=generator(1))
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert all(not torch.allclose(moved[0], moved[i]) for i in (1, 2, 3))


def test_equal_generators_give_equal_images(images):
    before = images.clone()
    first, again, other = (augment(images, Augmentation(), generator=generator(s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("border", ["reflection", "border"])
def test_a_flat_image_stays_flat(border):
    flat = torch.full((4, 1, 16, 16), 200.0)
    moved = augment(flat, Augmentation(), generator=generator(), border=border)
    torch.testing.assert_close(moved, flat)


def test_bad_input_is_refused(images):
    with pytest.raises(InputError, match="border must be 'reflection', 'border' or 'zeros', got 'wrap'"):
        resample(images, affine(3), border="wrap")
    with pytest.raises(InputError, match=r"one transformation an image \(3\), got 1"):
        resample(images, affine(1))
