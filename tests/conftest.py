"""Fixtures shared by all tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import HealthCheck, settings

from labkit.sample import Sample

# the same examples every time, and no complaint about a busy machine
settings.register_profile(
    "labkit", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("labkit")

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let SIGINT interrupt, as in a terminal: a background job starts with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real observations beside the project; tests that need it skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"real observations are not beside the project ({REAL.name}/ absent)")
    return REAL


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are quickest on one thread, and sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_sample() -> Sample:
    """Twelve raw objects of two bands, 16 x 16 px: six clusters, six others, in three splits."""
    rng = np.random.default_rng(7)
    images = np.stack([rng.poisson(0.3, (12, 16, 16)), rng.normal(9000, 300, (12, 16, 16))], axis=1)
    catalogue = QTable(
        {
            "object_id": [f"X{i:02d}" for i in range(12)],
            "ra": np.linspace(10, 20, 12) * u.deg,
            "dec": np.linspace(-5, 5, 12) * u.deg,
            "label": ["low-z cluster", "point source", "high-z cluster", "nearby galaxy"] * 3,
            "split": ["train"] * 4 + ["validation"] * 4 + ["test"] * 4,
        }
    )
    sample = Sample(
        images.astype(np.float32), catalogue, bands=("xray", "optical"), pixel_scale=2.36 * u.arcsec
    )
    assert sample.shape == (12, 2, 16, 16)
    return sample
