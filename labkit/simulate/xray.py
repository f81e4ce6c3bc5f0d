"""The X-ray sky of candidates: clusters of galaxies, the AGN of the field, and nearby galaxies.

Positions are in arcmin from the nominal pointing, west (x) and north (y); fluxes in erg/s/cm2, 0.5-2 keV;
masses are M500 in solar masses, radii R500.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import astropy.units as u
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.simulate.numbers import read_numbers

#: Redshift that parts the experts' low-z and high-z clusters (Kosiba et al. 2020, section 2.4).
LOW_Z = 0.3
_REDSHIFTS = (0.03, 1.2)  # of the population
# of its cells, in redshift, log10 M500 and scatter
_REDSHIFT_STEP, _MASS_STEP, _SCATTER_STEP = 0.005, 0.04, 0.4


@dataclass(frozen=True)
class Component:
    """A King profile, S ~ (1 + (r / core)^2)^(-slope); slope 1.5 is a beta-model with beta = 2/3."""

    x: float  # centre, arcmin
    y: float
    flux: float  # erg/s/cm2, of all photons within `limit`
    core: float = 0.0  # core radius in arcmin; 0 for a point source
    slope: float = 1.5  # exponent of the surface brightness, above 1
    axis_ratio: float = 1.0  # minor over major axis
    angle_deg: float = 0.0  # direction of the major axis, from x to y
    limit: float = 20.0  # outer radius in units of the core


def agn_counts(flux: ArrayLike) -> NDArray[np.float64]:
    """AGN per square degree brighter than a flux: a broken power law, about 90 above 1e-14; shape kept."""
    agn = read_numbers("sky")["agn"]
    ratio = np.asarray(flux) / agn["break"]
    faint = (agn["bright"] / agn["faint"]) * (ratio ** -agn["faint"] - 1) + 1
    return agn["density"] * np.where(ratio > 1, ratio ** -agn["bright"], faint)


def draw_agn_fluxes(rng: Generator, n: int, *, faintest: float) -> np.ndarray:
    """Fluxes (n,) of AGN from `faintest` to 2e-12 after `agn_counts`, by its inverse."""
    agn = read_numbers("sky")["agn"]
    number = agn_counts(faintest) * (1 - rng.random(n)) / agn["density"]
    bright = np.maximum(number, 1e-12) ** (-1 / agn["bright"])
    faint = np.maximum((number - 1) * agn["faint"] / agn["bright"] + 1, 1e-12) ** (-1 / agn["faint"])
    return np.minimum(agn["break"] * np.where(number < 1, bright, faint), 2e-12)


def field_agn(rng: Generator, *, x: float, y: float, half: float) -> list[Component]:
    """Unrelated AGN, as points, in a square of the sky about (x, y) with half the side `half`."""
    faintest = read_numbers("sky")["agn"]["faintest"]
    number = int(rng.poisson(agn_counts(faintest) * (2 * half / 60) ** 2))
    fluxes = draw_agn_fluxes(rng, number, faintest=faintest)
    offsets = half * (2 * rng.random((len(fluxes), 2)) - 1)
    return [
        Component(x + dx, y + dy, flux)
        for (dx, dy), flux in zip(offsets.tolist(), fluxes.tolist(), strict=True)
    ]


def galaxy_emission(
    rng: Generator, *, x: float, y: float, flux: float, size: float, axis_ratio: float, angle_deg: float
) -> list[Component]:
    """X-rays of a nearby galaxy: a nucleus, diffuse gas and a few luminous binaries, together of `flux`.

    Its size is the half-light radius in the optical, its shape that of the disc on the sky.
    """
    nucleus, gas, binaries = rng.dirichlet((1.3, 1.8, 0.9))
    shape = {"axis_ratio": min(1.0, axis_ratio + 0.1), "angle_deg": angle_deg, "limit": 12.0}
    core = size * float(np.exp(rng.normal(np.log(0.7), 0.4)))
    parts = [Component(x, y, flux * nucleus), Component(x, y, flux * gas, core=core, slope=1.7, **shape)]
    shares = binaries * rng.dirichlet(np.full(rng.integers(2, 8), 0.7))
    turn = np.radians(angle_deg)
    for share, (a, b) in zip(shares, rng.normal(0, 0.7 * size, (len(shares), 2)), strict=True):
        b *= axis_ratio
        place_x, place_y = x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)
        parts.append(Component(float(place_x), float(place_y), float(flux * share)))
    return parts


@dataclass(frozen=True)
class Cluster:
    """One galaxy cluster."""

    redshift: float
    m500: float  # mass within R500, solar masses
    luminosity: float  # erg/s, 0.5-2 keV rest frame, within R500
    flux: float  # erg/s/cm2, 0.5-2 keV observed, within R500
    r500_arcmin: float  # R500 on the sky
    core_fraction: float  # core radius of the beta-model over R500
    cool_core: float  # share of the flux in a second, peaked component; 0 without a cool core
    axis_ratio: float  # shape of the gas on the sky
    angle_deg: float
    clump: tuple[float, float, float]  # flux share, and offset (x, y) in R500, of a second clump


@lru_cache(maxsize=1)
def _power_spectrum() -> Any:
    """The cosmology with the fluctuations of matter; nothing is written to the home folder."""
    from colossus.cosmology.cosmology import Cosmology

    numbers = read_numbers("sky")["clusters"]
    flat = {"flat": True, "H0": COSMOLOGY.H0.value, "Om0": COSMOLOGY.Om0, "Ob0": numbers["baryons"]}
    return Cosmology(name="labkit", **flat, sigma8=numbers["sigma8"], ns=numbers["tilt"], persistence="")


def mass_function(m500: ArrayLike, redshift: float) -> NDArray[np.float64]:
    """Number of haloes per Mpc3 and unit of log10 M500, after Tinker et al. (2008, ApJ 688, 709)."""
    from colossus.cosmology import cosmology as colossus
    from colossus.lss.mass_function import massFunction

    h, before = COSMOLOGY.h, colossus.current_cosmo
    colossus.current_cosmo = _power_spectrum()
    try:
        per_log = massFunction(
            np.asarray(m500) * h, redshift, mdef="500c", model="tinker08", q_in="M", q_out="dndlnM"
        )
    finally:
        colossus.current_cosmo = before
    return np.asarray(per_log) * np.log(10) * h**3


def luminosity(m500: ArrayLike, redshift: ArrayLike) -> NDArray[np.float64]:
    """Median 0.5-2 keV luminosity within R500 in erg/s, L ~ E(z)^(7/3) M^slope, as Arnaud et al. (2010)."""
    numbers = read_numbers("sky")["clusters"]
    evolution = np.asarray(COSMOLOGY.efunc(redshift)) ** (7 / 3)
    return numbers["luminosity"] * evolution * (np.asarray(m500) / 3e14) ** numbers["slope"]


def r500(m500: float, redshift: float) -> float:
    """R500 in Mpc: the radius of 500 times the critical density."""
    critical = COSMOLOGY.critical_density(redshift).to_value(u.Msun / u.Mpc**3)
    return float((3 * m500 / (4 * np.pi * 500 * critical)) ** (1 / 3))


@lru_cache(maxsize=1)
def _cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of the population, by falling flux: (z, log M, scatter), flux, and clusters per deg2 above it."""
    first, last = _REDSHIFTS
    z = first + _REDSHIFT_STEP * (np.arange(round((last - first) / _REDSHIFT_STEP)) + 0.5)
    log_mass, scatter = np.arange(13.2, 15.41, _MASS_STEP), _SCATTER_STEP * np.arange(-5.5, 6)
    grid = np.stack([g.ravel() for g in np.meshgrid(z, log_mass, scatter, indexing="ij")])
    volume = COSMOLOGY.differential_comoving_volume(z).to_value(u.Mpc**3 / u.deg**2) * _REDSHIFT_STEP
    masses = np.array([mass_function(10**log_mass, one) for one in z]) * volume[:, None] * _MASS_STEP
    likely = np.exp(-(scatter**2) / 2)
    weight = (masses[..., None] * likely / likely.sum()).ravel()
    light = luminosity(10**log_mass, z[:, None])[..., None]
    light = light * np.exp(read_numbers("sky")["clusters"]["scatter"] * scatter)
    distance = COSMOLOGY.luminosity_distance(z).to_value(u.cm)[:, None, None]
    # the k-correction of a spectrum of photon index about 1.5
    flux = (light / (4 * np.pi * distance**2) / (1 + z[:, None, None]) ** -0.5).ravel()
    order = np.argsort(-flux)
    return grid[:, order], flux[order], np.cumsum(weight[order])


