"""Mosaics of a field in several bands, as they lie on disk: registered or not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.sources.mosaics.file import Mosaic, open_mosaic
from labkit.sources.mosaics.grid import grid_offset, overlap, position_angle
from labkit.sources.mosaics.names import blue_to_red, chosen_files, folder_files, refuse_twice

logger = logging.getLogger(__name__)

_SAME_MAG = 1e-3  # zero points that differ by less are equal
Source = str | Path | Mapping[str, str | Path] | Sequence[tuple[str, str | Path]]


@dataclass(frozen=True, eq=False)
class Mosaics:
    """Mosaics of one field, one a band.

    Parameters
    ----------
    mosaics : tuple of Mosaic
        In the order of the bands; grids may differ.

    Raises
    ------
    InputError
        If there is none, a band or a file comes twice, or one has no sky in common with the largest.
    """

    mosaics: tuple[Mosaic, ...]

    def __post_init__(self) -> None:
        if not self.mosaics:
            raise InputError("mosaics must hold at least one band, got none")
        refuse_twice([(one.band, one.path) for one in self.mosaics])
        largest = max(self.mosaics, key=lambda one: one.data.size * one.pixel_scale.value**2)
        for one in self.mosaics:
            if one is not largest and not overlap(one, largest):
                raise InputError(
                    f"mosaics must cover some of the same sky, got {one.name!r} and {largest.name!r} that do "
                    "not; give the mosaics of one field, or mend their world coordinates"
                )

    @classmethod
    def from_arrays(
        cls,
        images: Mapping[str, NDArray],
        wcs: WCS | Mapping[str, WCS],
        *,
        zero_points: Mapping[str, float] | None = None,
        origin: str = "",
    ) -> Mosaics:
        """Mosaics that are in memory, for example straight from a simulation."""
        found = []
        for band, data in images.items():
            if np.ndim(data) != 2:
                raise InputError(f"the mosaic {band!r} must have the axes (y, x), got {np.shape(data)}")
            one = wcs[band] if isinstance(wcs, Mapping) else wcs
            zero_point = (zero_points or {}).get(band)
            found.append(Mosaic(band, np.asarray(data), one.celestial, zero_point=zero_point, origin=origin))
        return cls(tuple(found))

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(one.band for one in self.mosaics)

    def __getitem__(self, band: str) -> Mosaic:
        return self.select((band,)).mosaics[0]

    def __len__(self) -> int:
        return len(self.mosaics)

    def select(self, bands: Iterable[str]) -> Mosaics:
        """The mosaics of some bands, in the order given."""
        names = (bands,) if isinstance(bands, str) else tuple(bands)
        if missing := [name for name in names if name not in self.bands]:
            raise MissingDataError(
                f"bands must be among those of the mosaics {self.bands}, got {missing}; add their files or "
                "choose other bands"
            )
        return Mosaics(tuple(self.mosaics[self.bands.index(name)] for name in names))

    @cached_property
    def offsets(self) -> tuple[tuple[int, int], ...] | None:
        """Shift (x, y) of each mosaic's pixels against the first's if all share one grid, else None."""
        found = [grid_offset(self.mosaics[0], one) for one in self.mosaics]
        return None if None in found else tuple(one for one in found if one is not None)

    def table(self) -> QTable:
        """One row a mosaic, for people."""
        rows = [
            {
                "band": one.band,
                "file": one.path.name if one.path is not None else "",
                "width": one.shape[1],
                "height": one.shape[0],
                "pixel_scale": one.pixel_scale,
                "north": round(position_angle(one), 3) * u.deg,
                "zero_point": np.nan if one.zero_point is None else one.zero_point,
                "unit": one.unit,
                "mapped": isinstance(one.data, np.memmap),
            }
            for one in self.mosaics
        ]
        return QTable(rows=rows)

    def record(self) -> dict[str, Any]:
        """What a Sample's provenance keeps of each band, as plain values."""
        return {
            one.band: {
                "file": one.path.name if one.path is not None else None,
                "zero_point": one.zero_point,
                "unit": one.unit,
                "pixel_scale_arcsec": round(one.pixel_scale.value, 9),
            }
            for one in self.mosaics
        }


