"""Held images keep their light, and batches hold equal numbers of each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.learn.resident import (
    BalancedBatches,
    OrderedBatches,
    Resident,
    area_weights,
    hold,
    read_images,
    resize_by_area,
    seed_of,
)


def resident(labels):
    labels = torch.tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return Resident(images, labels)


@given(size_in=st.integers(1, 40), size_out=st.integers(1, 40))
def test_area_weights_share_every_pixel_out_equally(size_in, size_out):
    weights = area_weights(size_in, size_out)
    torch.testing.assert_close(weights.sum(1), torch.ones(size_out))
    torch.testing.assert_close(weights.sum(0), torch.full((size_in,), size_out / size_in))


def test_halving_averages_and_doubling_repeats():
    images = torch.tensor([[[[0, 100], [50, 250]]]], dtype=torch.uint8)
    assert resize_by_area(images, 1).item() == 100
    assert torch.equal(resize_by_area(images, 4), images.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert resize_by_area(images, 2) is images


def test_hold_resizes_once_and_keeps_order(sample):
    held = hold(read_images(sample, image_size=16), np.arange(36))
    assert held.images.shape == (36, 2, 16, 16)
    assert held.images.dtype == torch.uint8
    mean = sample.images.reshape(36, 2, 16, 2, 16, 2).mean((3, 5))
    assert np.abs(held.images.numpy() - mean).max() <= 0.5
    assert held.labels.tolist() == list(range(36))


def test_raw_images_are_refused(small_sample):
    with pytest.raises(
        InputError, match=r"sample must hold grey levels of type uint8, got float32; normalise"
    ):
        read_images(small_sample, image_size=16)


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 12), counts=st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_batches_are_balanced_exactly(batch_size, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    batches = BalancedBatches(resident(labels.tolist()), batch_size=batch_size, seed=1)
    rows = torch.stack(batches.rows())
    assert rows.shape == (max(1, len(labels) // batch_size), batch_size)
    for batch in rows:
        found = np.bincount(labels[batch.numpy()], minlength=len(counts))
        assert found.max() - found.min() <= 1
        assert batch_size % len(counts) or found.max() == found.min()


def test_every_object_is_drawn_and_equally_often():
    labels = [0] * 90 + [1] * 10
    batches = BalancedBatches(resident(labels), batch_size=10, seed=2)
    drawn = torch.zeros(100)
    for epoch in range(300):
        batches.set_epoch(epoch)
        drawn += torch.bincount(torch.cat(batches.rows()), minlength=100)
    assert drawn.sum() == 30_000
    torch.testing.assert_close(drawn[:90], torch.full((90,), 15_000 / 90), rtol=0.3, atol=0)
    torch.testing.assert_close(drawn[90:], torch.full((10,), 1500.0), rtol=0.1, atol=0)


def test_an_epoch_follows_from_seed_and_number():
    one, two = (BalancedBatches(resident([0, 1] * 20), batch_size=4, seed=3) for _ in range(2))
    first = torch.stack(one.rows())
    one.set_epoch(1)
    two.set_epoch(1)
    assert torch.equal(torch.stack(one.rows()), torch.stack(two.rows()))
    assert not torch.equal(torch.stack(one.rows()), first)
    assert len({seed_of(s, e, u) for s in range(4) for e in range(4) for u in range(4)}) == 64


def test_batches_are_dictionaries_of_matching_rows():
    batches = BalancedBatches(resident([0, 1, 1, 0, 1]), batch_size=2, seed=0)
    for batch in batches:
        assert batch["image"].dtype == torch.uint8
        labels = batches.resident.labels[batch["image"][:, 0, 0, 0].long()]
        assert torch.equal(labels, batch["label"])


def test_ordered_batches_give_every_image_once():
    batches = OrderedBatches(resident(list(range(7))), batch_size=3)
    assert len(batches) == 3
    assert torch.cat([b["label"] for b in batches]).tolist() == list(range(7))
