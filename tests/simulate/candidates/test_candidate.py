"""The candidates of every class: sources other than clusters, artefacts, positions, detection limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.instruments.epic import PN
from labkit.simulate.artefacts import spurious_counts, streak_source
from labkit.simulate.candidates import CLASSES, SURVEY_LIMIT, draw_candidate, flux_limit
from labkit.simulate.pointing import draw_pointing
from labkit.simulate.positions import covered, draw_position
from labkit.simulate.xray_sources import agn_counts, draw_agn_fluxes, field_agn, galaxy_emission


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


@pytest.mark.parametrize("kind", ["column", "pixel", "arc", "chip"])
def test_artefacts_fall_on_the_candidate(kind):
    pointing = draw_pointing(np.random.default_rng(1))
    place = pointing.to_image(4.0, 0.5)
    near = []
    for seed in range(10):
        drawn = spurious_counts(
            np.random.default_rng(seed), pointing, kind=kind, x=place[0], y=place[1], counts=60
        )
        near.append((np.hypot(drawn.x - place[0], drawn.y - place[1]) < 1.5).sum())
    assert min(near) > 5


def test_a_streak_source_shares_the_column_of_the_candidate():
    pointing = replace(
        draw_pointing(np.random.default_rng(2)),
        bad_columns={k: np.empty((0, 4)) for k in ("pn", "mos1", "mos2")},
    )
    x, y = pointing.to_image(1.0, -3.0)
    source = streak_source(np.random.default_rng(3), pointing, x=x, y=y)
    u, v = pointing.to_detector(source.x, source.y)
    assert u == pytest.approx(1.0)
    assert abs(v + 3) > 1.2
    assert streak_source(np.random.default_rng(3), pointing, x=30.0, y=30.0) is None


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_drawn_with_sources_or_artefacts_near_the_centre(name):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pointing = draw_pointing(rng)
        x, y = draw_position(rng, pointing, edge=name == "edge")
        candidate = draw_candidate(rng, name, pointing, x=x, y=y)
        assert candidate.components or candidate.spurious
        if name != "artefact":
            assert np.hypot(candidate.components[0].x - x, candidate.components[0].y - y) < 0.8
            assert candidate.truth["flux"] >= SURVEY_LIMIT


def test_double_sources_are_10_to_30_arcsec_apart():
    pointing = draw_pointing(np.random.default_rng(4))
    for seed in range(20):
        first, second = draw_candidate(
            np.random.default_rng(seed), "double source", pointing, x=0, y=0
        ).components
        assert 9.9 < 60 * np.hypot(first.x - second.x, first.y - second.y) < 30.1


def test_optical_and_x_ray_sides_of_a_cluster_agree():
    pointing = draw_pointing(np.random.default_rng(5))
    candidate = draw_candidate(np.random.default_rng(6), "low-z cluster", pointing, x=1.0, y=2.0)
    scene, gas = candidate.scenes[0], candidate.components[0]
    assert scene.redshift == candidate.truth["redshift"]
    assert scene.centre == pytest.approx((60 * (gas.x - 1), 60 * (gas.y - 2)))


def test_nearby_galaxies_are_faint_in_x_rays_for_their_optical_light():
    pointing = draw_pointing(np.random.default_rng(9))
    limit, _ = flux_limit(pointing, x=0, y=0)
    ratios, distances = [], []
    for seed in range(200):
        drawn = draw_candidate(np.random.default_rng(seed), "nearby galaxy", pointing, x=0, y=0)
        flux = drawn.truth["flux"]
        assert flux >= limit
        assert sum(part.flux for part in drawn.components) == pytest.approx(flux)
        ratios.append(np.log10(flux) + 0.4 * drawn.scenes[0].magnitude + 5.5)  # log(fX / fR)
        distances.append(drawn.truth["redshift"] * 3e5 / 70)  # Mpc
    assert -3.5 < np.median(ratios) < -1.5
    assert np.mean(np.array(ratios) < -1) > 0.95  # AGN lie between -1 and 1
    luminosity = 10 ** np.median(np.log10(limit * 4 * np.pi * (np.array(distances) * 3.086e24) ** 2))
    assert 1e38 < luminosity < 1e42


def test_the_flux_limit_deepens_with_exposure_and_is_higher_for_extended_sources():
    short = replace(
        draw_pointing(np.random.default_rng(7)), exposure_s=dict.fromkeys(("pn", "mos1", "mos2"), 5e3)
    )
    short = replace(short, flare=8e-3)
    deep = replace(short, exposure_s=dict.fromkeys(("pn", "mos1", "mos2"), 2e4))
    x, y = short.to_image(PN.axis[0] + 7, PN.axis[1] + 7)
    assert flux_limit(deep, x=x, y=y)[0] < flux_limit(short, x=x, y=y)[0]
    assert flux_limit(short, x=x, y=y, extended=True)[0] > flux_limit(short, x=x, y=y)[0]


def test_edge_candidates_are_cut_by_the_field_and_others_are_not():
    ring = 0.8 * np.exp(2j * np.pi * np.arange(40) / 40)
    for seed in range(20):
        pointing = draw_pointing(np.random.default_rng(seed))
        for edge in (False, True):
            u, v = pointing.to_detector(*draw_position(np.random.default_rng(seed), pointing, edge=edge))
            share = covered(pointing, u + ring.real, v + ring.imag).mean()
            assert (share < 0.95) if edge else (share > 0.9)


def test_an_unknown_class_is_refused():
    pointing = draw_pointing(np.random.default_rng(8))
    with pytest.raises(InputError, match="true_class must be one of .* got 'galaxy'"):
        draw_candidate(np.random.default_rng(0), "galaxy", pointing, x=0, y=0)
