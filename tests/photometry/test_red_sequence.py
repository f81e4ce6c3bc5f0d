"""The colour-magnitude relation: robust, within its errors; of one cluster and of several."""

from itertools import combinations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.photometry import red_sequences
from labkit.photometry.red_sequence import colour_magnitude_relation, least_trimmed_squares


def sequence(rng, n=200, *, blue=0, slope=-0.03, zero_point=1.2, scatter=0.05, error=0.0):
    """A red sequence at the pivot 21.5 with a share of far bluer galaxies."""
    m = rng.uniform(18, 25, n)
    c = zero_point + slope * (m - 21.5) + rng.normal(0, np.hypot(scatter, error), n)
    c[:blue] -= rng.uniform(0.4, 1.5, blue)
    return m, c


def test_the_smallest_half_is_found_where_almost_half_lies_elsewhere():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 10, 101)
    y = 2 + 0.5 * x
    y[:48] = -30 + 4 * x[:48]  # a second, rival line
    fit = least_trimmed_squares(x, y, np.ones(101), rng=1)
    assert (fit.slope, fit.intercept) == pytest.approx((0.5, 2))
    assert fit.objective == pytest.approx(0, abs=1e-18)
    assert not fit.inside[:48].any()
    assert fit.inside.sum() == 52  # (n + 3) / 2


def test_concentration_reaches_the_least_weighted_sum_of_all_halves():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 12))
    variance = rng.uniform(0.5, 2, 12)
    sums = []
    for half in map(list, combinations(range(12), 7)):
        line = np.polyfit(x[half], y[half], 1, w=1 / np.sqrt(variance[half]))
        sums.append(((y[half] - np.polyval(line, x[half])) ** 2 / variance[half]).sum())
    assert least_trimmed_squares(x, y, variance).objective == pytest.approx(min(sums))


def test_many_points_take_the_subset_path_and_agree():
    m, c = sequence(np.random.default_rng(4), 20_000, blue=7_000)
    fit = least_trimmed_squares(m - 21.5, c, np.ones(len(m)))
    assert fit.slope == pytest.approx(-0.03, abs=0.006)
    assert fit.intercept == pytest.approx(1.2, abs=0.02)
    assert least_trimmed_squares(np.ones(9), np.arange(9.0), np.ones(9)).slope == 0  # no line is steeper


@settings(max_examples=20)
@given(a=st.floats(-5, 5), b=st.floats(-2, 2))
def test_the_fit_moves_with_the_data(a, b):
    m, c = sequence(np.random.default_rng(5), 60, blue=15)
    plain = colour_magnitude_relation(m, c)
    moved = colour_magnitude_relation(m, c + a + b * (m - plain.pivot))
    assert moved.slope == pytest.approx(plain.slope + b, abs=1e-6)
    assert moved.zero_point == pytest.approx(plain.zero_point + a, abs=1e-6)
    assert moved.scatter == pytest.approx(plain.scatter, abs=1e-5)


@pytest.mark.parametrize("blue", [0, 60])
def test_slope_zero_point_and_scatter_within_their_errors_in_spite_of_blue_galaxies(blue):
    pulls, scatters = [], []
    for seed in range(20):
        m, c = sequence(np.random.default_rng(seed), 200, blue=blue, error=0.03)
        found = colour_magnitude_relation(m, c, colour_error=0.03, rng=seed)
        expected = 1.2 - 0.03 * (found.pivot - 21.5)
        pulls += [(found.slope + 0.03) / found.slope_error]
        pulls += [(found.zero_point - expected) / found.zero_point_error]
        scatters.append(found.scatter)
        assert found.kept[:blue].mean() < 0.05 if blue else found.kept.mean() > 0.95
        squares = np.polyfit(m - 21.5, c, 1)[1]  # least squares would fail
        assert not blue or abs(squares - 1.2) > 0.2 > 5 * abs(found(21.5) - 1.2)
    assert 0.6 < np.std(pulls) < 1.5
    assert abs(np.mean(pulls)) < 0.5
    assert np.mean(scatters) == pytest.approx(0.05, abs=0.005)


def test_no_scatter_is_invented_where_errors_explain_it():
    m, c = sequence(np.random.default_rng(7), 150, scatter=0.0, error=0.05)
    assert colour_magnitude_relation(m, c, colour_error=0.08).scatter == 0
    exact = colour_magnitude_relation(m, 1.2 - 0.03 * m)
    assert exact.scatter == 0
    assert exact.kept.all()


def test_errors_in_magnitude_count_through_the_slope():
    m, c = sequence(np.random.default_rng(8), 300, slope=-0.5, scatter=0.1)
    without = colour_magnitude_relation(m, c).scatter
    with_errors = colour_magnitude_relation(m, c, magnitude_error=0.15).scatter
    assert with_errors**2 == pytest.approx(without**2 - (0.5 * 0.15) ** 2, rel=0.15)


