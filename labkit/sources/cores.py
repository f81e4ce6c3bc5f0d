"""Clusters cut out of X-ray images at one physical scale, to have their cores classified."""

import logging
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from labkit.cooling import CORE_RADIUS, mass_of_temperature
from labkit.cosmology import COSMOLOGY, r500
from labkit.errors import InputError
from labkit.images.coordinates import pixel_scale_arcsec, pixels_at, sky_to_pixel
from labkit.images.cutouts import Conserve, coverage, cutouts
from labkit.instruments import PointSpread
from labkit.sample import Sample
from labkit.sources.candidates import read_candidates
from labkit.sources.xmm import Observation
from labkit.tables import need_columns, numbers

logger = logging.getLogger(__name__)

_ASSUMED_M500 = 4e14  # M_sun, of a cluster of 5 keV; R500 goes with its cube root
#: Columns that R500 follows from, the last given first, with their unit and what they must lie between.
_RANGES = {"kt": (u.keV, 0.2, 30.0), "m500": (u.M_sun, 1e12, 1e16), "r500": (u.kpc, 100.0, 4000.0)}
_LEAST_COVERAGE, _WHOLE = 0.8, 0.95  # of a square, to be cut out at all, and not to be called partial
_LEAST_EXPOSURE = 0.05  # of the highest one, below which a pixel counts as not exposed
_SEEN_CORE = 0.95  # of the core, without which it is hidden by gaps or filled sources
_RING = 3.0  # pixels, of the profile that gaps are filled with
_POINT_RADIUS = 15.0  # arcsec, of sources that come without one


