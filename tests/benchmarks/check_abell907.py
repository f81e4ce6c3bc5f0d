"""Score the candidates of real XMM-Newton observations with networks trained on a simulated survey.

Run ``python tests/benchmarks/check_abell907.py [RUN] [--experiment NAME] [--real FOLDER]``. RUN holds trained
networks, by default those that ship with labkit, FOLDER observations of Abell 907 (``xmm/a907_*``). Nothing
is tuned on them. Prints rank and probability of the cluster and of the bright AGN beside it, among the
candidates of the region files and, by ``labkit classify``, among those that are found, and how long it takes.
"""

import argparse
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.table import QTable
from timing import timed

from labkit.cli import main as labkit
from labkit.evaluate import rank
from labkit.learn import find_models, predict
from labkit.sources import candidates_sample, read_observation

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
#: Where they are in the images (pixels from 1).
CLUSTER, AGN = (257, 277), (191, 268)


def nearest(catalogue, place):
    """Row of the candidate nearest to an image position."""
    x, y = (catalogue[name].value for name in ("x_image", "y_image"))
    return int(np.hypot(x - place[0], y - place[1]).argmin())


def print_places(name, catalogue, note):
    """A line on the cluster and the AGN."""
    cluster, agn = (catalogue[nearest(catalogue, place)] for place in (CLUSTER, AGN))
    p = [f"rank {one['rank']}, p = {one['p_cluster']:.3f} +- {one['p_std']:.3f}" for one in (cluster, agn)]
    second = catalogue["p_cluster"][1]
    print(f"{name}, {len(catalogue)} candidates: Abell 907 {p[0]}; AGN {p[1]}; second {second:.3f} ({note})")


def classified(images, exposures, run, experiment):
    """The ranked catalogue of `labkit classify`, with wall and processor seconds."""
    maps = [word for path in exposures for word in ("--exposure", str(path))]
    with tempfile.TemporaryDirectory() as folder:
        words = ["classify", *map(str, images), *maps, "--run", str(run), "--out", f"{folder}/out"]
        words += [] if experiment is None else ["--experiment", experiment]

        def call():
            with suppress(SystemExit):
                labkit(words)

        _, wall, cpu = timed(call)
        return QTable.read(f"{folder}/out/ranked.ecsv"), f"{wall:.0f} s, {cpu:.0f} s CPU"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="xmm-xray")
    parser.add_argument("--experiment")
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    models = find_models(options.run, experiment=options.experiment)
    for folder in sorted((options.real / "xmm").glob("a907_*")):
        for cameras in (("epic",), ("pn", "mos1", "mos2")):
            images = [folder / f"{camera}_0.5-2.0keV_image.fits.gz" for camera in cameras]
            exposures = [folder / f"{camera}_0.5-2.0keV_exposure.fits.gz" for camera in cameras]
            raw = candidates_sample(read_observation(images, exposures), folder / "xapa_sources.reg")
            listed = rank(predict(models, raw), raw.catalogue)
            name = f"{folder.name} {'+'.join(cameras):14s}"
            print_places(f"{name} listed", listed, f"{len(models)} networks")
            print_places(f"{name} found", *classified(images, exposures, options.run, options.experiment))


if __name__ == "__main__":
    main()
