"""How much the empty sky scatters in each band of a Sample, measured on its cut-outs."""

import logging
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images.stretches import from_fixed_asinh
from labkit.sample import Sample

logger = logging.getLogger(__name__)

_LEAST_PIXELS = 64  # of sky; a cut-out with fewer says nothing about the band
_BELOW, _ABOVE = 4.0, 2.0
_ROUNDS = 10
_FAR = 3.0  # a sky further from zero, in units of its scatter, is warned of
_MAD_TO_SIGMA = 1.4826
#: What the clipping leaves of a normal distribution: its median and its width, in standard deviations.
_CUT_LEVEL, _CUT_WIDTH = -0.0336, 0.9816


def sky_scales(sample: Sample, *, objects: int = 400) -> dict[str, float]:
    """Measure the scatter of blank sky in a pixel of each band.

    Sources only add light, so the faint half of the pixels tells of the sky: in each cut-out, the scatter
    is that of the pixels below the median (1.4826 times their median distance from it) after those more than
    2 sigma above it were left out, again and again. The result is the median over cut-outs (at most `objects`
    of them, evenly spread), so that neither the few that a bright galaxy fills nor those of a deeper field
    decide. NaN pixels have no data.

    What remains of faint sources, wings and intracluster light makes the result too large: in simulated
    fields by 1 to 5 per cent in the optical, by 5 to 8 in the infrared, by 16 in the crowded F160 of a
    Frontier Field. It is the scatter of a single pixel, so it serves as a unit for grey levels, not for
    errors of photometry where drizzling correlates neighbours.
    """
    if objects < 1:
        raise InputError(f"objects must be at least 1, got {objects}")
    if not len(sample) or "normalisation" in sample.provenance:
        raise InputError(f"sample must hold raw pixels of at least one object, got {sample!r}")
    rows = np.unique(np.linspace(0, len(sample) - 1, min(objects, len(sample))).round().astype(int))
    batches = sample.select(rows).batches(64)
    measured = [scatter_of_sky(images) for _, images in batches]  # each of shape (2, object, band)
    level, scatter = np.concatenate(measured, axis=1)
    return {band: _middle(band, level[:, i], scatter[:, i]) for i, band in enumerate(sample.bands)}


def sky_table(sample: Sample) -> QTable:
    """Scatter of the sky in each band of a Sample normalised by "fixed-asinh", the unit of its grey levels.

    ``scatter`` is in the unit of the mosaics that it was measured on, ``brightness`` in AB mag per arcsec^2,
    NaN without a zero point.
    """
    record, area = fixed_record(sample), sample.pixel_scale.to_value(u.arcsec) ** 2
    scales, zero = record["scales"], sample.zero_points | record.get("zero_points", {})
    bright = [zero.get(band, np.nan) - 2.5 * np.log10(scales[band] / area) for band in sample.bands]
    scatter = [scales[band] for band in sample.bands]
    unit = u.mag / u.arcsec**2
    return QTable({"band": list(sample.bands), "scatter": scatter, "brightness": bright * unit})


def level_table(sample: Sample, levels: Sequence[int] = (0, 64, 96, 128, 160, 192, 224, 255)) -> QTable:
    """What grey levels of "fixed-asinh" mean, in units of the sky's scatter, for all bands.

    ``level`` (those given and the empty sky's), its ``flux``, and the ``step`` to that of the next level.
    """
    record = fixed_record(sample)
    level = np.unique([*levels, record["no_emission"]])
    limits = {name: record[name] for name in ("low", "softening", "high")}
    flux, following = from_fixed_asinh([level, level + 1], scale=1.0, **limits)
    return QTable({"level": level, "flux": flux, "step": following - flux})


def fixed_record(sample: Sample) -> dict:
    """How a Sample was normalised, refused if not by "fixed-asinh"."""
    record = sample.provenance.get("normalisation") or {}
    if record.get("method") != "fixed-asinh":
        raise InputError(f"sample must be normalised by 'fixed-asinh', got {record.get('method')!r}")
    return record


def scatter_of_sky(images: ArrayLike) -> NDArray[np.float64]:
    """Level and scatter of the sky in each image, by the faint half of its pixels."""
    images = np.asarray(images, dtype=np.float32)
    flat = np.sort(images.reshape(*images.shape[:-2], -1), axis=-1)  # NaN sorts to the end
    result = np.full((2, *images.shape[:-2]), np.nan)
    for index in np.ndindex(images.shape[:-2]):
        result[(slice(None), *index)] = _clipped(flat[index])
    return result


def _clipped(ordered: NDArray[np.float32]) -> tuple[float, float]:
    """Level and scatter of ordered pixels, clipped by moving both ends inwards."""
    kept = ordered[np.isfinite(ordered)]
    if len(kept) < _LEAST_PIXELS:
        return np.nan, np.nan
    for _ in range(_ROUNDS):
        median, width = _faint_half(kept)
        first, last = np.searchsorted(kept, [median - _BELOW * width, median + _ABOVE * width])
        if width == 0 or last - first in (0, len(kept)):
            break
        kept = kept[first:last]
    median, width = _faint_half(kept)
    return median - _CUT_LEVEL * width / _CUT_WIDTH, width / _CUT_WIDTH


def _faint_half(ordered: NDArray[np.float32]) -> tuple[float, float]:
    """Median, and scatter of the pixels below it."""
    median = float(ordered[len(ordered) // 2])
    return median, _MAD_TO_SIGMA * (median - float(ordered[len(ordered) // 4]))


def _middle(band: str, level: NDArray[np.float64], scatter: NDArray[np.float64]) -> float:
    known = np.isfinite(scatter)
    if not known.any():
        raise MissingDataError(
            f"band {band!r} must have sky in some cut-out, got none in {len(scatter)} objects; give its "
            "scale or leave the band out"
        )
    scale, offset = float(np.median(scatter[known])), float(np.median(level[known]))
    if not scale > 0:
        raise InputError(f"band {band!r} must scatter from pixel to pixel, got constant sky; give its scale")
    if abs(offset) > _FAR * scale:
        logger.warning(
            "the sky of %s lies at %.3g, %.1f times its scatter: are the mosaics sky-subtracted?",
            *(band, offset, offset / scale),
        )
    return scale
