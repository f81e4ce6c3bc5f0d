"""Cut-outs of the sky by world coordinates, and regridding, both weighted by area.

An output pixel is the mean of the input over the area that it covers, multiplied by that area (in input
pixels) where the flux is to be conserved. Parallel grids are integrated exactly; for rotated ones each output
pixel is made up of small boxes along the axes of the input. Cut-outs are centred on the exact position; those
that keep a mosaic's own pixels, up to half a pixel off, are made by `labkit.sources.members.cutouts`.
"""

from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, need_choice
from labkit.images.coordinates import sky_to_pixel

Conserve = Literal["flux", "surface brightness"]

NODES = 9  # the sky-to-pixel transform is exact at NODES x NODES points of a cut-out and linear between them


def cutout(image: ArrayLike, wcs: WCS, position: SkyCoord, **options: Any) -> NDArray[np.float32]:
    """Cut one square of sky, shape (pixels, pixels), out of an image (y, x); options as for `cutouts`."""
    if not position.isscalar:
        raise InputError(f"position must be one sky position, got {len(position)}; use cutouts for several")
    return cutouts(image, wcs, position.reshape(1), **options)[0]


def cutouts(
    image: ArrayLike,
    wcs: WCS,
    positions: SkyCoord,
    *,
    size: u.Quantity = 7 * u.arcmin,
    pixels: int = 178,
    conserve: Conserve = "surface brightness",
    oversample: int = 2,
    fill: float = 0.0,
    first: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Cut squares of sky out of an image, on tangent planes with north up and east left.

    Any orientation, flip, pixel scale or projection of the input is followed. The sky-to-pixel transform is
    evaluated on a 9 x 9 grid of points over each cut-out and interpolated linearly between them, which for
    7 arcmin cut-outs of ordinary projections is good to far better than a thousandth of a pixel.

    Parameters
    ----------
    image : array_like
        Shape (y, x). NaN pixels are left out of the averages.
    wcs : astropy.wcs.WCS
        World coordinates of the image.
    positions : astropy.coordinates.SkyCoord
        Centres of the cut-outs, shape (n,). North is that of the ICRS.
    size : astropy.units.Quantity
        Side of a cut-out, an angle.
    pixels : int
        Pixels along a side.
    conserve : {"surface brightness", "flux"}
        Keep the values (a mean over the output pixel), or the sums (counts).
    oversample : int
        Least number of boxes along each side of an output pixel, each averaged on its own; raised so that
        none is wider than an input pixel.
    fill : float
        Value outside the image, per input pixel.
    first : (int, int)
        Pixel (x, y) of the world coordinates at which `image` begins, for a window of a larger image.

    Returns
    -------
    numpy.ndarray
        Shape (n, pixels, pixels), float32: first axis as ``positions``, y grows to the north, x to the west.

    Raises
    ------
    InputError
        If the image is not two-dimensional, the WCS not celestial, or an option is out of its range.
    """
    image = image_pixels(image)
    need_choice("conserve", conserve, ("flux", "surface brightness"))
    if oversample < 1:
        raise InputError(f"oversample must be at least 1, got {oversample}")
    x_nodes, y_nodes = _node_positions(image, wcs, positions, size, pixels)  # (n, NODES, NODES)
    side = pixels / (NODES - 1)
    result = np.empty((len(x_nodes), pixels, pixels), dtype=np.float32)
    for out, x, y in zip(result, x_nodes - first[0], y_nodes - first[1], strict=True):
        m = NODES // 2
        dx_du, dx_dv = (x[m, m + 1] - x[m, m - 1]) / (2 * side), (x[m + 1, m] - x[m - 1, m]) / (2 * side)
        dy_du, dy_dv = (y[m, m + 1] - y[m, m - 1]) / (2 * side), (y[m + 1, m] - y[m - 1, m]) / (2 * side)
        area = abs(dx_du * dy_dv - dx_dv * dy_du)  # input pixels covered by one output pixel
        if not (np.isfinite(area) and np.isfinite(x).all()):  # where there is no solution there is no image
            out[...] = fill
            continue
        steps = max(oversample, int(np.ceil(np.sqrt(area))))
        weights = linear_weights(pixels * steps)  # (pixels * steps, NODES)
        boxes: dict[str, Any] = {"width": np.sqrt(area) / steps, "steps": steps, "fill": fill}
        columns, rows = _around(x, image.shape[1]), _around(y, image.shape[0])
        places = (weights @ (v - near.start) @ weights.T for v, near in ((x, columns), (y, rows)))
        cut = average_boxes(image[rows, columns], *places, **boxes)
        out[...] = cut * np.float32(area if conserve == "flux" else 1.0)
    return result


def _around(position: NDArray[np.float64], length: int) -> slice:
    """Input pixels that boxes between these positions can touch, one at least, along an axis of a length."""
    low, high = np.nanmin(position), np.nanmax(position)
    first = int(np.clip(np.floor(low) - 2, 0, length - 1))
    return slice(first, int(np.clip(np.ceil(high) + 3, first + 1, length)))


def coverage(
    exposed: ArrayLike, wcs: WCS, positions: SkyCoord, *, size: u.Quantity = 7 * u.arcmin, pixels: int = 128
) -> NDArray[np.float32]:
    """Share of each cut-out's area on exposed pixels, shape (n,), 0 (no overlap) to 1.

    `exposed` (y, x) is true, or above zero, where the image was exposed; NaN counts as not exposed. `pixels`
    is the sampling along a side of the cut-out.
    """
    mask = np.asarray(np.nan_to_num(np.asarray(exposed, dtype=np.float32)) > 0, dtype=np.float32)
    return cutouts(mask, wcs, positions, size=size, pixels=pixels, oversample=1).mean(axis=(1, 2))


def linear_weights(samples: int) -> NDArray[np.float64]:
    """Weights of linear interpolation from `NODES` edge-to-edge nodes to the centres of samples."""
    position = (np.arange(samples) + 0.5) / samples * (NODES - 1)
    return np.clip(1 - np.abs(position[:, None] - np.arange(NODES)), 0, None)


def _node_positions(
    image: NDArray, wcs: WCS, positions: SkyCoord, size: u.Quantity, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates x, y of the nodes of each cut-out, both (n, NODES, NODES)."""
    if image.ndim != 2:
        raise InputError(
            f"image must have the axes (y, x), got shape {image.shape}; cut out one band at a time"
        )
    if not (u.Quantity(size).isscalar and u.Quantity(size).unit.is_equivalent(u.deg) and size > 0 * u.deg):
        raise InputError(f"size must be one positive angle, such as 7 * u.arcmin, got {size}")
    if pixels < 1:
        raise InputError(f"pixels must be at least 1, got {pixels}")
    if positions.isscalar:
        raise InputError("positions must be an array of sky positions, got one; use cutout for it")
    half = size.to_value(u.rad) / 2
    tangent = np.linspace(-half, half, NODES)
    xi, eta = -tangent[None, None, :], tangent[None, :, None]  # xi to the east, x to the west
    ra0 = positions.icrs.ra.rad[:, None, None]
    dec0 = positions.icrs.dec.rad[:, None, None]
    # Inverse gnomonic projection (Calabretta & Greisen 2002, section 5.1.3)
    forward = np.cos(dec0) - eta * np.sin(dec0)
    ra = ra0 + np.arctan2(xi + 0 * eta, forward)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, forward))
    return sky_to_pixel(wcs, np.degrees(ra), np.degrees(dec + 0 * ra))


