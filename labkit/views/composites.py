"""Colour pictures of many bands: logarithmic, set by noise and bright end, the same for a field's cut-outs.

After Trilogy (Coe et al. 2012, ApJ 757, 22), which made the pictures of the CLASH clusters: in each of red,
green and blue, a pixel two standard deviations below the sky is black, one standard deviation above it has a
low level that is the same everywhere, and a small fraction of the brightest pixels is white; in between the
scale is logarithmic. Here sky, noise and bright end are numbers of each band, and a channel is the mean of
its bands, each in units of its bright end, so that the same limits serve pixels in which bands are missing.

`astropy.visualization.make_rgb` applies one stretch to all three channels; ours differ in their noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.visualization import LogStretch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from labkit.errors import InputError, MissingDataError
from labkit.images.sky import scatter_of_sky

__all__ = ["BandLimits", "colour_composite", "composite_limits", "share_bands"]

_BLACK_SIGMA, _DIM_SIGMA = 2.0, 1.0
#: The brightest galaxies of a cluster are old and red: white is what is bluer than they are.
_WHITE = {"red": 0.75, "green": 1.0, "blue": 1.0}
_BLOCK = 500_000  # pixels at a time


@dataclass(frozen=True)
class BandLimits:
    """What is dark and what is bright in a band.

    Attributes
    ----------
    sky, noise : float
        Level and standard deviation of the sky in a pixel.
    bright : float
        Value of the brightest pixels.
    """

    sky: float
    noise: float
    bright: float


def composite_limits(
    images: ArrayLike, bands: Sequence[str], *, saturated: float = 2e-4
) -> dict[str, BandLimits]:
    """Limits of a field, or of cut-outs of it, that all pictures of it share.

    Parameters
    ----------
    images : array_like
        Mosaics of shape (band, y, x), or cut-outs (n, band, y, x); NaN where there are no data.
    bands : sequence of str
        Their names.
    saturated : float
        Fraction of pixels that may be as bright as a band can be shown.

    Returns
    -------
    dict of str to BandLimits
        For each band with data.

    Raises
    ------
    InputError
        If shapes or names do not fit, or `saturated` is not between 0 and 0.5.
    MissingDataError
        If no band has data.
    """
    images = _checked(images, bands)
    if not 0 < saturated < 0.5:
        raise InputError(f"saturated must lie between 0 and 0.5, got {saturated}")
    found = {}
    for place, name in enumerate(bands):
        pixels = images[..., place, :, :]
        level, noise = (_middle(values) for values in scatter_of_sky(pixels))
        if np.isfinite(noise):
            bright = float(np.nanquantile(pixels, 1 - saturated))
            noise = noise if noise > 0 else 1.0
            found[name] = BandLimits(level, noise, max(bright, level + 10 * noise))
    if not found:
        raise MissingDataError(f"images must have data in some of the bands {tuple(bands)}, got none")
    return found


def share_bands(bands: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Deal bands, in the order of wavelength, to blue, green and red; one that is left over goes to red.

    Parameters
    ----------
    bands : sequence of str
        From short to long wavelengths.

    Returns
    -------
    dict of str to tuple of str
        Bands of ``"red"``, ``"green"`` and ``"blue"``; the same ones where there are fewer than three.
    """
    third, names = len(bands) // 3, tuple(bands)
    if not third:
        return {"red": names[-1:], "green": names, "blue": names[:1]}
    upper = third + (len(names) + 1) // 3 if len(names) % 3 == 2 else 2 * third
    return {"red": names[upper:], "green": names[third:upper], "blue": names[:third]}