def cores_sample(
    observation: Observation,
    clusters: str | Path | Table,
    *,
    size: u.Quantity = 1 * u.Mpc,
    pixels: int = 256,
    points: str | Path | Table | SkyCoord | None = None,
    fwhm: u.Quantity | None = None,
    seen_at: float = 0.05,
    label: str = "",
    **columns: str,
) -> Sample:
    """Cut clusters out of an X-ray image at one physical scale, as a raw Sample.

    Gaps and point sources are filled with the pixels that lie as far on the other side of the nearest edge,
    times the ratio of the cluster's mean profile at both places. Where there is an exposure map, images are
    divided by it and scaled so that their sum stays. Negative pixels (out-of-time events subtracted) are
    kept and counted. What hides a core is warned of, in the log and in ``provenance["warnings"]``, and never
    refused. Samples of several observations are joined by `~labkit.sample.concatenate`.

    Parameters
    ----------
    observation : Observation
        Of XMM-Newton, Chandra or another telescope, from `~labkit.sources.xmm.read_observation`.
    clusters : path or Table
        Centres, as for `~labkit.sources.candidates.read_candidates`, with ``redshift`` and, for R500, the
        first given of ``r500`` (kpc), ``m500`` (solar masses) or ``kt`` (keV, outside the core); where none
        is, a mass of 4e14 is assumed.
    size : Quantity
        Side of the square, a length; or an angle, at redshift `seen_at`: 256 x 3.9 arcsec is the square of
        `~labkit.simulate.simulate_cores`, which a model trained on its images needs.
    pixels : int
        Along the side.
    points : path, Table or SkyCoord, optional
        Point sources to fill: a DS9 region file, or a list with ``radius`` (arcsec; 15 without). One that
        holds the centre of a cluster is the cluster, and kept; leave other extended sources out of it.
    fwhm : Quantity, optional
        Full width at half maximum of the point spread, an angle. XMM-Newton's is known.
    seen_at : float
        The pixel scale of the Sample is the angle that its pixels have at this redshift.
    label : str
        Label of all clusters that have none in a column ``label``; "" is unknown.
    **columns : str
        Names of the columns ``ra``, ``dec`` and ``object_id`` among the clusters.

    Returns
    -------
    Sample
        Band "xray". The catalogue has, besides the list's other columns: ``kpc_per_pixel``, ``r500`` and
        ``r500_from``, ``core_radius`` (0.012 R500), ``fwhm`` and ``image_pixel`` (kpc), ``coverage`` (share
        exposed), ``partial`` (below 0.95), ``filled`` (share filled, gaps and sources), ``counts`` (before,
        where not filled), ``negative`` (pixels below 0), and ``core_resolved``: point spread and pixels, old
        and new, are at most 0.012 R500 wide, and 95 per cent of that circle was not filled.

    Raises
    ------
    InputError
        If a redshift is missing, a centre is off the image, less than 80 per cent of a square is exposed,
        counts do not add up to more than 0, a mass is out of range, or the point spread is not known.
    """
    kpc = _kpc(size, seen_at)
    if not 0 < seen_at < 10 or pixels < 8:
        raise InputError(f"seen_at must be a redshift and pixels at least 8, got {seen_at} and {pixels}")
    table = read_candidates(clusters, wcs=observation.wcs, **columns)
    redshift = _redshifts(table)
    _add_radii(table, redshift)
    centres = SkyCoord(table["ra"], table["dec"], frame="icrs")
    kpc_per_arcsec = COSMOLOGY.kpc_proper_per_arcmin(redshift).to_value(u.kpc / u.arcsec)
    angles = kpc / kpc_per_arcsec * u.arcsec
    exposed = observation.exposed
    if observation.exposure is not None:
        exposed &= observation.exposure >= _LEAST_EXPOSURE * observation.exposure.max()
    covered = _coverage(observation, exposed, table, centres, angles)
    lengths = {
        "kpc_per_pixel": np.full(len(table), kpc / pixels),
        "image_pixel": pixel_scale_arcsec(observation.wcs) * kpc_per_arcsec,
        "fwhm": _point_spreads(observation, centres, fwhm) * kpc_per_arcsec,
    }
    for name, values in lengths.items():
        table[name] = values * u.kpc
    filled = _point_sources(observation, points, centres)
    cuts = [_cut(observation, exposed, filled, *at, pixels) for at in zip(centres, angles, strict=True)]
    images, seen, counts = (np.stack(parts) for parts in zip(*cuts, strict=True))
    if not (counts > 0).all():
        raise InputError(
            f"the square of each cluster must hold more than 0 counts, got {counts.min():.3g} for "
            f"{str(table['object_id'][counts.argmin()])!r}; give an image from which no background was taken"
        )
    hidden = _hidden(table, seen)
    table["core_resolved"] = ~np.any(list(hidden.values()), axis=0)
    table["coverage"], table["partial"] = covered, covered < _WHOLE
    table["filled"], table["counts"] = 1 - seen.mean(axis=(1, 2)), counts
    table["negative"] = (images < 0).sum(axis=(1, 2))
    if "label" not in table.colnames:
        table["label"] = label
    target = observation.about.get("target") or "clusters"
    provenance = {
        "source": f"{observation.about.get('telescope') or 'X-ray'} observation of {target}",
        **observation.about,
        "size_kpc": kpc,
        "seen_at": seen_at,
        "exposure_corrected": observation.exposure is not None,
        "points_filled": len(filled),
        "warnings": _warnings(table, hidden),
    }
    scale = kpc / pixels * u.kpc / COSMOLOGY.kpc_proper_per_arcmin(seen_at)
    images = images[:, None].astype(np.float32)
    return Sample(images, table, bands=("xray",), pixel_scale=scale.to(u.arcsec), provenance=provenance)


def _redshifts(table: QTable) -> NDArray[np.float64]:
    need_columns(table, ["redshift"], "clusters", hint="an image has a physical scale only with a redshift")
    redshift = numbers(table["redshift"])
    if (bad := ~((redshift > 0) & (redshift < 10))).any():
        raise InputError(
            f"redshift must be a positive number below 10, got {redshift[bad][0]} for "
            f"{str(table['object_id'][bad][0])!r} and {bad.sum() - 1} more; give one, or drop the cluster"
        )
    return redshift


def _kpc(size: u.Quantity, seen_at: float) -> float:
    """Side of the square in kpc, from a length or from an angle at that redshift."""
    size = u.Quantity(size)
    if size.unit.is_equivalent(u.deg):
        size = size * COSMOLOGY.kpc_proper_per_arcmin(seen_at)
    if not (size.isscalar and size.unit.is_equivalent(u.kpc) and np.isfinite(size) and size.value > 0):
        raise InputError(f"size must be one positive length or angle, such as 1 * u.Mpc, got {size}")
    return float(size.to_value(u.kpc))


