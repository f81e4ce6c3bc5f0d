"""Bands as sep takes them, sources on their stack, and the halos of the brightest taken out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sep
from astropy.stats import mad_std
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from labkit.errors import InputError
from labkit.images.segments import extract_segments

_FWHM = 2 * np.sqrt(2 * np.log(2))
#: Pixels brighter than this many standard deviations do not shape the wide background.
_BRIGHT = 3.0
_DEBLEND_LEVELS = 32
#: A Gaussian of about 2 px FWHM: near the PSF of HST mosaics at 0.065 arcsec/px.
_KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)
_REACH, _ANNULI = 3.0, 80  # a halo is modelled out to so many AUTO half axes
#: A source in a halo must be this share of all light in its pixels; what is less is left over by the model.
_LEAST_SHARE = 0.1
#: A source nearer than this to a halo's centre, pixels, is the halo's own core.
_CORE = 4.0
#: Pixels this far apart may share noise; so many pixels at most are asked; blank ones lie so far from what
#: stands out after smoothing by so many pixels.
_LAGS, _ASKED, _AWAY, _SMOOTHED = 4, 1_500_000, 3, 1.5
#: Standard deviation of the window in which a core is centred, in those of the source.
_WINDOW = 0.25


@dataclass(frozen=True)
class Frame:
    """A band as `sep` takes it, all of shape (y, x) and float32."""

    band: str  # its name
    wide: NDArray[np.float32]  # pixels less the wide and the fine background, 0 where there is none
    fine: NDArray[np.float32]
    noise: NDArray[np.float32]  # standard deviation of the background, as of independent pixels
    lost: NDArray[np.bool_]  # pixels that the band does not cover
    gain: float | None  # electrons in one unit


def frame(
    band: str,
    image: ArrayLike,
    *,
    meshes: tuple[int, ...],
    noise: ArrayLike | None = None,
    gain: float | None = None,
) -> Frame:
    """Measure background and noise of a band.

    Noise that is measured is that of a pixel times what wide apertures see more of, because pixels share it
    (`shared_noise`).
    """
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    lost = ~np.isfinite(pixels)
    given = None if noise is None else np.broadcast_to(np.asarray(noise, dtype=np.float32), np.shape(noise))
    if given is not None and given.shape not in ((), pixels.shape):
        raise InputError(f"noise of {band!r} must be a number or of shape {pixels.shape}, got {given.shape}")
    if given is not None:
        lost |= ~np.isfinite(given) | (given == 0)
        if (given < 0).any():
            raise InputError(f"noise of {band!r} must never be negative, got {given.min()}")
    if gain is not None and not gain > 0:
        raise InputError(f"gain of {band!r} must be positive, got {gain}")
    pixels = np.where(lost, np.float32(0), pixels)
    if lost.all():
        empty = np.zeros_like(pixels)
        return Frame(band, empty, empty, np.ones_like(pixels), lost, gain)
    wide, fine = (_background(pixels, lost, mesh) for mesh in meshes)
    shared = 1.0
    if given is None:
        shared = shared_noise(pixels - fine.back(), lost)
        pixel = max(float(np.median(fine.rms()[~lost])), 1e-30)
        given = np.full(pixels.shape, pixel * shared, dtype=np.float32)
    rms = np.where(lost, 1, np.broadcast_to(given, pixels.shape)).astype(np.float32)
    bright = lost | (pixels - fine.back() > _BRIGHT * rms / np.float32(shared))
    wide = _background(pixels, bright if not bright.all() else lost, meshes[0])
    far, near = (np.where(lost, np.float32(0), pixels - back.back()) for back in (wide, fine))
    return Frame(band, far, near, rms, lost, gain)


def _background(pixels: NDArray, mask: NDArray[np.bool_], mesh: int) -> sep.Background:
    size = min(mesh, *pixels.shape)
    return sep.Background(pixels, mask=mask, bw=size, bh=size, fw=3, fh=3)


def shared_noise(image: NDArray[np.float32], lost: NDArray[np.bool_]) -> float:
    """Noise of a wide aperture over that of as many independent pixels; at least 1.

    The root of the sum of the correlations of blank pixels, taken along both axes up to 4 pixels apart and as
    their product elsewhere, which is what drizzling gives (Casertano et al. 2000, AJ 120, 2747, appendix A).
    They follow from differences of pixels 1 to 5 apart, in which the light of unseen sources cancels.
    """
    rows = min(image.shape[0], max(_ASKED // image.shape[1], _LAGS + 2))
    part = slice((image.shape[0] - rows) // 2, (image.shape[0] + rows) // 2)
    image, lost = image[part], lost[part]
    if lost.all():
        return 1.0
    light = gaussian_filter(image, _SMOOTHED)
    scatter = _BRIGHT * mad_std(light[~lost])
    blank = ~lost & (maximum_filter(light, 2 * _AWAY + 1) < np.median(light[~lost]) + scatter)
    total = 1.0
    for axis in (0, 1):
        values, there = np.moveaxis(image, axis, 0), np.moveaxis(blank, axis, 0)
        apart = []
        for lag in range(1, _LAGS + 2):
            pairs = np.square(values[lag:] - values[:-lag])[there[lag:] & there[:-lag]]
            apart.append(float(pairs.sum(dtype=float)) / max(len(pairs), 1))
        if not apart[-1] > 0:
            return 1.0
        total *= 1 + 2 * np.sum(1 - np.array(apart[:-1]) / apart[-1])
    return float(np.sqrt(max(total, 1.0)))


def matched_to(one: Frame, fwhm_px: float, widest_px: float) -> Frame:
    """A frame blurred by the Gaussian that widens its PSF.

    The noise stays that of the pixels before: an aperture larger than the PSF sees the same noise as before,
    though neighbouring pixels are correlated now.
    """
    sigma = np.sqrt(max(widest_px**2 - fwhm_px**2, 0)) / _FWHM
    if sigma < 0.05:
        return one
    share = np.maximum(gaussian_filter((~one.lost).astype(np.float32), sigma), 1e-3)
    images = (gaussian_filter(image, sigma) / share for image in (one.wide, one.fine))
    wide, fine = (np.where(one.lost, np.float32(0), image) for image in images)
    return replace(one, wide=wide, fine=fine)


@dataclass(frozen=True)
class Detected:
    """Sources and where they are."""

    objects: NDArray  # as from `sep.extract`, x and y from 0
    segments: NDArray[np.int32]  # (y, x): Number of the source (from 1) of each pixel, 0 for none
    bare: NDArray[np.int32]  # (y, x): The same without halos, for images that halos were taken out of
    #: (y, x): The stack above the wide and the fine background, in standard deviations.
    wide: NDArray[np.float32]
    fine: NDArray[np.float32]
    lost: NDArray[np.bool_]  # (y, x): Pixels that no band covers


def _stack(
    frames: Sequence[Frame], zeropoints: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Mean of bands, as flux densities weighted by 1 / noise^2, in units of its own noise.

    A pixel that some bands do not cover is the mean of the others.
    """
    total = np.zeros((2, *frames[0].wide.shape), dtype=np.float32)
    weight = np.zeros_like(frames[0].wide)
    for one, zeropoint in zip(frames, zeropoints, strict=True):
        unit = np.float32(10 ** (-0.4 * (zeropoint - zeropoints[0])))  # of this band in that of the first
        inverse = np.where(one.lost, np.float32(0), 1 / (unit * one.noise) ** 2)
        total[0] += unit * one.wide * inverse
        total[1] += unit * one.fine * inverse
        weight += inverse
    covered = weight > 0
    significance = total / np.sqrt(np.where(covered, weight, 1))
    return significance[0], significance[1], ~covered


