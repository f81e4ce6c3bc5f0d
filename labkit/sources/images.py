"""Images of one's own: a list and a folder of files become a Sample, however many they are."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.images.cutouts import regrid
from labkit.paths import atomic_file
from labkit.processes import run_tasks
from labkit.sample import Sample, collect
from labkit.sample.store import check_bands, check_catalogue, check_pixel_scale
from labkit.sources.imagefile import ImageFile, read_planes
from labkit.sources.positions import find_columns, read_positions
from labkit.tables import find_column, read_catalogue, text

logger = logging.getLogger(__name__)

Files = Sequence[tuple[str, ...]]  # of each object, one or one per band
Piece = dict[str, NDArray]

_PIECE = 64  # objects read, and kept for a call that resumes, at a time
_FIELD = re.compile(r"\{([^{}]+)\}")
_SAME_SCALE = 0.01
#: The record of bytes, which are grey levels already.
AS_IN_FILES = {"method": "as in the files", "no_emission": 0}


def read_images(
    listed: str | Path | Table,
    folder: str | Path = ".",
    *,
    file: str | Mapping[str, str] = "file",
    bands: Sequence[str] = (),
    hdu: int | str | Sequence[int | str] = (),
    pixel_scale: u.Quantity | None = None,
    size_px: int | None = None,
    fit: Literal["resample", "crop"] = "resample",
    object_id: str = "object_id",
    ra: str = "ra",
    dec: str = "dec",
    label: str = "label",
    path: str | Path | None = None,
    overwrite: bool = False,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Read images of objects, one row of a list each, from FITS, NumPy, PNG, JPEG or TIFF files.

    The first image that can be read decides on type, size and pixel scale. A file that is missing, damaged or
    different is left out: ``provenance["refused"]`` lists the ``object_id``, ``file`` and ``reason`` of each.
    With `path`, pixels are read and forgotten 64 objects at a time, and the same call resumes a killed one.

    Bytes (8-bit pictures, uint8 arrays) are grey levels and need no `normalise`; all else is raw. The first
    row of a picture is at its top; in the Sample it is at the bottom, as in FITS.

    Parameters
    ----------
    listed : path or Table
        The list, in any format of `read_catalogue`. All its columns go into the catalogue.
    folder : path
        Where relative names of files start.
    file : str or mapping of str to str
        Column of the files' names, or a pattern of columns, such as ``"{object_id}.png"``. For a file per
        band: a pattern with ``{band}``, or a mapping of bands to columns or patterns.
    bands : sequence of str
        Names of the planes of a file, or of the bands in a pattern. By default the planes of a colour picture
        are "red", "green" and "blue", several extensions have the names in `hdu`, one plane is "image".
    hdu : int, str or sequence of these
        Extension of FITS files, several for as many bands; by default the first image, which may be a cube.
    pixel_scale : Quantity, optional
        Side of the files' pixels. By default that of their world coordinates, which must agree.
    size_px : int, optional
        Side of the Sample's images; by default all files must be of the size of the first.
    fit : {"resample", "crop"}
        How other sizes are brought to `size_px`: the central square averaged over the area of each new pixel,
        which keeps the surface brightness, or only the central pixels.
    object_id, ra, dec, label : str
        Columns. Without ids objects are called like their files, without positions they lie at the centres of
        images that have world coordinates, without labels these are empty.
    path, overwrite : path, bool
        Folder for the Sample, and whether to replace it. Without it all images are held in memory.
    n_jobs : int
        Processes; the result does not depend on them.
    progress : callable, optional
        Called as ``progress(done, total)`` in objects.

    Returns
    -------
    Sample
        uint8 or float32 images in the order of the list. ``provenance["images"]`` says what was done.

    Raises
    ------
    MissingDataError
        If the list, the folder or a column is not there, or no image can be read.
    InputError
        If an option breaks its rule, an id comes twice, or nothing says what the pixel scale is.
    """
    need_choice("fit", fit, ("resample", "crop"))
    if (size_px is not None and size_px < 8) or n_jobs < 1:
        raise InputError(f"size_px must be at least 8 and n_jobs at least 1, got {size_px} and {n_jobs}")
    if path is not None and Path(path).exists() and not overwrite:
        raise InputError(f"path must not exist yet, got {str(path)!r}; choose another or pass overwrite=True")
    if not Path(folder).is_dir():
        raise MissingDataError(f"folder must hold the images, there is none {str(folder)!r}; check the path")
    patterns = [file] if isinstance(file, str) else list(file.values())
    as_text = {object_id, label, *patterns, *_FIELD.findall(" ".join(patterns))}
    table = read_catalogue(listed, as_text=as_text)
    source = "a table" if isinstance(listed, Table) else Path(listed).name
    files, names = _files(table, Path(folder).resolve(), file, bands)
    catalogue, placed = _catalogue(table, files, object_id=object_id, ra=ra, dec=dec, label=label)
    scale = np.nan if pixel_scale is None else check_pixel_scale(pixel_scale).to_value(u.arcsec)
    hdus = (hdu,) if isinstance(hdu, int | str) else tuple(hdu)
    reader = _Reader(names, hdus, size_px, fit, float(scale)).like_first(files)
    images: dict[str, Any] = {
        "folder": str(folder), "file": file if isinstance(file, str) else dict(file), "hdu": list(hdus),
        "size_px": size_px, "fit": fit if size_px else "as they are", "first": Path(reader.first).name,
        "pixel_scale": "of the world coordinates" if pixel_scale is None else "given",
        "positions": "of the list" if placed else "of the world coordinates, where there are some",
    }  # fmt: skip
    about: dict[str, Any] = {"source": f"images listed in {source}", "images": images, "refused": []}
    if reader.dtype == "uint8":
        about["normalisation"] = AS_IN_FILES
    form: dict[str, Any] = {"bands": reader.bands, "pixel_scale": reader.scale * u.arcsec}
    staging = None if path is None else _staging(Path(path), reader, files)
    objects = _objects(_pieces(reader, files, staging, n_jobs, progress), files, catalogue, placed, about)
    pieces = ((pixels, catalogue[rows]) for pixels, rows in objects)
    sample = collect(pieces, len(files), path=path, overwrite=overwrite, provenance=about, **form)
    if staging is not None:
        shutil.rmtree(staging)
    _log(sample)
    return sample


