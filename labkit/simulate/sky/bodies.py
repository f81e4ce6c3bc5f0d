"""Stars and galaxies, and their light on a pixel grid, drawn as mixtures of Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.sky.profiles import point_mixture, sersic_mixture

__all__ = ["FWHM_PER_SIGMA", "POINT", "Bodies", "patch", "render"]

FWHM_PER_SIGMA = 2.3548
POINT = 0.0  # the index of a point source
STAMP_RADII = (5, 7, 10, 15, 22, 32, 48, 72, 110, 170, 260)  # px; a body is drawn on the next larger stamp

Column = Any  # given as a number or a sequence, kept as an array of shape (n,)


@dataclass(frozen=True)
class Bodies:
    """Stars and galaxies with smooth elliptical profiles, one row each, all arrays of shape (n,).

    Attributes
    ----------
    x, y : numpy.ndarray
        Offsets from the image centre, arcsec; x along the columns (to the west), y to the north.
    magnitude : numpy.ndarray
        Total magnitude.
    size : numpy.ndarray
        Half-light radius along the major axis, arcsec; not used for points.
    axis_ratio : numpy.ndarray
        Minor over major axis, in (0, 1].
    angle : numpy.ndarray
        Direction of the major axis, degrees from the x towards the y axis.
    index : numpy.ndarray
        Sersic index, 1 (exponential disc) or 4 (de Vaucouleurs); 0 for a point source.

    Raises
    ------
    InputError
        If the columns do not have one length.
    """

    x: Column
    y: Column
    magnitude: Column
    size: Column
    axis_ratio: Column
    angle: Column
    index: Column

    def __post_init__(self) -> None:
        columns = {
            field.name: np.atleast_1d(np.asarray(getattr(self, field.name), float)) for field in fields(self)
        }
        try:
            shape = np.broadcast_shapes(*(column.shape for column in columns.values()))
        except ValueError:
            lengths = {name: column.size for name, column in columns.items()}
            raise InputError(f"bodies must have columns of one length, got {lengths}") from None
        for name, column in columns.items():
            object.__setattr__(self, name, np.broadcast_to(column, shape))

    def __len__(self) -> int:
        """Return the number of bodies."""
        return len(self.x)

    def select(self, mask: NDArray) -> Bodies:
        """Return some of the bodies.

        Parameters
        ----------
        mask : numpy.ndarray
            True for the bodies to keep, shape (n,).

        Returns
        -------
        Bodies
            Those, in the same order.
        """
        return Bodies(*(getattr(self, field.name)[mask] for field in fields(self)))

    @classmethod
    def points(cls, x: Column, y: Column, magnitude: Column) -> Bodies:
        """Make point sources.

        Parameters
        ----------
        x, y : numpy.ndarray
            Offsets from the image centre, arcsec.
        magnitude : numpy.ndarray
            Total magnitudes.

        Returns
        -------
        Bodies
            As many as the longest of the arguments.
        """
        return cls(x, y, magnitude, 0.0, 1.0, 0.0, POINT)

    @classmethod
    def join(cls, parts: Sequence[Bodies]) -> Bodies:
        """Put several sets of bodies together.

        Parameters
        ----------
        parts : sequence of Bodies
            At least one.

        Returns
        -------
        Bodies
            All of them, in order.
        """
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def render(
    bodies: Bodies,
    *,
    shape: tuple[int, int],
    pixel_scale_arcsec: float,
    seeing_arcsec: float,
    zero_point: float,
    faintest: float = 4e-3,
) -> NDArray[np.float32]:
    """Draw bodies, blurred by the seeing, on an image.

    Parameters
    ----------
    bodies : Bodies
        What to draw; bodies beyond the edge contribute the light that reaches the image.
    shape : tuple of int
        Image shape (ny, nx).
    pixel_scale_arcsec : float
        Pixel size, arcsec.
    seeing_arcsec : float
        Full width at half maximum of a point source, arcsec, at least 1.6 pixels.
    zero_point : float
        Magnitude of a body whose pixels sum to 1.
    faintest : float
        Each body is drawn out to the radius where its surface brightness (per pixel) falls below this.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx), float32: light per pixel.

    Raises
    ------
    InputError
        If the seeing is not sampled by the pixels, or ``faintest`` is not positive.
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
    sigma_px = seeing_arcsec / FWHM_PER_SIGMA / pixel_scale_arcsec
    for index in np.unique(bodies.index):
        rows = bodies.index == index
        weights, major, minor = _components(bodies.select(rows), index, sigma_px, pixel_scale_arcsec)
        peaks = flux[rows, None] * weights / (2 * np.pi * np.sqrt(major * minor))
        radius = np.sqrt(2 * major * np.log(np.maximum(peaks / faintest, 1))).max(axis=1)
        angle = np.radians(bodies.angle[rows])
        _draw(canvas, x[rows], y[rows], radius, peaks=peaks, major=major, minor=minor, angle=angle)
    return canvas


