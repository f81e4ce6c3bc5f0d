"""Samples of the same bands put one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from labkit.errors import InputError
from labkit.sample.sample import Sample
from labkit.sample.store import SampleWriter

logger = logging.getLogger(__name__)

_SAME_ZERO_POINT = 1e-3  # mag


def concatenate(
    samples: Sequence[Sample],
    *,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 256,
) -> Sample:
    """Join Samples of the same bands, pixel scale and image size, such as the fields of several clusters.

    Parameters
    ----------
    samples : sequence of Sample
        One or more; all raw, or all normalised in the same way.
    path : path, optional
        Folder to write to, a batch at a time, for what does not fit in memory.
    overwrite : bool
        Replace a folder at `path`.
    batch_size : int
        Objects in memory at a time when writing.

    Returns
    -------
    Sample
        Objects in the order given, with the catalogue columns that all Samples have. The provenance lists
        those of the parts; ``fields`` of member Samples are joined.

    Raises
    ------
    InputError
        If there is no Sample, they differ in bands, pixel scale, image size, type, normalisation or a band's
        zero point, or an ``object_id`` comes twice.
    """
    samples = list(samples)
    if not samples:
        raise InputError("samples must hold at least one Sample, got none")
    for other in samples[1:]:
        _check(samples[0], other)
    _refuse_several_scales(samples)
    names = [n for n in samples[0].catalogue.colnames if all(n in one.catalogue.colnames for one in samples)]
    if lost := sorted({name for one in samples for name in one.catalogue.colnames} - set(names)):
        logger.info("left out the catalogue columns %s: not all Samples have them", lost)
    about: dict[str, Any] = {
        "bands": samples[0].bands,
        "pixel_scale": samples[0].pixel_scale,
        "provenance": _provenance(samples),
    }
    if path is not None:
        with SampleWriter(path, overwrite=overwrite, **about) as writer:
            for one in samples:
                for rows, images in one.batches(batch_size):
                    writer.append(images, one.catalogue[names][rows])
        return Sample.load(path)
    catalogue = vstack([QTable(one.catalogue[names]) for one in samples], metadata_conflicts="silent")
    catalogue.meta.clear()
    return Sample(np.concatenate([one.images for one in samples]), catalogue, **about)


def _refuse_several_scales(samples: Sequence[Sample]) -> None:
    """A band's unit of flux must be the same in all fields, as far as their records say."""
    for band in samples[0].bands:
        found = {
            field["mosaics"][band].get("zero_point"): field.get("cluster")
            for one in samples
            for field in one.provenance.get("fields", [])
            if band in field.get("mosaics", {})
        }
        known = [zero for zero in found if zero is not None]
        if known and (None in found or max(known) - min(known) > _SAME_ZERO_POINT):
            raise InputError(
                f"samples must have one AB zero point in {band!r}, got "
                f"{', '.join(f'{zero} of {cluster}' for zero, cluster in found.items())}; cut their fields "
                "in one call (labkit members --fields), which brings the fluxes onto one scale"
            )


def _check(one: Sample, other: Sample) -> None:
    pairs = {
        "bands": (one.bands, other.bands),
        "image sizes": (one.shape[2:], other.shape[2:]),
        "pixel types": (one.dtype, other.dtype),
        "normalisations": (one.provenance.get("normalisation"), other.provenance.get("normalisation")),
    }
    for what, (first, second) in pairs.items():
        if first != second:
            raise InputError(f"samples must have the same {what}, got {first} and {second}; make them alike")
    scales = u.Quantity([one.pixel_scale, other.pixel_scale]).to(u.arcsec)
    if abs(scales[1] / scales[0] - 1) > 1e-3:
        raise InputError(f"samples must have the same pixel scale, got {scales[0]} and {scales[1]}")


def _provenance(samples: Sequence[Sample]) -> dict[str, Any]:
    parts = [one.provenance for one in samples]
    if len(parts) == 1:
        return dict(parts[0])
    sources = dict.fromkeys(str(part.get("source", "not recorded")) for part in parts)
    joined: dict[str, Any] = {"source": "; ".join(sources), "parts": [_own(part) for part in parts]}
    if all("fields" in part for part in parts):
        joined["fields"] = [field for part in parts for field in part["fields"]]
    if "normalisation" in parts[0]:
        joined["normalisation"] = parts[0]["normalisation"]
    return joined


def _own(provenance: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in provenance.items() if name not in ("fields", "normalisation")}
