"""Light profiles as sums of Gaussians, and sources painted on pixels with them.

A Gaussian seen through a Gaussian point spread is a wider Gaussian, so a profile that is a sum of Gaussians
is convolved by adding variances (Hogg & Lang 2013, PASP 125, 719). `render` paints many small bodies at once,
stamp size by stamp size, on one plate, with coarse sums that suit pixels of an arcsecond; `paint` paints
components one by one in many bands of Hubble, with fine sums, each Gaussian only where it is not nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

FWHM_PER_SIGMA = 2.3548
LOWEST_INDEX, _HIGHEST_INDEX, _STEP = 0.5, 6.0, 0.25  # of Sersic profiles; steps of the fine sums
_FINE_REACH = 40.0  # half-light radii to which the fine sums reach
_MOFFAT_SLOPE = 3.2  # fitted to 145 stars on a real red Schmidt plate, out to 14" from their centres
POINT = 0.0  # the index of a point source
_STAMP_RADII = (5, 7, 10, 15, 22, 32, 48, 72, 110, 170, 260)  # px; a body is drawn on the next larger stamp
_CHUNK = 50_000  # pixels of stamps that are painted at once: what a processor's cache holds
#: A component is painted to where its surface brightness is this share of the sky's noise in every band, and
#: at least to where this share of its light is inside; a Gaussian, to so many times its dispersion.
_FAINT, _INSIDE, _DISPERSIONS = 0.01, 0.99, 4.5
_RADII = np.geomspace(2.0, 4000.0, 64)

Column = Any  # given as a number or a sequence, kept as an array of shape (n,)


def nearest_index(index: NDArray | float) -> NDArray:
    """Nearest Sersic index for which there is a fine sum of Gaussians; shape kept."""
    return np.round(np.clip(index, LOWEST_INDEX, _HIGHEST_INDEX) / _STEP) * _STEP


def encircled(radius: NDArray | float, index: float) -> NDArray:
    """Share of the light of a Sersic profile within radii given in half-light radii; shape kept."""
    return gammainc(2 * index, gammaincinv(2 * index, 0.5) * np.asarray(radius, float) ** (1 / index))


def projected_nfw(scaled: NDArray) -> NDArray:
    """Projected NFW mass within radii in scale radii, up to a factor (Bartelmann 1996, A&A 313, 697)."""
    r = np.asarray(scaled, dtype=float)
    inner, outer = np.arccosh(1 / np.minimum(r, 1)), np.arccos(1 / np.maximum(r, 1))
    ratio = np.where(r < 1, inner, outer) / np.sqrt(np.maximum(np.abs(1 - r**2), 1e-12))
    return np.log(r / 2) + np.where(np.abs(r - 1) < 1e-5, 1.0, ratio)


@lru_cache(maxsize=64)
def sersic_mixture(index: float, *, fine: bool = False) -> tuple[NDArray, NDArray]:
    """Weights, which sum to 1, and widths (sigma, in half-light radii) of a Sersic profile's Gaussians.

    Fine sums exist at the indices of `nearest_index`, are weighted so that every ring and the growth curve
    matter alike, and are one Gaussian for 0.5.
    """
    if not fine:
        return _coarse_mixture(lambda r: encircled(r, index), np.geomspace(0.03, 5, 9))
    if index == LOWEST_INDEX:
        return np.array([1.0]), np.array([1 / np.sqrt(2 * np.log(2))])
    radius = np.concatenate([[0.0], np.geomspace(3e-3, _FINE_REACH, 200)])
    widths = np.geomspace(max(0.015, 0.08 / index**2), min(_FINE_REACH / 2.5, 2.2 * index**1.85), 10)
    ring = np.diff(encircled(radius, index)) / encircled(_FINE_REACH, index)
    return _fit(np.diff(_grown(radius, widths), axis=0), ring, widths, 1 / np.sqrt(ring + 1e-4), least=1e-5)


@lru_cache(maxsize=1)
def moffat_mixture() -> tuple[NDArray, NDArray]:
    """Weights and widths (sigma, in FWHM) of the point spread's Gaussians: (1 + (r / alpha)^2)^-3.2."""
    alpha = 0.5 / np.sqrt(2 ** (1 / _MOFFAT_SLOPE) - 1)
    return _coarse_mixture(
        lambda r: 1 - (1 + (r / alpha) ** 2) ** (1 - _MOFFAT_SLOPE), np.geomspace(0.35, 30, 8)
    )


