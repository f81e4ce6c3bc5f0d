"""Small normalised Samples and experiments for the tests of training."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import QTable

from labkit.experiment import AdamW, Experiment
from labkit.sample import Sample


def blobs(n: int, *, size: int = 32, seed: int = 1, white: bool = False) -> Sample:
    """Normalised objects of two bands; clusters are wide blobs, the others narrow ones."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    wide = np.arange(n) % 2 == 0
    width = np.where(wide, size / 6, size / 20)[:, None, None]
    shape = np.exp(-0.5 * (x**2 + y**2) / width**2)
    images = np.stack([shape * 150 + rng.uniform(0, 60, shape.shape), rng.uniform(0, 255, shape.shape)], 1)
    catalogue = QTable(
        {
            "object_id": [f"B{i:03d}" for i in range(n)],
            "ra": np.linspace(0, 90, n) * u.deg,
            "dec": np.linspace(-30, 30, n) * u.deg,
            "label": np.where(wide, "low-z cluster", "point source"),
            "split": np.where(np.arange(n) % 6 < 4, "train", "validation"),
        }
    )
    levels = images.astype(np.uint8)
    about = {"method": "xamin", "no_emission": 255} if white else {"method": "asinh"}
    return Sample(
        255 - levels if white else levels,
        catalogue,
        bands=("xray", "optical"),
        pixel_scale=4 * u.arcsec,
        provenance={"normalisation": about},
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """On one thread, so that sums keep their order."""


@pytest.fixture(scope="session")
def make_sample():
    """The function that makes a Sample of n blobs."""
    return blobs


@pytest.fixture
def sample() -> Sample:
    made = blobs(36)
    assert made.shape == (36, 2, 32, 32)
    return made


@pytest.fixture(scope="session")
def quick() -> Experiment:
    """Three epochs of the custom network at 32 px, with dropout and augmentation."""
    return Experiment(
        precision="fp32",
        name="quick",
        image_size=32,
        batch_size=4,
        epochs=3,
        optimiser=AdamW(),
        dropout=0.3,
        seeds=(3,),
    )


@pytest.fixture(scope="session")
def same_weights():
    """Whether two trainings, models or states hold equal tensors, to the last bit."""

    def state(of):
        of = getattr(of, "model", of)
        return of.network.state_dict() if hasattr(of, "network") else of

    def same(one, other):
        first, second = state(one), state(other)
        return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

    return same
