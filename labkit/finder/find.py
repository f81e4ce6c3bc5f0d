"""From an EPIC observation to candidates: search, fits, the catalogue, and another list beside it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Row, Table
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from labkit import __version__
from labkit.errors import InputError, MissingDataError
from labkit.finder.characterise import Characterised, Scene, characterise, host
from labkit.finder.detection import Detection, detect
from labkit.finder.fits import Selection
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky, sky_to_pixel
from labkit.sources.positions import position_names
from labkit.sources.xmm import Observation
from labkit.tables import text

#: What a candidate exceeds in extent (arcsec) and extension likelihood: far below C1, for any cut after it.
LEAST_EXTENT, LEAST_LIKELIHOOD = 5.0, 5.0
_COLUMNS: dict[str, Any] = {"position_error": float, "x": float, "y": float, "class": "U16"}
_COLUMNS |= {"c1": bool, "candidate": bool}
_COLUMNS |= dict.fromkeys(
    ("counts", "counts_error", "rate", "rate_error", "extent", "extent_error", "extension_likelihood",
     "detection_likelihood", "double_likelihood", "mixed_likelihood", "second_share", "separation",
     "background", "level", "off_axis", "exposure"), float,
) | dict.fromkeys(("near_gap", "near_edge", "converged"), bool) | {"at_bound": str}  # fmt: skip
_UNITS = dict.fromkeys(("position_error", "extent", "extent_error", "separation"), u.arcsec)
_UNITS |= {"x": u.pix, "y": u.pix, "background": u.ct / u.pix, "off_axis": u.arcmin}
_UNITS |= dict.fromkeys(("counts", "counts_error"), u.ct)
#: Of energy conversion factors, as for the SAS task emldetect.
ECF_UNIT = u.Unit("1e11 ct cm2 / erg")


def catalogue(
    scene: Scene,
    detections: QTable,
    found: Sequence[Characterised],
    *,
    wcs: WCS,
    selection: Selection,
    exposure_unit: u.UnitBase = u.s,
) -> QTable:
    """Make the catalogue of a field."""
    rows = [_row(scene, one, detections[one.number], selection) for one in found]
    columns = {name: np.array([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()}
    sky = SkyCoord(*pixel_to_sky(wcs, columns["x"], columns["y"]), unit="deg")
    place = {"object_id": position_names(sky), "ra": sky.ra.to(u.deg), "dec": sky.dec.to(u.deg)}
    of_exposure = {"exposure": exposure_unit} | dict.fromkeys(("rate", "rate_error"), u.ct / exposure_unit)
    table = QTable(place | columns, units=_UNITS | of_exposure)
    hosts = [host(scene, one, found) for one in found]
    table["within"] = ["" if number is None else table["object_id"][number] for number in hosts]
    between = [np.nan if at is None else sky[row].separation(sky[at]).arcsec for row, at in enumerate(hosts)]
    table["within_distance"] = np.array(between, dtype=float) * u.arcsec
    table = table[np.lexsort((-np.nan_to_num(table["detection_likelihood"]), ~table["c1"]))]
    lost = int((~table["converged"]).sum())
    table.meta["search"] = {"detections": len(detections), "sources": len(table), "not converged": lost}
    table.meta["selection"] = asdict(selection)
    return table


def _add_flux(table: QTable, ecf: float, energy: tuple[float, float]) -> None:
    """Fluxes with their errors behind the rates, and what they were made with in the metadata."""
    for number, name in enumerate(("flux", "flux_error"), start=table.index_column("rate_error") + 1):
        values = table[name.replace("flux", "rate")] / (ecf * ECF_UNIT)
        table.add_column(values.to(u.erg / u.s / u.cm**2), index=number, name=name)
    table.meta["flux"] = {"ecf": ecf, "ecf_unit": str(ECF_UNIT), "energy_kev": list(energy)}


def _check_flux(ecf: float | None, energy: tuple[float, float] | None, unit: u.UnitBase) -> None:
    if ecf is None and energy is None:
        return
    if ecf is None or energy is None:
        raise InputError(
            f"ecf and energy must be given together, got {ecf} and {energy}; a flux is in a band, such as "
            "energy=(0.5, 2.0) keV"
        )
    if not 0 < ecf < np.inf:
        raise InputError(f"ecf must be a positive number of {ECF_UNIT}, got {ecf}")
    if len(energy) != 2 or not 0 < energy[0] < energy[1] < np.inf:
        raise InputError(f"energy must be two energies in keV, the lower one first, got {energy}")
    if not unit.is_equivalent(u.s):
        raise InputError(
            f"ecf needs exposure maps in seconds, got {unit} (BUNIT); leave it out, or give others"
        )


def _row(scene: Scene, found: Characterised, detection: Row, selection: Selection) -> dict[str, Any]:
    main, models = found.main, found.models
    detected = models.detection_likelihood > selection.detection_likelihood
    extended = "extended" in found.kind and found.extension_likelihood > selection.extension_likelihood
    column, row = scene.pixel(main)
    dx, dy = main.x - scene.axis[0], main.y - scene.axis[1]
    values = {
        "counts": scene.expected_counts(found.number),
        "rate": found.rate,
        "rate_error": found.fit.rate_error,
        "position_error": np.hypot(found.errors.x, found.errors.y) / np.sqrt(2) * scene.pixel_arcsec,
        "extent": found.shape.sources[0].extent,
        "extent_error": found.shape.errors[0].extent,
        "extension_likelihood": found.extension_likelihood,
        "detection_likelihood": models.detection_likelihood,
        "double_likelihood": models.double_likelihood,
        "mixed_likelihood": models.mixed_likelihood,
        "second_share": np.nan,
        "separation": np.nan,
        "level": found.fit.level,
    }
    values["counts_error"] = values["counts"] * found.fit.rate_error / found.rate if found.rate else np.nan
    if len(found.fit.sources) > 1:
        first, second = found.fit.sources
        values["second_share"] = min(first.rate, second.rate) / (first.rate + second.rate)
        values["separation"] = np.hypot(first.x - second.x, first.y - second.y) * scene.pixel_arcsec
    if not models.converged:
        values = dict.fromkeys(values, np.nan)
    enough = values["extent"] > LEAST_EXTENT and values["extension_likelihood"] > LEAST_LIKELIHOOD
    return values | {
        "x": main.x,
        "y": main.y,
        "class": found.kind,
        "c1": detected and extended,
        "candidate": enough and values["detection_likelihood"] > selection.listed,
        "near_gap": detection["near_gap"],
        "near_edge": detection["near_edge"],
        "background": scene.background[row, column],
        "off_axis": np.hypot(dx, dy) * scene.pixel_arcsec / 60,
        "exposure": scene.exposure[row, column],
        "converged": models.converged,
        "at_bound": found.at_bound,
    }


#: Exposure over that of the deepest pixel below which a pixel does not count; least expected background.
LEAST_EXPOSURE, LEAST_BACKGROUND = 0.01, 1e-4


@dataclass(frozen=True)
class Search:
    """What a search for candidates found, and how."""

    candidates: QTable  # the catalogue, see `find_candidates`
    detection: Detection  # where the search began: filtered image, background, list of candidates
    scene: Scene  # the field with the model of its sources
    found: list[Characterised]  # the fits of the listed sources

    @property
    def expected(self) -> NDArray[np.float64]:
        """Counts that background and listed sources make one expect, (y, x)."""
        return self.scene.expected

    @property
    def residual(self) -> NDArray[np.float64]:
        """The image minus those, (y, x)."""
        return self.scene.counts - self.scene.expected


@dataclass(frozen=True)
class Changes:
    """Where an observation differs from one that was searched before."""

    before: Search
    x: NDArray[np.float64]  # (n,), with y: pixels of the places that changed
    y: NDArray[np.float64]
    reach: NDArray[np.float64]  # (n,), pixels around each within which sources are fitted again

    def near(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether places are within reach of a change."""
        away = np.hypot(*(np.asarray(a)[..., None] - b for a, b in ((x, self.x), (y, self.y))))
        return np.asarray((away < self.reach).any(axis=-1))


