"""From bodies to what is painted: spheroids, discs with clumps, beads along arcs, stars with spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.simulate.hst.bands import BANDS, PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.bodies import F814
from labkit.simulate.hst.sersic import LOWEST_INDEX, nearest_index
from labkit.simulate.hst.templates import HIGHEST_REDSHIFT, magnitudes, star_colours

__all__ = ["Components", "components"]

#: Scatter of each band's magnitude that no template explains.
BAND_SCATTER = 0.012
#: Shares of a star's light in each of two spikes, and the magnitude from which they are painted.
SPIKE_SHARE, SPIKE_LIMIT, SPIKE_ARCSEC = 0.012, 22.0, 1.1
_CLUMPS, _BEADS = 6, 100


@dataclass(frozen=True)
class Components:
    """Sersic components, all arrays of one length.

    Parameters
    ----------
    body : ndarray of int, shape (n,)
        Row of the body that each belongs to.
    x, y : ndarray, shape (n,)
        Places, pixels from the field's centre to the west and north.
    magnitude : ndarray, shape (n, band)
        AB magnitudes in all twelve bands.
    re_px, index, axis_ratio, position_angle : ndarray, shape (n,)
        Half-light radius, Sersic index, axis ratio, angle from north through east in degrees.
    """

    body: NDArray
    x: NDArray
    y: NDArray
    magnitude: NDArray
    re_px: NDArray
    index: NDArray
    axis_ratio: NDArray
    position_angle: NDArray

    def total(self, n: int) -> NDArray:
        """AB magnitudes of the bodies, shape (n, band): the components' light together."""
        flux = np.zeros((n, self.magnitude.shape[1]))
        np.add.at(flux, self.body, 10 ** (-0.4 * self.magnitude))
        return -2.5 * np.log10(flux)


def components(rng: np.random.Generator, table: Table) -> Components:
    """What is painted for each body.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness: clumps, beads and colours that scatter.
    table : `~astropy.table.Table`
        Bodies, as `bodies` gives them.

    Returns
    -------
    Components
        At least one component a body; their light adds up to the body's in F814.
    """
    kind = np.asarray(table["kind"])
    scatter = rng.normal(0, BAND_SCATTER, (len(table), len(BANDS)))
    scatter -= scatter[:, [F814]]
    spheroid, disc = _colours(table)
    star = star_colours(table["temperature"])
    spheroid = np.where((kind == "star")[:, None], star, spheroid) + scatter
    disc = disc + scatter
    pixels = {"re": np.asarray(table["re_arcsec"]) / PIXEL_SCALE_ARCSEC}
    pixels |= {name: np.asarray(table[f"{name}_arcsec"]) / PIXEL_SCALE_ARCSEC for name in ("x", "y")}
    parts = [
        _spheroids(table, pixels, spheroid),
        _discs(rng, table, pixels, disc),
        *(_clumps(rng, table, pixels, disc) for _ in range(_CLUMPS)),
        _beads(rng, table, pixels, disc),
        *(_spikes(table, pixels, spheroid, angle) for angle in (40.0, 130.0)),
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["body"], kind="stable")
    return Components(**{name: value[order] for name, value in joined.items()})


def _colours(table: Table) -> tuple[NDArray, NDArray]:
    """Magnitudes of spheroids and discs relative to their F814, each of shape (n, band)."""
    z = np.clip(table["redshift"], 0, HIGHEST_REDSHIFT)
    old, young = np.asarray(table["old"]), np.asarray(table["young"])
    light = np.stack([old, np.clip(1 - old - young, 0, 1), young], axis=1)
    light /= light.sum(axis=1, keepdims=True)
    spheroid = magnitudes(z, np.tile([1.0, 0.0, 0.0], (len(z), 1)), tilt=np.asarray(table["bulge_tilt"]))
    disc = magnitudes(z, light, tilt=np.asarray(table["tilt"]))
    return spheroid - spheroid[:, [F814]], disc - disc[:, [F814]]


def _part(table: Table, rows: NDArray, pixels: dict, colour: NDArray, share: NDArray, **shape: Any) -> dict:
    """Components of some bodies that hold a share of their F814 light."""
    base = np.asarray(table["magnitude"])[rows] - 2.5 * np.log10(share)
    part: dict[str, Any] = {
        "body": rows,
        "x": pixels["x"][rows],
        "y": pixels["y"][rows],
        "magnitude": base[:, None] + colour[rows],
        "re_px": pixels["re"][rows],
        "index": np.asarray(table["sersic_n"])[rows],
        "axis_ratio": np.asarray(table["axis_ratio"])[rows],
        "position_angle": np.asarray(table["position_angle"])[rows],
    } | shape
    full: dict[str, NDArray] = {
        k: v if k == "magnitude" else np.broadcast_to(v, (len(rows),)) for k, v in part.items()
    }
    full["index"] = nearest_index(full["index"])
    return full


