"""Score the candidates of real XMM-Newton observations with networks trained on a simulated survey.

Run ``python tests/benchmarks/check_abell907.py RUN [--experiment NAME] [--real FOLDER]``. RUN holds trained
networks (``labkit run notebooks/scoring.toml --run RUN``), FOLDER observations of Abell 907 (``xmm/a907_*``).
Nothing is tuned on them. Prints rank and probability of the cluster and of the bright AGN beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

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


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--experiment", default="CN-E solo x-ray")
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    models = find_models(options.run, experiment=options.experiment)
    for folder in sorted((options.real / "xmm").glob("a907_*")):
        for cameras in (("epic",), ("pn", "mos1", "mos2")):
            images = [folder / f"{camera}_0.5-2.0keV_image.fits.gz" for camera in cameras]
            exposures = [folder / f"{camera}_0.5-2.0keV_exposure.fits.gz" for camera in cameras]
            raw = candidates_sample(read_observation(images, exposures), folder / "xapa_sources.reg")
            catalogue = rank(predict(models, raw), raw.catalogue)
            cluster, agn = (catalogue[nearest(catalogue, place)] for place in (CLUSTER, AGN))
            print(
                f"{folder.name} {'+'.join(cameras):14s} of {len(catalogue)} candidates: "
                f"Abell 907 rank {cluster['rank']}, p = {cluster['p_cluster']:.3f} "
                f"+- {cluster['p_std']:.3f}; "
                f"AGN rank {agn['rank']}, p = {agn['p_cluster']:.3f}; "
                f"second p = {catalogue['p_cluster'][1]:.3f} ({len(models)} networks)"
            )


if __name__ == "__main__":
    main()
