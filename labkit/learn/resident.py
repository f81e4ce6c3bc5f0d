"""Images that stay on the device as bytes, and batches of them: balanced, shuffled, or in order.

A batch is a gather on the device. There are no worker processes and nothing is copied per epoch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.augment import turn
from labkit.learn.device import resize_by_area
from labkit.learn.parts import named_bands_of
from labkit.sample import Sample


@dataclass(frozen=True)
class Resident:
    """Images and class numbers on a device."""

    images: Tensor  # uint8, (n, band, y, x)
    labels: Tensor  # int64, (n,)
    target: Tensor | None = None  # float32, (n, classes) fractions of soft labels, or (n, targets) numbers

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Tensor, positions: Tensor | None = None) -> dict[str, Tensor]:
        """Images and labels of some rows: a dictionary of ``image``, ``label`` and, if there, ``target``.

        The images come in their `positions` (`labkit.learn.augment.turn`), where these are given.
        """
        images = self.images.index_select(0, rows)
        found = {"image": images if positions is None else turn(images, positions)}
        found["label"] = self.labels.index_select(0, rows)
        return found if self.target is None else found | {"target": self.target.index_select(0, rows)}


def read_images(sample: Sample, *, image_size: int, device: torch.device | str = "cpu") -> Tensor:
    """A normalised Sample's images as bytes (n, band, y, x) at the network's size, on the device."""
    if sample.dtype != np.uint8:
        raise InputError(
            f"sample must hold grey levels of type uint8, got {sample.dtype}; "
            "normalise it first (labkit.images.normalise)"
        )
    n, bands = sample.shape[:2]
    images = torch.empty((n, bands, image_size, image_size), dtype=torch.uint8, device=device)
    for rows, pixels in sample.batches(64):
        images[rows] = resize_by_area(torch.from_numpy(np.array(pixels)), image_size).to(device)
    return images


def hold(images: Tensor, codes: np.ndarray, *, target: np.ndarray | None = None) -> Resident:
    """Put class numbers, and the fractions or numbers to learn if any, beside images on their device."""
    labels = torch.from_numpy(np.asarray(codes, dtype=np.int64)).to(images.device)
    if target is None:
        return Resident(images, labels)
    return Resident(images, labels, torch.from_numpy(np.asarray(target, dtype=np.float32)).to(images.device))


def seed_of(seed: int, epoch: int, use: int) -> int:
    """A seed for one use in one epoch, so that an epoch depends on nothing drawn before it."""
    return int(np.random.SeedSequence([seed, epoch, use]).generate_state(1, np.uint64)[0] >> 1)


class OrderedBatches:
    """Some `rows` of the images (by default all) once, in order.

    A row may come more than once, in several `positions` (`labkit.learn.augment.turn`).
    """

    def __init__(
        self,
        resident: Resident,
        *,
        batch_size: int = 32,
        seed: int = 0,
        rows: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> None:
        self.resident, self.batch_size, self.seed, self.epoch = resident, batch_size, seed, 0
        self._order = torch.arange(len(resident)) if rows is None else rows.cpu()
        self._positions = None if positions is None or not positions.any() else positions.cpu()

    def __len__(self) -> int:
        return -(-len(self._order) // self.batch_size)

    def _places(self) -> Sequence[Tensor]:
        return torch.arange(len(self._order)).split(self.batch_size)

    def rows(self) -> list[Tensor]:
        """Rows of every batch of the epoch, on the CPU."""
        return [self._order[places] for places in self._places()]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        batches = self._places()
        rows = self._order[torch.cat(tuple(batches))].to(self.resident.images.device)  # one copy an epoch
        for places, here in zip(batches, rows.split([len(one) for one in batches]), strict=True):
            yield self.resident.batch(here, None if self._positions is None else self._positions[places])


class ShuffledBatches(OrderedBatches):
    """Every training image once an epoch that Lightning numbers, in random order."""

    @property
    def sampler(self) -> ShuffledBatches:
        """What Lightning tells the epoch to."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(self.seed, self.epoch, 0))

    def _places(self) -> Sequence[Tensor]:
        return torch.randperm(len(self._order), generator=self._generator()).split(self.batch_size)


class BalancedBatches(ShuffledBatches):
    """Batches with equal numbers of each class, drawn anew from the whole set for every batch.

    An epoch has as many batches as fill the set once, ``n // batch_size`` (Kosiba et al. 2020,
    section 5.2). Where the classes do not divide the batch size, the remaining places go to classes
    drawn at random, each at most once a batch.
    """

    def __init__(self, resident: Resident, **options: Any) -> None:
        super().__init__(resident, **options)
        labels = resident.labels.cpu()[self._order]
        by_class = torch.argsort(labels, stable=True)
        self._order = self._order[by_class]  # rows, class after class
        self._positions = None if self._positions is None else self._positions[by_class]
        self._counts = torch.bincount(labels)
        self._counts = self._counts[self._counts > 0]
        self._starts = torch.cumsum(self._counts, 0) - self._counts

    def __len__(self) -> int:
        return max(1, len(self._order) // self.batch_size)

    def _places(self) -> Sequence[Tensor]:
        generator = self._generator()
        n_classes = len(self._counts)
        each, rest = divmod(self.batch_size, n_classes)
        fixed = torch.arange(n_classes).repeat(each).expand(len(self), -1)
        extra = torch.rand((len(self), n_classes), generator=generator).argsort(1)[:, :rest]
        classes = torch.cat([fixed, extra], 1)  # (batch, batch_size)
        draws = torch.rand(classes.shape, generator=generator, dtype=torch.float64)
        return (self._starts[classes] + (draws * self._counts[classes]).long()).unbind()


_lock = threading.Lock()
_last: dict[tuple[str, ...], Tensor] = {}  # one at most


def shared_images(
    experiment: Experiment, sample: Sample, rows: np.ndarray, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Some objects of a Sample in an experiment's bands and image size, on a device.

    For equal content, bands, size, device and rows it is the same tensor of bytes, not to be changed: ten
    folds, ten seeds and several networks of one image size read and resize the pixels once. The last copy is
    kept until another one is needed.
    """
    chosen = named_bands_of(sample, experiment)
    objects = hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
    key = (sample.content_hash, *chosen.bands, str(experiment.image_size), str(device), objects)
    with _lock:
        if key not in _last:
            _last.clear()  # before reading, so that there are never two
            size = experiment.image_size
            _last[key] = read_images(chosen.select(rows), image_size=size, device=device)
        return _last[key]


def release() -> None:
    """Let go of the images, to free the device's memory."""
    with _lock:
        _last.clear()
