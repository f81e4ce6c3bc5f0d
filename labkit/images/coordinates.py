"""Between sky and pixels: the one place where world coordinates and sizes of pixels are evaluated."""

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, BaseCoordinateFrame, UnitSphericalRepresentation
from astropy.wcs import WCS, NoConvergence, WcsError
from astropy.wcs.utils import proj_plane_pixel_scales, wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.sample import Sample
from labkit.tables import need_columns, numbers

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def sky_to_pixel(wcs: WCS, ra: ArrayLike, dec: ArrayLike) -> Pair:
    """Pixels (from 0 at the centre of the first) of sky positions: ICRS, degrees or Quantities, any shapes.

    Any projection, frame and order of axes; distortions (SIP, look-up tables) are followed. NaN where the
    projection or the inverse of its distortion has no solution.
    """
    wcs, frame = _celestial(wcs)
    ra, dec = np.broadcast_arrays(_degrees(ra), _degrees(dec))
    shape, lon, lat = ra.shape, ra.ravel(), np.where(np.abs(dec) <= 90, dec, np.nan).ravel()
    if not lon.size:
        return np.zeros(shape), np.zeros(shape)
    if not isinstance(frame, ICRS):
        there = ICRS(_unit_sphere(lon, lat)).transform_to(frame).spherical
        lon, lat = there.lon.deg, there.lat.deg
    world = (lon, lat) if wcs.wcs.lng == 0 else (lat, lon)
    try:
        x, y = wcs.all_world2pix(*world, 0)
    except NoConvergence as error:  # a few positions must not stop the others
        x, y = error.best_solution.T.copy()
        for rows in (error.divergent, error.slow_conv):
            if rows is not None:
                x[rows], y[rows] = np.nan, np.nan
    return np.asarray(x, dtype=np.float64).reshape(shape), np.asarray(y, dtype=np.float64).reshape(shape)


def pixel_to_sky(wcs: WCS, x: ArrayLike, y: ArrayLike) -> Pair:
    """ICRS positions, degrees, ra from 0 to 360, of pixels as `sky_to_pixel` gives them; NaN without sky."""
    wcs, frame = _celestial(wcs)
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if not x.size:
        return np.zeros(x.shape), np.zeros(x.shape)
    world = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    lon, lat = world if wcs.wcs.lng == 0 else world[::-1]
    if not isinstance(frame, ICRS):
        there = frame.realize_frame(_unit_sphere(lon, lat)).transform_to(ICRS()).spherical
        lon, lat = there.lon.deg, there.lat.deg
    return np.asarray(lon).reshape(x.shape) % 360, np.asarray(lat).reshape(x.shape)


def pixel_scale_arcsec(wcs: WCS) -> float:
    """Side of a pixel, the mean of both, in arcsec."""
    return float(np.mean(proj_plane_pixel_scales(_celestial(wcs)[0]))) * 3600


def tangent_plane(ra: float, dec: float, scale_arcsec: float, shape: tuple[int, int]) -> WCS:
    """Gnomonic world coordinates about a position (ICRS, degrees), north up, for (y, x) pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], "ICRS"
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(n + 1) / 2 for n in shape[::-1]]
    wcs.wcs.cdelt = [-scale_arcsec / 3600, scale_arcsec / 3600]
    wcs.array_shape = shape
    return wcs


def _celestial(wcs: WCS) -> tuple[WCS, BaseCoordinateFrame]:
    """The two celestial axes and their frame."""
    try:
        wcs.wcs.set()
        if wcs.naxis != 2:
            wcs = wcs.celestial
            wcs.wcs.set()
        if wcs.wcs.lng >= 0 and wcs.wcs.lat >= 0:
            return wcs, wcs_to_celestial_frame(wcs)
        reason = f"axes {list(wcs.wcs.ctype)}"
    except (WcsError, ValueError) as error:
        reason = " ".join(str(error).split())
    raise InputError(
        f"wcs must hold celestial coordinates in a known frame, got {reason}; add CTYPE, CRVAL, CRPIX, "
        "CDELT or CD, and RADESYS"
    )


def _degrees(angle: ArrayLike) -> NDArray[np.float64]:
    return angle.to_value(u.deg) if isinstance(angle, u.Quantity) else np.asarray(angle, dtype=np.float64)


def _unit_sphere(lon: NDArray, lat: NDArray) -> UnitSphericalRepresentation:
    return UnitSphericalRepresentation(lon * u.deg, lat * u.deg, copy=False)


def pixel_kpc(sample: Sample) -> NDArray[np.float64]:
    """Size of a pixel of each object in kpc, (n,): ``kpc_per_pixel`` of the catalogue, or from ``redshift``.

    An InputError if there is no redshift, or one is not positive.
    """
    need_columns(sample.catalogue, ["redshift"], "sample")
    redshift = numbers(sample.catalogue["redshift"])
    if not (redshift > 0).all():
        bad = sample.object_ids[~(redshift > 0)]
        raise InputError(
            f"redshift must be positive for each object, got {len(bad)} others, {bad[:3].tolist()}; "
            "leave them out"
        )
    if "kpc_per_pixel" in sample.catalogue.colnames:
        return numbers(sample.catalogue["kpc_per_pixel"], u.kpc)
    scale = sample.pixel_scale.to_value(u.arcmin)
    return scale * np.asarray(COSMOLOGY.kpc_proper_per_arcmin(redshift).value, dtype=float)


def pixels_at(image: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Value of the pixel that each place (counted from 0) lies in, and whether there is one; as x and y."""
    column, row = (np.rint(np.nan_to_num(axis, nan=-1e6)).astype(int) for axis in (x, y))
    height, width = image.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.asarray(image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]), inside
