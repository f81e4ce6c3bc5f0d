"""Sources found and measured on mosaics: the catalogue of a field, and magnitudes of a Sample's objects."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table, vstack
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.photometry import match
from labkit.processes import run_tasks
from labkit.sample import Sample
from labkit.sources.members.catalogue import read_redshifts
from labkit.sources.members.fields import ListedField, read_fields
from labkit.sources.mosaicfile import blue_to_red
from labkit.sources.mosaics import Mosaics, ZeroPoints, extract_mosaics, read_mosaics
from labkit.sources.positions import find_columns, out_of_bounds, read_positions
from labkit.tables import need_columns, read_catalogue, text
from labkit.tables.columns import parts

logger = logging.getLogger(__name__)

#: Half of a point's light lies within about 0.58 FWHM of HST's PSF (0.5 of a Gaussian).
_POINT_LIKE = 0.7
#: Columns of `~labkit.photometry.extract` that are no magnitudes, and their values where nothing was found.
_SHAPES = {"half_light": np.nan * u.arcsec, "kron_radius": np.nan * u.arcsec, "flags": -1, "halo": False}
_Task = tuple[ListedField, QTable, str, ZeroPoints, u.Quantity, dict[str, Any]]


def field_catalogue(
    mosaics: Mosaics,
    spectroscopy: str | Path | Table | None = None,
    *,
    ra: str = "ra",
    dec: str = "dec",
    z: str = "z_spec",
    quality: str | None = None,
    radius: u.Quantity = 0.5 * u.arcsec,
    **options: Any,
) -> QTable:
    """Find all sources of a field and give them the redshifts of a spectroscopic catalogue.

    The result is a catalogue for `~labkit.sources.members_sample`; its sources without redshift are the run
    set of a network (Angora et al. 2020, section 5), stars among them: those with spectra are non-members
    that a network learns from. Rows without a redshift are not looked at. Each spectrum is used once, for a
    source within `radius` (`~labkit.photometry.match`); those without a source are kept as rows without
    magnitudes, so that no member is lost. `quality` names a column that is passed on as ``z_quality``.
    `options` are those of `~labkit.sources.mosaics.extract_mosaics`.

    One row per source, brightest first, unmatched spectra last: ``source_id`` (numbers from 00000), ``ra``,
    ``dec``, ``z_spec`` (NaN where none), ``z_quality`` (if named), ``spectrum`` (row of the spectroscopic
    catalogue, -1 where none), ``separation`` (arcsec), ``detected`` (bool), the magnitudes and shapes of
    `~labkit.photometry.extract`, and, where the PSFs are known, ``point_like``: half of the light within 0.7
    times the mean FWHM of the detection bands' PSFs. ``meta`` counts ``detected``, ``spectra`` and
    ``spectra_matched``.
    """
    spectra = _spectra(spectroscopy, ra, dec, z, quality)
    found = extract_mosaics(mosaics, **options)
    if not len(found):
        raise InputError(
            f"no source was found on {', '.join(mosaics.bands)}; lower threshold= or min_area_px=, or name "
            "the right bands by detect_on="
        )
    table = found[["ra", "dec", *_magnitudes(found), *_SHAPES]]
    limit = _point_limit(mosaics, options)
    if limit is not None:
        table["point_like"] = np.asarray(table["half_light"] < limit)
    pairs = match(table, spectra, radius)
    whole = _with_spectra(table, spectra, pairs)
    whole.add_column([f"{row:05d}" for row in range(len(whole))], name="source_id", index=0)
    whole.meta = {"detected": len(found), "spectra": len(spectra), "spectra_matched": len(pairs)}
    logger.info("%d sources, %d of %d spectra among them", len(found), len(pairs), len(spectra))
    return whole


def _magnitudes(found: QTable) -> list[str]:
    return [name for name in found.colnames if name.startswith(("mag_", "aper_"))]


def _spectra(given: str | Path | Table | None, ra: str, dec: str, z: str, quality: str | None) -> QTable:
    """Positions, redshifts, qualities and rows of the spectra that have a redshift and a place."""
    if given is None:
        return QTable(
            {"ra": [] * u.deg, "dec": [] * u.deg, "z_spec": np.zeros(0), "spectrum": np.zeros(0, int)}
        )
    table = read_catalogue(given)
    wanted = {"ra": ra, "dec": dec, "z": z, "quality": quality}
    ra, dec, z, quality = find_columns(table, "the spectroscopic catalogue", **wanted)
    sky = read_positions(table, ra, dec)
    redshifts, sentinels = read_redshifts(table, z)
    if sentinels:
        logger.warning("%d redshifts such as 99 or -99 taken as unknown", sentinels)
    rows = np.flatnonzero(np.isfinite(redshifts) & ~out_of_bounds(sky))
    spectra = QTable({"ra": sky[0][rows] * u.deg, "dec": sky[1][rows] * u.deg, "z_spec": redshifts[rows]})
    if quality is not None:
        spectra["z_quality"] = table[quality][rows]
    spectra["spectrum"] = rows
    return spectra


def _point_limit(mosaics: Mosaics, options: dict[str, Any]) -> u.Quantity | None:
    widths: dict[str, float | None] = {one.band: one.psf_fwhm_arcsec for one in mosaics.mosaics}
    widths |= options.get("psf_fwhm_arcsec") or {}
    asked = options.get("detect_on")
    names = mosaics.bands if asked is None else [asked] if isinstance(asked, str) else list(asked)
    known: list[float] = [width for name in names if (width := widths[name]) is not None]
    return _POINT_LIKE * float(np.mean(known)) * u.arcsec if len(known) == len(names) else None


def _with_spectra(table: QTable, spectra: QTable, pairs: QTable) -> QTable:
    """The sources with their spectra, and the spectra that have no source."""
    source, spectrum = np.asarray(pairs["row"]), np.asarray(pairs["reference_row"])
    alone = np.setdiff1d(np.arange(len(spectra)), spectrum)
    of_source = np.append(np.arange(len(table)), np.full(len(alone), -1))
    of_spectrum = np.append(np.full(len(table), -1), alone)
    of_spectrum[source] = spectrum
    whole = QTable()
    for name in ("ra", "dec"):
        found, other = _taken(table[name], of_source), _taken(spectra[name], of_spectrum)
        whole[name] = np.where(of_source >= 0, found, other)
    whole["z_spec"] = _taken(spectra["z_spec"], of_spectrum)
    if "z_quality" in spectra.colnames:
        values, mask, unit = parts(spectra["z_quality"])
        values, mask = np.append(values, np.zeros(1, values.dtype)), np.append(mask, True)
        whole["z_quality"] = MaskedColumn(values[of_spectrum], mask=mask[of_spectrum], unit=unit)
    whole["spectrum"] = _taken(spectra["spectrum"], of_spectrum)
    separation = np.full(len(whole), np.nan) * u.arcsec
    separation[source] = pairs["separation"]
    whole["separation"], whole["detected"] = separation, of_source >= 0
    for name in table.colnames:
        if name not in whole.colnames:
            whole[name] = _taken(table[name], of_source)
    return whole


def _taken(column: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a column; where the row is -1, NaN, false or -1 stands."""
    values, _, unit = parts(column)
    nothing = np.array([{"f": np.nan, "b": False, "i": -1}[values.dtype.kind]], dtype=values.dtype)
    taken = np.append(values, nothing)[rows]
    return taken if unit is None else taken * unit


