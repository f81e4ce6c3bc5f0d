"""Candidates from and to DS9 region files."""

from __future__ import annotations

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Row, Table
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from regions import CircleSkyRegion, PixelRegion, Region, RegionMeta, Regions, RegionVisual

from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_file

__all__ = ["read_regions", "write_regions"]

SHAPES = ("ellipse", "circle", "point")
#: Colours by the class of a found source, and least radius of a circle.
COLOURS = {"extended": "green", "point + extended": "cyan", "double": "magenta", "point": "red"}
LEAST_RADIUS = 12 * u.arcsec


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


def write_regions(candidates: Table, path: str | Path) -> Path:
    """Write candidates as circles of a DS9 region file, in ICRS.

    Parameters
    ----------
    candidates : Table
        Columns ``object_id``, ``ra``, ``dec``; where it has ``class`` and ``extent`` (as from
        `labkit.finder.find_candidates`), extended sources are green, with twice their core radius, doubles
        magenta, points red.
    path : path
        File to write, ending in .reg; replaced if it is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingDataError
        If a column is missing.
    InputError
        If the name has another ending.
    """
    path = Path(path)
    if path.suffix != ".reg":
        raise InputError(f"path must end in .reg, got {str(path)!r}")
    if missing := [name for name in ("object_id", "ra", "dec") if name not in candidates.colnames]:
        raise MissingDataError(
            f"candidates must have object_id, ra and dec, got a table without {missing}; add these columns"
        )
    with atomic_file(path) as partial:
        partial.write_text(Regions([_circle(row) for row in QTable(candidates)]).serialize(format="ds9"))
    return path


def _circle(row: Row) -> CircleSkyRegion:
    kind = str(row["class"]) if "class" in row.colnames else "point"
    radius = LEAST_RADIUS
    if "extended" in kind and "extent" in row.colnames:
        radius = max(radius, 2 * u.Quantity(np.nan_to_num(row["extent"]), u.arcsec))
    centre = SkyCoord(u.Quantity(row["ra"], u.deg), u.Quantity(row["dec"], u.deg), frame="icrs")
    return CircleSkyRegion(
        centre,
        radius,
        meta=RegionMeta({"text": str(row["object_id"])}),
        visual=RegionVisual({"color": COLOURS.get(kind, "red")}),
    )


def _shape(region: Region) -> str:
    return type(region).__name__.replace("PixelRegion", "").replace("SkyRegion", "").lower()


def _radius(region: Region) -> u.Quantity:
    if _shape(region) == "point":
        return 0 * u.arcsec
    size = region.radius if _shape(region) == "circle" else np.maximum(region.width, region.height) / 2
    return size.to(u.arcsec)
