"""Class activation maps a second, in batches against one at a time, and whether they are equal.

Run ``python tests/benchmarks/bench_maps.py`` (``--device cuda`` on a GPU). The best of the rounds counts;
both ways run in turns, so that the ratio holds on a busy machine.
"""

import argparse
from collections.abc import Callable

import astropy.units as u
import numpy as np
import torch
from astropy.table import QTable
from timing import timed

from labkit.experiment import Experiment
from labkit.explain import class_activation, filter_maps
from labkit.learn import Model
from labkit.learn.networks import build_network
from labkit.sample import Sample

CASES = (("custom", 356), ("custom", 89), ("mobilenet", 224))


def untrained(network: str, size: int, n: int) -> tuple[Model, Sample]:
    """A network with its first weights, and noise to look at."""
    rng = np.random.default_rng(0)
    catalogue = QTable(
        {
            "object_id": [f"N{i}" for i in range(n)],
            "ra": np.zeros(n) * u.deg,
            "dec": np.zeros(n) * u.deg,
            "label": np.full(n, "point source"),
        }
    )
    images = rng.integers(0, 256, (n, 2, size, size), dtype=np.uint8)
    sample = Sample(images, catalogue, bands=("xray", "optical"), pixel_scale=1.2 * u.arcsec)
    experiment = Experiment(name="bench", network=network, image_size=size)
    torch.manual_seed(0)
    return Model.of(experiment, build_network(experiment).eval(), sample, seed=0), sample


def rate(make: Callable[[], np.ndarray], device: str) -> tuple[float, np.ndarray]:
    """Maps a second, and the maps."""

    def finished() -> np.ndarray:
        maps = make()
        if device == "cuda":
            torch.cuda.synchronize()
        return maps

    maps, seconds, _ = timed(finished)
    return len(maps) / seconds, maps


def compare(network: str, size: int, options: argparse.Namespace) -> None:
    """Time one network and print its lines."""
    model, sample = untrained(network, size, options.objects)
    pixels = sample.images
    layer = "conv4" if network == "custom" else "blocks.2"
    makers: dict[str, Callable[..., np.ndarray]] = {
        "activation maps": lambda images, **k: filter_maps(model, images, layer=layer, **k),
        "Grad-CAM": lambda images, **k: class_activation(model, images, target="predicted", **k).maps,
        "HiResCAM": lambda images, **k: class_activation(
            model, images, method="hirescam", target="predicted", **k
        ),
    }
    for name, make in makers.items():
        common = {"device": options.device, "precision": options.precision}
        ways = {
            "batch": lambda make=make, k=common: make(pixels, batch_size=options.batch, **k),
            "one": lambda make=make, k=common: np.concatenate([make(one[None], **k) for one in pixels]),
        }
        best, maps = dict.fromkeys(ways, 0.0), {}
        ways["batch"]()
        for _ in range(options.rounds):
            for way, run in ways.items():
                found, maps[way] = rate(run, options.device)
                best[way] = max(best[way], found)
        apart = np.abs(maps["batch"] - maps["one"]).max() / np.abs(maps["one"]).max()
        print(
            f"{network:10s} {size:4d} {name:16s} {best['batch']:9.1f} {best['one']:9.1f} "
            f"{best['batch'] / best['one']:6.2f} {apart:9.1e}"
        )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.device}, {options.precision}"
    )
    print(
        f"{'network':10s} {'px':>4s} {'maps':16s} {'batch/s':>9s} {'one/s':>9s} {'ratio':>6s} {'apart':>9s}"
    )
    for network, size in CASES:
        compare(network, size, options)


if __name__ == "__main__":
    main()
