"""Cut-outs of sources from mosaics: the mosaics' own pixels where they can be, else regridded.

Where all mosaics share one pixel grid of the asked pixel scale, with an axis to the north within a degree,
a cut-out holds their own pixels: the `size_px` x `size_px` pixels whose centre is nearest to the source (at
most half a pixel off along each axis), flipped or turned by right angles where needed. Nothing is
interpolated, so noise and colours are those of the mosaics, and the same mosaics in memory or on disk give
the same numbers to the last bit. Otherwise every band is regridded to north up about the exact position,
weighted by area, with the flux conserved.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, need_choice
from labkit.images.coordinates import sky_to_pixel
from labkit.images.cutouts import Conserve, cutouts
from labkit.sources.mosaicfile import SAME_SCALE, Mosaic, Turn, common_scale, turn_north_up
from labkit.sources.mosaics import Mosaics

#: Sources are regridded in groups that lie in squares of this many pixels, to look at little of a mosaic.
_TILE_PX = 256
#: A source has a band if this fraction of its cut-out has data, and its central pixels have.
MIN_COVERAGE = 0.95
_DIGITS = 6  # pixel positions are rounded to these before the nearest pixel is chosen


@dataclass(frozen=True)
class Cutter:
    """How sources are cut out of mosaics: call it with positions, shape (n,)."""

    mosaics: Mosaics
    bands: tuple[str, ...]  # in order; those without a mosaic are NaN
    size_px: int
    pixel_scale: u.Quantity
    turn: Turn | None  # brings the mosaics' own pixels north up; None to regrid
    conserve: Conserve
    blank: float | None  # value of pixels without data, besides NaN

    def __call__(self, positions: SkyCoord) -> NDArray[np.float32]:
        """Cut-outs, float32, shape (n, band, y, x), NaN without data."""
        size = self.size_px
        images = np.full((len(positions), len(self.bands), size, size), np.nan, dtype=np.float32)
        slots = [images[:, self.bands.index(band)] for band in self.mosaics.bands]
        if self.turn is None:
            for one, slot in zip(self.mosaics.mosaics, slots, strict=True):
                self._regrid(one, positions, slot)
            return images
        x, y = sky_to_pixel(self.mosaics.mosaics[0].wcs, positions.icrs.ra, positions.icrs.dec)
        corners = np.stack([_first_pixel(values, size) for values in (x, y)], axis=1)
        shifts = cast(tuple[tuple[int, int], ...], self.mosaics.offsets)
        for one, slot, shift in zip(self.mosaics.mosaics, slots, shifts, strict=True):
            for stamp, corner in zip(slot, (corners + shift).tolist(), strict=True):
                one.copy_into(stamp, *corner)
        self._empty(images)
        return self.turn(images)

    def record(self) -> dict[str, Any]:
        """The mosaics' record; where surface brightness is kept, zero points are those of the new pixels."""
        record = self.mosaics.record()
        if self.turn is None and self.conserve == "surface brightness":
            for one in self.mosaics.mosaics:
                if one.zero_point is not None:
                    wider = (self.pixel_scale / one.pixel_scale).to_value(u.one)
                    record[one.band]["zero_point"] = one.zero_point - 5 * float(np.log10(wider))
        return record

    def _empty(self, images: NDArray[np.float32]) -> None:
        if self.blank is not None:
            images[images == np.float32(self.blank)] = np.nan

    def _regrid(self, one: Mosaic, positions: SkyCoord, out: NDArray[np.float32]) -> None:
        x, y = sky_to_pixel(one.wcs, positions.icrs.ra, positions.icrs.dec)
        side = self.size_px * (self.pixel_scale / one.pixel_scale).to_value(u.one)
        reach = int(np.ceil(side / np.sqrt(2))) + 3
        height, width = one.shape
        near = (x > -reach) & (x < width + reach) & (y > -reach) & (y < height + reach)
        tiles = np.stack([np.where(near, values, 0) // _TILE_PX for values in (y, x)])
        for tile in np.unique(tiles[:, near], axis=1).T:
            rows = np.flatnonzero(near & (tiles == tile[:, None]).all(axis=0))
            along, up = _window(x[rows], reach, width), _window(y[rows], reach, height)
            window = np.array(one.data[up, along], dtype=np.float32)
            self._empty(window)
            if np.isfinite(window).any():
                options = {"size": self.size_px * self.pixel_scale, "pixels": self.size_px, "fill": np.nan}
                options |= {"first": (along.start, up.start), "conserve": self.conserve}
                out[rows] = cutouts(window, one.wcs, positions[rows], **options)


def make_cutter(
    mosaics: Mosaics,
    *,
    bands: Iterable[str] | None = None,
    size_px: int = 64,
    pixel_scale: u.Quantity | None = None,
    resample: Literal["auto", "never", "always"] = "auto",
    conserve: Conserve = "flux",
    blank: float | None = 0.0,
) -> Cutter:
    """Decide how sources are cut out; `~labkit.sources.members_sample` explains the options."""
    if size_px < 1:
        raise InputError(f"size_px must be at least 1, got {size_px}")
    need_choice("resample", resample, ("auto", "never", "always"))
    need_choice("conserve", conserve, ("flux", "surface brightness"))
    asked = common_scale(mosaics.mosaics, pixel_scale)
    turn, obstacle = (None, "") if resample == "always" else _turn(mosaics, asked)
    if resample == "never" and obstacle:
        if turn is None:
            raise InputError(
                f"resample='never' needs mosaics on one grid of the asked pixel scale, but {obstacle}; pass "
                "resample='auto'"
            )
    elif obstacle:
        turn = None
    names = mosaics.bands if bands is None else tuple(bands)
    return Cutter(mosaics, names, int(size_px), asked, turn, conserve, blank)


def _turn(mosaics: Mosaics, asked: u.Quantity) -> tuple[Turn | None, str]:
    """The turn to north up of mosaics on one grid, and what speaks against taking their own pixels."""
    scales = u.Quantity([one.pixel_scale for one in mosaics.mosaics])
    if not all(one.square for one in mosaics.mosaics):
        return None, "their pixels are not square"
    if np.abs(scales / asked - 1).max() > SAME_SCALE:
        listed = ", ".join(f"{scale:.4g}" for scale in scales)
        return None, f"their pixel scales are {listed}, {asked} is asked for"
    if mosaics.offsets is None:
        return None, "their pixel grids differ"
    turn = turn_north_up(mosaics.mosaics[0])
    return (turn, "") if turn is not None else (Turn(False, False, False), "north is not along an axis")


def _first_pixel(position: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """First of the `size` pixels whose centre is nearest to each position; far outside for NaN."""
    known = np.nan_to_num(position, nan=-1e9, posinf=-1e9, neginf=-1e9)
    return np.floor(np.round(known - (size - 1) / 2, _DIGITS) + 0.5).astype(np.int64)


def _window(position: NDArray[np.float64], reach: int, length: int) -> slice:
    low, high = int(np.floor(position.min())) - reach, int(np.ceil(position.max())) + reach + 1
    return slice(min(max(low, 0), length - 1), max(min(high, length), 1))


def has_band(coverage: ArrayLike, least: float = MIN_COVERAGE) -> NDArray[np.bool_]:
    """Whether cut-outs of this coverage have the band; as float32, in which Samples hold it."""
    return np.asarray(coverage, dtype=np.float32) >= np.float32(least)


def coverage_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fraction of each cut-out's pixels with data, shape (n, band); 0 where the central pixels lack any.

    Central are 2 x 2 pixels, or one.
    """
    known = np.isfinite(images)
    size = images.shape[-1]
    middle = slice((size - 1) // 2, size // 2 + 1)
    whole = known[..., middle, middle].all(axis=(-2, -1))
    share = np.count_nonzero(known, axis=(-2, -1)).astype(np.float32) / np.float32(size * size)
    return np.where(whole, share, np.float32(0))
