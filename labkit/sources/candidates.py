"""Lists of candidates: tables, positions, and DS9 region files, which are also written."""

import logging
import re
import warnings
from collections import Counter
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Row, Table
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from regions import PixelRegion, Region, Regions

from labkit.errors import InputError, MissingDataError, boundary
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky
from labkit.paths import write_file
from labkit.sources.positions import find_columns, out_of_bounds, position_names, read_positions
from labkit.tables import find_column, need_columns, read_catalogue, text
from labkit.tables.reading import decode

logger = logging.getLogger(__name__)

_SHAPES = ("ellipse", "circle", "point")
#: Colours by the class of a found source, and least radius of a circle.
_COLOURS = {"extended": "green", "point + extended": "cyan", "double": "magenta", "point": "red"}
_LEAST_RADIUS = 12 * u.arcsec
_TEXT = re.compile(r"""\btext\s*=\s*(\{[^}\n]*\}|"[^"\n]*"|'[^'\n]*')""")


def read_regions(path: str | Path, wcs: WCS) -> QTable:
    """Read ellipses, circles and points of a DS9 region file as a table of candidates.

    Image coordinates (counted from 1 at the centre of the first pixel) and sky coordinates are understood;
    colours, whether global or of one region, are kept. Regions of other shapes, those that are excluded ("-"
    in front) and lines that cannot be read are left out and counted in the log.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no region file {str(path)!r}; check the path")
    texts: list[str] = []

    def number(match: re.Match[str]) -> str:  # the parser makes 42 of 0042
        texts.append(match[1][1:-1])
        return f"text={{t{len(texts) - 1}}}"

    message = f"{path.name!r} must be a DS9 region file in image or sky coordinates, but it cannot be read"
    with boundary(message, "save it again from DS9"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = _TEXT.sub(number, decode(path.read_bytes(), path))
        found = list(Regions.parse(content, format="ds9"))
    problems = [str(one.message) for one in caught if issubclass(one.category, AstropyUserWarning)]
    left, kept = Counter("not readable" for _ in problems), []
    for region in found:
        if region.meta.get("include", True) in (False, 0, "-"):
            left["excluded"] += 1
        elif _shape(region) not in _SHAPES:
            left[_shape(region)] += 1
        else:
            kept.append(region)
    if not kept:
        reasons = "; ".join([*(f"{n} {what}" for what, n in left.items()), *problems[:2]]) or "an empty file"
        raise InputError(
            f"{path.name!r} must hold at least one {', '.join(_SHAPES)} region in image or sky coordinates, "
            f"got none ({reasons}); give another candidate list"
        )
    if left:
        logger.warning("%s: left out %s", path.name, ", ".join(f"{n} {what}" for what, n in left.items()))
    centres = np.array([_centre(region, wcs) for region in kept])
    written = {f"t{number}": text for number, text in enumerate(texts)}
    labels = [written.get(text := str(region.meta.get("text", "")), text) for region in kept]
    number_of = Counter(labels)
    return QTable(
        {
            "object_id": [label if number_of[label] == 1 else "" for label in labels],
            "ra": centres[:, 0] * u.deg,
            "dec": centres[:, 1] * u.deg,
            "region_text": labels,
            "region_shape": [_shape(region) for region in kept],
            "region_colour": [str(r.visual.get("edgecolor", r.visual.get("color", ""))) for r in kept],
            "region_radius": [_radius(region, wcs) for region in kept] * u.arcsec,
        }
    )


def _shape(region: Region) -> str:
    return type(region).__name__.replace("PixelRegion", "").replace("SkyRegion", "").lower()


def _centre(region: Region, wcs: WCS) -> tuple[float, float]:
    if isinstance(region, PixelRegion):
        ra, dec = pixel_to_sky(wcs, region.center.x, region.center.y)
        return float(ra), float(dec)
    return region.center.icrs.ra.deg, region.center.icrs.dec.deg


def _radius(region: Region, wcs: WCS) -> float:
    """The larger semi-axis in arcsec."""
    if _shape(region) == "point":
        return 0.0
    size = region.radius if _shape(region) == "circle" else np.maximum(region.width, region.height) / 2
    if isinstance(region, PixelRegion):
        return float(size * pixel_scale_arcsec(wcs))
    return float(size.to_value(u.arcsec))


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
    InputError
        If a column is missing, the name has another ending, or an id holds a line break or all kinds of
        quotes.
    """
    path = Path(path)
    if path.suffix.lower() != ".reg":
        raise InputError(f"path must end in .reg, got {str(path)!r}")
    need_columns(candidates, ("object_id", "ra", "dec"), "candidates")
    lines = [_line(row) for row in QTable(candidates)]
    return write_file(path, "\n".join(["# Region file format: DS9", "icrs", *lines, ""]))


