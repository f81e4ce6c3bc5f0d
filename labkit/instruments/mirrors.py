"""The point spread of XMM-Newton's mirrors, 0.5-2 keV: drawn photon by photon, or as a Fourier transform.

A King profile, of which a share 1 - (1 + (r / core)^2)^(1 - slope) falls within r, with slope 1.55. Its core
is 4.3" on axis, widens with the square of the off-axis angle, and is stretched tangentially. Simulation and
candidate finder share these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gamma, kv

#: Core radius on axis in arcsec, and exponent of the surface brightness.
CORE_ARCSEC, SLOPE = 4.3, 1.55
_WIDENING, _STRETCHING = 0.0036, 0.004


@dataclass(frozen=True)
class PointSpread:
    """The point spread at one place of the field.

    Parameters
    ----------
    off_axis_arcmin : float
        Distance from the optical axis, arcmin.
    radial_deg : float
        Direction of the optical axis' radius at that place, degrees from the image's x to its y axis.
    """

    off_axis_arcmin: float
    radial_deg: float = 0.0

    @property
    def core_arcsec(self) -> float:
        """Core radius: the geometric mean of its radial and its tangential value, arcsec."""
        return CORE_ARCSEC * (1 + _WIDENING * self.off_axis_arcmin**2)

    @property
    def stretch(self) -> float:
        """Tangential core radius over the mean one, which is the mean one over the radial."""
        return float(np.sqrt(1 + _STRETCHING * self.off_axis_arcmin**2))

    def transform(self, kx: ArrayLike, ky: ArrayLike) -> NDArray[np.float64]:
        """Fourier transform of the normalised profile at wave numbers in rad/arcsec; 1 at zero.

        The transform of (1 + r^2)^(-1 - n) is that of a Matern covariance: 2^(1 - n) / Gamma(n) k^n K_n(k).
        """
        turn = np.radians(self.radial_deg)
        radial = (kx * np.cos(turn) + ky * np.sin(turn)) / self.stretch
        tangential = (ky * np.cos(turn) - kx * np.sin(turn)) * self.stretch
        k = np.maximum(self.core_arcsec * np.hypot(radial, tangential), 1e-9)
        order = SLOPE - 1
        return 2 ** (1 - order) / gamma(order) * k**order * kv(order, k)


def point_spread(
    rng: np.random.Generator, du: np.ndarray, dv: np.ndarray, *, triangle: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements by the mirrors of photons that arrive (du, dv) off axis.

    The wings show the spokes of the mirror's spider that `PointSpread` leaves out.
    """
    square = du * du + dv * dv
    du = np.where(square == 0, 1e-9, du)  # on the axis any direction is the radial one
    core = CORE_ARCSEC / 60 * (1 + _WIDENING * square)
    radius = core * np.sqrt(np.minimum(rng.random(du.shape) + 1e-5, 1.0) ** (-1 / 0.55) - 1)
    angle = 2 * np.pi * rng.random(du.shape)
    angle += np.where(radius > 0.2, 0.6 / 16 * np.sin(16 * angle), triangle / 3 * np.sin(3 * angle))
    stretch = np.sqrt(1 + _STRETCHING * square)
    along, across = radius * np.cos(angle) / stretch, radius * np.sin(angle) * stretch
    off = np.sqrt(square) + 1e-9
    return (along * du - across * dv) / off, (along * dv + across * du) / off
