"""Classes of real clusters by networks trained on simulated ones with XMM-Newton's point spread.

Run ``python tests/benchmarks/check_cores.py OUT [--clusters 300] [--epochs 15] [--real FOLDER]``. FOLDER
holds ``xmm/a1835_mos2``, ``xmm/a907_*`` and ``accept``. For each cluster a network and a logistic model of
the brightness in rings learn from simulated clusters with its point spread, its pixels and the population
of ACCEPT; nothing is tuned on real ones. Prints what hides their cores and what is said of them beside
ACCEPT's class, and writes to OUT/cores.html the real images beside simulated ones of that class, all thinned
to the same counts.
"""

import argparse
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

import labkit as lab
from labkit import evaluate
from labkit.cosmology import COSMOLOGY
from labkit.explain import ring_means
from labkit.images.coordinates import pixel_to_sky
from labkit.learn import Model, fold_numbers
from labkit.sample import concatenate
from labkit.sources import read_accept, read_candidates, read_observation
from labkit.sources.accept import accept_cores
from labkit.views import save_page
from labkit.views.gallery import gallery, grey_levels, png_uri, smoothed

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
RINGS = [0, 60, 120, 200, 300, 400, 490]  # kpc
PIXELS, SCALE, REDSHIFT = 64, 15.6, 0.05  # arcsec at that redshift
COUNTS = 10_000  # of each image in the figure
SEED = 11
KINDS, CAMERAS = ("image", "exposure"), ("pn", "mos1", "mos2")


def real_clusters(folder: Path) -> lab.Sample:
    """A1835 by MOS2, and A907 twice by all cameras, with the classes of ACCEPT."""
    known = accept_cores(read_accept(folder / "accept" / "accept_profiles.txt.gz"))
    look = {"size": PIXELS * SCALE * u.arcsec, "pixels": PIXELS, "seen_at": REDSHIFT}
    xmm, samples = folder / "xmm", []
    observation = read_observation(*(xmm / "a1835_mos2" / f"mos2_{kind}.fits.gz" for kind in KINDS))
    x, y, radius = np.loadtxt(xmm / "a1835_mos2" / "point_sources.txt").T
    ra, dec = pixel_to_sky(observation.wcs, x - 1, y - 1)
    points = QTable({"ra": ra * u.deg, "dec": dec * u.deg, "radius": 4 * radius * u.arcsec})
    a1835 = {"object_id": ["A1835"], "ra": [210.2585], "dec": [2.879], "redshift": [0.253]}
    a1835["label"] = [known["label"][known["name"] == "ABELL_1835"][0]]
    samples.append(lab.cores_sample(observation, QTable(a1835), points=points, **look))
    for path in sorted(xmm.glob("a907_*")):
        files = [[path / f"{one}_0.5-2.0keV_{kind}.fits.gz" for one in CAMERAS] for kind in KINDS]
        observation = read_observation(*files)
        listed = read_candidates(path / "xapa_sources.reg", wcs=observation.wcs)
        a907 = {"object_id": [path.name], "ra": [149.5917], "dec": [-11.0642], "redshift": [0.153]}
        a907["label"] = [known["label"][known["name"] == "ABELL_0907"][0]]
        points = listed[listed["region_colour"] == "red"]
        samples.append(lab.cores_sample(observation, QTable(a907), points=points, **look))
    return concatenate(samples)


def simulated_clusters(fwhm_kpc: float, number: int) -> lab.Sample:
    """Clusters of the population of ACCEPT with that point spread."""
    fwhm = fwhm_kpc / COSMOLOGY.kpc_proper_per_arcmin(REDSHIFT).to_value(u.kpc / u.arcsec)
    about = {"population": "accept", "size_px": PIXELS, "pixel_arcsec": SCALE, "redshift": REDSHIFT}
    return lab.simulate_cores(SEED, n_clusters=number, fwhm_arcsec=fwhm, n_jobs=2, **about)


def by_rings(simulated: lab.Sample, real: lab.Sample) -> lab.Predictions:
    """The logistic model of the brightness in rings, for each part by what it learnt from the others."""
    tables = []
    for sample in (real, simulated):
        table = sample.catalogue["object_id", "label"]
        light = np.log(np.maximum(ring_means(sample.band("xray"), sample, edges_kpc=RINGS), 0.01))
        table.add_columns(light.T.tolist(), names=[f"ring {k}" for k in range(light.shape[1])])
        tables.append(table)
    folds = np.append(np.zeros(len(real), int), 1 + np.arange(len(simulated)) % 5)
    both = vstack(tables, metadata_conflicts="silent")
    return evaluate.morphology_predictions(both, both.colnames[2:], folds=folds, experiment="rings")


