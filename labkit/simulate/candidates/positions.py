"""Where on the detectors a pipeline finds its candidates."""

from __future__ import annotations

import numpy as np

from labkit.instruments.epic import CAMERAS, PN
from labkit.simulate.xmm.pointing import Pointing

__all__ = ["covered", "draw_position"]

_RING = 0.8 * np.exp(2j * np.pi * np.arange(12) / 12)
_TRIES = 48


def covered(pointing: Pointing, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether each detector position lies on a working chip of at least one camera."""
    return np.any([pointing.chip_of(camera, u, v) >= 0 for camera in CAMERAS], axis=0)


def draw_position(rng: np.random.Generator, pointing: Pointing, *, edge: bool = False) -> tuple[float, float]:
    """Draw the position of a candidate.

    Positions are spread over the field, a fifth of them around the aim point, the same for all classes but
    one: a candidate cut by the edge of the field has to lie there.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    pointing : Pointing
        Circumstances of the observation.
    edge : bool
        Draw a position that the edge of the field cuts.

    Returns
    -------
    tuple of float
        Position (x, y), arcmin from the nominal pointing towards west and north.
    """
    while True:
        distance = 13.5 * rng.random(_TRIES) ** 0.6
        near = rng.random(_TRIES) < 0.2
        distance = np.where(near, np.abs(rng.normal(0, 2.0, _TRIES)), distance)
        if edge:
            distance = rng.uniform(10, 17, _TRIES)
        angle = rng.uniform(0, 2 * np.pi, _TRIES)
        u, v = PN.axis[0] + distance * np.cos(angle), PN.axis[1] + distance * np.sin(angle)
        ring = covered(pointing, u[:, None] + _RING.real, v[:, None] + _RING.imag).mean(axis=1)
        good = (ring > 0.3) & (ring < 0.8) if edge else ring == 1
        if good.any():
            first = int(np.argmax(good))
            x, y = pointing.to_image(u[first], v[first])
            return float(x), float(y)
