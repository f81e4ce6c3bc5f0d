"""XMM-Newton EPIC observations and optical plates, and candidates cut out of both as a raw Sample."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.images.coordinates import pixel_to_sky, pixels_at, sky_to_pixel
from labkit.images.cutouts import coverage, cutouts
from labkit.instruments.epic import MOS1, MOS2, PN
from labkit.sample import Sample
from labkit.sources.candidates import read_candidates
from labkit.sources.fitsfile import FitsImage, header_number, header_text, read_image

logger = logging.getLogger(__name__)

Paths = str | Path | Sequence[str | Path]
_GRID_TOLERANCE_PX = 0.1
_WELL_FILLED, _TOO_SMOOTH = 10.0, 0.1  # median counts; step between neighbours over Poisson's 0.95 sigma
#: Cameras by their INSTRUME.
EPIC = {"EPN": PN, "EMOS1": MOS1, "EMOS2": MOS2}
_PARTIAL_COVERAGE, _FULL_COVERAGE = 0.95, 0.99  # of a cut-out: of the X-ray image, and of a plate
_CENTRAL_RADIUS = 30 * u.arcsec


@dataclass(frozen=True)
class Observation:
    """The summed image of an observation.

    Where PN and MOS are summed, exposure maps of PN are multiplied by its counts per second over those of one
    MOS (`labkit.instruments.epic`), so that gaps weigh as much in the map as in the image. The map of an
    image that was summed elsewhere often has its own scale.
    """

    image: NDArray[np.float32]  # counts per pixel, (y, x); negative and fractional values are possible
    wcs: WCS
    exposure: NDArray[np.float32] | None  # sum of the exposure maps, (y, x), in the units of their files
    pointing: SkyCoord | None
    about: dict[str, Any]  # file names, observation id, target, telescope, instruments, unit of exposure
    #: Counts and exposure of each detector, shapes (camera, y, x); None where there is only a sum.
    cameras: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def exposed(self) -> NDArray[np.bool_]:
        """Pixels that saw the sky, shape (y, x); all finite pixels where there is no exposure map."""
        return np.isfinite(self.image) & ((self.exposure > 0) if self.exposure is not None else True)


def read_observation(images: Paths, exposures: Paths | None = None) -> Observation:
    """Read an X-ray image, of EPIC or others, or sum those of several detectors, with the exposure maps.

    Parameters
    ----------
    images : path or sequence of paths
        FITS images on one pixel grid, such as those of PN, MOS1 and MOS2 or of Chandra's exposures, or one
        image already summed; plain, gzipped or compressed, in any extension.
    exposures : path or sequence of paths, optional
        Exposure maps on the same grid; as many as there are images, or one for all.

    Returns
    -------
    Observation
        Summed counts and exposure; the pointing is RA_PNT and DEC_PNT of the first image that has them;
        ``about`` holds the telescope and the instruments (TELESCOP, INSTRUME), which models are held against.

    Raises
    ------
    MissingDataError, InputError
        If a file is missing or broken, or shapes or world coordinates of images and exposure maps differ, or
        images name several telescopes.
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
    pointing = next((place for place in map(_pointing, found) if place is not None), None)
    about = {
        "images": [f.path.name for f in found],
        "exposures": [m.path.name for m in maps],
        "observation": header_text(found[0].header, "OBS_ID"),
        "target": header_text(found[0].header, "OBJECT"),
        "telescope": _telescope(found),
        "instrument": ", ".join(dict.fromkeys(filter(None, (_instrument(image) for image in found)))),
    }
    if maps:
        about["exposure_unit"] = _exposure_unit(maps[0])
    counts = _total(found, np.ones(len(found)))
    weights = _weights(found) if len(maps) == len(found) else np.ones(len(maps))
    exposure = np.nan_to_num(_total(maps, weights)).astype(np.float32) if maps else None
    apart = len(maps) == len(found) > 1
    cameras = (_stack(found), np.nan_to_num(_stack(maps))) if apart else None
    return Observation(counts.astype(np.float32), found[0].wcs, exposure, pointing, about, cameras)


def _as_list(paths: Paths) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _telescope(images: list[FitsImage]) -> str:
    """TELESCOP of the images, which must agree; XMM-Newton also where EPIC took them; "" where none says."""
    named = {
        "XMM-Newton" if _instrument(one) in EPIC or name.upper().startswith("XMM") else name
        for one in images
        if (name := header_text(one.header, "TELESCOP")) or _instrument(one) in EPIC
    }
    if len(named) > 1:
        raise InputError(f"images must be of one telescope, got {sorted(named)}; read each by itself")
    return next(iter(named), "")


