"""The first half of the candidate finder: filter an X-ray observation and extract what stands out.

After XAmin (Pacaud et al. 2006, MNRAS 372, 578, section 2; Kosiba et al. 2020, section 2.2): the image is
filtered with wavelets and Poisson statistics, which Valtchanov et al. (2001, A&A 370, 689) found best for
extended sources, and SExtractor (here `sep`) finds the sources in the filtered image. The list is meant to be
complete and holds some chance fluctuations; the likelihood fits that follow tell them apart.

The background: sky photons follow the exposure map with its vignetting; particles hit all exposed pixels
alike. The amounts of both are fitted to the pixels without sources, camera by camera where there are several.
Two factors take what they leave: a smooth one (scattered light, a gradient, the halo of a cluster that fills
the field) and one for partly exposed pixels, because the exposure map of cameras already summed seldom weighs
them as the background does. Sums over many pixels alone enter, so negative and fractional counts do no harm.
"""

from dataclasses import dataclass

import numpy as np
import sep
from astropy.table import QTable
from astropy.units import deg
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, grey_closing, maximum, minimum_filter
from scipy.optimize import nnls

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky
from labkit.images.segments import extract_segments
from labkit.images.starlet import Filtered, b3_smooth, largest_scale, poisson_filter

_BLOCK = 16  # pixels; side of the blocks whose sums are fitted
_GAP = 15  # pixels; gaps between chips are narrower, wider holes in the exposure are not filled
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


#: Structures of the finest and the coarsest plane, arcsec: a point source, a nearby cluster.
FINEST, COARSEST = 17.4, 280.0
#: Surface brightness at which a source ends, in standard deviations of the background in one pixel.
_THRESHOLD = 0.3
_LEAST_AREA, _DEBLEND_LEVELS, _DEBLEND_CONTRAST = 3, 64, 3e-4
#: Nearer than this to a brighter one, arcsec, a candidate is the same.
_SAME = 8.0
#: What lies within this radius, arcsec, is near.
_NEAR = 20.0
_GAP_BELOW = 0.7  # relative exposure
_ROUNDS = 2  # of background and sources, each without the sources of the one before


@dataclass(frozen=True)
class Detection:
    """Candidates of an observation, and the images in which they were found.

    ``candidates`` has one row per candidate, most counts first: ``x``, ``y`` (pixels from 0), ``ra``, ``dec``
    (with a WCS), ``counts`` (rough, above the background, for a full exposure), ``peak`` (counts per pixel),
    ``a``, ``b`` (standard deviations along the axes of the filtered source, pixels), ``theta`` (direction of
    `a` from x to y, radians), ``size`` (pixels, the geometric mean of `a` and `b`), ``contrast`` (largest
    wavelet coefficient over its limit), ``blended`` (separated from a neighbour), ``near_gap``, ``near_edge``
    (within 20 arcsec). It is empty where nothing stands out.
    """

    candidates: QTable
    background: Background  # expected counts without sources, and relative exposure
    filtered: Filtered  # filtered image and its multi-resolution support


def detect(
    counts: ArrayLike,
    exposure: ArrayLike,
    *,
    pixel_arcsec: float,
    wcs: WCS | None = None,
) -> Detection:
    """Find candidate sources in an X-ray observation.

    Counts and exposure (vignetted, any unit) have the shape (y, x) or (camera, y, x); given camera by camera,
    the background is known better at the gaps between their chips. Negative and fractional counts are allowed
    (see `labkit.images.starlet`); NaN pixels, and those of no exposure, count as not exposed. Background and
    sources are found twice, the second time without the first's sources.
    """
    counts, exposure = _checked(counts, exposure)
    if not pixel_arcsec > 0:
        raise InputError(f"pixel_arcsec must be positive, got {pixel_arcsec}")
    finest, scales = _planes(counts.shape[1:], pixel_arcsec)
    total, sources = counts.sum(axis=0), None
    for _ in range(_ROUNDS):
        background = background_map(counts, exposure, sources=sources)
        image, exposed = background.image, background.relative_exposure
        filtered = poisson_filter(total, image, relative_exposure=exposed, scales=scales, finest=finest)
        sources = _source_pixels(filtered, background)
    candidates = _extract(filtered, background, pixel_arcsec=pixel_arcsec)
    if wcs is not None:
        ra, dec = pixel_to_sky(wcs, candidates["x"], candidates["y"])
        candidates.add_columns([ra * deg, dec * deg], names=["ra", "dec"], indexes=[2, 2])
    return Detection(candidates, background, filtered)


