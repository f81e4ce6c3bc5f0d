"""What a detection pipeline takes for an extended source: clusters and everything that looks like one.

A candidate is drawn for given circumstances (pointing and place on the detectors). Every class has the same
detection limit in counts; how bright its members are above it, and what surrounds them, is the class's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from labkit.errors import InputError
from labkit.simulate.schmidt.scenes import OpticalScene
from labkit.simulate.sky.clusters import Cluster, cluster_components, draw_cluster
from labkit.simulate.sky.components import Component
from labkit.simulate.sky.xray_sources import draw_agn_fluxes, galaxy_emission
from labkit.simulate.xmm.artefacts import spurious_counts, streak_source
from labkit.simulate.xmm.depth import flux_limit
from labkit.simulate.xmm.events import Spurious
from labkit.simulate.xmm.pointing import Pointing

__all__ = ["CLASSES", "Candidate", "cluster_scene", "draw_candidate"]


@dataclass(frozen=True)
class Candidate:
    """A drawn candidate, or what else its field holds.

    Parameters
    ----------
    components : list of Component
        Its X-ray sources.
    scenes : list of OpticalScene
        Its optical counterparts; centres are in arcsec from the candidate's position.
    spurious : list of Spurious
        Its detector artefacts.
    truth : dict of str to float
        What is known about it: redshift, m500, luminosity, flux, r500_arcmin, core_arcsec.
    """

    components: list[Component]
    scenes: list[OpticalScene]
    spurious: list[Spurious] = field(default_factory=list)
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


def draw_candidate(
    rng: np.random.Generator, true_class: str, pointing: Pointing, *, x: float, y: float
) -> Candidate:
    """Draw a candidate of a class.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    true_class : str
        One of `CLASSES`.
    pointing : Pointing
        Circumstances of the observation.
    x, y : float
        Where it was detected, arcmin from the nominal pointing towards west and north.

    Returns
    -------
    Candidate
        Its sources, counterparts and artefacts.

    Raises
    ------
    InputError
        If the class is not one of `CLASSES`.
    """
    if true_class not in _DRAW:
        raise InputError(f"true_class must be one of {CLASSES}, got {true_class!r}")
    limit, per_flux = flux_limit(pointing, x=x, y=y)
    dx, dy = rng.normal(0, 4 / 60, 2)
    place = _Place(pointing, x, y, limit, per_flux, float(dx), float(dy))
    return _DRAW[true_class](rng, place)


def _cluster(rng: np.random.Generator, place: _Place, *, low_z: bool) -> Candidate:
    limit, _ = flux_limit(place.pointing, x=place.x, y=place.y, extended=True)
    cluster = draw_cluster(rng, low_z=low_z, flux_limit=limit, bright=rng.random() < 0.3)
    components = cluster_components(cluster, **place.source)
    scenes = [cluster_scene(cluster, centre=place.offset)]
    if rng.random() < 0.15:
        shift_x, shift_y = rng.normal(0, 0.5, 2)
        flux = cluster.flux * rng.uniform(0.05, 0.4)
        components.append(Component(place.x + shift_x, place.y + shift_y, flux))
        scenes.append(_counterpart(rng, flux, (60 * shift_x, 60 * shift_y)))
    truth = {
        name: getattr(cluster, name) for name in ("redshift", "m500", "luminosity", "flux", "r500_arcmin")
    }
    return Candidate(components, scenes, truth=truth | {"core_arcsec": 60 * components[0].core})


def _counterpart(
    rng: np.random.Generator, flux: float, centre: tuple[float, float], star: float = 0.0
) -> OpticalScene:
    """Optical counterpart of a point source: an AGN, log(fX / fR) about 0, or an active star, about -2.5."""
    kind = "star" if rng.random() < star else "agn"
    ratio = rng.normal(-2.5, 0.6) if kind == "star" else rng.normal(0.0, 0.5)
    magnitude = float(np.clip(2.5 * (ratio - np.log10(flux) - 5.5), 5.0, 24.0))
    return OpticalScene(kind=kind, magnitude=magnitude, centre=centre)


def _point_flux(rng: np.random.Generator, place: _Place) -> float:
    """Faint ones after the number counts, and bright ones, which the pipeline resolves too easily."""
    if rng.random() < 0.5:
        return float(draw_agn_fluxes(rng, 1, faintest=place.limit)[0])
    return float(place.limit * np.exp(rng.uniform(np.log(2), np.log(60))))


def _point(rng: np.random.Generator, place: _Place) -> Candidate:
    # Half of them are the miss-centred ones of XAmin 3.5 (Kosiba et al. 2020, section 2.2).
    if rng.random() < 0.5:
        dx, dy = rng.normal(0, 9 / 60, 2)
        place = replace(place, dx=float(dx), dy=float(dy))
    flux = _point_flux(rng, place)
    components = [Component(**place.source, flux=flux)]
    scenes = [_counterpart(rng, flux, place.offset, star=0.08)]
    for _ in range(rng.poisson(0.5)):
        distance, direction = rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi)
        near_x, near_y = place.x + distance * np.cos(direction), place.y + distance * np.sin(direction)
        components.append(Component(float(near_x), float(near_y), float(place.limit * rng.uniform(0.1, 0.5))))
    return Candidate(components, scenes, truth={"flux": flux})


def _bright(rng: np.random.Generator, place: _Place) -> Candidate:
    flux = float(np.exp(rng.uniform(np.log(5e-13), np.log(1.5e-11))))
    scenes = [_counterpart(rng, flux, place.offset, star=0.5)]
    return Candidate([Component(**place.source, flux=flux)], scenes, truth={"flux": flux})


def _double(rng: np.random.Generator, place: _Place) -> Candidate:
    first = _point_flux(rng, place)
    second = first * rng.uniform(0.25, 1.0)
    separation, direction = rng.uniform(10, 30) / 60, rng.uniform(0, 2 * np.pi)
    step = separation / 2 * np.array([np.cos(direction), np.sin(direction)])
    components, scenes = [], []
    for flux, sign in ((first, 1), (second, -1)):
        dx, dy = place.dx + sign * step[0], place.dy + sign * step[1]
        components.append(Component(float(place.x + dx), float(place.y + dy), float(flux)))
        scenes.append(_counterpart(rng, float(flux), (60 * dx, 60 * dy)))
    return Candidate(components, scenes, truth={"flux": float(first + second)})


def _galaxy(rng: np.random.Generator, place: _Place) -> Candidate:
    magnitude = float(np.clip(13.7 - rng.exponential(1.4), 8.0, None))
    size = float(10 ** ((20.6 - magnitude) / 5) / 2.5 * np.exp(rng.normal(0, 0.2)))
    shape = {"axis_ratio": float(rng.uniform(0.3, 1.0)), "angle_deg": float(rng.uniform(0, 180))}
    brightest = max(1.01 * place.limit, 1.5e-13 * 10 ** (-0.4 * (magnitude - 12)))
    flux = float(np.exp(rng.uniform(np.log(place.limit), np.log(brightest))))
    scene = OpticalScene(
        kind="nearby galaxy",
        magnitude=magnitude,
        size_arcsec=size,
        centre=place.offset,
        axis_ratio=shape["axis_ratio"],
        position_angle_deg=shape["angle_deg"] - 90,
    )
    components = galaxy_emission(rng, **place.source, flux=flux, size=size / 60, **shape)
    redshift = float(0.01 * 10 ** (0.2 * (magnitude - 13)) * np.exp(rng.normal(0, 0.3)))
    return Candidate(
        components, [scene], truth={"flux": flux, "redshift": redshift, "core_arcsec": 0.7 * size}
    )


def _artefact(rng: np.random.Generator, place: _Place) -> Candidate:
    """A detector flaw, or what a bright source nearby does: its read-out streak or the wing of its image."""
    kind = rng.choice(
        ("column", "pixel", "arc", "chip", "streak", "wing"), p=(0.2, 0.1, 0.2, 0.15, 0.15, 0.2)
    )
    if kind == "streak" and not place.pointing.out_of_time_subtracted:
        source = streak_source(rng, place.pointing, x=place.x, y=place.y)
        if source is not None:
            scene = _counterpart(
                rng, source.flux, (60 * (source.x - place.x), 60 * (source.y - place.y)), star=0.5
            )
            return Candidate([source], [scene], truth={"flux": 0.0})
    if kind in ("wing", "streak"):
        distance, direction = rng.uniform(0.7, 2.2), rng.uniform(0, 2 * np.pi)
        step = distance * np.array([np.cos(direction), np.sin(direction)])
        flux = float(np.exp(rng.uniform(np.log(300), np.log(6000))) * distance / max(place.per_flux, 1e14))
        scene = _counterpart(rng, flux, tuple(60 * step), star=0.5)
        return Candidate(
            [Component(float(place.x + step[0]), float(place.y + step[1]), flux)],
            [scene],
            truth={"flux": 0.0},
        )
    low, high = {"column": (40, 500), "pixel": (30, 200), "arc": (10, 60), "chip": (6, 40)}[kind]
    counts = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    spurious = spurious_counts(rng, place.pointing, kind=str(kind), x=place.x, y=place.y, counts=counts)
    return Candidate([], [OpticalScene(kind="none")], [spurious], truth={"flux": 0.0})


def _edge(rng: np.random.Generator, place: _Place) -> Candidate:
    if rng.random() < 0.3:
        return _cluster(rng, place, low_z=bool(rng.random() < 0.5))
    return _point(rng, place)


_DRAW: dict[str, Callable[[np.random.Generator, _Place], Candidate]] = {
    "low-z cluster": lambda rng, place: _cluster(rng, place, low_z=True),
    "high-z cluster": lambda rng, place: _cluster(rng, place, low_z=False),
    "nearby galaxy": _galaxy,
    "point source": _point,
    "star or AGN": _bright,
    "double source": _double,
    "artefact": _artefact,
    "edge": _edge,
}

#: The classes that take part in the schemes, in the experts' words.
CLASSES = tuple(_DRAW)