def find_candidates(
    observation: Observation,
    *,
    selection: Selection | None = None,
    ecf: float | None = None,
    energy: tuple[float, float] | None = None,
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
    ecf : float, optional
        Energy conversion factor, 1e11 counts cm2 / erg as for the SAS task emldetect: rate over flux. It
        depends on spectrum, filters and absorption, and has to fit the exposure map: of PN and MOS summed by
        `read_observation`, rates are those of one MOS. Without it there are no fluxes.
    energy : tuple of float, optional
        Band of the fluxes, keV; to be given with `ecf`.
    progress : callable, optional
        Called with the number of fits done and of all.

    Returns
    -------
    QTable
        One row per source, C1 first, then by detection likelihood: ``object_id``, ``ra``, ``dec``,
        ``position_error`` (in each direction), ``x``, ``y`` (pixels from 0), ``class`` ("extended",
        "point + extended", "double", "point"), ``c1``, ``candidate`` (extent above 5 arcsec and extension
        likelihood above 5, as all of a simulated survey), ``counts`` (on exposed pixels), ``rate`` (over
        the unit of the exposure map), ``flux`` (with `ecf`), ``extent`` (core radius),
        ``extension_likelihood``, ``detection_likelihood``, ``double_likelihood`` (two points against one),
        ``mixed_likelihood`` (point and beta-model against beta-model), ``second_share`` and ``separation`` of
        the fainter component, ``background``, ``level`` (of it, fitted), ``off_axis``, ``exposure``,
        ``near_gap``, ``near_edge``, ``converged``, ``at_bound``, ``within``, ``within_distance``. NaN: not
        measured, or the fits did not converge.

        ``<name>_error`` are standard deviations from the curvature of the likelihood at the optimum (the
        inverse of its Fisher matrix, level of the background included): statistical errors, which hold where
        a source is well seen; NaN where the parameter is at a bound. ``at_bound`` names what ended there:
        "largest extent" (200 arcsec; the value is a lower limit), "least extent" (no sign of one, as of most
        points), "position", "least level". ``within`` is the ``object_id`` of the nearest brighter extended
        source where that one outshines the background at this place, and ``within_distance`` the angle
        between them. ``meta`` holds the counts of the search, its thresholds, the observation, and ECF and
        band of the fluxes.

    Raises
    ------
    MissingDataError
        If there is no exposure map.
    InputError
        If nothing was exposed; only one of `ecf` and `energy` is given, or they are no such numbers, or the
        exposure maps are not in seconds.
    """
    return search(observation, selection=selection, ecf=ecf, energy=energy, progress=progress).candidates


def search(
    observation: Observation,
    *,
    selection: Selection | None = None,
    ecf: float | None = None,
    energy: tuple[float, float] | None = None,
    changes: Changes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Search:
    """Find sources as `find_candidates` does, and keep the images on the way.

    With `changes`, the whole image is filtered again but only sources near a change are fitted and listed;
    the others stay in the model of the field as they were fitted before.
    """
    selection = selection or Selection()
    unit = u.Unit(observation.about.get("exposure_unit", "s"))
    _check_flux(ecf, energy, unit)
    pixel, exposure = pixel_scale_arcsec(observation.wcs), searched_exposure(observation)
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
    detections, adopted = detection.candidates, []
    if changes is not None:
        detections = detections[changes.near(detections["x"], detections["y"])]
        adopted = [one for one in changes.before.found if not changes.near(one.main.x, one.main.y)]
        for one in adopted:
            scene.adopt(changes.before.scene, one.number)
    found = characterise(scene, detections, selection=selection, adopted=adopted, progress=progress)
    options = {"wcs": observation.wcs, "selection": selection, "exposure_unit": unit}
    table = catalogue(scene, detections, found, **options)
    table.meta |= {"observation": observation.about, "labkit": __version__}
    if ecf is not None and energy is not None:
        _add_flux(table, ecf, energy)
    return Search(table, detection, scene, found)


def searched_exposure(observation: Observation) -> NDArray:
    """The exposure map, (y, x), zero where a pixel does not count."""
    if observation.exposure is None:
        raise MissingDataError(
            "observation must have an exposure map, got none, and without it gaps and the edge of the field "
            "look like sources; give read_observation(images, exposures)"
        )
    exposure = np.where(observation.exposed, observation.exposure, 0)
    return np.where(exposure > LEAST_EXPOSURE * exposure.max(), exposure, 0)


def _axis(observation: Observation, exposure: NDArray) -> tuple[float, float]:
    """Pixel (x, y) of the pointing; without it, of the middle of the deepest exposure."""
    if observation.pointing is not None:
        x, y = sky_to_pixel(observation.wcs, observation.pointing.icrs.ra, observation.pointing.icrs.dec)
        return float(x), float(y)
    return deepest_place(exposure)


def deepest_place(exposure: NDArray) -> tuple[float, float]:
    """Middle, pixel (x, y), of the deepest exposure: about the optical axis."""
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
