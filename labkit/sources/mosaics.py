"""Mosaics of a field in several bands, as they lie on disk or brought onto one grid, and sources on them."""

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
from labkit.images.coordinates import pixel_to_sky, pixels_at, sky_to_pixel, tangent_plane
from labkit.images.cutouts import NODES, average_boxes, linear_weights
from labkit.photometry import extract
from labkit.sources.mosaicfile import (
    SAME_SCALE,
    Mosaic,
    blue_to_red,
    common_scale,
    folder_files,
    grid_offset,
    open_mosaic,
    overlap,
    refuse_twice,
)

logger = logging.getLogger(__name__)

_SAME_MAG = 1e-3  # zero points that differ by less are equal
_RINGS, _DIRECTIONS = 8, 360  # points in an annulus
#: Regridded at a time; the transform is exact at NODES x NODES points of a tile and linear between them.
_TILE_PX = 128
ZeroPoints = Mapping[str, float | str] | float | str | None
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
        for one in self.mosaics:
            if one is not self.largest and not overlap(one, self.largest):
                raise InputError(
                    f"mosaics must cover some of the same sky, got {one.name!r} and {self.largest.name!r} "
                    "that do not; give the mosaics of one field, or mend their world coordinates"
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
            said = "nothing given" if zero_point is None else "given"
            about: dict[str, Any] = {"zero_point": zero_point, "zero_point_from": said, "origin": origin}
            found.append(Mosaic(band, np.asarray(data), one.celestial, **about))
        return cls(tuple(found))

    def with_zero_points(self, given: ZeroPoints) -> Mosaics:
        """The mosaics with these zero points instead of the headers', see `read_mosaics`."""
        points = dict(given) if isinstance(given, Mapping) else dict.fromkeys(self.bands, given)
        new: dict[str, dict[str, Any]] = {
            band: {"zero_point": zero_point_number(band, value), "zero_point_from": "given"}
            for band, value in points.items()
            if value is not None
        }
        return Mosaics(tuple(replace(one, **new.get(one.band, {})) for one in self.mosaics))

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(one.band for one in self.mosaics)

    @property
    def largest(self) -> Mosaic:
        """The mosaic that covers most of the sky."""
        return max(self.mosaics, key=lambda one: one.data.size * one.pixel_scale.value**2)

    def __getitem__(self, band: str) -> Mosaic:
        return self.select((band,)).mosaics[0]

    def select(self, bands: Iterable[str]) -> Mosaics:
        """The mosaics of some bands, in the order given."""
        there = dict(zip(self.bands, self.mosaics, strict=True))
        return Mosaics(tuple(there[name] for name in _among(bands, there)))

    @cached_property
    def offsets(self) -> tuple[tuple[int, int], ...] | None:
        """Shift (x, y) of each mosaic's pixels against the first's if all share one grid, else None."""
        found = [grid_offset(self.mosaics[0], one) for one in self.mosaics]
        return None if None in found else tuple(one for one in found if one is not None)

    def record(self) -> dict[str, Any]:
        """What a Sample's provenance keeps of each band, as plain values."""
        return {
            one.band: {
                "file": one.path.name if one.path is not None else None,
                "zero_point": one.zero_point,
                "zero_point_from": one.zero_point_from,
                "unit": one.unit,
                "pixel_scale_arcsec": round(one.pixel_scale.value, 9),
            }
            for one in self.mosaics
        }


def zero_point_number(band: str, value: float | str) -> float | None:
    """A zero point that is given, "none" for None."""
    try:
        number = None if value == "none" else float(value)
    except ValueError:
        number = np.nan
    if number is not None and not -50 <= number <= 100:
        raise InputError(
            f"the zero point of {band!r} must be an AB magnitude, as 25.9, or 'none', got {value!r}"
        )
    return number


def _among(bands: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    if missing := [name for name in names if name not in there]:
        raise MissingDataError(
            f"bands must be among those that are there {tuple(there)}, got {missing}; add their mosaics or "
            "choose other bands"
        )
    return names


def read_mosaics(
    source: Source,
    *,
    pattern: str = "*_{band}.fits*",
    bands: Iterable[str] | None = None,
    hdu: int | str | None = None,
    zero_points: ZeroPoints = None,
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
    zero_points : float or mapping of str to float, optional
        AB magnitude of one unit of a pixel, of all bands or by band, instead of the headers'
        (``zero_points.toml`` lists the keywords that are read); "none" says that a band has no flux scale.

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
    if isinstance(source, str | Path):
        files = folder_files(Path(source), pattern)
    else:
        pairs = source.items() if isinstance(source, Mapping) else source
        files = [(str(band), Path(path)) for band, path in pairs]
    refuse_twice(files)
    there = dict(files)
    names = there if bands is None else _among(bands, there)
    opened = [open_mosaic(there[band], band=band, hdu=hdu) for band in names]
    if isinstance(zero_points, Mapping):
        _among(zero_points, names)
    if bands is None and isinstance(source, str | Path):
        opened.sort(key=lambda one: blue_to_red(one.band, one.telescope))
    return Mosaics(tuple(opened)).with_zero_points(zero_points)


def on_one_scale(fields: Sequence[Mosaics], bands: Iterable[str] | None = None) -> list[Mosaics]:
    """The mosaics of several fields in one unit for each band: that of the first field that has it.

    Pixels of other zero points are multiplied as they are read. All `bands`, of all fields, must have a zero
    point, or none may: then each keeps its own unit.
    """
    used = [one for field in fields for one in field.mosaics if bands is None or one.band in bands]
    unknown = [one for one in used if one.zero_point is None]
    known = [one for one in used if one.zero_point is not None]
    if unknown and known:
        places = [f"none for {one.band} of {one.name} ({one.zero_point_from})" for one in unknown[:6]]
        silent = ", ".join(places)
        said = ", ".join(f"{one.band} {one.zero_point:g} ({one.zero_point_from})" for one in known[:6])
        raise InputError(
            f"zero points must be known of all bands and fields or of none, got {silent}, but {said}; give "
            f"what is missing by zero_points (--zero-point {unknown[0].band}=25.9), or 'none' for all, which "
            "keeps each band in its own unit: enough for networks, not for photometry"
        )
    units: dict[str, float | None] = {}
    for one in used:
        units.setdefault(one.band, one.zero_point)
    scaled = [[_in_units_of(one, units.get(one.band)) for one in field.mosaics] for field in fields]
    return [Mosaics(tuple(mosaics)) for mosaics in scaled]


def _in_units_of(one: Mosaic, zero_point: float | None) -> Mosaic:
    if zero_point is None or one.zero_point is None or abs(zero_point - one.zero_point) < _SAME_MAG:
        return one
    factor = 10 ** (0.4 * (zero_point - one.zero_point))
    logger.info("multiplying %s by %.6g: zero point %g, not %g", one.name, factor, one.zero_point, zero_point)
    data = cast(NDArray, _Scaled(one.data, np.float32(factor)))
    return replace(one, data=data, zero_point=zero_point, gain=one.gain / factor if one.gain else None)


class _Scaled:
    """Pixels on disk that are multiplied where they are read."""

    def __init__(self, data: NDArray, factor: np.float32) -> None:
        self.data, self.factor = data, factor
        self.shape, self.size, self.ndim, self.dtype = data.shape, data.size, data.ndim, np.dtype(np.float32)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        return np.asarray(self.data[key], dtype=np.float32) * self.factor

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self[...], dtype=dtype)


def annulus_shares(
    mosaics: Mosaics, centre: SkyCoord, edges: u.Quantity, *, margin: u.Quantity = 0 * u.arcsec
) -> NDArray[np.float64]:
    """Share of each annulus around a position, from 0 to 1, in which all bands have data, shape (bin,).

    The `edges`, shape (bin + 1,), are angles that rise. Data, neither NaN nor 0, are looked up at 8 radii of
    equal area and 360 directions in each annulus, so the share is right to about a per cent. A point counts
    only if bands also have data as far as `margin` to the north, south, east and west: half a cut-out, where
    a source must have a whole one.
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
            there = sky_to_pixel(one.wcs, points.icrs.ra, points.icrs.dec)
            values, inside = pixels_at(one.data, *there)
            covered &= inside & np.isfinite(values) & (values != 0)
    return covered.mean(axis=(1, 2))


def registered(mosaics: Mosaics, *, pixel_scale: u.Quantity | None = None) -> Mosaics:
    """The same field with all bands on one grid and of one shape, in memory: float32, NaN without data.

    Mosaics that share a grid keep their pixels on the frame of the largest. Others are regridded to north up
    on a tangent plane about the middle of the largest, weighted by area, with the flux conserved.
    `pixel_scale` is needed where pixel scales differ; pixels without data are NaN or 0.
    """
    scale = common_scale(mosaics.mosaics, pixel_scale)
    largest = mosaics.largest
    if mosaics.offsets is not None and abs(scale / largest.pixel_scale - 1) < SAME_SCALE:
        origin = mosaics.offsets[mosaics.mosaics.index(largest)]
        wcs = largest.wcs
        images = [np.full(largest.shape, np.nan, dtype=np.float32) for _ in mosaics.mosaics]
        for one, image, (dx, dy) in zip(mosaics.mosaics, images, mosaics.offsets, strict=True):
            one.copy_into(image, dx - origin[0], dy - origin[1])
    else:
        wcs = _north_up(largest, scale)
        images = [_regridded(one, wcs) for one in mosaics.mosaics]
    for image in images:
        image[image == 0] = np.nan
    pairs = zip(mosaics.mosaics, images, strict=True)
    return Mosaics(tuple(replace(one, data=image, wcs=wcs) for one, image in pairs))


def _north_up(one: Mosaic, scale: u.Quantity) -> WCS:
    """A tangent plane about the middle of a mosaic that holds all of it."""
    height, width = one.shape
    ra, dec = pixel_to_sky(one.wcs, (width - 1) / 2, (height - 1) / 2)
    plane = float(ra), float(dec), scale.to_value(u.arcsec)
    edge = pixel_to_sky(one.wcs, *np.meshgrid([-0.5, width - 0.5], [-0.5, height - 0.5]))
    corners = np.stack(sky_to_pixel(tangent_plane(*plane, (1, 1)), *edge))  # against the middle
    nx, ny = (int(n) for n in np.ceil(2 * np.abs(corners).max(axis=(1, 2)) - 1e-6))
    return tangent_plane(*plane, (ny, nx))


def _regridded(one: Mosaic, wcs: WCS) -> NDArray[np.float32]:
    out = np.full(wcs.array_shape, np.nan, dtype=np.float32)
    for y in range(0, out.shape[0], _TILE_PX):
        for x in range(0, out.shape[1], _TILE_PX):
            _fill(out[y : y + _TILE_PX, x : x + _TILE_PX], one, wcs, (x, y))
    return out


def _fill(tile: NDArray[np.float32], one: Mosaic, wcs: WCS, corner: tuple[int, int]) -> None:
    """Average what a mosaic has over the pixels of one tile."""
    ny, nx = tile.shape
    x_out, y_out = np.meshgrid(
        corner[0] - 0.5 + np.linspace(0, nx, NODES), corner[1] - 0.5 + np.linspace(0, ny, NODES)
    )
    x, y = sky_to_pixel(one.wcs, *pixel_to_sky(wcs, x_out, y_out))  # (NODES, NODES)
    height, width = one.shape
    reach = (x.min() > width + 1, x.max() < -2, y.min() > height + 1, y.max() < -2)
    if not np.isfinite(x).all() or any(reach):
        return
    along, up = ((v[:, -1] - v[:, 0]).mean() / nx for v in (x, y))
    across, over = ((v[-1] - v[0]).mean() / ny for v in (x, y))
    area = abs(along * over - up * across)  # of the mosaic's pixels in one of the tile's
    steps = max(2, int(np.ceil(np.sqrt(area))))
    left, low = max(int(x.min()) - 2, 0), max(int(y.min()) - 2, 0)
    window = np.array(one.data[low : int(y.max()) + 4, left : int(x.max()) + 4], dtype=np.float32)
    window[window == 0] = np.nan
    if not np.isfinite(window).any():
        return
    rows, columns = linear_weights(ny * steps), linear_weights(nx * steps)
    places = (rows @ (x - left) @ columns.T, rows @ (y - low) @ columns.T)
    mean = average_boxes(window, *places, width=np.sqrt(area) / steps, steps=steps, fill=np.nan)
    tile[...] = mean * np.float32(area)


def extract_mosaics(mosaics: Mosaics, *, pixel_scale: u.Quantity | None = None, **options: Any) -> QTable:
    """Find the sources of a field and measure them in all bands, as `~labkit.photometry.extract` gives them.

    Mosaics on different grids are regridded first (`registered`). Zero points are the mosaics' and must be
    known of all; electrons in a unit and the widths of the PSFs come from the headers: colours compare bands
    at one PSF where every header says its width. `options` are those of `~labkit.photometry.extract`:
    ``detect_on``, ``threshold``, ``deblend_contrast``, ``gain``, ``psf_fwhm_arcsec`` (None: bands as they
    are) and others.
    """
    zero_points = {one.band: one.zero_point for one in mosaics.mosaics if one.zero_point is not None}
    if unknown := [one for one in mosaics.mosaics if one.zero_point is None]:
        missing = ", ".join(f"{one.band} ({one.zero_point_from})" for one in unknown)
        raise InputError(
            f"photometry needs the zero point of every band, got none of {missing}; give their AB "
            "magnitudes of one unit by zero_points (--zero-point F814=25.9)"
        )
    options.setdefault("gain", {one.band: one.gain for one in mosaics.mosaics if one.gain is not None})
    psf = {one.band: one.psf_fwhm_arcsec for one in mosaics.mosaics}
    options.setdefault("psf_fwhm_arcsec", None if None in psf.values() else psf)
    if options["psf_fwhm_arcsec"] is None:
        logger.info("bands are compared as they are, without matching their point-spread functions")
    there = registered(mosaics, pixel_scale=pixel_scale)
    images = {one.band: one.data for one in there.mosaics}
    return extract(images, wcs=there.mosaics[0].wcs, zeropoints=zero_points, **options)