def detect(
    frames: Sequence[Frame],
    *,
    zeropoints: Sequence[float],
    threshold: float,
    min_area_px: int,
    contrast: float,
) -> Detected:
    """Extract and deblend sources."""
    if not threshold > 0 or min_area_px < 1 or not 0 <= contrast <= 1:
        raise InputError(
            "threshold and min_area_px must be positive and deblend_contrast in 0 to 1, "
            f"got {threshold}, {min_area_px} and {contrast}"
        )
    wide, fine, lost = _stack(frames, zeropoints)
    if lost.all():
        names = [one.band for one in frames]
        raise InputError(f"detect_on must name a band with pixels, got only NaN in {names}")
    objects, numbers = extract_segments(
        fine, threshold, err=np.ones_like(fine), mask=lost, minarea=min_area_px, filter_kernel=_KERNEL,
        deblend_nthresh=_DEBLEND_LEVELS, deblend_cont=contrast, clean=True,
    )  # fmt: skip
    return Detected(objects, numbers, numbers, wide, fine, lost)


def _numbered(segments: NDArray[np.int32], keep: NDArray[np.bool_], *, start: int) -> NDArray[np.int32]:
    """Segments of the sources kept, numbered anew from `start`; 0 elsewhere."""
    new = np.zeros(len(keep) + 1, dtype=np.int32)
    new[1:][keep] = np.arange(start, start + int(keep.sum()))
    return new[segments]


