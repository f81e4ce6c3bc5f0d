"""Augmentation: images scaled, turned and shifted at random in one resampling, or turned by right angles.

The paper does not say what fills the corners that turn or shrink into view; the authors' released script
leaves them black. Here they mirror the image, which keeps background level, noise and texture as in real
images, unless the experiment says otherwise. All draws come from a generator on the CPU, so that they are the
same on every device.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from labkit.errors import InputError
from labkit.experiment import Augmentation, Experiment, RightAngles
from labkit.learn.device import resize_by_area
from labkit.learn.parts import fold_numbers, named_bands_of
from labkit.sample import Sample

#: Number of right-angle positions; those from 1 to `_FURTHER` are the paper's turns and flips.
POSITIONS = 8
_FURTHER = 5
_REFERENCE_SIZE = 356  # px, image side to which `Augmentation.shift_px` refers


@dataclass(frozen=True)
class Affine:
    """A scale, an angle and a shift for each image."""

    scale: Tensor  # (n,), factor by which objects grow
    angle: Tensor  # (n,), radians, from the x axis towards the y axis
    shift_px: Tensor  # (n, 2), pixels along x and y by which objects move


def draw_affine(
    n: int, augmentation: Augmentation, *, generator: Generator, image_size: int = _REFERENCE_SIZE
) -> Affine:
    """Draw a transformation for each of `n` images (Kosiba et al. 2020, section 3.2).

    Scales are uniform from 1/1.3 to 1.3, angles from 0 to 360 degrees, shifts from -4 to 4 px (of images of
    356 px), each axis its own (the authors' released script draws one shift for both: `one_shift`).
    """
    draws = torch.rand((n, 4), generator=generator)
    smallest = 1 / augmentation.scale
    scale = smallest + (augmentation.scale - smallest) * draws[:, 0]
    angle = math.radians(augmentation.rotation_deg) * draws[:, 1]
    reach = augmentation.shift_px * image_size / _REFERENCE_SIZE
    shift = draws[:, 2:3].expand(-1, 2) if augmentation.one_shift else draws[:, 2:]
    return Affine(scale, angle, reach * (2 * shift - 1))


def resample(images: Tensor, affine: Affine, *, corners: str = "mirrored") -> Tensor:
    """Scale, turn and shift each image (n, band, y, x) about its centre, bilinearly, in one call.

    A point at offset p from the centre moves to ``scale * R(angle) p + shift``; `corners` as in
    `~labkit.experiment.Augmentation`.
    """
    n, _, ny, nx = images.shape
    if len(affine.scale) != n:
        raise InputError(f"affine must hold one transformation an image ({n}), got {len(affine.scale)}")
    # where each output pixel comes from: R(-angle) (p - shift) / scale, in units of half a side
    cos, sin = torch.cos(affine.angle) / affine.scale, torch.sin(affine.angle) / affine.scale
    dx, dy = affine.shift_px.unbind(1)
    rows = [
        [cos, sin * ny / nx, -2 * (cos * dx + sin * dy) / nx],
        [-sin * nx / ny, cos, -2 * (cos * dy - sin * dx) / ny],
    ]
    matrices = torch.stack([torch.stack(row, 1) for row in rows], 1)  # (n, 2, 3)
    matrices = matrices.to(images.device, images.dtype, non_blocking=True)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    padding = {"mirrored": "reflection", "black": "zeros"}[corners]
    return functional.grid_sample(images, grid, padding_mode=padding, align_corners=False)


def turn(images: Tensor, positions: Tensor) -> Tensor:
    """Each square image (n, band, y, x) in one of its eight positions; a new tensor.

    Positions are on the CPU, where looking at them makes no device wait. 0: as it is; 1, 2, 3: turned by 90,
    180, 270 degrees; 4, 5: flipped along y, along x (Angora et al. 2020, Fig. A.1); 6, 7: flipped at
    diagonals.
    """
    result = images.clone()
    for position in range(1, POSITIONS):
        rows = torch.nonzero(positions == position).squeeze(1)
        if len(rows):
            rows = rows.to(images.device)
            result[rows] = _in_position(images[rows], position)
    return result


def _in_position(images: Tensor, position: int) -> Tensor:
    if position < 4:
        return images.rot90(position, (2, 3))
    if position < 6:
        return images.flip(position - 2)
    across = images.transpose(2, 3)
    return across if position == 6 else across.flip((2, 3))


def augment(images: Tensor, augmentation: Augmentation | RightAngles, *, generator: Generator) -> Tensor:
    """Images (n, band, y, x) with a random transformation each: float, but right angles keep their type."""
    if isinstance(augmentation, RightAngles):
        return turn(images, torch.randint(POSITIONS, (len(images),), generator=generator))
    images = images.float()
    affine = draw_affine(len(images), augmentation, generator=generator, image_size=images.shape[-1])
    return resample(images, affine, corners=augmentation.corners)


def further_positions(
    experiment: Experiment, sample: Sample, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Training images with those added in further positions (Angora et al. 2020, A.1 and A.2).

    Gives for each image to train on its place in `rows`, first all of them, then those that `RightAngles`
    drawn once add (other augmentations none); and its position, see `turn`.
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


def augmented_views(
    experiment: Experiment, sample: Sample, object_id: str, *, number: int = 12, seed: int = 0
) -> np.ndarray:
    """One object as the network sees it in training, several times: uint8 (number, band, y, x).

    Resized, and augmented as the experiment says, or as the paper does where it has no augmentation. The
    Sample is normalised.
    """
    pixels = named_bands_of(sample, experiment).select([object_id]).images
    image = resize_by_area(torch.from_numpy(np.array(pixels)), experiment.image_size).float()
    settings, generator = experiment.augmentation or Augmentation(), torch.Generator().manual_seed(seed)
    views = augment(image.expand(number, -1, -1, -1), settings, generator=generator)
    return views.round_().clamp_(0, 255).to(torch.uint8).numpy()
