"""Networks whose behaviour is known by construction, and a small trained one."""

from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import QTable
from torch import nn

from labkit.experiment import AdamW, Experiment
from labkit.learn import Model, train
from labkit.learn.networks import build_network
from labkit.sample import Sample


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """On one thread, so that sums keep their order."""


def made(n: int = 24, *, size: int = 32, seed: int = 1) -> Sample:
    """Normalised objects of two bands: clusters are wide X-ray blobs off the centre, the others have none."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(0.3 * size, 0.7 * size, (n, 2))
    cluster = np.arange(n) % 2 == 0
    distance = (y - centre[:, :1, None]) ** 2 + (x - centre[:, 1:, None]) ** 2
    blob = 200 * cluster[:, None, None] * np.exp(-0.5 * distance / (size / 10) ** 2)
    images = np.stack([blob + rng.uniform(0, 40, blob.shape), rng.uniform(0, 255, blob.shape)], 1)
    catalogue = QTable(
        {
            "object_id": [f"M{i:03d}" for i in range(n)],
            "ra": np.linspace(0, 90, n) * u.deg,
            "dec": np.linspace(-30, 30, n) * u.deg,
            "label": np.where(cluster, "low-z cluster", "point source"),
            "split": np.where(np.arange(n) % 6 < 4, "train", "validation"),
            "row": centre[:, 0],
            "column": centre[:, 1],
        }
    )
    return Sample(
        images.clip(0, 255).astype(np.uint8),
        catalogue,
        bands=("xray", "optical"),
        pixel_scale=4 * u.arcsec,
        provenance={"normalisation": {"method": "asinh"}},
    )


@pytest.fixture(scope="session")
def sample() -> Sample:
    found = made()
    assert found.shape == (24, 2, 32, 32)
    return found


@pytest.fixture(scope="session")
def make_model(sample: Sample) -> Callable[..., Model]:
    """A model around any network, or around an untrained one by its experiment's name."""

    def make(network: nn.Module | str, **fields: object) -> Model:
        chosen = {"network": network} if isinstance(network, str) else {}
        experiment = Experiment(
            name="made", **({"image_size": 32, "dropout": 0.2, "precision": "fp32"} | chosen | fields)
        )
        if isinstance(network, str):
            torch.manual_seed(5)
            network = build_network(experiment)
        return Model.of(experiment, network.eval(), sample, seed=0)

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The custom network after some epochs on blobs, which it then knows."""
    torch.set_num_threads(1)
    many = made(96, seed=2)
    experiment = Experiment(
        precision="fp32",
        name="blobs", image_size=32, batch_size=16, epochs=12, augmentation=None, dropout=0.0,
        optimiser=AdamW(learning_rate=2e-3), seeds=(1,),
    )  # fmt: skip
    folder = Path(tmp_path_factory.mktemp("run"))
    fitted = train(experiment, many, run=folder, device="cpu", progress=False)
    assert fitted.history[fitted.best_epoch]["validation_accuracy"] > 0.9
    return fitted.model


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)
