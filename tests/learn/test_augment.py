"""Augmentation does what it says, each image on its own; right angles lose no image and leak none."""

import math
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.experiment import Augmentation, Experiment, RightAngles
from labkit.learn import augmented_views
from labkit.learn.augment import POSITIONS, Affine, augment, draw_affine, further_positions, resample, turn
from labkit.learn.parts import split_for_training
from labkit.learn.resident import BalancedBatches, ShuffledBatches, hold


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


@pytest.mark.parametrize("turns", range(5))
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
    moved = resample(spot(48, 5.0, -3.0), affine(scale=scale, degrees=degrees, shift=(dx, dy)))
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
    half = draw_affine(5000, Augmentation(), generator=generator(), image_size=178)
    assert half.shift_px.abs().max() == pytest.approx(2, abs=2e-3), "shifts shrink with the image"


def test_one_shift_moves_both_axes_alike_and_changes_nothing_else():
    each, both = (
        draw_affine(100, Augmentation(one_shift=one), generator=generator()) for one in (False, True)
    )
    assert torch.equal(both.shift_px[:, 0], both.shift_px[:, 1])
    assert torch.equal(both.shift_px[:, 0], each.shift_px[:, 0])
    assert torch.equal(both.scale, each.scale)
    assert torch.equal(both.angle, each.angle)


def test_corners_are_mirrored_or_black():
    flat = torch.full((1, 1, 16, 16), 200.0)
    turned = resample(flat, affine(degrees=45), corners="black")
    assert turned[0, 0, 0, 0] == 0
    assert turned[0, 0, 8, 8] == pytest.approx(200)
    torch.testing.assert_close(resample(flat, affine(degrees=45)), flat)
    black = augment(flat, Augmentation(corners="black", scale=1, shift_px=4), generator=generator(3))
    assert black.min() == 0


def test_each_image_has_its_own_draw_from_the_generator_and_bands_move_together():
    same = torch.rand(1, 1, 16, 16, generator=generator()).expand(4, 2, 16, 16)
    before = same.clone()
    moved, again, other = (augment(same, Augmentation(), generator=generator(s)) for s in (5, 5, 6))
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert all(not torch.allclose(moved[0], moved[i]) for i in (1, 2, 3))
    assert torch.equal(moved, again)
    assert not torch.equal(moved, other)
    assert torch.equal(same, before)


def test_a_flat_image_stays_flat_and_each_needs_its_transformation(images):
    flat = torch.full((4, 1, 16, 16), 200.0)
    torch.testing.assert_close(augment(flat, Augmentation(), generator=generator()), flat)
    with pytest.raises(InputError, match=r"one transformation an image \(3\), got 1"):
        resample(images, affine(1))


@pytest.fixture
def experiment():
    return Experiment(
        name="turned",
        image_size=32,
        folds=3,
        validation_share=0.25,
        augmentation=RightAngles(share=0.5),
        batches="shuffled",
    )


def test_positions_are_the_eight_of_a_square():
    image = torch.arange(2 * 9).reshape(1, 2, 3, 3)
    every = turn(image.expand(POSITIONS, -1, -1, -1), torch.arange(POSITIONS))
    assert len({tuple(one.flatten().tolist()) for one in every}) == POSITIONS
    assert torch.equal(every[1], torch.rot90(image[0], 1, (1, 2)))
    assert torch.equal(every[4], image[0].flip(1))
    assert torch.equal(every[5], image[0].flip(2))
    assert all(torch.equal(one.flatten(1).sort().values, image[0].flatten(1)) for one in every)


@given(st.lists(st.integers(0, POSITIONS - 1), min_size=1, max_size=12))
def test_each_image_is_turned_by_its_own(positions):
    images = torch.arange(len(positions) * 8).reshape(-1, 2, 2, 2).to(torch.uint8)
    before = images.clone()
    together = turn(images, torch.tensor(positions))
    alone = [turn(images[i : i + 1], torch.tensor([p])) for i, p in enumerate(positions)]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(images, before)


