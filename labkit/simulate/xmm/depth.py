"""How deep an observation is: the flux at which a source is detected."""

from __future__ import annotations

import numpy as np

from labkit.instruments.epic import CAMERAS
from labkit.simulate.xmm.pointing import Pointing

__all__ = ["SURVEY_LIMIT", "flux_limit"]

#: Faintest candidates of the survey, erg/s/cm2 in 0.5-2 keV.
SURVEY_LIMIT = 1e-14


def flux_limit(pointing: Pointing, *, x: float, y: float, extended: bool = False) -> tuple[float, float]:
    """Flux at which a source at a position is detected, and the counts that a unit flux gives there.

    A point needs 45 counts and six times the noise of the background within 0.5 arcmin, an extended source 80
    counts and six times the noise within 0.8 arcmin. The limit is kept between the survey's and 2e-13.

    Parameters
    ----------
    pointing : Pointing
        Circumstances of the observation.
    x, y : float
        Position, arcmin from the nominal pointing towards west and north.
    extended : bool
        For a source as large as a cluster.

    Returns
    -------
    tuple of float
        Limit in erg/s/cm2 and counts per erg/s/cm2 in the sum of the cameras.
    """
    u, v = (np.atleast_1d(axis) for axis in pointing.to_detector(x, y))
    ring = 0.4 * np.exp(1j * np.arange(8) * np.pi / 4)
    per_flux = float(np.mean(pointing.counts_per_flux(u + ring.real, v + ring.imag)))
    rate = sum(sum(pointing.background_rate(c)) * pointing.exposure_s[c.name] for c in CAMERAS)
    least, radius = (80.0, 0.8) if extended else (45.0, 0.5)
    needed = max(least, 6 * np.sqrt(np.pi * radius**2 * rate))
    return max(SURVEY_LIMIT, needed / max(per_flux, needed / 2e-13)), per_flux
