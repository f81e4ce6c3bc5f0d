"""Right-angle augmentation: the eight positions of an image, and which images get further ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from labkit.experiment import Experiment, RightAngles
from labkit.learn.folds import fold_numbers
from labkit.sample import Sample

#: Number of positions; those from 1 to `_FURTHER` are the paper's turns and flips.
POSITIONS = 8
_FURTHER = 5


def turned(images: Tensor, positions: Tensor) -> Tensor:
    """Each image in one of its eight positions; all bands of one image move together.

    Shapes: images (n, band, y, x), positions (n,) -> (n, band, y, x).
    """
    result = images.clone()
    for position in range(1, POSITIONS):
        rows = torch.nonzero(positions == position).squeeze(1)
        if len(rows):
            rows = rows.to(images.device)
            result[rows] = _position(images[rows], position)
    return result


def _position(images: Tensor, position: int) -> Tensor:
    if position < 4:
        return images.rot90(position, (2, 3))
    if position < 6:
        return images.flip(position - 2)
    across = images.transpose(2, 3)
    return across if position == 6 else across.flip((2, 3))


def draw_turns(n: int, *, generator: Generator) -> Tensor:
    """A position for each of `n` images, drawn on the CPU, so that it is the same on every device."""
    return torch.randint(POSITIONS, (n,), generator=generator)


def further_positions(
    experiment: Experiment, sample: Sample, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Training images with those that are added in further positions (Angora et al. 2020, A.1 and A.2).

    Shapes: rows (n,) -> (m,), (m,).
    """
    places = np.arange(len(rows))
    settings = experiment.augmentation
    if not (isinstance(settings, RightAngles) and settings.drawn == "once"):
        return places, np.zeros(len(rows), dtype=np.int64)
    # Drawn fold by fold, so that an object is added in every run that trains on it or in none.
    numbers = fold_numbers(experiment, sample)[rows] if experiment.folds else np.zeros(len(rows), dtype=int)
    chosen = []
    for fold in np.unique(numbers):
        rng = np.random.default_rng([experiment.fold_seed, experiment.folds, 1 + int(fold)])
        here = np.flatnonzero(numbers == fold)
        chosen.append(rng.permutation(here)[: round(settings.share * len(here))])
    added = np.sort(np.concatenate(chosen))
    positions = np.repeat(np.arange(1, _FURTHER + 1), len(added))
    return (
        np.concatenate([places, np.tile(added, _FURTHER)]),
        np.concatenate([np.zeros(len(rows), dtype=np.int64), positions]),
    )