def read_mosaics(
    source: Source,
    *,
    pattern: str = "*_{band}.fits*",
    bands: Iterable[str] | None = None,
    hdu: int | str | None = None,
    zero_points: Mapping[str, float] | None = None,
) -> Mosaics:
    """Open the mosaics of a field, one FITS file a band; pixels stay on disk until they are cut out.

    Parameters
    ----------
    source : path, mapping or sequence of pairs
        A folder, or the file of each band.
    pattern : str
        For a folder: names of its files, with ``*`` for anything and ``{band}`` (letters and digits) where
        the band stands.
    bands : iterable of str, optional
        Open these only, in this order. By default all: those of a folder from blue to red (see
        ``wavelengths.toml``), then those of unknown wavelength by name.
    hdu : int or str, optional
        Extension in all files; by default SCI or the first with an image.
    zero_points : mapping of str to float, optional
        AB magnitude of one unit, instead of the headers'.

    Returns
    -------
    Mosaics
        The bands.

    Raises
    ------
    MissingDataError
        If a folder, file or band is not there.
    InputError
        If a band comes twice, mosaics do not overlap, or a file cannot be used.
    """
    files = folder_files(Path(source), pattern) if isinstance(source, str | Path) else _pairs(source)
    opened = [open_mosaic(path, band=band, hdu=hdu) for band, path in chosen_files(files, bands)]
    given = zero_points or {}
    if bands is None and isinstance(source, str | Path):
        opened.sort(key=lambda one: blue_to_red(one.band, one.telescope))
    return Mosaics(tuple(replace(one, zero_point=given.get(one.band, one.zero_point)) for one in opened))


def on_one_scale(fields: Sequence[Mosaics]) -> list[Mosaics]:
    """The mosaics of several fields in one unit for each band: that of the first field that has it.

    Pixels of other zero points are multiplied as they are read.

    Raises
    ------
    InputError
        If a band has a zero point in some fields only.
    """
    units: dict[str, float | None] = {}
    for one in (one for field in fields for one in field.mosaics):
        first = units.setdefault(one.band, one.zero_point)
        if (first is None) != (one.zero_point is None):
            raise InputError(
                f"zero points of {one.band!r} must be known in all fields or in none, got {one.zero_point} "
                f"for {one.name!r} and {first} in an earlier field; give it by zero_points or in the header"
            )
    return [Mosaics(tuple(_in_units_of(one, units[one.band]) for one in field.mosaics)) for field in fields]


def _in_units_of(one: Mosaic, zero_point: float | None) -> Mosaic:
    if zero_point is None or one.zero_point is None or abs(zero_point - one.zero_point) < _SAME_MAG:
        return one
    factor = 10 ** (0.4 * (zero_point - one.zero_point))
    logger.info("multiplying %s by %.6g: zero point %g, not %g", one.name, factor, one.zero_point, zero_point)
    return replace(one, data=_Scaled(one.data, np.float32(factor)), zero_point=zero_point)


class _Scaled:
    """Pixels on disk that are multiplied where they are read."""

    def __init__(self, data: NDArray, factor: np.float32) -> None:
        self.data, self.factor = data, factor
        self.shape, self.size, self.ndim, self.dtype = data.shape, data.size, data.ndim, np.dtype(np.float32)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        return np.asarray(self.data[key], dtype=np.float32) * self.factor

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self[...], dtype=dtype)


def _pairs(source: Any) -> list[tuple[str, Path]]:
    pairs = source.items() if isinstance(source, Mapping) else source
    return [(str(band), Path(path)) for band, path in pairs]
