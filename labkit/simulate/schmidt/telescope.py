"""A photographic plate in a Schmidt telescope: optics, emulsion, grain, and how they differ between plates.

Numbers marked *measured* come from a red plate of the Digitized Sky Survey (SERC-ER, IIIaF + OG590).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from labkit.errors import InputError
from labkit.simulate.sky.bodies import POINT, Bodies, patch, render

__all__ = ["NATIVE_SCALE_ARCSEC", "Plate", "develop", "draw_plate", "expose"]

NATIVE_SCALE_ARCSEC = 1.0  # scanning step of DSS2
BRIGHT = 14.0  # stars brighter than this get halo and spikes
FAINTEST_HALO = 0.01  # of the sky


@dataclass(frozen=True)
class Plate:
    """What distinguishes one plate from another.

    Attributes
    ----------
    sky_counts, fog_counts, saturation_counts : float
        Scanned density of the sky, of unexposed and of fully exposed emulsion, counts.
    contrast : float
        Exponent g of the characteristic curve.
    granularity : float
        Grain: rms of the density where the curve is steepest, in quarters of the range of the curve.
    grain_px : float
        Correlation length (Gaussian sigma) of the grain, pixels.
    seeing_arcsec : float
        Full width at half maximum of faint stars, arcsec.
    sky_magnitude : float
        R magnitude of a square arcsecond of sky, with the zero point of the plate.
    gradient : tuple of float
        Relative change of the exposure across a degree along x and y.
    rotation_deg : float
        Angle of the diffraction spikes from the axes.
    specks : float
        Dust specks per square degree.

    Raises
    ------
    InputError
        If the sky is not between fog and saturation.
    """

    sky_counts: float = 6000.0
    fog_counts: float = 1800.0
    saturation_counts: float = 21800.0
    contrast: float = 1.6
    granularity: float = 0.112
    grain_px: float = 0.74
    seeing_arcsec: float = 2.5
    sky_magnitude: float = 21.2
    gradient: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0
    specks: float = 0.0

    def __post_init__(self) -> None:
        if not self.fog_counts < self.sky_counts < self.saturation_counts:
            raise InputError(
                "sky_counts must lie between fog_counts and saturation_counts, got "
                f"{self.sky_counts} with {self.fog_counts} and {self.saturation_counts}"
            )

    def density(self, exposure: NDArray, *, grain: NDArray | float = 0.0) -> NDArray[np.float32]:
        """Turn exposure into scanned density by the characteristic curve.

        D = fog + (saturation - fog) q / (1 + q), q = q_sky exposure^g exp(grain): a straight line in the
        logarithm of the exposure between a toe and a shoulder. Grain shifts the logarithm of q, so that it
        vanishes where the emulsion is exhausted.

        Parameters
        ----------
        exposure : numpy.ndarray
            Light in units of the sky, any shape.
        grain : numpy.ndarray or float
            Fluctuation of ln q, broadcast with ``exposure``.

        Returns
        -------
        numpy.ndarray
            Counts, float32.
        """
        q_sky = (self.sky_counts - self.fog_counts) / (self.saturation_counts - self.sky_counts)
        log_q = self.contrast * np.log(np.maximum(exposure, 1e-6)) + (np.log(q_sky) + grain)
        span = self.saturation_counts - self.fog_counts
        return (self.fog_counts + span * expit(log_q)).astype(np.float32)


def draw_plate(rng: np.random.Generator) -> Plate:
    """Draw a plate: every property varies on its own, none knows what was photographed.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Plate
        Sky of about 4,000 to 9,000 counts, seeing 2 to 3.3"; R = 20.8 is a star of about 2 sigma.
    """
    return Plate(
        sky_counts=float(np.clip(6000 * np.exp(rng.normal(0, 0.2)), 3800, 10000)),
        fog_counts=rng.uniform(1200, 2400),
        saturation_counts=rng.normal(21800, 500),
        contrast=rng.uniform(1.4, 1.9),  # measured: 1.6
        granularity=0.112 * np.exp(rng.normal(0, 0.08)),  # measured: 0.107 to 0.120
        grain_px=rng.uniform(0.68, 0.80),  # measured: 0.74
        seeing_arcsec=float(np.clip(2.5 * np.exp(rng.normal(0, 0.12)), 2.0, 3.3)),
        sky_magnitude=21.2 + rng.normal(0, 0.15),  # dark sky; gives the limit
        gradient=tuple(rng.normal(0, 0.25, 2)),
        rotation_deg=rng.normal(0, 1.0),
        specks=rng.gamma(1.0, 12.0),
    )


def expose(bodies: Bodies, plate: Plate, *, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Image bodies through the telescope, with halos and diffraction spikes around bright stars.

    Parameters
    ----------
    bodies : Bodies
        Stars and galaxies, offsets from the image centre.
    plate : Plate
        The plate, for its seeing, zero point and orientation.
    shape : tuple of int
        Image shape (ny, nx) in pixels of 1 arcsec.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx), float32: light in units of the sky, without the sky.
    """
    light = render(
        bodies,
        shape=shape,
        pixel_scale_arcsec=NATIVE_SCALE_ARCSEC,
        seeing_arcsec=plate.seeing_arcsec,
        zero_point=plate.sky_magnitude,
    )
    for star in np.flatnonzero((bodies.index == POINT) & (bodies.magnitude < BRIGHT)):
        flux = 10 ** (-0.4 * (bodies.magnitude[star] - plate.sky_magnitude))
        x, y = bodies.x[star] + (shape[1] - 1) / 2, bodies.y[star] + (shape[0] - 1) / 2
        _add_halo(light, x, y, flux, rotation=np.radians(plate.rotation_deg), width=plate.seeing_arcsec / 2.4)
    return light