def _add_radii(table: QTable, redshift: NDArray) -> None:
    """R500 in kpc and where it comes from, and the radius of the core."""
    table["r500_from"] = np.full(len(table), "assumed")
    radii = r500(_ASSUMED_M500 * u.M_sun, redshift).to_value(u.kpc)
    for name, (unit, low, high) in _RANGES.items():
        if name not in table.colnames:
            continue
        values = numbers(table[name], unit)
        table[name] = values * unit
        if (bad := (values < low) | (values > high)).any():
            raise InputError(
                f"{name} must lie between {low:g} and {high:g} {unit}, got {values[bad][0]:g} for "
                f"{str(table['object_id'][bad][0])!r}; mend the value or the column's unit"
            )
        given = np.isfinite(values)
        if name != "r500":
            masses = values if name == "m500" else mass_of_temperature(values, redshift)
            values = r500(np.where(given, masses, 1) * u.M_sun, redshift).to_value(u.kpc)
        radii, table["r500_from"] = np.where(given, values, radii), np.where(given, name, table["r500_from"])
    table["r500"], table["core_radius"] = radii * u.kpc, CORE_RADIUS * radii * u.kpc


def _point_spreads(
    observation: Observation, centres: SkyCoord, fwhm: u.Quantity | None
) -> NDArray[np.float64]:
    """FWHM in arcsec at each centre; on axis where the pointing is not known."""
    if fwhm is not None:
        width = u.Quantity(fwhm)
        if not (width.isscalar and width.unit.is_equivalent(u.deg) and width.value > 0):
            raise InputError(f"fwhm must be one positive angle, such as 0.8 * u.arcsec, got {fwhm}")
        return np.full(len(centres), width.to_value(u.arcsec))
    telescope = str(observation.about.get("telescope", ""))
    if not telescope.upper().startswith("XMM"):
        raise InputError(
            "fwhm must be given, such as 0.8 * u.arcsec for Chandra near its axis, unless the telescope is "
            f"XMM-Newton, got an image of {telescope!r}"
        )
    pointing = centres if observation.pointing is None else observation.pointing
    away = centres.separation(pointing).to_value(u.arcmin)
    return np.array([PointSpread(float(one)).fwhm_arcsec for one in away])


def _coverage(
    observation: Observation, exposed: NDArray, table: QTable, centres: SkyCoord, angles: u.Quantity
) -> NDArray[np.float64]:
    """Share of each square that was exposed."""
    x, y = sky_to_pixel(observation.wcs, table["ra"], table["dec"])
    if (off := ~pixels_at(exposed, x, y)[1]).any():
        raise InputError(
            f"centres of clusters must lie on the image, got {str(table['object_id'][off][0])!r} and "
            f"{off.sum() - 1} more that do not; check the positions, or give the image that holds them"
        )
    widths = angles.to_value(u.arcsec) / pixel_scale_arcsec(observation.wcs)
    shares = np.minimum(exposed.size / widths**2, 1.0)  # at most; a much wider square need not be sampled
    for row in np.flatnonzero(shares >= _LEAST_COVERAGE):
        shares[row] = coverage(exposed, observation.wcs, centres[row : row + 1], size=angles[row])[0]
    if (small := shares < _LEAST_COVERAGE).any():
        first = int(np.flatnonzero(small)[0])
        name, width = str(table["object_id"][first]), angles[first].to(u.arcmin)
        raise InputError(
            f"the image must cover {_LEAST_COVERAGE:.0%} of the square of each cluster, got "
            f"{shares[first]:.0%} of {width:.1f} for {name!r}, and {small.sum() - 1} more such; "
            "ask for a smaller size, or give a larger image"
        )
    return shares


def _point_sources(
    observation: Observation, points: str | Path | Table | SkyCoord | None, centres: SkyCoord
) -> NDArray[np.float64]:
    """Place (x, y) and radius in pixels of the sources to fill, shape (n, 3)."""
    if points is None:
        return np.empty((0, 3))
    table = read_candidates(points, wcs=observation.wcs)
    name = next((name for name in ("radius", "region_radius") if name in table.colnames), None)
    radii = np.zeros(len(table)) if name is None else numbers(table[name], u.arcsec)
    radii = np.where(radii > 0, radii, _POINT_RADIUS)
    places = SkyCoord(table["ra"], table["dec"], frame="icrs")
    away = places[:, None].separation(centres).to_value(u.arcsec).min(axis=1)
    if (own := away <= radii).any():
        names = ", ".join(table["object_id"][own].tolist())
        logger.warning("kept %d point sources that hold the centre of a cluster: %s", own.sum(), names)
    x, y = sky_to_pixel(observation.wcs, table["ra"], table["dec"])
    found = np.column_stack([x, y, radii / pixel_scale_arcsec(observation.wcs)])
    return found[~own & np.isfinite(found).all(axis=1)]


