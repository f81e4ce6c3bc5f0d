"""A telescope that scans the sky, as eROSITA: the same exposure and point spread at every place."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from labkit.instruments.mirrors import SLOPE
from labkit.simulate.numbers import read_numbers
from labkit.simulate.xmm import Grid, Pointing, Spurious, draw_photons
from labkit.simulate.xray import Component

#: eROSITA's numbers in 0.5-2 keV.
EROSITA = read_numbers("erosita")["erosita"]
#: Core radius in arcmin of the King profile, of XMM-Newton's slope, with half of the photons that far out.
_CORE = EROSITA["half_energy_arcsec"] / 60 / np.sqrt(2 ** (1 / (SLOPE - 1)) - 1)


def scan_image(
    rng: Generator,
    components: Sequence[Component],
    pointing: Pointing,
    grid: Grid,
    *,
    spurious: Sequence[Spurious] = (),
) -> np.ndarray:
    """The sky of an XMM-Newton observation as a scan sees it: counts in 0.5-2 keV, shape (y, x).

    The scan is as long as that observation of MOS1 and its background as high, relative to the mean, without
    flares. There are no chips, read-out streaks or pile-up; flaws of the detectors are taken over.
    """
    seconds = pointing.exposure_s["mos1"]
    per_flux = seconds * EROSITA["effective_area"] / EROSITA["count_rate_to_flux"]
    numbers = rng.poisson(per_flux * np.array([component.flux for component in components]))
    drawn = [draw_photons(rng, *one) for one in zip(components, numbers.tolist(), strict=True)]
    photons = np.hstack([np.empty((2, 0)), *map(np.stack, drawn)])
    radius = _CORE * np.sqrt((1 - rng.random(photons.shape[1])) ** (-1 / (SLOPE - 1)) - 1)
    angle = 2 * np.pi * rng.random(photons.shape[1])
    photons += radius * np.stack([np.cos(angle), np.sin(angle)])
    rate = (EROSITA["sky"] + EROSITA["particle"]) * pointing.background
    n = rng.poisson(rate * seconds * (2 * grid.half) ** 2)
    field = np.array([[grid.x], [grid.y]]) + grid.half * (2 * rng.random((2, n)) - 1)
    flaws = [np.stack([flaw.x, flaw.y]) for flaw in spurious]
    return grid.histogram(*np.hstack([photons, field, *flaws]))
