"""One mosaic: which file is which band, pixels left on disk, AB zero point, how its grid lies on the sky."""

import logging
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky, sky_to_pixel
from labkit.sources.fitsfile import (
    header_number,
    header_text,
    header_value,
    image_number,
    image_wcs,
    open_fits,
)
from labkit.sources.fluxscale import flux_scale, scale_keywords
from labkit.tables.reading import is_gzipped

logger = logging.getLogger(__name__)

#: What the last part of a name says of a file of high-level products: an image of the sky, or a map.
_IMAGES = {"drz", "drc", "sci", "img", "image", "mosaic", "coadd", "i2d"}
_MAPS = {
    "wht", "weight", "weights", "rms", "exp", "expmap", "exposure", "ctx", "con", "err", "error", "var",
    "ivm", "ivar", "sigma", "flag", "flags", "mask", "seg", "segm", "segmentation", "psf", "bkg",
    "background", "cat",
}  # fmt: skip
_SQUARE = 0.01  # pixels may be longer one way than the other by this fraction
_SAME_GRID_PX = 0.01  # grids are the same if their pixels differ by whole numbers to this
_NORTH_UP_DEG = 1.0  # north may be off by this before pixels are resampled: half a pixel at the rim of 64
#: Pixel scales are the same if they differ by this fraction at most.
SAME_SCALE = 1e-3
_LATTICE = 9


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
    tables = tomllib.loads(Path(__file__).with_name("wavelengths.toml").read_text())
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


@dataclass(frozen=True, eq=False)
class Mosaic:
    """One band of a field; what its header does not say is None or ""."""

    band: str
    data: NDArray  # (y, x), as a rule memory-mapped: read where used; NaN and other blanks where not covered
    wcs: WCS  # celestial
    zero_point: float | None = None  # AB magnitude of one unit of flux in a pixel
    zero_point_from: str = ""  # the keyword, "given", or why it is not known
    gain: float | None = None  # electrons in one unit of a pixel
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
    def name(self) -> str:
        """What to call it in messages: the file's name or the band."""
        return self.path.name if self.path is not None else self.band

    def copy_into(self, out: NDArray[np.float32], x: int, y: int) -> None:
        """Fill `out` with the pixels from (x, y) on; what lies off the mosaic is left as it is."""
        low, left = max(y, 0), max(x, 0)
        part = self.data[low : max(y + out.shape[0], 0), left : max(x + out.shape[1], 0)]
        out[low - y : low - y + part.shape[0], left - x : left - x + part.shape[1]] = part


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
        facts = _facts(hdus[0].header)
        facts.update(_facts(header))
    scale = flux_scale(facts, band=band, where=path.name)
    return Mosaic(
        band,
        data,
        wcs,
        zero_point=scale.zero_point,
        zero_point_from=scale.origin,
        gain=scale.gain,
        unit=header_text(facts, "BUNIT"),
        exposure_s=header_number(facts, "EXPTIME", low=1e-9, where=path.name),
        psf_fwhm_arcsec=header_number(facts, "PSFFWHM", low=1e-9, where=path.name),
        origin=header_text(facts, "ORIGIN"),
        path=path,
        telescope=header_text(facts, "TELESCOP"),
    )


def _facts(header: fits.Header) -> fits.Header:
    """The cards that say how bright a pixel is, and by whom it was made."""
    names = (*scale_keywords(), "PSFFWHM", "ORIGIN", "TELESCOP")
    values = {name: header_value(header, name) for name in names if name in header}
    comments = {name: "" if value is None else header.comments[name] for name, value in values.items()}
    named = {name: f"HIERARCH {name}" if "." in name else name for name in values}
    return fits.Header([(named[name], value, comments[name]) for name, value in values.items()])


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


