"""Sources and magnitudes from registered images in several bands, with `sep`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import sep
from astropy.table import QTable
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_scale_arcsec, pixel_to_sky
from labkit.photometry.detection import (
    Detected,
    Frame,
    centred,
    detect,
    frame,
    joined,
    matched_to,
    without_halos,
)

#: Bertin & Arnouts (1996): Kron radius within 6 isophotal radii, AUTO ellipse of 2.5 Kron radii, never below
#: 3.5 standard deviations of the source.
_KRON_WITHIN, _KRON_FACTOR, _KRON_LEAST = 6.0, 2.5, 3.5
_MAG = 2.5 / np.log(10)

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

    `images` are the bands (y, x) on the pixels of `wcs`, in any linear unit, NaN where a band does not cover;
    `zeropoints` the AB magnitudes of one unit. Sources are found on `detect_on`, all bands by default, where
    `min_area_px` connected pixels lie `threshold` standard deviations above the background after smoothing; a
    peak with `deblend_contrast` of the light is a source of its own. Without `noise` (standard deviation of a
    pixel, a number or an image per band) `sep` measures it, times what apertures see more of where pixels
    share noise, as in drizzled mosaics (`~labkit.photometry.detection.shared_noise`); a `noise` that is given
    should be that of independent pixels. `gain`, electrons in one unit (exposure time for electrons/s), adds
    the sources' own Poisson noise. With `psf_fwhm_arcsec` all bands are blurred by a Gaussian to the widest
    before magnitudes are measured, so that colours compare the same light. `aperture_arcsec` is the diameter
    of the fixed aperture; an aperture of which a band covers less than `least_coverage` gives NaN.

    One row per source, brightest first: ``x``, ``y`` (pixels from 0), ``ra``, ``dec``; ``a``, ``b`` (standard
    deviations along the axes, arcsec), ``theta`` (of a from x to y, radians), ``kron_radius`` (arcsec along
    a), ``half_light`` (radius of the circle with half of the AUTO flux on the detection image, arcsec),
    ``flags`` (bits of `sep.extract`: 1 deblended, 2 cut by the border), ``halo`` (large galaxy, measured
    above the wide background); and for each band ``mag_<band>``, ``mag_<band>_err`` (Kron-like AUTO ellipse
    of 2.5 Kron radii from the detection image, as in Bertin & Arnouts 1996, A&AS 117, 393),
    ``aper_<band>`` and ``aper_<band>_err`` (fixed aperture). NaN where the flux is not positive.
    """
    scale = pixel_scale_arcsec(wcs)
    names = [detect_on] if isinstance(detect_on, str) else list(detect_on or images)
    _check(images, names, zeropoints=zeropoints, psf_fwhm_arcsec=psf_fwhm_arcsec)
    if not aperture_arcsec > 0 or not 0 < least_coverage <= 1:
        raise InputError(
            "aperture_arcsec must be positive and least_coverage in 0 to 1, "
            f"got {aperture_arcsec} and {least_coverage}"
        )
    meshes = tuple(max(8, round(mesh / scale)) for mesh in (wide_mesh_arcsec, fine_mesh_arcsec))
    frames = {
        band: frame(band, image, meshes=meshes, noise=(noise or {}).get(band), gain=(gain or {}).get(band))
        for band, image in images.items()
    }
    options: dict[str, Any] = {"threshold": threshold, "min_area_px": min_area_px}
    options |= {"contrast": deblend_contrast, "zeropoints": [zeropoints[name] for name in names]}
    found = detect([frames[name] for name in names], **options)
    shapes = _shapes(found, halo_above_px=meshes[1])
    if shapes.halo.any():
        found = centred(found, shapes.halo)
        half = shapes.scale * found.objects["a"]
        frames = without_halos(frames, found, shapes.halo, half, mesh=meshes[1])
        found = joined(found, shapes.halo, detect([frames[name] for name in names], **options))
        shapes = _shapes(found, halo=np.arange(len(found.objects)) < shapes.halo.sum())
    table = _positions(found, shapes, wcs, scale)
    radius = aperture_arcsec / 2 / scale
    widest = 0.0 if psf_fwhm_arcsec is None else max(psf_fwhm_arcsec[band] for band in frames)
    for band, one in frames.items():
        if psf_fwhm_arcsec is not None:
            one = matched_to(one, psf_fwhm_arcsec[band] / scale, widest / scale)
        measured = _magnitudes(one, found, shapes, zeropoints[band], radius, least_coverage)
        for kind, values in measured.items():
            table[kind.format(band=band)] = values * u.mag
    order = np.argsort(-shapes.flux, kind="stable")
    return table[order]


