"""Which file is which band, and one mosaic: pixels left on disk, world coordinates, AB zero point."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import pixel_scale_arcsec
from labkit.sources.fitsfile import (
    header_number,
    header_text,
    header_value,
    image_number,
    image_wcs,
    is_gzipped,
    open_fits,
)

logger = logging.getLogger(__name__)

#: What the last part of a name says of a file of high-level products: an image of the sky, or a map.
_IMAGES = {"drz", "drc", "sci", "img", "image", "mosaic", "coadd", "i2d"}
_MAPS = {
    "wht", "weight", "weights", "rms", "exp", "expmap", "exposure", "ctx", "con", "err", "error", "var",
    "ivm", "ivar", "sigma", "flag", "flags", "mask", "seg", "segm", "segmentation", "psf", "bkg",
    "background", "cat",
}  # fmt: skip


def wavelength_um(band: str, telescope: str = "") -> float | None:
    """Wavelength of a band by its name (F814W, f444w, g, Ks), in micrometres; None where it is not known."""
    known, jwst = _wavelengths()
    for name in (band, band.upper()):
        if name in known:
            return known[name]
    number = re.fullmatch(r"F(\d{3,4})[A-Z]*2?", band.upper())
    if number is None:
        return None
    digits = int(number[1])
    tens = telescope.upper() == "JWST" or band.upper() in jwst or digits < 200 or len(number[1]) == 4
    return digits / (100 if tens else 1000)


def blue_to_red(band: str, telescope: str = "") -> tuple[float, str]:
    """Key to sort bands by: wavelength, those that are not known last, then name."""
    known = wavelength_um(band, telescope)
    return float("inf") if known is None else known, band


@cache
def _wavelengths() -> tuple[dict[str, float], frozenset[str]]:
    tables = tomllib.loads((Path(__file__).with_name("wavelengths.toml")).read_text())
    jwst = frozenset(tables.pop("jwst")["names"])
    return {name: um for table in tables.values() for name, um in table.items() if name != "source"}, jwst


def folder_files(folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """Bands and files of a folder; ``{band}`` in the pattern is letters and digits, ``*`` and ``?`` anything.

    High-level products end in what they hold ("..._f814w_v1_drz.fits"): an image of the sky then takes the
    one known band in its name, weight and rms maps are left out.
    """
    if "{band}" not in pattern:
        raise InputError(f"pattern must hold {{band}} where the band stands in file names, got {pattern!r}")
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {str(folder)!r} of mosaics; check the path")
    parts = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split("{band}")]
    form = re.compile(f"{parts[0]}(?P<band>[A-Za-z0-9]+){'(?P=band)'.join(parts[1:])}")
    matches = [(form.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    found = [(_band_of(match["band"], path), path) for match, path in matches if match is not None]
    if maps := [path.name for band, path in found if band is None]:
        logger.info("left out %s: maps, not images of the sky", ", ".join(maps))
    files = [(band, path) for band, path in found if band is not None]
    if not files:
        raise MissingDataError(
            f"folder {str(folder)!r} must hold files named like {pattern!r}, got none"
            f"{f' but the maps {maps}' if maps else ''}; give another pattern"
        )
    return sorted(files, key=lambda pair: blue_to_red(pair[0]))


def _band_of(word: str, path: Path) -> str | None:
    """The band that a word of a file's name stands for; None for a map."""
    words = re.split(r"[_.\-]", path.name)
    if word.lower() in _MAPS or (word.lower() in _IMAGES and _MAPS & {one.lower() for one in words}):
        return None
    if word.lower() not in _IMAGES:
        return word
    bands = [one for one in words if len(one) > 1 and wavelength_um(one) is not None]
    bands = bands or [one for one in words[1:] if wavelength_um(one) is not None]
    if len(set(bands)) != 1:
        raise InputError(
            f"the band in the name of {path.name!r} must be clear, got {bands or f'only {word!r}'}; give a "
            f"pattern, such as '*_{{band}}_*{word}.fits*'"
        )
    return bands[0]


