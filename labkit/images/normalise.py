"""From raw pixels to grey levels, a batch of objects at a time, and to the channels of a network."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.experiment import EMPTY
from labkit.images import stretches, xamin
from labkit.images.sky import sky_scales
from labkit.sample import Sample, collect

logger = logging.getLogger(__name__)

Method = Literal["xamin", "asinh", "percentile", "fixed-asinh"]
METHODS = ("xamin", "asinh", "percentile", "fixed-asinh")
_DEFAULTS: dict[str, Any] = {
    "output": "grey", "kinds": None, "lower": 0.5, "upper": 99.5, "softening": None, "scales": None,
    "low": -3.0, "high": 1000.0,
}  # fmt: skip

#: Bands that come out, a function for each band that goes in, and the record of what is done.
Levels = tuple[tuple[str, ...], tuple[Callable[[NDArray], NDArray[np.uint8]], ...], dict[str, Any]]


def normalise(
    sample: Sample,
    *,
    method: Method = "xamin",
    like: Any = None,
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
    like : Sample, model or mapping, optional
        Instead of a method and its options: do exactly as was done for this normalised Sample, for what this
        model was trained on (``model.normalisation``), or as this record of it says. Scales of the sky are
        taken over from the zero points of its mosaics to those of this Sample's.
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
        `~labkit.images.sky_scales` if not given.
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
        If the Sample is normalised already, an option or a band is not known or out of its range, options
        are given beside `like`, or `like` was not normalised in one of these ways.
    MissingDataError
        If `scales` lacks a band, or a band has no sky to measure.
    """
    options: dict[str, Any] = {
        "output": output, "kinds": kinds, "lower": lower, "upper": upper, "softening": softening,
        "scales": scales, "low": low, "high": high,
    }  # fmt: skip
    if like is not None:
        given = [name for name, value in options.items() if value != _DEFAULTS[name]]
        if given or method != "xamin":
            raise InputError(f"like must stand alone, got also {given or f'method={method!r}'}; drop it")
        record = _record_of(like)
        method, options = record["method"], _DEFAULTS | {k: record[k] for k in _DEFAULTS if k in record}
        options["zero_points"] = record.get("zero_points", {})
    _check(sample, method, options["output"])
    bands, functions, done = _levels(sample, method, **options)
    about: dict[str, Any] = {"bands": bands, "pixel_scale": sample.pixel_scale}
    about["provenance"] = {**sample.provenance, "normalisation": done}
    logger.info("normalising %d objects by %s", len(sample), method)
    batches = sample.batches(batch_size)
    pieces = ((_grey(functions, raw), sample.catalogue[rows]) for rows, raw in batches)
    return collect(pieces, len(sample), path=path, overwrite=overwrite, **about)


def _record_of(like: Any) -> Mapping[str, Any]:
    """The record of how pixels became grey levels, where it can be repeated."""
    if isinstance(like, Sample):
        like = like.provenance.get("normalisation")
    elif not isinstance(like, Mapping):
        like = getattr(like, "normalisation", like)
    method = like.get("method") if isinstance(like, Mapping) else like
    if not isinstance(like, Mapping) or method not in METHODS:
        raise InputError(
            f"like must be a Sample, model or record normalised by one of {METHODS}, got {method!r}, which "
            "cannot be repeated on raw pixels; normalise them in the same way yourself"
        )
    return like


def _check(sample: Sample, method: str, output: str) -> None:
    if "normalisation" in sample.provenance:
        done = sample.provenance["normalisation"]
        name = done.get("method") if isinstance(done, Mapping) else done
        raise InputError(
            f"sample must hold raw pixels, got one normalised by {name!r}; "
            + ("train on it as it is" if name == "as in the files" else "start from the raw Sample")
        )
    if output not in ("grey", "colour") or (output == "colour" and method != "xamin"):
        raise InputError(
            f"output must be 'grey', or 'colour' with method 'xamin', got {output!r} with {method!r}"
        )
    need_choice("method", method, METHODS)


def _grey(functions: tuple[Callable[[NDArray], NDArray[np.uint8]], ...], raw: NDArray) -> NDArray[np.uint8]:
    """Grey levels (n, band, y, x) of raw pixels (n, band, y, x)."""
    bands = [function(raw[:, i]) for i, function in enumerate(functions)]  # (n, y, x) or (n, 3, y, x)
    return np.concatenate([band[:, None] if band.ndim == 3 else band for band in bands], axis=1)


