"""Bands as sep takes them, and sources on their stack: background, threshold, deblending, segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError
from labkit.images.segments import extract_segments

_FWHM = 2 * np.sqrt(2 * np.log(2))
#: Pixels brighter than this many standard deviations do not shape the wide background.
_BRIGHT = 3.0


@dataclass(frozen=True)
class Frame:
    """A band as `sep` takes it, all of shape (y, x) and float32."""

    band: str  # its name
    wide: NDArray[np.float32]  # pixels less the wide and the fine background, 0 where there is none
    fine: NDArray[np.float32]
    noise: NDArray[np.float32]  # standard deviation of the background
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
    """Measure background and noise of a band."""
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
    rms = np.full(pixels.shape, max(float(np.median(fine.rms()[~lost])), 1e-30)) if given is None else given
    rms = np.where(lost, 1, np.broadcast_to(rms, pixels.shape)).astype(np.float32)
    bright = lost | (pixels - fine.back() > _BRIGHT * rms)
    wide = _background(pixels, bright if not bright.all() else lost, meshes[0])
    far, near = (np.where(lost, np.float32(0), pixels - back.back()) for back in (wide, fine))
    return Frame(band, far, near, rms, lost, gain)


def _background(pixels: NDArray, mask: NDArray[np.bool_], mesh: int) -> sep.Background:
    size = min(mesh, *pixels.shape)
    return sep.Background(pixels, mask=mask, bw=size, bh=size, fw=3, fh=3)


def above(image: NDArray, lost: NDArray[np.bool_], mesh: int) -> NDArray[np.float32]:
    """An image less its own background, 0 where it is lost."""
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    return np.where(lost, np.float32(0), pixels - _background(pixels, lost, mesh).back())


def matched_to(one: Frame, fwhm_px: float, widest_px: float) -> Frame:
    """A frame blurred by the Gaussian that widens its PSF.

    The noise stays that of the pixels before: an aperture larger than the PSF sees the same noise as before,
    though neighbouring pixels are correlated now.
    """
    sigma = np.sqrt(max(widest_px**2 - fwhm_px**2, 0)) / _FWHM
    if sigma < 0.05:
        return one
    share = np.maximum(gaussian_filter((~one.lost).astype(np.float32), sigma), 1e-3)
    blurred = (
        np.where(one.lost, np.float32(0), gaussian_filter(image, sigma) / share)
        for image in (one.wide, one.fine)
    )
    wide, fine = blurred
    return replace(one, wide=wide, fine=fine)


_DEBLEND_LEVELS = 32
#: A Gaussian of about 2 px FWHM: near the PSF of HST mosaics at 0.065 arcsec/px.
_KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)


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


def stacked(
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
    wide, fine, lost = stacked(frames, zeropoints)
    if lost.all():
        names = [one.band for one in frames]
        raise InputError(f"detect_on must name a band with pixels, got only NaN in {names}")
    objects, numbers = extract_segments(
        fine, threshold, err=np.ones_like(fine), mask=lost, minarea=min_area_px, filter_kernel=_KERNEL,
        deblend_nthresh=_DEBLEND_LEVELS, deblend_cont=contrast, clean=True,
    )  # fmt: skip
    return Detected(objects, numbers, numbers, wide, fine, lost)


def numbered(segments: NDArray[np.int32], keep: NDArray[np.bool_], *, start: int) -> NDArray[np.int32]:
    """Segments of the sources kept, numbered anew from `start`; 0 elsewhere."""
    new = np.zeros(len(keep) + 1, dtype=np.int32)
    new[1:][keep] = np.arange(start, start + int(keep.sum()))
    return new[segments]
