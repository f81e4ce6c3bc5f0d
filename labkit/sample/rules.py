"""The rules that every Sample meets, checked once for memory and disk alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError

__all__ = ["ContentDigest", "check_bands", "check_catalogue", "check_images", "check_pixel_scale"]


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
    if missing := [name for name in ("object_id", "ra", "dec", "label") if name not in table.colnames]:
        raise InputError(f"catalogue must have the columns object_id, ra, dec and label; {missing} missing")
    for name in ("ra", "dec"):
        if not isinstance(table[name], u.Quantity) or not table[name].unit.is_equivalent(u.deg):
            raise InputError(
                f"catalogue column {name!r} must be an angle with a unit, got {table[name].dtype}"
            )
    ids, count = np.unique(np.asarray(table["object_id"], dtype=str), return_counts=True)
    if (count > 1).any():
        raise InputError(
            f"object_id must be unique, got {(count > 1).sum()} repeated, "
            f"first {ids[count > 1][:3].tolist()}; remove the repeats or give each object its own id"
        )
    return table


def check_images(images: Any, *, objects: int, bands: Sequence[str]) -> Any:
    """Images of the shape (object, band, y, x), or an InputError."""
    if len(images.shape) != 4 or images.shape[:2] != (objects, len(bands)):
        raise InputError(
            f"images must have the shape (object, band, y, x) with {objects} objects (catalogue rows) "
            f"and {len(bands)} bands {tuple(bands)}, got {images.shape}"
        )
    return images


class ContentDigest:
    """SHA-256 of a Sample's content, fed in the order of the rows."""

    def __init__(self, bands: Sequence[str], pixel_scale: u.Quantity) -> None:
        self._hash = hashlib.sha256(
            json.dumps([list(bands), round(pixel_scale.to_value(u.arcsec), 9)]).encode()
        )
        self._rows = hashlib.sha256()

    def update(self, images: np.ndarray, catalogue: QTable) -> None:
        """Add the next rows."""
        self._hash.update(np.ascontiguousarray(images).tobytes())
        names = [name for name in ("object_id", "label", "split") if name in catalogue.colnames]
        rows = zip(*(catalogue[name] for name in names), strict=True)
        self._rows.update("".join("\t".join(map(str, row)) + "\n" for row in rows).encode())

    def hexdigest(self) -> str:
        """Digest of all rows so far."""
        combined = self._hash.copy()
        combined.update(self._rows.digest())
        return combined.hexdigest()