def _spheroids(table: Table, pixels: dict, colour: NDArray) -> dict:
    """Early types whole, bulges of late ones (rounder, a third of the disc), stars without their spikes."""
    kind, share = np.asarray(table["kind"]), np.array(table["bulge"], dtype=float)
    star = kind == "star"
    share[star] = 1 - 2 * SPIKE_SHARE * _spiked(table)[star]
    rows = np.flatnonzero(share > 0.01)
    bulge = kind[rows] == "late"
    return _part(
        table,
        rows,
        pixels,
        colour,
        share[rows],
        re_px=pixels["re"][rows] * np.where(bulge, 0.35, 1.0),
        index=np.where(star[rows], LOWEST_INDEX, np.asarray(table["sersic_n"])[rows]),
        axis_ratio=np.where(
            bulge, 0.5 + 0.5 * np.asarray(table["axis_ratio"])[rows], table["axis_ratio"][rows]
        ),
    )


def _disc_share(table: Table) -> NDArray:
    """Share of the light outside the spheroid; shape (n,)."""
    late = np.asarray(table["kind"]) == "late"
    bulge = np.asarray(table["bulge"])
    return np.where(late, 1 - np.where(bulge > 0.01, bulge, 0), 0.0)


def _clumpy(table: Table, pixels: dict) -> NDArray:
    """Share of the disc's light in each clump: none where a galaxy is too small to show them."""
    resolved = (pixels["re"] > 4) & (np.asarray(table["kind"]) == "late")
    # In large nearby discs, single clumps are small beside the whole.
    share = (0.02 + 0.02 * np.asarray(table["young"])) * np.clip(12 / np.maximum(pixels["re"], 1), 0.1, 1)
    return np.where(resolved, share, 0.0)


def _discs(rng: np.random.Generator, table: Table, pixels: dict, colour: NDArray) -> dict:
    share = _disc_share(table) * (1 - _CLUMPS * _clumpy(table, pixels))
    rows = np.flatnonzero(share > 0)
    return _part(table, rows, pixels, colour, share[rows], index=1.0)


def _clumps(rng: np.random.Generator, table: Table, pixels: dict, colour: NDArray) -> dict:
    """One knot of young stars in each resolved disc, bluer than the disc."""
    share = _disc_share(table) * _clumpy(table, pixels)
    rows = np.flatnonzero(share > 0)
    along = np.radians(np.asarray(table["position_angle"])[rows])
    radius, azimuth = (
        pixels["re"][rows] * rng.gamma(2.0, 0.6, len(rows)),
        rng.uniform(0, 2 * np.pi, len(rows)),
    )
    major = radius * np.cos(azimuth)
    minor = radius * np.sin(azimuth) * np.asarray(table["axis_ratio"])[rows]
    bluer = np.array([band.wavelength_um for band in BANDS.values()])
    bluer = 1.2 * np.log10(bluer / bluer[F814])
    return _part(
        table,
        rows,
        pixels,
        colour + bluer,
        share[rows],
        x=pixels["x"][rows] - major * np.sin(along) - minor * np.cos(along),
        y=pixels["y"][rows] + major * np.cos(along) - minor * np.sin(along),
        re_px=np.clip(0.12 * pixels["re"][rows], 0.6, 3.0),
        index=LOWEST_INDEX,
        axis_ratio=1.0,
    )


def _beads(rng: np.random.Generator, table: Table, pixels: dict, colour: NDArray) -> dict:
    """Arcs as Gaussians side by side along a circle about the centre, of uneven brightness."""
    arcs = np.flatnonzero(np.asarray(table["kind"]) == "arc")
    rows = np.repeat(arcs, _BEADS)
    x, y = pixels["x"][rows], pixels["y"][rows]
    radius, azimuth = np.hypot(x, y), np.arctan2(y, x)
    along = np.tile(np.linspace(-1, 1, _BEADS), len(arcs))
    turned = azimuth + along * pixels["re"][rows] / np.maximum(radius, 1)
    weight = (1 - along**2 + 0.05) * rng.gamma(3.0, size=len(rows))
    share = weight / np.bincount(rows, weight, minlength=len(table))[rows]
    width = pixels["re"][rows] * np.asarray(table["axis_ratio"])[rows]
    return _part(
        table,
        rows,
        pixels,
        colour,
        share,
        x=radius * np.cos(turned),
        y=radius * np.sin(turned),
        re_px=np.maximum(width, 3.0 * pixels["re"][rows] / _BEADS),
        index=LOWEST_INDEX,
        axis_ratio=1.0,
    )


def _spiked(table: Table) -> NDArray:
    return (np.asarray(table["kind"]) == "star") & (np.asarray(table["magnitude"]) < SPIKE_LIMIT)


def _spikes(table: Table, pixels: dict, colour: NDArray, angle: float) -> dict:
    """One of the two diffraction spikes of bright stars, as a long thin Gaussian."""
    rows = np.flatnonzero(_spiked(table))
    share = np.full(len(rows), SPIKE_SHARE)
    length = SPIKE_ARCSEC / PIXEL_SCALE_ARCSEC
    return _part(
        table,
        rows,
        pixels,
        colour,
        share,
        re_px=length,
        index=LOWEST_INDEX,
        axis_ratio=0.02,
        position_angle=angle,
    )
