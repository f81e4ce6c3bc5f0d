"""The one place where FITS files are opened: images, their headers and their world coordinates.

Whatever a library raises on a file that cannot be read becomes an `InputError` that names it. Headers are
looked through before wcslib sees them: some cards that are no numbers where it expects them end the process.
A compressed file is unpacked up to `MOST_UNPACKED` bytes only.
"""

import gzip
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, boundary
from labkit.tables.reading import ENDLESS, is_gzipped

logger = logging.getLogger(__name__)

#: Bytes that a compressed file may grow to in memory.
MOST_UNPACKED = 2**30
#: Cards that world coordinates are computed from: numbers, of the sky or of a scanned plate (DSS).
_SKY_NUMBERS = re.compile(
    r"(CRPIX|CRVAL|CDELT|CROTA)\d+|(CD|PC|PV)\d+_\d+|(A|B|AP|BP)_(ORDER|\d+_\d+)|LONPOLE|LATPOLE|WCSAXES"
    r"|AMD[XY]\d+|PPO\d+|CNPIX[12]|PLTRA[HMS]|PLTDEC[DMS]|[XY]PIXELSZ|PLTSCALE"
)
_MOST_AXES, _MOST_ORDER = 9, 9
_BLOCK, _MOST_BLOCKS = 2880, 2000  # bytes of a header's block, and blocks of the longest header


@dataclass(frozen=True)
class FitsImage:
    """One image of the sky: float64 pixels (y, x), NaN where blank, with its coordinates and header."""

    data: NDArray[np.float64]
    wcs: WCS
    header: fits.Header
    path: Path


def read_image(path: str | Path, *, hdu: int | str | None = None) -> FitsImage:
    """Read a two-dimensional image, plain, gzipped or tile-compressed."""
    path = Path(path)
    with open_fits(path) as hdus:
        one = hdus[image_number(hdus, path, hdu)]
        data = np.asarray(one.data, dtype=np.float64).reshape(one.shape[-2:])
        header = one.header.copy()
        wcs = image_wcs(header, path.name, hdus)
    finite = data[np.isfinite(data)]
    if not finite.size:
        raise InputError(
            f"{path.name!r} must hold finite pixels, got none of {data.size}; make the image again"
        )
    if finite.min() == finite.max():
        raise InputError(
            f"{path.name!r} must hold an image, got {finite[0]:g} in all pixels; choose another file"
        )
    return FitsImage(data, wcs, header, path)


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """Extensions of a FITS file, plain or gzipped, while it is open; any failure inside names the file."""
    if not path.is_file():
        raise MissingDataError(f"there is no file {str(path)!r}; check the path, or download the image first")
    message = f"{path.name!r} must be a whole FITS file, but reading it failed"
    with boundary(message, "download or copy it again"), warnings.catch_warnings():
        warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
        try:
            with _stream(path) as stream, fits.open(stream, memmap=False) as hdus:
                yield hdus
        except _BoundError as error:
            raise InputError(f"{path.name!r} cannot be read: {error}") from error


def image_number(
    hdus: fits.HDUList, path: Path, hdu: int | str | None = None, *, first: str = "", cube: bool = False
) -> int:
    """Number of the extension asked for, or of the first image, where one named `first` goes before.

    With `cube`, an image of several planes (plane, y, x) counts, too.
    """
    if hdu is not None:
        try:
            candidates = [hdus.index_of(hdu)]
            hdus[hdu]
        except (KeyError, IndexError) as error:
            raise InputError(
                f"hdu must be an extension of {path.name!r} (0 to {len(hdus) - 1}), got {hdu!r}"
            ) from error
    else:
        candidates = sorted(range(len(hdus)), key=lambda number: hdus[number].name != first)
    for number in candidates:
        shape = hdus[number].shape if hdus[number].is_image else ()
        if len(shape) >= 2 and sum(n != 1 for n in shape[:-2]) <= cube:
            _check_size(hdus, number, path)
            return number
    raise InputError(
        f"{path.name!r} must hold a two-dimensional image, got none; name the right file, pattern or hdu"
    )


def _check_size(hdus: fits.HDUList, number: int, path: Path) -> None:
    """Refuse pixels that are not in the file, or grow beyond memory, before any of them is read."""
    one = hdus[number]
    pixels = int(np.prod(one.shape, dtype=float)) * abs(int(one.header["BITPIX"])) // 8
    packed = isinstance(one, fits.CompImageHDU) or is_gzipped(path)
    if packed and pixels > MOST_UNPACKED:
        raise _BoundError(_too_large(pixels))
    end = hdus.fileinfo(number)["datLoc"] + pixels
    if not packed and end > path.stat().st_size:
        raise InputError(
            f"{path.name!r} must be a whole FITS file, but its header claims {end} bytes of "
            f"{path.stat().st_size}; download or copy it again"
        )


