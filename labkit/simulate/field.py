"""The sky of a whole XMM-Newton field: all that a search may come upon, as dense as observed, or denser.

Positions are arcmin from the nominal pointing towards west (x) and north (y); `survey.toml` has the numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from labkit.instruments.epic import PN
from labkit.simulate.numbers import read_numbers
from labkit.simulate.plates import OpticalScene
from labkit.simulate.xmm import Pointing, Spurious, spurious_counts
from labkit.simulate.xray import (
    Component,
    cluster_components,
    cluster_counts,
    draw_agn_fluxes,
    draw_cluster,
    field_agn,
    galaxy_emission,
)

Place = tuple[float, float]


@dataclass(frozen=True)
class SkySource:
    """Something in a field."""

    kind: str  # "cluster", "target cluster", "nearby galaxy", "AGN", "star", or "artefact"
    place: Place
    components: list[Component]
    scenes: list[OpticalScene] = field(default_factory=list)  # centres are arcsec from the nominal pointing
    flaw: Spurious | None = None  # what an artefact is
    #: what is known about it: redshift, m500, luminosity, flux, r500 (arcmin), core_radius (arcsec)
    truth: dict[str, float] = field(default_factory=dict)
    #: by which it counts for a mix as on the sky: one over the enrichment, or 0 for what only enriches
    weight: float = 1.0

    @property
    def flux(self) -> float:
        """Flux in erg/s/cm2; 0 of an artefact."""
        return self.truth.get("flux", 0.0)


def parts_of(sources: list[SkySource]) -> tuple[list[Component], list[Spurious]]:
    """The components of sources, and their flaws, each in order."""
    components = [part for source in sources for part in source.components]
    return components, [source.flaw for source in sources if source.flaw is not None]


def draw_sources(rng: Generator, pointing: Pointing, *, enriched: bool = False) -> list[SkySource]:
    """Everything in the square that holds the field of view.

    As dense as on the sky, about a bright cluster as the target of the observation; or enriched in what a
    search calls extended and the sky is short of, such targets in a share of the fields.
    """
    numbers = read_numbers("survey")["field"]
    more = numbers["enriched"] if enriched else dict.fromkeys(numbers["enriched"], 0.0)
    half = numbers["half"]

    def places(mean: float) -> Iterator[Place]:
        for _ in range(rng.poisson(mean)):
            x, y = rng.uniform(-half, half, 2).tolist()
            yield x, y

    area, times = (2 * half / 60) ** 2, more["clusters"] or 1.0
    faintest, bright = numbers["faintest_cluster"], {"flux_limit": numbers["bright_cluster"], "bright": True}
    sources = []
    if rng.random() < (more["targets"] if enriched else 1):
        aim = np.asarray(pointing.to_image(*PN.axis)) + rng.normal(0, 1.2, 2)
        target = _cluster(rng, (float(aim[0]), float(aim[1])), weight=0.0, **bright)
        sources.append(replace(target, kind="target cluster"))
    for place in places(times * area * cluster_counts(faintest)):
        sources.append(_cluster(rng, place, weight=1 / times, flux_limit=faintest))
    for place in places(more["bright_clusters"]):
        sources.append(_cluster(rng, place, weight=0.0, **bright))
    for agn in field_agn(rng, x=0.0, y=0.0, half=half):
        sources.append(_point(rng, (agn.x, agn.y), agn.flux, star=numbers["stars"]))
    for place in places(more["bright_points"]):
        flux = float(np.exp(rng.uniform(*np.log(numbers["bright_point"]))))
        sources.append(_point(rng, place, flux, star=0.5, weight=0.0))
    for place in places(more["pairs"]):
        flux = float(draw_agn_fluxes(rng, 1, faintest=numbers["pair"])[0])
        separation, direction = rng.uniform(10, 30) / 60, rng.uniform(0, 2 * np.pi)
        second = place[0] + separation * np.cos(direction), place[1] + separation * np.sin(direction)
        sources.append(_point(rng, place, flux, weight=0.0))
        sources.append(_point(rng, second, flux * rng.uniform(0.25, 1.0), weight=0.0))
    density = numbers["galaxies"] * area
    for place in places(density + more["galaxies"]):
        sources.append(_galaxy(rng, place, weight=density / (density + more["galaxies"])))
    for place in places(numbers["flaws"] + more["flaws"]):
        weight = numbers["flaws"] / (numbers["flaws"] + more["flaws"])
        sources.append(_flaw(rng, pointing, place, weight=weight))
    return sources


def _arcsec(place: Place) -> Place:
    return 60 * place[0], 60 * place[1]


def _cluster(
    rng: Generator, place: Place, *, weight: float, flux_limit: float, bright: bool = False
) -> SkySource:
    cluster = draw_cluster(rng, flux_limit=flux_limit, bright=bright)
    parts = cluster_components(cluster, x=place[0], y=place[1])
    truth = {name: getattr(cluster, name) for name in ("redshift", "m500", "luminosity", "flux")}
    truth |= {"r500": cluster.r500_arcmin, "core_radius": 60 * parts[0].core}
    scene = OpticalScene(
        kind="cluster",
        redshift=cluster.redshift,
        m500=cluster.m500,
        r500_arcmin=cluster.r500_arcmin,
        centre=_arcsec(place),
        position_angle_deg=cluster.angle_deg - 90,
        axis_ratio=cluster.axis_ratio,
    )
    return SkySource("cluster", place, parts, [scene], truth=truth, weight=weight)


def _point(rng: Generator, place: Place, flux: float, *, star: float = 0.0, weight: float = 1.0) -> SkySource:
    scenes = []
    if flux > read_numbers("survey")["field"]["visible"]:
        scenes.append(_counterpart(rng, flux, _arcsec(place), star))
    kind = "star" if scenes and scenes[0].kind == "star" else "AGN"
    return SkySource(kind, place, [Component(*place, flux)], scenes, truth={"flux": flux}, weight=weight)


def _counterpart(rng: Generator, flux: float, centre: Place, star: float) -> OpticalScene:
    """Optical counterpart of a point source: an AGN, log(fX / fR) about 0, or an active star, about -2.5."""
    kind: Literal["star", "agn"] = "star" if rng.random() < star else "agn"
    ratio = rng.normal(-2.5, 0.6) if kind == "star" else rng.normal(0.0, 0.5)
    magnitude = float(np.clip(2.5 * (ratio - np.log10(flux) - 5.5), 5.0, 24.0))
    return OpticalScene(kind=kind, magnitude=magnitude, centre=centre)


def _galaxy(rng: Generator, place: Place, *, weight: float) -> SkySource:
    """A nearby galaxy: its magnitude, then its size, shape, and X-ray flux."""
    faintest = read_numbers("survey")["field"]["galaxy"]
    magnitude = float(np.clip(13.7 - rng.exponential(1.4), 8.0, None))
    size = float(10 ** ((20.6 - magnitude) / 5) / 2.5 * np.exp(rng.normal(0, 0.2)))
    shape = {"axis_ratio": float(rng.uniform(0.3, 1.0)), "angle_deg": float(rng.uniform(0, 180))}
    brightest = max(1.01 * faintest, 1.5e-13 * 10 ** (-0.4 * (magnitude - 12)))
    flux = float(np.exp(rng.uniform(np.log(faintest), np.log(brightest))))
    scene = OpticalScene(
        kind="nearby galaxy",
        magnitude=magnitude,
        size_arcsec=size,
        centre=_arcsec(place),
        axis_ratio=shape["axis_ratio"],
        position_angle_deg=shape["angle_deg"] - 90,
    )
    parts = galaxy_emission(rng, x=place[0], y=place[1], flux=flux, size=size / 60, **shape)
    redshift = float(0.01 * 10 ** (0.2 * (magnitude - 13)) * np.exp(rng.normal(0, 0.3)))
    truth = {"flux": flux, "redshift": redshift, "core_radius": 0.7 * size}
    return SkySource("nearby galaxy", place, parts, [scene], truth=truth, weight=weight)


def _flaw(rng: Generator, pointing: Pointing, place: Place, *, weight: float) -> SkySource:
    kinds = read_numbers("survey")["assumed"]["artefacts"]
    chance = np.array([row["chance"] for row in kinds.values()])
    kind = str(rng.choice(list(kinds), p=chance / chance.sum()))
    counts = float(np.exp(rng.uniform(*np.log(kinds[kind]["counts"]))))
    flaw = spurious_counts(rng, pointing, kind=kind, x=place[0], y=place[1], counts=counts)
    return SkySource("artefact", place, [], flaw=flaw, weight=weight)
