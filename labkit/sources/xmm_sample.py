"""Candidates of an XMM-Newton observation, cut out as a raw Sample."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import sky_to_pixel
from labkit.images.cutouts import coverage, cutouts
from labkit.sample import Sample
from labkit.sources.candidates import read_candidates
from labkit.sources.plates import cut_plates, read_plates
from labkit.sources.xmm import Observation

logger = logging.getLogger(__name__)

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
