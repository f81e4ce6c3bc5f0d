"""Samples on disk: the rules that every Sample meets, the layout, and a writer that streams.

A Sample is one folder::

    images.zarr/         chunked, compressed array with checksums, axes (object, band, y, x)
    catalogue.parquet    one row per object, units kept
    sample.json          bands, pixel scale, provenance; written last

The folder appears under its name only when it is complete, so a Sample that loads is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import zarr
from astropy.table import QTable, Table
from zarr.codecs import Crc32cCodec, ZstdCodec

from labkit.errors import InputError, MissingDataError, boundary
from labkit.paths import atomic_folder, restore_folder
from labkit.tables import TableWriter, need_columns, text

FORMAT = "labkit-sample-1"
_CHUNK_BYTES = 2_000_000


def check_bands(bands: Sequence[str]) -> tuple[str, ...]:
    """Names of bands as a tuple, or an InputError."""
    names = (bands,) if isinstance(bands, str) else tuple(str(band) for band in bands)
    if not names or len(set(names)) != len(names):
        raise InputError(f"bands must be different names, one or more, got {names}")
    return names


def check_pixel_scale(pixel_scale: u.Quantity) -> u.Quantity:
    """One positive angle in arcsec, or an InputError."""
    try:
        scale = u.Quantity(pixel_scale).to(u.arcsec)
    except u.UnitConversionError as error:
        raise InputError(
            f"pixel_scale must be an angle such as 2.36 * u.arcsec, got {pixel_scale!r}"
        ) from error
    if scale.ndim or not np.isfinite(scale.value) or scale <= 0 * u.arcsec:
        raise InputError(f"pixel_scale must be one positive angle, got {pixel_scale!r}")
    return scale


def check_catalogue(catalogue: Table) -> QTable:
    """The catalogue with its needed columns and unique ids, or an InputError."""
    table = QTable(catalogue, copy=False)
    need_columns(table, ("object_id", "ra", "dec", "label"), "catalogue")
    for name in ("ra", "dec"):
        if not isinstance(table[name], u.Quantity) or not table[name].unit.is_equivalent(u.deg):
            raise InputError(
                f"catalogue column {name!r} must be an angle with a unit, got {table[name].dtype}"
            )
    for name in ("object_id", "label", "split"):
        if name in table.colnames:
            table[name] = text(table[name])
    ids, count = np.unique(table["object_id"], return_counts=True)
    if len(ids) and not ids[0]:
        raise InputError(
            f"object_id must name every object, got none for {count[0]} of them; give each its own"
        )
    if (count > 1).any():
        raise InputError(
            f"object_id must be unique, got {(count > 1).sum()} repeated, "
            f"first {ids[count > 1][:3].tolist()}; remove the repeats or give each object its own id"
        )
    return table


def check_images(images: Any, *, objects: int, bands: Sequence[str]) -> Any:
    """Images of the shape (object, band, y, x) in native byte order, or an InputError."""
    if len(images.shape) != 4 or images.shape[:2] != (objects, len(bands)):
        raise InputError(
            f"images must have the shape (object, band, y, x) with {objects} objects (catalogue rows) "
            f"and {len(bands)} bands {tuple(bands)}, got {images.shape}"
        )
    native = np.dtype(images.dtype).newbyteorder("=")
    return images if images.dtype == native and np.dtype(images.dtype).isnative else images.astype(native)


class ContentDigest:
    """SHA-256 of a Sample's content, fed in the order of the rows."""

    def __init__(self, bands: Sequence[str], pixel_scale: u.Quantity) -> None:
        self._hash = hashlib.sha256(
            json.dumps([list(bands), round(pixel_scale.to_value(u.arcsec), 9)]).encode()
        )
        self._rows = hashlib.sha256()

    def update(self, images: np.ndarray, catalogue: QTable) -> None:
        """Add the next rows; in whatever order the bytes of a number stand."""
        self._hash.update(np.ascontiguousarray(images, images.dtype.newbyteorder("<")).tobytes())
        names = [name for name in ("object_id", "label", "split") if name in catalogue.colnames]
        rows = zip(*(text(catalogue[name]).tolist() for name in names), strict=True)
        self._rows.update("".join("\t".join(row) + "\n" for row in rows).encode())

    def hexdigest(self) -> str:
        """Digest of all rows so far."""
        combined = self._hash.copy()
        combined.update(self._rows.digest())
        return combined.hexdigest()


