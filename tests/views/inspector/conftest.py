"""A small normalised Sample with predictions of two experiments, and a Sample that counts what is read."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.predictions import Predictions
from labkit.sample import Sample

N, SIZE = 40, 24
CLASSES = ("non-cluster", "cluster")


def blobs() -> Sample:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    wide = np.arange(N) % 2 == 0
    width = np.where(wide, SIZE / 6, SIZE / 20)[:, None, None]
    bright = np.exp(-0.5 * (x**2 + y**2) / width**2) * 180 + rng.uniform(0, 50, (N, SIZE, SIZE))
    images = np.stack([255 - bright, 255 - rng.uniform(0, 255, (N, SIZE, SIZE))], 1).astype(np.uint8)
    catalogue = QTable(
        {
            "object_id": [f"X{i:02d}" for i in range(N)],
            "ra": np.linspace(10, 20, N) * u.deg,
            "dec": np.linspace(-5, 5, N) * u.deg,
            "label": np.where(
                wide, "low-z cluster", np.where(np.arange(N) % 4 == 1, "point source", "other")
            ),
            "counts": rng.permutation(N) * 10.0,
            "redshift": np.where(wide, np.linspace(0.1, 0.8, N), np.nan),
            "off_axis": np.linspace(0, 12, N) * u.arcmin,
            "good": np.arange(N) % 3 == 0,
        }
    )
    return Sample(
        images, catalogue, bands=("xray", "optical"), pixel_scale=17.5 * u.arcsec,
        provenance={"source": "simulated blobs", "normalisation": {"method": "xamin", "no_emission": 255}},
    )  # fmt: skip


@pytest.fixture(scope="session")
def sample() -> Sample:
    made = blobs()
    assert made.shape == (N, 2, SIZE, SIZE)
    return made


@pytest.fixture(scope="session")
def predictions(sample) -> Predictions:
    """Two seeds of "CN-E" with some errors, and one of "MN-E", which is nearly perfect."""
    rng = np.random.default_rng(5)
    truth = np.arange(N) % 2 == 0
    true = np.where(truth, "cluster", "non-cluster")
    base, parts = rng.normal(np.where(truth, 1.0, -1.0), 1.5), []
    for experiment, seed, logit in (
        ("CN-E", 0, base + 0.2),
        ("CN-E", 1, base - 0.2),
        ("MN-E", 0, np.where(truth, 3.0, -3.0)),
    ):
        p = 1 / (1 + np.exp(-logit))
        parts.append(
            Predictions.from_arrays(
                sample.object_ids, np.c_[1 - p, p], classes=CLASSES, true=true, experiment=experiment,
                seed=seed, split="test", positive="cluster",
            )
        )  # fmt: skip
    made = Predictions.concatenate(parts)
    assert len(made) == 3 * N
    return made


class CountingImages:
    """Images that are made when they are read, and remember which rows were."""

    def __init__(self, objects: int, *, size: int = 12) -> None:
        self.shape, self.dtype = (objects, 2, size, size), np.dtype(np.uint8)
        self.rows: list[int] = []

    def __getitem__(self, rows):
        rows = np.arange(self.shape[0])[rows]
        self.rows += rows.tolist()
        return np.random.default_rng(0).integers(0, 255, (len(rows), *self.shape[1:]), dtype=np.uint8)


@pytest.fixture(scope="session")
def many() -> tuple[Sample, Predictions, CountingImages]:
    """A hundred thousand objects whose images count their reads."""
    n, rng = 100_000, np.random.default_rng(1)
    images = CountingImages(n)
    ids = np.char.mod("O%07d", np.arange(n))
    truth = rng.random(n) < 0.3
    catalogue = QTable(
        {
            "object_id": ids,
            "ra": rng.uniform(0, 360, n) * u.deg,
            "dec": rng.uniform(-90, 90, n) * u.deg,
            "label": np.where(truth, "cluster", "non-cluster"),
            "counts": rng.gamma(2.0, 100.0, n),
        }
    )
    sample = Sample(images, catalogue, bands=("xray", "optical"), pixel_scale=2.36 * u.arcsec)
    p = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1.5, -1.5), 1.5)))
    predictions = Predictions.from_arrays(
        ids, np.c_[1 - p, p], classes=CLASSES, true=np.where(truth, "cluster", "non-cluster"),
        experiment="big", positive="cluster",
    )  # fmt: skip
    return sample, predictions, images
