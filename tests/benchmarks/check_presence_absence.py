"""What dropping logged-out volunteers and repeats, then weighting, changes: 100 real subjects, one by one.

python tests/benchmarks/check_presence_absence.py ANSWERS.csv CONSENSUS.csv
"""

import sys

import numpy as np
from astropy.table import Table

from labkit.sources import read_flat_answers
from labkit.votes import cleaning_steps


def main(answers: str, published: str) -> None:
    found = read_flat_answers(answers, "presence_absence", logged_out=True, repeats="all")
    steps = cleaning_steps(found.answers)
    counts = Table.read(published, format="ascii.csv", header_start=0, data_start=1)
    theirs = {str(row[0]): float(row["frac_yes"]) for row in counts}
    steps["published_yes"] = [theirs[name] for name in steps["object_id"]]
    steps["counted_yes"] = np.round(steps["soft_all"] * steps["n_all"])
    for name in steps.colnames:
        if name.startswith("soft_"):
            steps[name].info.format = ".3f"
    steps.pprint_all()
    same = int(np.sum(np.asarray(steps["published_yes"]) == np.asarray(steps["counted_yes"])))
    print(f"counts of yes equal the published ones on {same} of {len(steps)} subjects")


if __name__ == "__main__":
    main(*sys.argv[1:])