def cluster_counts(flux: float) -> float:
    """Clusters of the population per square degree that are brighter than a flux."""
    _, fluxes, above = _cells()
    brighter = int(np.searchsorted(-fluxes, -flux))
    return float(above[brighter - 1]) if brighter else 0.0


def draw_cluster(rng: Generator, *, flux_limit: float, bright: bool = False) -> Cluster:
    """Draw a cluster from the population above a flux limit.

    Bright ones are as observers choose their targets: evenly in log flux.
    """
    cells, fluxes, above = _cells()
    if not 0 < flux_limit < fluxes[100]:
        raise InputError(f"flux_limit must lie between 0 and {fluxes[100]:.1e} erg/s/cm2, got {flux_limit}")
    if bright:
        flux_limit = np.exp(rng.uniform(np.log(flux_limit), np.log(max(1e-11, 1.01 * flux_limit))))
    last = int(np.searchsorted(-fluxes, -flux_limit))
    chosen = min(int(np.searchsorted(above, rng.random() * above[last])), last)
    redshift = float(cells[0, chosen] + _REDSHIFT_STEP * rng.uniform(-0.5, 0.5))
    flux = float(max(fluxes[chosen], flux_limit) * np.exp(rng.uniform(0, 0.07)))
    m500 = float(10 ** (cells[1, chosen] + _MASS_STEP * rng.uniform(-0.5, 0.5)))
    return _with_gas(rng, redshift, m500, flux)


