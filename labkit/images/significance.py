"""Which starlet coefficients of an image with few counts are more than chance.

A coefficient is the sum, over the photons near it, of the wavelet's value where each fell. Starck & Pierre
(1998, A&AS 128, 397, section 3) therefore get the distribution for n photons by convolving the histogram of
the wavelet n - 1 times with itself. Where the expected counts per pixel b are known, n is itself Poisson
distributed, and the sum over n has the characteristic function

    exp( b sum_k [exp(i t psi_k) - 1] ),

psi_k being the wavelet's value in pixel k. It is transformed here on a grid of values; for so many photons
that the grid would be too long, the quantiles follow from the first four cumulants b sum_k psi_k^n (Cornish &
Fisher). No Gaussian approximation enters for few counts, where a variance-stabilising transform would fail.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from labkit.errors import InputError
from labkit.images.starlet import starlet

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