def measure_fields(
    fields: str | Path | Table,
    sample: Sample | Table,
    *,
    pattern: str = "*_{band}.fits*",
    zero_points: ZeroPoints = None,
    radius: u.Quantity = 0.5 * u.arcsec,
    n_jobs: int = 1,
    **options: Any,
) -> QTable:
    """Measure the objects of a member Sample in all bands of their fields.

    Each field's sources are found and measured anew, whoever made its catalogue, and matched within `radius`
    to the objects one to one (`~labkit.photometry.match`), as photometric methods of Angora et al. (2020,
    section 4.3) need it. An object that is not a source of its own on the detection image, for example one
    within the isophote of a brighter galaxy, stays without magnitudes.

    `fields` is as for `~labkit.sources.members.read_fields`, which also says where radii come from,
    `zero_points` as for `~labkit.sources.fields_sample`; `sample` needs ``object_id``, ``ra``, ``dec`` and
    ``cluster``. `n_jobs` processes take a field each (1 GB for twelve bands of 2,000 x 2,000 px). `options`
    are those of `~labkit.sources.mosaics.extract_mosaics`; bands of ``detect_on`` that a field lacks are
    left out there.

    One row per object, in its order: ``object_id``, ``cluster``, ``measured`` (bool), ``separation``
    (arcsec), ``radius`` (arcsec from the centre) and ``radius_r200`` (NaN where not known); for each band
    ``mag_<band>``, ``mag_<band>_err`` (AUTO), ``aper_<band>``, ``aper_<band>_err`` (fixed aperture), NaN
    where not found or not covered; ``half_light``, ``kron_radius`` (arcsec), ``flags`` (-1 where not found),
    ``halo``. ``meta["measured"]`` is the share found of each cluster, ``meta["data"]`` says "simulated" where
    mosaics are.
    """
    objects = QTable(sample.catalogue if isinstance(sample, Sample) else sample)
    need_columns(objects, ("object_id", "ra", "dec", "cluster"), "sample")
    if n_jobs < 1:
        raise InputError(f"n_jobs must be at least 1, got {n_jobs}")
    clusters = text(objects["cluster"])
    listed = read_fields(fields)
    if unknown := sorted(set(clusters.tolist()) - {one.cluster for one in listed}):
        raise InputError(f"fields must list every cluster of the sample, got none for {unknown}")
    rows = {one.cluster: np.flatnonzero(clusters == one.cluster) for one in listed}
    tasks: list[_Task] = [
        (one, objects["ra", "dec"][rows[one.cluster]], pattern, zero_points, radius, options)
        for one in listed
        if len(rows[one.cluster])
    ]
    parts = []
    for number, part in enumerate(run_tasks(_measured, tasks, n_jobs), start=1):
        parts.append(part)
        logger.info(
            "%s, %d of %d: measured %d of %d objects in %.1f s",
            *(tasks[number - 1][0].cluster, number, len(tasks)),
            *(part["measured"].sum(), len(part), part.meta["seconds"]),
        )
    ids = QTable({"object_id": text(objects["object_id"]), "cluster": clusters})
    return _joined(ids, [(task[0].cluster, rows[task[0].cluster]) for task in tasks], parts)


