"""A multi-resolution filter for images with few counts: what rises above the background, and nothing else.

After Starck & Pierre (1998, A&AS 128, 397) and the filter of XAmin (Pacaud et al. 2006, MNRAS 372, 578,
section 2): starlet coefficients that are significantly high by Poisson statistics form the multi-resolution
support; the image without negative pixels that has these coefficients, and nothing outside the support, is
found by iteration. Significance is judged with the first generation of the starlet, the image made with the
second, whose positive building blocks leave no rings.

Three rules complete the papers:

* The background is known (see `labkit.finder.background`), so gaps and vignetting, which it contains, are no
  structure. Where a pixel was exposed for a part only, the missing counts are those of the model so far.
* From the coarsest plane to the finest, what was significant before adds to the expected counts: fluctuations
  of a bright cluster's own photons are no sources in it.
* Negative and fractional counts (out-of-time events were subtracted) are taken as they are. All steps but the
  limits are linear in the counts, so cutting them at zero or rounding would add a bias; the limits become
  those of the net background, a few per cent too tight where a few per cent of the events were subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.images.significance import coefficient_limits
from labkit.images.starlet import b3_smooth, largest_scale, starlet, starlet_inverse

#: Share of the full exposure below which a pixel counts as not exposed.
_LEAST_EXPOSED = 0.05


@dataclass(frozen=True)
class Filtered:
    """What a multi-resolution filter found in an image."""

    #: Counts per pixel above the background for a full exposure, shape (y, x), float32, never negative.
    image: NDArray[np.float32]
    #: Whether a coefficient is significantly high, shape (scales, y, x), bool; the finest plane first.
    support: NDArray[np.bool_]
    #: Largest coefficient over its limit among the planes, shape (y, x), float32: above 1 is significant.
    contrast: NDArray[np.float32]


def poisson_filter(
    counts: ArrayLike,
    background: ArrayLike,
    *,
    relative_exposure: ArrayLike | None = None,
    scales: int = 6,
    finest: int = 1,
    false_alarm: float = 1e-4,
    iterations: int = 10,
) -> Filtered:
    """Filter an image of few counts with the starlet and Poisson statistics."""
    counts, background, exposed = _checked(counts, background, relative_exposure)
    scales = min(scales, largest_scale(counts.shape))
    if not 0 <= finest < scales or iterations < 1:
        raise InputError(
            f"finest must lie between 0 and {scales - 1} and iterations be positive, got {finest} and "
            f"{iterations}"
        )
    margin = 2 ** (scales - 1)  # unexposed; else photons mirrored at the border would count twice
    excess = np.pad(np.where(exposed > 0, counts - background, 0), margin)
    background, exposed = np.pad(background, margin), np.pad(exposed, margin)
    support, contrast = _support(excess, background, scales=scales, finest=finest, false_alarm=false_alarm)
    image = _reconstructed(excess, exposed, support, iterations) if support.any() else np.zeros_like(excess)
    inner = (slice(margin, -margin), slice(margin, -margin))
    return Filtered(image[inner], support[:, *inner], contrast[inner])


def _reconstructed(
    excess: NDArray, exposed: NDArray, support: NDArray[np.bool_], iterations: int
) -> NDArray[np.float32]:
    """The image without negative pixels that explains the excess with the coefficients of the support."""
    image = np.zeros_like(excess)
    around = np.maximum(b3_smooth(b3_smooth(exposed, scale=0), scale=1), 0.3)  # gaps fill from their rims
    for _ in range(iterations):
        residual = starlet((excess - exposed * image) / around, scales=len(support), generation=2)
        residual[:-1] *= support
        residual[-1] = 0  # what is smoother than the coarsest plane is background
        image = np.clip(image + starlet_inverse(residual, generation=2), 0, None)
    return image


def _support(
    excess: NDArray, background: NDArray, *, scales: int, finest: int, false_alarm: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Significance of the coefficients, from the coarsest plane to the finest."""
    planes = starlet(excess, scales=scales)
    rates = _smoothed(background, scales)
    found = np.zeros_like(background)  # structure of the coarser planes
    support = np.zeros((scales, *excess.shape), dtype=bool)
    contrast = np.zeros_like(background)
    for scale in range(scales - 1, finest - 1, -1):
        expected = rates[scale] + found * (background > 0)
        limit = coefficient_limits(expected, scale=scale, false_alarm=false_alarm)[1]
        ratio = np.where(rates[scale] > 0, planes[scale] / limit, 0)
        support[scale] = ratio > 1
        np.maximum(contrast, ratio, out=contrast)
        found += np.where(support[scale], planes[scale], 0)
    return support, contrast


def _smoothed(background: NDArray, scales: int) -> list[NDArray[np.float32]]:
    """The background at the resolution at which each plane's photons are collected."""
    smooth = [background]
    for scale in range(scales - 1):
        smooth.append(b3_smooth(smooth[-1], scale=scale))
    return smooth


def _checked(
    counts: ArrayLike, background: ArrayLike, relative_exposure: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    counts = np.asarray(counts, dtype=np.float32)
    background = np.asarray(background, dtype=np.float32)
    exposed = np.asarray(1 if relative_exposure is None else relative_exposure, dtype=np.float32)
    exposed = np.broadcast_to(exposed, counts.shape) if exposed.ndim == 0 else exposed
    if counts.ndim != 2 or {background.shape, exposed.shape} != {counts.shape}:
        raise InputError(
            f"counts, background and relative_exposure must have one shape (y, x), got {counts.shape}, "
            f"{background.shape} and {exposed.shape}"
        )
    if largest_scale(counts.shape) < 1:
        raise InputError(f"counts must be at least 4 pixels along each side, got shape {counts.shape}")
    if not (np.isfinite(background).all() and (background >= 0).all()):
        raise InputError(
            "background must be finite and never negative; set it to 0 where nothing was exposed"
        )
    if not (np.isfinite(exposed).all() and (exposed >= 0).all() and (exposed <= 1).all()):
        raise InputError("relative_exposure must lie between 0 and 1, 1 for a full exposure")
    exposed = np.where(np.isfinite(counts) & (exposed > _LEAST_EXPOSED), exposed, 0).astype(np.float32)
    return counts, background, exposed
