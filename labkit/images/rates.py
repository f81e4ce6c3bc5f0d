"""Count rates: X-ray images without the detectors' gaps and vignetting."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError
from labkit.images.cutouts import regrid
from labkit.sample import Sample, collect
from labkit.tables import numbers

RATE = "xray_rate"
_LEAST = 0.2  # of the largest exposure in a cut-out; below lies a gap
_AROUND = 15.0  # arcsec from which a gap is filled


def count_rates(
    sample: Sample, rng: Generator, *, exposure: str = "exposure", path: str | Path | None = None
) -> Sample:
    """Divide X-ray counts by the exposure and fill the gaps, before anything is normalised.

    A raw Sample with the bands "xray" and `exposure` (seconds) gets the band "xray_rate" in its place
    (counts per pixel and second); `labkit.normalise` takes it with ``kinds={"xray_rate": "xray"}``. A pixel
    with less than a fifth of the largest exposure is a gap: it is drawn from a Poisson distribution with the
    rate around it, over the median exposure, in pixels as the counts were recorded in
    (``native_pixel_scale``, if known), so that its texture is that of the rest. The X-ray band stays as it
    is, so that networks of both learn from one Sample. Written to the folder `path`, if given.
    """
    if "normalisation" in sample.provenance or not {"xray", exposure} <= {*sample.bands}:
        raise InputError(f"sample must be raw, with the bands 'xray' and {exposure!r}, got {sample!r}")
    pixel, xray, place = sample.pixel_scale.to_value(u.arcsec), *map(sample.bands.index, ("xray", exposure))

    def without_gaps(images: NDArray, catalogue: QTable) -> NDArray[np.float32]:
        result, native = images.astype(np.float32), np.full(len(images), pixel)
        if "native_pixel_scale" in catalogue.colnames:
            native = numbers(catalogue["native_pixel_scale"], "arcsec")
        for one, step in zip(result, native / pixel, strict=True):
            one[place] = _rate(one[xray], one[place], _AROUND / pixel, step, rng)
        return result

    parts = ((sample.catalogue[rows], images) for rows, images in sample.batches(64))
    pieces = ((without_gaps(images, catalogue), catalogue) for catalogue, images in parts)
    bands = [RATE if name == exposure else name for name in sample.bands]
    about: dict[str, Any] = {"bands": bands, "pixel_scale": sample.pixel_scale}
    about["provenance"] = sample.provenance | {"count_rates": _LEAST}
    return collect(pieces, len(sample), path=path, **about)


def _rate(
    counts: NDArray, seconds: NDArray, width: float, step: float, rng: Generator
) -> NDArray[np.float64]:
    """Counts per second (y, x), gaps drawn in blocks of `step` pixels; zero where nothing was exposed."""
    gap = ~(seconds > _LEAST * seconds.max())
    if gap.all():
        return np.zeros(counts.shape)
    seen, exposed = np.where(gap, 0, counts), np.where(gap, 0, seconds)
    near, weight = (gaussian_filter(one.astype(np.float64), width) for one in (seen, exposed))
    expected = np.where(
        weight > 1e-3 * seconds.max(), near / np.maximum(weight, 1e-9), seen.sum() / exposed.sum()
    )
    typical = np.median(seconds[~gap])
    size = (int(np.ceil(len(counts) / step)) + 2, int(np.ceil(counts.shape[1] / step)) + 2)
    coarse = rng.poisson(np.maximum(regrid(expected * typical, scale=step, shape=size, conserve="flux"), 0))
    drawn = regrid(coarse, scale=1 / step, shape=(len(counts), counts.shape[1]), conserve="flux") / typical
    return np.where(gap, drawn, seen / np.where(gap, 1, seconds))
