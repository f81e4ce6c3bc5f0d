"""Regridding of images, weighted by area.

An output pixel is the mean of the input over the area that it covers, multiplied by that area (in input
pixels) where the flux is to be conserved. Parallel grids are integrated exactly; for rotated ones
each output pixel is made up of small boxes along the axes of the input.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

Conserve = Literal["flux", "surface brightness"]


def regrid(
    image: ArrayLike,
    *,
    scale: float,
    shape: tuple[int, int],
    centre: tuple[float, float] | None = None,
    angle_deg: float = 0.0,
    conserve: Conserve = "surface brightness",
    oversample: int = 3,
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """Resample an image, or a stack of images, onto a scaled, shifted and rotated pixel grid.

    Parameters
    ----------
    image : array_like
        Input, shape (..., y, x). NaN pixels are left out of the averages.
    scale : float
        Output pixel size divided by input pixel size.
    shape : tuple of int
        Output shape (ny, nx) in pixels.
    centre : tuple of float, optional
        Input position (x, y) that falls on the centre of the output, counted from 0 at the centre of the
        first pixel; by default the centre of the input.
    angle_deg : float
        Rotation of the output axes against the input axes, from x towards y, in degrees.
    conserve : {"surface brightness", "flux"}
        Keep the values (a mean over the output pixel), or the sums (counts).
    oversample : int
        Least number of boxes along each side of an output pixel when ``angle_deg`` is not zero.
    fill : float
        Value outside the input, per input pixel.

    Returns
    -------
    numpy.ndarray
        Shape (..., ny, nx), float32; NaN only where an output pixel holds nothing but NaN input.
    """
    image = checked_image(image, conserve, oversample)
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale must be a positive number (output over input pixel size), got {scale}")
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"shape must be two positive numbers (ny, nx), got {shape}")
    height, width = image.shape[-2:]
    x0, y0 = ((width - 1) / 2, (height - 1) / 2) if centre is None else centre
    area = scale**2 if conserve == "flux" else 1.0
    if angle_deg == 0:
        rows = _overlap(height, shape[0], y0, scale)
        columns = _overlap(width, shape[1], x0, scale)
        return _weighted(image, rows, columns, fill) * np.float32(area)
    steps = max(oversample, int(np.ceil(scale)))
    v, u_ = (scale * ((np.arange(n * steps) + 0.5) / steps - n / 2) for n in shape)
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    x = x0 + cos * u_ - sin * v[:, None]
    y = y0 + sin * u_ + cos * v[:, None]
    return average_boxes(image, x, y, width=scale / steps, steps=steps, fill=fill) * np.float32(area)


def checked_image(image: ArrayLike, conserve: str, oversample: int) -> NDArray[np.float32]:
    """Return the image as float32, or refuse its shape or the options."""
    image = np.asarray(image, dtype=np.float32)
    if image.ndim < 2 or 0 in image.shape[-2:]:
        raise InputError(f"image must have the axes (..., y, x) with pixels on both, got shape {image.shape}")
    if conserve not in ("flux", "surface brightness"):
        raise InputError(f"conserve must be 'flux' or 'surface brightness', got {conserve!r}")
    if oversample < 1:
        raise InputError(f"oversample must be at least 1, got {oversample}")
    return image


def _overlap(n_in: int, n_out: int, centre: float, scale: float) -> NDArray[np.float32]:
    """Fraction of each output pixel's width that each input pixel covers, shape (n_out, n_in)."""
    edges = centre + 0.5 + scale * (np.arange(n_out + 1) - n_out / 2)  # in input pixels, 0 = left edge
    left = np.arange(n_in)
    width = np.minimum(edges[1:, None], left + 1) - np.maximum(edges[:-1, None], left)
    return (np.clip(width, 0, None) / scale).astype(np.float32)


def _weighted(image: NDArray, rows: NDArray, columns: NDArray, fill: float) -> NDArray[np.float32]:
    valid = ~np.isnan(image)
    inside = np.outer(rows.sum(1), columns.sum(1))  # (ny, nx), fraction of the output pixel on the input
    covered = inside if valid.all() else rows @ valid.astype(np.float32) @ columns.T
    total = rows @ np.where(valid, image, 0) @ columns.T
    if not np.isnan(fill):
        outside = np.clip(1 - inside, 0, 1)
        total, covered = total + np.float32(fill) * outside, covered + outside
    return np.divide(total, covered, where=covered > 1e-4, out=np.full_like(total, np.nan))


def average_boxes(
    image: NDArray, x: NDArray, y: NDArray, *, width: float, steps: int, fill: float
) -> NDArray[np.float32]:
    """Average the input over small boxes, steps x steps of which make up an output pixel."""
    row, row_share = _split(y, image.shape[-2], width)
    column, column_share = _split(x, image.shape[-1], width)
    border = [(0, 0)] * (image.ndim - 2) + [(1, 2), (1, 2)]
    padded = np.pad(image, border, constant_values=fill)  # (..., y + 3, x + 3)
    touched = padded[..., row.min() : row.max() + 2, column.min() : column.max() + 2]
    shape = (x.shape[0] // steps, steps, x.shape[1] // steps, steps)
    flat = row * padded.shape[-1] + column

    def averaged(values: NDArray) -> NDArray:
        values = values.reshape(*values.shape[:-2], -1)
        below, above = flat, flat + padded.shape[-1]
        low = values[..., below] + column_share * (values[..., below + 1] - values[..., below])
        high = values[..., above] + column_share * (values[..., above + 1] - values[..., above])
        boxes = low + row_share * (high - low)
        return boxes.reshape(*boxes.shape[:-2], *shape).mean(axis=(-3, -1))

    if not np.isnan(touched).any():
        return averaged(padded)
    valid = ~np.isnan(padded)
    total, weight = averaged(np.where(valid, padded, 0)), averaged(valid.astype(np.float32))
    return np.divide(total, weight, where=weight > 1e-4, out=np.full_like(total, np.nan))


def _split(position: NDArray, length: int, width: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """First (padded) pixel that each box touches, and the share of the box on the next one."""
    edge = np.clip(np.nan_to_num(position, nan=-2.0) + 1.5 - width / 2, 0, length + 1)
    first = np.floor(edge)
    share = np.clip((edge + width - first - 1) / width, 0, 1)
    return first.astype(np.int32), share.astype(np.float32)
