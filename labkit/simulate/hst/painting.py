"""A field on pixels: what is painted for each body, the point-spread function, and noise.

Every point-spread function is at least as wide as one common Gaussian core. A component is painted once, as
Gaussians that hold this core, for all bands together; what a band's function has beyond the core is a
multiplication in Fourier space, one for the whole mosaic. Pixels are sampled at their centres, so the widths
of `labkit.simulate.hst.bands` include them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

from labkit.simulate.hst.bands import (
    BANDS,
    CORE_FWHM_ARCSEC,
    F814,
    HIGHEST_REDSHIFT,
    PIXEL_SCALE_ARCSEC,
    WAVELENGTHS,
    Band,
    magnitudes,
    star_colours,
)
from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import LOWEST_INDEX, nearest_index, paint

#: Dispersion of the common core, pixels.
CORE_PX = CORE_FWHM_ARCSEC / PIXEL_SCALE_ARCSEC / np.sqrt(8 * np.log(2))
#: Pixels around the mosaic that are painted too, because light comes in over the edge.
MARGIN_PX = 24
#: How far each band lies from F814 to F160, in the logarithm of the wavelength.
_INFRARED = np.log(WAVELENGTHS / WAVELENGTHS[F814]) / np.log(WAVELENGTHS[-1] / WAVELENGTHS[F814])
_NUMBERS = read_numbers("hst/galaxies")
_STRUCTURE, _CALIBRATION = _NUMBERS["structure"], _NUMBERS["calibration"]
#: Standard deviation of the error of a band's zero point in one field, mag.
FIELD_ERROR: float = _CALIBRATION["field"]
#: Shares of a star's light in each of two spikes, and the magnitude from which they are painted.
_SPIKE_SHARE, _SPIKE_LIMIT, _SPIKE_ARCSEC = 0.012, 22.0, 1.1
_BEADS = 100


@dataclass(frozen=True)
class Components:
    """Sersic components, all arrays of one length."""

    body: NDArray  # (n,) row of the body that each belongs to
    x: NDArray  # (n,) pixels from the field's centre to the west
    y: NDArray  # (n,) and to the north
    magnitude: NDArray  # (n, band) AB magnitudes in all bands
    re_px: NDArray  # (n,) half-light radius
    index: NDArray  # (n,) Sersic index
    axis_ratio: NDArray  # (n,)
    position_angle: NDArray  # (n,) from north through east, degrees
    sign: NDArray | float = 1.0  # (n,) -1 for dust, which takes light away

    def total(self, n: int) -> NDArray:
        """AB magnitudes of the bodies, shape (n, band): the components' light together."""
        flux = np.zeros((n, self.magnitude.shape[1]))
        signed = np.broadcast_to(self.sign, len(self.body))[:, None] * 10 ** (-0.4 * self.magnitude)
        np.add.at(flux, self.body, signed)
        return -2.5 * np.log10(flux)


