"""Real XMM-Newton observations of Abell 907, and simulated ones with their circumstances about its twin.

Places are arcmin from the nominal pointing, west (x) and north (y), as in `labkit.simulate.xmm`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from unittest.mock import patch

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.signal import oaconvolve

from labkit.finder import find_candidates
from labkit.images.coordinates import pixel_to_sky, sky_to_pixel
from labkit.instruments import mirrors
from labkit.instruments.epic import (
    CAMERAS,
    COUNT_RATE_TO_FLUX,
    FLARE_VIGNETTED,
    MOS1,
    summed_exposure,
    vignetting,
)
from labkit.instruments.mirrors import point_spread_image
from labkit.simulate import xmm
from labkit.simulate.field import SkySource, draw_sources, parts_of
from labkit.simulate.found import SEARCHED, Field
from labkit.simulate.xmm import Pointing, draw_pointing, observe
from labkit.simulate.xray import Cluster, Component, agn_counts, cluster_components, r500
from labkit.sources import read_observation
from labkit.sources.candidates import read_regions
from labkit.sources.xmm import Observation

PIXEL = SEARCHED.pixel_arcmin
CLUSTER = SkyCoord(149.5917, -11.0642, unit="deg")
REDSHIFT, M500, KPC_ARCMIN = 0.153, 5e14, 159.6
SHAPE = (0.76, 62.0)  # axis ratio and angle, chosen for those of the real moments within 2 arcmin
BLANK = 7.0  # distance from the cluster beyond which pixels count as background, arcmin
SAME = 12 * u.arcsec  # one source
FAINT_AGN = (7e-16, 6e-15)  # that are drawn and hardly ever listed, erg/s/cm2
UNLISTED = 1.6  # all that sources add to blank pixels over these AGN: groups, outskirts; of simulated skies
SEED = 907


@dataclass(frozen=True)
class Seen:
    """An observation, real or simulated, and the sources that are listed in it."""

    observation: Observation
    pointing: Pointing
    target: tuple[float, float]  # place of the cluster
    gas: tuple[float, float, float]  # its flux (erg/s/cm2), core radius (arcmin) and share of the cool core
    sources: SkyCoord

    @cached_property
    def components(self) -> list[Component]:
        """The cluster as it is simulated."""
        flux, core, cool = self.gas
        radius = 1e3 * r500(M500, REDSHIFT) / KPC_ARCMIN
        cluster = Cluster(REDSHIFT, M500, 0.0, flux, radius, core / radius, cool, *SHAPE, (0.0, 0.0, 0.0))
        return cluster_components(cluster, x=self.target[0], y=self.target[1])

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Places (n, 2) of the sources."""
        pixels = np.array(sky_to_pixel(self.observation.wcs, self.sources.ra, self.sources.dec)).T
        return (pixels + 0.5) * PIXEL - SEARCHED.half

    @cached_property
    def net(self) -> NDArray[np.float64]:
        """Counts within 0.5 arcmin of each source, less those of a ring of 0.75 to 1.5, by exposure."""
        image, exposure, net = self.observation.image, self.observation.exposure, []
        for place in self.places.tolist():
            away = distance(*place)
            near, ring = away < 0.5, (away > 0.75) & (away < 1.5)
            scale = exposure[near].sum() / max(exposure[ring].sum(), 1)
            net.append(image[near].sum() - scale * image[ring].sum())
        return np.array(net)

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Pixels 0.6 arcmin (bright ones: 1.8) from all listed sources but the cluster."""
        free = np.ones(self.observation.image.shape, dtype=bool)
        for place, net in zip(self.places.tolist(), self.net.tolist(), strict=True):
            if np.hypot(place[0] - self.target[0], place[1] - self.target[1]) > 1:
                free &= distance(*place) > (0.6 if net < 300 else 1.8)
        return free

    @cached_property
    def blank(self) -> NDArray[np.bool_]:
        """Pixels for the background."""
        return self.free & (distance(*self.target) > BLANK)

    @cached_property
    def off_axis(self) -> list[NDArray[np.float64]]:
        """Off-axis angle of each pixel in each camera, arcmin."""
        u_, v_ = self.pointing.to_detector(*SEARCHED.positions())
        return [camera.off_axis(u_, v_) for camera in CAMERAS]

    @cached_property
    def parts(self) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Counts per pixel and camera: of a vignetted and a flat background of 1/s/arcmin2, of the gas."""
        gas, parts = brightness(self.components, self.target), []
        for camera, exposure, angle in zip(CAMERAS, self.observation.cameras[1], self.off_axis, strict=True):
            sky = exposure / camera.live * PIXEL**2
            gas_counts = gas * sky * camera.share * camera.live / COUNT_RATE_TO_FLUX
            flat = np.minimum(sky / vignetting(angle), self.pointing.exposure_s[camera.name] * PIXEL**2)
            parts.append((sky, flat, gas_counts))
        return parts

    def expected(self) -> list[NDArray[np.float64]]:
        """Counts per pixel in each camera of background, unlisted sources and the cluster, as simulated."""
        images = []
        for camera, (sky, flat, gas) in zip(CAMERAS, self.parts, strict=True):
            vignetted, unvignetted = self.pointing.background_rate(camera)
            agn = faint_agn() * camera.share / COUNT_RATE_TO_FLUX
            images.append((vignetted + agn) * sky + unvignetted * flat + gas)
        return images


