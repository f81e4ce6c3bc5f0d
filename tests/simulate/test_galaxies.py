from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.simulate.galaxies import (
    apparent_magnitude,
    brightest_galaxy,
    cluster_members,
    field_galaxies,
    galaxy_counts,
    star_counts,
    stars,
)
from labkit.simulate.nearby import draw_nearby_galaxy, render_nearby_galaxy
from labkit.simulate.painting import Bodies, patch, render

GRID = {"pixel_scale_arcsec": 1.0, "seeing_arcsec": 2.5, "zero_point": 20.0}


def members(seed: int, **changes) -> Bodies:
    options = {"redshift": 0.1, "mass": 3e14, "r500_arcsec": 500.0} | changes
    return cluster_members(np.random.default_rng(seed), **options)


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
    image = render(body, shape=(401, 401), faintest=1e-9, **GRID)
    assert image.sum() == pytest.approx(10**0.8, rel=2e-3)


def test_the_default_stamps_lose_little_light_that_a_plate_could_show():
    image = render(Bodies(0, 0, 17.0, 2.0, 0.7, 30.0, 4.0), shape=(401, 401), **GRID)
    assert 0.93 * 10**1.2 < image.sum() <= 1.001 * 10**1.2


def test_a_point_has_the_width_of_the_seeing():
    image = render(Bodies.points([0.0], [0.0], [15.0]), shape=(101, 101), **GRID)
    profile = image[50, 50:60] / image[50, 50]
    assert 2 * np.interp(-0.5, -profile, np.arange(10)) == pytest.approx(2.5, rel=0.05)


def test_bodies_lie_where_they_were_put_and_along_their_angle():
    image = render(Bodies(20.0, -10.0, 15.0, 6.0, 0.3, 90.0, 1.0), shape=(101, 121), **GRID)
    y, x = np.indices(image.shape)
    centre = [(image * axis).sum() / image.sum() for axis in (x, y)]
    np.testing.assert_allclose(centre, [60 + 20, 50 - 10], atol=0.05)
    assert (image * (y - centre[1]) ** 2).sum() > 3 * (image * (x - centre[0]) ** 2).sum()


def test_bodies_beyond_the_edge_shine_in_and_those_far_away_do_not_matter():
    inside = render(Bodies.points([-52.0], [0.0], [10.0]), shape=(101, 101), **GRID)
    assert inside[:, 0].max() > inside[:, 20].max() > 0
    assert render(Bodies.points([9999.0], [0.0], [5.0]), shape=(101, 101), **GRID).max() == 0


def test_a_patch_is_a_view_around_its_place_and_empty_far_outside():
    image = np.zeros((30, 40), dtype=np.float32)
    part, dx, dy = patch(image, 35.2, 1.6, reach=4.0)
    part += np.hypot(dx, dy) < 0.6
    assert np.argwhere(image).tolist() == [[2, 35]]
    assert patch(image, -20.0, 5.0, reach=4.0)[0].size == 0


def test_joined_bodies_render_to_the_sum():
    one, two = Bodies.points([3.0], [4.0], [15.0]), Bodies(-9, 2, 15.0, 2.0, 0.5, 10.0, 4.0)
    parts = [render(part, shape=(61, 61), **GRID) for part in (one, two)]
    np.testing.assert_allclose(render(Bodies.join([one, two]), shape=(61, 61), **GRID), sum(parts), atol=1e-5)


def test_magnitudes_follow_the_cosmology():
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    assert apparent_magnitude(-20.0, 0.02) == pytest.approx(cosmology.distmod(0.02).value - 20, abs=0.02)
    assert apparent_magnitude(-20.0, 0.8) > apparent_magnitude(-20.0, 0.8, blue=True)


def test_rich_clusters_have_more_members_near_their_centres():
    rich, poor = (np.mean([len(members(seed, mass=mass)) for seed in range(12)]) for mass in (8e14, 1e14))
    assert rich / poor == pytest.approx(8**0.87, rel=0.25)
    cluster = Bodies.join([members(seed) for seed in range(8)])
    radius = np.hypot(cluster.x, cluster.y)
    inner, outer = (radius < 125).sum(), ((radius > 375) & (radius < 500)).sum()
    assert inner / 125**2 > 6 * outer / (500**2 - 375**2)


