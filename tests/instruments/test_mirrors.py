"""The point spread, as photons and as an image: as wide as measured, stretched, centred, one the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.instruments import PointSpread, Templates, point_spread_image
from labkit.instruments.mirrors import point_spread

#: Measured on archival images of Abell 907, 5.4 arcmin off axis: share of what lies within 60 arcsec.
RADII = (4.4, 8.7, 13, 17, 22, 30, 40)
ENCIRCLED = (0.28, 0.58, 0.73, 0.82, 0.87, 0.92, 0.97)


def image(size: int, pixel: float = 4.35, off_axis: float = 0.0, **options: float) -> np.ndarray:
    return point_spread_image(size, pixel_arcsec=pixel, off_axis_arcmin=off_axis, **options)


def photons(n: int, du: float, dv: float = 0.0) -> np.ndarray:
    """Displacements of `n` photons, arcsec."""
    return 60 * np.array(point_spread(np.random.default_rng(2), np.full(n, du), np.full(n, dv)))


def radii(size: int, pixel: float = 4.35) -> np.ndarray:
    offset = (np.arange(size) - (size - 1) / 2) * pixel
    return np.hypot(offset[:, None], offset)


def test_encircled_energy_is_that_of_a_real_point_source():
    # Pixels of the measurement are 4.35 arcsec wide, which blurs the radii.
    blur = 4.35 * (np.random.default_rng(1).random((2, 200_000)) - 0.5)
    radius = np.hypot(*(photons(200_000, 5.4) + blur))
    within = np.array([(radius < r).mean() for r in RADII]) / (radius < 60).mean()
    assert within == pytest.approx(ENCIRCLED, abs=0.02)
    seen = image(301, 0.5, off_axis=5.4)
    within = np.array([seen[radii(301, 0.5) < r].sum() for r in (*RADII, 60)])
    assert within[:-1] / within[-1] == pytest.approx(ENCIRCLED, abs=0.03)


def test_image_is_that_of_the_simulated_photons():
    n, turn = 400_000, np.radians(35)
    u, v = photons(n, 9 * np.cos(turn), 9 * np.sin(turn))
    edges = (np.arange(16) - 7.5) * 4.35
    drawn = np.histogram2d(v, u, bins=edges)[0]
    expected = n * image(15, off_axis=9, radial_deg=35)
    # Beyond 12 arcsec the spokes of the spider redistribute the photons in angle.
    core = radii(15) < 9
    assert drawn[core] == pytest.approx(expected[core], rel=0.03)
    assert drawn.sum() == pytest.approx(expected.sum(), rel=0.005)


def test_photons_are_centred_spread_further_off_axis_and_stretched_across_the_radius():
    shifts = [photons(50_000, angle) for angle in (0, 5, 9, 13)]
    widths = np.array([2 * np.median(np.hypot(*shift)) for shift in shifts])
    assert 12 < widths[0] < 17  # half-energy width, arcsec; 14 to 15 before launch
    assert (np.diff(widths) > 0.5).all()
    assert (np.hypot(*shifts[0]) > 60).mean() == pytest.approx((1 + (60 / 4.3) ** 2) ** -0.55, abs=0.005)
    radial, tangential = (np.median(np.abs(shift)) for shift in photons(50_000, 12.0))
    assert 1.3 < tangential / radial < 2.2
    assert np.median(photons(100_000, 3.0, -4.0), axis=1) == pytest.approx([0, 0], abs=0.12)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 15), st.floats(-180, 180), st.floats(0, 40), st.floats(2, 9))
def test_shares_are_positive_and_add_up_to_less_than_one(off_axis, angle, extent, pixel):
    seen = image(31, pixel, off_axis, radial_deg=angle, extent=extent)
    assert seen.min() > -1e-4 * seen.max()
    assert 0 < seen.sum() < 1.001


def test_images_widen_off_axis_stretch_across_the_radius_and_turn_with_it():
    images = [image(41, off_axis=angle) for angle in (0, 5, 12)]
    assert np.all(np.diff([seen.max() for seen in images]) < 0)
    y, x = np.indices((41, 41)) - 20
    inner = np.hypot(x, y) < 8
    assert (images[2] * y**2)[inner].sum() > 1.5 * (images[2] * x**2)[inner].sum()
    assert (images[0] * y**2)[inner].sum() == pytest.approx((images[0] * x**2)[inner].sum(), rel=1e-6)
    assert image(41, off_axis=12, radial_deg=90) == pytest.approx(images[2].T, abs=1e-7)


def test_beta_model_far_wider_than_the_mirrors_is_itself():
    seen = image(121, extent=60.0)
    profile = (1 + (radii(121) / 60) ** 2) ** -1.5
    inside = radii(121) < 150
    assert (seen / seen.max())[inside] == pytest.approx((profile / profile.max())[inside], abs=0.05)


@pytest.mark.parametrize("extent", [0.0, 12.0])
def test_derivatives_are_the_differences_of_the_image(extent):
    templates = Templates((25, 31), pixel_arcsec=4.35, spread=PointSpread(6.0, 20.0))
    found, step = templates.derivatives(14.3, 11.8, extent), 0.01
    assert len(found) == (4 if extent else 3)
    by_x = templates.image(14.3 + step, 11.8, extent) - templates.image(14.3 - step, 11.8, extent)
    by_y = templates.image(14.3, 11.8 + step, extent) - templates.image(14.3, 11.8 - step, extent)
    assert found[1] == pytest.approx(by_x / (2 * step), abs=1e-5)
    assert found[2] == pytest.approx(by_y / (2 * step), abs=1e-5)
    if extent:
        wider, tighter = (templates.image(14.3, 11.8, extent * np.exp(s)) for s in (step, -step))
        assert found[3] == pytest.approx((wider - tighter) / (2 * step), abs=1e-5)


@pytest.mark.parametrize("wrong", [{"pixel": 0}, {"off_axis": -1}, {"extent": -2}, {"pixel": np.nan}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(InputError, match="size and pixel_arcsec must be positive"):
        image(11, **wrong)
