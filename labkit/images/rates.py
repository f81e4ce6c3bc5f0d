"""Count rates: X-ray images without the detectors' gaps and vignetting."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError
from labkit.sample import Sample, collect

RATE = "xray_rate"
_LEAST = 0.2  # of the largest exposure in a cut-out; below lies a gap
_AROUND = 15.0  # arcsec from which a gap is filled


def count_rates(
    sample: Sample, rng: Generator, *, exposure: str = "exposure", path: str | Path | None = None
) -> Sample:
    """Divide X-ray counts by the exposure and fill the gaps, before anything is normalised.

    A raw Sample with the bands "xray" and `exposure` (seconds) gets the band "xray_rate" in its place
    (counts per pixel and second); `labkit.normalise` takes it with ``kinds={"xray_rate": "xray"}``. A pixel
    with less than a fifth of the largest exposure is a gap: it is drawn from a Poisson distribution with
    the rate around it, over the median exposure, so that its texture is that of the rest. The X-ray band
    stays as it is, so that networks of both learn from one Sample. Written to the folder `path`, if given.
    """
    if "normalisation" in sample.provenance or not {"xray", exposure} <= {*sample.bands}:
        raise InputError(f"sample must be raw, with the bands 'xray' and {exposure!r}, got {sample!r}")
    width, place = _AROUND / sample.pixel_scale.to_value(u.arcsec), sample.bands.index(exposure)

    def without_gaps(images: NDArray) -> NDArray[np.float32]:
        result = images.astype(np.float32)
        for one, (counts, seconds) in zip(
            result, images[:, [sample.bands.index("xray"), place]], strict=True
        ):
            one[place] = _rate(counts, seconds, width, rng)
        return result

    pieces = ((without_gaps(images), sample.catalogue[rows]) for rows, images in sample.batches(64))
    bands = [RATE if name == exposure else name for name in sample.bands]
    about: dict[str, Any] = {"bands": bands, "pixel_scale": sample.pixel_scale}
    return collect(
        pieces, len(sample), path=path, provenance=sample.provenance | {"count_rates": _LEAST}, **about
    )


def _rate(counts: NDArray, seconds: NDArray, width: float, rng: Generator) -> NDArray[np.float64]:
    """Counts per second of an image (y, x); zero where it was never exposed."""
    gap = ~(seconds > _LEAST * seconds.max())
    if gap.all():
        return np.zeros(counts.shape)
    seen, exposed = np.where(gap, 0, counts), np.where(gap, 0, seconds)
    near, weight = (gaussian_filter(one.astype(np.float64), width) for one in (seen, exposed))
    expected = np.where(
        weight > 1e-3 * seconds.max(), near / np.maximum(weight, 1e-9), seen.sum() / exposed.sum()
    )
    typical = np.median(seconds[~gap])
    drawn = rng.poisson(np.maximum(expected, 0) * typical) / typical
    return np.where(gap, drawn, seen / np.where(gap, 1, seconds))
