"""What an X-ray source is made of: components, each a round or flattened King profile or a point."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Component"]


@dataclass(frozen=True)
class Component:
    """A King profile on the sky, S ~ (1 + (r / core)^2)^(-slope); slope 1.5 is a beta-model with beta = 2/3.

    Parameters
    ----------
    x, y : float
        Centre, arcmin from the nominal pointing towards west and north.
    flux : float
        erg/s/cm2 in 0.5-2 keV, of all photons within `limit`.
    core : float
        Core radius in arcmin; 0 for a point source.
    slope : float
        Exponent of the surface brightness, above 1.
    axis_ratio : float
        Minor over major axis.
    angle_deg : float
        Direction of the major axis, from x to y.
    limit : float
        Outer radius in units of the core.
    """

    x: float
    y: float
    flux: float
    core: float = 0.0
    slope: float = 1.5
    axis_ratio: float = 1.0
    angle_deg: float = 0.0
    limit: float = 20.0
