"""The twelve bands of HST in which CLASH clusters were classified, and what limits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.numbers import read_numbers

_NUMBERS = read_numbers("hst/bands")
PIXEL_SCALE_ARCSEC: float = _NUMBERS["mosaics"]["pixel_scale_arcsec"]
#: Every point-spread function is a sum of Gaussians that are at least this wide.
CORE_FWHM_ARCSEC: float = _NUMBERS["psf"]["core_fwhm_arcsec"]


@dataclass(frozen=True)
class Band:
    """One filter and what was taken through it.

    Parameters
    ----------
    name : str
        Short name, ``F814``.
    camera : {"ACS", "WFC3-IR"}
        Camera; that of the infrared sees less of the sky.
    element : str
        Name of the filter in HST's headers, ``F814W``.
    wavelength_um : float
        Pivot wavelength, micrometres.
    zero_point : float
        AB magnitude of 1 electron/s.
    depth : float
        AB magnitude of a point source at 5 sigma in an aperture of 0.4 arcsec diameter.
    exposure_s : float
        Exposure time.
    fwhm_arcsec : float
        Width of the point-spread function, pixels included.
    """

    name: str
    camera: str
    element: str
    wavelength_um: float
    zero_point: float
    depth: float
    exposure_s: float
    fwhm_arcsec: float

    @property
    def response(self) -> str:
        """Name of the transmission curve among those of kcorrect."""
        return f"clash_{'acs' if self.camera == 'ACS' else 'wfc3'}_{self.element.lower()}"

    def flux(self, magnitude: NDArray | float) -> NDArray:
        """Electrons per second of AB magnitudes of any shape."""
        return 10 ** (-0.4 * (np.asarray(magnitude, dtype=float) - self.zero_point))

    def psf(self) -> tuple[NDArray, NDArray]:
        """Weights and dispersions (arcsec) of the Gaussians that make up the point-spread function."""
        core = max(0.97 * self.fwhm_arcsec, CORE_FWHM_ARCSEC) * gaussian_fwhm_to_sigma
        return np.array(_NUMBERS["psf"]["shares"]), core * np.array(_NUMBERS["psf"]["widths"])

    def sky_sigma(self, *, frontier: bool = False) -> float:
        """Noise of the sky in one pixel, electrons per second, that the depth implies.

        That of independent pixels: drizzled mosaics have correlated noise, which is less in a pixel for the
        same depth; that is not imitated. Frontier Fields are deeper in the bands of that programme.
        """
        weights, sigmas = self.psf()
        aperture, limit = _NUMBERS["depth"]["aperture_arcsec"], _NUMBERS["depth"]["sigmas"]
        caught = np.sum(weights * (1 - np.exp(-(aperture**2) / (2 * sigmas**2))))
        pixels = np.pi * (aperture / PIXEL_SCALE_ARCSEC) ** 2
        return float(self.flux(self.depth + self._gain(frontier)) * caught / (limit * np.sqrt(pixels)))

    def exposure(self, *, frontier: bool = False) -> float:
        """Exposure time in seconds; a depth of one magnitude more takes 10^0.8 times as long."""
        return float(round(self.exposure_s * 10 ** (0.8 * self._gain(frontier))))

    def _gain(self, frontier: bool) -> float:
        return _NUMBERS["depth"]["frontier_gain"] if frontier and self.name in FRONTIER_BANDS else 0.0


BANDS: Mapping[str, Band] = MappingProxyType({row[0]: Band(*row) for row in _NUMBERS["bands"]["rows"]})
WAVELENGTHS = np.array([band.wavelength_um for band in BANDS.values()])
#: Number of the band in which magnitudes are given and sources detected.
F814 = list(BANDS).index("F814")
ACS_BANDS = tuple(name for name, band in BANDS.items() if band.camera == "ACS")
IR_BANDS = tuple(name for name, band in BANDS.items() if band.camera == "WFC3-IR")
#: The bands of the Frontier Fields, and the five of them that the configuration "mixed" uses.
FRONTIER_BANDS: tuple[str, ...] = tuple(_NUMBERS["configurations"]["frontier"])
MIXED_BANDS: tuple[str, ...] = tuple(_NUMBERS["configurations"]["mixed"])


def band_names(bands: Iterable[str] | None) -> tuple[str, ...]:
    """Band names, checked and in the order of wavelength; all twelve for None."""
    asked = tuple(BANDS) if bands is None else tuple(bands)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(BANDS):
        raise InputError(f"bands must be different names out of {tuple(BANDS)}, got {asked}")
    return tuple(name for name in BANDS if name in asked)
