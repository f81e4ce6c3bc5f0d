"""The X-ray sky: the population of clusters, AGN, and the parts of nearby galaxies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cosmology import COSMOLOGY
from labkit.simulate.xray import (
    Cluster,
    agn_counts,
    cluster_components,
    cluster_counts,
    draw_agn_fluxes,
    draw_cluster,
    field_agn,
    galaxy_emission,
    luminosity,
    mass_function,
    r500,
)


def test_mass_function_falls_with_mass_and_redshift_and_is_as_observed_nearby():
    mass = np.logspace(13.5, 15.2, 20)
    assert (np.diff(mass_function(mass, 0.1)) < 0).all()
    assert (mass_function(mass[8:], 1.0) < mass_function(mass[8:], 0.1)).all()
    massive = np.logspace(14.5, 15.6, 200)
    assert 3e-7 < np.trapezoid(mass_function(massive, 0.05), np.log10(massive)) < 4e-6  # Mpc^-3


def test_luminosity_and_radius_follow_mass_and_redshift():
    ratio = luminosity(3e14, 0.5) / luminosity(3e14, 0.0)
    assert ratio == pytest.approx(float(COSMOLOGY.efunc(0.5)) ** (7 / 3), rel=1e-3)
    mass = np.logspace(13, 15.3, 24)
    slope = np.diff(np.log(luminosity(mass, 0.2))) / np.diff(np.log(mass))
    assert slope == pytest.approx(np.full(23, 1.85))
    assert r500(4.6e14, 0.153) == pytest.approx(1.12, rel=0.03)  # Abell 907, Mpc
    assert r500(8e14, 0.2) == pytest.approx(2 * r500(1e14, 0.2))
    assert r500(3e14, 0.8) < r500(3e14, 0.1)


def test_population_counts_are_euclidean_where_bright_and_flatter_where_faint():
    flux = np.logspace(-14, -11, 4)
    counts = np.array([cluster_counts(f) for f in flux])
    slopes = np.diff(np.log10(counts))
    assert slopes[0] == pytest.approx(-1.1, abs=0.1)
    assert slopes[2] == pytest.approx(-1.5, abs=0.1)
    assert (np.diff(slopes) < 0).all()
    # observed: Burenin et al. 2007, and deep surveys
    assert cluster_counts(1.4e-13) == pytest.approx(266 / 397, rel=0.15)
    assert cluster_counts(1e-14) == pytest.approx(10, rel=0.2)


def test_redshifts_fill_their_range_evenly_on_the_scale_of_a_cell():
    rng = np.random.default_rng(4)
    redshift = np.array([draw_cluster(rng, flux_limit=2e-14).redshift for _ in range(4000)])
    assert 0.03 <= redshift.min() < 0.05
    within = redshift / 0.01 % 1
    assert np.histogram(within, 4, (0, 1))[0] == pytest.approx(np.full(4, 1000), abs=4 * np.sqrt(750))


def test_the_mass_function_leaves_nothing_behind(tmp_path, monkeypatch):
    from colossus.cosmology import cosmology

    monkeypatch.setenv("HOME", str(tmp_path))
    before = cosmology.setCosmology("planck18", persistence="")
    mass_function(np.logspace(14, 15, 3), 0.2)
    assert cosmology.getCurrent() is before
    assert not list(tmp_path.iterdir())


def test_drawn_clusters_follow_the_counts_and_the_relation():
    rng = np.random.default_rng(3)
    drawn = [draw_cluster(rng, flux_limit=2e-14) for _ in range(600)]
    share = np.mean([cluster.flux > 6e-14 for cluster in drawn])
    expected = cluster_counts(6e-14) / cluster_counts(2e-14)
    assert share == pytest.approx(expected, abs=0.05)
    excess = [np.log(c.luminosity / luminosity(c.m500, c.redshift)) for c in drawn]
    assert 0.25 < np.std(excess) < 0.45
    assert 0 < np.mean(excess) < 0.4  # a flux limit prefers the luminous ones (Malmquist)
    drawn += [draw_cluster(rng, flux_limit=2e-14, bright=True) for _ in range(100)]
    assert min(cluster.flux for cluster in drawn) >= 2e-14
    assert 1e13 < min(cluster.m500 for cluster in drawn) < max(cluster.m500 for cluster in drawn) < 2e15


def test_a_cluster_like_abell_907_lies_inside_the_population():
    rng = np.random.default_rng(2)
    drawn = [draw_cluster(rng, flux_limit=2e-14, bright=True) for _ in range(1500)]
    near = [c for c in drawn if 2e-12 < c.flux < 1.3e-11 and 0.08 < c.redshift < 0.25]
    assert len(near) > 30
    assert {c.cool_core > 0 for c in near} == {True, False}
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


@given(st.floats(7e-16, 5e-14))
def test_fluxes_of_agn_follow_the_number_counts(faintest):
    assert agn_counts(1e-14) == pytest.approx(90, rel=0.1)
    assert 500 < agn_counts(1e-15) < 1500
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
    shape = {"size": 0.5, "axis_ratio": ratio, "angle_deg": 10}
    parts = galaxy_emission(np.random.default_rng(seed), x=0, y=0, flux=3e-14, **shape)
    assert sum(part.flux for part in parts) == pytest.approx(3e-14)
    assert {part.core > 0 for part in parts} == {True, False}