def _levels(sample: Sample, method: str, **options: Any) -> Levels:
    """The method's functions and record, with those options that it has."""
    softening = options["softening"]
    if method == "xamin":
        return _xamin(sample.bands, options["output"], options["kinds"] or {})
    if method == "fixed-asinh":
        limits = {"low": options["low"], "high": options["high"]}
        limits |= {"softening": 2.0 if softening is None else softening}
        stretches.fixed_sky(**limits)  # refuses wrong limits before anything is measured
        scales = sky_scales(sample) if options["scales"] is None else options["scales"]
        return _fixed(sample, scales, options.get("zero_points", sample.zero_points), **limits)
    own = {"lower": options["lower"], "upper": options["upper"]}
    if method == "asinh":
        own |= {"softening": 0.1 if softening is None else softening}
    function = partial(getattr(stretches, method), **own)
    function(np.zeros((1, 1)))  # refuses wrong options
    record = {"method": method, "output": "grey", "no_emission": 0, **own}
    return sample.bands, (function,) * len(sample.bands), record


def _xamin(bands: tuple[str, ...], output: Literal["grey", "colour"], kinds: Mapping[str, str]) -> Levels:
    """The tables of Kosiba et al. (2020), Appendix A, for X-ray and optical bands."""
    table = {"xray": xamin.xamin_xray, "optical": xamin.xamin_optical}
    kinds = {kind: kind for kind in table} | dict(kinds)
    if unknown := [band for band in bands if kinds.get(band) not in table]:
        raise InputError(
            f"method 'xamin' knows 'xray' and 'optical' images, got the bands {unknown}; say what they are, "
            f"as in kinds={{{unknown[0]!r}: 'optical'}}, or take method='asinh'"
        )
    record = {
        "method": "xamin",
        "output": output,
        "no_emission": xamin.NO_EMISSION,
        "kinds": kinds,
        "xray": {
            "min": 0.0,
            "max_over_median": xamin.XRAY_MAX_OVER_LEVEL,
            "blocks": xamin.LEVEL_BLOCKS,
            "tolerance": xamin.LEVEL_TOLERANCE,
        },
        "optical": {"min_std_below": xamin.OPTICAL_STD_BELOW, "max_std_above": xamin.OPTICAL_STD_ABOVE},
        "grey_weights": list(xamin.GREY_WEIGHTS),
    }
    functions = tuple(partial(table[kinds[band]], output=output) for band in bands)
    if output == "colour":
        bands = tuple(f"{band}_{colour}" for band in bands for colour in xamin.COLOURS)
    return bands, functions, record


def _fixed(
    sample: Sample, scales: Mapping[str, float], zero_points: Mapping[str, float], **limits: float
) -> Levels:
    """The asinh with fixed limits, by scales that hold for these zero points.

    Scales of other bands than the Sample's are recorded, too.
    """
    bands, own = sample.bands, sample.zero_points
    if unknown := [band for band in bands if band in zero_points and band not in own]:
        raise InputError(
            f"sample must have AB zero points of {unknown}, as what it is normalised like has, got none; "
            "give them to its mosaics (labkit members --zero-point), or normalise it by a method of its own"
        )
    if missing := [band for band in bands if band not in scales]:
        raise MissingDataError(
            f"scales must give the sky's scatter of every band, got none for {missing}; measure them with "
            "sky_scales(sample), or leave scales out"
        )
    numbers = {str(band): float(scale) for band, scale in scales.items()}
    if wrong := {band: scale for band, scale in numbers.items() if not 0 < scale < np.inf}:
        raise InputError(f"scales must be positive, got {wrong}; measure them with sky_scales(sample)")
    record: dict[str, Any] = {"method": "fixed-asinh", "output": "grey"}
    record["no_emission"] = stretches.fixed_sky(**limits)
    if zero_points:
        record["zero_points"] = dict(zero_points)
    in_own_unit = {
        b: numbers[b] * 10 ** (0.4 * (own[b] - zero_points.get(b, own[b]))) for b in bands if b in own
    }
    functions = tuple(
        partial(stretches.fixed_asinh, scale=in_own_unit.get(band, numbers[band]), **limits) for band in bands
    )
    return bands, functions, {**record, **limits, "scales": numbers}


def stack(sample: Sample, channels: Sequence[str] = (EMPTY, "xray", "optical")) -> NDArray:
    """Stack bands of grey levels into the channels that a network takes, shape (object, channel, y, x).

    Each channel is a band or ``"empty"`` for zeros. The default is the paper's: red is zeros, green the X-ray
    image, blue the optical one (Kosiba et al. 2020, section 3.1, Fig. 4).
    """
    channels = (channels,) if isinstance(channels, str) else tuple(channels)
    bands = tuple(dict.fromkeys(name for name in channels if name != EMPTY))
    if not bands:
        raise InputError(f"channels must name at least one band of {sample.bands}, got {channels}")
    if missing := [name for name in bands if name not in sample.bands]:
        raise MissingDataError(
            f"channels must be among the bands {sample.bands} or 'empty', got {missing}; "
            "make the Sample with that band or choose other channels"
        )
    images = sample.select(bands=bands).images
    result = np.zeros((len(sample), len(channels), *sample.shape[2:]), dtype=images.dtype)
    for i, name in enumerate(channels):
        if name != EMPTY:
            result[:, i] = images[:, bands.index(name)]
    return result
