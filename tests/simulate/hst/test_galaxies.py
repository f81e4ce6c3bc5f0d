"""The fifteen clusters and what their fields hold: masses, footprints, luminosity, profile, velocities."""

import re

import astropy.units as u
import numpy as np
import pytest
from scipy.stats import kstest

from labkit.cosmology import COSMOLOGY
from labkit.simulate.hst.clusters import (
    Footprint,
    Zones,
    clash_clusters,
    draw_zones,
    pick_clusters,
    velocity_dispersion,
)
from labkit.simulate.hst.galaxies import (
    CONCENTRATION,
    SPEED_OF_LIGHT,
    V_MAX,
    brightest_galaxy,
    characteristic_magnitude,
    count_field,
    draw_arcs,
    draw_field,
    draw_members,
    draw_stars,
    r200_arcsec,
)
from labkit.simulate.hst.painting import draw_components
from labkit.simulate.hst.population import is_member
from labkit.simulate.painting import projected_nfw


@pytest.fixture(scope="module")
def cluster():
    return pick_clusters(["M0416"])[0]


@pytest.fixture(scope="module")
def members(cluster):
    found = draw_members(np.random.default_rng(5), cluster, 6000, half_arcsec=65.0, angle=30.0)
    assert len(found) == 6000
    return found


def test_the_clusters_are_those_of_the_paper():
    table = clash_clusters()
    assert len(table) == 15
    assert (np.diff(table["redshift"]) >= 0).all()
    assert set(table["short"][table["frontier_only"]]) == {"A2744", "A370"}
    totals = {"acs_members": 1603, "mixed_members": 1629, "mixed_non_members": 2161, "all_members": 1156}
    for name, total in totals.items():
        assert table[name][table[name] > 0].sum() == total
    of_lensing = table["m200c_note"] == "assumed, of the size of weak-lensing masses"
    assert set(table["short"][of_lensing]) == {"R2248", "M0416", "M1206", "M1149"}
    density = table["m200c"] / (4 / 3 * np.pi * table["r200"] ** 3)
    ratio = (density / COSMOLOGY.critical_density(table["redshift"])).to_value(u.one)
    np.testing.assert_allclose(ratio, 200)


def test_places_agree_with_the_names():
    for row in clash_clusters():
        found = re.search(r" (\d\d)(\d\d)([+-]\d\d)(\d\d)", row["cluster"])
        if found is None or row["short"] == "MS2137":  # Abell's carry no place, this one that of 1950
            continue
        hours, minutes, degrees, arcmin = (float(part) for part in found.groups())
        declination = degrees + np.copysign(arcmin / 60, float(found[3] + "1"))
        assert row["ra"].value == pytest.approx(15 * (hours + minutes / 60), abs=0.26), row["cluster"]
        assert row["dec"].value == pytest.approx(declination, abs=0.03), row["cluster"]


def test_velocity_limits_are_those_printed_with_the_redshifts():
    for row in clash_clusters():
        assert is_member(row["redshift"] + 0.0099 * (1 + row["redshift"]), row["redshift"])
        assert not is_member(row["redshift"] + 0.0102 * (1 + row["redshift"]), row["redshift"])
        if row["short"] != "A2744":  # printed wider than 3000 km/s
            width = 2 * V_MAX / SPEED_OF_LIGHT * (1 + row["redshift"])
            assert row["z_max"] - row["z_min"] == pytest.approx(width, abs=0.004)


def test_footprints_leave_what_table_1_says():
    for row in pick_clusters(["M0416", "R2248", "A2744", "M2129"]):
        zones = draw_zones(np.random.default_rng(2), row, size_px=1000)
        axis = np.linspace(-500, 500, 201)
        zone = zones.zone(*np.meshgrid(axis, axis))
        share = np.sum(zone > 0) / np.sum(zone >= 0)
        assert 0.6 < share < 0.97
        if not row["frontier_only"]:
            expected = min(row["mixed_non_members"] / row["acs_non_members"], 0.93)
            assert share == pytest.approx(expected, abs=0.06)
            inner = np.sum(zone == 2) / np.sum(zone > 0)
            assert inner == pytest.approx(row["all_non_members"] / row["mixed_non_members"], abs=0.08)


def test_zones_say_which_cut_outs_are_whole():
    zones = Zones(1000, Footprint(600, 0.0), Footprint(400, 0.0))
    x = np.array([0, 160, 180, 190, 210, 240, 290, 310, 460, 480])
    assert zones.zone(x, 0 * x).tolist() == [2, 2, -1, -1, 1, 1, -1, 0, 0, -1]
    assert zones.footprint("F814") is None
    assert zones.footprint("F140") == zones.mixed
    assert zones.footprint("F160") == zones.complete
    # Squares lie within a rolled footprint by their corners.
    rolled, corner = Footprint(100.0, 45.0), np.array([30.0])
    assert rolled.contains(corner, 0 * corner, margin=20).all()
    assert not rolled.contains(corner, corner, margin=20).any()


def test_luminosity_function_is_a_schechter_function(cluster, members):
    star = characteristic_magnitude(cluster["redshift"])
    assert 19.3 < star < 20.5
    grid = np.linspace(star - 1.6, 28.5, 4000)
    lum = 10 ** (-0.4 * (grid - star))
    grown = np.cumsum(lum**-0.15 * np.exp(-lum))
    assert kstest(members["magnitude"][:400], lambda m: np.interp(m, grid, grown / grown[-1])).pvalue > 1e-3
    fading = [characteristic_magnitude(z) for z in (0.19, 0.35, 0.45, 0.59)]
    assert (np.diff(fading) > 0.3).all()