def draw_components(rng: Generator, table: Table) -> Components:
    """Spheroids, discs with knots and dust, beads along arcs and stars with spikes, for a table of bodies.

    At least one component each; their light adds up to the body's in F814.
    """
    body = {name: np.asarray(table[name]) for name in table.colnames}
    pixels = {"x": "x_arcsec", "y": "y_arcsec", "re_px": "re_arcsec"}
    body |= {new: body[name] / PIXEL_SCALE_ARCSEC for new, name in pixels.items()}
    body["index"] = nearest_index(body["sersic_n"])
    wide = np.isin(body["kind"], ("late", "arc"))
    scatter = np.where(wide, _CALIBRATION["late"], _CALIBRATION["early"])[:, None]
    scatter = scatter * rng.normal(size=(len(table), len(BANDS)))
    scatter -= scatter[:, [F814]]
    spheroid, disc = _colours(body)
    star = star_colours(body["temperature"])
    spheroid = np.where((body["kind"] == "star")[:, None], star, spheroid) + scatter
    disc = disc + scatter
    bulge = np.where(body["bulge"] > 0.01, body["bulge"], 0)
    disc_share = np.where(body["kind"] == "late", 1 - bulge, 0.0)
    spike_share = _SPIKE_SHARE * _spiked(body)
    knots, dust = _structure(rng, body, disc, disc_share)
    inside = [np.bincount(one["body"], one["share"], minlength=len(table)) for one in (knots, dust)]
    smooth = np.where(disc_share > 0, disc_share - inside[0] + inside[1], 0.0)
    spike: dict[str, Any] = {
        "re_px": _SPIKE_ARCSEC / PIXEL_SCALE_ARCSEC,
        "index": LOWEST_INDEX,
        "axis_ratio": 0.02,
    }
    parts = [
        _spheroids(body, spheroid),
        _part(body, disc, smooth, index=1.0),
        knots,
        dust,
        _beads(rng, body, disc),
        *(_part(body, spheroid, spike_share, position_angle=angle, **spike) for angle in (40.0, 130.0)),
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "share"}
    order = np.argsort(joined["body"], kind="stable")
    return Components(**{name: value[order] for name, value in joined.items()})


_Body = Mapping[str, NDArray]  # the table's columns, and those of `Components`
_SHAPE = ("x", "y", "re_px", "index", "axis_ratio", "position_angle")


def _colours(body: _Body) -> tuple[NDArray, NDArray]:
    """Magnitudes of spheroids and discs relative to their F814, each of shape (n, band)."""
    z = np.clip(body["redshift"], 0, HIGHEST_REDSHIFT)
    old, young = body["old"], body["young"]
    light = np.stack([old, np.clip(1 - old - young, 0, 1), young], axis=1)
    light /= light.sum(axis=1, keepdims=True)
    spheroid = magnitudes(z, np.tile([1.0, 0.0, 0.0], (len(z), 1)), tilt=body["bulge_tilt"])
    disc = magnitudes(z, light, tilt=body["tilt"])
    redder = body["infrared"][:, None] * np.clip(_INFRARED, 0, None)
    spheroid, disc = spheroid - redder, disc - redder
    return spheroid - spheroid[:, [F814]], disc - disc[:, [F814]]


def _part(
    body: _Body, colour: NDArray, share: NDArray, *, rows: NDArray | None = None, **shape: Any
) -> dict[str, NDArray]:
    """Components with a share of the F814 light of some bodies: `rows`, or those with a share above 0."""
    if rows is None:
        rows = np.flatnonzero(share > 0)
        share = share[rows]
    base = body["magnitude"][rows] - 2.5 * np.log10(share)
    part = {name: body[name][rows] for name in _SHAPE} | shape
    part = {name: np.broadcast_to(value, (len(rows),)) for name, value in part.items()}
    part |= {"body": rows, "share": share, "sign": np.ones(len(rows))}
    return part | {"magnitude": base[:, None] + colour[rows]}


def _spheroids(body: _Body, colour: NDArray) -> dict[str, NDArray]:
    """Early types whole, bulges of late ones (rounder, a third of the disc), stars without their spikes."""
    star, share = body["kind"] == "star", np.array(body["bulge"], dtype=float)
    share[star] = 1 - 2 * _SPIKE_SHARE * _spiked(body)[star]
    rows = np.flatnonzero(share > 0.01)
    bulge, axis_ratio = body["kind"][rows] == "late", body["axis_ratio"][rows]
    shape = {
        "re_px": body["re_px"][rows] * np.where(bulge, 0.35, 1.0),
        "index": np.where(star[rows], LOWEST_INDEX, body["index"][rows]),
        "axis_ratio": np.where(bulge, 0.5 + 0.5 * axis_ratio, axis_ratio),
    }
    return _part(body, colour, share[rows], rows=rows, **shape)