@lru_cache(maxsize=1)
def _positions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return SEARCHED.positions()


def distance(x: float, y: float) -> NDArray[np.float64]:
    """Of each pixel from a place, arcmin."""
    columns, rows = _positions()
    return np.hypot(columns - x, rows - y)


def brightness(gas: Sequence[Component], target: tuple[float, float]) -> NDArray[np.float64]:
    """Surface brightness of components near the axis, as if circular, erg/s/cm2/arcmin2 in each pixel."""
    r = distance(*target)
    total = np.zeros(r.shape)
    for part in gas:
        power = 1 - part.slope
        peak = -power * part.flux / (np.pi * part.core**2 * (1 - (1 + part.limit**2) ** power))
        total += np.where(r < part.limit * part.core, peak * (1 + (r / part.core) ** 2) ** -part.slope, 0)
    return oaconvolve(
        total, point_spread_image(61, pixel_arcsec=60 * PIXEL, off_axis_arcmin=1.0), mode="same"
    )


def faint_agn() -> float:
    """Mean surface brightness of what is drawn and not listed, erg/s/cm2/arcmin2."""
    flux = np.geomspace(*FAINT_AGN, 200)
    return UNLISTED * float(-(0.5 * (flux[1:] + flux[:-1]) * np.diff(agn_counts(flux))).sum() / 3600)


def read_real(folder: Path) -> list[Seen]:
    """The real observations with what their files say, and what is fitted: background and cluster."""
    fitted: list[Seen] = []
    for path in sorted((folder / "xmm").glob("a907_*")):
        one = _read(path)
        if fitted:  # the first, quiet one knows the cluster better
            fitted.append(_with_background(replace(one, gas=fitted[0].gas)))
            continue
        for _ in range(3):
            one = _with_background(one)
            one = replace(one, gas=_fit_cluster(one))
        fitted.append(_with_background(one))
    return fitted


def _read(folder: Path) -> Seen:
    files = [
        [folder / f"{c.name}_0.5-2.0keV_{kind}.fits.gz" for c in CAMERAS] for kind in ("image", "exposure")
    ]
    observation = read_observation(*files)
    regions = read_regions(folder / "xapa_sources.reg", observation.wcs)
    sources = SkyCoord(regions["ra"], regions["dec"])
    sources = sources[[not (sources[:row].separation(one) < SAME).any() for row, one in enumerate(sources)]]
    headers = [fits.getheader(path) for path in files[0]]
    pixel = np.array(sky_to_pixel(observation.wcs, CLUSTER.ra.deg, CLUSTER.dec.deg))
    pointing = replace(
        draw_pointing(default_rng(SEED)),
        ra_deg=float(observation.pointing.ra.deg),
        dec_deg=float(observation.pointing.dec.deg),
        position_angle_deg=float(headers[0]["PA_PNT"]),
        exposure_s={c.name: float(header["EXPOSURE"]) for c, header in zip(CAMERAS, headers, strict=True)},
        out_of_time=0.023 if "Extended" in headers[0]["SUBMODE"] else 0.063,
        out_of_time_subtracted=False,
        dead_chips=(),
    )
    chip = MOS1.chip_of(*pointing.to_detector(*_positions()))
    exposed = observation.cameras[1][CAMERAS.index(MOS1)] > 0
    dead = tuple(n for n in range(len(MOS1.chips)) if exposed[chip == n].mean() < 0.5)
    x, y = (float(p) for p in (pixel + 0.5) * PIXEL - SEARCHED.half)
    return Seen(observation, replace(pointing, dead_chips=dead), (x, y), (4e-12, 0.7, 0.1), sources)


