"""Augmentation: images scaled, turned and shifted at random in one resampling, or turned by right angles.

The paper does not say what fills the corners that turn or shrink into view, and how the authors'
code filled them is not known. Here they mirror the image (``"reflection"``), which keeps background
level, noise and texture as in real images; ``"border"`` repeats the edge pixel and ``"zeros"`` fills
with black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from labkit.errors import InputError
from labkit.experiment import Augmentation, RightAngles
from labkit.learn.turns import draw_turns, turned

#: Image side to which `Augmentation.shift_px` refers.
REFERENCE_SIZE = 356


@dataclass(frozen=True)
class Affine:
    """A scale, an angle and a shift for each image.

    Shapes: scale (n,), angle (n,), shift_px (n, 2).
    """

    scale: Tensor
    angle: Tensor
    shift_px: Tensor


def draw_affine(
    n: int, augmentation: Augmentation, *, generator: Generator, image_size: int = REFERENCE_SIZE
) -> Affine:
    """Draw a transformation for each of `n` images (Kosiba et al. 2020, section 3.2).

    Scales are uniform from 1/1.3 to 1.3, angles from 0 to 360 degrees, shifts from -4 to 4 px, each
    axis its own (the authors' released script draws one shift for both).
    """
    draws = torch.rand((n, 4), generator=generator)
    smallest = 1 / augmentation.scale
    scale = smallest + (augmentation.scale - smallest) * draws[:, 0]
    angle = math.radians(augmentation.rotation_deg) * draws[:, 1]
    reach = augmentation.shift_px * image_size / REFERENCE_SIZE
    return Affine(scale, angle, reach * (2 * draws[:, 2:] - 1))


def resample(images: Tensor, affine: Affine, *, border: str = "reflection") -> Tensor:
    """Scale, turn and shift each image about its centre, bilinearly, in one call for the batch.

    A point at offset p from the centre moves to ``scale * R(angle) p + shift``.

    Shapes: images (n, band, y, x) -> (n, band, y, x).
    """
    if border not in ("reflection", "border", "zeros"):
        raise InputError(f"border must be 'reflection', 'border' or 'zeros', got {border!r}")
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
    return functional.grid_sample(images, grid, padding_mode=border, align_corners=False)


def augment(
    images: Tensor,
    augmentation: Augmentation | RightAngles,
    *,
    generator: Generator,
    border: str = "reflection",
) -> Tensor:
    """Images with a random transformation each.

    Shapes: images (n, band, y, x) -> (n, band, y, x).
    """
    if isinstance(augmentation, RightAngles):
        return turned(images, draw_turns(len(images), generator=generator))
    images = images.float()
    affine = draw_affine(len(images), augmentation, generator=generator, image_size=images.shape[-1])
    return resample(images, affine, border=border)
