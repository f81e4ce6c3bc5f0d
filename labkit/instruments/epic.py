"""The EPIC cameras of XMM-Newton in the 0.5-2 keV band: chips, vignetting, background.

Everything is written in detector coordinates: (u, v) in arcmin from the nominal pointing, the axes along the
chips' edges. `labkit.simulate.xmm` turns them to the sky. Geometry, vignetting and background follow
archival EPIC images and exposure maps; `labkit.instruments.mirrors` has the point spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Flux in erg/s/cm2 (0.5-2 keV) that gives 1 count/s on axis in the sum of the three cameras.
COUNT_RATE_TO_FLUX = 9e-13

_OFF_AXIS = np.array([0.0, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 18.0])
_VIGNETTING = np.array([1.0, 0.95, 0.87, 0.76, 0.64, 0.54, 0.44, 0.33, 0.18])


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
    """Effective area relative to the optical axis at an off-axis angle in arcmin.

    An upper envelope of archival exposure maps: their median agrees on axis, is 2 % lower at 2.5 arcmin and 4
    to 9 % lower from 4 to 13 arcmin.
    """
    return np.interp(np.asarray(off_axis_arcmin, dtype=float), _OFF_AXIS, _VIGNETTING)


def _column(position: float, width: float, start: float, stop: float) -> tuple[float, float, float, float]:
    return (position - width / 2, position + width / 2, start, stop)


_PN_LOW, _PN_HIGH = (-10.77, 2.06), (2.24, 15.06)
_PN_EDGES_LOW = (-14.35, -10.0, -9.79, -5.51, -5.31, -1.03, -0.82, 3.50, 3.68, 7.99, 8.19, 12.44)
_PN_EDGES_HIGH = (-14.35, -10.05, -9.84, -5.5, -5.36, -1.05, -0.82, 3.38, 3.66, 7.93, 8.14, 12.44)
_PN_BAD = [
    (p, w, *_PN_HIGH) for p, w in ((-8.06, 0.2), (-5.63, 0.3), (-4.2, 0.2), (-1.58, 0.14), (-1.15, 0.3))
]
_PN_BAD += [(p, w, *_PN_HIGH) for p, w in ((1.43, 0.14),)]
_PN_BAD += [
    (p, w, *_PN_LOW) for p, w in ((-2.24, 0.17), (3.88, 0.15), (5.04, 0.17), (7.31, 0.17), (10.4, 0.22))
]

PN = Camera(
    name="pn",
    chips=np.array(
        [
            (edges[k], edges[k + 1], *rows)
            for edges, rows in ((_PN_EDGES_LOW, _PN_LOW), (_PN_EDGES_HIGH, _PN_HIGH))
            for k in range(0, 12, 2)
        ]
    ),
    along_v=(True,) * 12,
    field=(-0.93, 2.13, 14.9),
    axis=(1.85, 0.82),
    share=0.634,
    live=0.87,
    sky=1.45e-3,
    particle=1.05e-3,
    flare=1.0,
    frame_s=0.2,
    triangle=0.0,
    column_arcmin=4.1 / 60,
    bad_columns=np.array([_column(*column) for column in _PN_BAD]),
)

MOS1 = Camera(
    name="mos1",
    chips=np.array(
        [
            (-4.34, 6.53, -4.30, 6.64),
            (-4.59, 6.39, 6.71, 17.6),
            (-4.40, 6.57, -15.2, -4.32),
            (-15.6, -4.70, 1.37, 12.10),
            (-15.5, -4.52, -9.74, 1.33),
            (6.57, 17.5, 1.41, 12.15),
            (6.61, 17.6, -9.65, 1.37),
        ]
    ),
    along_v=(False, True, True, True, True, True, True),
    field=(1.0, 1.27, 14.25),
    axis=(2.15, 1.30),
    share=0.183,
    live=1.0,
    sky=0.70e-3,
    particle=0.55e-3,
    flare=0.16,
    frame_s=2.6,
    triangle=0.2,
    column_arcmin=1.6 / 60,
    bad_columns=np.array([_column(14.4, 0.06, 1.41, 12.15), _column(-11.3, 0.03, -9.74, 1.33)]),
)

MOS2 = Camera(
    name="mos2",
    chips=np.array(
        [
            (-4.45, 6.52, -4.16, 6.75),
            (-9.80, 1.05, 6.83, 17.6),
            (1.09, 12.04, 6.80, 17.6),
            (-9.88, 1.00, -15.2, -4.34),
            (1.07, 12.04, -15.2, -4.37),
            (-15.6, -4.60, -4.17, 6.68),
            (6.58, 17.5, -4.24, 6.79),
        ]
    ),
    along_v=(True, False, False, False, False, False, False),
    field=(1.05, 1.10, 14.2),
    axis=(1.55, 0.45),
    share=0.183,
    live=1.0,
    sky=0.70e-3,
    particle=0.55e-3,
    flare=0.13,
    frame_s=2.6,
    triangle=0.6,
    column_arcmin=1.6 / 60,
    bad_columns=np.array([(1.52, 1.57, -4.16, 6.75), (-9.8, 1.05, 11.65, 11.72), (6.58, 15.3, 1.79, 1.85)]),
)

#: The three cameras whose counts are summed.
CAMERAS = (PN, MOS1, MOS2)
