import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.evaluate import member_profile, projected_radius

EDGES = np.linspace(0, 0.5, 6)


def test_projected_radius_is_angle_times_angular_diameter_distance():
    centre = SkyCoord(64.0, -24.0, unit="deg")
    radius = projected_radius([64.0] * u.deg, [-24.0 + 1 / 60] * u.deg, centre=centre, redshift=0.4)
    expected = COSMOLOGY.angular_diameter_distance(0.4) * np.radians(1 / 60)
    assert radius[0].to_value(u.Mpc) == pytest.approx(expected.to_value(u.Mpc), rel=1e-6)


def test_counts_scaled_by_the_members_within_the_scale_radius():
    radius = np.array([0.05, 0.12, 0.15, 0.33, 0.45, 0.9])
    profile = member_profile(radius, edges=EDGES)
    assert profile.meta["n0"] == 2
    assert profile["members"].tolist() == [1, 2, 0, 1, 1]
    np.testing.assert_allclose(profile["cumulative"], [0.5, 1.5, 1.5, 2, 2.5])
    np.testing.assert_allclose(profile["density"][1], 2 / (np.pi * (0.2**2 - 0.1**2)) / 2)
    area = np.pi * np.diff(EDGES**2)
    np.testing.assert_allclose((profile["density"] * area).cumsum(), profile["cumulative"])


def test_half_an_annulus_doubles_its_density():
    radius = np.random.default_rng(0).uniform(0, 0.5, 200)
    whole = member_profile(radius, edges=EDGES, band="poisson")
    half = member_profile(radius, edges=EDGES, band="poisson", coverage=[1, 1, 0.5, 1, 0.5])
    np.testing.assert_allclose(half["density"] / whole["density"], [1, 1, 2, 1, 2])
    np.testing.assert_allclose(half["density_high"] / whole["density_high"], [1, 1, 2, 1, 2])
    np.testing.assert_array_equal(half["cumulative"], whole["cumulative"])


def test_a_uniform_field_is_flat_and_the_bands_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth = 1 / (np.pi * 0.15**2)  # uniform density over N0 of the same density
    inside = {"bootstrap": [], "poisson": []}
    for _ in range(60):
        radius = 0.5 * np.sqrt(rng.random(rng.poisson(600)))
        for band, hits in inside.items():
            profile = member_profile(radius, edges=EDGES, band=band, resamples=300, rng=rng)
            hits.append((profile["density_low"] <= truth) & (truth <= profile["density_high"]))
            assert (profile["cumulative_low"] <= profile["cumulative"]).all()
            assert (profile["cumulative"] <= profile["cumulative_high"]).all()
    assert np.mean(inside["bootstrap"]) == pytest.approx(0.68, abs=0.1)
    assert np.mean(inside["poisson"]) < np.mean(inside["bootstrap"])  # it takes N0 as exact


def test_an_empty_bin_has_an_upper_bound_by_poisson():
    profile = member_profile([0.05, 0.06], edges=EDGES, band="poisson")
    assert profile["density"][3] == profile["density_low"][3] == 0
    area = np.pi * (0.4**2 - 0.3**2)
    assert profile["density_high"][3] * area * 2 == pytest.approx(1.8326, abs=1e-3)  # -ln 0.16


def test_bad_profiles_are_named():
    with pytest.raises(InputError, match="edges must rise from 0"):
        member_profile([0.1], edges=[0.2, 0.1])
    with pytest.raises(InputError, match="radius must be finite and never negative"):
        member_profile([0.1, np.nan], edges=EDGES)
    with pytest.raises(InputError, match="coverage must have one value a bin, 5, got"):
        member_profile([0.1], edges=EDGES, coverage=[1.0])
    with pytest.raises(InputError, match="a member within 0.15 R200, got none"):
        member_profile([0.3], edges=EDGES)
