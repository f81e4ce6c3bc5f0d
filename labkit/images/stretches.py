"""Stretches of astropy.visualization as grey levels: linear between percentiles, and asinh."""

from __future__ import annotations

import numpy as np
from astropy.visualization import AsinhStretch, AsymmetricPercentileInterval
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

__all__ = ["asinh", "percentile"]


def percentile(images: ArrayLike, *, lower: float = 0.5, upper: float = 99.5) -> NDArray[np.uint8]:
    """Scale images linearly between two percentiles of their finite pixels.

    Parameters
    ----------
    images : array_like
        Shape (..., y, x).
    lower, upper : float
        Percentiles that become 0 and 255. Where the two values coincide, as in sparse X-ray images, the
        brightest pixel takes the place of the upper one.

    Returns
    -------
    numpy.ndarray
        uint8, bright sources 255. Pixels that are not finite are 0; so is an image without structure.

    Raises
    ------
    InputError
        If the percentiles are not in order between 0 and 100.
    """
    return np.rint(255 * _unit(images, lower, upper)).astype(np.uint8)


def asinh(
    images: ArrayLike, *, lower: float = 0.5, upper: float = 99.5, softening: float = 0.1
) -> NDArray[np.uint8]:
    """Scale images between two percentiles, then by asinh(x / a) / asinh(1 / a).

    Parameters
    ----------
    images : array_like
        Shape (..., y, x).
    lower, upper : float
        Percentiles, as for `percentile`.
    softening : float
        The a of the stretch, between 0 (nearly logarithmic) and 1 (nearly linear).

    Returns
    -------
    numpy.ndarray
        uint8, bright sources 255. Pixels that are not finite are 0; so is an image without structure.

    Raises
    ------
    InputError
        If the percentiles are not in order between 0 and 100, or the softening is not in (0, 1].
    """
    if not 0 < softening <= 1:
        raise InputError(f"softening must be above 0 and at most 1, got {softening}")
    return np.rint(255 * AsinhStretch(softening)(_unit(images, lower, upper))).astype(np.uint8)


def _unit(images: ArrayLike, lower: float, upper: float) -> NDArray[np.float32]:
    """Images scaled to 0 ... 1 between their percentiles."""
    if not 0 <= lower < upper <= 100:
        raise InputError(
            f"lower and upper must be percentiles with 0 <= lower < upper <= 100, got {lower}, {upper}"
        )
    images = np.asarray(images, dtype=np.float32)
    interval = AsymmetricPercentileInterval(lower, upper)
    result = np.zeros_like(images)
    for index in np.ndindex(images.shape[:-2]):
        image = images[index]
        valid = image[np.isfinite(image)]
        if not valid.size or valid.min() == valid.max():
            continue
        low, high = interval.get_limits(valid)
        high = high if high > low else valid.max()
        low = low if high > low else valid.min()
        result[index] = np.nan_to_num(np.clip((image - low) / (high - low), 0, 1), nan=0.0)
    return result
