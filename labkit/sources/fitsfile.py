"""Reading an image and its world coordinates from a FITS file."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError

__all__ = ["FitsImage", "image_wcs", "is_gzipped", "opened", "read_image"]


@dataclass(frozen=True)
class FitsImage:
    """One image of the sky.

    Attributes
    ----------
    data : numpy.ndarray
        Shape (y, x), float64; NaN where blank.
    wcs : astropy.wcs.WCS
        Celestial world coordinates.
    header : astropy.io.fits.Header
        Header of the image.
    path : pathlib.Path
        The file.
    """

    data: NDArray[np.float64]
    wcs: WCS
    header: fits.Header
    path: Path


def read_image(path: str | Path, *, hdu: int | str | None = None) -> FitsImage:
    """Read a two-dimensional image, plain, gzipped or tile-compressed.

    Parameters
    ----------
    path : path
        FITS file.
    hdu : int or str, optional
        Number or name of the extension; by default the first that holds a two-dimensional image.

    Returns
    -------
    FitsImage
        Pixels, world coordinates and header.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the file is not FITS or is truncated, or holds no image, no celestial coordinates, no finite pixel
        or one single value.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no file {str(path)!r}; check the path, or download the image first")
    with opened(path, doing="reading") as hdus:
        data, header = _first_image(hdus, path, hdu)
    finite = data[np.isfinite(data)]
    if not finite.size:
        raise InputError(
            f"{path.name!r} must hold finite pixels, got none of {data.size}; make the image again"
        )
    if finite.min() == finite.max():
        raise InputError(
            f"{path.name!r} must hold an image, got {finite[0]:g} in all pixels; choose another file"
        )
    return FitsImage(data, image_wcs(header, path.name), header, path)


@contextmanager
def opened(path: Path, *, doing: str = "opening") -> Iterator[fits.HDUList]:
    """Extensions of a FITS file, plain or gzipped, while it is open.

    Parameters
    ----------
    path : pathlib.Path
        A file that is there.
    doing : str
        What is done with it, for the error.

    Yields
    ------
    astropy.io.fits.HDUList
        The extensions.

    Raises
    ------
    InputError
        If the file is not FITS, or is truncated as far as it is read.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            with _stream(path) as stream, fits.open(stream, memmap=False) as hdus:
                yield hdus
    except InputError:
        raise
    except (OSError, EOFError, TypeError, ValueError, zlib.error, AstropyUserWarning) as error:
        raise InputError(
            f"{path.name!r} must be a whole FITS file, but {doing} it failed "
            f"({' '.join(str(error).split())}); download or copy it again"
        ) from error


def is_gzipped(path: Path) -> bool:
    """Whether a file's first bytes say that it is compressed by gzip."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def image_wcs(header: fits.Header, name: str) -> WCS:
    """Celestial world coordinates of a header.

    XMM and DSS headers hold dates and the keyword RADECSYS in old forms, which astropy repairs and warns of;
    only those repairs are passed over in silence. The plate solution of DSS headers is followed.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of an image.
    name : str
        What to call it in errors.

    Returns
    -------
    astropy.wcs.WCS
        Two celestial axes.

    Raises
    ------
    InputError
        If the header holds no celestial coordinates, or they cannot be understood.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*(datfix|RADECSYS|unitfix)", FITSFixedWarning)
            wcs = WCS(header, naxis=2)
    except (ValueError, MemoryError, KeyError) as error:
        raise InputError(
            f"the world coordinates of {name!r} cannot be understood ({error}); mend them"
        ) from error
    if not wcs.has_celestial:
        raise InputError(
            f"{name!r} must have celestial world coordinates (CTYPE, CRVAL, CRPIX, CDELT or CD), got none; "
            "solve its astrometry, or copy them from the exposure map"
        )
    return wcs


def _stream(path: Path) -> BinaryIO:
    """Open a file for reading; so it is closed even if it turns out not to be FITS."""
    return cast(BinaryIO, gzip.open(path)) if is_gzipped(path) else path.open("rb")


def _first_image(hdus: fits.HDUList, path: Path, hdu: int | str | None) -> tuple[NDArray, fits.Header]:
    try:
        candidates = list(hdus) if hdu is None else [hdus[hdu]]
    except (KeyError, IndexError) as error:
        raise InputError(
            f"hdu must be an extension of {path.name!r} (0 to {len(hdus) - 1}), got {hdu!r}"
        ) from error
    for one in candidates:
        if one.is_image and one.header.get("NAXIS", 0) >= 2:
            data = np.squeeze(np.asarray(one.data, dtype=np.float64))
            if data.ndim == 2:
                return data, one.header.copy()
    raise InputError(f"{path.name!r} must hold a two-dimensional image, got none; name the right file or hdu")
