"""Colour pictures of many bands: logarithmic, set by noise and bright end, the same for a field's cut-outs.

After Trilogy (Coe et al. 2012, ApJ 757, 22), which made the pictures of the CLASH clusters: in each of red,
green and blue, a pixel two standard deviations below the sky is black, one standard deviation above it has a
low level that is the same everywhere, and a small fraction of the brightest pixels is white; in between the
scale is logarithmic. Here sky, noise and bright end are numbers of each band, and a channel is the mean of
its bands, each in units of its bright end, so that the same limits serve pixels in which bands are missing.

`astropy.visualization.make_rgb` applies one stretch to all three channels; ours differ in their noise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.visualization import LogStretch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_opening
from scipy.optimize import brentq

from labkit.errors import InputError, MissingDataError
from labkit.images.sky import scatter_of_sky
from labkit.images.stretches import fixed_asinh, from_fixed_asinh
from labkit.sample import Sample
from labkit.tables import numbers, text
from labkit.views.gallery import hatched

_BLACK_SIGMA, _DIM_SIGMA = 2.0, 1.0
#: The brightest galaxies of a cluster are old and red: white is what is bluer than they are.
_WHITE = {"red": 0.75, "green": 1.0, "blue": 1.0}
_BLOCK = 500_000  # pixels at a time
_OBJECTS = 150
_SATURATED = 2e-3  # of cut-outs, which sources fill more than they do a field
_GAP_PX = 3
_DIM = 0.2  # brighter than a field: faint sources are what cut-outs are looked at for
_GREY = {"low": -2.0, "softening": 2.0, "high": 300.0}


@dataclass(frozen=True)
class BandLimits:
    """What is dark and what is bright in a band."""

    sky: float  # level and standard deviation of the sky in a pixel
    noise: float
    bright: float  # value of the brightest pixels


def composite_limits(
    images: ArrayLike, bands: Sequence[str], *, saturated: float = 2e-4
) -> dict[str, BandLimits]:
    """Limits of each band with data, of a field or its cut-outs, that all pictures of it share.

    Images are mosaics (band, y, x) or cut-outs (n, band, y, x), NaN where there are no data; `saturated` is
    the fraction of pixels that may be as bright as a band can be shown.
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
    """Deal bands, in the order of wavelength, to "red", "green" and "blue"; one left over goes to red.

    Where there are fewer than three, channels have the same ones.
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
    """Red, green and blue (..., y, x, 3), from 0 to 1, of images (..., band, y, x), by wavelength.

    The bands that a pixel has (not NaN) are dealt to the channels by `share_bands`; where the infrared is
    missing, colours are those of the optical bands, with less contrast; NaN where no band has data. Limits
    are those of `composite_limits` of the field that the images belong to, their own by default; bands
    without limits are left out. `dim` is the level of a pixel one standard deviation above the sky: with
    more, noise and faint light are seen better.
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


def _is_fixed(record: object) -> bool:
    return isinstance(record, Mapping) and record.get("method") == "fixed-asinh"


class SampleColours:
    """Colour and grey pictures of raw cut-outs, or of those that "fixed-asinh" made grey levels of.

    Where there are no data pictures are hatched. Grey levels hold the sky's level there; squares of 3 x 3
    pixels that all have exactly this level, which noise never gives, are taken for it. Limits are measured,
    on first use, on 150 objects spread over the Sample.
    """

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        record: Any = sample.provenance.get("normalisation")
        if record is not None and not _is_fixed(record):
            raise InputError(
                f"sample must hold raw pixels or grey levels of 'fixed-asinh', got {record}; images scaled "
                "one by one have lost their colours, start from the raw Sample"
            )
        self._record = record

    @cached_property
    def common_bands(self) -> tuple[str, ...]:
        """Bands that some object of every cluster has, by the catalogue's ``coverage_<band>``; or all."""
        table, bands = self._sample.catalogue, self._sample.bands
        known = [band for band in bands if f"coverage_{band}" in table.colnames]
        if len(known) < len(bands) or "cluster" not in table.colnames or not len(table):
            return bands
        _, cluster = np.unique(text(table["cluster"]), return_inverse=True)
        there = {band: np.bincount(cluster, weights=numbers(table[f"coverage_{band}"])) for band in bands}
        return tuple(band for band in bands if (there[band] > 0).all()) or bands

    @cached_property
    def limits(self) -> dict[str, BandLimits]:
        """Limits of each band that has data."""
        rows, bands = len(self._sample), self._sample.bands
        some = np.linspace(0, rows - 1, min(_OBJECTS, rows)).round().astype(int)
        images = self._sample.select(np.unique(some)).images
        fluxes = np.stack([self.fluxes(images[:, i], band) for i, band in enumerate(bands)], axis=1)
        return composite_limits(fluxes, bands, saturated=_SATURATED)

    def fluxes(self, images: NDArray, band: str) -> NDArray[np.float32]:
        """Fluxes of one band's pixels (..., y, x) as the Sample holds them, NaN where there are no data."""
        if self._record is None:
            return np.asarray(images, dtype=np.float32)
        options = {name: self._record[name] for name in ("low", "softening", "high")}
        fluxes = from_fixed_asinh(images, scale=self._record["scales"][band], **options)
        square = np.ones((1,) * (np.ndim(images) - 2) + (_GAP_PX, _GAP_PX), dtype=bool)
        fluxes[binary_opening(np.asarray(images) == self._record["no_emission"], square)] = np.nan
        return fluxes

    def composite(self, images: NDArray) -> NDArray[np.float64]:
        """Colours (y, x, 3) of one object's pixels (band, y, x), hatched where no band has data."""
        bands = self._sample.bands
        fluxes = np.stack([self.fluxes(one, band) for one, band in zip(images, bands, strict=True)])
        return hatched(colour_composite(fluxes, bands, limits=self.limits, dim=_DIM))

    def grey(self, band: str, image: NDArray) -> NDArray[np.float64]:
        """Levels of one band of one object (y, x), from 0 to 1, hatched where there are no data."""
        fluxes = self.fluxes(image, band)
        if band not in self.limits:
            return hatched(np.full(fluxes.shape, np.nan))
        one = self.limits[band]
        levels = fixed_asinh(fluxes - np.float32(one.sky), scale=one.noise, **_GREY) / 255
        return hatched(np.where(np.isfinite(fluxes), levels, np.nan))


def shared_colours(sample: Sample) -> SampleColours | None:
    """Pictures with shared limits of a Sample that is raw or normalised by "fixed-asinh"; else None."""
    record = sample.provenance.get("normalisation")
    return SampleColours(sample) if record is None or _is_fixed(record) else None