def _check(images: Bands, detect_on: list[str], **of_bands: Mapping[str, float] | None) -> None:
    shapes = {band: np.shape(image) for band, image in images.items()}
    if not shapes or len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise InputError(f"images must be of one shape (y, x), got {shapes}; regrid them to one WCS first")
    for name, given in of_bands.items():
        if given is not None and (missing := sorted(set(images) - set(given))):
            raise InputError(f"{name} must have every band of images, got none for {missing}")
    if unknown := sorted(set(detect_on) - set(images)):
        raise InputError(f"detect_on must name bands of images {list(images)}, got {unknown}")


def _positions(found: Detected, shapes: _Shapes, wcs: WCS, scale: float) -> QTable:
    names = ("x", "y", "a", "b", "theta")
    x, y, a, b, theta = (np.asarray(found.objects[name], dtype=float) for name in names)
    ra, dec = pixel_to_sky(wcs, x, y)
    sizes = {"a": a, "b": b, "kron_radius": shapes.kron * a, "half_light": _half_light(found, shapes)}
    table = QTable({"x": x, "y": y, "ra": ra * u.deg, "dec": dec * u.deg})
    for name in ("a", "b", "theta", "kron_radius", "half_light"):
        table[name] = theta * u.rad if name == "theta" else sizes[name] * scale * u.arcsec
    table["flags"], table["halo"] = shapes.flags, shapes.halo
    return table


@dataclass(frozen=True)
class _Shapes:
    """The ellipse through which a source is measured in every band, shapes (n,)."""

    kron: NDArray[np.float64]  # Kron radius in units of a
    scale: NDArray[np.float64]  # factor on a and b that gives the AUTO ellipse
    flux: NDArray[np.float64]  # in the ellipse on the detection stack
    flags: NDArray[np.int64]  # bits of `sep`
    halo: NDArray[np.bool_]  # source that is large against the fine background's mesh


def _shapes(
    found: Detected, *, halo: NDArray[np.bool_] | None = None, halo_above_px: float = np.inf
) -> _Shapes:
    """AUTO ellipses on the detection stack; halos are those given, or sources larger than a limit."""
    every = np.ones(len(found.objects), dtype=bool)
    kron, scale, flux = _ellipses(found, found.fine, found.bare, every)
    if halo is None:
        halo = scale * _places(found)[2] > halo_above_px
    kron[halo], scale[halo], flux[halo] = _ellipses(found, found.wide, found.segments, halo)
    return _Shapes(kron, scale, flux, np.asarray(found.objects["flag"], dtype=np.int64), halo)


