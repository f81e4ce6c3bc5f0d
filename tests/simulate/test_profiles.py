"""Light profiles as Gaussians, the two painters of them, and the numbers that are data."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.modeling.models import Sersic2D
from scipy.integrate import quad
from scipy.special import gammainc, gammaincinv

from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import Bodies, paint, render
from labkit.simulate.profiles import encircled, moffat_mixture, nearest_index, projected_nfw, sersic_mixture


def grown(weights: np.ndarray, widths: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return (1 - np.exp(-0.5 * (radius[:, None] / widths) ** 2)) @ weights


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_coarse_mixtures_follow_the_sersic_law(index):
    weights, widths = sersic_mixture(index)
    radius = np.geomspace(0.1, 4, 12)
    law = gammainc(2 * index, gammaincinv(2 * index, 0.5) * radius ** (1 / index))
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(grown(weights, widths, radius), law, atol=0.02)


@pytest.mark.parametrize("index", [0.5, 0.75, 1.0, 2.0, 2.5, 4.0, 5.0, 6.0])
def test_fine_mixtures_follow_it_closer_and_further(index):
    weights, widths = sersic_mixture(index, fine=True)
    radius = np.geomspace(0.1, 8, 60)
    np.testing.assert_allclose(grown(weights, widths, radius), encircled(radius, index), atol=0.01)
    assert weights.sum() == pytest.approx(1)


def test_growth_is_that_of_astropys_profile():
    radius = np.linspace(0, 3, 3001)
    light = np.cumsum(Sersic2D(amplitude=1, r_eff=1, n=2.5)(radius, 0) * radius)
    np.testing.assert_allclose(light[1000] / light[-1], 0.5 / encircled(np.array([3.0]), 2.5)[0], rtol=2e-3)


def test_a_moffat_mixture_has_its_width_and_wings():
    weights, widths = moffat_mixture()
    assert weights.sum() == pytest.approx(1)
    radius = np.linspace(0.2, 4, 20)
    alpha = 0.5 / np.sqrt(2 ** (1 / 3.2) - 1)
    np.testing.assert_allclose(
        grown(weights, widths, radius), 1 - (1 + (radius / alpha) ** 2) ** -2.2, atol=0.02
    )


def test_indices_go_to_the_nearest_step():
    assert nearest_index(np.array([0.1, 1.1, 3.9, 9.0])).tolist() == [0.5, 1.0, 4.0, 6.0]


def test_projected_profile_matches_its_integral():
    # Surface density of an NFW halo, integrated: Bartelmann (1996), equation 7.
    def surface(r):
        if r < 1:
            return (1 - np.arccosh(1 / r) / np.sqrt(1 - r**2)) / (r**2 - 1)
        return (1 - np.arccos(1 / r) / np.sqrt(r**2 - 1)) / (r**2 - 1)

    inside = [quad(lambda r: r * surface(r), 1e-6, x, points=[1.0])[0] for x in (0.5, 1.0, 3.0)]
    found = projected_nfw(np.array([0.5, 1.0, 3.0]))
    np.testing.assert_allclose(found / found[0], np.array(inside) / inside[0], rtol=1e-3)


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_both_painters_paint_the_same_galaxy(index):
    seeing = 3.0
    body = Bodies(4.0, -7.0, 15.0, 6.0, 0.5, 120.0, index)
    plate = render(body, shape=(121, 121), pixel_scale_arcsec=1.0, seeing_arcsec=seeing, zero_point=20.0)
    mosaic = np.zeros((1, 121, 121), dtype=np.float32)
    one = {name: np.array([value]) for name, value in (("size", 6.0), ("index", index), ("axis_ratio", 0.5))}
    paint(
        mosaic,
        np.array([64.0]),
        np.array([53.0]),
        flux=np.array([[100.0]]),
        contrast=np.array([1e4]),
        angle=np.array([30.0]),  # from y towards -x: 120 degrees from x towards y
        core=seeing / 2.3548,
        **one,
    )
    bright = mosaic[0] > 0.1 * mosaic.max()
    np.testing.assert_allclose(plate[bright], mosaic[0][bright], rtol=0.15 if index == 4.0 else 0.05)
    assert plate.sum() == pytest.approx(mosaic.sum(), rel=0.06)


@pytest.mark.parametrize("name", ["sky", "survey", "hunt", "hst/bands"])
def test_numbers_name_their_source(name):
    groups = read_numbers(name)
    assert len(groups) >= 3
    assert all(len(group["source"]) > 10 for group in groups.values())
