"""The cameras: vignetting and chips, against real observations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.instruments.epic import CAMERAS, PN, vignetting

#: Measured on archival images of Abell 907: 0.5-2 keV, 4.35 arcsec pixels.
OFF_AXIS = (0.0, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5)
VIGNETTING = (1, 0.935, 0.835, 0.72, 0.60, 0.50, 0.41, 0.325)


def test_vignetting_follows_the_measured_curve():
    assert vignetting(np.array(OFF_AXIS)) == pytest.approx(VIGNETTING, abs=0.01)


@given(st.floats(0, 17))
def test_vignetting_never_rises_outwards_and_stays_positive(angle):
    assert 0 < vignetting(angle + 0.5) <= vignetting(angle) <= 1


def test_chips_do_not_overlap_and_gaps_see_nothing():
    for camera in CAMERAS:
        u, v = np.random.default_rng(4).uniform(-17, 17, (2, 20_000))
        inside = [(u > a) & (u < b) & (v > c) & (v < d) for a, b, c, d in camera.chips]
        assert np.sum(inside, axis=0).max() == 1
    gap = np.array([3.0, -0.93]), np.array([2.15, 5.0])
    assert (PN.chip_of(*gap) == -1).all()
