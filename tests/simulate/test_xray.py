"""X-ray sources other than clusters: their numbers, their places, their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.simulate.xray import agn_counts, draw_agn_fluxes, field_agn, galaxy_emission


def test_agn_density_is_as_observed():
    assert agn_counts(1e-14) == pytest.approx(90, rel=0.1)
    assert 500 < agn_counts(1e-15) < 1500


@given(st.floats(7e-16, 5e-14))
def test_drawn_fluxes_follow_the_number_counts(faintest):
    flux = draw_agn_fluxes(np.random.default_rng(0), 4000, faintest=faintest)
    assert flux.min() >= 0.999 * faintest
    share = (flux > 2 * faintest).mean()
    assert share == pytest.approx(agn_counts(2 * faintest) / agn_counts(faintest), abs=0.04)


def test_field_agn_fill_the_square():
    found = [agn for k in range(30) for agn in field_agn(np.random.default_rng(k), x=3.0, y=-2.0, half=5.0)]
    assert len(found) / 30 == pytest.approx(agn_counts(7e-16) * (10 / 60) ** 2, rel=0.1)
    assert max(abs(agn.x - 3) for agn in found) <= 5
    assert np.mean([agn.y for agn in found]) == pytest.approx(-2, abs=0.3)


@given(st.floats(0.2, 1), st.integers(0, 99))
def test_galaxy_emission_adds_up(ratio, seed):
    parts = galaxy_emission(
        np.random.default_rng(seed), x=0, y=0, flux=3e-14, size=0.5, axis_ratio=ratio, angle_deg=10
    )
    assert sum(part.flux for part in parts) == pytest.approx(3e-14)
    assert any(part.core > 0 for part in parts)
    assert any(part.core == 0 for part in parts)