def _coarse_mixture(enclosed: Callable, widths: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A sum fitted to the enclosed light itself, in single precision."""
    radius = np.geomspace(widths[0] / 2, 3 * widths[-1], 200)
    weights, widths = _fit(_grown(radius, widths), enclosed(radius), widths, np.ones(1), least=1e-4)
    return weights.astype(np.float32), widths.astype(np.float32)


def _grown(radius: NDArray, widths: NDArray) -> NDArray:
    """Share of each Gaussian's light within each radius; (radius, width)."""
    return 1 - np.exp(-(radius[:, None] ** 2) / (2 * widths**2))


def _fit(share: NDArray, light: NDArray, widths: NDArray, weight: NDArray, *, least: float) -> tuple:
    fitted, _ = nnls(share * weight[:, None], light * weight)
    kept = fitted > least
    return fitted[kept] / fitted[kept].sum(), widths[kept]


@dataclass(frozen=True)
class Bodies:
    """Stars and galaxies with smooth elliptical profiles, one row each, all arrays of shape (n,)."""

    x: Column  # offset from the image centre along the columns (to the west), arcsec
    y: Column  # offset to the north, arcsec
    magnitude: Column  # total
    size: Column  # half-light radius along the major axis, arcsec; not used for points
    axis_ratio: Column  # minor over major axis, in (0, 1]
    angle: Column  # direction of the major axis, degrees from the x towards the y axis
    index: Column  # Sersic index, 1 (exponential disc) or 4 (de Vaucouleurs); 0 for a point source

    def __post_init__(self) -> None:
        given = {each.name: np.asarray(getattr(self, each.name), dtype=float) for each in fields(self)}
        columns = np.broadcast_arrays(*given.values(), np.empty(1))
        for name, column in zip(given, columns[:-1], strict=True):
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.x)

    def select(self, mask: NDArray) -> Bodies:
        """Bodies where a mask of shape (n,) is true."""
        return Bodies(*(getattr(self, each.name)[mask] for each in fields(self)))

    @classmethod
    def points(cls, x: Column, y: Column, magnitude: Column) -> Bodies:
        """Point sources, as many as the longest of the arguments."""
        return cls(x, y, magnitude, 0.0, 1.0, 0.0, POINT)

    @classmethod
    def join(cls, parts: Sequence[Bodies]) -> Bodies:
        """Several sets of bodies together, in order."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


@dataclass(frozen=True)
class Optics:
    """How an image shows the sky."""

    seeing_arcsec: float  # full width at half maximum of points, at least 1.6 pixels
    zero_point: float  # magnitude of a body whose pixels sum to 1
    pixel_scale_arcsec: float = 1.0

    @property
    def core_px(self) -> float:
        """Dispersion of the seeing, pixels."""
        return self.seeing_arcsec / FWHM_PER_SIGMA / self.pixel_scale_arcsec

    def flux(self, magnitude: Column) -> Column:
        """Light of magnitudes, shape kept."""
        return 10 ** (-0.4 * (magnitude - self.zero_point))

    def place(self, x: Column, y: Column, shape: tuple[int, ...]) -> tuple[Column, Column]:
        """Pixel coordinates (x, y) of offsets in arcsec from the centre of an image (ny, nx)."""
        scale = self.pixel_scale_arcsec
        return x / scale + (shape[1] - 1) / 2, y / scale + (shape[0] - 1) / 2


def render(
    bodies: Bodies, optics: Optics, *, shape: tuple[int, int], faintest: float = 4e-3
) -> NDArray[np.float32]:
    """Paint bodies on an image of shape (ny, nx): light per pixel.

    Each is drawn out to where its surface brightness per pixel falls below `faintest`; those beyond the edge
    shine in.
    """
    canvas = np.zeros(shape, dtype=np.float32)
    x, y = optics.place(bodies.x, bodies.y, shape)
    flux, core = optics.flux(bodies.magnitude), optics.core_px
    for index in np.unique(bodies.index):
        rows = bodies.index == index
        if index == POINT:
            weights, widths = moffat_mixture()
            major = minor = np.broadcast_to(widths * (core * FWHM_PER_SIGMA), (rows.sum(), len(widths))) ** 2
        else:
            weights, widths = sersic_mixture(float(index))
            size = bodies.size[rows, None] / optics.pixel_scale_arcsec
            major, minor = _variances(size, widths, bodies.axis_ratio[rows, None], core)
        peaks = flux[rows, None] * weights / (2 * np.pi * np.sqrt(major * minor))
        radius = np.sqrt(2 * major * np.log(np.maximum(peaks / faintest, 1))).max(axis=1)
        _add_stamps(canvas, (x[rows], y[rows]), radius, np.radians(bodies.angle[rows]), (peaks, major, minor))
    return canvas


def _variances(size: Column, widths: NDArray, axis_ratio: Column, core: float) -> tuple[NDArray, NDArray]:
    """Variances along major and minor axis of a mixture's Gaussians seen through a round core, px^2."""
    variance = (size * widths) ** 2
    return variance + core**2, variance * axis_ratio**2 + core**2