def chosen_files(files: Sequence[tuple[str, Path]], bands: Iterable[str] | None) -> list[tuple[str, Path]]:
    """The files of some bands, in their order; all for None."""
    refuse_twice(files)
    if bands is None:
        return list(files)
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    there = dict(files)
    if missing := [name for name in names if name not in there]:
        raise MissingDataError(
            f"bands must be among those that are there {tuple(there)}, got {missing}; add their mosaics or "
            "choose other bands"
        )
    return [(name, there[name]) for name in names]


def refuse_twice(files: Sequence[tuple[str, Path | None]]) -> None:
    """Refuse a band that is given twice, and a file that is given for two bands."""
    bands: dict[str, Path | None] = {}
    paths: dict[Path, str] = {}
    for band, path in files:
        if band in bands:
            names = " and ".join(repr(str(one)) for one in (bands[band], path) if one is not None)
            raise InputError(
                f"each band must be given once, got {band!r} twice ({names}); remove one of them"
            )
        bands[band] = path
        if path is not None and paths.setdefault(path.resolve(), band) != band:
            raise InputError(
                f"each file must belong to one band, got {path.name!r} for {paths[path.resolve()]!r} and "
                f"{band!r}; name the right file"
            )


#: Header keywords that hold the AB magnitude of one unit. MAGZPT is none: at VISTA and UKIRT it is a Vega
#: magnitude of one count per second.
ZERO_POINT_KEYWORDS = ("PHOTZP", "ZEROPNT", "MZP_AB", "ABMAGZP", "MAGZERO")
_SQUARE = 0.01  # pixels may be longer one way than the other by this fraction
_PER_SECOND = ("electrons/s", "electron/s", "e-/s", "e/s")
_ELECTRONS = ("electrons", "electron", "e-")
_COUNTS = (*_ELECTRONS, "counts", "count", "cts", "dn", "adu")


@dataclass(frozen=True, eq=False)
class Mosaic:
    """One band of a field; what its header does not say is None or ""."""

    band: str
    data: NDArray  # (y, x), as a rule memory-mapped: read where used; NaN and other blanks where not covered
    wcs: WCS  # celestial
    zero_point: float | None = None  # AB magnitude of one unit of flux in a pixel
    unit: str = ""  # of the pixels
    exposure_s: float | None = None  # EXPTIME
    psf_fwhm_arcsec: float | None = None  # PSFFWHM
    origin: str = ""  # who made it
    path: Path | None = None
    telescope: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along y and x."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def pixel_scale(self) -> u.Quantity:
        """Side of a pixel, the mean of both, arcsec."""
        return pixel_scale_arcsec(self.wcs) * u.arcsec

    @property
    def square(self) -> bool:
        """Whether pixels are square."""
        x, y = proj_plane_pixel_scales(self.wcs)
        return abs(x / y - 1) < _SQUARE

    @property
    def gain(self) -> float | None:
        """Electrons in one unit of a pixel, as far as unit and exposure tell; None otherwise."""
        unit = self.unit.lower().replace(" ", "")
        if unit in _PER_SECOND:
            return self.exposure_s
        return 1.0 if unit in _ELECTRONS else None

    @property
    def name(self) -> str:
        """What to call it in messages: the file's name or the band."""
        return self.path.name if self.path is not None else self.band


