"""Fluxes and magnitudes in Kron-like ellipses and in circles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

from labkit.photometry.detection import Detected, Frame

#: Bertin & Arnouts (1996): Kron radius within 6 isophotal radii, AUTO ellipse of 2.5 Kron radii, never below
#: 3.5 standard deviations of the source.
_KRON_WITHIN, _KRON_FACTOR, _KRON_LEAST = 6.0, 2.5, 3.5
_MAG = 2.5 / np.log(10)


@dataclass(frozen=True)
class Shapes:
    """The ellipse through which a source is measured in every band."""

    kron: NDArray[np.float64]  # (n,): Kron radius in units of a
    scale: NDArray[np.float64]  # (n,): Factor on a and b that gives the AUTO ellipse
    flux: NDArray[np.float64]  # (n,): In the ellipse on the detection stack
    flags: NDArray[np.int64]  # (n,): Bits of `sep`
    halo: NDArray[np.bool_]  # (n,): Source that is large against the fine background's mesh


def shapes_of(found: Detected, *, halo_above_px: float) -> Shapes:
    """AUTO ellipses on the detection stack."""
    kron, scale, flux = _ellipses(found, found.fine, np.ones(len(found.objects), dtype=bool))
    halo = scale * _places(found)[2] > halo_above_px
    return _measured_wide(found, Shapes(kron, scale, flux, _flags(found), halo))


def shapes_with(found: Detected, halo: NDArray[np.bool_]) -> Shapes:
    """AUTO ellipses where it is known which sources are halos."""
    every = np.ones(len(found.objects), dtype=bool)
    return _measured_wide(found, Shapes(*_ellipses(found, found.fine, every), _flags(found), halo))


def _measured_wide(found: Detected, shapes: Shapes) -> Shapes:
    kron, scale, flux = shapes.kron.copy(), shapes.scale.copy(), shapes.flux.copy()
    kron[shapes.halo], scale[shapes.halo], flux[shapes.halo] = _ellipses(found, found.wide, shapes.halo)
    return Shapes(kron, scale, flux, shapes.flags, shapes.halo)


def _flags(found: Detected) -> NDArray[np.int64]:
    return np.asarray(found.objects["flag"], dtype=np.int64)


def _ellipses(
    found: Detected, image: NDArray, rows: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Kron radius, factor of the AUTO ellipse and flux in it, of some sources."""
    place = tuple(column[rows] for column in _places(found))
    segments = found.segments if image is found.wide else found.bare
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


def half_light(found: Detected, shapes: Shapes) -> NDArray[np.float64]:
    """Radius of the circle with half of the light of the AUTO ellipse, on the detection stack, pixels."""
    x, y, a, _, _ = _places(found)
    radius = np.full(len(x), np.nan)
    halos, others = (found.wide, found.segments, shapes.halo), (found.fine, found.bare, ~shapes.halo)
    for image, segments, chosen in (halos, others):
        rows = np.flatnonzero(chosen & (shapes.flux > 0))
        radius[rows], _ = sep.flux_radius(
            image, x[rows], y[rows], (a * shapes.scale)[rows], 0.5, normflux=shapes.flux[rows],
            mask=found.lost, segmap=segments, seg_id=_numbers(found)[rows],
        )  # fmt: skip
    return radius


def magnitudes(
    one: Frame, found: Detected, shapes: Shapes, *, zeropoint: float, radius_px: float, least_coverage: float
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
    one: Frame, found: Detected, shapes: Shapes, ellipse: tuple[NDArray, ...], least_coverage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and error in ellipses, NaN where the band covers too little of them."""
    ids = _numbers(found)
    flux, error = np.full((2, len(ids)), np.nan)
    halos, others = (one.wide, found.segments, shapes.halo), (one.fine, found.bare, ~shapes.halo)
    for image, segments, rows in (halos, others):
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
