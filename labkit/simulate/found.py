"""Candidates that were found: what the finder calls extended on simulated fields, and what lies there.

Fields are simulated whole and searched as `labkit.find_candidates` does. What a detection is, the counts
within its fitted extent say, by a rule whose numbers are those of ``[found]`` in `survey.toml`:

* sources that are not significant against the background there: "background fluctuation";
* counts that flaws of the detectors, the read-out of bright sources elsewhere or the outskirts of their
  images put there are those of one source, an "artefact";
* the source with most counts, if it has half of those of all sources; else "blend";
* two points, close and of comparable counts, are one source, a "double source"; a bright point is "star or
  AGN";
* whatever is cut by the edge of the field of view or a wide gap is "edge".
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.instruments.epic import CAMERAS, summed_exposure
from labkit.simulate.field import SkySource, draw_sources, parts_of
from labkit.simulate.numbers import read_numbers
from labkit.simulate.plates import OpticalScene
from labkit.simulate.scan import scan_image
from labkit.simulate.xmm import FLAWS, Events, Grid, Pointing, draw_pointing, exposure_map, observe
from labkit.simulate.xray import LOW_Z
from labkit.tables import need_columns, read_catalogue

#: Columns of a recipe that a survey needs.
NEEDED = (
    "field", "x", "y", "counts", "extent", "extension_likelihood", "detection_likelihood", "c1", "candidate",
    "true_class", "seen_as", "source", "weight",
)  # fmt: skip
#: The image that is searched: that of an archive.
SEARCHED = Grid(0.0, 0.0, size=512, pixel_arcmin=4.35 / 60)
#: Around a place, arcmin, what must be exposed (x + iy).
_RING = 0.8 * np.exp(2j * np.pi * np.arange(12) / 12)
#: Distance (arcmin) within which sources, beyond the radius of a cluster, matter to a cut-out of 7 arcmin.
_NEAR = 5.5


@dataclass(frozen=True)
class Verdict:
    """What a detection is."""

    true_class: str
    seen_as: (
        str  # an expert's class: of a blend that of its strongest part, an artefact where there is nothing
    )
    source: int  # row of the source with most counts there; -1 without one
    counts: float  # of sources within the aperture
    significance: float  # of those, in standard deviations of all counts there
    share: float  # of that source's counts among them


@dataclass(frozen=True)
class Field:
    """One simulated observation, event by event, and what is in it."""

    pointing: Pointing
    sources: list[SkySource]
    events: Events

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Row of the source that each event came from, shape (n,); -1 for the background."""
        of_component = np.repeat(np.arange(len(self.sources)), [len(s.components) for s in self.sources])
        of_flaw = np.flatnonzero([s.flaw is not None for s in self.sources])
        origin = self.events.origin
        owner, sky, flawed = np.full(len(origin), -1), origin >= 0, origin <= FLAWS
        owner[sky] = of_component[origin[sky]]
        owner[flawed] = of_flaw[FLAWS - origin[flawed]]
        return owner

    def scenes(self, x: float, y: float) -> list[OpticalScene]:
        """The optical side of all sources as seen from a place."""
        return [
            replace(scene, centre=(scene.centre[0] - 60 * x, scene.centre[1] - 60 * y))
            for source in self.sources
            for scene in source.scenes
            if self._near(source, x, y)
        ]

    def summed(self, grid: Grid) -> NDArray[np.float32]:
        """Counts of the three cameras on a grid, shape (y, x)."""
        return np.sum([self.events.image(camera, grid) for camera in CAMERAS], axis=0)

    def exposure(self, grid: Grid) -> NDArray[np.float32]:
        """Exposure as `labkit.instruments.epic.summed_exposure` gives it, shape (y, x)."""
        return summed_exposure([exposure_map(self.pointing, camera, grid) for camera in CAMERAS])

    def scan(self, rng: Generator, x: float, y: float, grid: Grid) -> NDArray[np.float32]:
        """Counts of a telescope that scans the same sky, on a grid about a place."""
        components, flaws = parts_of([source for source in self.sources if self._near(source, x, y)])
        return scan_image(rng, components, self.pointing, grid, spurious=flaws)

    def _near(self, source: SkySource, x: float, y: float) -> bool:
        distance = np.hypot(source.place[0] - x, source.place[1] - y)
        return bool(distance < _NEAR + source.truth.get("r500", 0.0))

    def images(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Counts and exposure of each camera on `SEARCHED`, (camera, y, x)."""
        counts = np.stack([self.events.image(camera, SEARCHED) for camera in CAMERAS])
        return counts, np.stack([exposure_map(self.pointing, camera, SEARCHED) for camera in CAMERAS])

    def verdict(self, x: float, y: float, extent_arcsec: float) -> Verdict:
        """What was detected at a place (arcmin) with a fitted core radius."""
        rule = read_numbers("survey")["found"]
        least, most, added = rule["aperture"]
        radius = float(np.clip(np.sqrt(3) * extent_arcsec + added, least, most)) / 60
        within = np.hypot(self.events.x - x, self.events.y - y) < radius
        owner, weight = self.owner[within], self.events.weight[within].astype(float)
        late, total = self.events.late[within] & (owner >= 0), float(np.abs(weight).sum())
        n, known = len(self.sources), owner >= 0
        direct = np.bincount(owner[known & ~late], weight[known & ~late], n)
        streaks = np.bincount(owner[late], weight[late], n)
        wings, far = np.zeros(n), radius + rule["wings"] / 60
        for row in np.flatnonzero(direct).tolist():
            source = self.sources[row]
            if source.flaw is None and np.hypot(source.place[0] - x, source.place[1] - y) > far:
                wings[row], direct[row] = direct[row], 0.0
        flawed = np.array([source.kind == "artefact" for source in self.sources], dtype=bool)
        artefacts = streaks + wings + np.where(flawed, direct, 0.0)
        direct[flawed] = 0.0
        seen = float(direct.sum() + artefacts.sum())
        significance = seen / np.sqrt(max(total, 1.0))
        if significance < rule["significance"]:
            return Verdict("background fluctuation", "artefact", -1, seen, significance, 0.0)
        row = int(np.argmax(direct if direct.max() > artefacts.sum() else artefacts))
        seen_as, counts = self._class(row, direct, float(artefacts.sum()), rule)
        seen_as = seen_as if self._exposed(x, y) >= rule["exposed"] else "edge"
        share = counts / seen
        true_class = seen_as if share >= rule["share"] or seen_as == "edge" else "blend"
        return Verdict(true_class, seen_as, row, seen, significance, share)

    def _class(self, row: int, direct: NDArray, artefacts: float, rule: dict[str, Any]) -> tuple[str, float]:
        """What the strongest source, or all artefacts in sum, are, and their counts."""
        source = self.sources[row]
        if artefacts >= direct[row]:
            return "artefact", artefacts
        if source.kind in ("cluster", "target cluster"):
            near = source.truth["redshift"] < LOW_Z
            return "low-z cluster" if near else "high-z cluster", float(direct[row])
        if source.kind == "nearby galaxy":
            return source.kind, float(direct[row])
        close = [
            other
            for other in np.flatnonzero(direct > rule["second"] * direct[row]).tolist()
            if other != row
            and self.sources[other].kind in ("AGN", "star")
            and 60 * np.hypot(*np.subtract(self.sources[other].place, source.place)) < rule["separation"]
        ]
        if close:
            return "double source", float(direct[[row, *close]].sum())
        return "star or AGN" if source.flux > rule["bright"] else "point source", float(direct[row])

    def _exposed(self, x: float, y: float) -> float:
        """Share of a ring about a place that at least one camera sees."""
        u, v = self.pointing.to_detector(x + _RING.real, y + _RING.imag)
        return float(np.any([self.pointing.chip_of(camera, u, v) >= 0 for camera in CAMERAS], axis=0).mean())


def draw_found_field(seed: int, number: int) -> Field:
    """Field of a survey by its number: the same whenever it is drawn."""
    rng = default_rng(SeedSequence(seed, spawn_key=(number,)))
    pointing = draw_pointing(rng)
    sources = draw_sources(rng, pointing, enriched=True)
    components, flaws = parts_of(sources)
    return Field(pointing, sources, observe(rng, components, pointing, SEARCHED, spurious=flaws))


def read_recipe(path: str | Path | None = None, *, listed: bool = False) -> Table:
    """Candidates that were found, as by `labkit.finder.search_fields`; by default those of this package.

    ``meta`` holds the seed of their fields (`draw_found_field`) and how many were searched. With `listed`
    also a few sources a field that the finder lists as no candidates.
    """
    path = path or Path(__file__).with_name("found.parquet")
    found = read_catalogue(path)
    need_columns(found, NEEDED, f"recipe {str(path)!r}", hint="write one with labkit simulate recipe")
    for name in ("seed", "fields"):
        if not isinstance(found.meta.get(name), int):
            raise InputError(
                f"recipe {str(path)!r} must hold {name!r} as a whole number in its meta, got "
                f"{found.meta.get(name)!r}; write one with labkit simulate recipe"
            )
    return found if listed else found[found["candidate"]]
