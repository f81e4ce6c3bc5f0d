"""Galaxies and stars on plates: numbers, brightness, places, shapes."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given
from hypothesis import strategies as st

from labkit.simulate.optical import (
    OpticalScene,
    apparent_magnitude,
    cluster_members,
    draw_nearby_galaxy,
    field_galaxies,
    galaxy_counts,
    render_nearby_galaxy,
    star_counts,
    stars,
)
from labkit.simulate.painting import Bodies, Optics

OPTICS = Optics(seeing_arcsec=2.5, zero_point=20.0)


def members(seed: int, **changes) -> Bodies:
    options = {"redshift": 0.1, "m500": 3e14, "r500_arcmin": 500 / 60} | changes
    return cluster_members(np.random.default_rng(seed), OpticalScene("cluster", **options))


def test_magnitudes_follow_the_cosmology():
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    assert apparent_magnitude(-20.0, 0.02) == pytest.approx(cosmology.distmod(0.02).value - 20, abs=0.02)
    assert apparent_magnitude(-20.0, 0.8) > apparent_magnitude(-20.0, 0.8, blue=True)


def test_rich_clusters_have_more_members_near_their_centres():
    rich, poor = (np.mean([len(members(seed, m500=mass)) for seed in range(12)]) for mass in (8e14, 1e14))
    assert rich / poor == pytest.approx(8**0.87, rel=0.25)
    cluster = Bodies.join([members(seed) for seed in range(8)])
    radius = np.hypot(cluster.x, cluster.y)
    inner, outer = (radius < 125).sum(), ((radius > 375) & (radius < 500)).sum()
    assert inner / 125**2 > 6 * outer / (500**2 - 375**2)


def test_members_within_r500_match_the_richness_relation():
    bright = float(apparent_magnitude(-21.8 + 1.75, 0.1))  # 0.2 L*
    counts = []
    for seed in range(30):
        cluster = members(seed, m500=1e14, axis_ratio=1.0)
        counts.append((np.hypot(cluster.x, cluster.y)[2:] < 500) & (cluster.magnitude[2:] < bright))
    assert np.mean([c.sum() for c in counts]) == pytest.approx(25, rel=0.2)


def test_the_brightest_galaxy_comes_first_near_the_centre():
    drawn = [members(seed, centre=(30.0, -20.0), magnitude=14.0) for seed in range(20)]
    light = [(10 ** (-0.4 * cluster.magnitude[:2])).sum() for cluster in drawn]
    assert -2.5 * np.log10(light) == pytest.approx(14.0)
    assert 1 < np.median([np.hypot(cluster.x[0] - 30, cluster.y[0] + 20) for cluster in drawn]) < 15
    assert 14.2 < np.median([members(seed).magnitude[0] for seed in range(20)]) < 15.6


def test_the_light_of_the_counts_is_that_of_the_literature():
    bright, faint = (np.log10(galaxy_counts(m + 0.5) / galaxy_counts(m - 0.5)) for m in (15.0, 21.0))
    assert 0.5 < bright < 0.65
    assert 0.3 < faint < 0.45
    magnitudes = np.linspace(10, 20.8, 500)
    assert 2500 < np.trapezoid(galaxy_counts(magnitudes), magnitudes) < 10000  # per square degree


@given(st.floats(-90, 90), st.floats(6, 21))
def test_stars_grow_with_magnitude_and_towards_the_plane(latitude, magnitude):
    count = star_counts(magnitude, latitude)
    assert star_counts(magnitude + 0.5, latitude) > count
    assert star_counts(magnitude, latitude * 0.9) >= count * (1 - 1e-12)
    assert star_counts(magnitude, -latitude) == count


def test_fields_hold_the_counted_numbers_and_may_be_empty():
    rng = np.random.default_rng(4)
    extent = (3480.0, 3480.0)  # with the margin, a square degree
    high, low = (stars(rng, extent, latitude_deg=b).magnitude for b in (70.0, 12.0))
    assert (high < 20).sum() == pytest.approx(star_counts(20.0, 70.0), rel=0.1)
    assert len(low) > 3 * len(high)
    magnitude = field_galaxies(rng, extent).magnitude
    bins = np.linspace(18, 21, 200)
    expected = np.trapezoid(galaxy_counts(bins), bins)
    assert ((magnitude > 18) & (magnitude < 21)).sum() == pytest.approx(expected, rel=0.1)
    assert min(len(field_galaxies(rng, (-110.0, -110.0))) for _ in range(5)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_nearby_galaxy_keeps_its_magnitude(seed):
    rng = np.random.default_rng(seed)
    galaxy = draw_nearby_galaxy(rng, OpticalScene("nearby galaxy", magnitude=13.0, size_arcsec=14.0))
    image = render_nearby_galaxy(rng, galaxy, OPTICS, shape=(601, 601))
    assert image.min() >= 0
    if galaxy.dust == 0:
        assert -2.5 * np.log10(image.sum()) + 20 == pytest.approx(13.0, abs=0.08)


def test_nearby_galaxies_are_large_and_varied():
    scene = OpticalScene("nearby galaxy")
    drawn = [draw_nearby_galaxy(np.random.default_rng(seed), scene) for seed in range(200)]
    assert 15 < np.median([galaxy.size for galaxy in drawn]) < 30
    assert 10 < np.median([galaxy.magnitude for galaxy in drawn]) < 14
    assert {galaxy.bulge == 1 for galaxy in drawn} == {True, False}


def test_a_nearby_galaxy_beyond_the_image_leaves_it_empty():
    rng = np.random.default_rng(0)
    galaxy = draw_nearby_galaxy(rng, OpticalScene("nearby galaxy", centre=(5000.0, 0.0)))
    assert render_nearby_galaxy(rng, galaxy, OPTICS, shape=(50, 50)).max() == 0
