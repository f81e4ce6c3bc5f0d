"""What a detection pipeline takes for an extended source: clusters and everything that looks like one.

A candidate is drawn for given circumstances (pointing and place on the detectors). Every class has the same
detection limit in counts; how bright its members are above it, and what surrounds them, is the class's own.
Positions (x, y) are arcmin from the nominal pointing towards west and north.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.random import Generator

from labkit.instruments.epic import CAMERAS, PN
from labkit.simulate.numbers import read_numbers
from labkit.simulate.plates import OpticalScene
from labkit.simulate.xmm import (
    Pointing,
    Spurious,
    circumstances,
    draw_pointing,
    flux_limit,
    spurious_counts,
    streak_source,
)
from labkit.simulate.xray import (
    Cluster,
    Component,
    cluster_components,
    draw_agn_fluxes,
    draw_cluster,
    field_agn,
    galaxy_emission,
)

#: Around a place, arcmin, what must be exposed (x + iy); and range of the archive's pixels, arcsec.
RING, NATIVE_ARCSEC = 0.8 * np.exp(2j * np.pi * np.arange(12) / 12), (2.5, 4.4)
_TRIES = 48
#: What a catalogue says of a candidate's source; r500 in arcmin, core radius in arcsec.
TRUTH = ("redshift", "m500", "luminosity", "flux", "r500", "core_radius")


@dataclass(frozen=True)
class Candidate:
    """A drawn candidate, or what else its field holds."""

    components: list[Component]  # its X-ray sources
    scenes: list[OpticalScene]  # its optical counterparts; centres are arcsec from the candidate's position
    spurious: list[Spurious] = field(default_factory=list)  # its detector artefacts
    #: what is known about it: redshift, m500, luminosity, flux, r500 (arcmin), core_radius (arcsec)
    truth: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where a candidate was detected, how deep the observation is there, and where its source really is."""

    pointing: Pointing
    x: float
    y: float
    limit: float
    per_flux: float
    dx: float
    dy: float

    @property
    def offset(self) -> tuple[float, float]:
        return 60 * self.dx, 60 * self.dy

    @property
    def source(self) -> dict[str, float]:
        return {"x": self.x + self.dx, "y": self.y + self.dy}


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _point_flux(rng: Generator, place: _Place) -> float:
    """Faint ones after the number counts, and bright ones, which the pipeline resolves too easily."""
    if rng.random() < 0.5:
        return float(draw_agn_fluxes(rng, 1, faintest=place.limit)[0])
    return float(place.limit * np.exp(rng.uniform(np.log(2), np.log(60))))


def _points(
    rng: Generator,
    place: _Place,
    *,
    flux_law: Callable[[Generator, _Place], float],
    star: float,
    miscentred: float = 0.0,
    neighbours: float = 0.0,
    pair: bool = False,
) -> Candidate:
    """A point-like source whose counterpart is an active star with the chance `star`, else an AGN.

    The shift of `miscentred` of them is 9 arcsec and not 4; `neighbours` is the mean number of faint points
    within 0.8 arcmin; a pair is 10 to 30 arcsec apart.
    """
    if miscentred and rng.random() < miscentred:
        dx, dy = rng.normal(0, 9 / 60, 2)
        place = replace(place, dx=float(dx), dy=float(dy))
    fluxes, places = [flux_law(rng, place)], [place]
    if pair:
        fluxes.append(fluxes[0] * rng.uniform(0.25, 1.0))
        separation, direction = rng.uniform(10, 30) / 60, rng.uniform(0, 2 * np.pi)
        dx, dy = separation / 2 * np.array([np.cos(direction), np.sin(direction)])
        places = [
            replace(place, dx=float(place.dx + sign * dx), dy=float(place.dy + sign * dy)) for sign in (1, -1)
        ]
    components, scenes = [], []
    for at, flux in zip(places, fluxes, strict=True):
        components.append(Component(**at.source, flux=float(flux)))
        scenes.append(counterpart(rng, float(flux), at.offset, star))
    for _ in range(rng.poisson(neighbours) if neighbours else 0):
        distance, direction = rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi)
        x, y = place.x + distance * np.cos(direction), place.y + distance * np.sin(direction)
        faint = place.limit * rng.uniform(0.1, 0.5)
        components.append(Component(float(x), float(y), float(faint)))
    return Candidate(components, scenes, truth={"flux": float(sum(fluxes))})


def counterpart(rng: Generator, flux: float, centre: tuple[float, float], star: float = 0.0) -> OpticalScene:
    """Optical counterpart of a point source: an AGN, log(fX / fR) about 0, or an active star, about -2.5."""
    kind: Literal["star", "agn"] = "star" if rng.random() < star else "agn"
    ratio = rng.normal(-2.5, 0.6) if kind == "star" else rng.normal(0.0, 0.5)
    magnitude = float(np.clip(2.5 * (ratio - np.log10(flux) - 5.5), 5.0, 24.0))
    return OpticalScene(kind=kind, magnitude=magnitude, centre=centre)


