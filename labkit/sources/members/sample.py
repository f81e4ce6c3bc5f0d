"""Member Samples: the sources of one field, or of many, cut out of its mosaics, labelled and counted."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, collect
from labkit.sources.members.catalogue import LABELS, OURS, V_MAX, read_sources
from labkit.sources.members.cutouts import MIN_COVERAGE, Cutter, coverage_of, has_band, make_cutter
from labkit.sources.members.fields import read_fields
from labkit.sources.members.photometry import field_catalogue
from labkit.sources.mosaicfile import SAME_SCALE
from labkit.sources.mosaics import Mosaics, ZeroPoints, on_one_scale, read_mosaics

logger = logging.getLogger(__name__)

_CUTTING = ("size_px", "pixel_scale", "resample", "conserve", "blank")
_TALLIED = ("outside", "incomplete", "kept", *LABELS, "unknown")  # counted while sources are cut out


@dataclass(frozen=True)
class _Field:
    """One field ready to be cut; the counts of its record are filled in while it is."""

    sources: QTable
    cutter: Cutter
    needed: NDArray[np.bool_]  # (band,)
    record: dict[str, Any]  # what the Sample's provenance says of the field


def members_sample(
    mosaics: Mosaics,
    catalogue: str | Path | Table | None = None,
    *,
    cluster: str,
    redshift: float,
    bands: Iterable[str] | None = None,
    needed: Iterable[str] | None = None,
    size_px: int = 64,
    pixel_scale: u.Quantity | None = None,
    v_max: u.Quantity = V_MAX,
    labelled: bool = False,
    extract: Mapping[str, Any] | None = None,
    min_coverage: float = MIN_COVERAGE,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 256,
    **options: Any,
) -> Sample:
    """Cut the sources of a catalogue out of mosaics and label those that belong to the cluster.

    Sources that lack a needed band are left out and counted; so are those outside, those without position
    and repeats. Counts and warnings are in ``provenance["fields"]``; `counts_table` shows them.

    Parameters
    ----------
    mosaics : Mosaics
        As `~labkit.sources.read_mosaics` opens them. Where they have zero points, all bands must; where they
        have none, each band keeps its own unit, which does for networks, not for photometry.
    catalogue : path or Table
        Sources. With `extract` only their redshifts count, and there may be none.
    cluster, redshift : str, float
        Short name of the cluster, and its redshift.
    bands : iterable of str, optional
        Bands of the Sample, in order; by default all.
    needed : iterable of str, optional
        Bands that a source must have; by default all of the Sample's. Others hold NaN where they lack data
        or have no mosaic; `~labkit.sources.members.with_configurations` chooses from such a Sample.
    size_px : int
        Pixels along a side of a cut-out; 64 are 4 arcsec at 0.065 arcsec.
    pixel_scale : Quantity, optional
        Side of a pixel; by default that of the mosaics, if they have one.
    v_max : Quantity
        Members have velocities up to this (Angora et al. 2020, section 2).
    labelled : bool
        Leave out, and count, sources of unknown membership before their pixels are read.
    extract : mapping, optional
        Find the sources on the mosaics, all bands, instead of taking the catalogue's: options of
        `~labkit.sources.members.field_catalogue`, maybe none (``{}``). Their magnitudes become columns.
    min_coverage : float
        A source has a band if this fraction of its cut-out has data, and its central pixels have.
    path, overwrite, batch_size
        Folder to write the Sample to as it is made, for one that does not fit in memory; whether to replace
        it; and the number of sources in memory at a time.
    **options
        Of the catalogue: ``ra``, ``dec`` (columns with the ICRS position, in any case: degrees without unit,
        or sexagesimal text); ``z`` (column with spectroscopic redshifts, or velocities c z where its unit is
        one; masked, NaN, below -0.05 and 99, 9.99, 999, -99 are none; None: no column); ``quality`` and
        ``accepted`` (column and the values of it that count; other redshifts are as if not there); ``member``
        (column that says who is one, instead of the velocities); ``source_id`` (column with names; rows
        without one are numbered) and ``merge_radius`` (rows closer than this, also in a chain, are one
        source, its label emptied if they disagree; 0.1 arcsec). Of the cutting: ``resample`` ("auto": regrid
        where needed; "never": the mosaics' own pixels whatever their orientation, an error where they share
        no grid; "always"), ``conserve`` ("flux" a pixel, as HST's electrons/s, or "surface brightness") and
        ``blank`` (value of pixels without data besides NaN).

    Returns
    -------
    Sample
        float32 cut-outs in the mosaics' units, with their AB magnitudes in ``zero_points`` (empty where the
        mosaics have none). The catalogue has ``object_id``, ``ra``, ``dec``, ``label``
        ("member", "non-member", "" where unknown), ``cluster``, ``cluster_redshift``, ``redshift`` (NaN where
        none counts), ``velocity`` (km/s), ``coverage_<band>``, and the other columns of the user's.

    Raises
    ------
    MissingDataError
        If a band, a column or a file is not there.
    InputError
        If no source has the needed bands, or an argument breaks a rule.
    """
    options |= {"cluster": cluster, "redshift": redshift, "v_max": v_max, "labelled": labelled}
    options |= {"size_px": size_px, "pixel_scale": pixel_scale}
    bands = None if bands is None else _band_names(bands)
    mosaics = on_one_scale([mosaics], bands)[0]
    needs: dict[str, Any] = {"bands": bands, "needed": needed, "min_coverage": min_coverage}
    field = _prepare(mosaics, catalogue, extract=extract, **needs, **options)
    return _cut([field], path=path, overwrite=overwrite, batch_size=batch_size)


def fields_sample(
    fields: str | Path | Table,
    *,
    catalogue: str = "catalogue.fits",
    clusters: Iterable[str] | None = None,
    pattern: str = "*_{band}.fits*",
    bands: Iterable[str] | None = None,
    zero_points: ZeroPoints = None,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 256,
    **options: Any,
) -> Sample:
    """Cut the sources of several fields into one Sample.

    Parameters
    ----------
    fields : path or Table
        One row per field: ``cluster`` or ``short`` (its name), ``redshift``, ``folder`` with mosaics and
        catalogue, relative to the table's file; maybe ``catalogue``, its file in that folder.
    catalogue : str
        File of the catalogue in each folder, where the table has no such column.
    clusters : iterable of str, optional
        Only these fields; by default all.
    pattern : str
        Names of the mosaics, see `~labkit.sources.read_mosaics`.
    bands : iterable of str, optional
        Bands of the Sample; by default those that all fields have. Those that are not ``needed`` may be
        absent from some fields.
    zero_points : float or mapping of str to float, optional
        As for `~labkit.sources.read_mosaics`, the same in all fields. Fluxes come onto the first field's.
    path, overwrite, batch_size
        As for `members_sample`.
    **options
        Others of `members_sample`, the same for all fields.

    Returns
    -------
    Sample
        As `members_sample` makes it, field after field, with the catalogue columns that all have.

    Raises
    ------
    MissingDataError
        If a column, folder, file or band is not there.
    InputError
        As for `members_sample`, or if pixel scales differ and none is asked for.
    """
    listed = read_fields(fields, catalogue=catalogue, clusters=clusters)
    opened = [read_mosaics(one.folder, pattern=pattern).with_zero_points(zero_points) for one in listed]
    if bands is None:
        names = tuple(band for band in opened[0].bands if all(band in one.bands for one in opened))
        if not names:
            raise InputError(
                f"fields must have a band in common, got {[one.bands for one in opened]}; name the bands by "
                "bands="
            )
    else:
        names = _band_names(bands)
    asked = (*names, *(zero_points if isinstance(zero_points, Mapping) else ()))
    if nowhere := [band for band in asked if not any(band in one.bands for one in opened)]:
        raise MissingDataError(
            f"bands must be there in one field at least, got {nowhere}; add their mosaics or choose others"
        )
    prepared = []
    for one, mosaics in zip(listed, on_one_scale(opened, names), strict=True):
        about = {"cluster": one.cluster, "redshift": one.redshift, "bands": names, **options}
        prepared.append(_prepare(mosaics, one.catalogue, **about))
    return _cut(prepared, path=path, overwrite=overwrite, batch_size=batch_size)


def _cut(fields: Sequence[_Field], *, path: str | Path | None, overwrite: bool, batch_size: int) -> Sample:
    """Put all fields into one Sample in memory or on disk."""
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    scales = u.Quantity([field.cutter.pixel_scale for field in fields])
    if np.ptp(scales) > SAME_SCALE * scales[0]:
        raise InputError(f"fields must have one pixel scale, got {scales}; pass pixel_scale=")
    records = [field.record for field in fields]
    origins = sorted({str(record["origin"]) for record in records} - {""})
    clusters = ", ".join(str(record["cluster"]) for record in records)
    # The records are filled in while sources are cut out, before a writer puts them on disk.
    about = {"source": f"{' and '.join(origins) or 'mosaics'} of {clusters}", "fields": records}
    form: dict[str, Any] = {"bands": fields[0].cutter.bands, "pixel_scale": scales[0], "provenance": about}
    most = sum(len(field.sources) for field in fields)
    return collect(_pieces(fields, batch_size), most, path=path, overwrite=overwrite, **form)


def _prepare(
    mosaics: Mosaics,
    catalogue: str | Path | Table | None,
    *,
    extract: Mapping[str, Any] | None = None,
    cluster: str,
    redshift: float,
    bands: Iterable[str] | None = None,
    needed: Iterable[str] | None = None,
    min_coverage: float = MIN_COVERAGE,
    v_max: u.Quantity = V_MAX,
    **options: Any,
) -> _Field:
    """Read the catalogue of a field and decide how its sources are cut out."""
    if not 0 < min_coverage <= 1:
        raise InputError(f"min_coverage must be above 0 and at most 1, got {min_coverage}")
    names = mosaics.bands if bands is None else _band_names(bands)
    wanted = names if needed is None else _band_names(needed)
    if strange := [band for band in wanted if band not in names]:
        raise InputError(f"needed must be among the bands {names}, got {strange}; add them to bands")
    mosaics.select(wanted)
    chosen = mosaics.select([band for band in names if band in mosaics.bands])
    absent = [band for band in names if band not in mosaics.bands]
    cutting: dict[str, Any] = {name: options.pop(name) for name in _CUTTING if name in options}
    cutter = make_cutter(chosen, bands=names, **cutting)
    listed: Any = catalogue
    if extract is not None:
        listed, options = _extracted(mosaics, catalogue, extract, options)
    elif listed is None:
        raise InputError(
            "catalogue must be given, got none; or find the sources on the mosaics by extract={}"
        )
    about: dict[str, Any] = {"cluster": cluster, "redshift": redshift, "v_max": v_max}
    sources, counts, warnings = read_sources(listed, **about, **options)
    own = cutter.turn is not None
    record = {
        "cluster": cluster,
        "redshift": float(redshift),
        "v_max_km_s": float(u.Quantity(v_max).to_value(u.km / u.s)),
        "needed": list(wanted),
        "min_coverage": float(min_coverage),
        "pixels": "the mosaics' own" if own else f"regridded, {cutter.conserve} conserved",
        "mosaics": cutter.record(),
        "absent": absent,
        "origin": next((one.origin for one in chosen.mosaics if "simulated" in one.origin), ""),
        "counts": counts,
        "lacking": dict.fromkeys(names, 0),
        "warnings": warnings,
    }
    if extract is not None:
        record["extracted"] = dict(listed.meta)
    return _Field(sources, cutter, np.isin(names, wanted), record)


def _extracted(
    mosaics: Mosaics, spectroscopy: Any, extract: Mapping[str, Any], options: dict[str, Any]
) -> tuple[Table, dict[str, Any]]:
    """The sources found on mosaics, and the options that are left for reading them as a catalogue."""
    if strange := sorted({"member", "source_id"} & set(options)):
        raise InputError(
            f"extract finds sources that the catalogue does not name, got also {strange}; leave them out"
        )
    columns = {name: options.pop(name) for name in ("ra", "dec", "z", "quality") if name in options}
    found = field_catalogue(mosaics, spectroscopy, **columns, **extract)
    given = "z_quality" in found.colnames
    return found, options | ({"quality": "z_quality"} if given else {})


def _band_names(bands: Iterable[str]) -> tuple[str, ...]:
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    if not names or len(set(names)) < len(names):
        raise InputError(f"bands must name different bands, one at least, got {names}")
    return names


def _pieces(fields: Sequence[_Field], batch_size: int) -> Iterator[tuple[NDArray[np.float32], QTable]]:
    """Cut out the sources that have all needed bands, a batch at a time, and count all others."""
    names = [field.sources.colnames for field in fields]
    common = [name for name in names[0] if all(name in others for others in names)]
    if lost := sorted({name for others in names for name in others} - set(common)):
        logger.info("left out the catalogue columns %s: not all fields have them", lost)
    for field in fields:
        bands, record, tally = field.cutter.bands, field.record, Counter[str]()
        for start in range(0, len(field.sources), batch_size):
            table = field.sources[common][start : start + batch_size]
            images = field.cutter(SkyCoord(table["ra"], table["dec"]))
            covered = coverage_of(images)
            has = has_band(covered, record["min_coverage"])
            for number, band in enumerate(bands):
                record["lacking"][band] += int((~has[:, number]).sum())
            keep = has[:, field.needed].all(axis=1)
            touched = np.isfinite(images[~keep]).any(axis=(1, 2, 3))
            tally.update(outside=int((~touched).sum()), incomplete=int(touched.sum()), kept=int(keep.sum()))
            tally.update(label or "unknown" for label in table["label"][keep].tolist())
            if keep.any():
                yield images[keep], _with_coverage(table[keep], covered[keep], bands)
        record["counts"] |= {name: tally[name] for name in _TALLIED}
        _report(record)


def _with_coverage(table: QTable, covered: NDArray[np.float32], bands: Sequence[str]) -> QTable:
    """Coverage by band behind our columns; a column of the user's of such a name ends in ``_listed``."""
    coverage = {f"coverage_{band}": covered[:, number] for number, band in enumerate(bands)}
    others = [name for name in table.colnames if name not in OURS]
    rest = {f"{name}_listed" if name in coverage else name: table[name] for name in others}
    return QTable({name: table[name] for name in OURS} | coverage | rest)


def _report(record: dict[str, Any]) -> None:
    """Say what a reader should know of a field's counts."""
    counts, cluster = record["counts"], record["cluster"]
    if not counts["kept"]:
        raise InputError(
            f"{cluster}: no source of the catalogue has all of the bands {tuple(record['needed'])} "
            f"({counts['outside']} outside, {counts['incomplete']} incomplete; lacking {record['lacking']}); "
            "check that catalogue and mosaics belong together, or need fewer bands"
        )
    if counts["unknown"] < counts["kept"]:
        record["warnings"] += [f"{cluster}: none of the sources is a {n}" for n in LABELS if not counts[n]]
    for text in record["warnings"]:
        logger.warning("%s", text)
    logger.info(
        "%s: kept %d of %d sources (%d members, %d non-members); %d outside, %d lack a band",
        *(cluster, counts["kept"], counts["listed"], counts[LABELS[1]], counts[LABELS[0]]),
        *(counts["outside"], counts["incomplete"]),
    )
