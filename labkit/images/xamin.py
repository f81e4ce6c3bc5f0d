"""The grey levels of the XAmin pipeline: cuts, linear scale, and the colours of its PNG images.

A pixel at or below the lower cut becomes 255, one at or above the upper cut 0, and in between the scale is
linear (Kosiba et al. 2020, Appendix A). Empty sky is therefore white and a bright source black, in X-rays and
in the optical alike; that polarity is kept all the way to the network.

Three rules complete the paper, which does not say what happens in these cases:

* The upper X-ray cut is 14 times the median, but the median of a raw X-ray image is mostly zero or, after
  regridding, a small fraction of the background. There the median of the means of the blocks of a 16 x 16
  grid stands for it, over the blocks that hold counts. It scales with the pixel area, so the look does not
  depend on the pixel scale; it hardly notices sources; sky that was not exposed does not enter. Where the
  median of the pixels agrees with it within 10 per cent, the image is well filled and Table A1 is followed
  as printed.
* Pixels that are not finite are left out of the statistics and become 255, as empty sky.
* An X-ray image without counts, and an optical image without structure, is blank: 255 everywhere.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.images.cutouts import image_pixels, regrid

NO_EMISSION = 255
XRAY_MAX_OVER_LEVEL = 14.0
LEVEL_BLOCKS = 16
LEVEL_TOLERANCE = 0.1
OPTICAL_STD_BELOW = 1.0
OPTICAL_STD_ABOVE = 5.0
COLOURS = ("red", "green", "blue")
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of these: ITU-R BT.601, as PNG libraries convert to grey

Output = Literal["grey", "colour"]


def xray_cuts(images: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cuts of X-ray images: 0 and 14 times the median (Kosiba et al. 2020, Table A1), or its stand-in."""
    images = _finite_or_nan(images)
    height, width = images.shape[-2:]
    side = min(height, width) / LEVEL_BLOCKS
    blocks = regrid(images, scale=side, shape=(int(height / side + 1e-6), int(width / side + 1e-6)))
    blocked, median = _median(np.where(blocks > 0, blocks, np.nan)), _median(images)
    well_filled = np.abs(median - blocked) <= LEVEL_TOLERANCE * blocked
    return np.zeros_like(median), XRAY_MAX_OVER_LEVEL * np.where(well_filled, median, blocked)


def optical_cuts(images: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cuts of optical images: median - std and median + 5 std (Kosiba et al. 2020, Table A1)."""
    images = _finite_or_nan(images)
    median = _median(images)
    centred = images - median[..., None, None].astype(np.float32)
    std = np.nan_to_num(_std(centred))
    return median - OPTICAL_STD_BELOW * std, median + OPTICAL_STD_ABOVE * std


def cut(images: ArrayLike, minimum: ArrayLike, maximum: ArrayLike) -> NDArray[np.float32]:
    """Scale images linearly from 255 at the lower cut to 0 at the upper cut."""
    images = _finite_or_nan(images)
    minimum, maximum = (np.asarray(c, dtype=np.float64)[..., None, None] for c in (minimum, maximum))
    width = maximum - minimum
    slope = np.divide(NO_EMISSION, width, where=width > 0, out=np.zeros(width.shape)).astype(np.float32)
    scaled = (images - minimum.astype(np.float32)) * -slope
    scaled += NO_EMISSION
    np.clip(scaled, 0, NO_EMISSION, out=scaled)
    return np.nan_to_num(scaled, copy=False, nan=NO_EMISSION)


def xamin_xray(images: ArrayLike, *, output: Output = "grey") -> NDArray[np.uint8]:
    """Give counts (..., y, x) the grey levels, or the colours (..., 3, y, x), of XAmin's PNGs."""
    return _rendered(cut(images, *xray_cuts(images)), output)


def xamin_optical(images: ArrayLike, *, output: Output = "grey") -> NDArray[np.uint8]:
    """Give plate densities the grey levels, or the colours, of XAmin's PNGs; bright objects are dark."""
    return _rendered(cut(images, *optical_cuts(images)), output)


def xamin_colour(pixels: ArrayLike) -> NDArray[np.float64]:
    """Red, green and blue channels of XAmin's PNG images (Kosiba et al. 2020, Table A2).

    With p the pixel value after cutting: red = min(255, 255 p / 176); green = 255 (p - 120) / 135 and
    blue = 255 (p - 190) / 65, both not below 0. White sky turns orange, red and black towards a source.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    red = np.where(pixels >= 176, 255, pixels * 255 / 176)
    green = np.where(pixels >= 120, (pixels - 120) * 255 / (255 - 120), 0)
    blue = np.where(pixels >= 190, (pixels - 190) * 255 / (255 - 190), 0)
    return np.stack([red, green, blue])


def _finite_or_nan(images: ArrayLike) -> NDArray[np.float32]:
    images = image_pixels(images)
    finite = np.isfinite(images)
    return images if finite.all() else np.where(finite, images, np.float32(np.nan))


def _median(images: NDArray) -> NDArray[np.float64]:
    """Median of the finite pixels of each image, 0 where there are none."""
    flat = np.sort(images.reshape(*images.shape[:-2], -1), axis=-1)  # NaN sorts to the end
    count = np.isfinite(flat).sum(axis=-1)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, flat.shape[-1] - 1)
    pair = np.take_along_axis(flat, np.stack([low, high], axis=-1), axis=-1).astype(np.float64)
    return np.where(count > 0, np.nan_to_num(pair).mean(axis=-1), 0.0)


def _std(images: NDArray) -> NDArray[np.float64]:
    finite = np.isfinite(images)
    count = np.maximum(finite.sum(axis=(-2, -1)), 1)
    values = np.where(finite, images, 0)
    mean = values.sum(axis=(-2, -1), dtype=np.float64) / count
    square = np.einsum("...yx,...yx->...", values, values, dtype=np.float64) / count
    return np.sqrt(np.clip(square - mean**2, 0, None))


def _rendered(pixels: NDArray[np.float32], output: str) -> NDArray[np.uint8]:
    """Colours or grey levels of cut pixels, through a table of 65,536 steps."""
    steps = (pixels * 257 + 0.5).astype(np.uint16)
    colours = xamin_colour(np.arange(65536) / 257)  # (3, 65536)
    if output == "grey":
        return np.rint(np.asarray(GREY_WEIGHTS) @ colours).astype(np.uint8)[steps]
    return np.stack([np.rint(channel).astype(np.uint8)[steps] for channel in colours], axis=-3)
