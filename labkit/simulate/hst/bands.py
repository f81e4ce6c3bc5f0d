"""The bands of HST in which CLASH clusters were classified, what limits them, and colours in them.

Their numbers stand in ``bands.toml``.

Colours are those of template spectra at a redshift. Templates and transmission curves come with kcorrect
(Blanton & Roweis 2007, AJ 133, 734); they are read as files, because importing kcorrect takes seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np
from astropy.io import ascii as text
from astropy.io import fits
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.simulate.numbers import read_numbers

_NUMBERS = read_numbers("hst/bands")
_PSF, _DEPTH, _DRIZZLE, _TEMPLATES = (_NUMBERS[group] for group in ("psf", "depth", "drizzle", "templates"))
PIXEL_SCALE_ARCSEC: float = _NUMBERS["mosaics"]["pixel_scale_arcsec"]
#: Every point-spread function is a sum of Gaussians that are at least this wide.
CORE_FWHM_ARCSEC: float = _PSF["core_fwhm_arcsec"]
HIGHEST_REDSHIFT: float = _TEMPLATES["highest_redshift"]
_STEPS = 400  # of the grid of redshifts


@dataclass(frozen=True)
class Band:
    """One filter and what was taken through it."""

    name: str  # short, ``F814``
    camera: str  # ACS, or WFC3-IR, which sees less of the sky
    element: str  # name of the filter in HST's headers, ``F814W``
    wavelength_um: float  # pivot wavelength
    zero_point: float  # AB magnitude of 1 electron/s
    depth: float  # AB magnitude of a point source at 5 sigma in an aperture of 0.4 arcsec diameter
    exposure_s: float
    fwhm_arcsec: float  # of the point-spread function, pixels included

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
        return np.array(_PSF["shares"]), core * np.array(_PSF["widths"])

    def noise_kernel(self) -> NDArray:
        """What the drizzling of the mosaics does to independent noise along each axis; (tap,)."""
        native = _DRIZZLE["native_arcsec"][self.camera]
        return drizzle_kernel(native, pixfrac=_DRIZZLE["pixfrac"], scale_arcsec=PIXEL_SCALE_ARCSEC)

    def sky_sigma(self, *, frontier: bool = False) -> float:
        """Noise of the sky before drizzling, electrons per second, that the depth implies.

        The depth is that of an aperture, whose noise is summed over correlated pixels: N pixels of a large
        one see sqrt(N) times this number, more than N times the variance of a pixel (`pixel_sigma`), those of
        the depth's small one up to a tenth less. Frontier Fields are deeper in the bands of that programme.
        """
        weights, sigmas = self.psf()
        aperture, limit = _DEPTH["aperture_arcsec"], _DEPTH["sigmas"]
        caught = np.sum(weights * (1 - np.exp(-(aperture**2) / (2 * sigmas**2))))
        noise = aperture_noise(self.noise_kernel(), aperture / PIXEL_SCALE_ARCSEC)
        return float(self.flux(self.depth + self._gain(frontier)) * caught / (limit * noise))

    def pixel_sigma(self, *, frontier: bool = False) -> float:
        """Noise of the sky in one pixel of the mosaic, electrons per second."""
        return self.sky_sigma(frontier=frontier) * float(np.sum(self.noise_kernel() ** 2))

    def exposure(self, *, frontier: bool = False) -> float:
        """Exposure time in seconds; a depth of one magnitude more takes 10^0.8 times as long."""
        return float(round(self.exposure_s * 10 ** (0.8 * self._gain(frontier))))

    def _gain(self, frontier: bool) -> float:
        return _DEPTH["frontier_gain"] if frontier and self.name in FRONTIER_BANDS else 0.0


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
    """Band names, checked and in the order of wavelength; all for None."""
    asked = tuple(BANDS) if bands is None else tuple(bands)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(BANDS):
        raise InputError(f"bands must be different names out of {tuple(BANDS)}, got {asked}")
    return tuple(name for name in BANDS if name in asked)


@lru_cache
def drizzle_kernel(native_arcsec: float, *, pixfrac: float, scale_arcsec: float) -> NDArray:
    """Taps, which sum to 1, that give independent noise the correlation of drizzled pixels along an axis.

    A dropped pixel of side r and an output pixel of side 1 share the overlap of two boxes; over many dithers
    the noise of pixels l apart has the covariance of two triangles convolved, whose pixel variance is that of
    Casertano et al. (2000, AJ 120, 2747, appendix A). The taps are its factor with all roots within 1.
    """
    r, step = pixfrac * native_arcsec / scale_arcsec, ((-1, 1), (0, -2), (1, 1))
    lags = np.arange(int(np.ceil(1 + r)))
    shared = sum(a * b * np.abs(lags + i + j * r) ** 3 for i, a in step for j, b in step) / (12 * r**2)
    roots = np.roots(np.concatenate([shared[:0:-1], shared]))
    taps = np.real(np.poly(roots[np.abs(roots) < 1]))
    return taps / taps.sum()


def aperture_noise(kernel: NDArray, radius_px: float) -> float:
    """Noise in a circle, in units of that of an independent pixel, after a kernel (tap,) along both axes."""
    axis = np.arange(-int(radius_px) - 1, int(radius_px) + 2)
    inside = (np.hypot(*np.meshgrid(axis, axis)) <= radius_px).astype(float)
    seen = np.pad(inside, len(kernel))
    for number in (0, 1):
        seen = np.apply_along_axis(np.convolve, number, seen, kernel, mode="same")
    # A circle cuts pixels: the sum over whole ones is scaled to its area.
    return float(np.sqrt(np.pi * radius_px**2 * np.sum(seen**2) / inside.sum()))


def magnitudes(redshift: NDArray, light: NDArray, *, tilt: NDArray | float = 0.0) -> NDArray:
    """AB magnitudes less distance modulus and absolute rest-frame r, in all bands; (n, band).

    `light` (n, 3) holds the shares of the templates old, intermediate and young in the rest-frame r light.
    The spectrum is multiplied by wavelength^-tilt: positive is bluer, as with less metals, a younger age or
    less dust.
    """
    z = np.asarray(redshift, dtype=float)
    where = np.log1p(z) / np.log1p(HIGHEST_REDSHIFT) * (_STEPS - 1)
    low = np.clip(where.astype(int), 0, _STEPS - 2)
    part = (where - low)[:, None, None]
    grid = _grid()
    flux = 10 ** (-0.4 * ((1 - part) * grid[low] + part * grid[low + 1]))  # (n, template, band)
    mixed = -2.5 * np.log10(np.einsum("nt,ntb->nb", np.asarray(light, dtype=float), flux))
    rest = WAVELENGTHS / (1 + z[:, None]) / _TEMPLATES["pivot_um"]
    return mixed + 2.5 * np.broadcast_to(tilt, z.shape)[:, None] * np.log10(rest)


def star_colours(temperature: NDArray) -> NDArray:
    """AB magnitudes of black bodies (n,), K, in all bands relative to F814; (n, band)."""
    x = 14387.8 / (WAVELENGTHS * np.asarray(temperature, dtype=float)[:, None])
    colour = -2.5 * np.log10(WAVELENGTHS**-3 / np.expm1(x))
    return colour - colour[:, [F814]]


@lru_cache(maxsize=1)
def _grid() -> NDArray:
    """Magnitudes relative to absolute rest-frame r, shape (redshift, template, band); takes a second."""
    spectra = [_spectrum(*_TEMPLATES[name]) for name in ("old", "intermediate", "young")]
    redshifts = np.expm1(np.linspace(0, np.log1p(HIGHEST_REDSHIFT), _STEPS))
    grid = np.empty((_STEPS, len(spectra), len(BANDS)))
    for column, band in enumerate(BANDS.values()):
        wave, response = _response(band.response)
        through = np.gradient(wave) * response
        for row, z in enumerate(redshifts):
            rest = wave / (1 + z)
            weight = through * wave * _transmission(rest, z) / (1 + z)
            for number, (lam, flux) in enumerate(spectra):
                grid[row, number, column] = weight @ np.interp(rest, lam, flux)
        grid[:, :, column] /= np.sum(through / wave)
    return -2.5 * np.log10(np.maximum(grid, 1e-12))


def _spectrum(filename: str, row: int) -> tuple[NDArray, NDArray]:
    """Wavelengths (Angstrom) and flux of a template, normalised to AB 0 in rest-frame r."""
    with fits.open(_kcorrect() / "templates" / filename, memmap=False) as hdus:
        table = hdus["FLUX"].data
        wave = table["wave"][0].astype(float)
        flux = np.atleast_2d(table["flux"][0])[row].astype(float)
    low, high = _TEMPLATES["reference_um"]
    inside = (wave > 1e4 * low) & (wave < 1e4 * high)
    step = np.gradient(wave)[inside]
    mean = np.sum(step * wave[inside] * flux[inside]) / np.sum(step / wave[inside])
    return wave, flux / mean


def _transmission(rest: NDArray, z: float) -> NDArray:
    """What intergalactic hydrogen lets through: Lyman alpha and beta of Madau 1995 (ApJ 441, 18)."""
    depth = np.zeros_like(rest)
    for line, strength in ((1215.67, 0.0036), (1025.72, 0.0017)):
        below = rest < line
        depth[below] += strength * (rest[below] * (1 + z) / line) ** 3.46
    depth[rest < 912] += 3.0
    return np.exp(-depth)


def _response(name: str) -> tuple[NDArray, NDArray]:
    """Wavelengths (Angstrom) and response per photon, thinned to what the templates resolve."""
    path = _kcorrect() / "responses" / f"{name}.dat"
    table = text.read(path, format="fixed_width", delimiter="|", comment="#")
    wave, response = np.asarray(table["lambda"], float), np.asarray(table["pass"], float)
    grid = np.arange(wave[0], wave[-1], 5.0)
    return grid, np.interp(grid, wave, response)


def _kcorrect() -> Path:
    spec = find_spec("kcorrect")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDataError(
            "the templates and filters of kcorrect must be installed, found none; run 'pip install kcorrect'"
        )
    return Path(spec.submodule_search_locations[0]) / "data"
