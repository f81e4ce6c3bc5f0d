"""One band made ready for photometry: pixels, mask, noise, and a wide and a fine background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError

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