def _structure(
    rng: Generator, body: _Body, colour: NDArray, share: NDArray
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Knots of young stars, bluer than the disc, and patches of dust, of discs large and bright enough.

    Both lie along two arms, dust on the inner side. A patch is a Gaussian that takes away a share of the
    disc's light at its place, more of it in the blue; the smooth disc gets as much F814 light back.
    """
    one = _STRUCTURE
    seen = np.flatnonzero(
        (share > 0)
        & (body["kind"] == "late")
        & (body["re_px"] > one["smallest_px"])
        & (body["magnitude"] < one["faintest"])
    )
    winding, start = rng.choice([-1, 1], len(body["x"])), rng.uniform(0, 2 * np.pi, len(body["x"]))

    def along_arms(number: int, lag: float) -> tuple[NDArray, NDArray, NDArray]:
        rows, place = np.repeat(seen, number), np.tile(np.arange(number), len(seen))
        radius = 0.2 + 1.4 * (place + rng.random(len(rows))) / number  # in half-light radii
        turned = np.log(radius / 0.15) / np.tan(np.radians(one["pitch_deg"])) + lag
        arm = np.pi * (place % 2) + rng.normal(0, 0.25, len(rows))
        return rows, radius, start[rows] + winding[rows] * turned + arm

    rows, radius, azimuth = along_arms(one["knots"], 0.0)
    weight = rng.gamma(1.2, size=len(rows)) * np.exp(-radius)
    weight /= np.bincount(rows, weight, minlength=len(share))[rows]
    least, grows = one["knot_light"]
    light = weight * (least + grows * body["young"][rows]) * share[rows]
    bluer = 1.8 * np.log10(WAVELENGTHS / WAVELENGTHS[F814])
    shape = _in_disc(body, rows, radius, azimuth, *one["knot_size"])
    knots = _part(body, colour + bluer, light, rows=rows, **shape)
    rows, radius, azimuth = along_arms(one["patches"], -0.35)
    (least, most), (length, width) = one["patch_depth"], one["patch_size"]
    depth = rng.uniform(least, most, len(rows))
    # An exponential disc has exp(-1.68 r) (1.68)^2 / 2 pi of its light per square half-light radius.
    light = depth * share[rows] * 1.68**2 * np.exp(-1.68 * radius) * length * width
    taken = 1 - (1 - depth[:, None]) ** ((WAVELENGTHS[F814] / WAVELENGTHS) ** one["reddening"])
    dust = _part(body, colour, light, rows=rows, **_in_disc(body, rows, radius, azimuth, length, width))
    dust["magnitude"] = dust["magnitude"] - 2.5 * np.log10(taken / taken[:, [F814]])
    return knots, dust | {"sign": -np.ones(len(rows))}


def _in_disc(
    body: _Body, rows: NDArray, radius: NDArray, azimuth: NDArray, length: Any, width: Any
) -> dict[str, Any]:
    """Places and shapes of Gaussians in discs seen from the side; all lengths in half-light radii.

    `length` is their dispersion along the circle, `width` the one across; seen from the side, an area shrinks
    by the axis ratio.
    """
    re, q, along = body["re_px"][rows], body["axis_ratio"][rows], np.radians(body["position_angle"][rows])
    major, minor = re * radius * np.cos(azimuth), re * radius * np.sin(azimuth) * q
    seen = np.hypot(np.sin(azimuth), q * np.cos(azimuth))
    long, short = re * length * seen, re * width * q / seen
    turned = np.degrees(np.arctan2(q * np.cos(azimuth), -np.sin(azimuth)))
    across = short > long
    long, short = np.where(across, short, long), np.where(across, long, short)
    return {
        "x": body["x"][rows] - major * np.sin(along) - minor * np.cos(along),
        "y": body["y"][rows] + major * np.cos(along) - minor * np.sin(along),
        "re_px": long * np.sqrt(2 * np.log(2)),
        "index": LOWEST_INDEX,
        "axis_ratio": short / long,
        "position_angle": body["position_angle"][rows] + turned + 90 * across,
    }


def _beads(rng: Generator, body: _Body, colour: NDArray) -> dict[str, NDArray]:
    """Arcs as Gaussians side by side along a circle about the centre, of uneven brightness."""
    arcs = np.flatnonzero(body["kind"] == "arc")
    rows = np.repeat(arcs, _BEADS)
    x, y, half_length = body["x"][rows], body["y"][rows], body["re_px"][rows]
    radius, azimuth = np.hypot(x, y), np.arctan2(y, x)
    along = np.tile(np.linspace(-1, 1, _BEADS), len(arcs))
    turned = azimuth + along * half_length / np.maximum(radius, 1)
    weight = (1 - along**2 + 0.05) * rng.gamma(3.0, size=len(rows))
    share = weight / np.bincount(rows, weight, minlength=len(body["x"]))[rows]
    shape = {
        "x": radius * np.cos(turned),
        "y": radius * np.sin(turned),
        "re_px": np.maximum(half_length * body["axis_ratio"][rows], 3.0 * half_length / _BEADS),
        "index": LOWEST_INDEX,
        "axis_ratio": 1.0,
    }
    return _part(body, colour, share, rows=rows, **shape)


def _spiked(body: _Body) -> NDArray:
    return (body["kind"] == "star") & (body["magnitude"] < _SPIKE_LIMIT)


def paint_bands(
    listed: Components, bands: Sequence[str], *, size_px: int, sky_sigma: Mapping[str, float]
) -> NDArray[np.float32]:
    """Components through the common core, electrons per second, with `MARGIN_PX` around: (band, y, x).

    `sky_sigma` is the noise of a pixel in all bands: components end where they are far below it in
    each, so that a band's pixels do not depend on which others are painted.
    """
    side = size_px + 2 * MARGIN_PX
    canvas = np.zeros((len(bands), side, side), dtype=np.float32)
    flux = 10 ** (-0.4 * (listed.magnitude - [band.zero_point for band in BANDS.values()]))
    signed = np.broadcast_to(listed.sign, len(flux))[:, None] * flux
    paint(
        canvas,
        listed.x + (side - 1) / 2,
        listed.y + (side - 1) / 2,
        flux=signed[:, [list(BANDS).index(name) for name in bands]],
        contrast=(flux / [sky_sigma[name] for name in BANDS]).max(axis=1),
        size=listed.re_px,
        index=listed.index,
        axis_ratio=listed.axis_ratio,
        angle=listed.position_angle,
        core=CORE_PX,
    )
    return canvas


def blur(canvas: NDArray[np.float32], band: Band) -> NDArray[np.float32]:
    """Give a painted band (y, x) the whole point-spread function and cut its margin off; light is kept."""
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
    rng: Generator,
    image: NDArray[np.float32],
    *,
    sky_sigma: float,
    exposure_s: float,
    kernel: NDArray | None = None,
) -> NDArray[np.float32]:
    """Add the noise of the sky and of the light itself to electrons per second (y, x).

    The sky alone is thousands of electrons in a pixel, so Poisson noise is Gaussian; nothing saturates.
    `kernel` (tap,) shares it among neighbours along both axes, as drizzling does; None leaves pixels
    independent. Opposite edges share theirs, so that noise is the same everywhere.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    variance = np.maximum(image, 0)
    variance /= np.float32(exposure_s)
    variance += np.float32(sky_sigma**2)
    noise *= np.sqrt(variance, out=variance)
    taps = np.ones(1) if kernel is None else kernel
    for axis in (0, 1) if len(taps) > 1 else ():
        shared = np.float32(taps[0]) * noise
        for shift, tap in enumerate(taps[1:], start=1):
            last, first = (np.moveaxis(one, axis, 0) for one in (shared, noise))
            last[shift:] += np.float32(tap) * first[:-shift]
            last[:shift] += np.float32(tap) * first[-shift:]
        noise = shared
    noise += image
    return noise
