"""Colours: against kcorrect's own integration, and what redshift does to them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from labkit.simulate.hst import templates
from labkit.simulate.hst.bands import BANDS
from labkit.simulate.hst.templates import magnitudes, star_colours

NAMES = list(BANDS)
OLD, INTERMEDIATE, YOUNG = np.eye(3)


def colour(z: float, light, blue: str, red: str, **options) -> float:
    found = magnitudes(np.array([z]), np.array([light]), **options)[0]
    return float(found[NAMES.index(blue)] - found[NAMES.index(red)])


@pytest.fixture(scope="module")
def kcorrect_colours():
    """F606 - F814 of the old template at three redshifts by kcorrect itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kcorrect leaves files open
        import kcorrect.response
        import kcorrect.template

        folder = templates._kcorrect() / "templates"
        spectrum = kcorrect.template.Template(filename=str(folder / "kcorrect-lrg1-v4.fits"))
        responses = kcorrect.response.ResponseDict()
        found = {}
        for z in (0.19, 0.4, 0.55):
            spectrum.set_redshift(redshift=z)
            spectrum.set_interp()
            flux = []
            for name in ("F606", "F814"):
                responses.load_response(BANDS[name].response)
                flux.append(responses[BANDS[name].response].project(sed=spectrum))
            found[z] = -2.5 * np.log10(flux[0] / flux[1])
        import gc

        gc.collect()
    return found


@pytest.mark.parametrize("z", [0.19, 0.4, 0.55])
def test_colours_are_those_of_kcorrect(kcorrect_colours, z):
    assert colour(z, OLD, "F606", "F814") == pytest.approx(float(kcorrect_colours[z]), abs=0.02)


def test_red_sequence_is_where_clusters_at_04_have_it():
    assert colour(0.4, OLD, "F606", "F814") == pytest.approx(1.05, abs=0.1)


def test_the_break_moves_through_the_bands():
    z = np.array([0.19, 0.3, 0.4, 0.5, 0.59])
    optical = [colour(x, OLD, "F606", "F814") for x in z]
    assert (np.diff(optical) > 0.05).all()
    assert colour(0.4, YOUNG, "F606", "F814") < colour(0.4, INTERMEDIATE, "F606", "F814") < optical[2] - 0.3


def test_tilt_makes_bluer_and_more_so_over_a_longer_baseline():
    change = {
        red: colour(0.4, OLD, "F435", red) - colour(0.4, OLD, "F435", red, tilt=0.3)
        for red in ("F814", "F160")
    }
    assert 0 < change["F814"] < change["F160"]
    assert change["F160"] == pytest.approx(2.5 * 0.3 * np.log10(1.5369 / 0.4330), rel=1e-6)


def test_distant_galaxies_drop_out_of_the_blue_bands():
    assert colour(5.0, YOUNG, "F435", "F814") > 3
    assert abs(colour(2.0, YOUNG, "F435", "F814")) < 1


def test_cool_stars_are_red():
    cool, hot = star_colours(np.array([3200.0, 6000.0]))
    assert cool[NAMES.index("F814")] == 0
    assert cool[NAMES.index("F606")] > hot[NAMES.index("F606")] > -0.2
