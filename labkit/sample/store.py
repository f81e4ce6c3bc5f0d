"""Samples on disk: the layout, and a writer that streams.

A Sample is one folder::

    images.zarr/         chunked, compressed array, axes (object, band, y, x)
    catalogue.parquet    one row an object, units kept
    sample.json          bands, pixel scale, provenance; written last

The folder appears under its name only when it is complete, so a Sample that loads is whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import zarr
from astropy.table import Table

from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_folder
from labkit.sample.rules import (
    ContentDigest,
    check_bands,
    check_catalogue,
    check_images,
    check_pixel_scale,
)
from labkit.tables import TableWriter

__all__ = ["SampleWriter", "open_images", "read_header"]

FORMAT = "labkit-sample-1"
_CHUNK_BYTES = 2_000_000


def read_header(path: Path) -> dict[str, Any]:
    """What ``sample.json`` says.

    Raises
    ------
    MissingDataError
        If there is no Sample at `path`.
    InputError
        If it is of another format.
    """
    header = path / "sample.json"
    if not header.is_file():
        raise MissingDataError(
            f"path must be the folder of a Sample (with sample.json), got {str(path)!r}; "
            "make one with `labkit simulate`, `labkit fetch` or `labkit observe`"
        )
    about = json.loads(header.read_text())
    if about.get("format") != FORMAT:
        raise InputError(
            f"{str(path)!r} must have the format {FORMAT}, got {about.get('format')!r}; make it again"
        )
    return about


def open_images(path: Path) -> zarr.Array:
    """The images of a Sample, unread.

    Raises
    ------
    InputError
        If they are damaged.
    """
    try:
        return zarr.open_array(path / "images.zarr", mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"the images of {str(path)!r} cannot be opened ({error}); make the Sample again"
        ) from error


class SampleWriter:
    """Write a Sample in pieces, for one that does not fit in memory.

    Use as a context manager and `append` the pieces. The folder gets its name when the block ends
    without an error; otherwise nothing of it stays.

    Parameters
    ----------
    path : path
        Folder to make.
    bands, pixel_scale, provenance
        As for `Sample`.
    overwrite : bool
        Replace a folder that is there.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is false, nothing was appended, or the disk is full.
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
        """Add objects.

        Parameters
        ----------
        images : ndarray, shape (object, band, y, x)
            Pixels, of one type and image size in all pieces.
        catalogue : `~astropy.table.QTable`
            Their rows, with the same columns in all pieces.

        Raises
        ------
        InputError
            If shapes, types or columns differ from the first piece's, or an id comes twice.
        """
        table = check_catalogue(catalogue)
        check_images(images, objects=len(table), bands=self._bands)
        ids = {str(name) for name in table["object_id"]}
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
            dimension_names=("object", "band", "y", "x"),
        )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._table.close()
        if kind is None and self._array is None:
            kind, error = (
                InputError,
                InputError(f"a Sample needs objects; nothing was appended to {str(self.path)!r}"),
            )
            self._folder.__exit__(kind, error, None)
            raise error
        if kind is None:
            about = {
                "format": FORMAT,
                "bands": list(self._bands),
                "pixel_scale_arcsec": self._pixel_scale.to_value(u.arcsec),
                "provenance": self._provenance,
                "content_hash": self._digest.hexdigest(),
            }
            (self._partial / "sample.json").write_text(json.dumps(about, indent=1))
        self._folder.__exit__(kind, error, trace)