def _files(
    table: Table, folder: Path, file: str | Mapping[str, str], bands: Sequence[str]
) -> tuple[Files, tuple[str, ...]]:
    """The files of each object, and the names of the bands as far as they are known."""
    known = check_bands(bands) if bands else ()
    if isinstance(file, Mapping):
        if known:
            raise InputError(f"bands must not be given beside those of file, {list(file)}, got {known}")
        known, patterns = check_bands(list(file)), list(file.values())
    elif "{band}" in file:
        if not known:
            raise InputError(f"bands must be given for the pattern {file!r}, as in bands=('g', 'r')")
        patterns = [file.replace("{band}", band) for band in known]
    else:
        patterns = [file]
    columns = [_names(table, one) for one in patterns]
    return [tuple(str(folder / name) for name in row) for row in zip(*columns, strict=True)], known


def _names(table: Table, file: str) -> list[str]:
    """Names of one file of each object: a column, or a pattern filled in."""
    fields = _FIELD.findall(file)
    if not fields:
        (column,) = find_columns(table, "the list", file=file)
        return np.char.strip(text(table[column])).tolist()
    names = [file] * len(table)
    for field, column in zip(fields, find_columns(table, "the list", **{f: f for f in fields}), strict=True):
        values = np.char.strip(text(table[column])).tolist()
        names = [name.replace(f"{{{field}}}", value) for name, value in zip(names, values, strict=True)]
    return names


def _catalogue(table: Table, files: Files, **wanted: str) -> tuple[QTable, bool]:
    """The list with the columns that a catalogue needs, and whether it has positions."""
    found: dict[str, Any] = {}
    for name, column in wanted.items():  # columns of the usual names may be absent
        absent = column == name and find_column(table.colnames, column) is None
        found[name] = None if absent else find_columns(table, "the list", **{name: column})[0]
    result, n = QTable(table, copy=False), len(table)
    stems = [Path(row[0]).name.split(".")[0] for row in files]
    result["object_id"] = text(table[found["object_id"]]) if found["object_id"] else stems
    result["label"] = text(table[found["label"]]) if found["label"] else np.full(n, "")
    placed = bool(found["ra"] and found["dec"])
    sky = read_positions(table, found["ra"], found["dec"]) if placed else np.full((2, n), np.nan)
    result["ra"], result["dec"] = sky * u.deg
    return check_catalogue(result), placed


