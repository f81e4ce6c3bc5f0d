"""One field's sources cut out, chosen by coverage, and counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sources.members.catalogue import OURS, SourceList, read_sources
from labkit.sources.members.detected import COUNTED, field_catalogue
from labkit.sources.members.membership import LABELS, V_MAX
from labkit.sources.members.stamps import MIN_COVERAGE, Cutter, coverage_of, make_cutter
from labkit.sources.mosaics import Mosaics

__all__ = ["Field", "cut_fields", "named", "prepare_field"]

logger = logging.getLogger(__name__)

_CUTTING = ("size_px", "pixel_scale", "resample", "conserve", "blank")


@dataclass(frozen=True)
class Field:
    """One field ready to be cut: what is known before a pixel is read.

    Parameters
    ----------
    sources : SourceList
        What to cut out.
    cutter : Cutter
        How.
    needed : ndarray of bool, shape (band,)
        Bands that a source must have.
    record : dict
        What the Sample's provenance says of the field; counts are filled in by `cut_fields`.
    """

    sources: SourceList
    cutter: Cutter
    needed: NDArray[np.bool_]
    record: dict[str, Any]


def prepare_field(
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
) -> Field:
    """Read the catalogue of a field and decide how its sources are cut out.

    Parameters
    ----------
    mosaics, catalogue, extract, cluster, redshift, bands, needed, min_coverage, v_max, **options
        As for `~labkit.sources.members_sample`.

    Returns
    -------
    Field
        For `cut_fields`.
    """
    if not 0 < min_coverage <= 1:
        raise InputError(f"min_coverage must be above 0 and at most 1, got {min_coverage}")
    names = mosaics.bands if bands is None else named(bands)
    wanted = names if needed is None else named(needed)
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
    sources = read_sources(listed, cluster=cluster, redshift=redshift, v_max=v_max, **options)
    record = {
        "cluster": cluster,
        "redshift": float(redshift),
        "v_max_km_s": float(u.Quantity(v_max).to_value(u.km / u.s)),
        "needed": list(wanted),
        "min_coverage": float(min_coverage),
        "pixels": "the mosaics' own"
        if cutter.turn is not None
        else f"regridded, {cutter.conserve} conserved",
        "mosaics": chosen.record(),
        "absent": absent,
        "origin": next((one.origin for one in chosen.mosaics if "simulated" in one.origin), ""),
        "counts": dict(sources.counts),
        "lacking": dict.fromkeys(names, 0),
        "warnings": list(sources.warnings),
    }
    if extract is not None:
        record["extracted"] = {name: listed.meta[name] for name in COUNTED}
    return Field(sources, cutter, np.isin(names, wanted), record)


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


def named(bands: Iterable[str]) -> tuple[str, ...]:
    """Names of bands, each once.

    Parameters
    ----------
    bands : iterable of str
        Or one name.

    Raises
    ------
    InputError
        If there is none, or one comes twice.
    """
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    if not names or len(set(names)) < len(names):
        raise InputError(f"bands must name different bands, one at least, got {names}")
    return names


def cut_fields(fields: Sequence[Field], *, batch_size: int) -> Iterator[tuple[NDArray[np.float32], QTable]]:
    """Cut out the sources that have all needed bands, a batch at a time, and count all others.

    Parameters
    ----------
    fields : sequence of Field
        Of the same bands; their records are filled in.
    batch_size : int
        Sources in memory at a time.

    Yields
    ------
    images : ndarray of float32, shape (n, band, y, x)
        NaN without data.
    catalogue : QTable
        Their rows, with the columns that all fields have.

    Raises
    ------
    InputError
        If no source of a field has the needed bands.
    """
    names = [field.sources.table.colnames for field in fields]
    common = [name for name in names[0] if all(name in others for others in names)]
    if lost := sorted({name for others in names for name in others} - set(common)):
        logger.info("left out the catalogue columns %s: not all fields have them", lost)
    for field in fields:
        tally = {"outside": 0, "incomplete": 0, "kept": 0, **dict.fromkeys([*LABELS, "unknown"], 0)}
        for start in range(0, len(field.sources.table), batch_size):
            rows = slice(start, start + batch_size)
            images = field.cutter(field.sources.positions[rows])
            covered = coverage_of(images)
            keep = _choose(field, images, covered, tally)
            if keep.any():
                table = field.sources.table[common][rows][keep]
                _count_labels(np.asarray(table["label"]), tally)
                yield images[keep], _with_coverage(table, covered[keep], field.cutter.bands)
        field.record["counts"] |= tally
        _judge(field.record)


def _choose(
    field: Field, images: NDArray[np.float32], covered: NDArray[np.float32], tally: dict[str, int]
) -> NDArray[np.bool_]:
    has = covered >= np.float32(field.record["min_coverage"])
    for number, band in enumerate(field.cutter.bands):
        field.record["lacking"][band] += int((~has[:, number]).sum())
    keep = np.asarray(has[:, field.needed].all(axis=1))
    touched = np.isfinite(images[~keep]).any(axis=(1, 2, 3))
    tally["outside"] += int((~touched).sum())
    tally["incomplete"] += int(touched.sum())
    return keep


def _count_labels(labels: NDArray[np.str_], tally: dict[str, int]) -> None:
    tally["kept"] += len(labels)
    for label in LABELS:
        tally[label] += int((labels == label).sum())
    tally["unknown"] += int((labels == "").sum())


def _with_coverage(table: QTable, covered: NDArray[np.float32], bands: Sequence[str]) -> QTable:
    ours = {name: table[name] for name in OURS}
    coverage = {f"coverage_{band}": covered[:, number] for number, band in enumerate(bands)}
    rest = {name: table[name] for name in table.colnames if name not in {*ours, *coverage}}
    return QTable(ours | coverage | rest)


def _judge(record: dict[str, Any]) -> None:
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
