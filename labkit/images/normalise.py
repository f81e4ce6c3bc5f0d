"""From raw pixels to grey levels: a raw Sample becomes a normalised one, a batch of objects at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labkit.errors import InputError
from labkit.images.methods import METHODS, GreyLevels, fixed, own_percentiles, xamin_tables
from labkit.images.sky import sky_scales
from labkit.images.stretches import fixed_sky
from labkit.sample import Sample, SampleWriter

__all__ = ["normalise", "normalise_as"]

logger = logging.getLogger(__name__)

Method = Literal["xamin", "asinh", "percentile", "fixed-asinh"]
_OPTIONS = ("output", "kinds", "lower", "upper", "softening", "scales", "low", "high")


def normalise(
    sample: Sample,
    *,
    method: Method = "xamin",
    output: Literal["grey", "colour"] = "grey",
    kinds: Mapping[str, str] | None = None,
    lower: float = 0.5,
    upper: float = 99.5,
    softening: float | None = None,
    scales: Mapping[str, float] | None = None,
    low: float = -3.0,
    high: float = 1000.0,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 64,
) -> Sample:
    """Turn the raw pixels of a Sample into grey levels, each image for itself.

    ``"xamin"`` follows Kosiba et al. (2020), Appendix A, Tables A1 and A2: empty sky is 255 and a bright
    source 0. ``"asinh"`` and ``"percentile"`` are those of astropy.visualization: empty sky is 0, a bright
    source 255; like XAmin's they look at each image's own pixels. ``"fixed-asinh"`` has the same limits for
    all images of a band, in units of the sky's scatter, so that the colours of objects survive (see
    `~labkit.images.stretches.fixed_asinh`); pixels without data get the sky's level.

    What was done is recorded, with all its numbers, in ``provenance["normalisation"]``; ``"no_emission"``
    there is the grey level of empty sky. Of given options the record holds all, whichever bands a Sample has.

    Parameters
    ----------
    sample : Sample
        Raw: counts per pixel, plate densities, intensities, electrons per second.
    method : {"xamin", "asinh", "percentile", "fixed-asinh"}
        Scale of the grey levels.
    output : {"grey", "colour"}
        For ``"xamin"``: one grey band for each band, or its red, green and blue channels as three bands named
        ``<band>_red``, ``<band>_green``, ``<band>_blue`` (six channels for X-ray and optical; section 5.3).
    kinds : mapping, optional
        For ``"xamin"``: band name to ``"xray"`` or ``"optical"``, for bands with other names than these.
    lower, upper : float
        For ``"asinh"`` and ``"percentile"``: percentiles that become 0 and 255.
    softening : float, optional
        Where the scale turns from linear to logarithmic: for ``"asinh"`` as a fraction of the range, 0.1 if
        not given; for ``"fixed-asinh"`` in units of the sky's scatter, 2.
    scales : mapping, optional
        For ``"fixed-asinh"``: band name to scatter of the sky in a pixel; measured by
        `~labkit.images.sky.sky_scales` if not given. Objects that a trained network is to score need the
        scales of its training: those in ``model.normalisation["scales"]``.
    low, high : float
        For ``"fixed-asinh"``: pixel values that become 0 and 255, in units of the sky's scatter.
    path : path, optional
        Folder to write the Sample to as it is made, for one that does not fit in memory.
    overwrite : bool
        Replace a folder at `path`.
    batch_size : int
        Objects in memory at a time.

    Returns
    -------
    Sample
        uint8 images, same catalogue; opened from `path` where one is given.

    Raises
    ------
    InputError
        If the Sample is normalised already, or an option or a band is not known or out of its range.
    MissingDataError
        If `scales` lacks a band, or a band has no sky to measure.
    """
    _check(sample, method, output)
    levels = _levels(
        sample,
        method,
        xamin={"output": output, "kinds": kinds or {}},
        percentiles={"lower": lower, "upper": upper},
        limits={"low": low, "high": high},
        softening=softening,
        scales=scales,
    )
    about: dict[str, Any] = {
        "bands": levels.bands,
        "pixel_scale": sample.pixel_scale,
        "provenance": {**sample.provenance, "normalisation": levels.record},
    }
    logger.info("normalising %d objects by %s", len(sample), method)
    if path is None:
        images = np.empty((len(sample), len(levels.bands), *sample.shape[2:]), dtype=np.uint8)
        for rows, raw in sample.batches(batch_size):
            images[rows] = levels(raw)
        return Sample(images, sample.catalogue, **about)
    with SampleWriter(path, overwrite=overwrite, **about) as writer:
        for rows, raw in sample.batches(batch_size):
            writer.append(levels(raw), sample.catalogue[rows])
    return Sample.load(path)


def normalise_as(
    sample: Sample,
    record: Mapping[str, Any],
    *,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 64,
) -> Sample:
    """Turn the raw pixels of a Sample into grey levels as it was done before, by the record of it.

    Parameters
    ----------
    sample : Sample
        Raw pixels.
    record : mapping
        ``provenance["normalisation"]`` of a normalised Sample, or ``model.normalisation``: what a trained
        network expects.
    path, overwrite, batch_size
        As for `normalise`.

    Returns
    -------
    Sample
        As `normalise` gives it.

    Raises
    ------
    InputError
        If the record names no method of `normalise`, or one breaks a rule.
    MissingDataError
        If the record has no scale for a band.
    """
    if record.get("method") not in METHODS:
        raise InputError(
            f"record must be one of labkit's normalisations, {METHODS}, got {record.get('method')!r}; images "
            "that were normalised elsewhere cannot be imitated from their record"
        )
    options: dict[str, Any] = {name: record[name] for name in _OPTIONS if name in record}
    options |= {"path": path, "overwrite": overwrite, "batch_size": batch_size}
    return normalise(sample, method=record["method"], **options)


def _check(sample: Sample, method: str, output: str) -> None:
    if "normalisation" in sample.provenance:
        done = sample.provenance["normalisation"]
        name = done.get("method") if isinstance(done, Mapping) else done
        raise InputError(
            f"sample must hold raw pixels, got one normalised by {name!r}; start from the raw Sample"
        )
    if output not in ("grey", "colour") or (output == "colour" and method != "xamin"):
        raise InputError(
            f"output must be 'grey', or 'colour' with method 'xamin', got {output!r} with {method!r}"
        )
    if method not in METHODS:
        raise InputError(f"method must be one of {METHODS}, got {method!r}")


def _levels(
    sample: Sample,
    method: str,
    *,
    xamin: dict[str, Any],
    percentiles: dict[str, float],
    limits: dict[str, float],
    softening: float | None,
    scales: Mapping[str, float] | None,
) -> GreyLevels:
    """The method's functions and record, with those options that it has."""
    if method == "xamin":
        return xamin_tables(sample.bands, **xamin)
    if method == "percentile":
        return own_percentiles(sample.bands, method, **percentiles)
    if method == "asinh":
        return own_percentiles(
            sample.bands, method, **percentiles, softening=0.1 if softening is None else softening
        )
    limits = limits | {"softening": 2.0 if softening is None else softening}
    fixed_sky(**limits)  # refuses wrong limits before anything is measured
    return fixed(sample.bands, sky_scales(sample) if scales is None else scales, **limits)