def centred(found: Detected, halos: NDArray[np.bool_]) -> Detected:
    """Halos at their cores and in the shape of an inner isophote.

    Neighbours that are not yet separated pull the centre of all light, and the cells of the fine background
    cut into the outskirts.
    """
    objects = found.objects.copy()
    peak = (objects[halos][name].astype(float) for name in ("xcpeak", "ycpeak"))
    window = np.maximum(_WINDOW * objects["a"][halos], 2.0)
    objects["x"][halos], objects["y"][halos], _ = sep.winpos(found.wide, *peak, window, mask=found.lost)
    for row in np.flatnonzero(halos):
        y, x = np.nonzero(found.segments == row + 1)
        light = found.wide[y, x]
        inner = light >= np.median(light)
        (minor, major), axes = np.linalg.eigh(np.cov(x[inner], y[inner]))
        objects["b"][row] = objects["a"][row] * np.sqrt(minor / major)
        objects["theta"][row] = np.arctan(axes[1, 1] / axes[0, 1]) if axes[0, 1] else np.pi / 2
    return replace(found, objects=objects)


def _profile(
    image: NDArray, use: NDArray[np.bool_], radius: NDArray, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median brightness in elliptical annuli, falling to 0 at the last."""
    edges = np.concatenate([[0.0], np.geomspace(1.0, max(reach, 2.0), _ANNULI)])
    values, bins = image[use], np.searchsorted(edges, radius[use], side="right") - 1
    order = np.argsort(bins, kind="stable")  # scipy's medians by bin are the same, two to three times slower
    parts = np.split(values[order], np.searchsorted(bins[order], np.arange(1, len(edges))))[: len(edges) - 1]
    filled = [number for number, part in enumerate(parts) if len(part)]
    profile = np.minimum.accumulate([float(np.median(parts[number])) for number in filled])
    return 0.5 * (edges[1:] + edges[:-1])[filled], np.maximum(profile - profile[-1:], 0)


def without_halos(
    frames: Mapping[str, Frame], found: Detected, halos: NDArray[np.bool_], half_axis: NDArray, *, mesh: int
) -> dict[str, Frame]:
    """Frames whose fine image has the halos taken out, brightest first, and then the fine background.

    Each halo is the median profile of the band in ellipses of the source's centre, axis ratio and direction,
    other sources masked; isophotes that twist leave a remainder, which the fine background follows.
    """
    order = np.flatnonzero(halos)[np.argsort(-found.objects["flux"][halos], kind="stable")]
    clean = {band: one.wide.copy() for band, one in frames.items()}
    for row in order:
        box, radius = _ellipses(found, row, _REACH * half_axis[row])
        own = np.isin(found.segments[box], (0, row + 1)) & (radius <= _REACH * half_axis[row])
        for band, one in frames.items():
            image = clean[band][box]
            middle, profile = _profile(image, own & ~one.lost[box], radius, _REACH * half_axis[row])
            if len(middle):
                model = np.interp(radius, middle, profile, right=0.0)
                clean[band][box] = np.where(one.lost[box], 0, image - model).astype(np.float32)
    result = dict(frames)
    for band, one in frames.items():
        if not one.lost.all():
            fine = clean[band] - _background(clean[band], one.lost, mesh).back()
            result[band] = replace(one, fine=np.where(one.lost, np.float32(0), fine))
    return result


def _ellipses(found: Detected, row: int, reach: float) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """The square around a source and the elliptical radius (along a) of its pixels."""
    source = found.objects[row]
    height, width = found.segments.shape
    y0, y1 = max(0, int(source["y"] - reach)), min(height, int(source["y"] + reach) + 2)
    x0, x1 = max(0, int(source["x"] - reach)), min(width, int(source["x"] + reach) + 2)
    y, x = np.mgrid[y0:y1, x0:x1]
    dx, dy = x - source["x"], y - source["y"]
    cos, sin = np.cos(source["theta"]), np.sin(source["theta"])
    ratio = max(float(source["b"] / source["a"]), 0.2)
    return (slice(y0, y1), slice(x0, x1)), np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / ratio)


def joined(first: Detected, halos: NDArray[np.bool_], second: Detected) -> Detected:
    """Halos of the first detection and what the second found without them."""
    keep = _real(second, first.wide)
    for row in np.flatnonzero(halos):
        away = np.hypot(*(second.objects[c] - first.objects[c][row] for c in ("x", "y")))
        keep &= away > _CORE
    objects = np.concatenate([first.objects[halos], second.objects[keep]])
    own = _numbered(first.segments, halos, start=1)
    others = _numbered(second.segments, keep, start=1 + int(halos.sum()))
    whole = np.where(others > 0, others, own)
    return replace(second, objects=objects, segments=whole, bare=others, wide=first.wide)


def _real(found: Detected, whole: NDArray) -> NDArray[np.bool_]:
    """Whether each source is a fair share of all light in its pixels."""
    count, flat = len(found.objects), found.segments.ravel()
    own = np.bincount(flat, found.fine.ravel(), minlength=count + 1)[1:]
    total = np.bincount(flat, whole.ravel(), minlength=count + 1)[1:]
    return own > _LEAST_SHARE * total