def test_positions_follow_the_projected_profile(cluster, members):
    x, y = members["x_arcsec"], members["y_arcsec"]
    assert np.abs([x, y]).max() < 65
    radius = np.hypot(x, y)
    inner, outer = projected_nfw(np.array([30.0, 60.0]) / (r200_arcsec(cluster) / CONCENTRATION))
    assert np.mean(radius[radius < 60] < 30) == pytest.approx(inner / outer, abs=0.04)


def test_velocities_follow_the_mass_and_stay_below_the_limit(cluster, members):
    velocity = SPEED_OF_LIGHT * (members["redshift"] - cluster["redshift"]) / (1 + cluster["redshift"])
    assert np.abs(velocity).max() <= V_MAX
    sigma = velocity_dispersion(cluster["m200c"], cluster["redshift"])
    assert 900 < sigma < 1500
    assert velocity.std() == pytest.approx(sigma, rel=0.06)


def test_red_sequence_has_slope_and_scatter_and_components_hold_their_light(members):
    early = members[members["kind"] == "early"]
    found = draw_components(np.random.default_rng(1), early).total(len(early))
    np.testing.assert_allclose(found[:, 5], early["magnitude"], atol=1e-6)
    colour, magnitude = found[:, 2] - found[:, 5], early["magnitude"]
    slope, level = np.polyfit(magnitude, colour, 1)
    scatter = np.std(colour - slope * magnitude - level)
    assert -0.05 < slope < -0.02
    assert 0.02 < scatter < 0.05
    assert slope * 20.5 + level == pytest.approx(1.1, abs=0.1)
    late = members[members["kind"] == "late"][:300]
    total = draw_components(np.random.default_rng(1), late).total(300)
    np.testing.assert_allclose(total[:, 5], late["magnitude"], atol=1e-6)


def test_blue_fraction_rises_outwards_and_with_faintness(members):
    late = members["kind"] == "late"
    radius = np.hypot(members["x_arcsec"], members["y_arcsec"])
    bright = members["magnitude"] < 24
    assert late[bright & (radius > 45)].mean() > late[bright & (radius < 20)].mean() + 0.02
    assert late[members["magnitude"] > 26].mean() > late[members["magnitude"] < 22].mean() + 0.1
    assert late[bright].mean() < 0.45


def test_late_types_are_bluer_than_the_red_sequence_in_both_colours(members):
    """Close to the published shares of samples of spectra, which errors and selection move a little."""
    bright = members[members["magnitude"] < 24.5]
    found = draw_components(np.random.default_rng(1), bright).total(len(bright))
    early = bright["kind"] == "early"
    shares = []
    for blue, red, limit in ((2, 5, -0.5), (2, 5, 0.0), (5, 11, -0.16)):
        colour = found[:, blue] - found[:, red]
        line = np.polyfit(bright["magnitude"][early], colour[early], 1)
        shares.append(np.mean(colour - np.polyval(line, bright["magnitude"]) < limit))
    np.testing.assert_allclose(shares, [0.058, 0.61, 0.34], atol=0.08)


def test_the_brightest_galaxy_is_central_and_has_a_halo(cluster):
    giants = brightest_galaxy(np.random.default_rng(4), cluster, angle=40.0)
    assert set(giants["kind"]) == {"bcg", "icl"}
    assert giants["magnitude"].min() < characteristic_magnitude(cluster["redshift"]) - 1.7
    assert (giants["x_arcsec"][0], giants["y_arcsec"][0]) == (0, 0)
    assert giants["re_arcsec"][1] > 2.5 * giants["re_arcsec"][0]
    assert is_member(giants["redshift"], cluster["redshift"]).all()


def test_the_field_has_the_counts_and_lies_before_and_behind():
    field = draw_field(np.random.default_rng(6), 5000, half_arcsec=65.0)
    magnitude, redshift = field["magnitude"], field["redshift"]
    assert np.mean(magnitude < 25) == pytest.approx(float(count_field(25.0) / count_field(28.5)), abs=0.02)
    bright = redshift[magnitude < 23]
    assert (bright < 0.35).mean() > 0.1
    assert (bright > 0.6).mean() > 0.2
    assert np.median(redshift[magnitude > 25]) > np.median(bright) + 0.2
    # The paper's median angular size of faint field galaxies is a fraction of an arcsecond.
    assert 0.1 < np.median(field["re_arcsec"][(magnitude > 23) & (magnitude < 25)]) < 0.6


def test_stars_and_arcs(cluster):
    rng = np.random.default_rng(7)
    stars = draw_stars(rng, half_arcsec=65.0)
    assert 5 < len(stars) < 45
    assert not stars["re_arcsec"].any()
    arcs = draw_arcs(rng, cluster, half_arcsec=65.0)
    assert (arcs["redshift"] > cluster["redshift"]).all()
    painted = draw_components(rng, arcs)
    radius = np.hypot(painted.x, painted.y)
    for row in range(len(arcs)):
        beads = radius[painted.body == row]
        assert np.ptp(beads) < 1e-6 * beads.mean()
    # Along the circle, not across it.
    first = painted.body == 0
    assert np.hypot(np.ptp(painted.x[first]), np.ptp(painted.y[first])) > 20