def _instrument(image: FitsImage) -> str:
    return header_text(image.header, "INSTRUME").upper()


def _exposure_unit(image: FitsImage) -> str:
    """BUNIT of an exposure map where it is a time, or a time and an area; else seconds."""
    unit = u.Unit(header_text(image.header, "BUNIT"), parse_strict="silent")
    known = any(unit.is_equivalent(other) for other in (u.s, u.s * u.cm**2))
    return unit.to_string() if known else "s"


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


def _weights(images: list[FitsImage]) -> NDArray[np.float64]:
    """Counts that a second of each camera gives relative to one MOS; 1 where a camera is not known."""
    names = [_instrument(image) for image in images]
    if not all(name in EPIC for name in names):
        return np.ones(len(images))
    return np.array([EPIC[name].share for name in names]) / min(EPIC[name].share for name in names)


def _total(images: list[FitsImage], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted sum, NaN only where all images are."""
    stack = np.stack([image.data for image in images]) * weights[:, None, None]
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
    if not shift <= _GRID_TOLERANCE_PX:
        raise InputError(
            f"images and exposure maps must share their world coordinates, got {shift:.2f} pixels between "
            f"{names}; make them on one pixel grid, or reproject one to the other"
        )


def read_plates(paths: Paths) -> tuple[FitsImage, ...]:
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
    found = tuple(read_image(path) for path in _as_list(paths))
    if not found:
        raise InputError("paths must name at least one plate, got none")
    return found


@dataclass(frozen=True)
class PlateCutouts:
    """Optical cut-outs of objects, each from the plate that covers it best."""

    images: NDArray[np.float32]  # (object, y, x); NaN off the plates
    coverage: NDArray[np.float32]  # (object,): fraction of each cut-out that lies on its plate
    plate: NDArray[np.str_]  # (object,): file name of the plate; empty where no plate overlaps

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a cut-out lies on its plate as a whole (99 per cent), shape (object,)."""
        return self.coverage >= _FULL_COVERAGE


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


def candidates_sample(
    observation: Observation,
    candidates: str | Path | Table | SkyCoord,
    *,
    size: u.Quantity = 7 * u.arcmin,
    pixels: int = 178,
    optical: Paths | None = None,
    outside: Literal["raise", "drop"] = "raise",
    without_optical: Literal["raise", "drop", "omit band"] = "raise",
) -> Sample:
    """Cut the candidates of an observation out of its image, and of optical plates, as a raw Sample.

    Candidates at the edge of the field are kept; their ``coverage`` says which fraction of the cut-out was
    exposed, and ``partial`` marks those below 95 per cent.

    Parameters
    ----------
    observation : Observation
        Image and exposure.
    candidates : path, Table or SkyCoord
        See `~labkit.sources.read_candidates`, which also reads lists with other names of columns.
    size, pixels : Quantity, int
        Side of a cut-out, an angle, and the pixels along it, whatever the pixels of the image are.
    optical : path or sequence of paths, optional
        Plates for the band ``"optical"``; without them the band is absent.
    outside : {"raise", "drop"}
        What to do with candidates whose cut-outs hold no exposed pixel: an error, or leave them out.
    without_optical : {"raise", "drop", "omit band"}
        What to do when some candidates lie on no plate as a whole: an error, leave these candidates out, or
        leave the band out.

    Returns
    -------
    Sample
        Bands ``"xray"`` (counts per pixel, flux conserved) and, where plates are given, ``"optical"``
        (density). The catalogue has, besides the columns of the candidate list: ``object_id``, ``ra``,
        ``dec``, ``label``, ``x_image``, ``y_image`` (counted from 1, as in DS9), ``off_axis``, ``exposure``
        (units of the maps), ``coverage``, ``partial``, ``counts`` (within 30 arcsec), ``plate``. Where the
        candidate list has a column of that name, its own stays and the new one ends in ``_cutout``.

    Raises
    ------
    MissingDataError, InputError
        If no candidate overlaps the image, or has a plate; or some do not, and the option is "raise".
    """
    need_choice("outside", outside, ("raise", "drop"))
    need_choice("without_optical", without_optical, ("raise", "drop", "omit band"))
    table = read_candidates(candidates, wcs=observation.wcs)
    covered = coverage(observation.exposed, observation.wcs, _positions(table), size=size)
    inside = _keep_inside(table, covered, outside)
    table, dropped = table[inside], int((~inside).sum())
    _add(table, "coverage", covered[inside])
    _add(table, "partial", covered[inside] < _PARTIAL_COVERAGE)
    planes = {}
    if optical is not None:
        plates = cut_plates(read_plates(optical), _positions(table), size=size, pixels=pixels)
        keep, use_band = _keep_optical(table, plates.complete, without_optical)
        table = table[keep]
        if use_band:
            _add(table, "plate", plates.plate[keep])
            planes["optical"] = plates.images[keep]
    options: dict[str, Any] = {"size": size, "pixels": pixels, "conserve": "flux"}
    xray = cutouts(observation.image, observation.wcs, _positions(table), **options)
    planes = {"xray": xray} | planes
    scale = (size / pixels).to(u.arcsec)
    catalogue = _measured(observation, table, xray, scale)
    target = observation.about.get("target")
    source = f"{observation.about.get('telescope') or 'X-ray'} observation"
    source += f" of {target}" if target else ""
    provenance = {"source": source, **observation.about, "dropped": dropped}
    images = np.stack(list(planes.values()), axis=1)
    return Sample(images, catalogue, bands=list(planes), pixel_scale=scale, provenance=provenance)


def _positions(table: QTable) -> SkyCoord:
    return SkyCoord(table["ra"], table["dec"], frame="icrs")


def _keep_inside(table: QTable, covered: NDArray, outside: str) -> NDArray[np.bool_]:
    inside = covered > 0
    lost = table["object_id"][~inside].tolist()
    if not inside.any():
        raise InputError(
            f"candidates must overlap the image, got none of {len(table)} that does; check that the list "
            "belongs to this observation and that its coordinates are in degrees"
        )
    if lost and outside == "raise":
        raise InputError(
            f"candidates must overlap the exposed image, got {len(lost)} that do not: "
            f"{', '.join(lost[:10])}; remove them, or pass outside='drop'"
        )
    if lost:
        logger.warning("left out %d of %d candidates outside the exposed image", len(lost), len(table))
    return inside


def _keep_optical(table: QTable, complete: NDArray, without: str) -> tuple[NDArray[np.bool_], bool]:
    """Rows to keep, and whether they have an optical band."""
    lost = table["object_id"][~complete].tolist()
    if not lost:
        return complete, True
    if without == "omit band":
        logger.warning("left out the optical band: %d of %d candidates lack it", len(lost), len(table))
        return np.ones(len(table), dtype=bool), False
    if without == "raise" or not complete.any():
        raise MissingDataError(
            f"optical plates must cover every candidate, got {len(lost)} of {len(table)} that lie on none as "
            f"a whole: {', '.join(lost[:10])}; add plates, or pass without_optical='drop' or 'omit band'"
        )
    logger.warning("left out %d of %d candidates without optical image", len(lost), len(table))
    return complete, True


def _measured(observation: Observation, table: QTable, images: NDArray, scale: u.Quantity) -> QTable:
    """Add label, position on the detector, exposure and counts to the candidates."""
    x, y = sky_to_pixel(observation.wcs, table["ra"], table["dec"])
    if "label" not in table.colnames:
        table["label"] = ""
    _add(table, "x_image", (x + 1) * u.pix)
    _add(table, "y_image", (y + 1) * u.pix)
    if observation.pointing is not None:
        _add(table, "off_axis", _positions(table).separation(observation.pointing).to(u.arcmin))
    if observation.exposure is not None:
        values, on = pixels_at(observation.exposure, x, y)
        _add(table, "exposure", np.where(on, values, 0) * u.Unit(observation.about.get("exposure_unit", "s")))
    offset = (np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2) * scale
    central = np.hypot(offset[:, None], offset[None, :]) <= _CENTRAL_RADIUS
    _add(table, "counts", np.nansum(images[:, central], axis=1) * u.ct)
    return table


def _add(table: QTable, name: str, values: Any) -> None:
    """Add a computed column; where the list has one of that name, the new one ends in ``_cutout``."""
    while name in table.colnames:
        name += "_cutout"
    table[name] = values