def _too_large(size: int) -> str:
    return (
        f"it must unpack to at most {MOST_UNPACKED} bytes, got {size} or more; unpack it on disk (gunzip, "
        "funpack), where it is read piece by piece"
    )


class _BoundError(RuntimeError):
    """A file would take too much memory or time; no ValueError, which astropy passes over."""


class _BoundedHeaders:
    """A file whose headers end: astropy reads them block by block, and data in other pieces."""

    _blocks = 0

    def read(self, size: int | None = -1) -> bytes:
        self._blocks = self._blocks + 1 if size == _BLOCK else 0
        if self._blocks > _MOST_BLOCKS:
            raise _BoundError(f"its header must end within {_MOST_BLOCKS * _BLOCK} bytes, got none that does")
        content = super().read(size)  # type: ignore[misc]
        if size == _BLOCK and (claim := ENDLESS.search(content)):
            raise _BoundError(f"{claim[1].decode()} must be at most 999, got {claim[2].decode()[:20]}")
        return content


class _Plain(_BoundedHeaders, io.FileIO):
    """A plain file."""


class _Unpacked(_BoundedHeaders, gzip.GzipFile):
    """A gzipped file that stops where it grows too large for memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = max(MOST_UNPACKED - self.tell(), 0)
        self._bound(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._bound(offset if whence == 0 else self.tell() + offset)
        return super().seek(offset, whence)

    def tell(self) -> int:
        return super().seek(0, 1)

    @staticmethod
    def _bound(end: int) -> None:
        if end > MOST_UNPACKED:
            raise _BoundError(_too_large(end))


def _stream(path: Path) -> Any:
    """Open a file for reading; so it is closed even if it turns out not to be FITS."""
    return _Unpacked(path) if is_gzipped(path) else _Plain(path)


def image_wcs(header: fits.Header, name: str, hdus: fits.HDUList | None = None) -> WCS:
    """Celestial world coordinates of a header; `hdus` holds the tables of look-up-table distortions.

    XMM and DSS headers hold dates and the keyword RADECSYS in old forms, which astropy repairs and warns of;
    only those repairs are passed over in silence. The plate solution of DSS headers is followed.
    """
    _refuse_bad_cards(header, name)
    message = f"the world coordinates of {name!r} must be such as astropy understands"
    with boundary(message, "mend them"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(datfix|RADECSYS|unitfix)", FITSFixedWarning)
        wcs = WCS(header, hdus, naxis=2)
        celestial = wcs.has_celestial
    if not celestial:
        raise InputError(
            f"{name!r} must have celestial world coordinates (CTYPE, CRVAL, CRPIX, CDELT or CD), got none; "
            "solve its astrometry, or copy them from the exposure map"
        )
    return wcs


def _refuse_bad_cards(header: fits.Header, name: str) -> None:
    """Wcslib ends the process at some cards that are no numbers, and takes others for nought."""
    for key in {key for key in header if _SKY_NUMBERS.fullmatch(key)}:
        value = header_value(header, key)
        most = _MOST_AXES if key == "WCSAXES" else _MOST_ORDER if key.endswith("_ORDER") else np.inf
        if not (_is_number(value) and value <= most):
            rule = "a finite number" if most == np.inf else f"a number up to {most}"
            shown = "nothing" if value is None else repr(value)
            raise InputError(f"{key} in the header of {name!r} must be {rule}, got {shown}; mend the header")


def header_number(
    header: fits.Header, key: str, *, low: float = -np.inf, high: float = np.inf, where: str = ""
) -> float | None:
    """A number of a header, even as text; None, with a word, where it is none or out of bounds."""
    if key not in header:
        return None
    value = header_value(header, key)
    try:
        number = float(value) if isinstance(value, str) or _is_number(value) else np.nan
    except ValueError:
        number = np.nan
    if np.isfinite(number) and low <= number <= high:
        return number
    logger.warning("%s%s is %s, no number that it can be: taken as absent", where and f"{where}: ", key,
                   "not set" if value is None else repr(value))  # fmt: skip
    return None


def header_text(header: fits.Header, key: str) -> str:
    """A text of a header; "" where it is absent or not set."""
    value = header_value(header, key)
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def header_value(header: fits.Header, key: str) -> Any:
    """A card's value; None where it is absent, not set or cannot be parsed."""
    try:
        value = header.get(key)
    except Exception:  # astropy's VerifyError, or whatever a broken card gives
        return None
    return None if isinstance(value, fits.card.Undefined) else value


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
    return bool(number and np.isfinite(value))
