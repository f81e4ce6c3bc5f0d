"""How much of the annuli around a position the mosaics of a field cover."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.coordinates import sky_to_pixel
from labkit.sources.mosaics.file import Mosaic
from labkit.sources.mosaics.mosaics import Mosaics

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
