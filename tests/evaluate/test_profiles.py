import logging
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, vstack

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.evaluate import central_shares, cluster_profiles, covered_radius, member_profile

EDGES = np.linspace(0, 0.5, 6)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: member_profile([0.1], edges=[0.2, 0.1]), "edges must rise from 0"),
        (lambda: member_profile([0.1, np.nan], edges=EDGES), "radius must be finite and never negative"),
        (
            lambda: member_profile([0.1], edges=EDGES, coverage=[1.0]),
            "coverage must have one value per bin, 5",
        ),
        (lambda: member_profile([0.3], edges=EDGES), "a member within 0.15 R200, got none"),
        (
            lambda: covered_radius(range(8), {}),
            r"7 annuli of a cluster at least, got \[\]; the list of fields",
        ),
        (
            lambda: cluster_profiles(galaxies("A", 10.0, [0.1]), [], edges=EDGES),
            "a cluster with centre, R200",
        ),
    ],
)
def test_bad_profiles_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def field(name, ra, r200=1.5):
    """One listed field at redshift 0.4, its centre on the equator."""
    angle = r200 * u.Mpc / COSMOLOGY.kpc_proper_per_arcmin(0.4) if r200 else None
    return SimpleNamespace(cluster=name, centre=SkyCoord(ra, 0.0, unit="deg"), r200_angle=angle)


def galaxies(name, ra, radii, coverage=1.0):
    """Members north of a centre, at these R/R200."""
    angle = np.array(radii) * 1.5 * u.Mpc / COSMOLOGY.kpc_proper_per_arcmin(0.4)
    table = QTable({"cluster": [name] * len(radii), "ra": [ra] * len(radii) * u.deg, "dec": angle.to(u.deg)})
    table["coverage_F814"] = np.broadcast_to(coverage, len(radii))
    return table


def test_each_cluster_has_the_profile_of_its_own_members(caplog):
    a, b = [0.02, 0.12, 0.33], [0.11, 0.45, 0.46, 0.05]
    parts = (
        galaxies("A", 10.0, a),
        galaxies("B", 20.0, b, np.float32([1, 1, 0.9, 0.95])),
        galaxies("C", 30.0, [0.4]),
    )
    table = vstack(parts)
    fields = [field("A", 10.0), field("B", 20.0), field("C", 30.0), field("D", 40.0, r200=None)]
    shares = {"A": np.ones(5), "B": np.full(5, 0.5), "C": np.ones(5)}
    with caplog.at_level(logging.WARNING, "labkit"):
        found = cluster_profiles(table, fields, edges=EDGES, coverage=shares, bands=["F814"], rng=1)
    assert list(found) == ["A", "B"]
    assert "C: no member within the scale radius" in caplog.text
    assert found["A"]["members"].tolist() == [1, 1, 0, 1, 0]
    assert found["B"]["members"].tolist() == [1, 1, 0, 0, 1]  # the third has no whole cut-out
    alone = member_profile([0.11, 0.45, 0.05], edges=EDGES, coverage=shares["B"], rng=1)
    np.testing.assert_allclose(found["B"]["density_high"], alone["density_high"])


def test_members_are_counted_within_what_all_images_hold():
    edges = [0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2]
    whole, ends = np.ones(7), np.array([1, 1, 1, 1, 0.96, 0.9, 0.2])
    assert covered_radius(edges, {"A": whole}) == 0.15
    assert covered_radius(edges, {"A": whole, "B": ends}) == 0.1
    assert covered_radius(edges, {"A": whole, "B": 0.5 * ends}) == 0.03  # three annuli at least
    assert covered_radius(edges, {"A": whole}, most=0.3) == 0.2


def test_central_shares_are_compared_with_that_of_all_clusters():
    edges = np.array([0, 0.05, 0.1, 0.15])
    dense = member_profile([0.01, 0.02, 0.03, 0.12], edges=edges)
    loose = member_profile([0.04, *[0.08] * 7, *[0.12] * 4], edges=edges)
    table = central_shares({"spectra": {"A": dense, "B": loose}})
    assert table["members"].tolist() == ["spectra"] * 2
    assert table["n0"].tolist() == [4, 12]
    np.testing.assert_allclose(table["cumulative"], [3 / 4, 1 / 12])
    width = np.sqrt(0.25 * 0.75 / np.array([4, 12]))  # four of all sixteen
    np.testing.assert_allclose(table["from_mean"], (np.array([3 / 4, 1 / 12]) - 0.25) / width)
