"""Mosaics brought onto one pixel grid, and the sources and magnitudes measured there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.images.cutouts import NODES, linear_weights
from labkit.images.resampling import Conserve, average_boxes
from labkit.photometry import extract
from labkit.sources.mosaics.file import Mosaic
from labkit.sources.mosaics.grid import SAME_SCALE, common_scale
from labkit.sources.mosaics.mosaics import Mosaics

#: Regridded at a time; the transform is exact at NODES x NODES points of a tile and linear between them.
_TILE_PX = 128


def registered(
    mosaics: Mosaics,
    *,
    pixel_scale: u.Quantity | None = None,
    conserve: Conserve = "flux",
    blank: float | None = 0.0,
) -> Mosaics:
    """The same field with all bands on one grid and of one shape, in memory: float32, NaN without data.

    Mosaics that share a grid keep their pixels on the frame of the largest. Others are regridded to north up
    on a tangent plane about the middle of the largest, weighted by area. `pixel_scale` is needed where pixel
    scales differ; `blank` is the value of pixels without data, besides NaN.
    """
    scale = common_scale(mosaics.mosaics, pixel_scale)
    largest = max(mosaics.mosaics, key=lambda one: one.data.size * one.pixel_scale.value**2)
    if mosaics.offsets is not None and abs(scale / largest.pixel_scale - 1) < SAME_SCALE:
        origin = mosaics.offsets[mosaics.mosaics.index(largest)]
        shifts = [(dx - origin[0], dy - origin[1]) for dx, dy in mosaics.offsets]
        images = [
            _placed(one, shift, largest.shape) for one, shift in zip(mosaics.mosaics, shifts, strict=True)
        ]
        wcs = largest.wcs
    else:
        wcs, shape = _north_up(largest, scale)
        images = [_regridded(one, wcs, shape, conserve, blank) for one in mosaics.mosaics]
    for image in images:
        if blank is not None:
            image[image == np.float32(blank)] = np.nan
    pairs = zip(mosaics.mosaics, images, strict=True)
    return Mosaics(tuple(replace(one, data=image, wcs=wcs) for one, image in pairs))


def _placed(one: Mosaic, shift: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A mosaic's pixels on a frame whose pixel x, y is its pixel x + dx, y + dy."""
    image = np.full(shape, np.nan, dtype=np.float32)
    (dx, dy), (height, width) = shift, one.shape
    x, y = slice(max(0, -dx), min(shape[1], width - dx)), slice(max(0, -dy), min(shape[0], height - dy))
    if x.start < x.stop and y.start < y.stop:
        image[y, x] = one.data[y.start + dy : y.stop + dy, x.start + dx : x.stop + dx]
    return image


def _north_up(one: Mosaic, scale: u.Quantity) -> tuple[WCS, tuple[int, int]]:
    """A tangent plane about the middle of a mosaic that holds all of it."""
    height, width = one.shape
    ra, dec = pixel_to_sky(one.wcs, (width - 1) / 2, (height - 1) / 2)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], "ICRS"
    wcs.wcs.crval, wcs.wcs.crpix = [float(ra), float(dec)], [0.0, 0.0]
    step = scale.to_value(u.deg)
    wcs.wcs.cdelt = [-step, step]
    edge = pixel_to_sky(one.wcs, *np.meshgrid([-0.5, width - 0.5], [-0.5, height - 0.5]))
    corners = np.stack(sky_to_pixel(wcs, *edge)) + 1  # against the middle
    nx, ny = (int(n) for n in np.ceil(2 * np.abs(corners).max(axis=(1, 2)) - 1e-6))
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.array_shape = (ny, nx)
    return wcs, (ny, nx)


def _regridded(
    one: Mosaic, wcs: WCS, shape: tuple[int, int], conserve: Conserve, blank: float | None
) -> NDArray[np.float32]:
    out = np.full(shape, np.nan, dtype=np.float32)
    for y in range(0, shape[0], _TILE_PX):
        for x in range(0, shape[1], _TILE_PX):
            tile = out[y : y + _TILE_PX, x : x + _TILE_PX]
            _fill(tile, one, wcs, (x, y), conserve, blank)
    return out


def _fill(
    tile: NDArray[np.float32],
    one: Mosaic,
    wcs: WCS,
    corner: tuple[int, int],
    conserve: Conserve,
    blank: float | None,
) -> None:
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
    if blank is not None:
        window[window == np.float32(blank)] = np.nan
    if not np.isfinite(window).any():
        return
    rows, columns = linear_weights(ny * steps), linear_weights(nx * steps)
    boxes: dict[str, Any] = {"width": np.sqrt(area) / steps, "steps": steps, "fill": np.nan}
    places = (rows @ (x - left) @ columns.T, rows @ (y - low) @ columns.T)
    tile[...] = average_boxes(window, *places, **boxes) * np.float32(area if conserve == "flux" else 1)


logger = logging.getLogger(__name__)


def extract_mosaics(
    mosaics: Mosaics,
    *,
    zero_points: Mapping[str, float] | None = None,
    pixel_scale: u.Quantity | None = None,
    blank: float | None = 0.0,
    **options: Any,
) -> QTable:
    """Find the sources of a field and measure them in all bands, as `~labkit.photometry.extract` gives them.

    Mosaics on different grids are regridded first (`registered`). Zero points (unless given: AB magnitudes of
    one unit by band), electrons in a unit and the widths of the PSFs come from the headers: colours compare
    bands at one PSF where every header says its width. `options` are those of `~labkit.photometry.extract`:
    ``detect_on``, ``threshold``, ``deblend_contrast``, ``gain``, ``psf_fwhm_arcsec`` (None: bands as they
    are) and others.
    """
    headers = {one.band: one.zero_point for one in mosaics.mosaics if one.zero_point is not None}
    known = headers | dict(zero_points or {})
    if missing := [band for band in mosaics.bands if band not in known]:
        raise InputError(
            f"every band must have a zero point, got none in the headers of {missing}; give their AB "
            "magnitudes of one unit by zero_points="
        )
    options.setdefault("gain", {one.band: one.gain for one in mosaics.mosaics if one.gain is not None})
    psf = {one.band: one.psf_fwhm_arcsec for one in mosaics.mosaics}
    options.setdefault("psf_fwhm_arcsec", None if None in psf.values() else psf)
    if options["psf_fwhm_arcsec"] is None:
        logger.info("bands are compared as they are, without matching their point-spread functions")
    there = registered(mosaics, pixel_scale=pixel_scale, blank=blank)
    images = {one.band: one.data for one in there.mosaics}
    return extract(
        images, wcs=there.mosaics[0].wcs, zeropoints={band: known[band] for band in images}, **options
    )
