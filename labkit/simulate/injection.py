"""Clusters to inject into an observation: which ones, and their counts on its own exposure maps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixels_at
from labkit.instruments.epic import COUNT_RATE_TO_FLUX, MOS1, Camera
from labkit.instruments.mirrors import point_spread
from labkit.simulate.numbers import check_whole
from labkit.simulate.xmm import draw_photons
from labkit.simulate.xray import Cluster, Component, cluster_components, draw_cluster

#: Energy conversion factor of one MOS, 1e11 counts cm2 / erg, that simulated observations have.
ECF = MOS1.share / COUNT_RATE_TO_FLUX / 1e11
_UNITS = {"flux": u.erg / u.s / u.cm**2, "extent": u.arcsec, "angle": u.deg}
_CLUMP = ("clump", "clump_x", "clump_y")


def cluster_grid(
    flux: ArrayLike, extent: ArrayLike, *, each: int, rng: Generator, axis_ratio: ArrayLike = 1.0
) -> QTable:
    """Make clusters of each flux, extent and axis ratio, to be injected by `labkit.finder.inject`.

    Parameters
    ----------
    flux : array_like
        Fluxes in erg/s/cm2, 0.5-2 keV, of all photons of a beta-model with beta = 2/3 out to 20 core radii.
    extent : array_like
        Core radii, arcsec.
    each : int
        Clusters of each combination.
    rng : Generator
        Draws the position angles.
    axis_ratio : array_like
        Minor over major axes.

    Returns
    -------
    QTable
        ``flux``, ``extent``, ``axis_ratio``, ``angle`` (of the major axis, from the image's x to its y axis).

    Raises
    ------
    InputError
        If a flux or an extent is not positive, an axis ratio not in 0 to 1, or `each` no number from 1 up.
    """
    check_whole(1, each=each)
    values = [np.unique(np.asarray(one, dtype=float)) for one in (flux, extent, axis_ratio)]
    for name, one in zip(("flux", "extent", "axis_ratio"), values, strict=True):
        most = 1.0 if name == "axis_ratio" else np.inf
        if not (one.size and (one > 0).all() and (one <= most).all() and np.isfinite(one).all()):
            rule = "must lie in 0 to 1" if name == "axis_ratio" else "must be positive numbers"
            raise InputError(f"{name} {rule}, at least one, got {one.tolist()}")
    grid = [np.repeat(one.ravel(), each) for one in np.meshgrid(*values, indexing="ij")]
    columns = dict(zip(("flux", "extent", "axis_ratio"), grid, strict=True))
    return QTable(columns | {"angle": rng.uniform(0, 180, len(grid[0]))}, units=_UNITS)


def cluster_population(number: int, *, flux_limit: float, rng: Generator) -> QTable:
    """Draw clusters by mass and redshift from the simulated population, to be injected.

    Masses follow Tinker et al. (2008), luminosities Arnaud et al. (2010) with scatter; gas with and without a
    cool core, round, elongated or with a second clump, as in simulated fields.

    Parameters
    ----------
    number : int
        Clusters.
    flux_limit : float
        Least flux within R500, erg/s/cm2, 0.5-2 keV.
    rng : Generator
        Draws them.

    Returns
    -------
    QTable
        ``flux`` (of all photons, to 1.5 R500), ``extent`` (core radius of the main beta-model),
        ``axis_ratio``, ``angle``, ``flux_500`` (within R500), ``redshift``, ``m500`` (solar masses), and what
        else makes the gas: ``luminosity``, ``r500_arcmin``, ``core_fraction``, ``cool_core``, ``clump`` ...

    Raises
    ------
    InputError
        If `number` is no number from 1 up, or the flux limit leaves no cluster.
    """
    check_whole(1, number=number)
    rows = []
    for _ in range(number):
        cluster = draw_cluster(rng, flux_limit=flux_limit)
        parts, own = cluster_components(cluster, x=0.0, y=0.0), asdict(cluster)
        row: dict[str, Any] = {"flux": sum(part.flux for part in parts), "extent": 60 * parts[0].core}
        row |= {
            "axis_ratio": own.pop("axis_ratio"),
            "angle": own.pop("angle_deg"),
            "flux_500": own.pop("flux"),
        }
        row |= dict(zip(_CLUMP, own.pop("clump"), strict=True))
        rows.append(row | own)
    return QTable(rows, units=_UNITS | {"flux_500": _UNITS["flux"]})


def components_of(cluster: Mapping[str, float], x: float, y: float) -> list[Component]:
    """The gas of a row of `cluster_grid` or `cluster_population` at (x, y), arcmin."""
    if "redshift" not in cluster:
        shape = {"axis_ratio": cluster["axis_ratio"], "angle_deg": cluster["angle"]}
        return [Component(x, y, cluster["flux"], core=cluster["extent"] / 60, **shape)]
    own: dict[str, Any] = {one.name: cluster[one.name] for one in fields(Cluster) if one.name in cluster}
    clump = tuple(cluster[name] for name in _CLUMP)
    own |= {"flux": cluster["flux_500"], "angle_deg": cluster["angle"], "clump": clump}
    return cluster_components(Cluster(**own), x=x, y=y)


def injected_counts(
    rng: Generator,
    components: Sequence[Component],
    camera: Camera,
    exposure: NDArray,
    *,
    counts_per_flux: float,
    pixel_arcmin: float,
    axis: tuple[float, float],
) -> NDArray[np.float32]:
    """Counts of components that a camera records, (y, x) as its vignetted exposure map in seconds.

    Places of components and of the optical axis are arcmin from the middle of the first pixel. Photons are
    drawn one by one and scattered by the mirrors; where they fall the exposure, gaps and vignetting, thins
    them. Those that arrive while PN is read out are not smeared.
    """
    image, most = np.zeros(exposure.shape, dtype=np.float32), float(exposure.max())
    for part in components:
        x, y = draw_photons(rng, part, int(rng.poisson(part.flux * counts_per_flux * most)))
        dx, dy = point_spread(rng, x - axis[0], y - axis[1], triangle=camera.triangle)
        column, row = (x + dx) / pixel_arcmin, (y + dy) / pixel_arcmin
        seconds, inside = pixels_at(exposure, column, row)
        seen = inside & (rng.random(len(x)) * most < seconds)
        np.add.at(image, (np.rint(row[seen]).astype(int), np.rint(column[seen]).astype(int)), 1)
    return image