def test_galaxies_without_colour_take_no_part_and_have_no_differential_colour():
    m, c = sequence(np.random.default_rng(9), 80)
    c[:5] = np.nan
    found = colour_magnitude_relation(m, c)
    assert not found.kept[:5].any()
    away = c - found(m)
    assert np.isnan(away[:5]).all()
    assert np.nanmedian(away) == pytest.approx(0, abs=0.02)
    np.testing.assert_allclose(away[5:] + found(m[5:]), c[5:])


ZERO = {"A": 1.0, "B": 1.4}


@pytest.fixture
def galaxies() -> tuple[QTable, np.ndarray]:
    """Two clusters of 60 members with sequences of their own, bluer field, and one of two galaxies."""
    rng = np.random.default_rng(3)
    host = np.repeat(["A", "B", "few"], [100, 100, 2])
    member = [*np.tile(np.arange(100) < 60, 2).tolist(), True, True]
    m = rng.uniform(19, 25, len(host))
    red = np.array([ZERO.get(name, 1.0) for name in host]) - 0.03 * (m - 22) + rng.normal(0, 0.03, len(m))
    colour = np.where(member, red, red - rng.uniform(0.3, 1.0, len(m)))
    table = QTable({"cluster": host, "mag_F814": m * u.mag, "aper_F814": m * u.mag})
    table["aper_F606"] = (m + colour) * u.mag
    for name in ("mag_F814", "aper_F814", "aper_F606"):
        table[f"{name}_err"] = np.full(len(m), 0.01) * u.mag
    return table, np.array(member)


def test_each_cluster_has_its_own_sequence(galaxies, caplog):
    table, member = galaxies
    found = red_sequences(table, member)
    assert list(found.relations) == ["A", "B"]
    assert "few: fewer than 5 members" in caplog.text
    for name, zero in ZERO.items():
        assert found.relations[name](22.0) == pytest.approx(zero, abs=0.03)
        assert found.relations[name].slope == pytest.approx(-0.03, abs=0.01)
    here = np.asarray(table["cluster"]) != "few"
    assert abs(np.median(found.differential[here & member])) < 0.01
    assert np.median(found.differential[here & ~member]) < -0.3
    assert np.isnan(found.differential[~here]).all()
    np.testing.assert_allclose(found.colour_error, 0.01 * np.sqrt(2))
    rows = found.table()
    assert rows["cluster"].tolist() == ["A", "B"]
    assert (rows["members"] <= 60).all()


def test_the_fit_is_that_of_one_cluster(galaxies):
    table, member = galaxies
    mine = (np.asarray(table["cluster"]) == "A") & member
    colour = (table["aper_F606"] - table["aper_F814"]).value
    alone = colour_magnitude_relation(
        table["mag_F814"].value[mine],
        colour[mine],
        magnitude_error=0.01,
        colour_error=0.01 * np.sqrt(2),
        rng=5,
    )
    assert red_sequences(table, member, rng=5).relations["A"].slope == pytest.approx(alone.slope, abs=1e-9)


def test_bad_input_is_named(galaxies):
    table, member = galaxies
    m, c = sequence(np.random.default_rng(9), 20)
    with pytest.raises(InputError, match="finite for 5 galaxies at least, got 4 of 20"):
        colour_magnitude_relation(m, np.where(np.arange(20) < 4, c, np.nan))
    with pytest.raises(InputError, match="must never be negative"):
        colour_magnitude_relation(m, c, colour_error=-0.1)
    for options, message in (
        ({"bands": ("F105", "F814")}, r"\['aper_F105', 'aper_F105_err'\] missing"),
        ({"bands": ("F814",)}, "bands must be two"),
        ({"member": member[:3]}, r"one value per galaxy, 202, got \(3,\)"),
    ):
        with pytest.raises(InputError, match=message):
            red_sequences(table, **({"member": member} | options))


def test_blue_galaxies_with_large_errors_do_not_draw_the_relation_to_them():
    """The bright err by a hundredth of their scatter: weights of errors alone prefer the faint and blue."""
    shares = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        magnitude = rng.uniform(19, 25, 200)
        blue = rng.random(200) < 0.05 + 0.08 * (magnitude - 19)
        error = 0.0005 * 10 ** (0.4 * (magnitude - 19))
        colour = (
            1
            - 0.03 * (magnitude - 22)
            + np.where(blue, rng.normal(-0.35, 0.18, 200), rng.normal(0, 0.045, 200))
        )
        colour += error * rng.normal(size=200)
        fit = colour_magnitude_relation(magnitude, colour, colour_error=error)
        shares.append(fit.scatter)
    assert np.max(shares) < 0.09
