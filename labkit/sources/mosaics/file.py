"""One mosaic of one band: pixels left on disk, world coordinates, AB zero point."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.sources.fitsfile import image_wcs, is_gzipped, opened

__all__ = ["ZERO_POINT_KEYWORDS", "Mosaic", "ab_zero_point", "open_mosaic"]

logger = logging.getLogger(__name__)

#: Header keywords that hold the AB magnitude of one unit.
ZERO_POINT_KEYWORDS = ("PHOTZP", "ZEROPNT", "MZP_AB", "ABMAGZP")
#: Pixels may be longer one way than the other by this fraction.
_SQUARE = 0.01


@dataclass(frozen=True, eq=False)
class Mosaic:
    """One band of a field.

    Attributes
    ----------
    band : str
        Name of the band.
    data : array, shape (y, x)
        Pixels, as a rule memory-mapped: read where they are used. NaN (and other blanks) where not covered.
    wcs : astropy.wcs.WCS
        Celestial world coordinates.
    zero_point : float or None
        AB magnitude of one unit of flux in a pixel, where the header says it.
    unit : str
        Unit of the pixels as the header names it, or "".
    exposure_s : float or None
        Exposure time, where the header says it (EXPTIME).
    psf_fwhm_arcsec : float or None
        Width of the point-spread function, where the header says it (PSFFWHM).
    origin : str
        Who made it, as the header says, or "".
    path : pathlib.Path or None
        The file.
    """

    band: str
    data: NDArray
    wcs: WCS
    zero_point: float | None = None
    unit: str = ""
    exposure_s: float | None = None
    psf_fwhm_arcsec: float | None = None
    origin: str = ""
    path: Path | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along y and x."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def pixel_scale(self) -> u.Quantity:
        """Side of a pixel, the mean of both, arcsec."""
        return float(np.mean(proj_plane_pixel_scales(self.wcs))) * 3600 * u.arcsec

    @property
    def square(self) -> bool:
        """Whether pixels are square."""
        x, y = proj_plane_pixel_scales(self.wcs)
        return abs(x / y - 1) < _SQUARE

    @property
    def gain(self) -> float | None:
        """Electrons in one unit of a pixel, as far as unit and exposure tell; None otherwise."""
        unit = self.unit.lower().replace(" ", "")
        if unit in ("electrons/s", "electron/s", "e-/s", "e/s"):
            return self.exposure_s
        return 1.0 if unit in ("electrons", "electron", "e-") else None

    @property
    def name(self) -> str:
        """What to call it in messages: the file's name or the band."""
        return self.path.name if self.path is not None else self.band


def open_mosaic(path: str | Path, *, band: str, hdu: int | str | None = None) -> Mosaic:
    """Open a mosaic without reading its pixels.

    Plain FITS files are memory-mapped. Gzipped, tile-compressed and scaled (BSCALE, BZERO, BLANK) images
    cannot be: they are read once and stay in memory.

    Parameters
    ----------
    path : path
        FITS file.
    band : str
        Name of its band.
    hdu : int or str, optional
        Number or name of the extension; by default ``SCI``, or the first that holds a two-dimensional image.

    Returns
    -------
    Mosaic
        The mosaic.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If it is not a whole FITS file, or lacks the extension, an image or celestial coordinates.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no mosaic {str(path)!r} for {band!r}; check the path")
    with opened(path) as hdus:
        number = _image_number(hdus, path, hdu)
        header = hdus[number].header.copy()
        data = _pixels(hdus, number, path)
    return Mosaic(
        band,
        data,
        image_wcs(header, path.name),
        zero_point=ab_zero_point(header),
        unit=str(header.get("BUNIT", "")),
        exposure_s=_positive(header.get("EXPTIME")),
        psf_fwhm_arcsec=_positive(header.get("PSFFWHM")),
        origin=str(header.get("ORIGIN", "")),
        path=path,
    )


def ab_zero_point(header: fits.Header) -> float | None:
    """AB magnitude of one unit: a keyword of `ZERO_POINT_KEYWORDS`, or PHOTFLAM with PHOTPLAM.

    The latter, in HST's headers, give -2.5 log PHOTFLAM - 5 log PHOTPLAM - 2.408 (ACS data handbook, section
    5.1.1).

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of an image.

    Returns
    -------
    float or None
        None where the header does not say.
    """
    for name in ZERO_POINT_KEYWORDS:
        if _is_number(header.get(name)):
            return float(header[name])
    flux, wavelength = header.get("PHOTFLAM"), header.get("PHOTPLAM")
    if _is_number(flux) and _is_number(wavelength) and flux > 0 and wavelength > 0:
        return float(-2.5 * np.log10(flux) - 5 * np.log10(wavelength) - 2.408)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _positive(value: Any) -> float | None:
    return float(value) if _is_number(value) and value > 0 else None


def _image_number(hdus: fits.HDUList, path: Path, hdu: int | str | None) -> int:
    if hdu is not None:
        try:
            candidates: Iterable[int] = [hdus.index_of(hdu)]
            hdus[hdu]
        except (KeyError, IndexError) as error:
            raise InputError(
                f"hdu must be an extension of {path.name!r} (0 to {len(hdus) - 1}), got {hdu!r}"
            ) from error
    else:
        candidates = sorted(range(len(hdus)), key=lambda number: hdus[number].name != "SCI")
    for number in candidates:
        shape = hdus[number].shape if hdus[number].is_image else ()
        if len(shape) >= 2 and sum(n > 1 for n in shape[:-2]) == 0:
            return number
    raise InputError(
        f"{path.name!r} must hold a two-dimensional image, got none; name the right file, pattern or hdu"
    )


def _pixels(hdus: fits.HDUList, number: int, path: Path) -> NDArray:
    one, place = hdus[number], hdus.fileinfo(number)
    shape, header = one.shape[-2:], one.header
    blank = header["BITPIX"] > 0 and "BLANK" in header
    scaled = blank or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0
    if isinstance(one, fits.CompImageHDU) or scaled or is_gzipped(path):
        logger.info("reading %s into memory: it is compressed or scaled", path.name)
        return np.asarray(one.data).reshape(shape)
    kind = fits.BITPIX2DTYPE[header["BITPIX"]]
    dtype = np.dtype(kind).newbyteorder(">")
    return np.memmap(path, dtype=dtype, mode="r", offset=place["datLoc"], shape=shape)
