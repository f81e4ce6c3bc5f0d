"""What a candidate is in the optical, and the light of it that reaches a plate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.schmidt.telescope import NATIVE_SCALE_ARCSEC, Plate
from labkit.simulate.sky.bodies import Bodies
from labkit.simulate.sky.cluster_galaxies import cluster_members
from labkit.simulate.sky.nearby_galaxies import draw_nearby_galaxy, render_nearby_galaxy

__all__ = ["KINDS", "OpticalScene", "nearby_light", "scene_bodies"]

KINDS = ("cluster", "nearby galaxy", "star", "agn", "none")


@dataclass(frozen=True)
class OpticalScene:
    """What a candidate is in the optical.

    Attributes
    ----------
    kind : {"cluster", "nearby galaxy", "star", "agn", "none"}
        The counterpart. An "agn" is a compact body, "none" leaves only what the field holds by chance.
    redshift : float, optional
        Needed for a cluster.
    m500 : float, optional
        Mass within R500, solar masses; needed for a cluster.
    r500_arcmin : float, optional
        R500 on the sky; needed for a cluster.
    centre : tuple of float
        Offset (x, y) from the image centre, arcsec: x to the west, y to the north.
    magnitude : float, optional
        R magnitude of the counterpart, for a cluster of its brightest galaxy; drawn when not given.
    size_arcsec : float, optional
        Half-light radius of a nearby galaxy; drawn when not given.
    position_angle_deg, axis_ratio : float, optional
        Shape of a nearby galaxy or cluster; the angle from north through east. Drawn when not given.

    Raises
    ------
    InputError
        If the kind is unknown, a cluster lacks one of its numbers, or a number is out of range.
    """

    kind: str
    redshift: float = 0.0
    m500: float = 0.0
    r500_arcmin: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    magnitude: float | None = None
    size_arcsec: float | None = None
    position_angle_deg: float | None = None
    axis_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.axis_ratio is not None and not 0 < self.axis_ratio <= 1:
            raise InputError(f"axis_ratio must be in (0, 1], got {self.axis_ratio}")
        if self.kind == "cluster":
            for name in ("redshift", "m500", "r500_arcmin"):
                if not getattr(self, name) > 0:
                    raise InputError(f"{name} must be positive for a cluster, got {getattr(self, name)}")


def scene_bodies(rng: np.random.Generator, scene: OpticalScene) -> Bodies:
    """Draw the counterpart of a cluster, a star or an AGN.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    scene : OpticalScene
        Of one of these kinds.

    Returns
    -------
    Bodies
        Members of the cluster, the star, or the nucleus with or without its galaxy.
    """
    if scene.kind == "cluster":
        return cluster_members(
            rng,
            redshift=scene.redshift,
            mass=scene.m500,
            r500_arcsec=60 * scene.r500_arcmin,
            centre=scene.centre,
            brightest=scene.magnitude,
            axis_ratio=scene.axis_ratio,
            angle=_image_angle(scene),
        )
    x, y = np.asarray(scene.centre) + rng.normal(0, 1.5, 2)  # pointing accuracy of XMM
    drawn = rng.uniform(6, 12) if scene.kind == "star" else np.clip(rng.normal(18.3, 1.4), 13, 22)
    magnitude = drawn if scene.magnitude is None else scene.magnitude
    nucleus = Bodies.points(x, y, magnitude)
    if scene.kind == "star" or rng.random() < 0.5:
        return nucleus
    host = rng.uniform(0.2, 0.8)
    body = Bodies(
        x, y, magnitude - 2.5 * np.log10(host), rng.uniform(0.6, 2.5), rng.uniform(0.5, 1), 0.0, 4.0
    )
    return Bodies.join([Bodies.points(x, y, magnitude - 2.5 * np.log10(1 - host)), body])


def nearby_light(
    rng: np.random.Generator, scene: OpticalScene, plate: Plate, *, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw a nearby galaxy as it falls on a plate.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    scene : OpticalScene
        Of the kind "nearby galaxy".
    plate : Plate
        Seeing and zero point.
    shape : tuple of int
        Image shape (ny, nx), pixels of 1 arcsec.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx), float32: light in units of the sky.
    """
    galaxy = draw_nearby_galaxy(
        rng,
        centre=scene.centre,
        magnitude=scene.magnitude,
        size_arcsec=scene.size_arcsec,
        axis_ratio=scene.axis_ratio,
        angle=_image_angle(scene),
    )
    return render_nearby_galaxy(
        rng,
        galaxy,
        shape=shape,
        pixel_scale_arcsec=NATIVE_SCALE_ARCSEC,
        seeing_arcsec=plate.seeing_arcsec,
        zero_point=plate.sky_magnitude,
    )


def _image_angle(scene: OpticalScene) -> float | None:
    """Angle from the x (west) towards the y (north) axis, of a position angle from north through east."""
    return None if scene.position_angle_deg is None else 90.0 + scene.position_angle_deg
