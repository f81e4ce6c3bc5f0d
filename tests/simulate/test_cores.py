"""Clusters with cool, weak and non-cool cores: gas in equilibrium, honest projections, nothing that leaks."""

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import G, m_p
from scipy.stats import ks_2samp, spearmanr

from labkit.cooling import CORE_RADIUS, cooling_function
from labkit.errors import InputError
from labkit.evaluate import leak
from labkit.images.morphology import morphology
from labkit.simulate import projection
from labkit.simulate.cores import _blurred, draw_cluster, simulate_cores
from labkit.simulate.gas import band_cooling, entropy_scale, hydrostatic_gas, universal_pressure
from labkit.simulate.projection import project
from labkit.sources.accept import accept_cores, read_accept

SMALL = {"size_px": 32, "pixel_arcsec": 31.2}
GAS = {"k1": 1100.0, "slope": 1.1}


def truths(population: str, n: int) -> dict[str, np.ndarray]:
    """What is true of clusters, without their images."""
    streams = np.random.SeedSequence(5).spawn(n)
    rows = [
        draw_cluster(np.random.default_rng(stream), population=population, redshift=0.05).truth
        for stream in streams
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module")
def tng():
    return truths("tng", 800)


@pytest.fixture(scope="module")
def sample():
    found = simulate_cores(7, n_clusters=160, population="accept", size_px=16, pixel_arcsec=62.4)
    assert found.shape == (160, 1, 16, 16)
    return found


# the gas


@pytest.mark.parametrize("k0", [5.0, 50.0, 200.0])
def test_the_gas_is_in_hydrostatic_equilibrium(k0):
    gas = hydrostatic_gas(3e14, 0.05, k0=k0, **GAS)
    inside = gas.radius < gas.r500_kpc
    pressure = gas.density * gas.temperature
    slope = np.gradient(np.log(pressure), np.log(gas.radius))
    # mass within each radius from the gas alone, over that of the potential
    mass = -slope * gas.temperature * gas.radius
    x = 3 * gas.radius / gas.r500_kpc
    expected = np.log1p(x) - x / (1 + x)
    ratio = (mass / expected)[inside][5:-5]
    assert ratio == pytest.approx(np.full(len(ratio), ratio[-1]), rel=0.02)
    total = ratio[-1] * (np.log(4) - 0.75) * u.keV * u.kpc
    assert (total / (0.6 * m_p * G)).to_value(u.M_sun) == pytest.approx(3e14, rel=0.02)


def test_entropy_and_pressure_are_what_they_were_given():
    gas = hydrostatic_gas(3e14, 0.05, k0=20.0, pressure=1.2, **GAS)
    x = gas.radius / gas.r500_kpc
    assert gas.temperature / gas.density ** (2 / 3) == pytest.approx(20 + 1100 * x**1.1)
    at = np.argmin(np.abs(x - 1))
    assert (gas.density * gas.temperature)[at] == pytest.approx(1.2 * universal_pressure(1, 3e14, 0.05))


def test_pressure_outside_the_core_is_the_universal_one():
    """Within the scatter that Arnaud et al. (2010) give, whatever the core."""
    for m500 in (8e13, 3e14, 9e14):
        gas = hydrostatic_gas(m500, 0.05, k0=60.0, k1=1.42 * float(entropy_scale(m500, 0.05)), slope=1.1)
        x = gas.radius / gas.r500_kpc
        there = (x > 0.15) & (x < 1)
        ratio = (gas.density * gas.temperature)[there] / universal_pressure(x[there], m500, 0.05)
        assert np.abs(np.log(ratio)).max() < 0.35


def test_low_entropy_makes_a_dense_cool_core_that_cools_fast():
    gases = [hydrostatic_gas(3e14, 0.05, k0=k0, **GAS) for k0 in (3, 10, 30, 100, 200)]
    cores = {
        name: np.array([gas.core_mean(getattr(gas, name)) for gas in gases])
        for name in ("density", "temperature", "cooling_time")
    }
    assert (np.diff(cores["density"]) < 0).all()
    assert (np.diff(cores["temperature"]) > 0).all()
    assert (np.diff(cores["cooling_time"]) > 0).all()
    assert cores["cooling_time"][0] < 0.3
    assert cores["cooling_time"][-1] > 7.7


def test_the_mean_over_the_core_weighs_by_volume():
    gas = hydrostatic_gas(3e14, 0.05, k0=20.0, **GAS)
    assert gas.core_mean(np.ones_like(gas.radius)) == pytest.approx(1)
    assert gas.core_mean(gas.radius) == pytest.approx(0.75 * CORE_RADIUS * gas.r500_kpc, rel=0.02)


def test_the_band_holds_a_part_of_the_radiation():
    kt, metallicity = np.meshgrid([0.7, 1.5, 4.0, 10.0], [0.0, 0.3, 1.0])
    share = band_cooling(kt, metallicity) / cooling_function(kt, metallicity)
    assert ((share > 0.05) & (share < 0.8)).all()
    assert (np.diff(share[0, 1:]) < 0).all()


# the projection


@pytest.mark.parametrize("core", [12.0, 60.0, 250.0])
@pytest.mark.parametrize("size_px", [64, 128])
def test_a_beta_model_is_projected_to_better_than_one_per_cent(core, size_px):
    """With beta = 2/3: (1 + r2 / a2)^-2 in three dimensions, pi a / 2 (1 + R2 / a2)^(-3/2) on the sky."""
    pixel = 976 / size_px / (2 if core < 20 else 1)
    found = project(
        lambda x, y, z: (1 + (x**2 + y**2 + z**2) / core**2) ** -2,
        size_px=size_px,
        pixel_kpc=pixel,
        depth_kpc=3000.0,
    )
    fine = (np.arange(size_px * 8) - (size_px * 8 - 1) / 2) * pixel / 8
    r2 = fine[:, None] ** 2 + fine**2
    exact = np.pi / 2 * core * (1 + r2 / core**2) ** -1.5
    exact = exact.reshape(size_px, 8, size_px, 8).mean(axis=(1, 3))
    assert np.abs(found / exact - 1).max() < 0.01


def test_what_lies_apart_in_depth_appears_where_it_is_seen():
    def blob(x, y, z):
        return np.exp(-((x - 100) ** 2 + (y + 50) ** 2 + (z - 300) ** 2) / 2 / 60**2)

    image = project(blob, size_px=64, pixel_kpc=15.0, depth_kpc=2000.0)
    y, x = np.indices(image.shape)
    assert (image * x).sum() / image.sum() == pytest.approx(31.5 + 100 / 15, abs=0.02)
    assert (image * y).sum() / image.sum() == pytest.approx(31.5 - 50 / 15, abs=0.02)
    assert image.sum() * 15**2 == pytest.approx((2 * np.pi) ** 1.5 * 60**3, rel=0.01)


def test_projections_of_disturbed_gas_hold_with_finer_grids(monkeypatch):
    """Cavities, fronts and clumps included: the flux to 0.3 %, a pixel to a few per cent at an edge."""
    streams = np.random.SeedSequence(3).spawn(20)
    drawn = [draw_cluster(np.random.default_rng(s), population="accept", redshift=0.05) for s in streams]
    chosen = [one for one in drawn if one.cavities and one.spiral][:1] + [one for one in drawn if one.clump][
        :2
    ]
    look = {"size_px": 128, "pixel_kpc": 7.6, "depth_kpc": 2500.0}
    coarse = [project(one.emissivity, **look) for one in chosen]
    monkeypatch.setattr(projection, "_GRIDS", ((0, 1.0, 250), (32, 0.25, 300)))
    for one, image in zip(chosen, coarse, strict=True):
        fine = project(one.emissivity, **look)
        assert image.sum() == pytest.approx(fine.sum(), rel=3e-3)
        away = np.abs(image / fine - 1)
        assert np.median(away) < 0.003
        assert np.quantile(away, 0.99) < 0.03


# the population


def test_fractions_and_range_of_the_paper(tng):
    shares = [np.mean(tng["t_cool"] < 1), np.mean(tng["t_cool"] > 7.7)]
    assert shares == pytest.approx([0.11, 0.27], abs=0.03)
    assert 0.004 < tng["t_cool"].min() < 0.06
    assert 20 < tng["t_cool"].max() < 40
    assert 13.74 < np.log10(tng["m500"]).min() < 13.8
    assert 14.9 < np.log10(tng["m500"]).max() < 15.07


def test_accept_clusters_are_like_accept(real):
    observed = accept_cores(read_accept(real / "accept" / "accept_profiles.txt.gz"))
    drawn = truths("accept", 500)
    shares = [np.mean(drawn["t_cool"] < 1), np.mean(drawn["t_cool"] > 7.7)]
    assert shares == pytest.approx([0.41, 0.18], abs=0.05)
    # its innermost bins are smaller than the sphere of 0.012 R500, so its densest cores are denser
    for name, most in {"k0": 0.1, "t_cool": 0.1, "ne": 0.16}.items():
        assert ks_2samp(drawn[name], observed[name].value).statistic < most, name


def test_the_state_goes_with_entropy_but_does_not_follow(tng):
    rho = spearmanr(tng["disturbance"], tng["k0"]).statistic
    assert 0.3 < rho < 0.75
    cool, hot = tng["t_cool"] < 1, tng["t_cool"] > 7.7
    assert np.mean(tng["cavities"][cool] > 0) > 0.3 > np.mean(tng["cavities"][hot] > 0)
    assert np.mean(tng["clump_mass"][hot] > 0) > np.mean(tng["clump_mass"][cool] > 0) > 0


def test_nothing_but_the_gas_gives_the_class_away(sample):
    """Orientation, counts and background, and the order: a forest guesses no class from them."""
    columns = ["inclination", "position_angle", "counts", "background", "ra", "dec"]
    for name in ("CC", "NCC"):
        assert leak(sample.catalogue, sample.labels == name, columns).sigmas < 3, name
    assert leak(sample.catalogue, sample.labels == "CC", ["k0"]).sigmas > 8


# the Sample


def test_images_are_counts_as_many_as_drawn(sample):
    counts = sample.images.sum(axis=(1, 2, 3))
    assert np.array_equal(sample.images, np.round(sample.images))
    assert np.abs((counts - sample.catalogue["counts"]) / np.sqrt(counts)).max() < 5
    assert set(sample.labels) == {"CC", "WCC", "NCC"}
    assert (sample.catalogue["exposure"] > 0).all()
    assert not sample.catalogue["core_resolved"].any()


def test_a_seed_gives_the_same_sky_whatever_the_processes():
    one, two = (simulate_cores(3, n_clusters=10, n_jobs=n, **SMALL) for n in (1, 2))
    assert one.content_hash == two.content_hash
    more = simulate_cores(3, n_clusters=12, **SMALL)
    assert np.array_equal(more.images[:10], one.images)
    assert simulate_cores(4, n_clusters=10, **SMALL).content_hash != one.content_hash


def test_projections_show_one_cluster_from_several_sides(tmp_path):
    found = simulate_cores(3, n_clusters=3, projections=4, path=tmp_path / "cores", **SMALL)
    table = found.catalogue
    assert len(found) == 12
    assert [len(set(table["cluster_id"][4 * n : 4 * n + 4])) for n in range(3)] == [1, 1, 1]
    assert len(set(table["t_cool"].value.tolist())) == 3
    assert len(set(table["inclination"].value.tolist())) == 12
    assert table["object_id"][0] == "CORE-3-0000-0"


def test_the_point_spread_has_its_width_and_keeps_the_light():
    image = np.zeros((64, 64))
    image[32, 32] = 1.0
    seen = _blurred(image, 2.0, 20.0)
    half = np.interp(-0.5 * seen[32, 32], -seen[32, 32:], np.arange(32))  # pixels of 2 arcsec
    assert 2 * half * 2.0 == pytest.approx(20.0, rel=0.05)
    assert seen[32] == pytest.approx(seen[:, 32])
    assert _blurred(np.full((32, 32), 3.0), 2.0, 20.0) == pytest.approx(3.0)


def test_a_point_spread_hides_cores():
    asked = {"n_clusters": 24, "population": "accept", "size_px": 64, "pixel_arcsec": 15.6}
    sharp, blurred = (simulate_cores(3, **asked, fwhm_arcsec=width) for width in (0.0, 40.0))
    assert np.array_equal(sharp.catalogue["t_cool"], blurred.catalogue["t_cool"])
    ratio = morphology(blurred)["concentration"] / morphology(sharp)["concentration"]
    assert np.median(ratio[sharp.labels == "CC"]) < 0.8
    large = simulate_cores(3, n_clusters=24, population="accept", size_px=16, fwhm_arcsec=8.0).catalogue
    assert np.array_equal(large["core_resolved"], large["r500"].value * CORE_RADIUS >= 8.0 * 0.977)


def test_cores_of_large_clusters_are_resolved():
    table = simulate_cores(1, n_clusters=8, size_px=16, pixel_arcsec=3.9).catalogue
    resolved = table["r500"].value * CORE_RADIUS >= 3.9 * 0.977
    assert np.array_equal(table["core_resolved"], resolved)
    assert resolved.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 up, got -1"),
        ({"n_clusters": 0}, "n_clusters must be a whole number from 1 up, got 0"),
        ({"projections": 1.5}, "projections must be a whole number from 1 up, got 1.5"),
        ({"size_px": 15}, "size_px must be a whole number from 16 up, got 15"),
        ({"size_px": 33}, "size_px must be even, got 33"),
        ({"population": "eagle"}, r"population must be one of \('tng', 'accept'\), got 'eagle'"),
        ({"pixel_arcsec": 0.0}, "pixel_arcsec must lie above 0 and up to 100, got 0"),
        ({"fwhm_arcsec": -1.0}, "fwhm_arcsec must be from 0 to 60, got -1"),
        ({"redshift": float("nan")}, "redshift must lie above 0 and up to 2, got nan"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        simulate_cores(**{"seed": 1, "n_clusters": 2} | options)
