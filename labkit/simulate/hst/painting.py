"""Painting: components on a canvas, the rest of the point-spread function over all of it, and noise.

Every point-spread function is at least as wide as one common Gaussian core. A component is painted once, as
Gaussians that hold this core, for all bands together; what a band's function has beyond the core is a
multiplication in Fourier space, one for the whole mosaic. Pixels are sampled at their centres, so the widths
of `labkit.simulate.hst.bands` include them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from labkit.simulate.hst.bands import BANDS, CORE_FWHM_ARCSEC, PIXEL_SCALE_ARCSEC, Band
from labkit.simulate.hst.components import Components
from labkit.simulate.hst.sersic import gaussians

__all__ = ["CORE_PX", "MARGIN_PX", "blur", "expose", "paint"]

#: Dispersion of the common core, pixels.
CORE_PX = CORE_FWHM_ARCSEC / PIXEL_SCALE_ARCSEC / np.sqrt(8 * np.log(2))
#: Pixels around the mosaic that are painted too, because light comes in over the edge.
MARGIN_PX = 24
#: A component is painted to where its surface brightness is this share of the sky's noise in every band, and
#: at least to where this share of its light is inside.
FAINT, INSIDE = 0.01, 0.99
_REACH = 4.5
_RADII = np.geomspace(2.0, 4000.0, 64)


def paint(
    listed: Components, bands: Sequence[str], *, size_px: int, sky_sigma: Mapping[str, float]
) -> NDArray[np.float32]:
    """Paint components through the common core.

    Parameters
    ----------
    listed : Components
        What to paint, with places from the centre of the canvas.
    bands : sequence of str
        Bands to paint.
    size_px : int
        Side of the mosaic.
    sky_sigma : mapping of str to float
        Noise of the sky in all twelve bands, electrons/s; components end where they are far below it in each,
        so that a band's pixels do not depend on which others are painted.

    Returns
    -------
    ndarray, shape (band, size_px + 2 MARGIN_PX, size_px + 2 MARGIN_PX)
        Electrons per second, float32.
    """
    side = size_px + 2 * MARGIN_PX
    canvas = np.zeros((len(bands), side, side), dtype=np.float32)
    flux = 10 ** (-0.4 * (listed.magnitude - [band.zero_point for band in BANDS.values()]))
    contrast = (flux / [sky_sigma[name] for name in BANDS]).max(axis=1)
    flux = flux[:, [list(BANDS).index(name) for name in bands]]
    x, y = listed.x + (side - 1) / 2, listed.y + (side - 1) / 2
    for i in range(len(flux)):
        weights, sigmas = gaussians(float(listed.index[i]))
        major = (sigmas * listed.re_px[i]) ** 2
        minor = major * listed.axis_ratio[i] ** 2 + CORE_PX**2
        major = major + CORE_PX**2
        reach = _reach(contrast[i], weights, major, minor)
        box = _box(x[i], y[i], reach, side)
        if box is None:
            continue
        stamp = _stamp(box, x[i], y[i], listed.position_angle[i], weights, major, minor)
        for band in range(len(bands)):
            canvas[band, box[0], box[1]] += np.float32(flux[i, band]) * stamp
    return canvas


def _reach(contrast: float, weights: NDArray, major: NDArray, minor: NDArray) -> float:
    """Radius along the major axis from which a component no longer shows."""
    falling = np.exp(-(_RADII[:, None] ** 2) / (2 * major))
    surface = contrast * (falling @ (weights / (2 * np.pi * np.sqrt(major * minor))))
    outside = falling @ weights
    shown = int(np.sum((surface > FAINT) | (outside > 1 - INSIDE)))
    return float(_RADII[min(shown, len(_RADII) - 1)])


def _box(x: float, y: float, reach: float, side: int) -> tuple[slice, slice] | None:
    """Rows and columns of the canvas within reach, or None if there are none."""
    low = [max(int(np.floor(c - reach)), 0) for c in (y, x)]
    high = [min(int(np.ceil(c + reach)) + 1, side) for c in (y, x)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    return slice(low[0], high[0]), slice(low[1], high[1])


def _stamp(
    box: tuple[slice, slice],
    x: float,
    y: float,
    angle: float,
    weights: NDArray,
    major: NDArray,
    minor: NDArray,
) -> NDArray[np.float32]:
    """A component of flux 1; narrow Gaussians only where they are not nothing."""
    dy = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(x)
    s, c = np.float32(np.sin(np.radians(angle))), np.float32(np.cos(np.radians(angle)))
    along, across = (c * dy - s * dx) ** 2, (s * dy + c * dx) ** 2
    stamp = np.zeros(along.shape, dtype=np.float32)
    for weight, a, b in zip(weights, major, minor, strict=True):
        part = _window(dy[:, 0], dx[0], _REACH * np.sqrt(a))
        power = along[part] * np.float32(-0.5 / a)
        power += across[part] * np.float32(-0.5 / b)
        np.exp(power, out=power)
        power *= np.float32(weight / (2 * np.pi * np.sqrt(a * b)))
        stamp[part] += power
    return stamp


def _window(dy: NDArray, dx: NDArray, reach: float) -> tuple[slice, slice]:
    rows, columns = np.searchsorted(dy, (-reach, reach)), np.searchsorted(dx, (-reach, reach))
    return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


def blur(canvas: NDArray[np.float32], band: Band) -> NDArray[np.float32]:
    """Give a painted canvas the whole point-spread function of a band.

    Parameters
    ----------
    canvas : ndarray, shape (y, x)
        One band as `paint` gives it, through the common core.
    band : Band
        The band.

    Returns
    -------
    ndarray, shape (y - 2 MARGIN_PX, x - 2 MARGIN_PX)
        The mosaic without its margin. Light is conserved.
    """
    weights, sigmas = band.psf()
    beyond = (sigmas / PIXEL_SCALE_ARCSEC) ** 2 - CORE_PX**2
    shape = [fft.next_fast_len(n, real=True) for n in canvas.shape]
    ky, kx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    # Gaussians are separable, so the transfer function is a sum of outer products.
    transfer = np.zeros((shape[0], kx.shape[1]), dtype=np.float32)
    for weight, extra in zip(weights, np.maximum(beyond, 0), strict=True):
        fall = [np.exp(-2 * np.pi**2 * extra * k**2).astype(np.float32) for k in (ky, kx)]
        transfer += np.float32(weight) * fall[0] * fall[1]
    spectrum = fft.rfft2(canvas, s=shape, overwrite_x=False)
    spectrum *= transfer
    whole = fft.irfft2(spectrum, s=shape, overwrite_x=True)
    inside = tuple(slice(MARGIN_PX, n - MARGIN_PX) for n in canvas.shape)
    return np.ascontiguousarray(whole[inside], dtype=np.float32)


def expose(
    rng: np.random.Generator, image: NDArray[np.float32], *, sky_sigma: float, exposure_s: float
) -> NDArray[np.float32]:
    """Add the noise of the sky and of the light itself.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    image : ndarray, shape (y, x)
        Electrons per second without sky.
    sky_sigma : float
        Noise of the sky in a pixel, electrons/s.
    exposure_s : float
        Exposure time, for the Poisson noise of the sources.

    Returns
    -------
    ndarray, shape (y, x)
        Sky-subtracted electrons per second, float32. The sky alone is thousands of electrons in a pixel, so
        Poisson noise is Gaussian; neighbouring pixels are independent and nothing saturates.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    variance = np.maximum(image, 0)
    variance /= np.float32(exposure_s)
    variance += np.float32(sky_sigma**2)
    noise *= np.sqrt(variance)
    noise += image
    return noise
