"""Red Schmidt plates of simulated fields: what the Digitized Sky Survey would show of each candidate.

A plate is made in pixels of 1 arcsec from independent streams of randomness: the plate and its grain, the
field (stars and galaxies that happen to be there) and the object. The kind of object changes only the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images import regrid
from labkit.simulate.schmidt.scenes import OpticalScene, nearby_light, scene_bodies
from labkit.simulate.schmidt.telescope import NATIVE_SCALE_ARCSEC, Plate, develop, draw_plate, expose
from labkit.simulate.sky.bodies import Bodies
from labkit.simulate.sky.number_counts import field_galaxies, stars

__all__ = ["plate_cutout", "plate_hdu", "plate_image"]


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
    parts += [scene_bodies(object_rng, scene) for scene in scenes if scene.kind in ("cluster", "star", "agn")]
    light = expose(Bodies.join(parts), plate, shape=shape)
    for scene in scenes:
        if scene.kind == "nearby galaxy":
            light += nearby_light(object_rng, scene, plate, shape=shape)
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
