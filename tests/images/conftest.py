"""A small raw member Sample: galaxies on sky of known scatter, with a band that is partly absent."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.sample import Sample

SCALES = {"F435": 0.009, "F606": 0.013, "F814": 0.007, "F160": 0.008}
N, SIZE = 24, 48


@pytest.fixture
def member_scales() -> dict[str, float]:
    """Scatter of the sky in each band of `member_sample`."""
    return dict(SCALES)


@pytest.fixture
def member_sample() -> Sample:
    """Raw cut-outs in electrons/s; the last six objects lack F160, the one before has half of it."""
    rng = np.random.default_rng(11)
    sigma = np.array(list(SCALES.values()))
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    galaxy = np.exp(-np.hypot(x, y) / 1.5)
    peaks = rng.uniform(0.02, 2, (N, len(SCALES), 1, 1))
    images = peaks * galaxy + sigma[:, None, None] * rng.normal(size=(N, len(SCALES), SIZE, SIZE))
    images[-6:, 3] = np.nan
    images[-7, 3, :, : SIZE // 2 - 4] = np.nan
    catalogue = QTable(
        {
            "object_id": [f"M0416-{i:03d}" for i in range(N)],
            "ra": np.linspace(64.01, 64.05, N) * u.deg,
            "dec": np.linspace(-24.09, -24.05, N) * u.deg,
            "label": ["member", "non-member"] * (N // 2),
            "cluster": ["M0416"] * N,
        }
    )
    made = Sample(
        images.astype(np.float32), catalogue, bands=tuple(SCALES), pixel_scale=0.065 * u.arcsec,
        provenance={"source": "made for a test"},
    )  # fmt: skip
    assert made.shape == (N, 4, SIZE, SIZE)
    return made