@dataclass(frozen=True)
class Turn:
    """Flips and a transposition that bring north up and east left without touching a pixel's value."""

    transpose: bool  # what is done, in this order
    flip_y: bool
    flip_x: bool

    def __call__(self, images: NDArray) -> NDArray:
        """Turn images of shape (..., y, x); a view."""
        images = images.swapaxes(-1, -2) if self.transpose else images
        images = images[..., ::-1, :] if self.flip_y else images
        return images[..., ::-1] if self.flip_x else images


def common_scale(mosaics: Sequence[Mosaic], asked: u.Quantity | None = None) -> u.Quantity:
    """Pixel scale of an image that is made of mosaics, arcsec."""
    scales = u.Quantity([one.pixel_scale for one in mosaics])
    if asked is None:
        if np.ptp(scales) > SAME_SCALE * scales.max():
            listed = ", ".join(f"{one.band} {scale:.4g}" for one, scale in zip(mosaics, scales, strict=True))
            raise InputError(
                f"pixel_scale must be given for mosaics of different pixel scales ({listed}); pass for "
                f"example pixel_scale={scales.max().value:.4g} * u.arcsec"
            )
        return scales[0]
    scale = u.Quantity(asked)
    if not (scale.isscalar and scale.unit.is_equivalent(u.arcsec) and scale > 0 * u.arcsec):
        raise InputError(f"pixel_scale must be one positive angle, got {asked!r}")
    return scale.to(u.arcsec)


def grid_offset(one: Mosaic, other: Mosaic) -> tuple[int, int] | None:
    """Whole pixels (x, y) by which the other's grid is shifted against the first's; None for another grid."""
    x, y = _lattice(one)
    there = sky_to_pixel(other.wcs, *pixel_to_sky(one.wcs, x, y))
    shifts = np.stack([there[0] - x, there[1] - y])  # (2, point)
    if not np.isfinite(shifts).all():
        return None
    whole = np.rint(shifts.mean(axis=1))
    if np.abs(shifts - whole[:, None]).max() > _SAME_GRID_PX:
        return None
    return int(whole[0]), int(whole[1])


def overlap(one: Mosaic, other: Mosaic) -> bool:
    """Whether two mosaics cover some of the same sky, to a sixteenth of their size."""
    return _reaches(one, other) or _reaches(other, one)


def _reaches(one: Mosaic, other: Mosaic) -> bool:
    x, y = sky_to_pixel(other.wcs, *pixel_to_sky(one.wcs, *_lattice(one, 2 * _LATTICE - 1)))
    height, width = other.shape
    return bool(((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).any())


def _lattice(mosaic: Mosaic, n: int = _LATTICE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """N x n points from edge to edge of a mosaic, in pixels."""
    height, width = mosaic.shape
    x, y = np.meshgrid(np.linspace(-0.499, width - 0.501, n), np.linspace(-0.499, height - 0.501, n))
    return x.ravel(), y.ravel()


def turn_north_up(mosaic: Mosaic) -> Turn | None:
    """The turn that brings north up and east left within a degree; None for a slanted mosaic."""
    north, east = _axes(mosaic)
    transpose = bool(abs(north[0]) > abs(north[1]))
    if transpose:
        north, east = north[::-1], east[::-1]
    turn = Turn(transpose, bool(north[1] < 0), bool(east[0] > 0))
    slant = np.degrees(max(np.arccos(min(abs(north[1]), 1)), np.arccos(min(abs(east[0]), 1))))
    return turn if slant <= _NORTH_UP_DEG else None


def _axes(mosaic: Mosaic) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of north and east in pixels at the centre, as unit vectors (x, y)."""
    height, width = mosaic.shape
    centre = SkyCoord(*pixel_to_sky(mosaic.wcs, (width - 1) / 2, (height - 1) / 2), unit="deg")
    step = 10 * mosaic.pixel_scale
    points = SkyCoord([centre, *(centre.directional_offset_by(angle * u.deg, step) for angle in (0, 90))])
    x, y = sky_to_pixel(mosaic.wcs, points.ra, points.dec)
    vectors = np.stack([x[1:] - x[0], y[1:] - y[0]], axis=1)
    north, east = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return north, east
