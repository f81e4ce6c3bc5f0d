"""Light profiles as Gaussians, the two painters of them, and the numbers that are data."""

import numpy as np
import pytest
from astropy.modeling.models import Sersic2D
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from labkit.simulate.numbers import read_numbers
from labkit.simulate.painting import (
    Bodies,
    Optics,
    encircled,
    moffat_mixture,
    nearest_index,
    paint,
    projected_nfw,
    render,
    sersic_mixture,
)

OPTICS = Optics(seeing_arcsec=2.5, zero_point=20.0)


def grown(mixture: tuple[np.ndarray, np.ndarray], radius: np.ndarray) -> np.ndarray:
    weights, widths = mixture
    assert weights.sum() == pytest.approx(1)
    return (1 - np.exp(-0.5 * (radius[:, None] / widths) ** 2)) @ weights


@pytest.mark.parametrize("index", [0.5, 0.75, 1.0, 2.0, 2.5, 4.0, 5.0, 6.0])
def test_mixtures_follow_the_sersic_law(index):
    radius = np.geomspace(0.1, 8, 60)
    fine = grown(sersic_mixture(index, fine=True), radius)
    np.testing.assert_allclose(fine, encircled(radius, index), atol=0.01)
    if index in (1.0, 4.0):
        radius = radius[radius < 4]
        np.testing.assert_allclose(grown(sersic_mixture(index), radius), encircled(radius, index), atol=0.02)


def test_growth_is_that_of_astropys_profile():
    radius = np.linspace(0, 3, 3001)
    light = np.cumsum(Sersic2D(amplitude=1, r_eff=1, n=2.5)(radius, 0) * radius)
    np.testing.assert_allclose(light[1000] / light[-1], 0.5 / encircled(np.array([3.0]), 2.5)[0], rtol=2e-3)


def test_a_moffat_mixture_has_its_width_and_wings():
    radius, alpha = np.linspace(0.2, 4, 20), 0.5 / np.sqrt(2 ** (1 / 3.2) - 1)
    law = 1 - (1 + (radius / alpha) ** 2) ** -2.2
    np.testing.assert_allclose(grown(moffat_mixture(), radius), law, atol=0.02)


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


@settings(max_examples=20, deadline=None)
@given(
    index=st.sampled_from([0.0, 1.0, 4.0]),
    size=st.floats(0.3, 6.0),
    axis_ratio=st.floats(0.2, 1.0),
    angle=st.floats(0, 180),
    offset=st.floats(-0.5, 0.5),
)
def test_a_body_keeps_its_flux(index, size, axis_ratio, angle, offset):
    body = Bodies(offset, -offset, 18.0, size, axis_ratio, angle, index)
    image = render(body, OPTICS, shape=(401, 401), faintest=1e-9)
    assert image.sum() == pytest.approx(10**0.8, rel=2e-3)


def test_the_default_stamps_lose_little_light_that_a_plate_could_show():
    image = render(Bodies(0, 0, 17.0, 2.0, 0.7, 30.0, 4.0), OPTICS, shape=(401, 401))
    assert 0.93 * 10**1.2 < image.sum() <= 1.001 * 10**1.2


def test_a_point_has_the_width_of_the_seeing():
    image = render(Bodies.points([0.0], [0.0], [15.0]), OPTICS, shape=(101, 101))
    profile = image[50, 50:60] / image[50, 50]
    assert 2 * np.interp(-0.5, -profile, np.arange(10)) == pytest.approx(2.5, rel=0.05)


def test_bodies_lie_where_they_were_put_and_along_their_angle():
    image = render(Bodies(20.0, -10.0, 15.0, 6.0, 0.3, 90.0, 1.0), OPTICS, shape=(101, 121))
    y, x = np.indices(image.shape)
    centre = [(image * axis).sum() / image.sum() for axis in (x, y)]
    np.testing.assert_allclose(centre, [60 + 20, 50 - 10], atol=0.05)
    assert (image * (y - centre[1]) ** 2).sum() > 3 * (image * (x - centre[0]) ** 2).sum()


def test_bodies_beyond_the_edge_shine_in_and_those_far_away_do_not_matter():
    inside = render(Bodies.points([-52.0], [0.0], [10.0]), OPTICS, shape=(101, 101))
    assert inside[:, 0].max() > inside[:, 20].max() > 0
    assert render(Bodies.points([9999.0], [0.0], [5.0]), OPTICS, shape=(101, 101)).max() == 0


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_both_painters_paint_the_same_galaxy(index):
    body = Bodies(4.0, -7.0, 15.0, 6.0, 0.5, 120.0, index)
    plate = render(body, Optics(3.0, 20.0), shape=(121, 121))
    mosaic = np.zeros((1, 121, 121), dtype=np.float32)
    one = {"contrast": 1e4, "size": 6.0, "index": index, "axis_ratio": 0.5}
    one["angle"] = 30.0  # from y towards -x: 120 degrees from x towards y
    columns = {name: np.array([value]) for name, value in one.items()}
    place = np.array([64.0]), np.array([53.0])
    paint(mosaic, *place, flux=np.array([[100.0]]), core=3.0 / 2.3548, **columns)
    bright = mosaic[0] > 0.1 * mosaic.max()
    np.testing.assert_allclose(plate[bright], mosaic[0][bright], rtol=0.15 if index == 4.0 else 0.05)
    assert plate.sum() == pytest.approx(mosaic.sum(), rel=0.06)


@pytest.mark.parametrize("name", ["sky", "survey", "hunt", "hst/bands"])
def test_numbers_name_their_source(name):
    groups = read_numbers(name)
    assert len(groups) >= 3
    assert all(len(group["source"]) > 10 for group in groups.values())
