"""Images of point sources and beta-models seen through the mirrors, made in Fourier space.

The transforms of the point spread, of a beta-model with beta = 2/3 (its surface brightness is
(1 + (r / rc)^2)^(-3/2), its transform exp(-rc k)), of a pixel and of a shift are all known, so that one
inverse transform gives the image at any position between pixels, integrated over each of them, and its
derivatives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len

from labkit.errors import InputError
from labkit.instruments.mirrors import PointSpread

#: Sampling in arcsec that holds the sharpest point spread: beyond its wave numbers 0.2 % is left of it.
_SAMPLING = 2.3


class Templates:
    """Sources of one count on a stamp, and their derivatives.

    Parameters
    ----------
    shape : tuple of int
        Pixels of the stamp, (y, x).
    pixel_arcsec : float
        Pixel size.
    spread : PointSpread
        Point spread of the whole stamp.
    padding : float
        Side of the transforms relative to that of the stamp: beyond it the profiles repeat.
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
    """Image of a point source, or of a beta-model, seen through the mirrors.

    Parameters
    ----------
    size : int
        Pixels along a side; the source is in the middle, which for an odd size is that of the central pixel.
    pixel_arcsec : float
        Pixel size, arcsec.
    off_axis_arcmin : float
        Distance from the optical axis, arcmin.
    radial_deg : float
        Direction from the optical axis to the source, degrees from the image's x to its y axis.
    extent : float
        Core radius of a beta-model with beta = 2/3, arcsec; 0 for a point source.

    Returns
    -------
    ndarray, shape (size, size), axes (y, x)
        Share of the photons in each pixel; their sum is below 1 by what falls outside.
    """
    if size < 1 or not pixel_arcsec > 0 or not off_axis_arcmin >= 0 or not extent >= 0:
        raise InputError(
            "size and pixel_arcsec must be positive, off_axis_arcmin and extent not negative, got "
            f"{size}, {pixel_arcsec}, {off_axis_arcmin} and {extent}"
        )
    spread = PointSpread(off_axis_arcmin, radial_deg)
    templates = Templates((size, size), pixel_arcsec=pixel_arcsec, spread=spread, padding=3.0)
    return templates.image((size - 1) / 2, (size - 1) / 2, extent)
