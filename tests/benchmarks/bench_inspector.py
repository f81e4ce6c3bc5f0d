"""Milliseconds of the inspector's steps with a thousand and with a million predicted objects.

Run ``python tests/benchmarks/bench_inspector.py``. Images are made when they are read, so the figures are
those of the inspector: its state, its pages, their pictures. Each round looks at pages not seen before; the
median over the rounds is printed, and the ratio.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable
from timing import peak_gib, timed

from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.inspector import inspect_errors


class MadeImages:
    """Images that exist only while they are looked at; counts the rows read."""

    def __init__(self, objects: int, size: int = 178) -> None:
        self.shape, self.dtype, self.reads = (objects, 2, size, size), np.dtype(np.uint8), 0

    def __getitem__(self, rows):
        rows = np.arange(self.shape[0])[rows]
        self.reads += len(rows)
        return np.random.default_rng(int(rows[0])).integers(
            0, 255, (len(rows), *self.shape[1:]), dtype=np.uint8
        )


def survey(n: int) -> tuple[Sample, Predictions, MadeImages]:
    """Objects with made images, and predictions of two runs."""
    rng, images = np.random.default_rng(1), MadeImages(n)
    ids, truth = np.char.mod("O%07d", np.arange(n)), rng.random(n) < 0.3
    label = np.where(truth, "cluster", "non-cluster")
    catalogue = QTable(
        {"object_id": ids, "ra": rng.uniform(0, 360, n) * u.deg, "dec": rng.uniform(-90, 90, n) * u.deg,
         "label": label, "counts": rng.gamma(2.0, 100.0, n)}
    )  # fmt: skip
    sample = Sample(images, catalogue, bands=("xray", "optical"), pixel_scale=2.36 * u.arcsec)
    runs = []
    for seed in range(2):
        p = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1.5, -1.5), 1.5)))
        runs.append(
            Predictions.from_arrays(
                ids, np.c_[1 - p, p], classes=("non-cluster", "cluster"), true=label, experiment="bench",
                seed=seed, positive="cluster",
            )
        )  # fmt: skip
    return sample, Predictions.concatenate(runs), images


def measure(n: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of each step."""
    sample, predictions, images = survey(n)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = Path(folder) / "v.csv"
        widget, seconds, _ = timed(partial(inspect_errors, sample, predictions, verdicts=verdicts))
        found, c = {"open": 1e3 * seconds}, widget.controls
        images.reads = 0
        spent: dict[str, list[float]] = {}
        for number in range(rounds):
            steps = {
                "move the threshold": partial(setattr, c.threshold, "value", 0.3 + 0.04 * number),
                "turn the page": partial(setattr, c.page, "value", 3 + number),
                "say a verdict": partial(widget.press, "d"),
                "sort by a column, first time": partial(setattr, c.sort, "value", "counts"),
                "move the threshold, so sorted": partial(setattr, c.threshold, "value", 0.31 + 0.04 * number),
                "filter": partial(setattr, c.text, "value", f"counts > {100 + number}"),
            }
            for name, step in steps.items():
                spent.setdefault(name, []).append(1e3 * timed(step)[1])
            c.text.value, c.sort.value = "", "confidence"
            c.groups["TP" if number % 2 else "FP"].click()
        spent["sort by a column, first time"] = spent["sort by a column, first time"][:1]
        found |= {name: float(np.median(times)) for name, times in spent.items()}
        found["rows read a round"] = images.reads / rounds
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs=2, default=(1_000, 1_000_000))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    small, large = (measure(n, options.rounds) for n in options.objects)
    print(f"{'step':32s} {options.objects[0]:>12,} {options.objects[1]:>12,}   ratio")
    for name, value in small.items():
        unit = "rows" if name.startswith("rows") else "ms"
        print(f"{name:32s} {value:9.1f} {unit:>2s} {large[name]:9.1f} {unit:>2s} {large[name] / value:7.2f}")
    print(f"peak memory {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
