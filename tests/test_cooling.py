"""Cooling: the published function, and cooling times, temperatures and masses that agree with one another."""

import astropy.units as u
import numpy as np
import pytest

from labkit.cooling import (
    ACCEPT_PARTICLES,
    cooling_function,
    cooling_time,
    core_classes,
    mass_of_temperature,
    temperature_of_mass,
)
from labkit.cosmology import r200, r500


@pytest.mark.parametrize(
    ("log_t", "metallicity", "expected"),
    [(7.0, 0.0, -23.05 - np.log10(1.128)), (8.0, 1.0, -22.46 - np.log10(1.209)), (9.9, 0.0, -22.442)],
)
def test_lambda_is_that_of_the_table(log_t, metallicity, expected):
    kt = 10**log_t * 8.617333e-8
    assert np.log10(cooling_function(kt, metallicity)) == pytest.approx(expected, abs=2e-3)


def test_lambda_grows_with_metals_and_between_the_tables():
    kt = np.array([0.5, 1.0, 3.0, 10.0])
    rates = cooling_function(kt[:, None], np.array([0.0, 0.2, 0.316, 0.6, 1.0, 5.0]))
    assert (np.diff(rates[:, :5]) > 0).all()
    assert rates[:, 5] == pytest.approx(rates[:, 4])
    assert cooling_function(10.0, 0.3) / cooling_function(5.0, 0.3) == pytest.approx(2**0.5, rel=0.15)


def test_the_cooling_time_is_energy_over_radiation():
    ne, kt, rate = 0.05 * u.cm**-3, 3 * u.keV, 2e-23 * u.erg * u.cm**3 / u.s
    ni = 0.92 * ne
    expected = (1.5 * (ne + ni) * kt / (ne * ni * rate)).to_value(u.Gyr)
    assert cooling_time(0.05, 3.0, 2e-23) == pytest.approx(expected)
    assert cooling_time(0.05, 3.0, 2e-23, particles=ACCEPT_PARTICLES) == pytest.approx(
        1.102 * expected, rel=1e-3
    )


def test_classes_are_parted_at_their_limits():
    assert core_classes([0.01, 0.99, 1.0, 7.6, 7.7, 28.0]).tolist() == [
        "CC",
        "CC",
        "WCC",
        "WCC",
        "NCC",
        "NCC",
    ]


def test_mass_temperature_and_radius_agree():
    masses = np.array([6e13, 3e14, 1e15])
    assert mass_of_temperature(temperature_of_mass(masses, 0.2), 0.2) == pytest.approx(masses)
    assert mass_of_temperature(5.0) == pytest.approx(4.19e14, rel=0.01)
    radius = r500(3e14 * u.M_sun, 0.05)
    assert radius.to_value(u.Mpc) == pytest.approx(1.0, abs=0.01)
    assert (radius / r200(3e14 * u.M_sun, 0.05)).to_value(u.one) == pytest.approx(0.4 ** (1 / 3))
