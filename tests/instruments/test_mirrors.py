"""The point spread, as photons and as an image: as wide as measured, stretched, centred, one the other."""

from __future__ import annotations

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


def radii(size: int, pixel: float) -> np.ndarray:
    offset = (np.arange(size) - (size - 1) / 2) * pixel
    return np.hypot(offset[:, None], offset)


def test_enclosed_energy_is_that_of_a_real_point_source():
    image = point_spread_image(301, pixel_arcsec=0.5, off_axis_arcmin=5.4)
    # Pixels of the measurement are 4.35 arcsec wide, which blurs the radii.
    blurred = [(image * (radii(301, 0.5) < r)).sum() for r in (*RADII, 60)]
    assert np.array(blurred[:-1]) / blurred[-1] == pytest.approx(ENCIRCLED, abs=0.03)


def test_image_is_that_of_the_simulated_photons():
    rng, n = np.random.default_rng(0), 400_000
    turn = np.radians(35)
    u, v = 60 * np.array(point_spread(rng, np.full(n, 9 * np.cos(turn)), np.full(n, 9 * np.sin(turn))))
    edges = (np.arange(16) - 7.5) * 4.35
    drawn = np.histogram2d(v, u, bins=edges)[0]
    expected = n * point_spread_image(15, pixel_arcsec=4.35, off_axis_arcmin=9, radial_deg=35)
    # Beyond 12 arcsec the spokes of the spider redistribute the photons in angle.
    core = radii(15, 4.35) < 9
    assert drawn[core] == pytest.approx(expected[core], rel=0.03)
    assert drawn.sum() == pytest.approx(expected.sum(), rel=0.005)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 15), st.floats(-180, 180), st.floats(0, 40), st.floats(2, 9))
def test_shares_are_positive_and_add_up_to_less_than_one(off_axis, angle, extent, pixel):
    image = point_spread_image(
        31, pixel_arcsec=pixel, off_axis_arcmin=off_axis, radial_deg=angle, extent=extent
    )
    assert image.min() > -1e-4 * image.max()
    assert 0 < image.sum() < 1.001


def test_a_wide_image_holds_nearly_all_photons():
    image = point_spread_image(151, pixel_arcsec=4.35, off_axis_arcmin=0)
    assert image.sum() == pytest.approx(1 - (1 + (80 * 4.35 / 4.3) ** 2) ** -0.55, abs=0.005)


def test_point_spread_widens_off_axis_and_stretches_across_the_radius():
    images = [point_spread_image(41, pixel_arcsec=4.35, off_axis_arcmin=a) for a in (0, 5, 12)]
    assert np.all(np.diff([image.max() for image in images]) < 0)
    y, x = np.indices((41, 41)) - 20
    inner = np.hypot(x, y) < 8
    assert (images[2] * y**2)[inner].sum() > 1.5 * (images[2] * x**2)[inner].sum()
    assert (images[0] * y**2)[inner].sum() == pytest.approx((images[0] * x**2)[inner].sum(), rel=1e-6)


def test_azimuth_turns_the_image():
    along_x = point_spread_image(21, pixel_arcsec=4.35, off_axis_arcmin=10, radial_deg=0)
    along_y = point_spread_image(21, pixel_arcsec=4.35, off_axis_arcmin=10, radial_deg=90)
    assert along_y == pytest.approx(along_x.T, abs=1e-9)
    assert not np.allclose(along_x, along_y)


def test_beta_model_far_wider_than_the_mirrors_is_itself():
    image = point_spread_image(121, pixel_arcsec=4.35, off_axis_arcmin=0, extent=60.0)
    profile = (1 + (radii(121, 4.35) / 60) ** 2) ** -1.5
    inside = radii(121, 4.35) < 150
    assert (image / image.max())[inside] == pytest.approx((profile / profile.max())[inside], abs=0.05)


@pytest.mark.parametrize("extent", [0.0, 12.0])
def test_derivatives_are_the_differences_of_the_image(extent):
    templates = Templates((25, 31), pixel_arcsec=4.35, spread=PointSpread(6.0, 20.0))
    found, step = templates.derivatives(14.3, 11.8, extent), 1e-4
    assert len(found) == (4 if extent else 3)
    by_x = templates.image(14.3 + step, 11.8, extent) - templates.image(14.3 - step, 11.8, extent)
    by_y = templates.image(14.3, 11.8 + step, extent) - templates.image(14.3, 11.8 - step, extent)
    assert found[1] == pytest.approx(by_x / (2 * step), abs=1e-8)
    assert found[2] == pytest.approx(by_y / (2 * step), abs=1e-8)
    if extent:
        wider, tighter = (templates.image(14.3, 11.8, extent * np.exp(s)) for s in (step, -step))
        assert found[3] == pytest.approx((wider - tighter) / (2 * step), abs=1e-8)


def test_a_shift_by_whole_pixels_moves_the_image():
    templates = Templates((25, 25), pixel_arcsec=4.35, spread=PointSpread(3.0))
    moved = templates.image(14.25, 12.5)
    assert moved[2:, 3:] == pytest.approx(templates.image(11.25, 10.5)[:-2, :-3], abs=2e-5)


@pytest.mark.parametrize(
    "wrong", [{"pixel_arcsec": 0}, {"off_axis_arcmin": -1}, {"extent": -2}, {"pixel_arcsec": np.nan}]
)
def test_impossible_sizes_are_refused(wrong):
    options = {"pixel_arcsec": 4.35, "off_axis_arcmin": 1.0} | wrong
    with pytest.raises(InputError, match="size and pixel_arcsec must be positive"):
        point_spread_image(11, **options)


def test_encircled_energy_at_5_arcmin_is_that_of_a_real_point_source():
    rng = np.random.default_rng(1)
    du, dv = np.full(200_000, 5.4), np.zeros(200_000)
    x, y = 60 * np.array(point_spread(rng, du, dv)) + 4.35 * (rng.random((2, 200_000)) - 0.5)
    radius = np.hypot(x, y)
    within = np.array([(radius < r).mean() for r in RADII]) / (radius < 60).mean()
    assert within == pytest.approx(ENCIRCLED, abs=0.02)


def test_point_spread_widens_and_stretches_tangentially_off_axis():
    rng = np.random.default_rng(2)
    on, off = (point_spread(rng, np.full(50_000, angle), np.zeros(50_000)) for angle in (0.0, 12.0))
    assert np.median(np.hypot(*off)) > 1.3 * np.median(np.hypot(*on))
    radial, tangential = (np.median(np.abs(shift)) for shift in off)
    assert 1.3 < tangential / radial < 2.2


def test_half_energy_width_is_that_of_the_mirrors_and_grows_off_axis():
    rng, n = np.random.default_rng(14), 50_000
    widths = [
        120 * np.median(np.hypot(*point_spread(rng, np.full(n, a), np.zeros(n)))) for a in (0, 5, 9, 13)
    ]
    assert 12 < widths[0] < 17  # arcsec; 14 to 15 before launch
    assert (np.diff(widths) > 0.5).all()
    shift = 60 * np.hypot(*point_spread(rng, np.zeros(n), np.zeros(n)))
    assert (shift > 60).mean() == pytest.approx((1 + (60 / 4.3) ** 2) ** -0.55, abs=0.005)


def test_point_spread_is_centred():
    shift = point_spread(np.random.default_rng(3), np.full(100_000, 3.0), np.full(100_000, -4.0))
    assert np.median(shift, axis=1) == pytest.approx([0, 0], abs=0.002)
