"""Grey levels of images: by their own percentiles, linear or asinh, or by an asinh with fixed limits.

The first two are those of astropy.visualization and look at one image at a time. The last has the same limits
for all images of a band, in units of the sky's scatter, so that magnitudes and colours can be read back.
"""

import numpy as np
from astropy.visualization import AsinhStretch, AsymmetricPercentileInterval
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError


def percentile(images: ArrayLike, *, lower: float = 0.5, upper: float = 99.5) -> NDArray[np.uint8]:
    """Scale images (..., y, x) linearly between two percentiles of their finite pixels, bright sources 255.

    Where both percentiles have one value, as in sparse X-ray images, the brightest pixel takes the place of
    the upper one. Pixels that are not finite are 0; so is an image without structure.
    """
    return np.rint(255 * _unit(images, lower, upper)).astype(np.uint8)


def asinh(
    images: ArrayLike, *, lower: float = 0.5, upper: float = 99.5, softening: float = 0.1
) -> NDArray[np.uint8]:
    """As `percentile`, then asinh(x / a) / asinh(1 / a): near 0 softening is logarithmic, at 1 linear."""
    if not 0 < softening <= 1:
        raise InputError(f"softening must be above 0 and at most 1, got {softening}")
    return np.rint(255 * AsinhStretch(softening)(_unit(images, lower, upper))).astype(np.uint8)


def fixed_asinh(
    images: ArrayLike, *, scale: ArrayLike, low: float = -3.0, softening: float = 2.0, high: float = 1000.0
) -> NDArray[np.uint8]:
    """Scale images by asinh between limits that are fixed in units of the sky's scatter.

    With s the image divided by the scale, the grey level is 255 (asinh(s / a) - asinh(low / a)) /
    (asinh(high / a) - asinh(low / a)), rounded. Each pixel counts for itself: other pixels, objects and bands
    do not change it. With the default limits the sky has level 38 and one sigma there is 15.7 levels, so
    rounding adds 0.02 sigma to its noise; far above the sky one level is 3.2 per cent of the flux, up to
    1000 sigma.

    `images` (..., y, x) are sky-subtracted; `scale` is the scatter of the sky in a pixel, in their units, a
    number or one for each image in a shape that broadcasts to (...); `low`, `high` (levels 0 and 255) and
    `softening` are in units of it. Pixels that are not finite have the sky's level.
    """
    bottom, top = _fixed_limits(low, softening, high)
    units = _positive_scale(scale) * softening
    levels = np.asarray(images, dtype=np.float32) / units[..., None, None].astype(np.float32)
    levels[~np.isfinite(levels)] = 0
    np.clip(levels, low / softening, high / softening, out=levels)
    np.arcsinh(levels, out=levels)
    levels -= np.float32(bottom)
    levels *= np.float32(255 / (top - bottom))
    return np.rint(levels, out=levels).astype(np.uint8)


def fixed_sky(*, low: float = -3.0, softening: float = 2.0, high: float = 1000.0) -> int:
    """Level that `fixed_asinh` gives to the empty sky."""
    return int(fixed_asinh(np.zeros((1, 1)), scale=1, low=low, softening=softening, high=high)[0, 0])


def from_fixed_asinh(
    levels: ArrayLike, *, scale: ArrayLike, low: float = -3.0, softening: float = 2.0, high: float = 1000.0
) -> NDArray[np.float32]:
    """Fluxes of the grey levels that `fixed_asinh` made, in the units of the scale, right to half a level.

    Levels 0 and 255 stand for all fluxes beyond the limits. Arguments and errors are those of `fixed_asinh`.
    """
    bottom, top = _fixed_limits(low, softening, high)
    units = _positive_scale(scale) * softening
    stretched = bottom + np.asarray(levels, dtype=np.float32) * np.float32((top - bottom) / 255)
    return np.sinh(stretched) * units[..., None, None].astype(np.float32)


def _fixed_limits(low: float, softening: float, high: float) -> tuple[np.float32, np.float32]:
    if not low < high or not np.isfinite([low, high]).all():
        raise InputError(f"low must be below high, both in units of the sky's scatter, got {low} and {high}")
    if not softening > 0:
        raise InputError(f"softening must be positive, in units of the sky's scatter, got {softening}")
    return np.arcsinh(np.float32(low / softening)), np.arcsinh(np.float32(high / softening))


def _positive_scale(scale: ArrayLike) -> NDArray[np.float64]:
    scale = np.asarray(scale, dtype=np.float64)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError(f"scale must be positive, the scatter of the sky in a pixel, got {scale}")
    return scale


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