def colour_composite(
    images: ArrayLike,
    bands: Sequence[str],
    *,
    limits: Mapping[str, BandLimits] | None = None,
    dim: float = 0.12,
) -> NDArray[np.float32]:
    """Red, green and blue of multi-band images.

    The bands that a pixel has are dealt to the channels by `share_bands`; where the infrared is missing,
    colours are those of the optical bands, with less contrast.

    Parameters
    ----------
    images : array_like
        Shape (..., band, y, x), in the order of wavelength; NaN where there are no data.
    bands : sequence of str
        Their names.
    limits : mapping, optional
        From `composite_limits`, of the field that the images belong to; their own by default. Bands that
        have none are left out.
    dim : float
        Level, from 0 to 1, of a pixel one standard deviation above the sky: with more, noise and faint light
        are seen better.

    Returns
    -------
    numpy.ndarray
        Shape (..., y, x, 3), float32 from 0 to 1; NaN where no band has data.

    Raises
    ------
    InputError
        If shapes or names do not fit or `dim` is not between 0 and 1.
    """
    images = _checked(images, bands)
    if not 0 < dim < 1:
        raise InputError(f"dim must lie between 0 and 1, got {dim}")
    limits = composite_limits(images, bands) if limits is None else limits
    used = [place for place, name in enumerate(bands) if name in limits]
    if not used:
        raise InputError(f"limits must hold some of the bands {tuple(bands)}, got {tuple(limits)}")
    names = tuple(bands[place] for place in used)
    flat = np.moveaxis(images, -3, 0)[used]  # a view where all bands are used
    shape = flat.shape[1:]
    flat = flat.reshape(len(used), -1)
    result = np.full((flat.shape[1], 3), np.nan, dtype=np.float32)
    for start in range(0, len(result), _BLOCK):
        block = slice(start, start + _BLOCK)
        for pixels, there in _alike(flat[:, block]):
            some = tuple(name for name, one in zip(names, there, strict=True) if one)
            result[start + pixels] = _coloured(flat[there, block][:, pixels], some, limits, dim)
    return result.reshape(*shape, 3)


def _checked(images: ArrayLike, bands: Sequence[str]) -> NDArray[np.float32]:
    images = np.asarray(images, dtype=np.float32)
    if images.ndim < 3 or images.shape[-3] != len(bands) or len(set(bands)) != len(bands) or not len(bands):
        raise InputError(
            f"images must have the axes (..., band, y, x) with one of {tuple(bands)} each, got the shape "
            f"{images.shape}"
        )
    return images


def _middle(values: NDArray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


def _alike(flat: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Groups of pixels that have the same bands, and which ones; none for pixels without any."""
    finite = np.isfinite(flat)
    code = (1 << np.arange(len(flat))) @ finite
    for number in np.unique(code):
        if number:
            pixels = np.flatnonzero(code == number)
            yield pixels, finite[:, pixels[0]]


def _coloured(
    pixels: NDArray[np.float32], bands: tuple[str, ...], limits: Mapping[str, BandLimits], dim: float
) -> NDArray[np.float32]:
    """Colours of pixels (band, n) that have all their bands."""
    channels = share_bands(bands)
    result = np.empty((pixels.shape[1], 3), dtype=np.float32)
    for number, (channel, names) in enumerate(channels.items()):
        mean, noise = np.zeros(pixels.shape[1], dtype=np.float32), 0.0
        for name in names:
            one = limits[name]
            unit = _WHITE[channel] * (one.bright - one.sky) * len(names)
            mean += (pixels[bands.index(name)] - np.float32(one.sky)) / np.float32(unit)
            noise += (one.noise / unit) ** 2
        result[:, number] = _logarithmic(mean, float(np.sqrt(noise)), dim)
    return result


def _logarithmic(values: NDArray[np.float32], noise: float, dim: float) -> NDArray[np.float32]:
    """Levels of values whose sky is 0 and whose bright end is 1."""
    low = -_BLACK_SIGMA * noise
    scaled = np.clip((values - low) / (1 - low), 0, 1)
    at = (_DIM_SIGMA + _BLACK_SIGMA) * noise / (1 - low)  # where the level is to be `dim`
    if at >= dim:  # as bright with a linear scale
        return scaled
    steepness = brentq(lambda log: np.log1p(10**log * at) / np.log1p(10**log) - dim, -3, 30)
    return np.asarray(LogStretch(10**steepness)(scaled), dtype=np.float32)