def cluster_truth(cluster: Cluster, components: list[Component]) -> dict[str, float]:
    """What is known about a cluster, its gas first among the components."""
    truth = {name: getattr(cluster, name) for name in ("redshift", "m500", "luminosity", "flux")}
    return truth | {"r500": cluster.r500_arcmin, "core_radius": 60 * components[0].core}


def cluster_scene(cluster: Cluster, *, centre: tuple[float, float]) -> OpticalScene:
    """The optical side of a cluster centred (x, y) arcsec from the image centre."""
    return OpticalScene(
        kind="cluster",
        redshift=cluster.redshift,
        m500=cluster.m500,
        r500_arcmin=cluster.r500_arcmin,
        centre=centre,
        position_angle_deg=cluster.angle_deg - 90,
        axis_ratio=cluster.axis_ratio,
    )


def _cluster(rng: Generator, place: _Place, *, low_z: bool) -> Candidate:
    limit, _ = flux_limit(place.pointing, x=place.x, y=place.y, extended=True)
    cluster = draw_cluster(rng, low_z=low_z, flux_limit=limit, bright=rng.random() < 0.3)
    components = cluster_components(cluster, **place.source)
    scenes = [cluster_scene(cluster, centre=place.offset)]
    if rng.random() < 0.15:
        shift_x, shift_y = rng.normal(0, 0.5, 2)
        flux = cluster.flux * rng.uniform(0.05, 0.4)
        components.append(Component(place.x + shift_x, place.y + shift_y, flux))
        scenes.append(counterpart(rng, flux, (60 * shift_x, 60 * shift_y)))
    return Candidate(components, scenes, truth=cluster_truth(cluster, components))


def _galaxy(rng: Generator, place: _Place) -> Candidate:
    return draw_galaxy(rng, (place.x + place.dx, place.y + place.dy), place.offset, faintest=place.limit)


def draw_galaxy(
    rng: Generator, place: tuple[float, float], centre: tuple[float, float], *, faintest: float
) -> Candidate:
    """A nearby galaxy at a place (x, y), with its optical centre (x, y) in arcsec."""
    magnitude = float(np.clip(13.7 - rng.exponential(1.4), 8.0, None))
    size = float(10 ** ((20.6 - magnitude) / 5) / 2.5 * np.exp(rng.normal(0, 0.2)))
    shape = {"axis_ratio": float(rng.uniform(0.3, 1.0)), "angle_deg": float(rng.uniform(0, 180))}
    brightest = max(1.01 * faintest, 1.5e-13 * 10 ** (-0.4 * (magnitude - 12)))
    flux = _log_uniform(rng, faintest, brightest)
    scene = OpticalScene(
        kind="nearby galaxy",
        magnitude=magnitude,
        size_arcsec=size,
        centre=centre,
        axis_ratio=shape["axis_ratio"],
        position_angle_deg=shape["angle_deg"] - 90,
    )
    components = galaxy_emission(rng, x=place[0], y=place[1], flux=flux, size=size / 60, **shape)
    redshift = float(0.01 * 10 ** (0.2 * (magnitude - 13)) * np.exp(rng.normal(0, 0.3)))
    truth = {"flux": flux, "redshift": redshift, "core_radius": 0.7 * size}
    return Candidate(components, [scene], truth=truth)


def _artefact(rng: Generator, place: _Place) -> Candidate:
    """A detector flaw, or what a bright source nearby does: its read-out streak or the wing of its image."""
    table, source = read_numbers("survey")["assumed"]["artefacts"], None
    kind = str(rng.choice(list(table), p=[row["chance"] for row in table.values()]))
    if "counts" in table[kind]:
        counts = _log_uniform(rng, *table[kind]["counts"])
        flaw = spurious_counts(rng, place.pointing, kind=kind, x=place.x, y=place.y, counts=counts)
        return Candidate([], [OpticalScene(kind="none")], [flaw], truth={"flux": 0.0})
    if kind == "streak" and not place.pointing.out_of_time_subtracted:
        source = streak_source(rng, place.pointing, x=place.x, y=place.y)
    if source is not None:
        offset = 60 * (source.x - place.x), 60 * (source.y - place.y)
    else:
        distance, direction = rng.uniform(0.7, 2.2), rng.uniform(0, 2 * np.pi)
        step = distance * np.array([np.cos(direction), np.sin(direction)])
        flux = float(np.exp(rng.uniform(np.log(300), np.log(6000))) * distance / max(place.per_flux, 1e14))
        source = Component(float(place.x + step[0]), float(place.y + step[1]), flux)
        offset = tuple(60 * step)
    return Candidate([source], [counterpart(rng, source.flux, offset, star=0.5)], truth={"flux": 0.0})


def _edge(rng: Generator, place: _Place) -> Candidate:
    if rng.random() < 0.3:
        return _cluster(rng, place, low_z=bool(rng.random() < 0.5))
    return _KINDS["point source"](rng, place)


def _bright_flux(rng: Generator, place: _Place) -> float:
    return _log_uniform(rng, 5e-13, 1.5e-11)