def read_header(path: Path) -> dict[str, Any]:
    """What ``sample.json`` says."""
    header = path / "sample.json"
    if not path.exists():
        restore_folder(path)
    if not header.is_file():
        raise MissingDataError(
            f"path must be the folder of a Sample (with sample.json), got {str(path)!r}; "
            "make one with `labkit simulate`, `labkit fetch` or `labkit observe`"
        )
    try:
        about = dict(json.loads(header.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{str(header)!r} is damaged ({error}); make the Sample again") from error
    if about.get("format") != FORMAT:
        raise InputError(
            f"{str(path)!r} must have the format {FORMAT}, got {about.get('format')!r}; make it again"
        )
    return about


class StoredImages:
    """The images of a Sample's folder: their shape is known, pixels are read and checked when asked for."""

    def __init__(self, path: Path, *, whole: bool) -> None:
        self._path, self._unchecked = path, whole
        with boundary(f"the images of {str(path)!r} cannot be opened", "make the Sample again"):
            self._array = zarr.open_array(path / "images.zarr", mode="r")
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        with boundary(f"the images of {str(self._path)!r} are damaged", "make the Sample again"):
            # A missing chunk would read as zeros.
            if self._unchecked and (lost := self._array.nchunks - self._array.nchunks_initialized):
                raise OSError(f"{lost} of {self._array.nchunks} chunks are missing")
            self._unchecked = False
            return np.asarray(self._array[index] if isinstance(index, slice) else self._array.oindex[index])


class SampleWriter:
    """Write a Sample in pieces, for one that does not fit in memory: a context manager with `append`.

    The folder gets its name when the block ends without an error; otherwise, or where nothing was appended or
    the disk is full, nothing of it stays. One that is there is replaced only with `overwrite`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bands: Sequence[str],
        pixel_scale: u.Quantity,
        provenance: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._bands, self._pixel_scale = check_bands(bands), check_pixel_scale(pixel_scale)
        self._provenance = dict(provenance or {})
        self._folder = atomic_folder(self.path, overwrite=overwrite)
        self._array: zarr.Array | None = None
        self._ids: set[str] = set()

    def __enter__(self) -> SampleWriter:
        self._partial = self._folder.__enter__()
        self._table = TableWriter(self._partial / "catalogue.parquet")
        self._digest = ContentDigest(self._bands, self._pixel_scale)
        return self

    def append(self, images: np.ndarray, catalogue: Table) -> None:
        """Add objects: pixels (object, band, y, x) and their rows, with the same columns in all pieces."""
        table = check_catalogue(catalogue)
        images = check_images(images, objects=len(table), bands=self._bands)
        ids = set(table["object_id"].tolist())
        if repeated := self._ids & ids:
            raise InputError(f"object_id must be unique, got {sorted(repeated)[:3]} again in a later piece")
        if self._array is None:
            self._array = self._create(images)
        start = self._array.shape[0]
        if images.shape[1:] != self._array.shape[1:] or images.dtype != self._array.dtype:
            raise InputError(
                f"all pieces must be {self._array.shape[1:]} {self._array.dtype}, "
                f"got {images.shape[1:]} {images.dtype}"
            )
        self._array.resize((start + len(images), *self._array.shape[1:]))
        self._array[start:] = images
        self._table.append(table)
        self._digest.update(images, table)
        self._ids |= ids

    def _create(self, images: np.ndarray) -> zarr.Array:
        per_object = max(1, int(np.prod(images.shape[1:])) * images.dtype.itemsize)
        return zarr.create_array(
            self._partial / "images.zarr",
            shape=(0, *images.shape[1:]),
            chunks=(max(1, _CHUNK_BYTES // per_object), *images.shape[1:]),
            dtype=images.dtype,
            compressors=(ZstdCodec(level=0), Crc32cCodec()),
            config={"write_empty_chunks": True},
            dimension_names=("object", "band", "y", "x"),
        )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._table.close()
        if kind is None and self._array is None:
            empty = InputError(f"a Sample needs objects; nothing was appended to {str(self.path)!r}")
            self._folder.__exit__(InputError, empty, None)
            raise empty
        if kind is None:
            about = {
                "format": FORMAT,
                "all_chunks": True,
                "bands": list(self._bands),
                "pixel_scale_arcsec": self._pixel_scale.to_value(u.arcsec),
                "provenance": self._provenance,
                "content_hash": self._digest.hexdigest(),
            }
            (self._partial / "sample.json").write_text(json.dumps(about, indent=1))
        self._folder.__exit__(kind, error, trace)
