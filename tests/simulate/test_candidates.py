"""The candidates of every class: what they are made of, where they lie, how bright they are."""

import numpy as np
import pytest

from labkit.simulate.candidates import covered, draw_candidate, draw_position
from labkit.simulate.numbers import read_numbers
from labkit.simulate.xmm import SURVEY_LIMIT, draw_pointing, flux_limit


@pytest.mark.parametrize("name", read_numbers("survey")["assumed"]["confused"])
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
        pair = draw_candidate(np.random.default_rng(seed), "double source", pointing, x=0, y=0)
        first, second = pair.components
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


def test_edge_candidates_are_cut_by_the_field_and_others_are_not():
    ring = 0.8 * np.exp(2j * np.pi * np.arange(40) / 40)
    for seed in range(20):
        pointing = draw_pointing(np.random.default_rng(seed))
        for edge in (False, True):
            u, v = pointing.to_detector(*draw_position(np.random.default_rng(seed), pointing, edge=edge))
            share = covered(pointing, u + ring.real, v + ring.imag).mean()
            assert (share < 0.95) if edge else (share > 0.9)
