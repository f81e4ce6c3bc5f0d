"""The EPIC cameras of XMM-Newton in the 0.5-2 keV band: chips, vignetting, background.

Detector coordinates (u, v) are arcmin from the nominal pointing, the axes along the chips' edges. The numbers
and their sources stand in ``epic.toml``.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DATA = tomllib.loads(Path(__file__).with_name("epic.toml").read_text())
#: Flux in erg/s/cm2 (0.5-2 keV) that gives 1 count/s on axis in the sum of the three cameras.
COUNT_RATE_TO_FLUX: float = _DATA["count_rate_to_flux"]
#: Share of the flare background that is vignetted, and its scatter from chip to chip.
FLARE_VIGNETTED, FLARE_CHIP_SCATTER = (float(_DATA["flares"][name]) for name in ("vignetted", "chip_scatter"))


@dataclass(frozen=True)
class Camera:
    """One EPIC camera."""

    name: str  # "pn", "mos1" or "mos2"
    chips: np.ndarray  # (n, 4): Sensitive rectangle of each chip: u0, u1, v0, v1 in arcmin
    along_v: tuple[bool, ...]  # for each chip, whether its columns run along v (else along u)
    field: tuple[float, float, float]  # centre (u, v) and radius of the circular field of view, arcmin
    axis: tuple[float, float]  # optical axis (u, v), arcmin
    share: float  # share of the summed count rate of a source on axis
    live: float  # exposure on axis over the nominal exposure time
    sky: float  # quiet background that is vignetted and that is not, counts/s/arcmin2
    particle: float
    flare: float  # flare background relative to that of PN
    frame_s: float  # time between read-outs, seconds: sets pile-up
    triangle: float  # strength of the three-cornered core of the point spread function
    column_arcmin: float  # width of a detector column
    own_columns: float  # mean number of bad columns of an observation's own
    widest_column: int  # of these, in columns
    bad_columns: np.ndarray  # (n, 4): Rectangles of the permanently bad columns, as in `chips`

    def off_axis(self, u: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
        """Off-axis angle in arcmin."""
        return np.hypot(np.asarray(u) - self.axis[0], np.asarray(v) - self.axis[1])

    def chip_of(self, u: NDArray, v: NDArray) -> NDArray[np.int8]:
        """Number of the chip that holds each position, -1 in gaps and outside the field of view."""
        chip = np.full(np.shape(u), -1, dtype=np.int8)
        for number, (u0, u1, v0, v1) in enumerate(self.chips):
            chip[(u > u0) & (u < u1) & (v > v0) & (v < v1)] = number
        chip[np.hypot(u - self.field[0], v - self.field[1]) > self.field[2]] = -1
        return chip


def vignetting(off_axis_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Effective area relative to the optical axis at an off-axis angle in arcmin."""
    angle, curve = np.asarray(off_axis_arcmin, dtype=float), _DATA["vignetting"]
    return np.interp(angle, curve["off_axis_arcmin"], curve["effective_area"])


def _camera(
    name: str, chips: Sequence, bad_columns: Sequence = (), bad_rectangles: Sequence = (), **numbers: Any
) -> Camera:
    bad = [(at - width / 2, at + width / 2, start, stop) for at, width, start, stop in bad_columns]
    numbers |= {key: tuple(numbers[key]) for key in ("along_v", "field", "axis")}
    return Camera(name, np.array(chips), bad_columns=np.array([*bad, *bad_rectangles]), **numbers)


#: The three cameras whose counts are summed.
CAMERAS = tuple(_camera(name, **about) for name, about in _DATA["cameras"].items())
PN, MOS1, MOS2 = CAMERAS


def summed_exposure(exposures: ArrayLike) -> NDArray[np.float32]:
    """Seconds in which MOS1 alone would record the counts of the three cameras, (camera, y, x) to (y, x)."""
    shares = np.array([camera.share / MOS1.share for camera in CAMERAS], dtype=np.float32)
    return (shares[:, None, None] * np.asarray(exposures, dtype=np.float32)).sum(axis=0)