_KINDS: dict[str, Callable[[Generator, _Place], Candidate]] = {
    "low-z cluster": partial(_cluster, low_z=True),
    "high-z cluster": partial(_cluster, low_z=False),
    "nearby galaxy": _galaxy,
    # Half of them are the miss-centred ones of XAmin 3.5 (Kosiba et al. 2020, section 2.2).
    "point source": partial(_points, flux_law=_point_flux, star=0.08, miscentred=0.5, neighbours=0.5),
    "star or AGN": partial(_points, flux_law=_bright_flux, star=0.5),
    "double source": partial(_points, flux_law=_point_flux, star=0.0, pair=True),
    "artefact": _artefact,
    "edge": _edge,
}


def draw_candidate(rng: Generator, true_class: str, pointing: Pointing, *, x: float, y: float) -> Candidate:
    """Draw a candidate of one of the experts' classes that was detected at a position."""
    limit, per_flux = flux_limit(pointing, x=x, y=y)
    dx, dy = rng.normal(0, 4 / 60, 2)
    return _KINDS[true_class](rng, _Place(pointing, x, y, limit, per_flux, float(dx), float(dy)))


def entries(pointing: Pointing, x: float, y: float, truth: dict[str, float]) -> dict[str, float]:
    """What a catalogue says of a candidate at a place: position, source, circumstances."""
    around = circumstances(pointing, x, y)
    return {name: around[name] for name in ("ra", "dec")} | dict.fromkeys(TRUTH, np.nan) | truth | around


def covered(pointing: Pointing, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether each detector position lies on a working chip of at least one camera."""
    return np.any([pointing.chip_of(camera, u, v) >= 0 for camera in CAMERAS], axis=0)


def draw_position(rng: Generator, pointing: Pointing, *, edge: bool = False) -> tuple[float, float]:
    """Draw the position of a candidate: spread over the field, a fifth of them around the aim point.

    It is the same for all classes but one: a candidate cut by the edge of the field has to lie there.
    """
    while True:
        distance = 13.5 * rng.random(_TRIES) ** 0.6
        near = rng.random(_TRIES) < 0.2
        distance = np.where(near, np.abs(rng.normal(0, 2.0, _TRIES)), distance)
        if edge:
            distance = rng.uniform(10, 17, _TRIES)
        angle = rng.uniform(0, 2 * np.pi, _TRIES)
        u, v = PN.axis[0] + distance * np.cos(angle), PN.axis[1] + distance * np.sin(angle)
        ring = covered(pointing, u[:, None] + RING.real, v[:, None] + RING.imag).mean(axis=1)
        good = (ring > 0.3) & (ring < 0.8) if edge else ring == 1
        if good.any():
            first = int(np.argmax(good))
            x, y = pointing.to_image(u[first], v[first])
            return float(x), float(y)


@dataclass(frozen=True)
class CandidateField:
    """A candidate with its circumstances and surroundings, before it is observed."""

    pointing: Pointing
    pixel_arcsec: float  # of the archive's X-ray image
    x: float  # position of the candidate
    y: float
    candidate: Candidate
    surroundings: Candidate  # what the field holds besides

    def row(self) -> dict[str, float]:
        """Catalogue entries; what does not apply to the candidate is NaN."""
        row = entries(self.pointing, self.x, self.y, self.candidate.truth)
        return row | {"native_pixel_scale": self.pixel_arcsec}


def draw_field(rng: Generator, true_class: str) -> CandidateField:
    """Draw a candidate and all that surrounds it; its circumstances come first, whatever its class."""
    pointing, pixel = draw_pointing(rng), float(rng.uniform(*NATIVE_ARCSEC))
    x, y = draw_position(rng, pointing, edge=true_class == "edge")
    around = _surroundings(rng, pointing, x, y)
    return CandidateField(pointing, pixel, x, y, draw_candidate(rng, true_class, pointing, x=x, y=y), around)


def _surroundings(rng: Generator, pointing: Pointing, x: float, y: float) -> Candidate:
    """What the field holds whatever the candidate is: AGN, a target cluster, minor detector flaws."""
    components, scenes, spurious = field_agn(rng, x=x, y=y, half=4.5), [], []
    if rng.random() < 0.25:
        limit = _log_uniform(rng, 1e-13, 8e-12)
        target = draw_cluster(rng, low_z=limit > 8e-13 or rng.random() < 0.6, flux_limit=limit)
        centre = np.asarray(pointing.to_image(*PN.axis)) + rng.normal(0, 1.2, 2)
        away = centre - (x, y)
        distance = float(np.hypot(*away))
        if distance < 2.0:
            away *= rng.uniform(2.0, 4.0) / distance
        if np.hypot(*away) < 3.5 + 1.5 * target.r500_arcmin:
            components += cluster_components(target, x=float(x + away[0]), y=float(y + away[1]))
            scenes.append(cluster_scene(target, centre=tuple(60 * away)))
    for _ in range(rng.poisson(0.12)):
        place = np.array([x, y]) + rng.uniform(-3.3, 3.3, 2)
        kind, counts = str(rng.choice(("column", "pixel"))), _log_uniform(rng, 8, 80)
        spurious.append(spurious_counts(rng, pointing, kind=kind, x=place[0], y=place[1], counts=counts))
    return Candidate(components, scenes, spurious)