def _line(row: Row) -> str:
    kind = str(row["class"]) if "class" in row.colnames else "point"
    radius = _LEAST_RADIUS
    if "extended" in kind and "extent" in row.colnames:
        radius = max(radius, 2 * u.Quantity(np.nan_to_num(row["extent"]), u.arcsec))
    ra, dec = (u.Quantity(row[name], u.deg).value for name in ("ra", "dec"))
    size = radius.to_value(u.arcsec)
    colour = _COLOURS.get(kind, "red")
    return f'circle({ra:.8f},{dec:.8f},{size:.3f}") # color={colour} text={_quoted(str(row["object_id"]))}'


def _quoted(name: str) -> str:
    for first, last in ("{}", '""', "''"):
        if not {first, last, "\n", "\r"} & set(name):
            return f"{first}{name}{last}"
    raise InputError(f"object_id must be one line without both quotes and braces, got {name!r}; rename it")


def read_candidates(
    source: str | Path | Table | SkyCoord,
    *,
    wcs: WCS,
    ra: str = "ra",
    dec: str = "dec",
    object_id: str = "object_id",
) -> QTable:
    """Make a candidate list out of a table, a file or positions.

    Parameters
    ----------
    source : path, Table or SkyCoord
        A DS9 region file (``.reg``); a table file for `~labkit.tables.read_catalogue`; a table; or positions.
    wcs : astropy.wcs.WCS
        World coordinates of the image, for regions in image coordinates.
    ra, dec : str
        Columns with the ICRS position, in any case; degrees where they have no unit, or sexagesimal text.
    object_id : str
        Column with the ids, kept as text. Where there is none, or a row has none, ids are made from the
        positions.

    Returns
    -------
    astropy.table.QTable
        ``object_id``, ``ra``, ``dec`` and all other columns of the source; ``label`` as text, "" if unknown.

    Raises
    ------
    MissingDataError
        If there is no such file, or a column is missing.
    InputError
        If the list is empty, a position is not on the sky, an id comes twice, or the file cannot be read.
    """
    table = _read(source, wcs, object_id)
    columns = find_columns(table, "candidates", ra=ra, dec=dec)
    if not len(table):
        raise InputError("candidates must hold at least one row, got an empty list; give another list")
    sky = read_positions(table, *columns)
    if (bad := np.flatnonzero(out_of_bounds(sky))).size:
        raise InputError(
            f"positions of candidates ({ra!r}, {dec!r}) must be finite, with declinations between -90 and 90 "
            f"deg, got {sky[:, bad[0]].tolist()} in row {bad[0] + 1} and {len(bad) - 1} more; drop these rows"
        )
    named, label = (find_column(table.colnames, name) for name in (object_id, "label"))
    ids = np.full(len(table), "") if named is None else text(table[named])
    ids = np.where(np.char.strip(ids) == "", position_names(SkyCoord(*sky, unit="deg")), ids)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"candidates must have unique ids, got {values[counts > 1][:5].tolist()} more than once in "
            f"{object_id!r}; remove the repeats or name another column by object_id="
        )
    right_ascension = np.where((sky[0] < 0) | (sky[0] >= 360), sky[0] % 360, sky[0])
    place = {"ra": right_ascension * u.deg, "dec": sky[1] * u.deg}
    ours = QTable({"object_id": ids} | place, meta=dict(table.meta))
    for name in table.colnames:
        if name == label:
            ours["label"] = np.char.strip(text(table[name]))
        elif name not in {*columns, named, "object_id", "ra", "dec"}:
            ours[name] = table[name]
    return ours


def _read(source: str | Path | Table | SkyCoord, wcs: WCS, object_id: str) -> QTable:
    if isinstance(source, SkyCoord):
        positions = source.reshape(-1).icrs
        return QTable({"ra": positions.ra, "dec": positions.dec})
    if not isinstance(source, Table) and Path(source).suffix.lower() == ".reg":
        return read_regions(source, wcs)
    return read_catalogue(source, as_text=[object_id])
