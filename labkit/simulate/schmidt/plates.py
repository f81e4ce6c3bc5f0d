"""Red Schmidt plates of simulated fields: what the Digitized Sky Survey would show of each candidate.

A plate is made in pixels of 1 arcsec from independent streams of randomness: the plate and its grain, the
field (stars and galaxies that happen to be there) and the object. The kind of object changes only the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images import regrid
from labkit.simulate.bodies import Bodies
from labkit.simulate.cluster_galaxies import cluster_members
from labkit.simulate.nearby_galaxies import draw_nearby_galaxy, render_nearby_galaxy
from labkit.simulate.number_counts import field_galaxies, stars
from labkit.simulate.schmidt import NATIVE_SCALE_ARCSEC, Plate, develop, draw_plate, expose

__all__ = ["KINDS", "OpticalScene", "plate_cutout", "plate_hdu", "plate_image"]

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


def plate_cutout(
    rng: np.random.Generator,
    scenes: Sequence[OpticalScene],
    *,
    size: int,
    pixel_scale_arcsec: float,
    galactic_latitude_deg: float = 50.0,
) -> NDArray[np.float32]:
    """Simulate one plate cut-out around a candidate, north up and east left.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    scenes : sequence of OpticalScene
        What is there, each with its ``centre``.
    size : int
        Pixels along a side.
    pixel_scale_arcsec : float
        Pixel size, arcsec.
    galactic_latitude_deg : float
        Sets the number of stars.

    Returns
    -------
    numpy.ndarray
        Shape (size, size), float32: density-like counts, larger where brighter.

    Raises
    ------
    InputError
        If the size, the pixel scale or the latitude is out of range.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    if not pixel_scale_arcsec > 0:
        raise InputError(f"pixel_scale_arcsec must be positive, got {pixel_scale_arcsec}")
    scale = pixel_scale_arcsec / NATIVE_SCALE_ARCSEC
    native = int(np.ceil(size * scale)) + 2
    image = plate_image(rng, scenes, shape=(native, native), galactic_latitude_deg=galactic_latitude_deg)
    return regrid(image, scale=scale, shape=(size, size), conserve="surface brightness")


def plate_image(
    rng: np.random.Generator,
    scenes: Sequence[OpticalScene],
    *,
    shape: tuple[int, int],
    galactic_latitude_deg: float = 50.0,
    plate: Plate | None = None,
) -> NDArray[np.float32]:
    """Simulate a plate of any size with several objects on it, in pixels of 1 arcsec.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    scenes : sequence of OpticalScene
        The objects, each with its ``centre``.
    shape : tuple of int
        Image shape (ny, nx).
    galactic_latitude_deg : float
        Sets the number of stars.
    plate : Plate, optional
        The plate; drawn when not given.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx), float32: density-like counts, larger where brighter.

    Raises
    ------
    InputError
        If the shape has no pixels.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"shape must be two positive numbers (ny, nx), got {shape}")
    streams = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=4)]
    plate_rng, field_rng, grain_rng, object_rng = streams
    drawn = draw_plate(plate_rng)
    plate = drawn if plate is None else plate
    extent = (shape[0] * NATIVE_SCALE_ARCSEC, shape[1] * NATIVE_SCALE_ARCSEC)
    parts = [field_galaxies(field_rng, extent), stars(field_rng, extent, latitude_deg=galactic_latitude_deg)]
    parts += [_bodies(object_rng, scene) for scene in scenes if scene.kind in ("cluster", "star", "agn")]
    light = expose(Bodies.join(parts), plate, shape=shape)
    for scene in scenes:
        if scene.kind == "nearby galaxy":
            light += _nearby(object_rng, scene, plate, shape)
    return develop(grain_rng, light, plate)


def plate_hdu(image: NDArray, centre: SkyCoord) -> fits.PrimaryHDU:
    """Wrap a plate image as FITS with a tangent-plane WCS.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (ny, nx), pixels of 1 arcsec, as from `plate_image`.
    centre : astropy.coordinates.SkyCoord
        Sky position of the image centre.

    Returns
    -------
    astropy.io.fits.PrimaryHDU
        16-bit integers as in the Digitized Sky Survey, with the keywords that tell what was simulated.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [centre.icrs.ra.deg, centre.icrs.dec.deg]
    wcs.wcs.crpix = [(n + 1) / 2 for n in image.shape[::-1]]
    step = (NATIVE_SCALE_ARCSEC * u.arcsec).to_value(u.deg)
    wcs.wcs.cdelt = [-step, step]
    header = wcs.to_header()
    header["SURVEY"] = ("SIMULATED", "imitates DSS2 red (IIIaF)")
    header["BANDPASS"] = ("R", "photographic red")
    header["BUNIT"] = ("density", "scanned photographic density, counts")
    return fits.PrimaryHDU(np.rint(image).astype(np.int16), header)


def _bodies(rng: np.random.Generator, scene: OpticalScene) -> Bodies:
    """Draw the counterpart of a cluster, a star or an AGN."""
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


def _nearby(rng: np.random.Generator, scene: OpticalScene, plate: Plate, shape: tuple[int, int]) -> NDArray:
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