@dataclass(frozen=True)
class _Reader:
    """How the images of an object are read, and, once the first has been, what they must be like."""

    bands: tuple[str, ...]
    hdus: tuple[int | str, ...]
    size_px: int | None
    fit: str
    scale: float  # arcsec, as given; NaN: of the world coordinates
    first: str = ""  # name of the first file
    shape: tuple[int, ...] = ()  # (band, y, x)
    dtype: str = ""
    given: bool = False

    def like_first(self, files: Files) -> _Reader:
        """The same with what the first image that can be read is like."""
        reasons: Counter[str] = Counter()
        for row in files:
            try:
                pixels, found, zoom = self.read(row)
            except InputError as error:
                reasons[_refusal(error, row)[1]] += 1
                continue
            given, name = bool(np.isfinite(self.scale)), Path(row[0]).name
            scale = (self.scale if given else found.scale_arcsec) * zoom
            if not np.isfinite(scale):
                raise InputError(
                    f"pixel_scale must be given, because {name!r} has no world coordinates; where it is not "
                    "known, or differs from image to image, a nominal one, such as 1 * u.arcsec"
                )
            bands = self.bands or found.names or (("image",) if len(pixels) == 1 else ())
            if len(bands) != len(pixels):
                raise InputError(
                    f"bands must name the {len(pixels)} planes of {name!r}, got {bands or 'none'}"
                )
            form: dict[str, Any] = {"scale": scale, "shape": pixels.shape, "dtype": str(pixels.dtype)}
            return replace(self, bands=bands, first=row[0], given=given, **form)
        words = "; ".join(f"{n} times: {reason}" for reason, n in reasons.most_common(3)) or "no rows"
        raise MissingDataError(
            f"the list must name images that can be read, got none of {len(files)} ({words})"
        )

    def read(self, files: tuple[str, ...]) -> tuple[NDArray, ImageFile, float]:
        """Pixels (band, y, x) of an object, its first file, and their size in pixels of the file."""
        parts = [read_planes(Path(name), self.hdus) for name in files]
        one_band = (1, *parts[0].planes.shape[1:], parts[0].planes.dtype)
        if len(parts) > 1 and {(*part.planes.shape, part.planes.dtype) for part in parts} != {one_band}:
            found = [f"{p.planes.shape} {p.planes.dtype}" for p in parts]
            raise InputError(f"files of the bands of an object must be of one size and type, got {found}")
        planes = np.concatenate([part.planes for part in parts])
        if not (finite := np.isfinite(planes)).any():
            raise InputError(f"an image must hold finite pixels, got none of {planes.size}")
        if (level := planes[finite].min()) == planes[finite].max():
            raise InputError(f"an image must hold more than one value, got {level:g} in all pixels")
        height, width = planes.shape[1:]
        size = self.size_px or 0
        if not size or (height, width) == (size, size):
            return planes, parts[0], 1.0
        if self.fit == "crop":
            if min(height, width) < size:
                raise InputError(f"an image must have {size} px a side to be cropped, got {height} x {width}")
            top, left = (height - size) // 2, (width - size) // 2
            return planes[:, top : top + size, left : left + size], parts[0], 1.0
        zoom = min(height, width) / size
        averaged = regrid(planes, scale=zoom, shape=(size, size))
        averaged = np.rint(averaged).astype(np.uint8) if planes.dtype == np.uint8 else averaged
        return averaged, parts[0], zoom

    def read_alike(self, files: tuple[str, ...]) -> tuple[NDArray, ImageFile]:
        """The same, refused where it is not like the first image."""
        pixels, found, zoom = self.read(files)
        if (pixels.shape, str(pixels.dtype)) != (self.shape, self.dtype):
            hint = "" if self.size_px else "; size_px brings images to one size"
            raise InputError(
                f"an image must be {self.shape} {self.dtype} (bands, y, x) like the first, got "
                f"{pixels.shape} {pixels.dtype}{hint}"
            )
        scale = found.scale_arcsec * zoom
        if not self.given and not abs(scale / self.scale - 1) <= _SAME_SCALE:
            raise InputError(
                f"pixels must be {self.scale:.4g} arcsec wide like the first image's, got {scale:.4g} (nan: "
                "no world coordinates); fit='crop' keeps those of the files, pixel_scale= overrules them"
            )
        return pixels, found


def _refusal(error: InputError, files: tuple[str, ...]) -> tuple[str, str]:
    """The file of an object that is refused, the first if none is named; why, in words for any file."""
    words, faulty = str(error), files[0]
    for name in reversed(files):
        other = words.replace(repr(name), "of this name").replace(repr(Path(name).name), "the file")
        if other != words:
            words, faulty = other, name
    return faulty, words


