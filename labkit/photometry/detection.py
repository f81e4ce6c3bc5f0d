"""Sources on a stack of bands: threshold, deblending, segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.segments import extract_segments
from labkit.photometry.frames import Frame

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
