"""The ways in which pixels become grey levels: for each a function a band, and the record of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.images import stretches, xamin
from labkit.images.channels import GREY_WEIGHTS

__all__ = ["KINDS", "METHODS", "GreyLevels", "fixed", "own_percentiles", "xamin_tables"]

METHODS = ("xamin", "asinh", "percentile", "fixed-asinh")
KINDS = {"xray": "xray", "optical": "optical"}
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class GreyLevels:
    """How the bands of a Sample become grey levels.

    Attributes
    ----------
    bands : tuple of str
        Bands that come out.
    functions : tuple of callable
        One for each band that goes in: raw pixels (object, y, x) to uint8, with an axis of three channels
        after the first for colours.
    record : dict
        What was done, as JSON; ``"no_emission"`` is the level of empty sky.
    """

    bands: tuple[str, ...]
    functions: tuple[Callable[[NDArray], NDArray[np.uint8]], ...]
    record: dict[str, Any]

    def __call__(self, raw: NDArray) -> NDArray[np.uint8]:
        """Grey levels of a batch, (object, band, y, x)."""
        bands = [function(raw[:, i]) for i, function in enumerate(self.functions)]
        return np.concatenate([band[:, None] if band.ndim == 3 else band for band in bands], axis=1)


def xamin_tables(
    bands: tuple[str, ...], *, output: Literal["grey", "colour"], kinds: Mapping[str, str]
) -> GreyLevels:
    """The tables of Kosiba et al. (2020), Appendix A, for X-ray and optical bands.

    Parameters
    ----------
    bands : tuple of str
        Bands of the Sample.
    output : {"grey", "colour"}
        One band each, or its red, green and blue channels.
    kinds : mapping
        Band name to ``"xray"`` or ``"optical"``, in addition to `KINDS`.

    Raises
    ------
    InputError
        If it is not said what a band is.
    """
    kinds = KINDS | dict(kinds)
    if unknown := [band for band in bands if kinds.get(band) not in ("xray", "optical")]:
        raise InputError(
            f"method 'xamin' knows 'xray' and 'optical' images, got the bands {unknown}; say what they are, "
            f"as in kinds={{{unknown[0]!r}: 'optical'}}, or take method='asinh'"
        )
    table = {"xray": xamin.xamin_xray, "optical": xamin.xamin_optical}
    names = tuple(f"{band}_{colour}" for band in bands for colour in _COLOURS)
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
        "grey_weights": list(GREY_WEIGHTS),
    }
    functions = tuple(partial(table[kinds[band]], output=output) for band in bands)
    return GreyLevels(names if output == "colour" else bands, functions, record)


def own_percentiles(bands: tuple[str, ...], method: str, **options: float) -> GreyLevels:
    """The stretches of astropy.visualization, each image by its own percentiles.

    Parameters
    ----------
    bands : tuple of str
        Bands of the Sample.
    method : {"asinh", "percentile"}
        Which of them.
    **options
        Those of the stretch.

    Raises
    ------
    InputError
        If an option is out of its range.
    """
    function = partial(getattr(stretches, method), **options)
    function(np.zeros((1, 1)))
    record = {"method": method, "output": "grey", "no_emission": 0, **options}
    return GreyLevels(bands, (function,) * len(bands), record)


def fixed(bands: tuple[str, ...], scales: Mapping[str, float], **options: float) -> GreyLevels:
    """The asinh with fixed limits in units of the sky's scatter, one scale a band for all objects.

    Parameters
    ----------
    bands : tuple of str
        Bands of the Sample.
    scales : mapping
        Band name to scatter of the sky; others than the Sample's may be there, and are recorded.
    **options
        ``low``, ``softening`` and ``high`` of `stretches.fixed_asinh`.

    Raises
    ------
    MissingDataError
        If a band has no scale.
    InputError
        If a scale is not positive or an option out of its range.
    """
    if missing := [band for band in bands if band not in scales]:
        raise MissingDataError(
            f"scales must give the sky's scatter of every band, got none for {missing}; measure them with "
            "sky_scales(sample), or leave scales out"
        )
    numbers = {str(band): float(scale) for band, scale in scales.items()}
    if wrong := {band: scale for band, scale in numbers.items() if not 0 < scale < np.inf}:
        raise InputError(f"scales must be positive, got {wrong}; measure them with sky_scales(sample)")
    record = {"method": "fixed-asinh", "output": "grey", "no_emission": stretches.fixed_sky(**options)}
    functions = tuple(partial(stretches.fixed_asinh, scale=numbers[band], **options) for band in bands)
    return GreyLevels(bands, functions, {**record, **options, "scales": numbers})
