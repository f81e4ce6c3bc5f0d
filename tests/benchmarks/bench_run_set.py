"""Seconds to find, cut out, normalise and classify the sources of one field, beside the goal of 60 s.

Run ``python tests/benchmarks/bench_run_set.py [--sources 5000] [--network VGG] [--precision bf16]``. The
mosaics, in the five bands of the mixed configuration, are simulated first (not counted). The network has
random weights: time does not depend on them. CPU seconds are of all threads.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from labkit.experiment import preset
from labkit.images import normalise
from labkit.learn import Model, predict
from labkit.learn.networks import build_network
from labkit.simulate.hst import MIXED_BANDS
from labkit.simulate.hst.field import simulate_field
from labkit.sources import members_sample, read_mosaics
from labkit.sources.members import field_catalogue

GOAL_S = 60


@contextmanager
def stage(name: str, spent: dict[str, tuple[float, float]]) -> Iterator[None]:
    """Seconds and CPU seconds of what is inside."""
    wall, used = time.perf_counter(), time.process_time()
    yield
    spent[name] = (time.perf_counter() - wall, time.process_time() - used)


def main() -> None:
    """Time each stage and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sources", type=int, default=5000, help="classified; the brightest of those found")
    parser.add_argument("--size-arcsec", type=float, default=235.0, help="side of the simulated field")
    parser.add_argument("--network", default="VGG", help="name of a preset")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mosaics", type=Path, default=None, help="folder of a simulated field made before")
    options = parser.parse_args()
    spent: dict[str, tuple[float, float]] = {}
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name, threadpool_limits(options.threads):
        folder = options.mosaics or Path(name) / "field"
        if not (folder / "cluster.json").is_file():
            simulate_field("M0416", seed=1, bands=MIXED_BANDS, size_arcsec=options.size_arcsec).write(folder)
        with stage("find and measure", spent):
            mosaics = read_mosaics(folder)
            found = field_catalogue(
                mosaics, folder / "catalogue.fits", quality="z_quality", detect_on=("F606", "F814")
            )
        with stage("cut out", spent):
            raw = members_sample(
                mosaics, found, cluster="M0416", redshift=0.397, quality="z_quality", accepted=(2, 3, 9)
            )
        chosen = raw.select(slice(0, options.sources))
        with stage("normalise", spent):
            sample = normalise(chosen, method="fixed-asinh")
        experiment = preset(options.network, bands=MIXED_BANDS)
        model = Model.of(experiment, build_network(experiment), sample, seed=0)
        with stage("classify", spent):
            predictions = predict(model, sample, device="cpu", batch_size=64, precision=options.precision)
    weights = sum(one.numel() for one in model.network.parameters())
    print(
        f"{len(found)} sources found on {mosaics.mosaics[0].shape} px, {len(raw)} with all of "
        f"{', '.join(raw.bands)}, {len(predictions)} classified by {options.network!r} ({weights:,} weights, "
        f"{options.precision}, {options.threads} threads)"
    )
    print("| stage | s | CPU s |\n|---|---|---|")
    for name, (wall, used) in spent.items():
        print(f"| {name} | {wall:.1f} | {used:.1f} |")
    wall, used = (sum(column) for column in zip(*spent.values(), strict=True))
    print(f"| all | {wall:.1f} (goal {GOAL_S}) | {used:.1f} |")


if __name__ == "__main__":
    main()
