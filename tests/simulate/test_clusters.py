"""The population of clusters."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.simulate.clusters import (
    COSMOLOGY,
    Cluster,
    cluster_components,
    draw_cluster,
    luminosity,
    mass_function,
    r500,
)


def test_mass_function_falls_with_mass_and_redshift():
    mass = np.logspace(13.5, 15.2, 20)
    assert (np.diff(mass_function(mass, 0.1)) < 0).all()
    assert (mass_function(mass[8:], 1.0) < mass_function(mass[8:], 0.1)).all()


def test_local_density_of_massive_clusters_is_as_observed():
    mass = np.logspace(14.5, 15.6, 200)
    density = np.trapezoid(mass_function(mass, 0.05), np.log10(mass))
    assert 3e-7 < density < 4e-6  # Mpc^-3


def test_luminosity_is_self_similar_in_redshift():
    ratio = luminosity(3e14, 0.5) / luminosity(3e14, 0.0)
    assert ratio == pytest.approx(float(COSMOLOGY.efunc(0.5)) ** (7 / 3), rel=1e-3)


def test_r500_of_a_known_cluster():
    assert r500(4.6e14, 0.153) == pytest.approx(1.12, rel=0.03)  # Abell 907, Mpc


@pytest.mark.parametrize("low_z", [True, False])
def test_drawn_clusters_obey_limit_and_redshift_cut(low_z):
    rng = np.random.default_rng(0)
    drawn = [draw_cluster(rng, low_z=low_z, flux_limit=2e-14, bright=k % 3 == 0) for k in range(300)]
    assert min(cluster.flux for cluster in drawn) >= 2e-14
    assert all((cluster.redshift < 0.3) == low_z for cluster in drawn)
    assert 1e13 < min(cluster.m500 for cluster in drawn) < max(cluster.m500 for cluster in drawn) < 2e15


def test_serendipitous_fluxes_follow_steep_number_counts():
    rng = np.random.default_rng(1)
    flux = np.array([draw_cluster(rng, low_z=True, flux_limit=2e-14).flux for _ in range(2000)])
    slope = -1 / np.mean(np.log(flux / 2e-14))
    assert -1.6 < slope < -0.6


def test_a_cluster_like_abell_907_lies_inside_the_population():
    rng = np.random.default_rng(2)
    drawn = [draw_cluster(rng, low_z=True, flux_limit=2e-14, bright=True) for _ in range(1000)]
    near = [c for c in drawn if 2e-12 < c.flux < 1.3e-11 and 0.08 < c.redshift < 0.25]
    assert len(near) > 30
    assert any(c.cool_core for c in near)
    assert not all(c.cool_core for c in near)
    core = np.array([60 * c.core_fraction * c.r500_arcmin for c in near])
    assert np.percentile(core, 5) < 60 < np.percentile(core, 95)


def test_components_hold_the_flux_within_r500():
    cluster = Cluster(0.2, 3e14, 1e44, 1e-12, 4.0, 0.15, 0.4, 0.8, 30.0, (0.2, 0.4, -0.3))
    parts = cluster_components(cluster, x=1.0, y=2.0)
    within = sum(
        p.flux * (1 - (1 + (4.0 / p.core) ** 2) ** -0.5) / (1 - (1 + p.limit**2) ** -0.5) for p in parts
    )
    assert within == pytest.approx(1e-12)
    assert [p.core for p in parts] == pytest.approx([0.6, 0.15, 0.36])
    assert (parts[2].x, parts[2].y) == pytest.approx((2.6, 0.8))


def test_an_impossible_flux_limit_is_refused():
    with pytest.raises(InputError, match="flux_limit must lie between 0 and"):
        draw_cluster(np.random.default_rng(0), low_z=False, flux_limit=1e-8)
