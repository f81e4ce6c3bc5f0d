"""How the pixel grids of mosaics lie to each other and to the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.sources.mosaics.file import Mosaic

#: Grids are the same if their pixels differ by whole numbers to this many pixels.
SAME_GRID_PX = 0.01
#: North may differ from straight up by this before pixels are resampled: half a pixel at the rim of 64.
NORTH_UP_DEG = 1.0
#: Pixel scales are the same if they differ by this fraction at most.
SAME_SCALE = 1e-3
_LATTICE = 9


@dataclass(frozen=True)
class Turn:
    """Flips and a transposition that bring north up and east left without touching a pixel's value."""

    transpose: bool  # what is done, in this order
    flip_y: bool
    flip_x: bool

    def __call__(self, images: NDArray) -> NDArray:
        """Turn images of shape (..., y, x); a view."""
        images = images.swapaxes(-1, -2) if self.transpose else images
        images = images[..., ::-1, :] if self.flip_y else images
        return images[..., ::-1] if self.flip_x else images


def common_scale(mosaics: Sequence[Mosaic], asked: u.Quantity | None = None) -> u.Quantity:
    """Pixel scale of an image that is made of mosaics, arcsec."""
    scales = u.Quantity([one.pixel_scale for one in mosaics])
    if asked is None:
        if np.ptp(scales) > SAME_SCALE * scales.max():
            listed = ", ".join(f"{one.band} {scale:.4g}" for one, scale in zip(mosaics, scales, strict=True))
            raise InputError(
                f"pixel_scale must be given for mosaics of different pixel scales ({listed}); pass for "
                f"example pixel_scale={scales.max().value:.4g} * u.arcsec"
            )
        return scales[0]
    scale = u.Quantity(asked)
    if not (scale.isscalar and scale.unit.is_equivalent(u.arcsec) and scale > 0 * u.arcsec):
        raise InputError(f"pixel_scale must be one positive angle, got {asked!r}")
    return scale.to(u.arcsec)


def grid_offset(one: Mosaic, other: Mosaic) -> tuple[int, int] | None:
    """Whole pixels (x, y) by which the other's grid is shifted against the first's; None for another grid."""
    x, y = _lattice(one)
    there = sky_to_pixel(other.wcs, *pixel_to_sky(one.wcs, x, y))
    shifts = np.stack([there[0] - x, there[1] - y])  # (2, point)
    if not np.isfinite(shifts).all():
        return None
    whole = np.rint(shifts.mean(axis=1))
    if np.abs(shifts - whole[:, None]).max() > SAME_GRID_PX:
        return None
    return int(whole[0]), int(whole[1])


def overlap(one: Mosaic, other: Mosaic) -> bool:
    """Whether two mosaics cover some of the same sky, to a sixteenth of their size."""
    return _reaches(one, other) or _reaches(other, one)


def _reaches(one: Mosaic, other: Mosaic) -> bool:
    x, y = sky_to_pixel(other.wcs, *pixel_to_sky(one.wcs, *_lattice(one, 2 * _LATTICE - 1)))
    height, width = other.shape
    return bool(((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).any())


def _lattice(mosaic: Mosaic, n: int = _LATTICE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """N x n points from edge to edge of a mosaic, in pixels."""
    height, width = mosaic.shape
    x, y = np.meshgrid(np.linspace(-0.499, width - 0.501, n), np.linspace(-0.499, height - 0.501, n))
    return x.ravel(), y.ravel()


def position_angle(mosaic: Mosaic) -> float:
    """Angle of north against the y axis at the centre, degrees, counted from y towards negative x."""
    north, _ = _axes(mosaic)
    return float(np.degrees(np.arctan2(-north[0], north[1])))


def turn_north_up(mosaic: Mosaic) -> Turn | None:
    """The turn that brings north up and east left within `NORTH_UP_DEG`; None for a slanted mosaic."""
    north, east = _axes(mosaic)
    transpose = bool(abs(north[0]) > abs(north[1]))
    if transpose:
        north, east = north[::-1], east[::-1]
    turn = Turn(transpose, bool(north[1] < 0), bool(east[0] > 0))
    slant = np.degrees(max(np.arccos(min(abs(north[1]), 1)), np.arccos(min(abs(east[0]), 1))))
    return turn if slant <= NORTH_UP_DEG else None


def _axes(mosaic: Mosaic) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of north and east in pixels at the centre, as unit vectors (x, y)."""
    height, width = mosaic.shape
    centre = SkyCoord(*pixel_to_sky(mosaic.wcs, (width - 1) / 2, (height - 1) / 2), unit="deg")
    step = 10 * mosaic.pixel_scale
    points = SkyCoord([centre, *(centre.directional_offset_by(angle * u.deg, step) for angle in (0, 90))])
    x, y = sky_to_pixel(mosaic.wcs, points.ra, points.dec)
    vectors = np.stack([x[1:] - x[0], y[1:] - y[0]], axis=1)
    north, east = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return north, east
