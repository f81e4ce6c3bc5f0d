"""XMM-Newton EPIC observations, and their candidates cut out as a raw Sample."""

from __future__ import annotations

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

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.images.cutouts import coverage, cutouts
from labkit.instruments.epic import MOS1, MOS2, PN
from labkit.sample import Sample
from labkit.sources.candidates import read_candidates
from labkit.sources.fitsfile import FitsImage, header_number, header_text, read_image
from labkit.sources.plates import cut_plates, read_plates

logger = logging.getLogger(__name__)

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


PARTIAL_COVERAGE = 0.95
CENTRAL_RADIUS = 30 * u.arcsec


def candidates_sample(
    observation: Observation,
    candidates: str | Path | Table | SkyCoord,
    *,
    size: u.Quantity = 7 * u.arcmin,
    pixels: int = 178,
    optical: str | Path | Sequence[str | Path] | None = None,
    label: str = "",
    outside: Literal["raise", "drop"] = "raise",
    without_optical: Literal["raise", "drop", "omit band"] = "raise",
    **columns: str,
) -> Sample:
    """Cut the candidates of an observation out of its image, and of optical plates, as a raw Sample.

    Candidates at the edge of the field are kept; their ``coverage`` says which fraction of the cut-out was
    exposed, and ``partial`` marks those below 95 per cent.

    Parameters
    ----------
    observation : Observation
        Image and exposure.
    candidates : path, Table or SkyCoord
        See `~labkit.sources.candidates.read_candidates`.
    size : astropy.units.Quantity
        Side of a cut-out, an angle.
    pixels : int
        Pixels along a side; any value, whatever the pixels of the image are.
    optical : path or sequence of paths, optional
        Plates for the band ``"optical"``; without them the band is absent.
    label : str
        Label of all candidates that have none in a column ``label``; "" is unknown.
    outside : {"raise", "drop"}
        What to do with candidates whose cut-outs hold no exposed pixel: an error, or leave them out.
    without_optical : {"raise", "drop", "omit band"}
        What to do when some candidates lie on no plate as a whole: an error, leave these candidates out, or
        leave the band out.
    **columns : str
        Names of the columns ``ra``, ``dec`` and ``object_id`` in the candidate list.

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
    MissingDataError
        If a candidate has no plate and `without_optical` is "raise".
    InputError
        If no candidate overlaps the image, or some do not and `outside` is "raise"; or an option is
        not known.
    """
    if outside not in ("raise", "drop") or without_optical not in ("raise", "drop", "omit band"):
        raise InputError(
            "outside must be 'raise' or 'drop' and without_optical 'raise', 'drop' or 'omit band', "
            f"got {outside!r} and {without_optical!r}"
        )
    if unknown := set(columns) - {"ra", "dec", "object_id"}:
        raise InputError(f"columns must be ra, dec or object_id, got {sorted(unknown)}")
    table = read_candidates(candidates, wcs=observation.wcs, **columns)
    covered = coverage(observation.exposed, observation.wcs, _positions(table), size=size)
    inside = _keep_inside(table, covered, outside)
    table, dropped = table[inside], int((~inside).sum())
    _add(table, "coverage", covered[inside])
    _add(table, "partial", covered[inside] < PARTIAL_COVERAGE)
    bands = ["xray"]
    if optical is not None:
        plates = cut_plates(read_plates(optical), _positions(table), size=size, pixels=pixels)
        keep, use_band = _keep_optical(table, plates.complete, without_optical)
        table, plate_images = table[keep], plates.images[keep]
        if use_band:
            _add(table, "plate", plates.plate[keep])
            bands.append("optical")
    options: dict[str, Any] = {"size": size, "pixels": pixels, "conserve": "flux"}
    images = cutouts(observation.image, observation.wcs, _positions(table), **options)[:, None]
    scale = (size / pixels).to(u.arcsec)
    catalogue = _measured(observation, table, images[:, 0], scale, label)
    if "optical" in bands:
        images = np.concatenate([images, plate_images[:, None]], axis=1)
    target = observation.about.get("target")
    source = f"XMM-Newton observation of {target}" if target else "XMM-Newton observation"
    provenance = {"source": source, **observation.about, "dropped": dropped}
    return Sample(images, catalogue, bands=bands, pixel_scale=scale, provenance=provenance)


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
    lost = table["object_id"][~complete].tolist()
    if not lost or without == "omit band":
        if lost:
            logger.warning("left out the optical band: %d of %d candidates lack it", len(lost), len(table))
        return np.ones(len(table), dtype=bool), not lost
    if without == "raise" or not complete.any():
        raise MissingDataError(
            f"optical plates must cover every candidate, got {len(lost)} of {len(table)} that lie on none as "
            f"a whole: {', '.join(lost[:10])}; add plates, or pass without_optical='drop' or 'omit band'"
        )
    logger.warning("left out %d of %d candidates without optical image", len(lost), len(table))
    return complete, True


def _measured(
    observation: Observation, table: QTable, images: NDArray, scale: u.Quantity, label: str
) -> QTable:
    """Add label, position on the detector, exposure and counts to the candidates."""
    positions = _positions(table)
    x, y = sky_to_pixel(observation.wcs, table["ra"], table["dec"])
    if "label" not in table.colnames:
        table["label"] = label
    _add(table, "x_image", x + 1)
    _add(table, "y_image", y + 1)
    if observation.pointing is not None:
        _add(table, "off_axis", positions.separation(observation.pointing).to(u.arcmin))
    if observation.exposure is not None:
        height, width = observation.exposure.shape
        column, row = (np.rint(np.nan_to_num(axis, nan=-9)).astype(int) for axis in (x, y))
        on = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        values = observation.exposure[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        _add(table, "exposure", np.where(on, values, 0))
    offset = (np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2) * scale
    central = np.hypot(offset[:, None], offset[None, :]) <= CENTRAL_RADIUS
    _add(table, "counts", np.nansum(images[:, central], axis=1))
    return table


def _add(table: QTable, name: str, values: Any) -> None:
    """Add a computed column; where the list has one of that name, the new one ends in ``_cutout``."""
    while name in table.colnames:
        name += "_cutout"
    table[name] = values