def _stamp(name: str) -> str:
    """The state of a file, which tells a replaced one."""
    try:
        about = Path(name).stat()
    except OSError:
        return "absent"
    return f"{about.st_size} {about.st_mtime_ns}"


def _read_piece(reader: _Reader, files: Files, into: Path | None) -> Piece | None:
    """Some objects: pixels, which of them, their centres and sizes; which are refused, and why.

    A piece on disk is taken if none of its files has changed since.
    """
    stamps = np.array([_stamp(name) for row in files for name in row])
    if into is not None and into.is_file():
        with np.load(into, allow_pickle=False) as held:
            if np.array_equal(held["stamps"], stamps):
                return None
    pixels: list[NDArray] = []
    centres, sizes = np.full((len(files), 2), np.nan), np.zeros((len(files), 2), dtype=int)
    reasons, faulty = [""] * len(files), [row[0] for row in files]
    for number, row in enumerate(files):
        try:
            image, found = reader.read_alike(row)
        except InputError as error:
            faulty[number], reasons[number] = _refusal(error, row)
            continue
        pixels.append(image)
        centres[number], sizes[number] = found.centre, found.planes.shape[1:]
    stacked = np.array(pixels, dtype=reader.dtype).reshape(-1, *reader.shape)
    piece: Piece = {"pixels": stacked, "centres": centres, "sizes": sizes, "reasons": np.array(reasons)}
    piece |= {"stamps": stamps, "faulty": np.array(faulty)}
    if into is None:
        return piece
    with atomic_file(into) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **piece)
    return None


def _staging(path: Path, reader: _Reader, files: Files) -> Path:
    """Folder of the pieces beside the Sample; emptied where they are of other files or options."""
    folder = path.with_name(f".{path.name}.pieces")
    key = hashlib.sha256(repr((reader, files)).encode()).hexdigest()
    note = folder / "made_from"
    if not note.is_file() or note.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(key)
    return folder


def _pieces(
    reader: _Reader,
    files: Files,
    staging: Path | None,
    n_jobs: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Piece]:
    """The pieces in order; those that are staged are all on disk before the first is given."""
    starts = range(0, len(files), _PIECE)
    places = [None if staging is None else staging / f"{start:09d}.npz" for start in starts]
    tasks = [(reader, files[start : start + _PIECE], at) for start, at in zip(starts, places, strict=True)]
    for start, piece in zip(starts, run_tasks(_read_piece, tasks, n_jobs), strict=True):
        if piece is not None:
            yield piece
        if progress is not None:
            progress(min(start + _PIECE, len(files)), len(files))
    for place in places:
        if place is not None:
            with np.load(place, allow_pickle=False) as held:
                yield dict(held)


def _objects(
    pieces: Iterator[Piece], files: Files, catalogue: QTable, placed: bool, about: dict[str, Any]
) -> Iterator[tuple[NDArray, NDArray]]:
    """Pixels and rows of those that were read; on the way, positions and the record are filled in."""
    start, sizes = 0, Counter[str]()
    for piece in pieces:
        rows = start + np.arange(len(piece["reasons"]))
        start += len(rows)
        if not placed:
            catalogue["ra"][rows], catalogue["dec"][rows] = piece["centres"].T * u.deg
        left = piece["reasons"] != ""
        columns = (rows[left], piece["faulty"][left], piece["reasons"][left])
        for row, file, reason in zip(*(column.tolist() for column in columns), strict=True):
            name = str(catalogue["object_id"][row])
            about["refused"].append({"object_id": name, "file": file, "reason": reason})
        sizes.update(f"{height} x {width}" for height, width in piece["sizes"][~left].tolist())
        if not left.all():
            yield piece["pixels"], rows[~left]
    about["images"] |= {"listed": len(files), "read": sum(sizes.values()), "sizes_px": dict(sizes)}


def _log(sample: Sample) -> None:
    """Warn of what was left out, and of pixels that are not all of one scale."""
    refused, images = sample.provenance["refused"], sample.provenance["images"]
    if refused:
        counts = Counter(one["reason"] for one in refused).most_common(5)
        words = "; ".join(f"{n}: {reason}" for reason, n in counts)
        logger.warning("left out %d of %d images: %s", len(refused), images["listed"], words)
    if len(images["sizes_px"]) > 1:
        logger.warning(
            "images of %d sizes were brought to %d px (%s)", len(images["sizes_px"]), images["size_px"],
            images["fit"],
        )  # fmt: skip
