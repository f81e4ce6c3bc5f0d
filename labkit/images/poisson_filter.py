"""A multi-resolution filter for images with few counts: what rises above the background, and nothing else.

After Starck & Pierre (1998, A&AS 128, 397) and the filter of XAmin (Pacaud et al. 2006, MNRAS 372, 578,
section 2): starlet coefficients that are significantly high by Poisson statistics form the multi-resolution
support; the image without negative pixels that has these coefficients, and nothing outside the support, is
found by iteration. Significance is judged with the first generation of the starlet, the image made with the
second, whose positive building blocks leave no rings.

Three rules complete the papers:

* The background is known (see `labkit.finder.detection`), so gaps and vignetting, which it contains, are no
  structure. Where a pixel was exposed for a part only, the missing counts are those of the model so far.
* From the coarsest plane to the finest, what was significant before adds to the expected counts: fluctuations
  of a bright cluster's own photons are no sources in it.
* Negative and fractional counts (out-of-time events were subtracted) are taken as they are. All steps but the
  limits are linear in the counts, so cutting them at zero or rounding would add a bias; the limits become
  those of the net background, a few per cent too tight where a few per cent of the events were subtracted.

A coefficient is the sum, over the photons near it, of the wavelet's value where each fell. Starck & Pierre
(1998, section 3) get the distribution for n photons by convolving the histogram of the wavelet n - 1 times
with itself. Where the expected counts per pixel b are known, n is itself Poisson distributed, and the sum
over n has the characteristic function exp(b sum_k [exp(i t psi_k) - 1]), psi_k being the wavelet's value in
pixel k. It is transformed here on a grid of values; for so many photons that the grid would be too long, the
quantiles follow from the first four cumulants b sum_k psi_k^n (Cornish & Fisher). No Gaussian approximation
enters for few counts, where a variance-stabilising transform would fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from labkit.errors import InputError
from labkit.images.starlet import b3_smooth, largest_scale, starlet, starlet_inverse

#: Expected counts per pixel at which limits are computed; between them they are interpolated.
_RATES = np.geomspace(1e-4, 1e4, 49)
_STEPS_PER_PEAK, _LONGEST_GRID = 256, 2**15


@lru_cache(maxsize=32)
def wavelet_kernel(scale: int) -> NDArray[np.float32]:
    """Plane `scale` of the starlet transform of one count in the middle of an empty image."""
    reach = 2 * (2 ** (scale + 1) - 1)
    size = 2 * reach + 1
    padded = np.zeros((max(size, 2 ** (scale + 2) + 1),) * 2)
    middle = len(padded) // 2
    padded[middle, middle] = 1
    kernel = starlet(padded, scales=scale + 1)[scale]
    kernel = kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    kernel.setflags(write=False)
    return kernel


def coefficient_limits(
    expected: NDArray, *, scale: int, false_alarm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Limits that a coefficient passes by chance with a given probability, after its mean was taken off."""
    if not 0 < false_alarm < 0.5:
        raise InputError(f"false_alarm must be a probability between 0 and 0.5, got {false_alarm}")
    table = _limit_table(scale, false_alarm)  # (2, rates), over the square root of the rate: nearly constant
    rate = np.clip(expected, _RATES[0], _RATES[-1])
    log_rate, root = np.log(rate), np.sqrt(rate)
    low, high = (np.interp(log_rate, np.log(_RATES), row) * root for row in table)
    return low.astype(np.float32), high.astype(np.float32)


@lru_cache(maxsize=64)
def _limit_table(scale: int, false_alarm: float) -> NDArray[np.float64]:
    wavelet = _Wavelet(wavelet_kernel(scale).astype(np.float64).ravel())
    limits = [wavelet.limits(rate, false_alarm) for rate in _RATES]
    return np.array(limits).T / np.sqrt(_RATES)


class _Wavelet:
    """The values of a wavelet as a histogram and by their power sums; sums of values at random are chance."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.peak, self.pixels = values.max(), len(values)
        self.step = self.peak / _STEPS_PER_PEAK
        self.power_sums = [(values**n).sum() for n in (2, 3, 4)]
        place = values / self.step
        below = np.floor(place).astype(int)
        self.first = below.min()
        weight = place - below  # a value is shared by its two neighbours on the grid, which keeps the mean
        self.histogram = np.zeros(np.ptp(below) + 2)
        np.add.at(self.histogram, below - self.first, 1 - weight)
        np.add.at(self.histogram, below - self.first + 1, weight)

    def limits(self, rate: float, false_alarm: float) -> tuple[float, float]:
        """Lower and upper limit; the mean is zero, as the sum of a wavelet is."""
        half = 8 * self.peak + 10 * np.sqrt(rate * self.power_sums[0])
        length = 2 ** int(np.ceil(np.log2(2 * half / self.step)))
        if length > _LONGEST_GRID:
            return self._from_cumulants(rate, false_alarm)
        chance = self._distribution(rate, length)
        grid = (np.arange(length) - length // 2) * self.step
        from_above = np.cumsum(chance[::-1])[::-1]  # probability of this value or more
        high = grid[min(np.searchsorted(-from_above, -false_alarm, side="right"), length - 1)]
        low = grid[max(np.searchsorted(np.cumsum(chance), false_alarm, side="right") - 1, 0)]
        return float(low), float(high)

    def _distribution(self, rate: float, length: int) -> NDArray[np.float64]:
        wrapped = np.zeros(length)
        wrapped[(self.first + np.arange(len(self.histogram))) % length] = self.histogram
        characteristic = np.exp(rate * (np.fft.rfft(wrapped) - self.pixels))
        return np.fft.fftshift(np.clip(np.fft.irfft(characteristic, length), 0, None))

    def _from_cumulants(self, rate: float, false_alarm: float) -> tuple[float, float]:
        second, third, fourth = (rate * power for power in self.power_sums)
        sigma = np.sqrt(second)
        skewness, kurtosis = third / sigma**3, fourth / sigma**4
        z = np.array([ndtri(false_alarm), -ndtri(false_alarm)])
        bent = z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24
        low, high = sigma * (bent - (2 * z**3 - 5 * z) * skewness**2 / 36)
        return float(low), float(high)


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
