"""Clusters with cool, weak and non-cool cores, seen as by Chandra (Su et al. 2020).

The class follows from the central cooling time, and that from the gas (`labkit.simulate.gas`). What a merger
or a jet does to the gas goes with its entropy or cooling time, and only so with the class. Orientation,
counts and background are drawn alike for all; the exposure follows from the counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import special_ortho_group
from tqdm.auto import tqdm

from labkit.cooling import CORE_RADIUS, core_classes
from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError, need_choice
from labkit.instruments import PointSpread
from labkit.processes import run_tasks
from labkit.sample import Sample, collect
from labkit.simulate.gas import Gas, entropy_scale, hydrostatic_gas
from labkit.simulate.numbers import check_whole, read_numbers
from labkit.simulate.projection import project

_CHUNK = 8
_DEPTH = 2.0  # R500 to which the gas is seen in front and behind
_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "m500": u.M_sun,
    "r500": u.kpc,
    "k0": u.keV * u.cm**2,
    "ne": u.cm**-3,
    "kt": u.keV,
    "t_cool": u.Gyr,
    "peak_offset": u.kpc,
    "inclination": u.deg,
    "position_angle": u.deg,
    "exposure": u.ks,
    "background": u.ct / u.arcmin**2,
    "luminosity": u.erg / u.s,
}


@dataclass(frozen=True)
class _Body:
    """Gas in ellipsoidal shells about a centre; the root of its emissivity, which adds as densities do."""

    gas: Gas
    centre: NDArray[np.float64]  # (3,), kpc
    axes: NDArray[np.float64] = field(default_factory=lambda: np.ones(3))  # of product 1

    @cached_property
    def _table(self) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32, np.float32]:
        """The root and its differences at radii even in their logarithm, of which the first and the step."""
        roots = np.sqrt(self.gas.emissivity).astype(np.float32)
        first, last = np.log(self.gas.radius[[0, -1]])
        return roots, np.diff(roots), np.float32(first), np.float32((last - first) / (len(roots) - 1))

    def root(self, place: list[NDArray]) -> NDArray:
        """At places (x, y, z), kpc, which broadcast."""
        roots, rises, first, step = self._table
        x, y, z = (
            (p - np.float32(c)) * np.float32(1 / a)
            for p, c, a in zip(place, self.centre, self.axes, strict=True)
        )
        at = (0.5 * np.log(x * x + y * y + z * z) - first) / step
        at = np.clip(at, 0, len(rises) - 0.01)
        below = at.astype(np.int32)
        return roots[below] + (at - below) * rises[below]


@dataclass(frozen=True)
class _Spiral:
    """Gas that sloshes in the plane z = 0: a spiral of density that ends in cold fronts."""

    strength: float
    reach: float  # kpc
    turn: float  # radians for each factor of e in radius; its sign is the sense of rotation
    phase: float

    def factor(self, place: list[NDArray]) -> NDArray:
        """By which it changes the density."""
        x, y, z = place
        plane = x**2 + y**2
        r2 = plane + z**2 + 1.0
        turns = (np.arctan2(y, x) + self.phase + 0.5 * self.turn * np.log(r2)) / (2 * np.pi)
        turns -= np.floor(turns)
        wave = np.minimum(turns / 0.94, (1 - turns) / 0.06) * 2 - 1
        return 1 + self.strength * wave * plane / r2 * np.exp(-((r2 / self.reach**2) ** 2))


@dataclass(frozen=True)
class _Cavity:
    """A bubble that a jet has blown, with a brighter rim."""

    centre: NDArray[np.float64]  # (3,), kpc
    radius: float  # kpc

    def change(self, factor: NDArray, place: list[NDArray]) -> None:
        """Multiply the factors of the density by its own, in place."""
        squares = [(p - c) ** 2 for p, c in zip(place, self.centre, strict=True)]
        squared = (squares[0] + squares[1] + squares[2]) / self.radius**2
        near = squared < 2.5
        d = np.sqrt(squared[near])
        factor[near] *= 1 - 0.9 / (1 + np.exp((d - 1) / 0.05)) + 0.12 * np.exp(-(((d - 1.15) / 0.1) ** 2))


@dataclass(frozen=True)
class _Cluster:
    """A cluster in three dimensions: its main gas, what disturbs it, and its row of the catalogue."""

    main: _Body
    truth: dict[str, Any]
    spiral: _Spiral | None = None
    cavities: tuple[_Cavity, ...] = ()
    clump: _Body | None = None

    def emissivity(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray:
        """Radiation in the band, erg/s/cm3, at places in kpc from the centre of the potential."""
        place = [x, y, z]
        about = [p - c for p, c in zip(place, self.main.centre, strict=True)]
        root = self.main.root(place)
        if self.spiral:
            root = root * self.spiral.factor(about)
        for cavity in self.cavities:
            cavity.change(root, about)
        return (root if self.clump is None else root + self.clump.root(place)) ** 2


def _quantile(table: dict[str, list[float]], share: float) -> float:
    """The value below which a share of a population lies."""
    return float(np.interp(share, table["shares"], table["values"]))


def _between(rng: np.random.Generator, bounds: list[float]) -> float:
    low, high = bounds
    return float(rng.uniform(low, high))


def _log_normal(rng: np.random.Generator, about: list[float]) -> float:
    """Around a median, with a scatter of the natural logarithm."""
    median, scatter = about
    return float(median * np.exp(rng.normal(0, scatter)))


def _log_between(rng: np.random.Generator, bounds: list[float]) -> float:
    return float(np.exp(_between(rng, np.log(bounds).tolist())))


def draw_cluster(rng: np.random.Generator, *, population: str, redshift: float) -> _Cluster:
    """Draw a cluster of a population: mass and entropy, the gas that follows, and what disturbs it."""
    about, shapes = read_numbers("cores")["populations"][population], read_numbers("cores")["gas"]
    share = rng.random()
    m500 = 10 ** _quantile(about["log_m500"], rng.random())
    k0 = 10 ** _quantile(about["log_k0"], share) * (m500 / 3e14) ** about["k0_slope"]
    # how disturbed it is goes with the entropy, but with scatter, and how concentrated with how undisturbed
    state = float(about["state"] * ndtri(share) + np.sqrt(1 - about["state"] ** 2) * rng.normal())
    gas = hydrostatic_gas(
        m500,
        redshift,
        k0=k0,
        k1=float(entropy_scale(m500, redshift)) * _log_normal(rng, about["k1"]),
        slope=float(rng.normal(*shapes["slope"])),
        concentration=_log_normal(rng, shapes["concentration"]) * np.exp(-shapes["loosened"] * state),
        pressure=_log_normal(rng, shapes["pressure"]),
        metals=_log_normal(rng, shapes["metals"]) / (1 + k0 / shapes["metals_k0"]),
    )
    t_cool = gas.core_mean(gas.cooling_time)
    truth = {
        "m500": m500,
        "r500": gas.r500_kpc,
        "k0": k0,
        "ne": gas.core_mean(gas.density),
        "kt": gas.core_mean(gas.temperature),
        "metallicity": gas.core_mean(gas.metallicity),
        "t_cool": t_cool,
        "disturbance": state,
    }
    return _with_shape(rng, gas, truth, redshift)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _with_shape(rng: np.random.Generator, gas: Gas, truth: dict[str, Any], redshift: float) -> _Cluster:
    """Give a cluster its shape: elongation and offset by its state, fronts and cavities where it cools."""
    about = read_numbers("cores")["shape"]
    disturbed = 1 / (1 + np.exp(-2 * (truth["disturbance"] - about["disturbed_above"])))
    cooling = 1 / (1 + (truth["t_cool"] / about["feedback_below_gyr"]) ** 2)
    squeeze = [_between(rng, about["axis_ratio"]) ** (0.5 + 1.5 * disturbed) for _ in range(2)]
    axes = np.array([1.0, *squeeze])
    offset = gas.r500_kpc * about["offset"] * np.exp(rng.normal(0, 0.5)) * disturbed**2
    main = _Body(gas, offset * _direction(rng), axes / np.prod(axes) ** (1 / 3))
    spiral, cavities, clump = None, [], None
    if rng.random() < about["sloshing_least"] + (1 - about["sloshing_least"]) * cooling:
        strength = _between(rng, about["sloshing_strength"])
        reach = gas.r500_kpc * _between(rng, about["sloshing_reach"])
        turn = _between(rng, about["sloshing_turn"]) * rng.choice([-1, 1])
        spiral = _Spiral(strength, reach, float(turn), _between(rng, [0, 2 * np.pi]))
    pairs = int(rng.random() < about["cavities"] * cooling) * int(rng.integers(1, 3))
    for _ in range(pairs):
        jet, distance = _direction(rng), gas.r500_kpc * _log_between(rng, about["cavity_distance"])
        for side in (-1, 1):
            away = distance * rng.uniform(0.8, 1.25)
            cavities.append(_Cavity(side * away * jet, away * _between(rng, about["cavity_size"])))
    ratio = 0.0
    if rng.random() < about["clumps"] * disturbed:
        ratio = _log_between(rng, about["clump_mass"])
        m500 = ratio * truth["m500"]
        k1 = about["clump_k1"] * float(entropy_scale(m500, redshift))
        k0 = _log_between(rng, about["clump_k0"]) * (m500 / 3e14) ** (2 / 3)
        other = hydrostatic_gas(m500, redshift, k0=k0, k1=k1, slope=1.1)
        clump = _Body(other, gas.r500_kpc * _between(rng, about["clump_distance"]) * _direction(rng))
    truth = truth | {
        "peak_offset": offset,
        "axis_ratio": min(squeeze),
        "sloshing": spiral.strength if spiral else 0.0,
        "cavities": len(cavities),
        "clump_mass": ratio,
    }
    return _Cluster(main, truth, spiral, tuple(cavities), clump)


def _blurred(image: NDArray[np.float64], pixel_arcsec: float, fwhm_arcsec: float) -> NDArray[np.float64]:
    """An image (y, x) as mirrors like those of XMM-Newton spread it; beyond its edges it goes on as there."""
    spread, margin = PointSpread(0.0), image.shape[0] // 2
    wide = np.pad(image, margin, mode="edge")
    sampling = pixel_arcsec * spread.fwhm_arcsec / fwhm_arcsec
    ky = 2 * np.pi * np.fft.fftfreq(wide.shape[0], sampling)[:, None]
    kx = 2 * np.pi * np.fft.rfftfreq(wide.shape[1], sampling)
    seen = np.fft.irfft2(np.fft.rfft2(wide) * spread.transform(kx, ky), wide.shape)
    return np.maximum(seen[margin:-margin, margin:-margin], 0)


def _observe(
    rng: np.random.Generator,
    cluster: _Cluster,
    *,
    redshift: float,
    size_px: int,
    pixel_arcsec: float,
    fwhm_arcsec: float,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """An image in counts, (y, x), and what it is, of a cluster from a random direction."""
    about = read_numbers("cores")["observation"]
    turn = special_ortho_group.rvs(3, random_state=rng).astype(np.float32)
    kpc_per_arcsec = COSMOLOGY.kpc_proper_per_arcmin(redshift).to_value(u.kpc / u.arcsec)
    kpc = pixel_arcsec * kpc_per_arcsec

    def emissivity(x: NDArray, y: NDArray, z: NDArray) -> NDArray:
        return cluster.emissivity(*(row[0] * x + row[1] * y + row[2] * z for row in turn))

    depth = _DEPTH * cluster.truth["r500"]
    surface = project(emissivity, size_px=size_px, pixel_kpc=kpc, depth_kpc=depth)
    counts, share = _log_between(rng, about["counts"]), _log_between(rng, about["background_share"])
    luminosity = float(surface.sum()) * kpc**2 * u.kpc.to(u.cm) ** 3
    if fwhm_arcsec:
        surface = _blurred(surface, pixel_arcsec, fwhm_arcsec)
    expected = counts * ((1 - share) * surface / surface.sum() + share / surface.size)
    distance = COSMOLOGY.luminosity_distance(redshift).to_value(u.cm)
    rate = luminosity / (4 * np.pi * distance**2) / about["flux_of_a_count"]
    row = {
        "core_resolved": max(kpc, fwhm_arcsec * kpc_per_arcsec) <= CORE_RADIUS * cluster.truth["r500"],
        "luminosity": luminosity,
        "inclination": np.degrees(np.arccos(turn[2, 2])),
        "position_angle": np.degrees(np.arctan2(turn[2, 1], turn[2, 0])),
        "counts": counts,
        "background": counts * share / (size_px * pixel_arcsec / 60) ** 2,
        "exposure": counts * (1 - share) / rate / 1e3,
    }
    return rng.poisson(expected).astype(np.float32), row


def simulate_cores(
    seed: int,
    *,
    n_clusters: int = 318,
    population: str = "tng",
    projections: int = 1,
    size_px: int = 256,
    pixel_arcsec: float = 3.9,
    fwhm_arcsec: float = 0.0,
    redshift: float = 0.05,
    n_jobs: int = 1,
    progress: bool = False,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Sample:
    """Simulate X-ray images of clusters whose core cools fast, slowly or not at all.

    The central cooling time, 3/2 (ne + ni) kT / (ne ni Lambda(T, Z)), follows from gas in hydrostatic
    equilibrium, and the class from it: "CC" below 1 Gyr, "WCC", "NCC" above 7.7 Gyr (Su et al. 2020). Images
    are 0.5-2 keV counts of the emission in three dimensions, centred on the potential, north up. Su et al. do
    not print band, exposure, background or projections: those are ours. With more than one process, a script
    must call this under ``if __name__ == "__main__":``.

    Parameters
    ----------
    seed : int
        Seed of everything random; each cluster has its own stream, whatever the number of others.
    n_clusters : int
        Clusters; 318 in the paper.
    population : {"tng", "accept"}
        "tng" has the class fractions and the range of cooling times of the paper (11, 63 and 27 %), "accept"
        those of the X-ray selected clusters of Cavagnolo et al. 2009 (about 41, 41 and 18 %).
    projections : int
        Images of each cluster, from different directions; the column ``cluster_id`` keeps them together.
    size_px : int
        Pixels along the side, even.
    pixel_arcsec : float
        Pixel size; 256 of 3.9 arcsec cover the central 1 Mpc at redshift 0.05.
    fwhm_arcsec : float
        Full width at half maximum of the point spread, of the shape of XMM-Newton's, which has 6.5 arcsec on
        its axis; 0 for one much narrower than a pixel, as Chandra's.
    redshift : float
        Of all clusters.
    n_jobs : int
        Processes.
    progress : bool
        Show a progress bar.
    path : path, optional
        Write the Sample there while it is made, instead of holding it in memory.
    overwrite : bool
        Replace what is at `path`.

    Returns
    -------
    Sample
        Band "xray", counts per pixel. The catalogue has, within 0.012 R500, ``ne``, ``kt``, ``metallicity``
        and ``t_cool``; ``m500``, ``r500``, ``k0``, ``disturbance``, ``axis_ratio``, ``peak_offset``,
        ``sloshing`` (strength), ``cavities`` (number), ``clump_mass`` (over m500), and of the image
        ``inclination``, ``position_angle``, ``counts``, ``background``, ``exposure``, and ``core_resolved``:
        whether a pixel and the point spread are at most 0.012 R500.

    Raises
    ------
    InputError
        If an argument is out of range, or `path` exists and `overwrite` is false.
    """
    check_whole(0, seed=seed)
    check_whole(1, n_clusters=n_clusters, projections=projections, n_jobs=n_jobs)
    check_whole(16, size_px=size_px)
    if size_px % 2:
        raise InputError(f"size_px must be even, got {size_px}")
    need_choice("population", population, read_numbers("cores")["populations"])
    for name, value, most in (("pixel_arcsec", pixel_arcsec, 100), ("redshift", redshift, 2)):
        if not 0 < value <= most:
            raise InputError(f"{name} must lie above 0 and up to {most}, got {value}")
    if not 0 <= fwhm_arcsec <= 60:
        raise InputError(f"fwhm_arcsec must be from 0 to 60, got {fwhm_arcsec}")
    look = {
        "redshift": redshift,
        "size_px": size_px,
        "pixel_arcsec": pixel_arcsec,
        "fwhm_arcsec": fwhm_arcsec,
    }
    asked = {"seed": int(seed), "population": population, "projections": projections, "redshift": redshift}
    asked |= {"fwhm_arcsec": fwhm_arcsec}
    pieces = _pieces(int(seed), n_clusters, population, projections, look, n_jobs)
    number = -(-n_clusters // _CHUNK)
    return collect(
        tqdm(pieces, total=number, unit="chunk", disable=not progress, desc="simulate"),
        n_clusters * projections,
        bands=("xray",),
        pixel_scale=pixel_arcsec * u.arcsec,
        provenance={"source": "simulated Chandra-like images of cluster cores"} | asked,
        path=path,
        overwrite=overwrite,
    )


def _pieces(
    seed: int, n_clusters: int, population: str, projections: int, look: dict[str, Any], n_jobs: int
) -> Iterator[tuple[NDArray[np.float32], QTable]]:
    """Images and catalogue rows in order, a chunk of clusters at a time."""
    streams = np.random.SeedSequence(seed).spawn(n_clusters)
    tasks = [
        (streams[start : start + _CHUNK], population, projections, look)
        for start in range(0, n_clusters, _CHUNK)
    ]
    for number, (images, rows) in enumerate(run_tasks(_simulate_chunk, tasks, n_jobs)):
        table = QTable(rows=rows)
        for name, unit in _UNITS.items():
            table[name] = table[name] * unit
        clusters = _CHUNK * number + np.arange(len(rows)) // projections
        views = np.arange(len(rows)) % projections
        table.add_column([f"CORE-{seed}-{one:04d}" for one in clusters], name="cluster_id", index=0)
        ids = [f"{name}-{view}" for name, view in zip(table["cluster_id"], views, strict=True)]
        table.add_column(table["cluster_id"] if projections == 1 else ids, name="object_id", index=0)
        yield images, table


def _simulate_chunk(
    streams: list[np.random.SeedSequence], population: str, projections: int, look: dict[str, Any]
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Images (object, 1, y, x) and rows of some clusters."""
    images, rows = [], []
    for stream in streams:
        rng = np.random.default_rng(stream)
        cluster = draw_cluster(rng, population=population, redshift=look["redshift"])
        label = str(core_classes(cluster.truth["t_cool"]))
        place = {"ra": rng.uniform(0, 360), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1)))}
        for _ in range(projections):
            image, seen = _observe(rng, cluster, **look)
            images.append(image[None])
            rows.append(place | {"label": label, "redshift": look["redshift"]} | cluster.truth | seen)
    return np.stack(images), rows
