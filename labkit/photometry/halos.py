"""The halos of the brightest galaxies, modelled so that what lies in them can be found and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import sep
from numpy.typing import NDArray

from labkit.photometry.detection import Detected, Frame, above, numbered

#: A halo is modelled out to this many AUTO half axes.
_REACH = 3.0
_ANNULI = 80
#: A source in a halo must be this share of all light in its pixels; what is less is left over by the model.
_LEAST_SHARE = 0.1
#: A source nearer than this to a halo's centre, pixels, is the halo's own core.
_CORE = 4.0
#: Standard deviation of the window in which a core is centred, in those of the source.
_WINDOW = 0.25


def centred(found: Detected, halos: NDArray[np.bool_]) -> Detected:
    """Halos at their cores and in the shape of an inner isophote.

    Neighbours that are not yet separated pull the centre of all light, and the cells of the fine background
    cut into the outskirts.
    """
    objects = found.objects.copy()
    peak = (objects[halos][name].astype(float) for name in ("xcpeak", "ycpeak"))
    window = np.maximum(_WINDOW * objects["a"][halos], 2.0)
    objects["x"][halos], objects["y"][halos], _ = sep.winpos(found.wide, *peak, window, mask=found.lost)
    for row in np.flatnonzero(halos):
        y, x = np.nonzero(found.segments == row + 1)
        light = found.wide[y, x]
        inner = light >= np.median(light)
        (minor, major), axes = np.linalg.eigh(np.cov(x[inner], y[inner]))
        objects["b"][row] = objects["a"][row] * np.sqrt(minor / major)
        objects["theta"][row] = np.arctan(axes[1, 1] / axes[0, 1]) if axes[0, 1] else np.pi / 2
    return replace(found, objects=objects)


def ellipse_profile(
    image: NDArray, use: NDArray[np.bool_], radius: NDArray, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median brightness in elliptical annuli, falling to 0 at the last."""
    edges = np.concatenate([[0.0], np.geomspace(1.0, max(reach, 2.0), _ANNULI)])
    values, bins = image[use], np.searchsorted(edges, radius[use], side="right") - 1
    order = np.argsort(bins, kind="stable")
    parts = np.split(values[order], np.searchsorted(bins[order], np.arange(1, len(edges))))[: len(edges) - 1]
    filled = [number for number, part in enumerate(parts) if len(part)]
    middle = 0.5 * (edges[1:] + edges[:-1])[filled]
    if not filled:
        return middle, np.zeros(0)
    profile = np.minimum.accumulate([float(np.median(parts[number])) for number in filled])
    return middle, np.maximum(profile - profile[-1], 0)


def without_halos(
    frames: Mapping[str, Frame], found: Detected, halos: NDArray[np.bool_], half_axis: NDArray, *, mesh: int
) -> dict[str, Frame]:
    """Frames whose fine image has the halos taken out, brightest first, and then the fine background.

    Each halo is the median profile of the band in ellipses of the source's centre, axis ratio and direction,
    other sources masked; isophotes that twist leave a remainder, which the fine background follows.
    """
    order = np.flatnonzero(halos)[np.argsort(-found.objects["flux"][halos], kind="stable")]
    clean = {band: one.wide.copy() for band, one in frames.items()}
    for row in order:
        box, radius = _ellipses(found, row, _REACH * half_axis[row])
        own = np.isin(found.segments[box], (0, row + 1)) & (radius <= _REACH * half_axis[row])
        for band, one in frames.items():
            image = clean[band][box]
            middle, profile = ellipse_profile(image, own & ~one.lost[box], radius, _REACH * half_axis[row])
            if len(middle):
                model = np.interp(radius, middle, profile, right=0.0)
                clean[band][box] = np.where(one.lost[box], 0, image - model).astype(np.float32)
    return {
        band: replace(one, fine=above(clean[band], one.lost, mesh)) if not one.lost.all() else one
        for band, one in frames.items()
    }


def _ellipses(found: Detected, row: int, reach: float) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """The square around a source and the elliptical radius (along a) of its pixels."""
    source = found.objects[row]
    height, width = found.segments.shape
    y0, y1 = max(0, int(source["y"] - reach)), min(height, int(source["y"] + reach) + 2)
    x0, x1 = max(0, int(source["x"] - reach)), min(width, int(source["x"] + reach) + 2)
    y, x = np.mgrid[y0:y1, x0:x1]
    dx, dy = x - source["x"], y - source["y"]
    cos, sin = np.cos(source["theta"]), np.sin(source["theta"])
    ratio = max(float(source["b"] / source["a"]), 0.2)
    return (slice(y0, y1), slice(x0, x1)), np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / ratio)


def joined(first: Detected, halos: NDArray[np.bool_], second: Detected) -> Detected:
    """Halos of the first detection and what the second found without them."""
    keep = _real(second, first.wide)
    for row in np.flatnonzero(halos):
        away = np.hypot(*(second.objects[c] - first.objects[c][row] for c in ("x", "y")))
        keep &= away > _CORE
    objects = np.concatenate([first.objects[halos], second.objects[keep]])
    own = numbered(first.segments, halos, start=1)
    others = numbered(second.segments, keep, start=1 + int(halos.sum()))
    whole = np.where(others > 0, others, own)
    return replace(second, objects=objects, segments=whole, bare=others, wide=first.wide)


def _real(found: Detected, whole: NDArray) -> NDArray[np.bool_]:
    """Whether each source is a fair share of all light in its pixels."""
    count, flat = len(found.objects), found.segments.ravel()
    own = np.bincount(flat, found.fine.ravel(), minlength=count + 1)[1:]
    total = np.bincount(flat, whole.ravel(), minlength=count + 1)[1:]
    return own > _LEAST_SHARE * total
