"""Right angles: the eight positions, which images get further ones, and that none is lost or leaks."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.experiment import Experiment, RightAngles
from labkit.learn.augment import augment
from labkit.learn.resident import BalancedBatches, ShuffledBatches, hold
from labkit.learn.splits import split_for_training
from labkit.learn.turns import POSITIONS, further_positions, turned


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
    every = turned(image.expand(POSITIONS, -1, -1, -1), torch.arange(POSITIONS))
    assert len({tuple(one.flatten().tolist()) for one in every}) == POSITIONS
    assert torch.equal(every[1], torch.rot90(image[0], 1, (1, 2)))
    assert torch.equal(every[4], image[0].flip(1))
    assert torch.equal(every[5], image[0].flip(2))
    assert all(torch.equal(one.flatten(1).sort().values, image[0].flatten(1)) for one in every)


@given(st.lists(st.integers(0, POSITIONS - 1), min_size=1, max_size=12))
def test_each_image_is_turned_by_its_own(positions):
    images = torch.arange(len(positions) * 8).reshape(-1, 2, 2, 2).to(torch.uint8)
    before = images.clone()
    together = turned(images, torch.tensor(positions))
    alone = [turned(images[i : i + 1], torch.tensor([p])) for i, p in enumerate(positions)]
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
        (images[r] if p == 0 else turned(images[r : r + 1], torch.tensor([p]))[0]).numpy().tobytes(): int(r)
        % 2
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