def _cut(
    observation: Observation,
    exposed: NDArray[np.bool_],
    filled: NDArray[np.float64],
    centre: SkyCoord,
    angle: u.Quantity,
    pixels: int,
) -> tuple[NDArray, NDArray, float]:
    """The square of a cluster (y, x), which share of each pixel was seen, and the counts seen."""
    x0, y0 = sky_to_pixel(observation.wcs, centre.ra, centre.dec)
    half = angle.to_value(u.arcsec) / pixel_scale_arcsec(observation.wcs)  # holds it however it is turned
    ends = [(int(value - half), int(value + half) + 2) for value in (y0, x0)]
    rows, columns = np.meshgrid(*[np.arange(*pair) for pair in ends], indexing="ij")
    height, width = exposed.shape
    window = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    good = exposed[window] & (window[0] == rows) & (window[1] == columns)
    for x, y, radius in filled:
        good &= np.hypot(columns - x, rows - y) > radius

    def cut(plane: NDArray, conserve: Conserve = "flux") -> NDArray[np.float64]:
        options = {"size": angle, "pixels": pixels, "first": (columns[0, 0], rows[0, 0])}
        at = centre.reshape(1)
        return cutouts(plane, observation.wcs, at, conserve=conserve, **options)[0].astype(np.float64)

    counts, source = np.where(good, observation.image[window], 0), _mirrored(good)
    falls = _profile(counts, good, np.hypot(columns - x0, rows - y0))
    rises = np.divide(falls, falls[source], where=falls[source] > 0, out=np.ones_like(falls))
    image = cut(counts[source] * rises)
    if observation.exposure is not None:
        rate = image / np.maximum(cut(observation.exposure[window][source]), 1e-9)
        image = rate * (image.sum() / (rate.sum() or 1.0))
    return image, cut(good, "surface brightness"), float(cut(counts).sum())


def _mirrored(good: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """For each pixel the row and column of that which it is filled from: itself, where it is good.

    From as far beyond the nearest good pixel as it lies before it; where that is not good, the nearest.
    """
    nearest = distance_transform_edt(~good, return_distances=False, return_indices=True)
    beyond = 2 * nearest - np.indices(good.shape)
    limits = np.array(good.shape)[:, None, None]
    on = ((beyond >= 0) & (beyond < limits)).all(axis=0)
    on[on] = good[tuple(beyond[:, on])]
    return tuple(np.where(on, beyond, nearest))


def _profile(counts: NDArray, good: NDArray[np.bool_], radius: NDArray) -> NDArray[np.float64]:
    """Mean of the good pixels at the distance (pixels) of each from the centre, at least 0."""
    ring = (radius[good] / _RING).astype(int)
    number = np.maximum(np.bincount(ring), 1e-9)
    means, places = (np.bincount(ring, values[good]) / number for values in (counts, radius))
    known = number >= 1
    return np.interp(radius, places[known], np.maximum(means[known], 0))


def _hidden(table: QTable, seen: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """What may hide a core, and of which clusters it does, (n,)."""
    core = table["core_radius"]
    place = np.arange(seen.shape[-1]) - (seen.shape[-1] - 1) / 2
    radii = np.maximum((core / table["kpc_per_pixel"]).value, 1.0)  # at least the four central pixels
    circles = np.hypot(place, place[:, None]) <= radii[:, None, None]
    return {
        "the point spread is wider than 0.012 R500": table["fwhm"] > core,
        "the pixels of the image are wider than 0.012 R500": table["image_pixel"] > core,
        "the pixels asked for are wider than 0.012 R500": table["kpc_per_pixel"] > core,
        "the core was filled": np.average(seen, axis=(1, 2), weights=circles) < _SEEN_CORE,
    }


def _warnings(table: QTable, hidden: dict[str, NDArray[np.bool_]]) -> list[str]:
    """What a reader of the results must know of each cluster; also logged."""
    rules = hidden | {
        f"less than {_WHOLE:.0%} of the square was exposed": table["partial"],
        "negative pixels are kept": table["negative"] > 0,
        f"R500 is that of an assumed mass of {_ASSUMED_M500:.0e} Msun": table["r500_from"] == "assumed",
    }
    words = [f"{what}: {', '.join(table['object_id'][rows])}" for what, rows in rules.items() if rows.any()]
    for one in words:
        logger.warning("%s", one)
    return words
