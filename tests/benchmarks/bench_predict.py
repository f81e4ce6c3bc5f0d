"""Predictions of a long Sample in parts: objects/s by workers, where the time goes, memory, and kills.

Run ``python tests/benchmarks/bench_predict.py [--objects 20000] [--models xmm-xray-optical] [--kills 0]
[--sample RAW] [--keep DIR]``. The Sample repeats the whole chunks of RAW (a raw Sample of both bands, by
default one of 600 simulated candidates), by hard links and under new ids. ``--kills`` also kills a run on
two workers at so many random moments, resumes it, and compares the table with that of an unbroken one.
"""

import argparse
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from astropy.table import QTable

from labkit.images import normalise
from labkit.learn import find_models
from labkit.learn.predict import PIECE, logits
from labkit.predictions import load_predictions
from labkit.sample import Sample
from labkit.simulate import simulate_survey
from labkit.tables import write_table


def repeated(raw: Path, folder: Path, objects: int) -> Path:
    """A Sample of the whole chunks of another one, again and again."""
    about = json.loads((raw / "images.zarr" / "zarr.json").read_text())
    chunk = about["chunk_grid"]["configuration"]["chunk_shape"][0]
    chunks = about["shape"][0] // chunk
    wanted = -(-objects // chunk)
    for number in range(wanted):
        place = folder / "images.zarr" / "c" / str(number) / "0" / "0"
        place.mkdir(parents=True)
        os.link(raw / "images.zarr" / "c" / str(number % chunks) / "0" / "0" / "0", place / "0")
    about["shape"][0] = wanted * chunk
    (folder / "images.zarr" / "zarr.json").write_text(json.dumps(about))
    catalogue = Sample.load(raw).catalogue[np.arange(wanted * chunk) % (chunks * chunk)]
    catalogue["object_id"] = [f"R{row:09d}" for row in range(len(catalogue))]
    write_table(QTable(catalogue), folder / "catalogue.parquet")
    header = json.loads((raw / "sample.json").read_text())
    header["content_hash"] = f"{header['content_hash']}, {wanted * chunk} objects"
    (folder / "sample.json").write_text(json.dumps(header))
    return folder


def command(sample: Path, models: str, out: Path, workers: int) -> list[str]:
    asked = ["predict", str(sample), "--run", models, "--out", str(out), "--workers", str(workers)]
    return [sys.executable, "-m", "labkit", *asked]


def stages(sample: Sample, models: str) -> None:
    """Milliseconds of processor time an object: read, normalise, network, on one thread."""
    torch.set_num_threads(1)
    model = find_models(models)[0]
    spent = dict.fromkeys(("read", "normalise", "network"), 0.0)
    for start in range(0, 8 * PIECE, PIECE):
        piece = sample.select(slice(start, start + PIECE), bands=model.experiment.named_bands)
        marks = [time.process_time()]
        _ = piece.images
        marks.append(time.process_time())
        grey = normalise(piece, like=model).images
        marks.append(time.process_time())
        logits(model, torch.from_numpy(grey))
        marks.append(time.process_time())
        for name, used in zip(spent, np.diff(marks), strict=True):
            spent[name] += used
    print(
        ", ".join(f"{name} {1e3 * used / (8 * PIECE):.2f} ms" for name, used in spent.items()),
        "an object, CPU",
    )


def killed(sample: Path, models: str, out: Path, kills: int, seconds: float) -> int:
    """Kill the whole group of processes at random moments; how many runs ended before their kill."""
    rng, early = random.Random(0), 0
    for _ in range(kills):
        run = subprocess.Popen(command(sample, models, out, 2), start_new_session=True)
        try:
            run.wait(rng.uniform(2, 2 + 2 * seconds / kills))
            early += 1
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    subprocess.run(command(sample, models, out, 2), check=True)
    return early


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--models", default="xmm-xray-optical")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--sample", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the Samples and predictions")
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(dir=given.keep) as scratch:
        folder = Path(scratch)
        raw = given.sample or folder / "raw"
        if given.sample is None:
            simulate_survey(1, n_objects=600, n_jobs=2, path=raw)
        sample = repeated(raw, folder / "long", given.objects)
        whole = Sample.load(sample)
        print(f"{len(whole)} objects, {len(find_models(given.models))} network(s)")
        stages(whole, given.models)
        took: dict[int, float] = {}
        for workers in (1, 2):
            start = time.perf_counter()
            subprocess.run(command(sample, given.models, folder / f"by{workers}", workers), check=True)
            took[workers] = time.perf_counter() - start
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            rate = len(whole) / took[workers]
            print(f"{workers} worker(s): {took[workers]:.1f} s, {rate:.0f} objects/s, at most {most:.2f} GiB")
        print(f"two workers over one: {took[1] / took[2]:.2f}")
        one, two = (load_predictions(folder / f"by{workers}").table for workers in (1, 2))
        print("the same to the last bit:", all((one[name] == two[name]).all() for name in one.colnames))
        if given.kills:
            early = killed(sample, given.models, folder / "killed", given.kills, took[2])
            three = load_predictions(folder / "killed").table
            same = all((one[name] == three[name]).all() for name in one.colnames)
            print(f"killed {given.kills - early} times, ended {early} times before: the same table: {same}")


if __name__ == "__main__":
    main()
