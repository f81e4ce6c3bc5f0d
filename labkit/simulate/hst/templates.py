"""Colours of galaxies: template spectra at a redshift, seen through the filters of CLASH.

Templates and transmission curves are those that come with kcorrect (Blanton & Roweis 2007, AJ 133, 734). They
are read as files, because importing kcorrect takes seconds.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from astropy.io import ascii as text
from astropy.io import fits
from numpy.typing import NDArray

from labkit.errors import MissingDataError
from labkit.simulate.hst.bands import BANDS, F814, WAVELENGTHS
from labkit.simulate.numbers import read_numbers

_NUMBERS = read_numbers("hst/bands")["templates"]
HIGHEST_REDSHIFT: float = _NUMBERS["highest_redshift"]
_STEPS = 400


def magnitudes(redshift: NDArray, light: NDArray, *, tilt: NDArray | float = 0.0) -> NDArray:
    """AB magnitudes less distance modulus and absolute rest-frame r, in all twelve bands; (n, band).

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
    rest = WAVELENGTHS / (1 + z[:, None]) / _NUMBERS["pivot_um"]
    return mixed + 2.5 * np.broadcast_to(tilt, z.shape)[:, None] * np.log10(rest)


def star_colours(temperature: NDArray) -> NDArray:
    """AB magnitudes of black bodies (n,), K, in all bands relative to F814; (n, band)."""
    x = 14387.8 / (WAVELENGTHS * np.asarray(temperature, dtype=float)[:, None])
    colour = -2.5 * np.log10(WAVELENGTHS**-3 / np.expm1(x))
    return colour - colour[:, [F814]]


@lru_cache(maxsize=1)
def _grid() -> NDArray:
    """Magnitudes relative to absolute rest-frame r, shape (redshift, template, band); takes a second."""
    spectra = [_spectrum(*_NUMBERS[name]) for name in ("old", "intermediate", "young")]
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
    low, high = _NUMBERS["reference_um"]
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