def _ellipses(
    found: Detected, image: NDArray, segments: NDArray, rows: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Kron radius, factor of the AUTO ellipse and flux in it, of some sources."""
    place = tuple(column[rows] for column in _places(found))
    options = {"mask": found.lost, "segmap": segments, "seg_id": _numbers(found)[rows]}
    kron, _ = sep.kron_radius(image, *place, _KRON_WITHIN, **options)
    kron = np.where(np.isfinite(kron) & (kron > 0), kron, 0.0)
    scale = np.maximum(_KRON_FACTOR * kron, _KRON_LEAST)
    flux, _, _ = sep.sum_ellipse(image, *place, scale, subpix=1, **options)
    return kron, scale, np.array(flux)


def _numbers(found: Detected) -> NDArray[np.int32]:
    return np.arange(1, len(found.objects) + 1, dtype=np.int32)


def _places(found: Detected) -> tuple[NDArray, ...]:
    """Centre, half axes and angle, which `sep` wants within 90 degrees."""
    columns = [np.asarray(found.objects[name], dtype=np.float64) for name in ("x", "y", "a", "b", "theta")]
    columns[4] = np.clip(columns[4], -np.pi / 2, np.pi / 2)
    return tuple(columns)


def _layers(
    images: Frame | Detected, found: Detected, shapes: _Shapes
) -> Iterator[tuple[NDArray, NDArray[np.int32], NDArray[np.bool_]]]:
    """Image, segments and sources of the halos, and of the others."""
    yield images.wide, found.segments, shapes.halo
    yield images.fine, found.bare, ~shapes.halo


def _half_light(found: Detected, shapes: _Shapes) -> NDArray[np.float64]:
    """Radius of the circle with half of the light of the AUTO ellipse, on the detection stack, pixels."""
    x, y, a, _, _ = _places(found)
    radius = np.full(len(x), np.nan)
    for image, segments, chosen in _layers(found, found, shapes):
        rows = np.flatnonzero(chosen & (shapes.flux > 0))
        radius[rows], _ = sep.flux_radius(
            image, x[rows], y[rows], (a * shapes.scale)[rows], 0.5, normflux=shapes.flux[rows],
            mask=found.lost, segmap=segments, seg_id=_numbers(found)[rows],
        )  # fmt: skip
    return radius


def _magnitudes(
    one: Frame, found: Detected, shapes: _Shapes, zeropoint: float, radius_px: float, least_coverage: float
) -> dict[str, NDArray[np.float64]]:
    """AUTO and fixed-aperture magnitudes of all sources in one band."""
    x, y, a, b, theta = _places(found)
    auto = (a * shapes.scale, b * shapes.scale, theta)
    circle = (np.full(len(x), radius_px), np.full(len(x), radius_px), np.zeros(len(x)))
    columns = {}
    for kind, axes in {"mag": auto, "aper": circle}.items():
        flux, error = _fluxes(one, found, shapes, (x, y, *axes), least_coverage)
        with np.errstate(invalid="ignore", divide="ignore"):
            positive = flux > 0
            columns[f"{kind}_{{band}}"] = np.where(positive, zeropoint - 2.5 * np.log10(flux), np.nan)
            columns[f"{kind}_{{band}}_err"] = np.where(positive, _MAG * error / flux, np.nan)
    return columns


def _fluxes(
    one: Frame, found: Detected, shapes: _Shapes, ellipse: tuple[NDArray, ...], least_coverage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and error in ellipses, NaN where the band covers too little of them."""
    ids = _numbers(found)
    flux, error = np.full((2, len(ids)), np.nan)
    for image, segments, rows in _layers(one, found, shapes):
        chosen = tuple(column[rows] for column in ellipse)
        flux[rows], error[rows], _ = sep.sum_ellipse(
            image, *chosen, 1.0, err=one.noise, mask=one.lost, gain=one.gain, seg_id=ids[rows],
            segmap=segments,
        )  # fmt: skip
    covered = _coverage(one, ellipse) >= least_coverage
    return np.where(covered, flux, np.nan), np.where(covered, error, np.nan)


def _coverage(one: Frame, ellipse: tuple[NDArray, ...]) -> NDArray[np.float64]:
    """Share of each ellipse, parts beyond the border included, that the band covers."""
    inside, _, _ = sep.sum_ellipse((~one.lost).astype(np.float32), *ellipse, 1.0)
    return np.asarray(inside) / (np.pi * ellipse[2] * ellipse[3])
