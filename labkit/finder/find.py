"""From an EPIC observation to candidates: search, fits, the catalogue, and another list beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Row, Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.finder.characterise import Characterised, Scene, characterise
from labkit.finder.detection import Detection, detect
from labkit.finder.fits import Selection
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky, sky_to_pixel
from labkit.sources.positions import position_names
from labkit.sources.xmm import Observation
from labkit.tables import text

_COLUMNS: dict[str, Any] = {"x": float, "y": float, "class": "U16", "c1": bool} | dict.fromkeys(
    ("counts", "rate", "extent", "extension_likelihood", "detection_likelihood", "double_likelihood",
     "mixed_likelihood", "second_share", "separation", "background", "level", "off_axis", "exposure"), float,
) | dict.fromkeys(("near_gap", "near_edge", "converged"), bool)  # fmt: skip
_UNITS = {"extent": u.arcsec, "separation": u.arcsec, "off_axis": u.arcmin}


def catalogue(
    scene: Scene, detections: QTable, found: Sequence[Characterised], *, wcs: WCS, selection: Selection
) -> QTable:
    """Make the catalogue of a field."""
    rows = [_row(scene, one, detections[one.number], selection) for one in found]
    columns = {name: np.array([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()}
    sky = SkyCoord(*pixel_to_sky(wcs, columns["x"], columns["y"]), unit="deg")
    place = {"object_id": position_names(sky), "ra": sky.ra.to(u.deg), "dec": sky.dec.to(u.deg)}
    table = QTable(place | columns, units=_UNITS)
    table = table[np.lexsort((-np.nan_to_num(table["detection_likelihood"]), ~table["c1"]))]
    lost = int((~table["converged"]).sum())
    table.meta["search"] = {"detections": len(detections), "sources": len(table), "not converged": lost}
    return table


def _row(scene: Scene, found: Characterised, detection: Row, selection: Selection) -> dict[str, Any]:
    main, models = found.main, found.models
    detected = models.detection_likelihood > selection.detection_likelihood
    extended = "extended" in found.kind and found.extension_likelihood > selection.extension_likelihood
    column, row = scene.pixel(main)
    dx, dy = main.x - scene.axis[0], main.y - scene.axis[1]
    values = {
        "counts": scene.expected_counts(found.number),
        "rate": sum(source.rate for source in found.fit.sources),
        "extent": found.extent,
        "extension_likelihood": found.extension_likelihood,
        "detection_likelihood": models.detection_likelihood,
        "double_likelihood": models.double_likelihood,
        "mixed_likelihood": models.mixed_likelihood,
        "second_share": np.nan,
        "separation": np.nan,
        "level": found.fit.level,
    }
    if len(found.fit.sources) > 1:
        first, second = found.fit.sources
        values["second_share"] = min(first.rate, second.rate) / (first.rate + second.rate)
        values["separation"] = np.hypot(first.x - second.x, first.y - second.y) * scene.pixel_arcsec
    if not models.converged:
        values = dict.fromkeys(values, np.nan)
    return values | {
        "x": main.x,
        "y": main.y,
        "class": found.kind,
        "c1": detected and extended,
        "near_gap": detection["near_gap"],
        "near_edge": detection["near_edge"],
        "background": scene.background[row, column],
        "off_axis": np.hypot(dx, dy) * scene.pixel_arcsec / 60,
        "exposure": scene.exposure[row, column],
        "converged": models.converged,
    }


#: Exposure over that of the deepest pixel below which a pixel does not count; least expected background.
LEAST_EXPOSURE, LEAST_BACKGROUND = 0.01, 1e-4


@dataclass(frozen=True)
class Search:
    """What a search for candidates found, and how."""

    candidates: QTable  # the catalogue, see `find_candidates`
    detection: Detection  # where the search began: filtered image, background, list of candidates
    expected: NDArray[np.float64]  # (y, x), counts that background and listed sources make one expect
    residual: NDArray[np.float64]  # (y, x), the image minus those


def find_candidates(
    observation: Observation,
    *,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> QTable:
    """Find sources in an EPIC observation, after XAmin (Pacaud et al. 2006; Kosiba et al. 2020, section 2.2).

    The summed image is filtered with wavelets, sources are extracted from it, and each is fitted in the
    counts, with exposure map, local background and neighbours: by a point, a beta-model with beta = 2/3, two
    points, and a beta-model with a point. Cash's statistic decides between them. Cameras are fitted in sum.

    Parameters
    ----------
    observation : Observation
        Image and exposure map.
    selection : Selection, optional
        Thresholds; by default those of the C1 sample.
    progress : callable, optional
        Called with the number of fits done and of all.

    Returns
    -------
    QTable
        One row per source, C1 first, then by detection likelihood: ``object_id``, ``ra``, ``dec``, ``x``,
        ``y`` (pixels from 0), ``class`` ("extended", "point + extended", "double", "point"), ``c1``,
        ``counts`` (on exposed pixels), ``rate`` (counts over the unit of the exposure map), ``extent`` (core
        radius), ``extension_likelihood``, ``detection_likelihood``, ``double_likelihood`` (two points against
        one), ``mixed_likelihood`` (point and beta-model against beta-model), ``second_share`` and
        ``separation`` of the fainter component, ``background`` (counts per pixel), ``level`` (of it, fitted),
        ``off_axis``, ``exposure``, ``near_gap``, ``near_edge``, ``converged``. NaN: not measured, or the fits
        did not converge. ``meta["search"]`` counts detections, sources, and fits that did not converge.

    Raises
    ------
    MissingDataError
        If there is no exposure map.
    InputError
        If nothing was exposed.
    """
    return search(observation, selection=selection, progress=progress).candidates


def search(
    observation: Observation,
    *,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Search:
    """Find sources as `find_candidates` does, and keep the images on the way."""
    selection = selection or Selection()
    if observation.exposure is None:
        raise MissingDataError(
            "observation must have an exposure map, got none, and without it gaps and the edge of the field "
            "look like sources; give read_observation(images, exposures)"
        )
    pixel = pixel_scale_arcsec(observation.wcs)
    exposure = np.where(observation.exposed, observation.exposure, 0)
    exposure = np.where(exposure > LEAST_EXPOSURE * exposure.max(), exposure, 0)
    counts = np.where(exposure > 0, observation.image, 0)
    apart = observation.cameras or (counts, exposure)  # detectors apart: their backgrounds differ at gaps
    detection = detect(*apart, pixel_arcsec=pixel, wcs=observation.wcs)
    scene = Scene(
        counts.astype(float),
        exposure.astype(float),
        np.maximum(detection.background.image, LEAST_BACKGROUND).astype(float) * (exposure > 0),
        pixel,
        _axis(observation, exposure),
    )
    found = characterise(scene, detection.candidates, selection=selection, progress=progress)
    table = catalogue(scene, detection.candidates, found, wcs=observation.wcs, selection=selection)
    return Search(table, detection, scene.expected, scene.counts - scene.expected)


def _axis(observation: Observation, exposure: NDArray) -> tuple[float, float]:
    """Pixel (x, y) of the pointing; without it, of the middle of the deepest exposure."""
    if observation.pointing is not None:
        x, y = sky_to_pixel(observation.wcs, observation.pointing.icrs.ra, observation.pointing.icrs.dec)
        return float(x), float(y)
    rows, columns = np.nonzero(exposure >= 0.95 * np.percentile(exposure[exposure > 0], 99.5))
    return float(columns.mean()), float(rows.mean())


@dataclass(frozen=True)
class Comparison:
    """Which rows of two lists belong together."""

    listed: QTable  # as given, with `separation` from the nearest candidate, and its id if `found`, or ""
    extra: QTable  # candidates without a listed source within the radius

    @property
    def recovered(self) -> int:
        """Listed sources with a candidate."""
        return int((self.listed["found"] != "").sum())


def compare(candidates: Table, listed: Table, *, radius: u.Quantity = 12 * u.arcsec) -> Comparison:
    """Compare found candidates (``object_id``, ``ra``, ``dec``) with a list of sources (``ra``, ``dec``).

    A listed source is recovered if a candidate lies within `radius`; several may share one candidate.
    """
    if not radius > 0 * u.arcsec:
        raise InputError(f"radius must be a positive angle, got {radius}; the default is 12 arcsec")
    ours, theirs = (SkyCoord(table["ra"], table["dec"], unit="deg") for table in (candidates, listed))
    apart = theirs[:, None].separation(ours[None, :]).to(u.arcsec)
    result, ids = QTable(listed, copy=True), text(candidates["object_id"])
    if not len(candidates):
        result["found"], result["separation"] = "", np.inf * u.arcsec
        return Comparison(result, QTable(candidates))
    nearest = apart.argmin(axis=1)
    result["separation"] = apart.min(axis=1)
    result["found"] = np.where(result["separation"] < radius, ids[nearest], "")
    alone = np.ones(len(candidates), dtype=bool) if not len(listed) else apart.min(axis=0) >= radius
    return Comparison(result, QTable(candidates)[alone])