def _with_gas(rng: Generator, redshift: float, m500: float, flux: float) -> Cluster:
    """Give a cluster its gas: about 45 % have a cool core, 20 % are disturbed and may have a second clump."""
    state = rng.random()
    cool, disturbed = state < 0.45, state > 0.8
    width = np.log(0.26 if disturbed else 0.15)
    clump = (0.0, 0.0, 0.0)
    if disturbed and rng.random() < 0.6:
        direction, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.9)
        clump = (rng.uniform(0.1, 0.4), distance * np.cos(direction), distance * np.sin(direction))
    distance = COSMOLOGY.luminosity_distance(redshift).to_value(u.cm)
    kpc = COSMOLOGY.kpc_proper_per_arcmin(redshift).to_value(u.kpc / u.arcmin)
    return Cluster(
        redshift=redshift,
        m500=m500,
        luminosity=4 * np.pi * distance**2 * flux * (1 + redshift) ** -0.5,
        flux=flux,
        r500_arcmin=1e3 * r500(m500, redshift) / kpc,
        core_fraction=float(np.exp(rng.normal(width, 0.25))),
        cool_core=float(rng.uniform(0.15, 0.6)) if cool else 0.0,
        axis_ratio=float(rng.uniform(0.5, 0.85) if disturbed else rng.uniform(0.65, 1.0)),
        angle_deg=float(rng.uniform(0, 180)),
        clump=clump,
    )


def cluster_components(cluster: Cluster, *, x: float, y: float) -> list[Component]:
    """The gas of a cluster at (x, y), arcmin from the nominal pointing, as components.

    A beta-model with beta = 2/3, a second one of a quarter of its core for a cool core, a third for a clump.
    The flux within R500 is the cluster's; the profiles go on to 1.5 R500.
    """
    share, clump_x, clump_y = cluster.clump
    core = cluster.core_fraction * cluster.r500_arcmin
    parts = [
        (core, (1 - share) * (1 - cluster.cool_core), 0.0, 0.0),
        (core / 4, (1 - share) * cluster.cool_core, 0.0, 0.0),
        (0.6 * core, share, clump_x * cluster.r500_arcmin, clump_y * cluster.r500_arcmin),
    ]
    components = []
    for radius, part, dx, dy in parts:
        if part:
            limit = 1.5 * cluster.r500_arcmin / radius
            within = (1 - (1 + (limit / 1.5) ** 2) ** -0.5) / (1 - (1 + limit**2) ** -0.5)
            flux = cluster.flux * part / within
            shape = {"axis_ratio": cluster.axis_ratio, "angle_deg": cluster.angle_deg, "limit": limit}
            components.append(Component(x + dx, y + dy, flux, core=radius, **shape))
    return components
