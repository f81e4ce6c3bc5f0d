"""What the candidate finder finds, what it invents and how long it takes, beside a smoothed threshold.

Run ``python tests/benchmarks/bench_finder.py [--fields 10] [--first 1] [--real FOLDER]``. The fields are
simulated; with FOLDER both real observations of Abell 907 are searched as well, and every source that is not
on their lists is printed.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import numpy as np
import sep
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from scipy.ndimage import gaussian_filter

from labkit.finder import search
from labkit.simulate import simulate_observation
from labkit.sources import read_observation
from labkit.sources.candidates import read_regions
from labkit.sources.xmm import Observation

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
COUNTS = (10, 15, 20, 30, 50, 100, 200, 1e6)
FLUXES = (1e-15, 3e-15, 6e-15, 1e-14, 2e-14, 5e-14, 1e-13, 1e-9)  # erg/s/cm2
CORES = (0, 10, 20, 40, 80, 1e3)  # arcsec
POINT_RADIUS, LISTED_RADIUS = 10.0, 12.0  # arcsec
FAINTEST = 5.0  # expected counts of a source that a detection may be attributed to
CLUSTERS = ("cluster", "target cluster")


@dataclass
class Field:
    """A simulated field: truth and what was found of it, sources and what they are, seconds of two clocks."""

    truth: Table
    sources: Table
    seconds: dict[str, np.ndarray]


def smoothed_threshold(counts: np.ndarray, exposure: np.ndarray, *, sigma: float = 1.5, level: float = 5.0):
    """The crude way: peaks of the smoothed image above the smoothed background; x, y in pixels."""
    exposed = exposure > 0.01 * exposure.max()
    counts = np.where(exposed, np.nan_to_num(counts), 0)
    wide = gaussian_filter(np.where(exposed, exposure, 0), 30)
    rate = np.divide(gaussian_filter(counts, 30), wide, out=np.zeros_like(wide), where=wide > 0)
    background = gaussian_filter(np.where(exposed, rate * exposure, 0), sigma)
    noise = np.sqrt(np.maximum(background, 0.02)) / (2 * np.sqrt(np.pi) * sigma)
    excess = gaussian_filter(counts, sigma) - background
    found = sep.extract(np.ascontiguousarray(excess), level, err=noise, minarea=3, filter_kernel=None)
    return found["x"], found["y"]


def radius(truth: Table) -> np.ndarray:
    """Distance within which a detection is this source, arcsec."""
    core = np.nan_to_num(np.asarray(truth["core_radius"].to_value(u.arcsec)))
    return np.where(core > 0, np.clip(core, 20, 120), POINT_RADIUS)


def separations(truth: Table, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """Arcsec, shape (true sources, detections)."""
    away = np.hypot(np.asarray(truth["x"])[:, None] - x, np.asarray(truth["y"])[:, None] - y)
    return away * pixel


def search_field(seed: int, pixel: float = 4.35) -> Field:
    """Simulate a field, search it and compare."""
    simulated = simulate_observation(seed, pixel_scale_arcsec=pixel)
    place = simulated.pointing
    pointing = SkyCoord(place.ra_deg, place.dec_deg, unit="deg")
    image, exposure = simulated.images["epic"], simulated.exposures["epic"]
    apart = [
        np.stack([maps[c] for c in ("pn", "mos1", "mos2")])
        for maps in (simulated.images, simulated.exposures)
    ]
    observation = Observation(image, simulated.wcs, exposure, pointing, {}, (apart[0], apart[1]))
    clocks = [np.array([time.perf_counter(), time.process_time()])]
    found = search(observation)
    clocks.append(np.array([time.perf_counter(), time.process_time()]))
    crude = smoothed_threshold(image, exposure)
    clocks.append(np.array([time.perf_counter(), time.process_time()]))
    truth, sources = simulated.truth[np.asarray(simulated.truth["counts"]) > 0], found.candidates
    kinds = {
        "detected": (found.detection.candidates["x"], found.detection.candidates["y"]),
        "listed": (sources["x"], sources["y"]),
        "c1": tuple(sources[axis][sources["c1"]] for axis in "xy"),
        "smoothed": crude,
    }
    within = radius(truth)
    for name, (x, y) in kinds.items():
        apart = separations(truth, np.asarray(x), np.asarray(y), pixel)
        truth[name] = (
            (apart < within[:, None]).any(axis=1) if apart.size else np.zeros(len(truth), dtype=bool)
        )
    apart = separations(truth, np.asarray(sources["x"]), np.asarray(sources["y"]), pixel)
    real = np.asarray(truth["counts"]) > FAINTEST
    wide = np.isin(truth["kind"], [*CLUSTERS, "nearby galaxy"]) & real
    sources["is_real"] = (apart[real] < within[real, None]).any(axis=0)
    sources["is_extended"] = (apart[wide] < np.maximum(within[wide, None], 30)).any(axis=0)
    truth["smoothed_number"] = len(crude[0])
    return Field(
        truth, sources, dict(zip(("finder", "smoothed threshold"), np.diff(clocks, axis=0), strict=True))
    )


def completeness(truth: Table, column: str, edges: tuple[float, ...], kinds: tuple[str, ...]) -> None:
    """Print shares found by bins of a column."""
    values = np.nan_to_num(np.asarray(getattr(truth[column], "value", truth[column])))
    print(f"{column:>22s} {'number':>7s}" + "".join(f"{kind:>10s}" for kind in kinds))
    for low, high in pairwise(edges):
        rows = truth[(values >= low) & (values < high)]
        if len(rows):
            shares = "".join(f"{np.mean(rows[kind]):10.2f}" for kind in kinds)
            print(f"{low:10.3g} - {high:9.3g} {len(rows):7d}{shares}")


def report(fields: list[Field]) -> None:
    """Print what was found in the simulated fields."""
    truth = vstack([field.truth for field in fields], metadata_conflicts="silent")
    points, clusters = truth[truth["kind"] == "AGN"], truth[np.isin(truth["kind"], CLUSTERS)]
    print(f"{len(fields)} simulated fields. Point sources found within {POINT_RADIUS:g} arcsec:")
    completeness(points, "counts", COUNTS, ("detected", "listed", "smoothed"))
    completeness(points, "flux", FLUXES, ("detected", "listed", "smoothed"))
    print("Clusters found within their core radius (20 to 120 arcsec); c1: selected as extended:")
    completeness(clusters, "counts", COUNTS, ("detected", "listed", "c1", "smoothed"))
    completeness(clusters, "flux", FLUXES, ("detected", "listed", "c1", "smoothed"))
    print("... those of more than 50 counts:")
    completeness(
        clusters[clusters["counts"] > 50], "core_radius", CORES, ("detected", "listed", "c1", "smoothed")
    )
    sources = [field.sources for field in fields]
    number = sum(len(table) for table in sources)
    real = sum(int(table["is_real"].sum()) for table in sources)
    c1 = sum(int(table["c1"].sum()) for table in sources)
    false = [int((table["c1"] & ~table["is_extended"]).sum()) for table in sources]
    print(f"listed: {number / len(fields):.1f} a field, purity {real / number:.3f}")
    print(f"c1: {c1 / len(fields):.1f} a field, false: {sum(false)} in {len(fields)} fields ({false})")
    for name in fields[0].seconds:
        wall, processor = np.array([field.seconds[name] for field in fields]).T
        print(
            f"{name}: {np.median(wall):.2f} s a field (at most {wall.max():.2f} s); "
            f"of the processor {np.median(processor):.2f} s (at most {processor.max():.2f} s)"
        )


def report_real(folder: Path) -> None:
    """Print what was found in the observations of Abell 907."""
    for cameras in (("epic",), ("pn", "mos1", "mos2")):
        total = np.zeros(4, dtype=int)
        for place in sorted((folder / "xmm").glob("a907_*")):
            names = [
                [place / f"{c}_0.5-2.0keV_{kind}.fits.gz" for c in cameras] for kind in ("image", "exposure")
            ]
            observation = read_observation(*names)
            start = time.perf_counter()
            table = search(observation).candidates
            seconds = time.perf_counter() - start
            listed = read_regions(place / "xapa_sources.reg", observation.wcs)
            ours, theirs = SkyCoord(table["ra"], table["dec"]), SkyCoord(listed["ra"], listed["dec"])
            recovered = theirs.match_to_catalog_sky(ours)[1] < LISTED_RADIUS * u.arcsec
            unlisted = ours.match_to_catalog_sky(theirs)[1] >= LISTED_RADIUS * u.arcsec
            crude = smoothed_threshold(observation.image, observation.exposure)
            crude_sky = SkyCoord.from_pixel(*crude, observation.wcs)
            crude_found = int((theirs.match_to_catalog_sky(crude_sky)[1] < LISTED_RADIUS * u.arcsec).sum())
            crude_new = int((crude_sky.match_to_catalog_sky(theirs)[1] >= LISTED_RADIUS * u.arcsec).sum())
            total += [len(listed), recovered.sum(), unlisted.sum(), table["c1"].sum()]
            print(
                f"{place.name} {'+'.join(cameras)}: {recovered.sum()} of {len(listed)} listed, "
                f"{unlisted.sum()} unlisted, {seconds:.1f} s; smoothed: {crude_found} and {crude_new}"
            )
            print_known(table)
            shown = table["x", "y", "counts", "class", "detection_likelihood", "near_gap", "near_edge"][
                unlisted
            ]
            shown["x"].info.format = shown["y"].info.format = shown["counts"].info.format = ".1f"
            shown["detection_likelihood"].info.format = ".1f"
            print("\n".join(f"    {line}" for line in shown.pformat(show_unit=False)))
        print(f"both: {total[1]} of {total[0]} listed, {total[2]} unlisted, {total[3]} c1")


def print_known(table: QTable) -> None:
    """The cluster and the bright AGN."""
    for name, x, y, within in (("Abell 907", 256, 276, 10), ("bright AGN", 190, 267, 3)):
        near = table[np.hypot(table["x"].value - x, table["y"].value - y) < within]
        for row in near:
            print(
                f"  {name}: {row['class']}, c1 {row['c1']}, extent {row['extent']:.1f}, "
                f"extension likelihood {row['extension_likelihood']:.0f}, "
                f"detection likelihood {row['detection_likelihood']:.0f}"
            )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="seed of the first field")
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    if options.fields:
        report([search_field(seed) for seed in range(options.first, options.first + options.fields)])
    if (options.real / "xmm").is_dir():
        report_real(options.real)


if __name__ == "__main__":
    main()