def open_mosaic(path: str | Path, *, band: str, hdu: int | str | None = None) -> Mosaic:
    """Open a mosaic without reading its pixels; by default the extension ``SCI``, or the first with an image.

    Plain FITS files are memory-mapped. Gzipped, tile-compressed and scaled (BSCALE, BZERO, BLANK) images
    cannot be: they are read once and stay in memory. What the image's header lacks is looked for in the
    primary one, as in HST's drizzled images.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no mosaic {str(path)!r} for {band!r}; check the path")
    with open_fits(path) as hdus:
        number = image_number(hdus, path, hdu, first="SCI")
        header = hdus[number].header.copy()
        data = _pixels(hdus, number, path)
        wcs = image_wcs(header, path.name, hdus)
        facts = fits.Header(_facts(hdus[0].header) | _facts(header))
    return Mosaic(
        band,
        data,
        wcs,
        zero_point=ab_zero_point(facts, where=path.name),
        unit=header_text(facts, "BUNIT"),
        exposure_s=header_number(facts, "EXPTIME", low=1e-9, where=path.name),
        psf_fwhm_arcsec=header_number(facts, "PSFFWHM", low=1e-9, where=path.name),
        origin=header_text(facts, "ORIGIN"),
        path=path,
        telescope=header_text(facts, "TELESCOP"),
    )


def _facts(header: fits.Header) -> dict[str, object]:
    """The cards that say how bright a pixel is, and by whom it was made."""
    names = (
        *ZERO_POINT_KEYWORDS, "FLUXMAG0", "PHOTFLAM", "PHOTPLAM", "PIXAR_SR", "PIXAR_A2", "BUNIT", "EXPTIME",
        "PSFFWHM", "ORIGIN", "TELESCOP",
    )  # fmt: skip
    return {name: header_value(header, name) for name in names if name in header}


def ab_zero_point(header: fits.Header, *, where: str = "") -> float | None:
    """AB magnitude of one unit of a pixel, as far as a header (of the file `where`) says it; else None.

    In this order: a keyword of `ZERO_POINT_KEYWORDS`; FLUXMAG0, the flux of magnitude 0 (HSC); HST's PHOTFLAM
    and PHOTPLAM, -2.5 log PHOTFLAM - 5 log PHOTPLAM - 2.408 (ACS data handbook, section 5.1.1) for one
    electron or count per second, and 2.5 log EXPTIME more where the unit is not per second; a unit of flux
    (nanomaggy, nJy, Jy ...), or of surface brightness (JWST's MJy/sr) with the pixel's area PIXAR_SR or
    PIXAR_A2.
    """
    for name in ZERO_POINT_KEYWORDS:
        if (value := header_number(header, name, low=-50, high=100, where=where)) is not None:
            return value
    if (flux := header_number(header, "FLUXMAG0", low=1e-30, where=where)) is not None:
        return float(2.5 * np.log10(flux))
    unit = header_text(header, "BUNIT").lower().replace(" ", "")
    flux = header_number(header, "PHOTFLAM", low=1e-40, where=where)
    wavelength = header_number(header, "PHOTPLAM", low=1e-9, where=where)
    if flux is not None and wavelength is not None:
        rate = float(-2.5 * np.log10(flux) - 5 * np.log10(wavelength) - 2.408)
        if unit not in _COUNTS:
            return rate
        seconds = header_number(header, "EXPTIME", low=1e-9, where=where)
        return None if seconds is None else rate + float(2.5 * np.log10(seconds))
    return _unit_zero_point(header, where)


def _unit_zero_point(header: fits.Header, where: str) -> float | None:
    """AB magnitude of a unit that is a flux, or a surface brightness over a known area."""
    text = header_text(header, "BUNIT")
    if text.lower().startswith(("nanomagg", "nmgy")):
        return 22.5
    try:
        unit = u.Unit(text) if text else u.one
    except ValueError:
        return None
    if unit.is_equivalent(u.Jy):
        return float((1 * unit).to_value(u.ABmag))
    if unit.is_equivalent(u.Jy / u.sr):
        area = header_number(header, "PIXAR_SR", low=1e-30, where=where)
        if area is None:
            square = header_number(header, "PIXAR_A2", low=1e-30, where=where)
            area = None if square is None else (square * u.arcsec**2).to_value(u.sr)
        return None if area is None else float((area * u.sr * unit).to_value(u.ABmag))
    return None


def _pixels(hdus: fits.HDUList, number: int, path: Path) -> NDArray:
    one, place = hdus[number], hdus.fileinfo(number)
    shape, header = one.shape[-2:], one.header
    blank = header["BITPIX"] > 0 and "BLANK" in header
    scaled = blank or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0
    if isinstance(one, fits.CompImageHDU) or scaled or is_gzipped(path):
        logger.info("reading %s into memory: it is compressed or scaled", path.name)
        data = np.asarray(one.data).reshape(shape)
        return data.astype(data.dtype.newbyteorder("="), copy=False)
    dtype = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
    return np.memmap(path, dtype=dtype, mode="r", offset=place["datLoc"], shape=shape)
