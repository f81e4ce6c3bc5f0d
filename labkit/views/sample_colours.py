"""Pictures of a Sample's multi-band cut-outs, all with the same limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from labkit.errors import InputError
from labkit.images.stretches import fixed_asinh, from_fixed_asinh
from labkit.sample import Sample
from labkit.views.composites import BandLimits, colour_composite, composite_limits
from labkit.views.scaling import hatched

__all__ = ["SampleColours", "shared_colours"]

_OBJECTS = 150
_SATURATED = 2e-3  # of cut-outs, which sources fill more than they do a field
_GAP_PX = 3
_DIM = 0.2  # brighter than a field: faint sources are what cut-outs are looked at for
_GREY = {"low": -2.0, "softening": 2.0, "high": 300.0}


def shared_colours(sample: Sample) -> SampleColours | None:
    """Pictures with shared limits where a Sample's pixels are fluxes or can be turned into them; else None.

    Parameters
    ----------
    sample : Sample
        Raw, normalised by ``"fixed-asinh"``, or in another way, image by image, for which there are none.
    """
    record = sample.provenance.get("normalisation")
    return SampleColours(sample) if record is None or _is_fixed(record) else None


def _is_fixed(record: object) -> bool:
    return isinstance(record, Mapping) and record.get("method") == "fixed-asinh"


class SampleColours:
    """Colour and grey pictures of raw cut-outs, or of those that "fixed-asinh" made grey levels of.

    Where there are no data pictures are hatched. Grey levels hold the sky's level there; squares of 3 x 3
    pixels that all have exactly this level, which noise never gives, are taken for it.

    Parameters
    ----------
    sample : Sample
        Multi-band cut-outs.
    limits : mapping, optional
        From `composite_limits`, of the field's mosaics for example. By default measured, on first use, on
        150 objects spread over the Sample.

    Raises
    ------
    InputError
        If the Sample's images were normalised one by one.
    """

    def __init__(self, sample: Sample, *, limits: Mapping[str, BandLimits] | None = None) -> None:
        self._sample = sample
        if limits is not None:
            self.__dict__["limits"] = dict(limits)
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
        _, cluster = np.unique(np.asarray(table["cluster"], dtype=str), return_inverse=True)
        there = {band: np.bincount(cluster, weights=np.asarray(table[f"coverage_{band}"])) for band in bands}
        return tuple(band for band in bands if (there[band] > 0).all()) or bands

    @cached_property
    def limits(self) -> dict[str, BandLimits]:
        """Limits of each band that has data."""
        rows = np.linspace(0, len(self._sample) - 1, min(_OBJECTS, len(self._sample))).round().astype(int)
        images = self._sample.select(np.unique(rows)).images
        bands = self._sample.bands
        fluxes = np.stack([self.fluxes(images[:, i], band) for i, band in enumerate(bands)], axis=1)
        return composite_limits(fluxes, bands, saturated=_SATURATED)

    def fluxes(self, images: NDArray, band: str) -> NDArray[np.float32]:
        """Fluxes of one band's pixels, NaN where there are no data.

        Parameters
        ----------
        images : ndarray, shape (..., y, x)
            Pixels as the Sample holds them.
        band : str
            Their band.
        """
        if self._record is None:
            return np.asarray(images, dtype=np.float32)
        options = {name: self._record[name] for name in ("low", "softening", "high")}
        fluxes = from_fixed_asinh(images, scale=self._record["scales"][band], **options)
        square = np.ones((1,) * (np.ndim(images) - 2) + (_GAP_PX, _GAP_PX), dtype=bool)
        fluxes[binary_opening(np.asarray(images) == self._record["no_emission"], square)] = np.nan
        return fluxes

    def composite(self, images: NDArray, bands: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Colours of one object.

        Parameters
        ----------
        images : ndarray, shape (band, y, x)
            Pixels as the Sample holds them.
        bands : sequence of str, optional
            Their names, in the order of wavelength; the Sample's by default.

        Returns
        -------
        ndarray, shape (y, x, 3)
            From 0 to 1, hatched where no band has data.
        """
        bands = self._sample.bands if bands is None else bands
        fluxes = np.stack([self.fluxes(one, band) for one, band in zip(images, bands, strict=True)])
        if not set(bands) & set(self.limits):
            return hatched(np.full((*fluxes.shape[1:], 3), np.nan))
        return hatched(colour_composite(fluxes, bands, limits=self.limits, dim=_DIM))

    def grey(self, band: str, image: NDArray) -> NDArray[np.float64]:
        """Levels of one band of one object.

        Parameters
        ----------
        band : str
            Its name.
        image : ndarray, shape (y, x)
            Pixels as the Sample holds them.

        Returns
        -------
        ndarray, shape (y, x)
            From 0 to 1, hatched where there are no data.
        """
        fluxes = self.fluxes(image, band)
        if band not in self.limits:
            return hatched(np.full(fluxes.shape, np.nan))
        one = self.limits[band]
        levels = fixed_asinh(fluxes - np.float32(one.sky), scale=one.noise, **_GREY) / 255
        return hatched(np.where(np.isfinite(fluxes), levels, np.nan))
