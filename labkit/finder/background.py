"""The background of an X-ray observation: sky behind the mirrors, particles beside them, and what is left.

Sky photons follow the exposure map with its vignetting; particles hit all exposed pixels alike. The amounts
of both are fitted to the pixels without sources, camera by camera where there are several. Two factors take
what they leave: a smooth one (scattered light, a gradient, the halo of a cluster that fills the field) and
one for partly exposed pixels, because the exposure map of cameras already summed seldom weighs them as the
background does. Sums over many pixels alone enter, so negative and fractional counts do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing
from scipy.optimize import nnls

from labkit.images.starlet import b3_smooth, largest_scale

_BLOCK = 16  # pixels; side of the blocks whose sums are fitted
_GAP = 15  # pixels; wider holes in the exposure are no gaps between chips
_CLIP = 3.0  # standard deviations; blocks further above the fit hold sources
_SMOOTHING = 6  # planes; the smooth factor follows structures wider than 2^6 pixels
_PRIOR = 10.0  # counts by which both factors are drawn to 1
_LEAST_FREE = 0.02  # share of the exposed pixels
_EXPOSURE_BINS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Background:
    """What is expected without sources."""

    image: NDArray[np.float32]  # counts per pixel, shape (y, x), float32; 0 where nothing was exposed
    #: That image over the one without gaps between chips, shape (y, x), from 0 to 1; 1 outside the field.
    relative_exposure: NDArray[np.float32]


def background_map(counts: NDArray, exposure: NDArray, *, sources: NDArray | None = None) -> Background:
    """Estimate the background of an observation from the pixels without sources."""
    pairs = [_camera_background(n, e, sources) for n, e in zip(counts, exposure, strict=True)]
    image, without_gaps = np.sum([pair[0] for pair in pairs], axis=0), np.sum([p[1] for p in pairs], axis=0)
    relative = np.divide(image, without_gaps, out=np.ones_like(image), where=without_gaps > 0)
    return Background(image.astype(np.float32), np.clip(relative, 0, 1).astype(np.float32))


def relative_exposure(exposure: NDArray) -> NDArray[np.float32]:
    """Exposure over that of the surroundings with their gaps filled."""
    filled = grey_closing(np.asarray(exposure, dtype=np.float32), size=(_GAP, _GAP))
    return np.divide(exposure, filled, out=np.zeros_like(filled), where=filled > 0).astype(np.float32)


def _camera_background(
    counts: NDArray, exposure: NDArray, sources: NDArray | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Background of one camera, as it is and with the gaps filled."""
    exposed = relative_exposure(exposure)
    if not (exposure > 0).any():
        return np.zeros_like(exposed), np.zeros_like(exposed)
    filled = np.divide(exposure, exposed, out=np.zeros_like(exposed), where=exposed > 0)
    filled = grey_closing(filled, size=(_GAP, _GAP))
    free = (exposure > 0) & (~sources if sources is not None else True)
    if free.sum() < _LEAST_FREE * (exposure > 0).sum():  # a source fills the field: trust its faintest parts
        sources, free = None, exposure > 0
    templates = np.stack([exposed * filled / filled.max(), exposed])  # sky, particles
    amounts = _fit(counts, templates, free, clip=sources is None)
    if sources is None:
        free &= _quiet(counts, np.tensordot(amounts, templates, 1))
    whole = amounts[0] * filled / filled.max() + amounts[1] * (filled > 0)
    partial = _partial_factor(counts, exposed * whole, exposed, free)
    image = exposed * partial * whole
    factor = _smooth_factor(counts, image, free)
    return image * factor, whole * factor


def _fit(counts: NDArray, templates: NDArray, free: NDArray, *, clip: bool) -> NDArray[np.float64]:
    """Amounts of the templates, not negative: least squares over blocks, weighted by the fit itself."""
    sums = _block_sums(np.where(free, counts, 0)).ravel()
    design = np.stack([_block_sums(np.where(free, t, 0)).ravel() for t in templates], axis=1)
    used = design.sum(axis=1) > 0
    amounts = np.full(len(templates), max(sums[used].sum(), 0) / max(design[used].sum(), 1e-30))
    for _ in range(8):
        expected = np.maximum(design @ amounts, 1e-6)
        if clip:
            used = (design.sum(axis=1) > 0) & (sums - expected < _CLIP * np.sqrt(expected) + 1)
        weight = 1 / np.sqrt(expected[used])
        if not used.any() or not weight.any():
            break
        amounts = nnls(design[used] * weight[:, None], sums[used] * weight)[0]
    return amounts


def _quiet(counts: NDArray, expected: NDArray) -> NDArray[np.bool_]:
    """Pixels in blocks that hold no more counts than chance allows."""
    sums, limit = _block_sums(counts), _block_sums(expected)
    quiet = sums - limit < _CLIP * np.sqrt(limit) + 1
    grown = np.kron(quiet, np.ones((_BLOCK, _BLOCK), dtype=bool)).astype(bool)
    return grown[: counts.shape[0], : counts.shape[1]]


def _block_sums(image: NDArray) -> NDArray[np.float64]:
    height, width = (-(-n // _BLOCK) * _BLOCK for n in image.shape)
    padded = np.zeros((height, width))
    padded[: image.shape[0], : image.shape[1]] = image
    return padded.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).sum(axis=(1, 3))


def _partial_factor(
    counts: NDArray, expected: NDArray, exposed: NDArray, free: NDArray
) -> NDArray[np.float32]:
    """Counts over expected counts for pixels of like relative exposure; 1 for full exposure."""
    which = np.digitize(exposed[free], _EXPOSURE_BINS[1:-1])
    seen = np.bincount(which, counts[free], len(_EXPOSURE_BINS) - 1)
    fitted = np.bincount(which, expected[free], len(_EXPOSURE_BINS) - 1)
    ratio = np.maximum(seen + _PRIOR, 1) / (fitted + _PRIOR)
    centres = (_EXPOSURE_BINS[1:] + _EXPOSURE_BINS[:-1]) / 2
    return np.interp(exposed, [*centres[:-1], 1.0], [*(ratio[:-1] / ratio[-1]), 1.0]).astype(np.float32)


def _smooth_factor(counts: NDArray, expected: NDArray, free: NDArray) -> NDArray[np.float32]:
    """Local ratio of counts to expected counts."""
    scales = min(_SMOOTHING, largest_scale(counts.shape))
    seen, fitted = (np.where(free, image, 0) for image in (counts, expected))
    for scale in range(scales):
        seen, fitted = b3_smooth(seen, scale=scale), b3_smooth(fitted, scale=scale)
    prior = _PRIOR / 4 ** (scales + 1)  # counts per pixel that amount to it within the smoothing
    return (np.maximum(seen, 0) + prior) / (fitted + prior)
