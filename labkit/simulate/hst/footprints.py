"""Where the infrared camera looked: squares, rolled on the sky, that cover less than the optical mosaic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.table import Row
from numpy.typing import NDArray

from labkit.simulate.hst.bands import IR_BANDS, MIXED_BANDS

#: Half a cut-out of 64 px and a pixel to spare: sources with spectra have whole cut-outs.
CUTOUT_HALF_PX = 33


@dataclass(frozen=True)
class Footprint:
    """A square about the field's centre."""

    side_px: float
    roll_deg: float  # angle by which it is turned

    def contains(self, x: NDArray, y: NDArray, *, margin: float = 0.0) -> NDArray:
        """Whether squares of half-side `margin`, with sides along x and y, lie within."""
        c, s = np.cos(np.radians(self.roll_deg)), np.sin(np.radians(self.roll_deg))
        reach = self.side_px / 2 - margin * (abs(c) + abs(s))
        return (np.abs(c * x + s * y) <= reach) & (np.abs(c * y - s * x) <= reach)


@dataclass(frozen=True)
class Zones:
    """The footprints of a field, and which of them a source falls into."""

    size_px: int  # side of the optical mosaic
    mixed: Footprint  # where F105 and F140 were taken
    complete: Footprint  # where the other infrared bands were

    def footprint(self, band: str) -> Footprint | None:
        """Footprint of a band; None where the whole mosaic was observed."""
        if band not in IR_BANDS:
            return None
        return self.mixed if band in MIXED_BANDS else self.complete

    def zone(self, x: NDArray, y: NDArray) -> NDArray:
        """Zone of each position, pixels from the field's centre.

        2: whole cut-out in all bands; 1: in the optical and the mixed ones, centre without the others; 0: in
        the optical, centre without any infrared band; -1: cut by an edge.
        """
        m = CUTOUT_HALF_PX
        whole = np.maximum(np.abs(x), np.abs(y)) < self.size_px / 2 - m
        mixed, complete = (f.contains(x, y, margin=m) for f in (self.mixed, self.complete))
        zone = np.full(np.shape(x), -1)
        zone[whole & ~self.mixed.contains(x, y)] = 0
        zone[whole & mixed & ~self.complete.contains(x, y)] = 1
        zone[whole & mixed & complete] = 2
        return zone


def draw_zones(rng: np.random.Generator, cluster: Row, *, size_px: int) -> Zones:
    """Draw the footprints of a cluster's field.

    The rolls are random. The sides follow from Table 1 of Angora et al. (2020): the share of non-members,
    which are spread evenly, with all bands of a configuration is the share of the field that has them. A side
    is at most 1.3 times that of the mosaic, so that corners stay dark.
    """
    roll = rng.uniform(8, 37)
    inner_roll = roll + rng.choice([-1, 1]) * rng.uniform(20, 30)
    frontier = bool(cluster["frontier_only"])
    share = 0.92 if frontier else cluster["mixed_non_members"] / cluster["acs_non_members"]
    axis = np.linspace(-size_px / 2, size_px / 2, 201)
    x, y = np.meshgrid(axis, axis)

    def inside(side: float) -> float:
        zone = Zones(size_px, Footprint(side, roll), Footprint(side, roll)).zone(x, y)
        return np.sum(zone == 2) / max(np.sum(zone >= 0), 1)

    mixed = Footprint(_solve(inside, min(share, 0.93), 0.2 * size_px, 1.3 * size_px), roll)
    kinds = ("members", "non_members")
    if frontier or all(cluster[f"all_{kind}"] == cluster[f"mixed_{kind}"] for kind in kinds):
        return Zones(size_px, mixed, mixed)
    share = min(cluster["all_non_members"] / cluster["mixed_non_members"], 0.96)

    def complete(side: float) -> float:
        zone = Zones(size_px, mixed, Footprint(side, inner_roll)).zone(x, y)
        return np.sum(zone == 2) / max(np.sum(zone >= 1), 1)

    side = _solve(complete, share, 0.2 * size_px, 1.3 * size_px)
    return Zones(size_px, mixed, Footprint(side, inner_roll))


def _solve(function: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a rising function takes a value, by bisection."""
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < value else (low, middle)
    return (low + high) / 2
