"""Sources and magnitudes from registered images in several bands, with `sep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky
from labkit.photometry.apertures import Shapes, half_light, magnitudes, shapes_of, shapes_with
from labkit.photometry.detection import Detected, Frame, detect, frame, matched_to
from labkit.photometry.halos import centred, joined, without_halos

Bands = Mapping[str, ArrayLike]


def extract(
    images: Bands,
    *,
    wcs: WCS,
    zeropoints: Mapping[str, float],
    detect_on: str | Sequence[str] | None = None,
    noise: Mapping[str, ArrayLike] | None = None,
    gain: Mapping[str, float] | None = None,
    psf_fwhm_arcsec: Mapping[str, float] | None = None,
    aperture_arcsec: float = 1.0,
    threshold: float = 2.5,
    min_area_px: int = 9,
    deblend_contrast: float = 0.002,
    wide_mesh_arcsec: float = 30.0,
    fine_mesh_arcsec: float = 4.0,
    least_coverage: float = 0.9,
) -> QTable:
    """Find sources and measure them in all bands through the same apertures.

    Sources are found on one band or on the mean flux density of several, weighted by 1 / noise^2, twice:
    first as the image is; then the halos of the large galaxies are taken out as median profiles in ellipses,
    and a *fine* background takes the rest of them and the intracluster light, so that their neighbours are
    found and measured without their light (compare Molino et al. 2017, MNRAS 470, 95, section 3). The large
    galaxies themselves are measured above a *wide* background and keep their halos. Pixels of other sources
    in an aperture are replaced by its mean.

    Parameters
    ----------
    images : mapping of str to array_like, shape (y, x)
        Image of each band, all on the pixels of `wcs`; any linear unit. NaN where a band does not cover.
    wcs : `~astropy.wcs.WCS`
        World coordinates of the images.
    zeropoints : mapping of str to float
        AB magnitude of one unit in each band.
    detect_on : str or sequence of str, optional
        Band or bands to find sources on, by default all of them.
    noise : mapping of str to array_like, optional
        Standard deviation of the background in one pixel, a number or an image a band. Without it `sep`
        measures it. Drizzled mosaics have correlated noise: their pixels scatter less than what an
        aperture sees, so give the uncorrelated noise where it is known.
    gain : mapping of str to float, optional
        Electrons in one unit (exposure time for electrons/s), to add the sources' own Poisson noise.
    psf_fwhm_arcsec : mapping of str to float, optional
        FWHM of each band's PSF. If given, all bands are blurred by a Gaussian to the widest of them before
        magnitudes are measured, so that colours compare the same light.
    aperture_arcsec : float
        Diameter of the fixed aperture.
    threshold : float
        Of detection, in standard deviations of the background of a pixel, after smoothing.
    min_area_px : int
        Least number of connected pixels above it.
    deblend_contrast : float
        Least share of the light for a peak to become a source of its own.
    wide_mesh_arcsec, fine_mesh_arcsec : float
        Cells of the two backgrounds.
    least_coverage : float
        Share of an aperture that a band must cover; less gives NaN.

    Returns
    -------
    `~astropy.table.QTable`
        One row a source, brightest first: ``x``, ``y`` (pixels from 0), ``ra``, ``dec``; ``a``, ``b``
        (standard deviations along the axes, arcsec), ``theta`` (of a from x to y, radians), ``kron_radius``
        (arcsec along a), ``half_light`` (radius of the circle with half of the AUTO flux on the detection
        image, arcsec), ``flags`` (bits of `sep.extract`: 1 deblended, 2 cut by the border), ``halo`` (large
        galaxy, measured above the wide background); and for each
        band ``mag_<band>``, ``mag_<band>_err`` (Kron-like AUTO ellipse of 2.5 Kron radii from the detection
        image, as in Bertin & Arnouts 1996, A&AS 117, 393), ``aper_<band>`` and ``aper_<band>_err`` (fixed
        aperture). NaN where the band does not cover the source or its flux is not positive.
    """
    scale = pixel_scale_arcsec(wcs)
    _check(images, zeropoints, detect_on, psf_fwhm_arcsec, aperture_arcsec, least_coverage)
    meshes = tuple(max(8, round(mesh / scale)) for mesh in (wide_mesh_arcsec, fine_mesh_arcsec))
    frames = {
        band: frame(band, image, meshes=meshes, noise=(noise or {}).get(band), gain=(gain or {}).get(band))
        for band, image in images.items()
    }
    names = [detect_on] if isinstance(detect_on, str) else list(detect_on or images)
    options: dict[str, Any] = {
        "zeropoints": [zeropoints[name] for name in names],
        "threshold": threshold,
        "min_area_px": min_area_px,
        "contrast": deblend_contrast,
    }
    found = detect([frames[name] for name in names], **options)
    shapes = shapes_of(found, halo_above_px=meshes[1])
    if shapes.halo.any():
        found = centred(found, shapes.halo)
        half = shapes.scale * found.objects["a"]
        frames = without_halos(frames, found, shapes.halo, half, mesh=meshes[1])
        found = joined(found, shapes.halo, detect([frames[name] for name in names], **options))
        shapes = shapes_with(found, np.arange(len(found.objects)) < shapes.halo.sum())
    table = _positions(found, shapes, wcs, scale)
    for band, blurred in _blurred(frames, psf_fwhm_arcsec, scale).items():
        columns = magnitudes(
            blurred,
            found,
            shapes,
            zeropoint=zeropoints[band],
            radius_px=aperture_arcsec / 2 / scale,
            least_coverage=least_coverage,
        )
        for kind, values in columns.items():
            table[kind.format(band=band)] = values * u.mag
    order = np.argsort(-shapes.flux, kind="stable")
    return table[order]


def _check(
    images: Bands,
    zeropoints: Mapping[str, float],
    detect_on: str | Sequence[str] | None,
    psf: Mapping[str, float] | None,
    aperture_arcsec: float,
    least_coverage: float,
) -> None:
    shapes = {band: np.shape(image) for band, image in images.items()}
    if not shapes or len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise InputError(f"images must be of one shape (y, x), got {shapes}; regrid them to one WCS first")
    for name, given in {"zeropoints": zeropoints, "psf_fwhm_arcsec": psf}.items():
        if given is not None and (missing := sorted(set(images) - set(given))):
            raise InputError(f"{name} must have every band of images, got none for {missing}")
    named = [detect_on] if isinstance(detect_on, str) else list(detect_on or images)
    if unknown := sorted(set(named) - set(images)):
        raise InputError(f"detect_on must name bands of images {list(images)}, got {unknown}")
    if not aperture_arcsec > 0 or not 0 < least_coverage <= 1:
        raise InputError(
            "aperture_arcsec must be positive and least_coverage in 0 to 1, "
            f"got {aperture_arcsec} and {least_coverage}"
        )


def _blurred(
    frames: Mapping[str, Frame], psf: Mapping[str, float] | None, scale: float
) -> Mapping[str, Frame]:
    """The frames at the widest PSF of them, or as they are."""
    if psf is None:
        return frames
    widest = max(psf[band] for band in frames)
    return {band: matched_to(one, psf[band] / scale, widest / scale) for band, one in frames.items()}


def _positions(found: Detected, shapes: Shapes, wcs: WCS, scale: float) -> QTable:
    objects = found.objects
    x, y = np.asarray(objects["x"], dtype=float), np.asarray(objects["y"], dtype=float)
    ra, dec = pixel_to_sky(wcs, x, y)
    a: NDArray = np.asarray(objects["a"], dtype=float)
    return QTable(
        {
            "x": x,
            "y": y,
            "ra": np.asarray(ra) * u.deg,
            "dec": np.asarray(dec) * u.deg,
            "a": a * scale * u.arcsec,
            "b": np.asarray(objects["b"], dtype=float) * scale * u.arcsec,
            "theta": np.asarray(objects["theta"], dtype=float) * u.rad,
            "kron_radius": shapes.kron * a * scale * u.arcsec,
            "half_light": half_light(found, shapes) * scale * u.arcsec,
            "flags": shapes.flags,
            "halo": shapes.halo,
        }
    )
