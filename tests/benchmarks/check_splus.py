"""Members of 64 real clusters by their photometry: the photometric methods on the S-PLUS catalogue.

Run ``python tests/benchmarks/check_splus.py [--trees 500] [--seeds 3] [--real FOLDER]``. FOLDER holds
``splus/cluster_members.ecsv``: 1,090 galaxies with spectroscopic membership. Folds keep clusters whole, so
every cluster is judged by models that never saw it. Nothing of the spectra enters but the clusters' redshifts
and the labels. Prints purity, completeness, F1 and AUC of each method and set of features beside the
reference.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from labkit.evaluate import binary_scores
from labkit.evaluate.members import deal_folds, photometric_predictions
from labkit.photometry import colours, magnitude_at, redshift_offset

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
BROAD = ["gSDSS-rSDSS", "iSDSS-rSDSS", "zSDSS-rSDSS"]
REDSHIFT = {"method": "bayesian", "covariates": ["z_cl", "z_cl2", "m_abs"]}
MEASURES = ("precision", "recall", "f1", "auc", "brier")
#: What was measured on this file with 500 trees, ten folds grouped by cluster, three seeds.
REFERENCE = {
    "colours": "0.72       0.74       0.729 0.002 0.751",
    "photometric redshift": "0.84       0.84       0.839 0.002 0.894",
}


def photometry(path: Path) -> tuple[Table, list[str]]:
    """Features of the galaxies, and the names of the eleven colours against r."""
    given = Table.read(path)
    bands = [name.removeprefix("mag_") for name in given.colnames if name.startswith("mag_")]
    table = colours(given, bands=bands, reference="rSDSS")
    names = list(table.colnames)
    table["object_id"] = [f"{cluster}-{row:04d}" for row, cluster in enumerate(given["cluster"])]
    table["label"] = np.where(given["member"], "member", "non-member")
    table["cluster"] = given["cluster"]
    table["r"], table["z_cl"], table["z_phot"] = given["mag_rSDSS"], given["z_cluster"], given["z_phot"]
    table["z_cl2"] = table["z_cl"] ** 2
    table["m_abs"] = magnitude_at(table["r"], table["z_cl"])
    table["radius"] = given["r_over_r200"]
    table["offset"] = redshift_offset(table["z_phot"], table["z_cl"])
    table["distance"] = np.abs(table["offset"])
    table["published"] = given["published_member"]
    return table, names


def variants(names: list[str]) -> dict[str, list[tuple[str, list[str], dict]]]:
    """Features and options of each line, under the reference that it is to be compared with."""
    near = ["offset", "distance", "radius", "m_abs", "z_cl"]
    return {
        "colours": [
            ("random forest: colours, r, z_cl", [*names, "r", "z_cl"], {}),
            ("extra trees: and M at z_cl", [*names, "r", "m_abs", "z_cl"], {"method": "extra trees"}),
            ("bayesian: g-r, i-r, z-r | z_cl, M", BROAD, REDSHIFT | {"prior": ["m_abs", "z_cl"]}),
            ("bayesian: 11 colours | z_cl, M", names, REDSHIFT | {"prior": ["m_abs", "z_cl"]}),
        ],
        "photometric redshift": [
            (
                "random forest: colours, r, z_cl, offset, R",
                [*names, "r", "m_abs", "z_cl", "z_phot", "offset", "radius"],
                {},
            ),
            ("extra trees: offset, R, M, z_cl", near, {"method": "extra trees"}),
            ("extra trees: and g-r, i-r", [*near, *BROAD[:2]], {"method": "extra trees"}),
            (
                "bayesian: offset | z_cl, prior R",
                ["offset"],
                {"method": "bayesian", "covariates": ["z_cl"], "prior": ["radius"]},
            ),
            (
                "bayesian: offset, g-r, i-r, z-r, prior R",
                ["offset", *BROAD],
                REDSHIFT | {"prior": ["radius", "m_abs"]},
            ),
        ],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    table, names = photometry(options.real / "splus" / "cluster_members.ecsv")
    truth = np.asarray(table["label"] == "member")
    print(f"{len(table)} galaxies, {truth.sum()} members, {len(set(table['cluster']))} clusters")
    print(f"{'':46s}purity     completen. F1    +-    AUC   Brier  s")
    for kind, lines in variants(names).items():
        print(f"{'reference: ' + kind:46s}{REFERENCE[kind]}")
        for title, features, keywords in lines:
            if keywords.get("method") != "bayesian":
                keywords = keywords | {"options": {"n_estimators": options.trees}}
            start, found = time.monotonic(), []
            for seed in range(options.seeds):
                folds = deal_folds(table["label"], groups=table["cluster"], seed=seed)
                predictions = photometric_predictions(
                    table, features, folds=folds, groups=table["cluster"], seeds=(seed,), **keywords
                )
                scores = binary_scores(predictions.true_codes == 1, predictions.score)
                found.append([getattr(scores, measure) for measure in MEASURES])
            mean, std = np.mean(found, axis=0), np.std(found, axis=0)
            print(
                f"  {title:44s}{mean[0]:.3f}      {mean[1]:.3f}      {mean[2]:.3f} {std[2]:.3f} "
                f"{mean[3]:.3f} {mean[4]:.3f} {time.monotonic() - start:5.0f}",
                flush=True,
            )
    published = binary_scores(truth, np.asarray(table["published"], dtype=float))
    print(f"{'published classes, in sample':46s}{published.precision:.3f}      {published.recall:.3f}      "
          f"{published.f1:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
