"""Optical images from photographic plates, or any other FITS images with world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.cutouts import coverage, cutouts
from labkit.sources.fitsfile import FitsImage, read_image

FULL_COVERAGE = 0.99


@dataclass(frozen=True)
class PlateCutouts:
    """Optical cut-outs of objects, each from the plate that covers it best."""

    images: NDArray[np.float32]  # shape (object, y, x), float32; NaN off the plates
    coverage: NDArray[np.float32]  # fraction of each cut-out that lies on its plate, shape (object,)
    plate: NDArray[np.str_]  # file name of the plate, shape (object,); empty where no plate overlaps

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a cut-out lies on its plate as a whole (99 per cent), shape (object,)."""
        return self.coverage >= FULL_COVERAGE


def read_plates(paths: str | Path | Sequence[str | Path]) -> tuple[FitsImage, ...]:
    """Read plates, such as those of the Digitized Sky Survey.

    The plate solution of DSS headers is followed; where there is none, their linear world coordinates.

    Parameters
    ----------
    paths : path or sequence of paths
        FITS files.

    Returns
    -------
    tuple of FitsImage
        The plates, in order.

    Raises
    ------
    InputError
        If no path is given or a file breaks a rule of `~labkit.sources.fitsfile.read_image`.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    if not paths:
        raise InputError("paths must name at least one plate, got none")
    return tuple(read_image(path) for path in paths)


def cut_plates(
    plates: Sequence[FitsImage], positions: SkyCoord, *, size: u.Quantity = 7 * u.arcmin, pixels: int = 178
) -> PlateCutouts:
    """Cut objects out of plates, north up and east left; values (densities) are kept, not sums.

    An object is cut out of the plate that covers most of its cut-out, the first of equals.
    """
    covered = np.stack(
        [coverage(np.isfinite(plate.data), plate.wcs, positions, size=size) for plate in plates]
    )  # (plate, object)
    best = covered.argmax(axis=0)
    images = np.full((len(positions), pixels, pixels), np.nan, dtype=np.float32)
    for number, plate in enumerate(plates):
        rows = np.flatnonzero((best == number) & (covered[number] > 0))
        if rows.size:
            options = {"size": size, "pixels": pixels, "fill": np.nan}
            images[rows] = cutouts(plate.data, plate.wcs, positions[rows], **options)
    names = np.array([plate.path.name for plate in plates])
    top = covered.max(axis=0)
    return PlateCutouts(images, top, np.where(top > 0, names[best], ""))
