"""XMM-Newton EPIC observations: images of one or more detectors, summed, with their exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.instruments.epic import MOS1, MOS2, PN
from labkit.sources.fitsfile import FitsImage, header_number, header_text, read_image

Paths = str | Path | Sequence[str | Path]
GRID_TOLERANCE_PX = 0.1
_WELL_FILLED, _TOO_SMOOTH = 10.0, 0.1  # median counts; step between neighbours over Poisson's 0.95 sigma
_SHARES = {"EPN": PN.share, "EMOS1": MOS1.share, "EMOS2": MOS2.share}


@dataclass(frozen=True)
class Observation:
    """The summed image of an observation.

    Attributes
    ----------
    image : numpy.ndarray
        Counts per pixel, shape (y, x); negative and fractional values are possible.
    wcs : astropy.wcs.WCS
        World coordinates.
    exposure : numpy.ndarray or None
        Sum of the exposure maps in the units of their files. Where PN and MOS are summed here, those of PN
        are multiplied by its counts per second over those of one MOS (`labkit.instruments.epic`), so that
        gaps weigh as much in the map as in the image. The map of a summed image often has its own scale.
    pointing : astropy.coordinates.SkyCoord or None
        Direction of the telescope.
    about : dict
        File names, observation id and target.
    cameras : tuple of numpy.ndarray or None
        Counts and exposure of each detector, shapes (camera, y, x); None where there is only a sum.
    """

    image: NDArray[np.float32]
    wcs: WCS
    exposure: NDArray[np.float32] | None
    pointing: SkyCoord | None
    about: dict[str, Any]
    cameras: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def exposed(self) -> NDArray[np.bool_]:
        """Pixels that saw the sky, shape (y, x); all finite pixels where there is no exposure map."""
        return np.isfinite(self.image) & ((self.exposure > 0) if self.exposure is not None else True)


def read_observation(
    images: Paths, exposures: Paths | None = None, *, pointing: SkyCoord | None = None
) -> Observation:
    """Read an EPIC image, or sum those of several detectors, with the exposure maps.

    Parameters
    ----------
    images : path or sequence of paths
        FITS images of PN, MOS1 and MOS2 on one pixel grid, or one image already summed; plain, gzipped or
        compressed, in any extension.
    exposures : path or sequence of paths, optional
        Exposure maps on the same grid; as many as there are images, or one for all.
    pointing : astropy.coordinates.SkyCoord, optional
        By default RA_PNT and DEC_PNT of the first image that has them.

    Returns
    -------
    Observation
        Summed counts and exposure.

    Raises
    ------
    MissingDataError
        If a file is missing.
    InputError
        If a file is broken, or shapes or world coordinates of images and exposure maps differ.
    """
    found = [read_image(path) for path in _as_list(images)]
    maps = [read_image(path) for path in _as_list(exposures)] if exposures is not None else []
    if not found:
        raise InputError("images must name at least one file, got none")
    if len(maps) not in (0, 1, len(found)):
        raise InputError(
            f"exposures must be one map, or one for each of {len(found)} images, got {len(maps)}"
        )
    for other in [*found[1:], *maps]:
        _check_grid(found[0], other)
    if maps:
        _check_counts(found)
    if pointing is None:
        pointing = next((place for place in map(_pointing, found) if place is not None), None)
    about = {
        "images": [f.path.name for f in found],
        "exposures": [m.path.name for m in maps],
        "observation": header_text(found[0].header, "OBS_ID"),
        "target": header_text(found[0].header, "OBJECT"),
    }
    counts = _total(found)
    weights = _weights(found) if len(maps) == len(found) else np.ones(len(maps))
    exposure = np.nan_to_num(_total(maps, weights)).astype(np.float32) if maps else None
    apart = len(maps) == len(found) > 1
    cameras = (_stack(found), np.nan_to_num(_stack(maps))) if apart else None
    return Observation(counts.astype(np.float32), found[0].wcs, exposure, pointing, about, cameras)


def _pointing(image: FitsImage) -> SkyCoord | None:
    """Where the telescope looked; None where the header does not say."""
    where = image.path.name
    ra = header_number(image.header, "RA_PNT", low=0, high=360, where=where)
    dec = header_number(image.header, "DEC_PNT", low=-90, high=90, where=where)
    return None if ra is None or dec is None else SkyCoord(ra, dec, unit="deg", frame="icrs")


def _check_counts(images: list[FitsImage]) -> None:
    """Refuse an exposure map in place of an image: pixels of counts differ by chance at least."""
    for image in images:
        near = np.where(image.data > 0, image.data, np.nan)
        level = np.nanmedian(near) if (image.data > 0).any() else 0.0
        steps = np.abs(np.diff(near, axis=1))
        steps = steps[np.isfinite(steps)]
        if level > _WELL_FILLED and steps.size and np.median(steps) < _TOO_SMOOTH * np.sqrt(level):
            raise InputError(
                f"images must hold counts, got {image.path.name!r}, smoother (median {level:.3g}) than "
                "chance lets counts be; is it the exposure map? give that as the exposure"
            )


def _stack(images: list[FitsImage]) -> NDArray[np.float32]:
    return np.stack([image.data for image in images]).astype(np.float32)


def _as_list(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _weights(images: list[FitsImage]) -> NDArray[np.float64]:
    """Counts that a second of each camera gives relative to one MOS; 1 where a camera is not known."""
    names = [header_text(image.header, "INSTRUME").upper() for image in images]
    if not all(name in _SHARES for name in names):
        return np.ones(len(images))
    return np.array([_SHARES[name] for name in names]) / min(_SHARES[name] for name in names)


def _total(images: list[FitsImage], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Weighted sum, NaN only where all images are."""
    stack = np.stack([image.data for image in images])
    if weights is not None:
        stack = stack * weights[:, None, None]
    return np.where(np.isnan(stack).all(axis=0), np.nan, np.nansum(stack, axis=0))


def _check_grid(first: FitsImage, other: FitsImage) -> None:
    names = f"{first.path.name!r} and {other.path.name!r}"
    if first.data.shape != other.data.shape:
        raise InputError(
            f"images and exposure maps must have one shape, got {first.data.shape} and {other.data.shape} in "
            f"{names}; make them on one pixel grid"
        )
    height, width = first.data.shape
    x, y = np.array([0.0, width - 1, 0.0, width - 1]), np.array([0.0, 0.0, height - 1, height - 1])
    x_other, y_other = sky_to_pixel(other.wcs, *pixel_to_sky(first.wcs, x, y))
    shift = np.hypot(x - x_other, y - y_other).max()
    if not shift <= GRID_TOLERANCE_PX:
        raise InputError(
            f"images and exposure maps must share their world coordinates, got {shift:.2f} pixels between "
            f"{names}; make them on one pixel grid, or reproject one to the other"
        )