def regrid(
    image: ArrayLike, *, scale: float, shape: tuple[int, int], conserve: Conserve = "surface brightness"
) -> NDArray[np.float32]:
    """Resample an image, or a stack (..., y, x), onto a parallel pixel grid with the same centre.

    `scale` is the output's pixel size over the input's, `shape` the output's (ny, nx). NaN pixels are left
    out of the averages; outside the input there is 0.
    """
    image = image_pixels(image)
    need_choice("conserve", conserve, ("flux", "surface brightness"))
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale must be a positive number (output over input pixel size), got {scale}")
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"shape must be two positive numbers (ny, nx), got {shape}")
    rows, columns = (_overlap(*lengths, scale) for lengths in zip(image.shape[-2:], shape, strict=True))
    valid = ~np.isnan(image)
    inside = np.outer(rows.sum(1), columns.sum(1))  # (ny, nx), fraction of the output pixel on the input
    covered = inside if valid.all() else rows @ valid.astype(np.float32) @ columns.T
    covered = covered + np.clip(1 - inside, 0, 1)
    total = rows @ np.where(valid, image, 0) @ columns.T
    mean = np.divide(total, covered, where=covered > 1e-4, out=np.full_like(total, np.nan))
    return mean * np.float32(scale**2 if conserve == "flux" else 1.0)


def image_pixels(image: ArrayLike) -> NDArray[np.float32]:
    """An image or a stack (..., y, x) as float32; one without pixels is refused."""
    image = np.asarray(image, dtype=np.float32)
    if image.ndim < 2 or 0 in image.shape[-2:]:
        raise InputError(f"image must have the axes (..., y, x) with pixels on both, got shape {image.shape}")
    return image


def _overlap(n_in: int, n_out: int, scale: float) -> NDArray[np.float32]:
    """Fraction of each output pixel's width that each input pixel covers, shape (n_out, n_in)."""
    edges = n_in / 2 + scale * (np.arange(n_out + 1) - n_out / 2)  # in input pixels, 0 = left edge
    left = np.arange(n_in)
    width = np.minimum(edges[1:, None], left + 1) - np.maximum(edges[:-1, None], left)
    return (np.clip(width, 0, None) / scale).astype(np.float32)


def average_boxes(
    image: NDArray, x: NDArray, y: NDArray, *, width: float, steps: int, fill: float
) -> NDArray[np.float32]:
    """Average an image (y, x) over boxes about x and y; steps x steps of them make up an output pixel."""
    row, row_share = _split(y, image.shape[-2], width)
    column, column_share = _split(x, image.shape[-1], width)
    padded = np.pad(image, [(1, 2), (1, 2)], constant_values=fill)  # (y + 3, x + 3)
    touched = padded[row.min() : row.max() + 2, column.min() : column.max() + 2]
    shape = (x.shape[0] // steps, steps, x.shape[1] // steps, steps)
    first = row * padded.shape[-1] + column

    def averaged(values: NDArray) -> NDArray:
        values = values.ravel()
        below, above = first, first + padded.shape[-1]
        low = values[below] + column_share * (values[below + 1] - values[below])
        high = values[above] + column_share * (values[above + 1] - values[above])
        return (low + row_share * (high - low)).reshape(shape).mean(axis=(1, 3))

    if not np.isnan(touched).any():
        return averaged(padded)
    valid = ~np.isnan(padded)
    total, weight = averaged(np.where(valid, padded, 0)), averaged(valid.astype(np.float32))
    return np.divide(total, weight, where=weight > 1e-4, out=np.full_like(total, np.nan))


def _split(position: NDArray, length: int, width: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """First (padded) pixel that each box touches, and the share of the box on the next one."""
    edge = np.clip(np.nan_to_num(position, nan=-2.0) + 1.5 - width / 2, 0, length + 1)
    first = np.floor(edge)
    share = np.clip((edge + width - first - 1) / width, 0, 1)
    return first.astype(np.int32), share.astype(np.float32)
