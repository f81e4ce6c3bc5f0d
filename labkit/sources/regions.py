"""Candidates from DS9 region files."""

from __future__ import annotations

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from regions import PixelRegion, Region, Regions

from labkit.errors import InputError, MissingDataError

__all__ = ["read_regions"]

SHAPES = ("ellipse", "circle", "point")


def read_regions(path: str | Path, wcs: WCS) -> QTable:
    """Read ellipses, circles and points of a DS9 region file as a table of candidates.

    Image coordinates (counted from 1 at the centre of the first pixel) and sky coordinates are understood;
    colours, whether global or of one region, are kept.

    Parameters
    ----------
    path : path
        DS9 region file.
    wcs : astropy.wcs.WCS
        World coordinates of the image that image coordinates refer to.

    Returns
    -------
    astropy.table.QTable
        One row a region: ``ra``, ``dec`` (ICRS), ``region_shape``, ``region_colour`` and ``region_radius``,
        the larger semi-axis (0 for a point).

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the file is not a region file, holds no region, or one of another shape or coordinate system.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no region file {str(path)!r}; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)
            found = list(Regions.parse(path.read_text(), format="ds9"))
    except (ValueError, TypeError, IndexError, AstropyUserWarning) as error:
        raise InputError(
            f"{path.name!r} must be a DS9 region file with {', '.join(SHAPES)} regions in image or sky "
            f"coordinates, but it cannot be read ({error}); save it again from DS9 in that form"
        ) from error
    if not found:
        raise InputError(
            f"{path.name!r} must hold at least one region, got none; give another candidate list"
        )
    names = [_shape(region) for region in found]
    if unknown := sorted({name for name in names if name not in SHAPES}):
        raise InputError(
            f"{path.name!r} must hold only {', '.join(SHAPES)} regions, got {unknown}; remove them"
        )
    sky = [region.to_sky(wcs) if isinstance(region, PixelRegion) else region for region in found]
    position = SkyCoord([region.center.icrs for region in sky])
    return QTable(
        {
            "ra": position.ra.to(u.deg),
            "dec": position.dec.to(u.deg),
            "region_shape": names,
            "region_colour": [str(r.visual.get("edgecolor", r.visual.get("color", ""))) for r in found],
            "region_radius": u.Quantity([_radius(region) for region in sky]),
        }
    )


def _shape(region: Region) -> str:
    return type(region).__name__.replace("PixelRegion", "").replace("SkyRegion", "").lower()


def _radius(region: Region) -> u.Quantity:
    if _shape(region) == "point":
        return 0 * u.arcsec
    size = region.radius if _shape(region) == "circle" else np.maximum(region.width, region.height) / 2
    return size.to(u.arcsec)
