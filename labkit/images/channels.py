"""Channels: the colours of XAmin's PNG images, grey scale, and the stacking of bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, MissingDataError
from labkit.experiment import EMPTY
from labkit.sample import Sample

COLOURS = ("red", "green", "blue")
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of these: ITU-R BT.601, as PNG libraries convert to grey


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


def stack(sample: Sample, channels: Sequence[str] = (EMPTY, "xray", "optical")) -> NDArray:
    """Stack the bands of a Sample into the channels that a network takes.

    The default is the paper's: red is filled with zeros, green is the X-ray image, blue the optical one
    (Kosiba et al. 2020, section 3.1, Fig. 4). A band may come alone, several times, or in any order.

    Parameters
    ----------
    sample : Sample
        Objects, with the bands as grey levels.
    channels : sequence of str
        Name of a band, or ``"empty"`` for zeros, for each channel.

    Returns
    -------
    numpy.ndarray
        Shape (object, channel, y, x), type as the Sample's images.
    """
    channels = (channels,) if isinstance(channels, str) else tuple(channels)
    bands = tuple(dict.fromkeys(name for name in channels if name != EMPTY))
    if not bands:
        raise InputError(f"channels must name at least one band of {sample.bands}, got {channels}")
    if missing := [name for name in bands if name not in sample.bands]:
        raise MissingDataError(
            f"channels must be among the bands {sample.bands} or 'empty', got {missing}; "
            "make the Sample with that band or choose other channels"
        )
    images = sample.select(bands=bands).images
    result = np.zeros((len(sample), len(channels), *sample.shape[2:]), dtype=images.dtype)
    for i, name in enumerate(channels):
        if name != EMPTY:
            result[:, i] = images[:, bands.index(name)]
    return result
