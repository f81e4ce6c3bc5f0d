"""One file of pixels as planes, whatever its format: FITS, NumPy, PNG, JPEG or TIFF."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from labkit.errors import InputError, MissingDataError, boundary
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky
from labkit.sources.fitsfile import header_text, image_number, image_wcs, open_fits

#: Names of the planes of a colour picture.
COLOURS = ("red", "green", "blue")

_FITS = re.compile(r"\.(fits|fit|fts)(\.gz|\.fz)?$", re.IGNORECASE)
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_CELESTIAL = re.compile(r"(RA|DEC|.LON|.LAT|..LN|..LT)-")
_GREY, _FLOAT = {"1", "L", "LA"}, {"I", "F", "I;16", "I;16B", "I;16L"}  # Pillow's modes of one channel
_MOST_COLOURS = 4  # axes as short as this come last in pictures, first in stacks of bands


@dataclass(frozen=True)
class ImageFile:
    """The planes of a file, and what its world coordinates say."""

    planes: NDArray  # (plane, y, x), the first row at the bottom: uint8 if the file holds bytes, or float32
    names: tuple[str, ...] = ()  # of the planes, where the file names them
    scale_arcsec: float = np.nan
    centre: tuple[float, float] = (np.nan, np.nan)  # ICRS, degrees


def read_planes(path: Path, hdus: Sequence[int | str] = ()) -> ImageFile:
    """Read a file: of FITS the extensions named, or the first image, which may have several planes.

    Pictures are turned so that their first row is at the bottom, as in FITS. An `InputError` says why a file
    cannot be read.
    """
    if not path.is_file():
        raise MissingDataError(f"there is no file {str(path)!r}; check the list and the folder")
    if _FITS.search(path.name):
        return _read_fits(path, hdus)
    ending = path.suffix.lower()
    if ending != ".npy" and ending not in _PICTURES:
        raise InputError(f"{path.name!r} must end in .fits (.gz, .fz), .npy or one of {', '.join(_PICTURES)}")
    with boundary(f"{path.name!r} must be a whole {ending} file, but reading it failed", "copy it again"):
        return _read_array(path) if ending == ".npy" else _read_picture(path)


def _read_fits(path: Path, hdus: Sequence[int | str]) -> ImageFile:
    with open_fits(path) as opened:
        numbers = [image_number(opened, path, one, cube=True) for one in hdus or (None,)]
        stacks = [
            np.asarray(opened[n].data, dtype=np.float32).reshape(-1, *opened[n].shape[-2:]) for n in numbers
        ]
        if len({one.shape[1:] for one in stacks}) > 1:
            raise InputError(f"extensions {list(hdus)} must be of one size, got {[s.shape for s in stacks]}")
        planes, names = np.concatenate(stacks), tuple(map(str, hdus)) if len(hdus) > 1 else ()
        header = opened[numbers[0]].header
        if not _CELESTIAL.match(header_text(header, "CTYPE1")):
            return ImageFile(planes, names)
        wcs = image_wcs(header, path.name, opened)
        ra, dec = pixel_to_sky(wcs, (planes.shape[2] - 1) / 2, (planes.shape[1] - 1) / 2)
        return ImageFile(planes, names, pixel_scale_arcsec(wcs), (float(ra), float(dec)))


def _read_array(path: Path) -> ImageFile:
    values = np.load(path, allow_pickle=False)
    if values.ndim not in (2, 3) or values.dtype.kind not in "buif":
        raise InputError(
            f"an array must be numbers (y, x) or (band, y, x), got {values.dtype} {values.shape}"
        )
    if values.ndim == 3 and values.shape[2] <= _MOST_COLOURS < values.shape[0]:
        raise InputError(f"an array must be (band, y, x), got {values.shape}; move its last axis forward")
    return ImageFile(_bytes_or_floats(values.reshape(-1, *values.shape[-2:])))


def _read_picture(path: Path) -> ImageFile:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as picture:
            pages = [_channels(page) for page in ImageSequence.Iterator(picture)]
    planes = np.concatenate(pages)[:, ::-1]
    colour = len(pages) == 1 and len(planes) == len(COLOURS)
    return ImageFile(_bytes_or_floats(planes), COLOURS if colour else ())


def _channels(page: Image.Image) -> NDArray:
    """Channels of an opaque picture, (channel, y, x), with all of their depth."""
    encoded: Any = getattr(page, "tile", ())
    if page.mode not in _FLOAT and ";16" in str(encoded):
        raise InputError("16 bits a colour must stay 16: save the colours as a page each, FITS or NumPy")
    if page.mode in _FLOAT:
        return np.asarray(page)[None]
    if page.has_transparency_data and np.asarray(page.convert("RGBA"))[..., 3].min() < 255:
        raise InputError("a picture must be opaque, got transparent pixels; fill them first")
    values = np.asarray(page.convert("L" if page.mode in _GREY else "RGB"))
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def _bytes_or_floats(values: NDArray) -> NDArray:
    return np.ascontiguousarray(values if values.dtype == np.uint8 else values.astype(np.float32))
