"""One observation's circumstances: where it points, how long, with which background and dead chips.

All of them are nuisances: they are drawn before, and independently of, what is in the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.instruments.epic import CAMERAS, COUNT_RATE_TO_FLUX, PN, Camera, vignetting

__all__ = ["NUISANCES", "Pointing", "draw_pointing"]

#: Catalogue columns of a survey that have nothing to do with the class (off-axis angle: but for "edge").
NUISANCES = (
    "exposure",
    "background",
    "off_axis",
    "native_pixel_scale",
    "position_angle",
    "galactic_latitude",
)

_GALACTIC_POLE = np.radians([192.85948, 27.12825])


@dataclass(frozen=True)
class Pointing:
    """Circumstances of one XMM-Newton observation.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Nominal pointing, degrees (ICRS).
    position_angle_deg : float
        Angle of the detectors on the sky, degrees.
    exposure_s : dict of str to float
        Exposure time of each camera, seconds.
    background : float
        Quiet background relative to that of `labkit.instruments.epic`.
    flare : float
        Residual flare background of PN, counts/s/arcmin2.
    out_of_time : float
        Share of PN events that arrive while their column is read out (0.063, or 0.023 in the extended mode).
    out_of_time_subtracted : bool
        Whether the archive subtracted those events statistically, which leaves fractional counts.
    dead_chips : tuple of int
        Chips of MOS1 that no longer work.
    bad_columns : dict of str to ndarray, shape (n, 4)
        Rectangles without exposure for each camera: u0, u1, v0, v1 in arcmin.
    """

    ra_deg: float
    dec_deg: float
    position_angle_deg: float
    exposure_s: dict[str, float]
    background: float
    flare: float
    out_of_time: float
    out_of_time_subtracted: bool
    dead_chips: tuple[int, ...]
    bad_columns: dict[str, np.ndarray]

    def to_detector(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Detector coordinates (u, v) of image offsets (x west, y north), all in arcmin."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        angle = np.radians(self.position_angle_deg - 270)
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def to_image(self, u: ArrayLike, v: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Image offsets (x west, y north) of detector coordinates, all in arcmin."""
        u, v = np.asarray(u, dtype=float), np.asarray(v, dtype=float)
        angle = np.radians(self.position_angle_deg - 270)
        return u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)

    def sky(self, x: float, y: float) -> tuple[float, float]:
        """Right ascension and declination in degrees of an image offset in arcmin (tangent plane)."""
        xi, eta = -np.radians(x / 60), np.radians(y / 60)
        dec0 = np.radians(self.dec_deg)
        denominator = np.cos(dec0) - eta * np.sin(dec0)
        ra = np.radians(self.ra_deg) + np.arctan2(xi, denominator)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, denominator))
        return float(np.degrees(ra) % 360), float(np.degrees(dec))

    @property
    def galactic_latitude_deg(self) -> float:
        """Galactic latitude of the pointing, degrees."""
        ra, dec = np.radians(self.ra_deg), np.radians(self.dec_deg)
        pole_ra, pole_dec = _GALACTIC_POLE
        sine = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
        return float(np.degrees(np.arcsin(sine)))

    def chip_of(self, camera: Camera, u: NDArray, v: NDArray) -> NDArray[np.int8]:
        """Number of the working chip under each position; -1 in gaps, bad columns and outside the field."""
        chip = camera.chip_of(u, v)
        if camera.name == "mos1" and self.dead_chips:
            chip[np.isin(chip, self.dead_chips)] = -1
        for u0, u1, v0, v1 in self.bad_columns[camera.name]:
            chip[(u > u0) & (u < u1) & (v > v0) & (v < v1)] = -1
        return chip

    def exposure(self, camera: Camera, u: NDArray, v: NDArray) -> NDArray[np.float64]:
        """Vignetted exposure of a camera in seconds at detector positions; 0 where nothing is recorded."""
        seconds = self.exposure_s[camera.name] * camera.live * vignetting(camera.off_axis(u, v))
        return seconds * (self.chip_of(camera, u, v) >= 0)

    def counts_per_flux(self, u: NDArray, v: NDArray) -> NDArray[np.float64]:
        """Counts in the sum of the cameras for a flux of 1 erg/s/cm2 (0.5-2 keV) at detector positions."""
        shares = [self.exposure(camera, u, v) * camera.share for camera in CAMERAS]
        return np.sum(shares, axis=0) / COUNT_RATE_TO_FLUX

    def background_rate(self, camera: Camera) -> tuple[float, float]:
        """Vignetted and unvignetted background of a camera, counts/s/arcmin2 of nominal exposure."""
        flare = self.flare * camera.flare
        return camera.sky * self.background + 0.2 * flare, camera.particle * self.background + 0.8 * flare


def _bad_columns(rng: np.random.Generator, camera: Camera) -> np.ndarray:
    """Most of the permanent bad columns and a few of this observation's own."""
    kept = camera.bad_columns[rng.random(len(camera.bad_columns)) < 0.95]
    chips = rng.integers(len(camera.chips), size=rng.poisson(3 if camera is PN else 30))
    drawn = [_random_column(rng, camera, chip) for chip in chips]
    return np.concatenate([kept, np.reshape(drawn, (-1, 4))])


def _random_column(rng: np.random.Generator, camera: Camera, chip: int) -> tuple[float, float, float, float]:
    u0, u1, v0, v1 = camera.chips[chip]
    across, along = ((u0, u1), (v0, v1)) if camera.along_v[chip] else ((v0, v1), (u0, u1))
    start, width = rng.uniform(*across), camera.column_arcmin * rng.integers(1, 3)
    ends = sorted((rng.choice(along), rng.uniform(*along))) if rng.random() < 0.6 else along
    return (start, start + width, *ends) if camera.along_v[chip] else (*ends, start, start + width)


def draw_pointing(rng: np.random.Generator) -> Pointing:
    """Draw the circumstances of an observation.

    Exposures are 5 to 20 ks as in X-CLASS, PN's somewhat shorter than MOS's; most observations are quiet, the
    others have flares that raise the PN background up to sixfold.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Pointing
        The circumstances.
    """
    while True:
        ra, dec = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
        mos = float(np.exp(rng.uniform(np.log(5e3), np.log(2e4))))
        pointing = Pointing(
            ra_deg=ra,
            dec_deg=float(dec),
            position_angle_deg=float(rng.uniform(0, 360)),
            exposure_s={
                "pn": mos * rng.uniform(0.6, 0.97),
                "mos1": mos,
                "mos2": mos * rng.uniform(0.93, 1.03),
            },
            background=float(np.exp(rng.normal(0, 0.2))),
            flare=float(
                min(rng.exponential(6e-4) if rng.random() < 0.7 else rng.exponential(3.5e-3), 1.2e-2)
            ),
            out_of_time=0.063 if rng.random() < 0.7 else 0.023,
            out_of_time_subtracted=bool(rng.random() < 0.5),
            dead_chips=((), (2,), (2, 6))[rng.choice(3, p=(0.5, 0.38, 0.12))],
            bad_columns={camera.name: _bad_columns(rng, camera) for camera in CAMERAS},
        )
        if abs(pointing.galactic_latitude_deg) > 20:
            return pointing