def _add_stamps(canvas: NDArray, place: tuple, radius: NDArray, angle: NDArray, gaussians: tuple) -> None:
    """Add elliptical mixtures to the canvas, all of one stamp size at a time."""
    (x, y), (peaks, major, minor) = place, gaussians
    stamps = np.minimum(np.searchsorted(_STAMP_RADII, radius), len(_STAMP_RADII) - 1)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    for stamp in np.unique(stamps):
        r = _STAMP_RADII[stamp]
        reaches = (row >= -r) & (row < canvas.shape[0] + r) & (column >= -r) & (column < canvas.shape[1] + r)
        chosen = np.flatnonzero((stamps == stamp) & reaches)
        chunk = max(1, _CHUNK // (2 * r + 1) ** 2)
        for part in np.split(chosen, np.arange(chunk, len(chosen), chunk)):
            grid = np.arange(-r, r + 1)
            dx = (grid - (x - column)[part, None])[:, None, :].astype(np.float32)  # (n, 1, px)
            dy = (grid - (y - row)[part, None])[:, :, None].astype(np.float32)  # (n, px, 1)
            cos, sin = (f(angle[part])[:, None, None].astype(np.float32) for f in (np.cos, np.sin))
            along, across = _squares(dx, dy, cos, sin)
            light, power, other = (np.zeros(along.shape, dtype=np.float32) for _ in range(3))
            for k in range(peaks.shape[1]):
                a, b = (np.float32(-0.5) / v[part, k, None, None].astype(np.float32) for v in (major, minor))
                np.multiply(a, along, out=power)
                power += np.multiply(b, across, out=other)
                np.exp(power, out=power)
                power *= peaks[part, k, None, None].astype(np.float32)
                light += power
            for image, i, j in zip(light, row[part], column[part], strict=True):
                seen = image[max(r - i, 0) : canvas.shape[0] + r - i, max(r - j, 0) : canvas.shape[1] + r - j]
                canvas[max(i - r, 0) : i + r + 1, max(j - r, 0) : j + r + 1] += seen


def _squares(dx: NDArray, dy: NDArray, cos: Column, sin: Column) -> tuple[NDArray, NDArray]:
    """Squared offsets along and across the direction (cos, sin)."""
    return (cos * dx + sin * dy) ** 2, (cos * dy - sin * dx) ** 2


def window(x: float, y: float, reach: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of an image within reach of a pixel place; empty where none are."""
    rows, columns = (
        slice(max(0, int(c - reach)), min(side, max(0, int(c + reach) + 2)))
        for c, side in zip((y, x), shape, strict=True)
    )
    return rows, columns


def patch(image: NDArray, x: float, y: float, *, reach: float) -> tuple[NDArray, NDArray, NDArray]:
    """The part of an image, as a view, within reach of a pixel place that may lie beyond the edge.

    With it come the offsets of its pixels from the place: along x, shape (columns,), and y, (rows, 1).
    """
    rows, columns = window(x, y, reach, image.shape)
    part = image[rows, columns]
    dy = (np.arange(part.shape[0], dtype=np.float32) + np.float32(rows.start - y))[:, None]
    dx = np.arange(part.shape[1], dtype=np.float32) + np.float32(columns.start - x)
    return part, dx, dy


def paint(
    canvas: NDArray[np.float32],
    x: NDArray,
    y: NDArray,
    *,
    flux: NDArray,
    contrast: NDArray,
    size: NDArray,
    index: NDArray,
    axis_ratio: NDArray,
    angle: NDArray,
    core: float,
) -> None:
    """Add Sersic components to a canvas (band, y, x), each once for all bands, seen through a round core.

    Lengths are pixels, angles degrees from the y axis towards -x (north through east); `flux` is (n, band),
    `contrast` the largest flux of each, in any band, over the noise of a pixel.
    """
    for i in range(len(flux)):
        weights, widths = sersic_mixture(float(index[i]), fine=True)
        major, minor = _variances(size[i], widths, axis_ratio[i], core)
        reach = component_reach(contrast[i], weights, major, minor)
        rows, columns = window(x[i], y[i], reach, canvas.shape[1:])
        if canvas[0, rows, columns].size == 0:
            continue
        stamp = _stamp(rows, columns, (x[i], y[i]), np.radians(angle[i]), (weights, major, minor))
        for band in range(len(canvas)):
            canvas[band, rows, columns] += np.float32(flux[i, band]) * stamp


def component_reach(contrast: float, weights: NDArray, major: NDArray, minor: NDArray) -> float:
    """Radius along the major axis from which a component no longer shows."""
    falling = np.exp(-(_RADII[:, None] ** 2) / (2 * major))
    surface = contrast * (falling @ (weights / (2 * np.pi * np.sqrt(major * minor))))
    shown = int(np.sum((surface > _FAINT) | (falling @ weights > 1 - _INSIDE)))
    return float(_RADII[min(shown, len(_RADII) - 1)])


def _stamp(rows: slice, columns: slice, place: tuple, angle: float, gaussians: tuple) -> NDArray[np.float32]:
    """A component of flux 1; narrow Gaussians only where they are not nothing."""
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(place[1])
    dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(place[0])
    along, across = _squares(dx, dy, -np.float32(np.sin(angle)), np.float32(np.cos(angle)))
    stamp = np.zeros(along.shape, dtype=np.float32)
    for weight, a, b in zip(*gaussians, strict=True):
        reach = _DISPERSIONS * np.sqrt(a)
        part = tuple(slice(*np.searchsorted(axis, (-reach, reach)).tolist()) for axis in (dy[:, 0], dx[0]))
        power = along[part] * np.float32(-0.5 / a)
        power += across[part] * np.float32(-0.5 / b)
        np.exp(power, out=power)
        power *= np.float32(weight / (2 * np.pi * np.sqrt(a * b)))
        stamp[part] += power
    return stamp
