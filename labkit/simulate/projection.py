"""Surface brightness: emissivity in three dimensions, summed along the line of sight on nested grids.

The axis along the line of sight has steps that grow with the distance from the centre, so that a core and its
surroundings are sampled alike; the sky has finer steps in the middle.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

Emissivity = Callable[[NDArray, NDArray, NDArray], NDArray]
#: Grids, outermost first: pixels along the side (0: all), step in pixels, steps along the line of sight.
_GRIDS = ((0, 2.0, 64), (64, 1.0, 96), (16, 0.25, 96))
_MARGIN = 2  # steps beyond the edge, for the interpolation


def project(
    emissivity: Emissivity, *, size_px: int, pixel_kpc: float, depth_kpc: float
) -> NDArray[np.float64]:
    """Integral of an emissivity along the line of sight, mean over each pixel, shape (y, x).

    `emissivity` takes x, y and z in kpc from the centre of the image, which broadcast, and is integrated to
    `depth_kpc` on both sides; the result has its unit times kpc. `size_px` is even.
    """
    image = np.zeros((size_px, size_px))
    for side, step, samples in _GRIDS:
        side = min(side or size_px, size_px)
        if step > 1 and size_px <= _GRIDS[1][0]:
            continue  # the next grid covers the whole image
        margin = _MARGIN if step > 1 else 0
        n = round(side / step) + 2 * margin
        axis = (np.arange(n) - (n - 1) / 2) * step * pixel_kpc
        sums = _columns(emissivity, axis, step * pixel_kpc, depth_kpc, samples)
        if step > 1:
            inside = slice(round(margin * step), -round(margin * step))
            sums = zoom(sums, step, order=3, mode="nearest", grid_mode=True)[inside, inside]
        elif step < 1:
            sums = sums.reshape(side, round(1 / step), side, round(1 / step)).mean(axis=(1, 3))
        middle = slice((size_px - side) // 2, (size_px + side) // 2)
        image[middle, middle] = sums
    return image


def _columns(
    emissivity: Emissivity, axis: NDArray, step: float, depth: float, samples: int
) -> NDArray[np.float64]:
    """The integral at each place of a grid, (y, x), a row at a time, which stays in the processor's cache."""
    scale = 2 * step
    t = np.linspace(-1, 1, samples) * np.arcsinh(depth / scale)
    z = (scale * np.sinh(t)).astype(np.float32)
    weights = (scale * np.cosh(t) * (t[1] - t[0])).astype(np.float32)
    x = axis.astype(np.float32)[:, None]
    return np.stack([emissivity(x, y, z) @ weights for y in x])