def test_the_papers_share_makes_the_set_1_75_times_as_large(sample):
    experiment = Experiment(name="x", augmentation=RightAngles())
    rows = np.arange(20)
    places, positions = further_positions(experiment, sample, rows)
    assert len(places) == len(positions) == 1.75 * len(rows)
    assert np.array_equal(places[:20], rows)
    assert not positions[:20].any()
    added, counts = np.unique(places[20:], return_counts=True)
    assert len(added) == 3
    assert set(counts) == {5}
    for one in added:
        assert sorted(positions[20:][places[20:] == one]) == [1, 2, 3, 4, 5]


def test_an_object_is_added_in_every_run_that_trains_on_it_or_in_none(sample, experiment):
    trained, added = [], []
    for fold in range(3):
        parts = split_for_training(experiment, sample, fold=fold)
        rows = parts["train"].rows
        places, positions = further_positions(experiment, sample, rows)
        trained.append(set(rows.tolist()))
        added.append(set(rows[places[positions > 0]].tolist()))
        held_out = {*parts["test"].rows.tolist(), *parts["validation"].rows.tolist()}
        assert not added[-1] & held_out
    chosen = set.union(*added)
    for one, more in zip(trained, added, strict=True):
        assert more == one & chosen


@pytest.mark.parametrize("settings", [None, RightAngles(drawn="every epoch")])
def test_others_add_nothing(sample, settings):
    places, positions = further_positions(Experiment(name="x", augmentation=settings), sample, np.arange(9))
    assert places.tolist() == list(range(9))
    assert not positions.any()


@pytest.mark.parametrize("kind", [BalancedBatches, ShuffledBatches])
def test_batches_hold_the_images_in_their_positions(kind):
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(0, 255, (6, 1, 4, 4), dtype=np.uint8))
    resident = hold(images, np.array([0, 1, 0, 1, 0, 1]))
    rows, positions = torch.tensor([4, 5, 0, 5]), torch.tensor([0, 0, 3, 4])
    wanted = {
        (images[r] if p == 0 else turn(images[r : r + 1], torch.tensor([p]))[0]).numpy().tobytes(): int(r) % 2
        for r, p in zip(rows, positions, strict=True)
    }
    seen = set()
    batches = kind(resident, batch_size=2, seed=1, rows=rows, positions=positions)
    for epoch in range(8):
        batches.set_epoch(epoch)
        for batch in batches:
            for image, label in zip(batch["image"], batch["label"], strict=True):
                assert wanted[image.numpy().tobytes()] == label
                seen.add(image.numpy().tobytes())
    assert seen == set(wanted)


def test_shuffled_batches_hold_every_image_once_an_epoch_in_new_order():
    resident = hold(torch.zeros(10, 1, 2, 2, dtype=torch.uint8), np.arange(10) % 2)
    batches = ShuffledBatches(resident, batch_size=4, seed=1)
    first = [rows.tolist() for rows in batches.rows()]
    assert [len(rows) for rows in first] == [4, 4, 2]
    assert len(batches) == 3
    batches.set_epoch(1)
    second = [rows.tolist() for rows in batches.rows()]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second


def test_augment_turns_each_epoch_anew():
    images = torch.arange(64 * 4, dtype=torch.uint8).reshape(64, 1, 2, 2)
    generator = torch.Generator().manual_seed(1)
    settings = RightAngles(drawn="every epoch")
    one = augment(images, settings, generator=generator)
    two = augment(images, settings, generator=generator)
    assert one.dtype == torch.uint8
    assert not torch.equal(one, two)
    assert torch.equal(one.flatten(1).sort().values, images.flatten(1).sort().values)


def test_views_follow_the_seed_and_are_the_object_without_any_transformation(sample, quick):
    views = augmented_views(quick, sample, "B001", number=4, seed=1)
    assert views.shape == (4, 2, 32, 32)
    assert views.dtype == np.uint8
    assert len({view.tobytes() for view in views}) == 4
    np.testing.assert_array_equal(views, augmented_views(quick, sample, "B001", number=4, seed=1))
    still = quick.changed(augmentation=Augmentation(scale=1, rotation_deg=0, shift_px=0))
    bands = sample.select(["B001"], bands=still.named_bands).images
    views = augmented_views(still, sample, "B001", number=2)
    np.testing.assert_array_equal(views, np.repeat(bands, 2, axis=0))
    with pytest.raises(InputError, match="unknown ids"):
        augmented_views(quick, sample, "nobody")
