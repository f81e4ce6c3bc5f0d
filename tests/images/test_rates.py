"""Count rates: counts over exposure, gaps filled."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.images import normalise
from labkit.images.rates import count_rates
from labkit.sample import Sample


@pytest.fixture
def sample() -> Sample:
    """A sky of 4 counts/ks and pixel under vignetting, a gap across it, a source beside the gap; a blank."""
    rng = np.random.default_rng(1)
    y, x = np.indices((120, 120))
    seconds = 1e4 * (0.4 + 0.6 * x / 119)
    seconds[56:62] = 0
    rate = 4e-3 + 0.1 * np.exp(-0.5 * ((x - 30) ** 2 + (y - 80) ** 2) / 16)
    images = np.zeros((2, 3, 120, 120), dtype=np.float32)
    images[0] = np.stack([rng.poisson(rate * seconds), seconds, np.full((120, 120), 5.0)])
    images[1, 2] = 5.0
    catalogue = QTable(
        {"object_id": ["a", "blank"], "label": ["", ""], "ra": [0, 0] * u.deg, "dec": [0, 0] * u.deg}
    )
    return Sample(images, catalogue, bands=("xray", "exposure", "optical"), pixel_scale=3.5 * u.arcsec)


def test_rates_know_neither_vignetting_nor_gaps(sample):
    done = count_rates(sample, np.random.default_rng(2))
    assert done.bands == ("xray", "xray_rate", "optical")
    assert np.array_equal(done.band("xray"), sample.band("xray"))
    rate = done.band("xray_rate")[0]
    for part in (rate[:, 60:80], rate[:, 100:], rate[56:62, 60:]):
        assert part.mean() == pytest.approx(4e-3, rel=0.03)
    typical = np.median(sample.band("exposure")[0][sample.band("exposure")[0] > 0])
    assert rate[56:62, 60:].std() == pytest.approx(np.sqrt(4e-3 / typical), rel=0.1), (
        "the texture of the rest"
    )
    assert rate[80, 30] > 0.08
    assert not done.band("xray_rate")[1].any()
    grey = normalise(done, kinds={"xray_rate": "xray"})
    before, after = (grey.band(name)[0] for name in ("xray", "xray_rate"))
    assert (before[56:62] == 255).all()
    assert after[56:62].mean() == pytest.approx(after[20:50, 60:].mean(), abs=2)


def test_raw_counts_and_their_exposure_are_needed(sample):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="must be raw, with the bands 'xray' and 'exposure'"):
        count_rates(sample.select(bands=("xray", "optical")), rng)
