"""The point spread of XMM-Newton's mirrors, 0.5-2 keV: as photons, or as images.

A King profile, of which a share 1 - (1 + (r / core)^2)^(1 - slope) falls within r, with slope 1.55. Its core
is 4.3" on axis, widens with the square of the off-axis angle, and is stretched tangentially.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.special import gamma, kv

from labkit.errors import InputError

#: Core radius on axis in arcsec, and exponent of the surface brightness.
CORE_ARCSEC, SLOPE = 4.3, 1.55
_WIDENING, _STRETCHING = 0.0036, 0.004
#: Sampling in arcsec that holds the sharpest point spread: beyond its wave numbers 0.2 % is left of it.
_SAMPLING = 2.3


@lru_cache(maxsize=1)
def _matern() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wave numbers in units of the core, and the transform there: one where it matters in a millionth."""
    k, order = np.linspace(0, 30, 20001), SLOPE - 1
    at = np.maximum(k, 1e-9)
    return k, 2 ** (1 - order) / gamma(order) * at**order * kv(order, at)


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
        return np.interp(self.core_arcsec * np.hypot(radial, tangential), *_matern(), right=0.0)


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
    (1 + (r / rc)^2)^(-3/2), its transform exp(-rc k)), of a pixel and of a shift are all known, so that the
    inverse transform, as products of matrices for rows and columns, gives the image at any position between
    pixels, integrated over each of them, to a millionth of its peak (single precision). The transforms are
    `padding` times as wide as the stamp: beyond that the profiles repeat.
    """

    def __init__(
        self, shape: tuple[int, int], *, pixel_arcsec: float, spread: PointSpread, padding: float = 1.5
    ) -> None:
        self.shape, self.pixel_arcsec = shape, pixel_arcsec
        fine = max(1, int(np.ceil(pixel_arcsec / _SAMPLING)))
        height, width = (next_fast_len(int(np.ceil(padding * n)), real=True) for n in shape)
        ky = 2 * np.pi * np.fft.fftfreq(fine * height) * fine  # per pixel
        kx = 2 * np.pi * np.fft.rfftfreq(fine * width) * fine
        pixel = np.sinc(kx / (2 * np.pi)) * np.sinc(ky / (2 * np.pi))[:, None]
        seen = spread.transform(kx / pixel_arcsec, ky[:, None] / pixel_arcsec) * pixel
        # all wave numbers in x but the first, and the last of an even number, stand for their opposites, too
        seen[:, 1 : (fine * width + 1) // 2] *= 2
        self._k = (np.hypot(kx, ky[:, None]) / pixel_arcsec).astype(np.float32)
        self._seen = (seen / (height * width)).astype(np.float32)
        self._kx, self._ky = kx, ky
        self._columns = np.exp(1j * np.outer(kx, np.arange(shape[1]))).astype(np.complex64)
        self._rows = np.exp(1j * np.outer(np.arange(shape[0]), ky)).astype(np.complex64)

    def image(self, x: float, y: float, extent: float = 0.0) -> NDArray[np.float64]:
        """Share of a source's counts in each pixel."""
        rows, columns = self._waves(x, y)
        return _product(_halves(rows) @ self._spectrum(extent), columns).astype(float)

    def derivatives(self, x: float, y: float, extent: float = 0.0) -> NDArray[np.float64]:
        """The image and its derivatives."""
        rows, columns = self._waves(x, y)
        along_x = (-1j * self._kx[:, None].astype(np.float32)) * columns
        along_y = rows * (-1j * self._ky.astype(np.float32))
        spectrum = self._spectrum(extent)
        halves = _halves(np.stack([rows, along_y]))
        image, turned = halves @ spectrum
        images = [_product(image, columns), _product(image, along_x), _product(turned, columns)]
        if extent:
            wider = halves[0] @ (np.float32(-extent) * self._k * spectrum)
            images.append(_product(wider, columns))
        return np.stack(images).astype(float)

    def _waves(self, x: float, y: float) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Waves of all wave numbers from a place (x, y): (row, ky) and (kx, column)."""
        across, along = np.exp(-1j * x * self._kx)[:, None], np.exp(-1j * y * self._ky)
        return self._rows * along.astype(np.complex64), self._columns * across.astype(np.complex64)

    def _spectrum(self, extent: float) -> NDArray[np.float32]:
        return self._seen * np.exp(np.float32(-extent) * self._k) if extent else self._seen


def _halves(waves: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Real and imaginary parts, (..., 2, row, wave number)."""
    return np.stack([waves.real, waves.imag], axis=-3)


def _product(left: NDArray[np.float32], right: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The real part of a product of matrices whose left one has its parts apart."""
    return left[0] @ right.real - left[1] @ right.imag


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