def accuracy(predictions: lab.Predictions) -> float:
    """Balanced accuracy, mean over the classes."""
    found = lab.measure(predictions, measures=["balanced_accuracy"], classes="macro")
    return float(found["balanced_accuracy"][0])


def trained(raw: lab.Sample, options: argparse.Namespace, name: str) -> Model:
    """A network trained on simulated clusters; prints how well it tells those apart that it has not seen."""
    sample = lab.normalise(raw, method="asinh", lower=0.1, upper=100.0, softening=0.1)
    changes = {"folds": 4, "validation_share": 0.2, "image_size": PIXELS, "epochs": options.epochs}
    experiment = lab.preset(options.network, **changes).changed(name=name)
    model = lab.train(experiment, sample, run=options.out, progress=False).model
    tested = lab.predict(model, sample.select(fold_numbers(experiment, sample) == 0), split="test")
    print(f"{name}, {len(tested)} simulated clusters not seen: balanced accuracy {accuracy(tested):.2f}")
    return model


def said(predictions: lab.Predictions, name: str) -> str:
    """The probabilities of an object."""
    row = np.flatnonzero(predictions.table["object_id"] == name)[0]
    pairs = zip(predictions.classes, predictions.probabilities[row], strict=True)
    return ", ".join(f"{one} {p:.2f}" for one, p in pairs)


def pictures(real: lab.Sample, row: int, simulated: lab.Sample, rng: np.random.Generator) -> list[list[str]]:
    """Pictures of a real cluster and of five simulated ones of its class, of `COUNTS` each, and titles."""
    alike = (simulated.labels == real.labels[row]) & (simulated.catalogue["counts"] > COUNTS)
    some = rng.choice(np.flatnonzero(alike), 5, replace=False)
    images = np.stack([real.band("xray")[row], *simulated.band("xray")[some]])
    scale = COUNTS / images.sum((1, 2), keepdims=True)
    counts = smoothed(rng.poisson(np.maximum(images, 0) * scale).astype(float), sigma_px=0.6)
    times = simulated.catalogue["t_cool"].to_value("Gyr")[some]
    names = [f"{real.object_ids[row]}, real", *(f"{real.labels[row]}, {time:.2g} Gyr" for time in times)]
    return [[png_uri(grey_levels(image, stretch="log"), size_px=180) for image in counts], names]


def main() -> None:
    """Print the figures and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clusters", type=int, default=300)
    parser.add_argument("--network", default="VGG small cores")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    real, rng = real_clusters(options.real), np.random.default_rng(SEED)
    widths = real.catalogue["fwhm"].to_value(u.kpc).round(1)
    sheet: list[list[str]] = [[], []]
    for width in np.unique(widths)[::-1]:
        raw, own = simulated_clusters(width, options.clusters), real.select(np.flatnonzero(widths == width))
        model = trained(raw, options, f"{options.network}, {width:g} kpc")
        network, rings, shapes = lab.predict(model, own), by_rings(raw, own), lab.morphology(own)
        unseen = rings.select(np.isin(rings.table["object_id"], raw.object_ids))
        print(f"rings, {width:g} kpc, {len(unseen)} simulated clusters: {accuracy(unseen):.2f}")
        for row, name in enumerate(own.object_ids):
            numbers = ", ".join(f"{one} {shapes[one][row]:.3f}" for one in ("concentration", "cuspiness"))
            print(f"{name}: {own.labels[row]} in ACCEPT; network {said(network, name)}; "
                  f"rings {said(rings, name)}; {numbers}")  # fmt: skip
            for all_of, some in zip(sheet, pictures(own, row, raw, rng), strict=True):
                all_of.extend(some)
    title = f"Real and simulated clusters, 1 Mpc, {COUNTS:,} counts, XMM-Newton's point spread"
    figure = gallery(*sheet, columns=6, size_px=180, title=title)
    print(save_page(figure, options.out / "cores.html", title=title))


if __name__ == "__main__":
    main()
