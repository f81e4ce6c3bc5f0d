"""The fifteen clusters of Angora et al. (2020), Table 1: place, mass, radius, and where the cameras looked.

The infrared camera saw squares, rolled on the sky, that cover less than the optical mosaic.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, Row, join
from astropy.units import Quantity
from numpy.random import Generator
from numpy.typing import NDArray

from labkit.cosmology import COSMOLOGY, r200
from labkit.errors import InputError
from labkit.paths import shipped_folder
from labkit.simulate.hst.bands import IR_BANDS, MIXED_BANDS

#: Half a cut-out of 64 px and a pixel to spare: sources with spectra have whole cut-outs.
CUTOUT_HALF_PX = 33


def clash_clusters() -> QTable:
    """The fifteen clusters: redshifts and numbers of spectra as published, places and masses assumed."""
    table = QTable.read(shipped_folder("data/published") / "angora2020_table1.ecsv", format="ascii.ecsv")
    ours = QTable.read(Path(__file__).with_name("clusters.ecsv"), format="ascii.ecsv")
    table = join(table, ours, keys="short", keep_order=True, metadata_conflicts="silent")
    known = table["m200c"].value
    # An assumption for the others: as the root of the number of spectra.
    spectra = np.maximum(table["acs_members"], table["mixed_members"])
    of_spectra = np.round(15 * np.sqrt(np.asarray(spectra) / 150), 1)
    table["m200c"] = np.where(np.isnan(known), of_spectra, known) * 1e14 * u.M_sun
    notes = ("assumed, of the size of weak-lensing masses", "assumed, from the number of spectra")
    table["m200c_note"] = np.where(np.isnan(known), *notes[::-1])
    table["r200"] = r200(table["m200c"], table["redshift"])
    return table


def velocity_dispersion(m200c: Quantity, redshift: float) -> float:
    """Dispersion along the line of sight, km/s, of a halo's matter (Evrard et al. 2008, ApJ 672, 122)."""
    mass = float((m200c / (1e15 * u.M_sun)).to_value(u.one))
    return 1082.9 * (float(COSMOLOGY.H(redshift).value) / 100 * mass) ** 0.3361


def pick_clusters(names: Iterable[str] | None) -> QTable:
    """Rows of `clash_clusters` by short name, in the order asked for; all for None."""
    table = clash_clusters()
    known = [str(name) for name in table["short"]]
    asked = known if names is None else [names] if isinstance(names, str) else list(names)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(known):
        raise InputError(f"clusters must be different names out of {tuple(known)}, got {tuple(asked)}")
    return table[[known.index(name) for name in asked]]


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


def draw_zones(rng: Generator, cluster: Row, *, size_px: int) -> Zones:
    """Draw the footprints of a cluster's field.

    The rolls are random. The sides follow from Table 1 of Angora et al. (2020): the share of non-members,
    which are spread evenly, with all bands of a configuration is the share of the field that has them. A side
    is at most 1.3 times that of the mosaic, so that corners stay dark.
    """
    roll = rng.uniform(8, 37)
    inner_roll = roll + rng.choice([-1, 1]) * rng.uniform(20, 30)
    axis = np.linspace(-size_px / 2, size_px / 2, 201)
    x, y = np.meshgrid(axis, axis)

    def square_with(share: float, roll: float, outer: Footprint | None = None) -> Footprint:
        """By bisection: a square that holds this share of the mosaic, or of another one inside it."""
        low, high = 0.2 * size_px, 1.3 * size_px
        for _ in range(30):
            square = Footprint((low + high) / 2, roll)
            zone = Zones(size_px, outer or square, square).zone(x, y)
            found = np.sum(zone == 2) / max(np.sum(zone >= (1 if outer else 0)), 1)
            low, high = (square.side_px, high) if found < share else (low, square.side_px)
        return Footprint((low + high) / 2, roll)

    frontier = bool(cluster["frontier_only"])
    share = 0.92 if frontier else cluster["mixed_non_members"] / cluster["acs_non_members"]
    mixed = square_with(min(share, 0.93), roll)
    kinds = ("members", "non_members")
    if frontier or all(cluster[f"all_{kind}"] == cluster[f"mixed_{kind}"] for kind in kinds):
        return Zones(size_px, mixed, mixed)
    share = min(cluster["all_non_members"] / cluster["mixed_non_members"], 0.96)
    return Zones(size_px, mixed, square_with(share, inner_roll, mixed))
