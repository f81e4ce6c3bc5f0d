"""Seconds to simulate, normalise and open the survey of 1,707 candidates, two bands, 178 px.

Run ``python tests/benchmarks/bench_survey.py``. One and two processes are timed in turns within one call.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from timing import peak_gib, timed

from labkit.images import normalise
from labkit.sample import Sample
from labkit.simulate import simulate_survey


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1707)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for jobs in (2, 1):
                path = Path(folder) / f"raw-{number}-{jobs}"
                made = partial(simulate_survey, 1, n_objects=options.objects, n_jobs=jobs, path=path)
                seconds = timed(made)[1]
                name = f"simulate, {jobs} process{'es' * (jobs > 1)}"
                best[name] = min(seconds, best.get(name, seconds))
            raw, seconds, _ = timed(partial(Sample.load, path))
            best["open"] = min(seconds, best.get("open", seconds))
            target = Path(folder) / f"xamin-{number}"
            seconds = timed(partial(normalise, raw, path=target))[1]
            best["normalise to disk"] = min(seconds, best.get("normalise to disk", seconds))
    for name, seconds in best.items():
        print(f"{name:24s} {seconds:8.2f} s   {1e3 * seconds / options.objects:7.2f} ms an object")
    ratio = best["simulate, 1 process"] / best["simulate, 2 processes"]
    print(f"two processes are {ratio:.2f} x as fast as one")
    print(f"peak memory of this process {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
