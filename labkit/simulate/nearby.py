"""Nearby galaxies, large enough on a plate to show bulge, disc, spiral arms, bright knots and dust."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import i0e

from labkit.errors import InputError
from labkit.simulate.painting import FWHM_PER_SIGMA, Bodies, patch, render

_DISC_SCALE = 1.678  # half-light radius of an exponential disc in scale lengths
_KNOTS, _KNOT_NUMBERS = (
    0.15,
    {"spiral": (10, 50), "irregular": (5, 20)},
)  # share of the disc's light; how many
#: R mag/arcsec2 inside the half-light radius of bright spirals, about that of de Jong (1996, A&A 313, 45).
_MEAN_BRIGHTNESS = 20.6


@dataclass(frozen=True)
class NearbyGalaxy:
    """One nearby galaxy."""

    x: float  # offset from the image centre, arcsec
    y: float
    magnitude: float  # total R magnitude
    size: float  # half-light radius along the major axis, arcsec
    axis_ratio: float  # minor over major axis
    angle: float  # direction of the major axis, degrees from x towards y
    bulge: float  # fraction of the light in a de Vaucouleurs bulge; 1 for an elliptical
    arms: int
    contrast: float  # strength of the arms, 0 (smooth) to about 2
    pitch_deg: float  # pitch angle of the arms, degrees; negative winds the other way
    knots: int  # star-forming
    dust: float  # depth of a dust lane along the major axis, 0 to 1; the only part that takes light away


def draw_nearby_galaxy(
    rng: np.random.Generator,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    magnitude: float | None = None,
    size_arcsec: float | None = None,
    axis_ratio: float | None = None,
    angle: float | None = None,
) -> NearbyGalaxy:
    """Draw a nearby galaxy: a third early types, the rest spirals and a few irregulars."""
    if size_arcsec is not None and not size_arcsec > 0:
        raise InputError(f"size_arcsec must be a positive half-light radius, got {size_arcsec}")
    if axis_ratio is not None and not 0 < axis_ratio <= 1:
        raise InputError(f"axis_ratio must be in (0, 1], got {axis_ratio}")
    size = float(np.clip(22 * np.exp(rng.normal(0, 0.5)), 8, 70)) if size_arcsec is None else size_arcsec
    kind = rng.choice(["early", "spiral", "irregular"], p=[0.32, 0.58, 0.1])
    flattening = {
        "early": rng.uniform(0.5, 1),
        "spiral": max(0.14, rng.random()),
        "irregular": rng.uniform(0.4, 1),
    }
    shape = flattening[kind] if axis_ratio is None else axis_ratio
    brightness = _MEAN_BRIGHTNESS + rng.normal(0, 0.5) + (0.8 if kind == "irregular" else 0.0)
    brightness += 2.5 * np.log10(shape) * 0.5  # inclined discs are brighter per area
    by_size = brightness - 2.5 * np.log10(2 * np.pi * size**2 * shape)
    spiral = kind == "spiral"
    return NearbyGalaxy(
        x=centre[0] + rng.normal(0, 1.5),
        y=centre[1] + rng.normal(0, 1.5),
        magnitude=by_size if magnitude is None else magnitude,
        size=size,
        axis_ratio=shape,
        angle=rng.uniform(0, 180) if angle is None else angle,
        bulge={"early": 1.0, "spiral": rng.uniform(0.04, 0.45), "irregular": 0.0}[kind],
        arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        contrast=rng.uniform(0.4, 1.8) if spiral else 0.0,
        pitch_deg=rng.uniform(9, 26) * rng.choice([-1, 1]),
        knots=int(rng.integers(*_KNOT_NUMBERS[kind])) if kind in _KNOT_NUMBERS else 0,
        dust=rng.uniform(0.3, 0.8) if spiral and shape < 0.3 and rng.random() < 0.6 else 0.0,
    )


def render_nearby_galaxy(
    rng: np.random.Generator,
    galaxy: NearbyGalaxy,
    *,
    shape: tuple[int, int],
    pixel_scale_arcsec: float,
    seeing_arcsec: float,
    zero_point: float,
) -> NDArray[np.float32]:
    """Draw a nearby galaxy, blurred by the seeing, on an image.

    The disc is exponential; logarithmic arms modulate it along circles in its plane by
    exp(k cos(m (phi - ln r / tan pitch))) / I0(k), which leaves the light of a circle
    unchanged but for a slight unevenness of the arms.
    """
    image = np.zeros(shape, dtype=np.float32)
    if galaxy.bulge > 0:
        early = galaxy.bulge == 1
        size, flattening = (
            (galaxy.size, galaxy.axis_ratio) if early else (galaxy.size / 5, galaxy.axis_ratio**0.4)
        )
        magnitude = galaxy.magnitude - 2.5 * np.log10(galaxy.bulge)
        bulge = Bodies(galaxy.x, galaxy.y, magnitude, size, flattening, galaxy.angle, 4.0)
        image += render(
            bulge,
            shape=shape,
            pixel_scale_arcsec=pixel_scale_arcsec,
            seeing_arcsec=seeing_arcsec,
            zero_point=zero_point,
        )
    if galaxy.bulge < 1:
        light = (1 - galaxy.bulge) * 10 ** (-0.4 * (galaxy.magnitude - zero_point))
        sigma = seeing_arcsec / FWHM_PER_SIGMA / pixel_scale_arcsec
        _add_disc(rng, image, galaxy, light=light, pixel=pixel_scale_arcsec, sigma=sigma)
    return image


def _add_disc(
    rng: np.random.Generator,
    image: NDArray,
    galaxy: NearbyGalaxy,
    *,
    light: float,
    pixel: float,
    sigma: float,
) -> None:
    """Add disc, arms, knots and dust to the part of the image that they reach."""
    scale = galaxy.size / _DISC_SCALE / pixel  # px
    x0, y0 = (galaxy.x / pixel + (image.shape[1] - 1) / 2, galaxy.y / pixel + (image.shape[0] - 1) / 2)
    part, dx, dy = patch(image, x0, y0, reach=8 * scale)  # 8 scale lengths hold 99.7 % of the light
    if part.size == 0:
        return
    cos, sin = np.float32(np.cos(np.radians(galaxy.angle))), np.float32(np.sin(np.radians(galaxy.angle)))
    along = (cos * dx + sin * dy) / np.float32(scale)
    across = (cos * dy - sin * dx) / np.float32(scale)
    height = across / np.float32(galaxy.axis_ratio)
    r = np.hypot(along, height)
    disc = np.exp(-r)
    if galaxy.contrast > 0:
        disc *= _arms(rng, galaxy, r, np.arctan2(height, along))
    disc *= np.float32(light / (2 * np.pi * scale**2 * galaxy.axis_ratio))
    if galaxy.dust > 0:
        disc *= 1 - np.float32(galaxy.dust) * np.exp(-0.5 * (across / 0.12) ** 2 - 0.5 * (r / 2.5) ** 2)
    if galaxy.knots > 0:
        disc *= np.float32(1 - _KNOTS)
        at = rng.choice(disc.size, galaxy.knots, p=disc.ravel().astype(float) / disc.sum(dtype=float))
        np.add.at(
            disc.reshape(-1),
            at,
            (_KNOTS * light * rng.dirichlet(np.full(galaxy.knots, 0.6))).astype(np.float32),
        )
    part += gaussian_filter(disc, sigma, truncate=3.5)


def _arms(
    rng: np.random.Generator, galaxy: NearbyGalaxy, r: NDArray, azimuth: NDArray
) -> NDArray[np.float32]:
    """Modulation by uneven arms, at radii in scale lengths and azimuths in the plane of the disc."""
    lopsided, wiggle = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    strength = np.float32(galaxy.contrast) * np.clip(r - 0.4, 0, 1)  # arms start outside the bulge
    strength = strength * (1 + np.float32(0.4) * np.cos(azimuth - lopsided))
    winding = np.log(r + np.float32(0.05)) / np.float32(np.tan(np.radians(galaxy.pitch_deg)))
    phase = np.float32(galaxy.arms) * (azimuth - winding) + np.float32(0.7) * np.sin(
        2 * r + 3 * azimuth + wiggle
    )
    return np.exp(strength * (np.cos(phase) - 1)) / i0e(strength)
