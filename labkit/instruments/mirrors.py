"""The point spread of XMM-Newton's mirrors, 0.5-2 keV: as photons, or as images.

A King profile, of which a share 1 - (1 + (r / core)^2)^(1 - slope) falls within r, with slope 1.55. Its core
is 4.3" on axis, widens with the square of the off-axis angle, and is stretched tangentially.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft2, next_fast_len
from scipy.special import gamma, kv

from labkit.errors import InputError

#: Core radius on axis in arcsec, and exponent of the surface brightness.
CORE_ARCSEC, SLOPE = 4.3, 1.55
_WIDENING, _STRETCHING = 0.0036, 0.004
#: Sampling in arcsec that holds the sharpest point spread: beyond its wave numbers 0.2 % is left of it.
_SAMPLING = 2.3


@dataclass(frozen=True)
class PointSpread:
    """The point spread at one place of the field."""

    off_axis_arcmin: float  # distance from the optical axis
    radial_deg: float = 0.0  # direction from the axis to that place, degrees from the image's x to its y axis

    @property
    def core_arcsec(self) -> float:
        """Core radius: the geometric mean of its radial and its tangential value, arcsec."""
        return CORE_ARCSEC * (1 + _WIDENING * self.off_axis_arcmin**2)

    @property
    def fwhm_arcsec(self) -> float:
        """Full width at half maximum, arcsec, of the mean profile (1 + (r / core)^2)^-slope."""
        return 2 * self.core_arcsec * float(np.sqrt(2 ** (1 / SLOPE) - 1))

    @property
    def stretch(self) -> float:
        """Tangential core radius over the mean one, which is the mean one over the radial."""
        return float(np.sqrt(1 + _STRETCHING * self.off_axis_arcmin**2))

    def transform(self, kx: ArrayLike, ky: ArrayLike) -> NDArray[np.float64]:
        """Fourier transform of the normalised profile at wave numbers in rad/arcsec; 1 at zero.

        The transform of (1 + r^2)^(-1 - n) is that of a Matern covariance: 2^(1 - n) / Gamma(n) k^n K_n(k).
        """
        turn = np.radians(self.radial_deg)
        radial = (kx * np.cos(turn) + ky * np.sin(turn)) / self.stretch
        tangential = (ky * np.cos(turn) - kx * np.sin(turn)) * self.stretch
        k = np.maximum(self.core_arcsec * np.hypot(radial, tangential), 1e-9)
        order = SLOPE - 1
        return 2 ** (1 - order) / gamma(order) * k**order * kv(order, k)


def point_spread(
    rng: Generator, du: np.ndarray, dv: np.ndarray, *, triangle: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements by the mirrors of photons that arrive (du, dv) off axis.

    The wings show the spokes of the mirror's spider that `PointSpread` leaves out.
    """
    square = du * du + dv * dv
    du = np.where(square == 0, 1e-9, du)  # on the axis any direction is the radial one
    core = CORE_ARCSEC / 60 * (1 + _WIDENING * square)
    radius = core * np.sqrt(np.minimum(rng.random(du.shape) + 1e-5, 1.0) ** (-1 / 0.55) - 1)
    angle = 2 * np.pi * rng.random(du.shape)
    angle += np.where(radius > 0.2, 0.6 / 16 * np.sin(16 * angle), triangle / 3 * np.sin(3 * angle))
    stretch = np.sqrt(1 + _STRETCHING * square)
    along, across = radius * np.cos(angle) / stretch, radius * np.sin(angle) * stretch
    off = np.sqrt(square) + 1e-9
    return (along * du - across * dv) / off, (along * dv + across * du) / off


class Templates:
    """Sources of one count on a stamp of shape (y, x), and their derivatives: points, and beta-models.

    The transforms of the point spread, of a beta-model with beta = 2/3 (its surface brightness is
    (1 + (r / rc)^2)^(-3/2), its transform exp(-rc k)), of a pixel and of a shift are all known, so that one
    inverse transform gives the image at any position between pixels, integrated over each of them. The
    transforms are `padding` times as wide as the stamp: beyond that the profiles repeat.
    """

    def __init__(
        self, shape: tuple[int, int], *, pixel_arcsec: float, spread: PointSpread, padding: float = 1.5
    ) -> None:
        self.shape, self.pixel_arcsec = shape, pixel_arcsec
        self._fine = max(1, int(np.ceil(pixel_arcsec / _SAMPLING)))
        self._size = tuple(next_fast_len(int(np.ceil(padding * n)), real=True) for n in shape)
        sampling = pixel_arcsec / self._fine
        ky = 2 * np.pi * np.fft.fftfreq(self._fine * self._size[0], sampling)[:, None]
        kx = 2 * np.pi * np.fft.rfftfreq(self._fine * self._size[1], sampling)
        self._ky, self._kx, self._k = ky * pixel_arcsec, kx * pixel_arcsec, np.hypot(kx, ky)
        pixel = np.sinc(self._kx / (2 * np.pi)) * np.sinc(self._ky / (2 * np.pi))
        self._seen = spread.transform(kx, ky) * pixel * self._fine

    def image(self, x: float, y: float, extent: float = 0.0) -> NDArray[np.float64]:
        """Share of a source's counts in each pixel."""
        return self._pixels(self._spectrum(x, y, extent)[None])[0]

    def derivatives(self, x: float, y: float, extent: float = 0.0) -> NDArray[np.float64]:
        """The image and its derivatives."""
        spectrum = self._spectrum(x, y, extent)
        rows = [spectrum, -1j * self._kx * spectrum, -1j * self._ky * spectrum]
        return self._pixels(np.stack([*rows, -extent * self._k * spectrum] if extent else rows))

    def _spectrum(self, x: float, y: float, extent: float) -> NDArray[np.complex128]:
        seen = self._seen * np.exp(-extent * self._k) if extent else self._seen
        return seen * np.exp(-1j * x * self._kx) * np.exp(-1j * y * self._ky)

    def _pixels(self, spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
        # Every n-th row of the fine image has the transform folded n times.
        folded = spectra.reshape(len(spectra), self._fine, self._size[0], -1).sum(axis=1)
        fine = irfft2(folded, s=(self._size[0], self._fine * self._size[1]), overwrite_x=True)
        return fine[:, : self.shape[0], : self._fine * self.shape[1] : self._fine]


def point_spread_image(
    size: int, *, pixel_arcsec: float, off_axis_arcmin: float, radial_deg: float = 0.0, extent: float = 0.0
) -> NDArray[np.float64]:
    """Share of the photons of a source, seen through the mirrors, in each pixel; (size, size), axes (y, x).

    The source, a point or a beta-model with beta = 2/3 whose core radius is `extent` arcsec, is in the
    middle, which for an odd size is that of the central pixel. The sum is below 1 by what falls outside.
    """
    if size < 1 or not pixel_arcsec > 0 or not off_axis_arcmin >= 0 or not extent >= 0:
        raise InputError(
            "size and pixel_arcsec must be positive, off_axis_arcmin and extent not negative, got "
            f"{size}, {pixel_arcsec}, {off_axis_arcmin} and {extent}"
        )
    spread = PointSpread(off_axis_arcmin, radial_deg)
    templates = Templates((size, size), pixel_arcsec=pixel_arcsec, spread=spread, padding=3.0)
    return templates.image((size - 1) / 2, (size - 1) / 2, extent)
