"""The twelve bands of HST in which CLASH clusters were classified, and what limits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError

__all__ = [
    "ACS_BANDS",
    "BANDS",
    "CORE_FWHM_ARCSEC",
    "FRONTIER_BANDS",
    "IR_BANDS",
    "MIXED_BANDS",
    "PIXEL_SCALE_ARCSEC",
    "Band",
    "band_names",
]

#: Pixel scale of the mosaics (Angora et al. 2020, section 2).
PIXEL_SCALE_ARCSEC = 0.065
#: Every point-spread function is a sum of Gaussians that are at least this wide.
CORE_FWHM_ARCSEC = 0.095
#: Radius of the aperture in which the depths hold.
APERTURE_ARCSEC = 0.2
#: Frontier Field imaging is deeper than CLASH by this much.
FRONTIER_GAIN = 1.0

_SIGMA = 1 / np.sqrt(8 * np.log(2))


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
        """Weights and dispersions (arcsec) of the Gaussians that make up the point-spread function.

        A core, the first ring and a halo: 0.8, 0.16 and 0.04 of the light. Diffraction spikes belong to the
        painting of stars.
        """
        core = max(0.97 * self.fwhm_arcsec, CORE_FWHM_ARCSEC) * _SIGMA
        return np.array([0.80, 0.16, 0.04]), core * np.array([1.0, 2.2, 6.0])

    def sky_sigma(self, *, frontier: bool = False) -> float:
        """Noise of the sky in one pixel, electrons per second, that the depth implies.

        Parameters
        ----------
        frontier : bool
            Whether the cluster is a Frontier Field, deeper in the bands of that programme.

        Returns
        -------
        float
            Standard deviation of independent pixels. Drizzled mosaics have correlated noise, which is less in
            a pixel for the same depth; that is not imitated.
        """
        gain = FRONTIER_GAIN if frontier and self.name in FRONTIER_BANDS else 0.0
        weights, sigmas = self.psf()
        caught = np.sum(weights * (1 - np.exp(-(APERTURE_ARCSEC**2) / (2 * sigmas**2))))
        pixels = np.pi * (APERTURE_ARCSEC / PIXEL_SCALE_ARCSEC) ** 2
        return float(self.flux(self.depth + gain) * caught / (5 * np.sqrt(pixels)))

    def exposure(self, *, frontier: bool = False) -> float:
        """Exposure time in seconds; a depth of one magnitude more takes 10^0.8 times as long."""
        gain = FRONTIER_GAIN if frontier and self.name in FRONTIER_BANDS else 0.0
        return float(round(self.exposure_s * 10 ** (0.8 * gain)))


#: Depths and exposure times close to those of CLASH (Postman et al. 2012, ApJS 199, 25, from memory), zero
#: points of the instrument handbooks.
BANDS: Mapping[str, Band] = MappingProxyType(
    {
        row[0]: Band(*row)
        for row in (
            ("F435", "ACS", "F435W", 0.4330, 25.68, 27.2, 4000, 0.100),
            ("F475", "ACS", "F475W", 0.4747, 26.06, 27.6, 4000, 0.100),
            ("F606", "ACS", "F606W", 0.5921, 26.49, 27.6, 4000, 0.102),
            ("F625", "ACS", "F625W", 0.6311, 25.90, 27.2, 4000, 0.103),
            ("F775", "ACS", "F775W", 0.7693, 25.67, 27.0, 4000, 0.106),
            ("F814", "ACS", "F814W", 0.8047, 25.95, 27.7, 8000, 0.107),
            ("F850", "ACS", "F850LP", 0.9033, 24.85, 26.7, 8000, 0.112),
            ("F105", "WFC3-IR", "F105W", 1.0552, 26.27, 27.3, 2800, 0.175),
            ("F110", "WFC3-IR", "F110W", 1.1534, 26.82, 27.8, 2500, 0.178),
            ("F125", "WFC3-IR", "F125W", 1.2486, 26.23, 27.2, 2500, 0.181),
            ("F140", "WFC3-IR", "F140W", 1.3923, 26.45, 27.4, 2300, 0.186),
            ("F160", "WFC3-IR", "F160W", 1.5369, 25.95, 27.5, 5000, 0.193),
        )
    }
)
ACS_BANDS = tuple(name for name, band in BANDS.items() if band.camera == "ACS")
IR_BANDS = tuple(name for name, band in BANDS.items() if band.camera == "WFC3-IR")
#: The bands of the Frontier Fields, and the five of them that the configuration "mixed" uses.
FRONTIER_BANDS = ("F435", "F606", "F814", "F105", "F125", "F140", "F160")
MIXED_BANDS = ("F435", "F606", "F814", "F105", "F140")


def band_names(bands: Iterable[str] | None) -> tuple[str, ...]:
    """Band names, checked and in the order of wavelength; all twelve for None.

    Raises
    ------
    InputError
        If a band is unknown or given twice, or there is none.
    """
    asked = tuple(BANDS) if bands is None else tuple(bands)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(BANDS):
        raise InputError(f"bands must be different names out of {tuple(BANDS)}, got {asked}")
    return tuple(name for name in BANDS if name in asked)