def develop(rng: np.random.Generator, light: NDArray, plate: Plate) -> NDArray[np.float32]:
    """Expose the emulsion to sky and light, develop and scan it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the grain and of dust.
    light : numpy.ndarray
        Shape (ny, nx), light in units of the sky, without the sky, in pixels of 1 arcsec.
    plate : Plate
        The plate.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx), float32 counts that grow with density.

    Raises
    ------
    InputError
        If the light is not an image.
    """
    light = np.asarray(light, dtype=np.float32)
    if light.ndim != 2:
        raise InputError(f"light must have the axes (y, x), got shape {light.shape}")
    slope_y, slope_x = ((np.arange(n, dtype=np.float32) - n / 2) / 3600 for n in light.shape)
    illumination = 1 + plate.gradient[1] * slope_y[:, None] + plate.gradient[0] * slope_x
    grain = gaussian_filter(rng.standard_normal(light.shape, dtype=np.float32), plate.grain_px, truncate=2.7)
    grain *= np.float32(plate.granularity) / grain.std()
    counts = plate.density((1 + light) * illumination.astype(np.float32), grain=grain)
    for _ in range(rng.poisson(plate.specks * light.size / 3600**2)):
        i, j = rng.integers(0, light.shape[0]), rng.integers(0, light.shape[1])
        size, sign = rng.integers(1, 3), rng.choice([-1, 1], p=[0.6, 0.4])
        counts[i : i + size, j : j + rng.integers(1, 4)] += sign * rng.uniform(2000, 6000)
    return np.clip(counts, 0.3 * plate.fog_counts, plate.saturation_counts)


def _add_halo(light: NDArray, x: float, y: float, flux: float, *, rotation: float, width: float) -> None:
    """Add aureole (scattering), ghost disc (reflection) and four spikes (spider) of a star at pixel x, y."""
    aureole, core = 0.007 * flux, 20.0  # w c / (2 pi (r^2 + c^2)^1.5), c in px
    ghost, ghost_radius = 0.002 * flux / (np.pi * 95.0**2), 95.0
    spike = 5e-5 * flux  # per px at 12" (measured), falling as (d + 8")^-5
    tail = 2e-6 * flux  # per px at 25", falling as d^-2
    reach = max(15.0, (aureole * core / (2 * np.pi * FAINTEST_HALO)) ** (1 / 3))
    reach = max(reach, 25 * (tail / FAINTEST_HALO) ** 0.5)
    if ghost > FAINTEST_HALO:
        reach = max(reach, 1.5 * ghost_radius)
    part, dx, dy = patch(light, x, y, reach=reach)
    if part.size == 0:
        return
    r2 = dx**2 + dy**2
    part += np.float32(aureole * core / (2 * np.pi)) * (r2 + np.float32(core**2)) ** np.float32(-1.5)
    part += np.float32(ghost) * expit((np.float32(ghost_radius) - np.sqrt(r2)) / 10)
    cos, sin = np.float32(np.cos(rotation)), np.float32(np.sin(rotation))
    across, along = cos * dy - sin * dx, cos * dx + sin * dy
    for t, d in ((across, along), (along, across)):
        outside = 1 - np.exp(np.maximum(-(d**2) / 150, -50))  # the core of the image is the star's own
        arm = np.float32(spike) * (20 / (np.abs(d) + 8)) ** 5 + np.float32(tail) * (25 / (np.abs(d) + 1)) ** 2
        part += outside * arm * np.exp(np.maximum(-0.5 * (t / np.float32(width)) ** 2, -50))
