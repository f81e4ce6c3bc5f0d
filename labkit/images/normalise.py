"""From raw pixels to grey levels: a raw Sample becomes a normalised one, a batch of objects at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images import stretches, xamin
from labkit.images.channels import GREY_WEIGHTS
from labkit.sample import Sample, SampleWriter

__all__ = ["KINDS", "normalise"]

logger = logging.getLogger(__name__)

Method = Literal["xamin", "asinh", "percentile"]
KINDS = {"xray": "xray", "optical": "optical"}
COLOURS = ("red", "green", "blue")


def normalise(
    sample: Sample,
    *,
    method: Method = "xamin",
    output: Literal["grey", "colour"] = "grey",
    kinds: Mapping[str, str] | None = None,
    lower: float = 0.5,
    upper: float = 99.5,
    softening: float = 0.1,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 64,
) -> Sample:
    """Turn the raw pixels of a Sample into grey levels, each image by its own statistics.

    ``"xamin"`` follows Kosiba et al. (2020), Appendix A, Tables A1 and A2: empty sky is 255 and a bright
    source 0. ``"asinh"`` and ``"percentile"`` are those of astropy.visualization: empty sky is 0, a bright
    source 255. What was done is recorded, with all its numbers, in ``provenance["normalisation"]``;
    ``"no_emission"`` there is the grey level of empty sky. The record does not depend on which of the bands
    a Sample has.

    Parameters
    ----------
    sample : Sample
        Raw: counts per pixel, plate densities, intensities.
    method : {"xamin", "asinh", "percentile"}
        Scale of the grey levels.
    output : {"grey", "colour"}
        For ``"xamin"``: one grey band for each band, or its red, green and blue channels as three bands named
        ``<band>_red``, ``<band>_green``, ``<band>_blue`` (six channels for X-ray and optical; section 5.3).
    kinds : mapping, optional
        For ``"xamin"``: band name to ``"xray"`` or ``"optical"``, for bands with other names than these.
    lower, upper : float
        For ``"asinh"`` and ``"percentile"``: percentiles that become 0 and 255.
    softening : float
        For ``"asinh"``: where the scale turns from linear to logarithmic, as a fraction of the range.
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
        If the Sample is normalised already, or an option or a band is not known.
    """
    if "normalisation" in sample.provenance:
        done = sample.provenance["normalisation"]
        name = done.get("method") if isinstance(done, Mapping) else done
        raise InputError(
            f"sample must hold raw pixels, got one normalised by {name!r}; start from the raw Sample"
        )
    functions, record = _plan(sample.bands, method, output, dict(kinds or {}), lower, upper, softening)
    names = (
        tuple(f"{band}_{c}" for band in sample.bands for c in COLOURS) if output == "colour" else sample.bands
    )
    about: dict[str, Any] = {
        "bands": names,
        "pixel_scale": sample.pixel_scale,
        "provenance": {**sample.provenance, "normalisation": record},
    }
    logger.info("normalising %d objects by %s", len(sample), method)
    if path is None:
        images = np.empty((len(sample), len(names), *sample.shape[2:]), dtype=np.uint8)
        for rows, raw in sample.batches(batch_size):
            images[rows] = _levels(raw, functions)
        return Sample(images, sample.catalogue, **about)
    with SampleWriter(path, overwrite=overwrite, **about) as writer:
        for rows, raw in sample.batches(batch_size):
            writer.append(_levels(raw, functions), sample.catalogue[rows])
    return Sample.load(path)


def _levels(raw: NDArray, functions: list[Callable]) -> NDArray[np.uint8]:
    """Grey levels of a batch (object, band, y, x); a band may become several."""
    bands = [function(raw[:, i]) for i, function in enumerate(functions)]
    return np.concatenate([band[:, None] if band.ndim == 3 else band for band in bands], axis=1)


def _plan(
    bands: tuple[str, ...],
    method: str,
    output: Literal["grey", "colour"],
    kinds: dict,
    lower: float,
    upper: float,
    softening: float,
) -> tuple[list[Callable], dict[str, Any]]:
    """Choose the function of each band, and make the record for the provenance."""
    if output not in ("grey", "colour") or (output == "colour" and method != "xamin"):
        raise InputError(
            f"output must be 'grey', or 'colour' with method 'xamin', got {output!r} with {method!r}"
        )
    if method in ("asinh", "percentile"):
        options = {"lower": lower, "upper": upper} | ({"softening": softening} if method == "asinh" else {})
        function = getattr(stretches, method)
        function(np.zeros((1, 1)), **options)
        record = {"method": method, "output": output, "no_emission": 0, **options}
        return [lambda raw: function(raw, **options)] * len(bands), record
    if method != "xamin":
        raise InputError(f"method must be 'xamin', 'asinh' or 'percentile', got {method!r}")
    kinds = KINDS | kinds
    if unknown := [band for band in bands if kinds.get(band) not in ("xray", "optical")]:
        raise InputError(
            f"method 'xamin' knows 'xray' and 'optical' images, got the bands {unknown}; say what they are, "
            f"as in kinds={{{unknown[0]!r}: 'optical'}}, or take method='asinh'"
        )
    table = {"xray": xamin.xamin_xray, "optical": xamin.xamin_optical}
    functions = [lambda raw, kind=kinds[band]: table[kind](raw, output=output) for band in bands]
    return functions, {
        "method": method,
        "output": output,
        "no_emission": xamin.NO_EMISSION,
        "kinds": kinds,
    } | {
        "xray": {
            "min": 0.0,
            "max_over_median": xamin.XRAY_MAX_OVER_LEVEL,
            "blocks": xamin.LEVEL_BLOCKS,
            "tolerance": xamin.LEVEL_TOLERANCE,
        },
        "optical": {"min_std_below": xamin.OPTICAL_STD_BELOW, "max_std_above": xamin.OPTICAL_STD_ABOVE},
        "grey_weights": list(GREY_WEIGHTS),
    }
