"""From pixel values to grey levels and colours for the eye; nothing here is for networks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch
from bokeh.palettes import Inferno256
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError

_INFERNO = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in Inferno256]) / 255
STRETCHES = {
    "linear": LinearStretch,
    "sqrt": SqrtStretch,
    "asinh": lambda: AsinhStretch(a=0.1),
    "log": lambda: LogStretch(a=1000),
}


def limits_of(images: ArrayLike, *, lower: float = 1.0, upper: float = 99.7) -> tuple[float, float]:
    """Percentiles of all finite pixels, as limits that images share; different even for a constant image."""
    pixels = np.asarray(images, dtype=float)
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        raise InputError(
            f"images must have finite pixels, got none in shape {pixels.shape}; leave this image out"
        )
    low, high = np.percentile(finite, [lower, upper])
    if high <= low:  # mostly empty photon images: the percentiles meet
        low, high = finite.min(), finite.max()
    return float(low), float(high) if high > low else float(low) + 1.0


def grey_levels(
    image: ArrayLike, *, limits: tuple[float, float] | None = None, stretch: str = "asinh"
) -> NDArray[np.float64]:
    """Levels from 0 to 1 on a screen; not-finite pixels become 0.

    `limits` are the values shown as 0 and 1, `limits_of(image)` by default; `stretch` is "linear", "sqrt",
    "asinh" or "log".
    """
    if stretch not in STRETCHES:
        raise InputError(f"stretch must be one of {tuple(STRETCHES)}, got {stretch!r}")
    pixels = np.asarray(image, dtype=float)
    low, high = limits or limits_of(pixels)
    if not high > low:
        raise InputError(f"limits must rise, got {limits}")
    scaled = np.clip((np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    return STRETCHES[stretch]()(scaled)


def smoothed(image: ArrayLike, *, sigma_px: float = 3.0) -> NDArray[np.float64]:
    """Gaussian-smoothed images, for looking at photons (Kosiba et al. 2020, Fig. 3, uses 3 pixels)."""
    pixels = np.nan_to_num(np.asarray(image, dtype=float))
    return gaussian_filter(pixels, sigma=(*(0,) * (pixels.ndim - 2), sigma_px, sigma_px))


def composite(
    *, red: ArrayLike | None = None, green: ArrayLike | None = None, blue: ArrayLike | None = None
) -> NDArray[np.float64]:
    """A colour image (..., y, x, 3) from up to three levels; an absent channel is zero.

    Kosiba et al. (2020), section 3.1 and Fig. 4, put X-ray in green and optical in blue.
    """
    given = [np.asarray(channel, dtype=float) for channel in (red, green, blue) if channel is not None]
    if not given or len({channel.shape for channel in given}) != 1:
        raise InputError(f"channels must be one or more of equal shape, got {[c.shape for c in given]}")
    zero = np.zeros_like(given[0])
    return np.stack([zero if c is None else np.asarray(c, dtype=float) for c in (red, green, blue)], axis=-1)


def overlay(
    optical: ArrayLike, xray: ArrayLike, *, colour: tuple[float, float, float] = (1.0, 0.35, 0.05)
) -> NDArray:
    """Optical levels in grey with the X-ray levels as a coloured glow on top, (..., y, x, 3)."""
    grey = 0.85 * np.asarray(optical, dtype=float)[..., None]
    glow = np.asarray(xray, dtype=float)[..., None] * np.asarray(colour)
    return 1 - (1 - grey) * (1 - np.clip(glow, 0, 1))


def plate_pictures(
    optical: ArrayLike, xray: ArrayLike, *, colours: str = "glow", sigma_px: float = 2.0
) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Optical, X-ray and combined picture of each of the cut-outs (n, y, x), bright on dark.

    The plate is grey and linear, the X-rays are smoothed and under a square root; combined they are a glow
    ("glow") or green on blue ("paper").
    """
    if colours not in ("glow", "paper"):
        raise InputError(f"colours must be 'glow' or 'paper', got {colours!r}")
    plates, photons = np.asarray(optical), smoothed(xray, sigma_px=sigma_px)
    if len(plates) != len(photons):
        raise InputError(f"optical and xray must hold the same objects, got {len(plates)} and {len(photons)}")
    for plate, counts in zip(plates, photons, strict=True):
        light = grey_levels(plate, stretch="linear")
        emission = grey_levels(counts, limits=limits_of(counts, lower=60, upper=99.9), stretch="sqrt")
        yield (
            light,
            emission,
            overlay(light, emission) if colours == "glow" else composite(green=emission, blue=light),
        )


def heat_colours(levels: ArrayLike) -> NDArray[np.float64]:
    """Levels from 0 to 1 as colours (..., 3) from black over red to yellow."""
    return _INFERNO[np.round(255 * np.clip(levels, 0, 1)).astype(int)]


def hatched(levels: ArrayLike, *, stripe_px: int = 3) -> NDArray[np.float64]:
    """Pictures, (y, x) or (y, x, 3), whose pixels without data (NaN) carry grey stripes, as no sky has."""
    levels = np.array(levels, dtype=float)
    y, x = np.indices(levels.shape[:2])
    stripes = np.where((x + y) // stripe_px % 2, 0.42, 0.28)
    lost = ~np.isfinite(levels)
    levels[lost] = np.broadcast_to(stripes[..., None] if levels.ndim == 3 else stripes, levels.shape)[lost]
    return levels


def png_uri(levels: ArrayLike, *, size_px: int | None = None) -> str:
    """A picture as text that a page can hold (a PNG data URI).

    Grey levels (y, x) or colours (y, x, 3), floats from 0 to 1 or uint8; the first row is at the bottom, as
    in FITS. `size_px` is the width and height of the picture; that of the array by default.
    """
    return _uri(_picture(levels, size_px), "png", optimize=True)


def jpeg_uri(levels: ArrayLike, *, size_px: int | None = None, quality: int = 88) -> str:
    """A picture as `png_uri`'s, made quicker and a fifth as long; noise of single pixels hardly survives."""
    return _uri(_picture(levels, size_px), "jpeg", quality=quality, subsampling=0)


def _picture(levels: ArrayLike, size_px: int | None) -> Image.Image:
    pixels = np.asarray(levels)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(f"levels must have shape (y, x) or (y, x, 3), got {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = np.round(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels[::-1]))
    if size_px is None:
        return picture
    return picture.resize((size_px, size_px), Image.Resampling.BOX if size_px < picture.height else 0)


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind.upper(), **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()