def _with_background(real: Seen) -> Seen:
    """Level of the quiet background and flare with which simulations have the blank sky's counts.

    What is flat is the exposure map over the simulated vignetting, also where the map does not follow it.
    """
    counts, quiet, flare, rest = [], [], [], []
    for number, (camera, (sky, _, gas)) in enumerate(zip(CAMERAS, real.parts, strict=True)):
        flat = sky / vignetting(real.off_axis[number])
        sums = [image[real.blank].sum() for image in (real.observation.cameras[0][number], sky, flat, gas)]
        counts.append(sums[0])
        quiet.append(camera.sky * sums[1] + camera.particle * sums[2])
        flare.append(camera.flare * (FLARE_VIGNETTED * sums[1] + (1 - FLARE_VIGNETTED) * sums[2]))
        rest.append(faint_agn() * camera.share / COUNT_RATE_TO_FLUX * sums[1] + sums[3])
    counts, quiet, flare, rest = map(np.array, (counts, quiet, flare, rest))

    def badness(logs: NDArray) -> float:
        expected = np.exp(logs[0]) * quiet + np.exp(logs[1]) * flare + rest
        return float((expected - counts * np.log(expected)).sum())

    level, flares = np.exp(minimize(badness, [0.0, np.log(2e-3)], method="Nelder-Mead").x)
    return replace(real, pointing=replace(real.pointing, background=float(level), flare=float(flares)))


def _fit_cluster(real: Seen) -> tuple[float, float, float]:
    """A double beta-model by Poisson's likelihood of the counts in rings of 10 arcsec within 5 arcmin."""
    r = distance(*real.target)
    kept = real.free & (r < 5)
    ring = (r[kept] * 6).astype(int)
    counts = np.bincount(ring, real.observation.image[kept])
    rest = np.sum(real.expected(), axis=0) - np.sum([gas for _, _, gas in real.parts], axis=0)

    def badness(logs: NDArray) -> float:
        gas = replace(real, gas=_gas(logs)).parts
        expected = np.bincount(ring, (rest + np.sum([one for _, _, one in gas], axis=0))[kept])
        return float((expected - counts * np.log(expected)).sum())

    start = [np.log(real.gas[0]), np.log(real.gas[1]), np.log(real.gas[2])]
    return _gas(minimize(badness, start, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.1}).x)


def _gas(logs: NDArray) -> tuple[float, float, float]:
    flux, core, cool = np.exp(logs).tolist()
    return flux, core, min(cool, 0.95)


def _flat(off_axis: NDArray) -> NDArray[np.float64]:
    return np.ones(np.shape(off_axis))


#: What goes wrong in skies that a test must recognise.
BROKEN: dict[str, AbstractContextManager] = {
    "": nullcontext(),
    "psf": patch.object(mirrors, "CORE_ARCSEC", 1.5 * mirrors.CORE_ARCSEC),
    "vignetting": patch.object(xmm, "vignetting", _flat),
}


def observe_twin(real: Seen, sky: int, number: int, broken: str = "", keep: Path | None = None) -> Seen:
    """A simulated sky as the real observation of that number would have seen it; its sources by the finder.

    One sky has the same sources in both observations. `broken` names what is wrong with its photons, not with
    the exposure map nor with the list, which is that of the sound sky; `keep` is a folder for the fields.
    """
    path = keep / f"{broken or 'sound'}-{sky:03d}-{number}.npz" if keep else None
    drawn = draw_pointing(default_rng((SEED, sky, number)))
    own = {name: getattr(drawn, name) for name in ("bad_columns", "flare_on_chip")}
    pointing = replace(real.pointing, **own)
    if path and path.exists():
        with np.load(path) as saved:
            counts, exposures, ra, dec = (saved[name] for name in ("counts", "exposures", "ra", "dec"))
        observation = _observation(real, counts.astype(np.float32), exposures)
        return replace(
            real, observation=observation, pointing=pointing, sources=SkyCoord(ra, dec, unit="deg")
        )
    others = draw_sources(default_rng((SEED, sky)), pointing)[1:]
    sources = [SkySource("target cluster", real.target, real.components), *others]
    components, flaws = parts_of(sources)
    with BROKEN[broken]:
        events = observe(default_rng((SEED, sky, number, 1)), components, pointing, SEARCHED, spurious=flaws)
    counts, exposures = Field(pointing, sources, events).images()
    observation = _observation(real, counts, exposures)
    place = observe_twin(real, sky, number, keep=keep).sources if broken else find(observation)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        listed = {"ra": place.ra.deg, "dec": place.dec.deg}
        np.savez_compressed(path, counts=counts.astype(np.uint16), exposures=exposures, **listed)
    return replace(real, observation=observation, pointing=pointing, sources=place)


def find(observation: Observation) -> SkyCoord:
    """The sources that the finder lists."""
    found = find_candidates(observation)
    listed = np.asarray(found["detection_likelihood"]) > found.meta["selection"]["listed"]
    return SkyCoord(*pixel_to_sky(observation.wcs, *(found[axis][listed].value for axis in "xy")), unit="deg")


def _observation(real: Seen, counts: NDArray, exposures: NDArray) -> Observation:
    total = summed_exposure(exposures)
    return replace(real.observation, image=counts.sum(axis=0), exposure=total, cameras=(counts, exposures))