def _planes(shape: tuple[int, ...], pixel_arcsec: float) -> tuple[int, int]:
    """First wavelet plane, from 0, and number of planes."""
    finest = max(0, round(np.log2(FINEST / pixel_arcsec)) - 1)
    scales = max(finest + 1, round(np.log2(COARSEST / pixel_arcsec)))
    if largest_scale(shape) <= finest:
        raise InputError(
            f"counts must be at least {2 ** (finest + 2)} pixels of {pixel_arcsec} arcsec along each side, "
            f"got {shape}; use a larger image or coarser pixels"
        )
    return finest, scales


def _checked(counts: ArrayLike, exposure: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    counts, exposure = (np.asarray(image, dtype=np.float32) for image in (counts, exposure))
    if counts.shape != exposure.shape or counts.ndim not in (2, 3) or min(counts.shape) < 1:
        raise InputError(
            f"counts and exposure must have one shape, (y, x) or (camera, y, x), got {counts.shape} and "
            f"{exposure.shape}"
        )
    if counts.ndim == 2:
        counts, exposure = counts[None], exposure[None]
    exposure = np.where(np.isfinite(exposure) & np.isfinite(counts), exposure, 0)
    if (exposure < 0).any():
        raise InputError(f"exposure must never be negative, got {exposure.min()}; set such pixels to 0")
    if not (exposure > 0).any():
        raise InputError("exposure must be positive somewhere, got no exposed pixel; check the exposure map")
    return np.where(exposure > 0, counts, 0), exposure


def _source_pixels(filtered: Filtered, background: Background) -> NDArray[np.bool_]:
    """Pixels that sources make brighter than the background's own uncertainty."""
    bright = filtered.image > 0.05 * background.image
    return binary_dilation(bright | filtered.support.any(axis=0), iterations=2)


def _extract(filtered: Filtered, background: Background, *, pixel_arcsec: float) -> QTable:
    """Sources of the filtered image."""
    full = background.image / np.maximum(background.relative_exposure, 0.05)
    noise = np.sqrt(np.maximum(full, 1e-3))
    inside = _inside(background)
    found, segments = extract_segments(
        np.where(inside, filtered.image, 0), _THRESHOLD, err=noise, minarea=_LEAST_AREA, filter_kernel=None,
        deblend_nthresh=_DEBLEND_LEVELS, deblend_cont=_DEBLEND_CONTRAST, clean=False,
    )  # fmt: skip
    contrast = np.atleast_1d(maximum(filtered.contrast, segments, np.arange(1, len(found) + 1)))
    order = _distinct(found, _SAME / pixel_arcsec)
    found, contrast = found[order], contrast[order]
    gap, edge = _neighbourhood(background, found["x"], found["y"], _NEAR / pixel_arcsec)
    names = {"x": "x", "y": "y", "counts": "flux"} | {name: name for name in ("peak", "a", "b", "theta")}
    columns = {name: np.asarray(found[own], dtype=float) for name, own in names.items()}
    columns |= {"size": np.sqrt(columns["a"] * columns["b"]), "contrast": np.asarray(contrast, dtype=float)}
    blended = (found["flag"] & sep.OBJ_MERGED) > 0
    return QTable(columns | {"blended": blended, "near_gap": gap, "near_edge": edge})


def _distinct(found: NDArray, distance: float) -> NDArray[np.int64]:
    """Rows by brightness, without those too near to a brighter one."""
    kept: list[int] = []
    for row in np.argsort(-found["flux"], kind="stable"):
        apart = np.hypot(found["x"][kept] - found["x"][row], found["y"][kept] - found["y"][row])
        if not (apart < distance).any():
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def _neighbourhood(
    background: Background, x: NDArray, y: NDArray, radius: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a gap, and whether the border of the field of view, is near."""
    inside = _inside(background)
    to_edge = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    exposed = np.where(inside, background.relative_exposure, 1)
    least = minimum_filter(exposed, footprint=_disc(radius))
    column = np.clip(np.rint(x).astype(int), 0, inside.shape[1] - 1)
    row = np.clip(np.rint(y).astype(int), 0, inside.shape[0] - 1)
    return least[row, column] < _GAP_BELOW, to_edge[row, column] < radius


def _inside(background: Background) -> NDArray[np.bool_]:
    """The field of view with its gaps."""
    return (background.image > 0) | (background.relative_exposure < 1)


def _disc(radius: float) -> NDArray[np.bool_]:
    reach = np.arange(-int(radius), int(radius) + 1)
    return np.hypot(reach, reach[:, None]) <= radius
