"""Members of 64 real clusters by their photometry: the photometric methods on the S-PLUS catalogue.

Run ``python tests/benchmarks/check_splus.py [--trees 500] [--seeds 3] [--real FOLDER]``. FOLDER holds
``splus/cluster_members.ecsv``: 1,090 galaxies with spectroscopic membership. Folds keep clusters whole, so
every cluster is judged by models that never saw it. Nothing of the spectra enters but the clusters' redshifts
and the labels. Prints purity, completeness, F1 and AUC of each method and set of features beside the
reference.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from astropy.table import QTable, Table

from labkit.evaluate import (
    Variant,
    catalogue_features,
    feature_sets,
    published,
    survey_columns,
    unseen_clusters,
)

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
COLUMNS = survey_columns("S-PLUS")
BROAD = COLUMNS["broad"]
SHIFT = ["cluster_redshift", "cluster_redshift2", "absolute_magnitude"]
MEASURES = ("purity", "completeness", "f1", "f1_std", "auc", "brier")


def variants(table: Table) -> Iterator[Variant]:
    """The two methods of section 12, and others."""
    names = table.meta["colours"]
    near = ["offset", "distance", "radius", "absolute_magnitude", "cluster_redshift"]
    extra = {"method": "extra trees"}
    bayesian = {"method": "bayesian", "covariates": SHIFT, "prior": ["radius", "absolute_magnitude"]}
    yield from feature_sets(table)
    brightness = [*names, "magnitude", "absolute_magnitude", "cluster_redshift"]
    yield Variant("colours", "extra trees, and M", brightness, extra)
    yield Variant("colours", "Bayesian, 11 colours", names, bayesian | {"prior": [SHIFT[2], SHIFT[0]]})
    yield Variant("photometric redshift", "extra trees: offset, R, M, z", near, extra)
    yield Variant("photometric redshift", "extra trees: and g-r, i-r", [*near, *BROAD[:2]], extra)
    yield Variant("photometric redshift", "Bayesian: and g-r, i-r, z-r", ["offset", *BROAD], bayesian)


def line(row: QTable.Row, measures: Sequence[str] = MEASURES) -> str:
    """A row of the table."""
    return " ".join(f"{row[name]:.3f}" for name in measures)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--real", type=Path, default=REAL)
    options = parser.parse_args()
    given = Table.read(options.real / "splus" / "cluster_members.ecsv")
    table = catalogue_features(given, **COLUMNS)
    print(f"{len(table)} galaxies, {table.meta['left_out']} left out")
    print(f"{'':52s}purity compl. F1 +- AUC Brier  s")
    for one in published("splus", "unseen"):
        print(f"{one['given'] + ', reference':52s}{line(one, MEASURES[:5])}")
    for one in variants(table):
        start = time.monotonic()
        row, theirs = unseen_clusters(table, [one], seeds=range(options.seeds), trees=options.trees)
        print(f"{one.given + ': ' + one.title:52s}{line(row)} {time.monotonic() - start:5.0f}", flush=True)
    print(f"{'published classes':52s}{line(theirs)}")


if __name__ == "__main__":
    main()
