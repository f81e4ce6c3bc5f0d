"""Shapes of images: known values for known shapes, and what noise and resolution do to them."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.images.morphology import MORPHOLOGY, morphology
from labkit.sample import Sample

KPC = 7.8  # of a pixel
SCALE = KPC / COSMOLOGY.kpc_proper_per_arcmin(0.05).to_value(u.kpc / u.arcsec)


def sample(*images: np.ndarray, redshift: float = 0.05, **columns) -> Sample:
    n = len(images)
    catalogue = QTable({"object_id": [f"M{i}" for i in range(n)], "label": [""] * n})
    catalogue["ra"], catalogue["dec"] = np.arange(n) * u.deg, np.zeros(n) * u.deg
    catalogue["redshift"] = np.full(n, redshift)
    for name, values in columns.items():
        catalogue[name] = values
    pixels = np.stack(images)[:, None].astype(np.float32)
    return Sample(pixels, catalogue, bands=("xray",), pixel_scale=SCALE * u.arcsec)


def beta(core: float, *, ratio: float = 1.0, x: float = 0.0, light: float = 1e5) -> np.ndarray:
    """A beta-model with beta = 2/3 on 128 x 128 px; lengths in kpc."""
    axis = (np.arange(128) - 63.5) * KPC
    image = (1 + ((axis - x) ** 2 + (axis[:, None] / ratio) ** 2) / core**2) ** -1.5
    return light * image / image.sum()


def within(core: float, radius: float) -> float:
    return 1 - (1 + radius**2 / core**2) ** -0.5


@pytest.fixture(scope="module")
def measured() -> QTable:
    double = beta(40) + 0.5 * beta(40, x=250)
    return morphology(sample(beta(30), beta(150), beta(80, ratio=0.6), double))


def test_the_concentration_is_that_of_the_profile(measured):
    for row, core in zip(measured[:2], (30, 150), strict=True):
        expected = within(core, 40) / within(core, 400)
        assert row["concentration"] == pytest.approx(expected, rel=0.05)


def test_the_cuspiness_is_the_slope(measured):
    assert measured["cuspiness"][0] > 2 * measured["cuspiness"][1] > 0


def test_round_images_have_no_shift_ratio_or_asymmetry(measured):
    for row in measured[:2]:
        assert row["centroid_shift"] < 1e-3
        assert row["asymmetry"] < 1e-3
        assert max(row["p2"], row["p3"], row["p4"]) < -7


def test_an_ellipse_has_the_second_ratio_alone(measured):
    flat = measured[2]
    assert flat["p2"] > -6
    assert flat["p3"] < -8
    assert flat["centroid_shift"] < 1e-3


def test_a_second_clump_shifts_and_skews(measured):
    pair = measured[3]
    assert pair["centroid_shift"] > 0.02
    assert pair["p3"] > -7
    assert pair["asymmetry"] > 0.3


def test_power_ratios_do_not_depend_on_turns_or_brightness(measured):
    turned = morphology(sample(np.rot90(beta(80, ratio=0.6)) * 7))[0]
    for name in ("p2", "p4"):
        assert turned[name] == pytest.approx(measured[2][name], abs=1e-4)


def test_a_known_background_is_taken_away():
    per_pixel = 3.0
    level = [per_pixel / (SCALE / 60) ** 2]
    found = sample(beta(80, ratio=0.7) + per_pixel, background=level)
    with_it, without = morphology(found)[0], morphology(found, background="background")[0]
    clean = morphology(sample(beta(80, ratio=0.7)))[0]
    for name in MORPHOLOGY:
        assert without[name] == pytest.approx(clean[name], rel=1e-2, abs=1e-4), name
    assert with_it["concentration"] < 0.9 * clean["concentration"]


def test_noise_and_empty_images_give_numbers():
    rng = np.random.default_rng(1)
    found = morphology(sample(rng.poisson(beta(60, light=300)), np.zeros((128, 128))))
    assert np.isfinite([list(row)[1:] for row in found]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: morphology(sample(beta(30)), background="sky"),
            r"sample must have the columns .*\['sky'\] missing",
        ),
        (lambda: morphology(sample(beta(30), redshift=0.0)), "redshift must be positive for each object"),
        (
            lambda: morphology(sample(beta(30)[:90])),
            "images must be at least 800 kpc wide .*got 702 kpc for 'M0'",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