def _measured(
    field: ListedField,
    objects: QTable,
    pattern: str,
    zero_points: ZeroPoints,
    radius: u.Quantity,
    options: dict[str, Any],
) -> QTable:
    """The rows of one field."""
    start = time.perf_counter()
    mosaics = read_mosaics(field.folder, pattern=pattern).with_zero_points(zero_points)
    options = options | _detection(options.get("detect_on"), mosaics.bands, field.cluster)
    found = extract_mosaics(mosaics, **options)
    pairs = match(objects, found, radius)
    there, source = np.asarray(pairs["row"]), np.asarray(pairs["reference_row"])
    table = QTable({"measured": np.isin(np.arange(len(objects)), there)})
    table["separation"] = np.full(len(objects), np.nan) * u.arcsec
    table["separation"][there] = pairs["separation"]
    table["radius"], table["radius_r200"] = _radii(field, SkyCoord(objects["ra"], objects["dec"]))
    for name, nothing in {**dict.fromkeys(_magnitudes(found), np.nan * u.mag), **_SHAPES}.items():
        table[name] = u.Quantity([nothing] * len(objects)) if hasattr(nothing, "unit") else nothing
        table[name][there] = found[name][source]
    simulated = any("simulated" in one.origin for one in mosaics.mosaics)
    table.meta = {"bands": mosaics.bands, "simulated": simulated, "seconds": time.perf_counter() - start}
    return table


def _detection(asked: str | Sequence[str] | None, bands: Sequence[str], cluster: str) -> dict[str, Any]:
    if asked is None:
        return {}
    names = [asked] if isinstance(asked, str) else list(asked)
    chosen = [name for name in names if name in bands]
    if not chosen:
        raise InputError(f"detect_on must name a band of {cluster}, {tuple(bands)}, got {names}")
    return {"detect_on": chosen}


def _radii(field: ListedField, positions: SkyCoord) -> tuple[u.Quantity, NDArray[np.float64]]:
    nothing = np.full(len(positions), np.nan)
    if field.centre is None:
        return nothing * u.arcsec, nothing
    angle = positions.separation(field.centre).to(u.arcsec)
    if field.r200 is None:
        return angle, nothing
    return angle, (angle * COSMOLOGY.kpc_proper_per_arcmin(field.redshift) / field.r200).to_value(u.one)


def _joined(ids: QTable, places: Sequence[tuple[str, NDArray]], parts: Sequence[QTable]) -> QTable:
    """The fields' rows in the objects' order; NaN in bands that a field lacks."""
    bands = sorted({band for part in parts for band in part.meta["bands"]}, key=blue_to_red)
    about = ["measured", "separation", "radius", "radius_r200"]
    kinds = ("mag_{}", "mag_{}_err", "aper_{}", "aper_{}_err")
    order = np.argsort(np.concatenate([rows for _, rows in places]))
    joined = vstack(parts, metadata_conflicts="silent")[order]
    table = ids
    for name in [*about, *(kind.format(band) for band in bands for kind in kinds), *_SHAPES]:
        column = joined[name]
        table[name] = column.filled(np.nan) if isinstance(column, Masked) else column
    table.meta["measured"] = {
        name: float(part["measured"].mean()) for (name, _), part in zip(places, parts, strict=True)
    }
    table.meta["data"] = "simulated" if any(part.meta["simulated"] for part in parts) else "real"
    return table
