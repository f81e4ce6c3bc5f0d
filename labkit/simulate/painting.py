"""Sources on pixels: positions, sums of Gaussians, a canvas.

`render` paints many small bodies at once, stamp size by stamp size, on one plate; `paint` paints components
one by one in many bands, each Gaussian only where it is not nothing, as mosaics with large galaxies need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.profiles import moffat_mixture, sersic_mixture

FWHM_PER_SIGMA = 2.3548
POINT = 0.0  # the index of a point source
_STAMP_RADII = (5, 7, 10, 15, 22, 32, 48, 72, 110, 170, 260)  # px; a body is drawn on the next larger stamp
#: A component is painted to where its surface brightness is this share of the sky's noise in every band, and
#: at least to where this share of its light is inside; a Gaussian, to so many times its dispersion.
_FAINT, _INSIDE, _DISPERSIONS = 0.01, 0.99, 4.5
_RADII = np.geomspace(2.0, 4000.0, 64)
_CHUNK = 50_000  # pixels of stamps that are painted at once: what a processor's cache holds

Column = Any  # given as a number or a sequence, kept as an array of shape (n,)


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
        columns = {
            each.name: np.atleast_1d(np.asarray(getattr(self, each.name), float)) for each in fields(self)
        }
        try:
            shape = np.broadcast_shapes(*(column.shape for column in columns.values()))
        except ValueError:
            lengths = {name: column.size for name, column in columns.items()}
            raise InputError(f"bodies must have columns of one length, got {lengths}") from None
        for name, column in columns.items():
            object.__setattr__(self, name, np.broadcast_to(column, shape))

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


def render(
    bodies: Bodies,
    *,
    shape: tuple[int, int],
    pixel_scale_arcsec: float,
    seeing_arcsec: float,
    zero_point: float,
    faintest: float = 4e-3,
) -> NDArray[np.float32]:
    """Paint bodies, blurred by the seeing (FWHM), on an image of shape (ny, nx): light per pixel.

    Each is drawn out to where its surface brightness per pixel falls below `faintest`; those beyond the edge
    shine in. The zero point is the magnitude of a body whose pixels sum to 1.
    """
    if seeing_arcsec < 1.6 * pixel_scale_arcsec:
        raise InputError(
            f"seeing_arcsec must be at least 1.6 pixels of {pixel_scale_arcsec} arcsec, got {seeing_arcsec}"
        )
    if not faintest > 0:
        raise InputError(f"faintest must be a positive surface brightness per pixel, got {faintest}")
    canvas = np.zeros(shape, dtype=np.float32)
    x = bodies.x / pixel_scale_arcsec + (shape[1] - 1) / 2
    y = bodies.y / pixel_scale_arcsec + (shape[0] - 1) / 2
    flux = 10 ** (-0.4 * (bodies.magnitude - zero_point))
    core = seeing_arcsec / FWHM_PER_SIGMA / pixel_scale_arcsec
    for index in np.unique(bodies.index):
        rows = bodies.index == index
        if index == POINT:
            weights, widths = moffat_mixture()
            major = minor = np.broadcast_to(widths * (core * FWHM_PER_SIGMA), (rows.sum(), len(widths))) ** 2
        else:
            weights, widths = sersic_mixture(float(index))
            size = bodies.size[rows, None] / pixel_scale_arcsec
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


def patch(image: NDArray, x: float, y: float, *, reach: float) -> tuple[NDArray, NDArray, NDArray]:
    """The part of an image, as a view, within reach of a pixel place that may lie beyond the edge.

    With it come the offsets of its pixels from the place: along x, shape (columns,), and y, (rows, 1).
    """
    rows, columns = (slice(max(0, int(c - reach)), max(0, int(c + reach) + 2)) for c in (y, x))
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
        box = _box(x[i], y[i], reach, canvas.shape[1:])
        if box is None:
            continue
        stamp = _stamp(box, x[i], y[i], np.radians(angle[i]), (weights, major, minor))
        for band in range(len(canvas)):
            canvas[band, box[0], box[1]] += np.float32(flux[i, band]) * stamp


def component_reach(contrast: float, weights: NDArray, major: NDArray, minor: NDArray) -> float:
    """Radius along the major axis from which a component no longer shows."""
    falling = np.exp(-(_RADII[:, None] ** 2) / (2 * major))
    surface = contrast * (falling @ (weights / (2 * np.pi * np.sqrt(major * minor))))
    shown = int(np.sum((surface > _FAINT) | (falling @ weights > 1 - _INSIDE)))
    return float(_RADII[min(shown, len(_RADII) - 1)])


def _box(x: float, y: float, reach: float, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Rows and columns of the canvas within reach, or None if there are none."""
    low = [max(int(np.floor(c - reach)), 0) for c in (y, x)]
    high = [min(int(np.ceil(c + reach)) + 1, side) for c, side in zip((y, x), shape, strict=True)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    return slice(low[0], high[0]), slice(low[1], high[1])


def _stamp(
    box: tuple[slice, slice], x: float, y: float, angle: float, gaussians: tuple
) -> NDArray[np.float32]:
    """A component of flux 1; narrow Gaussians only where they are not nothing."""
    dy = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(x)
    along, across = _squares(dx, dy, -np.float32(np.sin(angle)), np.float32(np.cos(angle)))
    stamp = np.zeros(along.shape, dtype=np.float32)
    for weight, a, b in zip(*gaussians, strict=True):
        reach = _DISPERSIONS * np.sqrt(a)
        rows, columns = (np.searchsorted(axis, (-reach, reach)) for axis in (dy[:, 0], dx[0]))
        part = slice(*rows.tolist()), slice(*columns.tolist())
        power = along[part] * np.float32(-0.5 / a)
        power += across[part] * np.float32(-0.5 / b)
        np.exp(power, out=power)
        power *= np.float32(weight / (2 * np.pi * np.sqrt(a * b)))
        stamp[part] += power
    return stamp