def test_members_within_r500_match_the_richness_relation():
    bright = float(apparent_magnitude(-21.8 + 1.75, 0.1))  # 0.2 L*
    counts = []
    for seed in range(30):
        cluster = members(seed, mass=1e14, axis_ratio=1.0)
        counts.append((np.hypot(cluster.x, cluster.y)[2:] < 500) & (cluster.magnitude[2:] < bright))
    assert np.mean([c.sum() for c in counts]) == pytest.approx(25, rel=0.2)


def test_the_brightest_galaxy_comes_first_near_the_centre():
    offsets = []
    for seed in range(20):
        cluster = members(seed, centre=(30.0, -20.0), brightest=14.0)
        offsets.append(np.hypot(cluster.x[0] - 30, cluster.y[0] + 20))
        assert -2.5 * np.log10((10 ** (-0.4 * cluster.magnitude[:2])).sum()) == pytest.approx(14.0)
    assert 1 < np.median(offsets) < 15
    pairs = [
        brightest_galaxy(np.random.default_rng(s), redshift=0.1, mass=3e14).magnitude[0] for s in range(20)
    ]
    assert 14.2 < np.median(pairs) < 15.6


def test_few_members_of_a_distant_cluster_are_bright_enough_for_a_plate():
    seen = [
        np.mean([(members(s, redshift=z).magnitude < 20.8).sum() for s in range(5)]) for z in (0.1, 0.3, 0.8)
    ]
    assert seen[0] > 2 * seen[1] > 10
    assert seen[2] < 3


def test_the_light_of_the_counts_is_that_of_the_literature():
    slope = np.log10(
        galaxy_counts(np.array([15.0, 21.0]) + 0.5) / galaxy_counts(np.array([15.0, 21.0]) - 0.5)
    )
    assert 0.5 < slope[0] < 0.65
    assert 0.3 < slope[1] < 0.45
    magnitudes = np.linspace(10, 20.8, 500)
    assert 2500 < np.trapezoid(galaxy_counts(magnitudes), magnitudes) < 10000  # per square degree


@given(st.floats(-90, 90), st.floats(6, 21))
def test_stars_grow_with_magnitude_and_towards_the_plane(latitude, magnitude):
    count = star_counts(magnitude, latitude)
    assert star_counts(magnitude + 0.5, latitude) > count
    assert star_counts(magnitude, latitude * 0.9) >= count * (1 - 1e-12)
    assert star_counts(magnitude, -latitude) == count


def test_fields_hold_the_counted_numbers():
    rng = np.random.default_rng(4)
    extent = (3480.0, 3480.0)  # with the margin, a square degree
    high, low = (stars(rng, extent, latitude_deg=b).magnitude for b in (70.0, 12.0))
    assert (high < 20).sum() == pytest.approx(star_counts(20.0, 70.0), rel=0.1)
    assert len(low) > 3 * len(high)
    galaxies = field_galaxies(rng, extent)
    bins = np.linspace(18, 21, 200)
    expected = np.trapezoid(galaxy_counts(bins), bins)
    assert ((galaxies.magnitude > 18) & (galaxies.magnitude < 21)).sum() == pytest.approx(expected, rel=0.1)


def test_empty_fields_are_allowed():
    tiny = [len(field_galaxies(np.random.default_rng(s), (-110.0, -110.0))) for s in range(5)]
    assert min(tiny) == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_nearby_galaxy_keeps_its_magnitude(seed):
    rng = np.random.default_rng(seed)
    galaxy = draw_nearby_galaxy(rng, magnitude=13.0, size_arcsec=14.0)
    image = render_nearby_galaxy(rng, galaxy, shape=(601, 601), **GRID)
    assert image.min() >= 0
    if galaxy.dust == 0:
        assert -2.5 * np.log10(image.sum()) + 20 == pytest.approx(13.0, abs=0.08)


def test_nearby_galaxies_are_large_and_varied():
    drawn = [draw_nearby_galaxy(np.random.default_rng(seed)) for seed in range(200)]
    assert 15 < np.median([galaxy.size for galaxy in drawn]) < 30
    assert 10 < np.median([galaxy.magnitude for galaxy in drawn]) < 14
    assert {galaxy.bulge == 1 for galaxy in drawn} == {True, False}


def test_a_nearby_galaxy_beyond_the_image_leaves_it_empty():
    galaxy = draw_nearby_galaxy(np.random.default_rng(0), centre=(5000.0, 0.0))
    assert render_nearby_galaxy(np.random.default_rng(0), galaxy, shape=(50, 50), **GRID).max() == 0