def patch(image: NDArray, x: float, y: float, *, reach: float) -> tuple[NDArray, NDArray, NDArray]:
    """Cut out, as a view, the part of an image within reach of a place, which may lie beyond the edge.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (ny, nx).
    x, y : float
        Column and row of the place, pixels from 0.
    reach : float
        Half the side of the part, pixels.

    Returns
    -------
    tuple of numpy.ndarray
        The part, and the offsets of its pixels from the place: along x, shape (columns,), and y, (rows, 1).
    """
    rows, columns = (slice(max(0, int(c - reach)), max(0, int(c + reach) + 2)) for c in (y, x))
    part = image[rows, columns]
    dy = (np.arange(part.shape[0], dtype=np.float32) + np.float32(rows.start - y))[:, None]
    dx = np.arange(part.shape[1], dtype=np.float32) + np.float32(columns.start - x)
    return part, dx, dy


def _components(
    bodies: Bodies, index: float, sigma_px: float, pixel: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Weights (k,) and variances along the major and the minor axis (n, k), px^2, of the blurred mixture."""
    if index == POINT:
        weights, widths = point_mixture()
        variance = np.broadcast_to(widths * (sigma_px * FWHM_PER_SIGMA), (len(bodies), len(widths))) ** 2
        return weights, variance, variance
    weights, widths = sersic_mixture(float(index))
    variance = (bodies.size[:, None] / pixel * widths) ** 2
    return weights, variance + sigma_px**2, variance * bodies.axis_ratio[:, None] ** 2 + sigma_px**2


def _draw(
    canvas: NDArray,
    x: NDArray,
    y: NDArray,
    radius: NDArray,
    *,
    peaks: NDArray,
    major: NDArray,
    minor: NDArray,
    angle: NDArray,
) -> None:
    """Add elliptical mixtures to the canvas, stamp size by stamp size."""
    stamps = np.minimum(np.searchsorted(STAMP_RADII, radius), len(STAMP_RADII) - 1)
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    for stamp in np.unique(stamps):
        r = STAMP_RADII[stamp]
        reaches = (row >= -r) & (row < canvas.shape[0] + r) & (column >= -r) & (column < canvas.shape[1] + r)
        chosen = np.flatnonzero((stamps == stamp) & reaches)
        chunk = max(1, 400_000 // (2 * r + 1) ** 2)
        for part in np.split(chosen, np.arange(chunk, len(chosen), chunk)):
            grid = np.arange(-r, r + 1)
            dx = (grid - (x - column)[part, None])[:, None, :].astype(np.float32)  # (n, 1, px)
            dy = (grid - (y - row)[part, None])[:, :, None].astype(np.float32)  # (n, px, 1)
            cos, sin = (f(angle[part])[:, None, None].astype(np.float32) for f in (np.cos, np.sin))
            along, across = (cos * dx + sin * dy) ** 2, (cos * dy - sin * dx) ** 2
            light = np.zeros(along.shape, dtype=np.float32)
            for k in range(peaks.shape[1]):
                a, b = (np.float32(-0.5) / v[part, k, None, None].astype(np.float32) for v in (major, minor))
                light += peaks[part, k, None, None].astype(np.float32) * np.exp(a * along + b * across)
            for image, i, j in zip(light, row[part], column[part], strict=True):
                seen = image[max(r - i, 0) : canvas.shape[0] + r - i, max(r - j, 0) : canvas.shape[1] + r - j]
                canvas[max(i - r, 0) : i + r + 1, max(j - r, 0) : j + r + 1] += seen
