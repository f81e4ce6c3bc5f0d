"""Mosaics of a field in several bands, as they lie on disk: registered or not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import sky_to_pixel
from labkit.sources.mosaics.file import (
    Mosaic,
    blue_to_red,
    chosen_files,
    folder_files,
    open_mosaic,
    refuse_twice,
)
from labkit.sources.mosaics.grid import grid_offset, overlap, position_angle

logger = logging.getLogger(__name__)

_SAME_MAG = 1e-3  # zero points that differ by less are equal
Source = str | Path | Mapping[str, str | Path] | Sequence[tuple[str, str | Path]]


@dataclass(frozen=True, eq=False)
class Mosaics:
    """Mosaics of one field, one a band, in the order of the bands; grids may differ.

    A band or a file that comes twice is refused, and a mosaic that has no sky in common with the largest.
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

    Pixels of other zero points are multiplied as they are read; a band must have a zero point in all fields
    or in none.
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
    return replace(one, data=cast(NDArray, _Scaled(one.data, np.float32(factor))), zero_point=zero_point)


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


_RINGS, _DIRECTIONS = 8, 360  # points in an annulus


def annulus_shares(
    mosaics: Mosaics,
    centre: SkyCoord,
    edges: u.Quantity,
    *,
    margin: u.Quantity = 0 * u.arcsec,
    blank: float | None = 0.0,
) -> NDArray[np.float64]:
    """Share of each annulus around a position in which all bands have data.

    Looked up at 8 radii of equal area and 360 directions in each annulus, so right to about a per cent.

    Parameters
    ----------
    mosaics : Mosaics
        Bands that a source must have.
    centre : SkyCoord
        Of the annuli, one position.
    edges : Quantity, shape (bin + 1,)
        Radii, angles, rising.
    margin : Quantity
        A point counts only if bands also have data this far to the north, south, east and west: half a
        cut-out, where a source must have a whole one.
    blank : float or None
        Value of pixels without data, besides NaN.

    Returns
    -------
    ndarray of float64, shape (bin,)
        From 0 to 1.

    Raises
    ------
    InputError
        If the edges do not rise from 0 or more.
    """
    radii = u.Quantity(edges).to_value(u.arcsec)
    if radii.ndim != 1 or len(radii) < 2 or radii[0] < 0 or not (np.diff(radii) > 0).all():
        raise InputError(f"edges must rise from 0 or more, two at least, got {edges}")
    inner, outer = radii[:-1, None] ** 2, radii[1:, None] ** 2
    ring = np.sqrt(inner + (outer - inner) * (np.arange(_RINGS) + 0.5) / _RINGS)  # (bin, ring)
    angle = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    east, north = (ring[..., None] * axis(angle) for axis in (np.sin, np.cos))
    step = float(u.Quantity(margin).to_value(u.arcsec))
    covered = np.ones(east.shape, dtype=bool)
    for dx, dy in [(0.0, 0.0)] + ([(-step, 0.0), (step, 0.0), (0.0, -step), (0.0, step)] if step else []):
        points = centre.spherical_offsets_by((east + dx) * u.arcsec, (north + dy) * u.arcsec)
        for one in mosaics.mosaics:
            covered &= _has_data(one, points, blank)
    return covered.mean(axis=(1, 2))


def _has_data(one: Mosaic, points: SkyCoord, blank: float | None) -> NDArray[np.bool_]:
    """Whether the pixel of each point has data."""
    there = sky_to_pixel(one.wcs, points.icrs.ra, points.icrs.dec)
    x, y = (np.rint(np.nan_to_num(axis, nan=-1e6)).astype(int) for axis in there)
    height, width = one.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    values = np.asarray(one.data[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)])
    return inside & np.isfinite(values) & (True if blank is None else values != blank)
