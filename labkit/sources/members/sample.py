"""Member Samples: the sources of one field, or of many, cut out of its mosaics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, SampleWriter
from labkit.sources.members.fields import Field, cut_fields, named, prepare_field
from labkit.sources.members.listed import read_fields
from labkit.sources.members.membership import V_MAX
from labkit.sources.members.stamps import MIN_COVERAGE
from labkit.sources.mosaics import Mosaics, on_one_scale, read_mosaics

__all__ = ["fields_sample", "members_sample"]


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
        As `~labkit.sources.read_mosaics` opens them.
    catalogue : path or Table
        Sources: FITS, ECSV, CSV, VOTable, Parquet. With `extract` only their redshifts count, and there may
        be none.
    cluster : str
        Short name of the cluster.
    redshift : float
        Its redshift.
    bands : iterable of str, optional
        Bands of the Sample, in order; by default all.
    needed : iterable of str, optional
        Bands that a source must have; by default all of the Sample's. Others hold NaN where they lack data
        or have no mosaic; `complete_in` chooses from such a Sample.
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
        `~labkit.sources.field_catalogue`, maybe none (``{}``). Their magnitudes become columns.
    min_coverage : float
        A source has a band if this fraction of its cut-out has data, and its central pixels have.
    path : path, optional
        Folder to write the Sample to as it is made, for one that does not fit in memory.
    overwrite : bool
        Replace a folder at `path`.
    batch_size : int
        Sources in memory at a time when writing.
    **options
        ``ra``, ``dec``, ``z``, ``quality``, ``accepted``, ``member``, ``source_id``, ``merge_radius`` and
        ``repeats`` of `~labkit.sources.members.catalogue.read_sources`; ``resample``, ``conserve`` and
        ``blank`` of `~labkit.sources.members.stamps.make_cutter`.

    Returns
    -------
    Sample
        float32 cut-outs in the mosaics' units. The catalogue has ``object_id``, ``ra``, ``dec``, ``label``
        ("member", "non-member", "" where unknown), ``cluster``, ``cluster_redshift``, ``redshift`` (NaN where
        none counts), ``velocity`` (km/s), ``coverage_<band>``, and the other columns of the user's.

    Raises
    ------
    MissingDataError
        If a band, a column or a file is not there.
    InputError
        If no source has the needed bands, or an argument breaks a rule.
    """
    field = prepare_field(
        mosaics,
        catalogue,
        cluster=cluster,
        redshift=redshift,
        bands=bands,
        needed=needed,
        size_px=size_px,
        pixel_scale=pixel_scale,
        v_max=v_max,
        labelled=labelled,
        extract=extract,
        min_coverage=min_coverage,
        **options,
    )
    return _cut([field], path=path, overwrite=overwrite, batch_size=batch_size)


def fields_sample(
    fields: str | Path | Table,
    *,
    catalogue: str = "catalogue.fits",
    pattern: str = "*_{band}.fits*",
    bands: Iterable[str] | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 256,
    **options: Any,
) -> Sample:
    """Cut the sources of several fields into one Sample.

    Parameters
    ----------
    fields : path or Table
        One row a field: ``cluster`` or ``short`` (its name), ``redshift``, ``folder`` with mosaics and
        catalogue, relative to the table's file; maybe ``catalogue``, its file in that folder.
    catalogue : str
        File of the catalogue in each folder, where the table has no such column.
    pattern : str
        Names of the mosaics, see `~labkit.sources.read_mosaics`.
    bands : iterable of str, optional
        Bands of the Sample; by default those that all fields have. Those that are not ``needed`` may be
        absent from some fields.
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
    listed = read_fields(fields, catalogue=catalogue)
    opened = [read_mosaics(one.folder, pattern=pattern) for one in listed]
    names = named(bands) if bands is not None else _common(opened)
    if nowhere := [band for band in names if not any(band in one.bands for one in opened)]:
        raise MissingDataError(
            f"bands must be there in one field at least, got {nowhere}; add their mosaics or choose others"
        )
    prepared = []
    for one, mosaics in zip(listed, on_one_scale(opened), strict=True):
        about = {"cluster": one.cluster, "redshift": one.redshift, "bands": names, **options}
        prepared.append(prepare_field(mosaics, one.catalogue, **about))
    return _cut(prepared, path=path, overwrite=overwrite, batch_size=batch_size)


def _common(opened: Sequence[Mosaics]) -> tuple[str, ...]:
    names = tuple(band for band in opened[0].bands if all(band in one.bands for one in opened))
    if not names:
        listed = [one.bands for one in opened]
        raise InputError(f"fields must have a band in common, got {listed}; name the bands by bands=")
    return names


def _cut(fields: Sequence[Field], *, path: str | Path | None, overwrite: bool, batch_size: int) -> Sample:
    """Put all fields into one Sample in memory or on disk."""
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    scales = u.Quantity([field.cutter.pixel_scale for field in fields])
    if np.ptp(scales) > 1e-3 * scales[0]:
        raise InputError(f"fields must have one pixel scale, got {scales}; pass pixel_scale=")
    records = [field.record for field in fields]
    origins = sorted({str(record["origin"]) for record in records} - {""})
    clusters = ", ".join(str(record["cluster"]) for record in records)
    about: dict[str, Any] = {
        "bands": fields[0].cutter.bands,
        "pixel_scale": scales[0],
        # The records are filled in while sources are cut out, before a writer puts them on disk.
        "provenance": {"source": f"{' and '.join(origins) or 'mosaics'} of {clusters}", "fields": records},
    }
    pieces = cut_fields(fields, batch_size=batch_size)
    if path is not None:
        with SampleWriter(path, overwrite=overwrite, **about) as writer:
            for images, table in pieces:
                writer.append(images, table)
        return Sample.load(path)
    size, cutter = sum(len(field.sources.table) for field in fields), fields[0].cutter
    held = np.empty((size, len(cutter.bands), cutter.size_px, cutter.size_px), dtype=np.float32)
    tables, filled = [], 0
    for images, table in pieces:
        held[filled : filled + len(images)] = images
        filled += len(images)
        tables.append(table)
    return Sample(held[:filled], vstack(tables, metadata_conflicts="silent"), **about)
