"""Painting: Sersic profiles, the point-spread function, light conserved, noise as stated."""

import numpy as np
import pytest
from astropy.modeling.models import Sersic2D
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from labkit.simulate.hst.bands import BANDS, PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.galaxies import bodies
from labkit.simulate.hst.painting import Components, blur, draw_components, expose, paint_bands

SKY = {name: band.sky_sigma() for name, band in BANDS.items()}


def one(*, magnitude: float = 20.0, **changes: float) -> Components:
    """A single component, equally bright in all bands."""
    plain = {"x": 0.0, "y": 0.0, "re_px": 8.0, "index": 1.0, "axis_ratio": 1.0, "position_angle": 0.0}
    columns = {name: np.array([value]) for name, value in (plain | changes).items()}
    return Components(body=np.array([0]), magnitude=np.full((1, len(BANDS)), magnitude), **columns)


def image(listed: Components, name: str = "F814", size_px: int = 161) -> np.ndarray:
    return blur(paint_bands(listed, [name], size_px=size_px, sky_sigma=SKY)[0], BANDS[name])


@settings(max_examples=25, deadline=None)
@given(
    re_px=st.floats(0.0, 9.0),
    index=st.sampled_from([0.5, 1.0, 1.75, 2.5]),
    axis_ratio=st.floats(0.1, 1),
    position_angle=st.floats(0, 180),
    x=st.floats(-3, 3),
    name=st.sampled_from(["F435", "F814", "F160"]),
    magnitude=st.floats(18, 27.5),
)
def test_light_is_conserved_to_a_hundredth(name, magnitude, **shape):
    found = image(one(magnitude=magnitude, **shape), name).sum(dtype=float)
    assert found == pytest.approx(float(BANDS[name].flux(magnitude)), rel=0.015)


def test_light_is_conserved_for_steep_profiles_on_a_large_mosaic():
    found = image(one(magnitude=19, re_px=6, index=4.0), size_px=1001).sum(dtype=float)
    assert found == pytest.approx(float(BANDS["F814"].flux(19)), rel=0.01)


@pytest.mark.parametrize(("index", "re_px"), [(1.0, 5.0), (2.5, 6.0), (4.0, 10.0)])
def test_a_galaxy_is_the_profile_convolved_with_the_psf(index, re_px):
    """Against astropy's Sersic profile on a grid five times finer, convolved by brute force."""
    band, fine, half = BANDS["F814"], 5, 40
    found = image(one(re_px=re_px, index=index, axis_ratio=0.6, position_angle=30.0), size_px=2 * half + 1)
    axis = (np.arange((2 * half + 1) * fine) - ((2 * half + 1) * fine - 1) / 2) / fine
    x, y = np.meshgrid(axis, axis)
    model = Sersic2D(amplitude=1, r_eff=re_px, n=index, ellip=0.4, theta=np.radians(120.0))
    # The centre of a steep profile needs finer steps still.
    shift = (np.arange(5) - 2) / 5 / fine
    profile = np.mean([[model(x + dx, y + dy) for dx in shift] for dy in shift], axis=(0, 1))
    weights, sigmas = band.psf()
    sigmas = sigmas / PIXEL_SCALE_ARCSEC
    kernel_axis = np.arange(-100, 101) / fine
    squared = kernel_axis[:, None] ** 2 + kernel_axis**2
    kernel = (weights / sigmas**2 * np.exp(-squared[..., None] / (2 * sigmas**2))).sum(axis=-1)
    expected = fftconvolve(profile, kernel / kernel.sum(), mode="same")[fine // 2 :: fine, fine // 2 :: fine]
    inner = (slice(half - 15, half + 16),) * 2
    expected = expected[inner] * found[inner].sum() / expected[inner].sum()
    found = found[inner]
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())
    bright = expected > 0.03 * expected.max()
    np.testing.assert_allclose(found[bright], expected[bright], rtol=0.05)


def test_north_is_up_and_east_is_left():
    north_east = image(one(re_px=12, axis_ratio=0.2, position_angle=45.0))
    half = len(north_east) // 2
    assert north_east[half + 10, half - 10] > 10 * north_east[half + 10, half + 10]


def test_infrared_images_are_less_sharp():
    star = one(re_px=0.0, index=0.5)
    sharp, soft = image(star, "F814"), image(star, "F160")
    assert sharp.max() / sharp.sum() > 2 * soft.max() / soft.sum()


def test_bands_do_not_depend_on_what_else_is_painted():
    galaxy = one(magnitude=21, index=4.0, x=4.3)
    alone = paint_bands(galaxy, ["F606"], size_px=101, sky_sigma=SKY)
    both = paint_bands(galaxy, ["F435", "F606", "F160"], size_px=101, sky_sigma=SKY)
    assert np.array_equal(alone[0], both[1])


def test_bodies_beyond_the_edge_shine_in_and_those_far_away_do_not():
    assert image(one(x=70.0, re_px=10), size_px=101)[50, -1] > 0
    assert not paint_bands(one(x=5000.0), ["F814"], size_px=101, sky_sigma=SKY).any()


def test_noise_is_that_of_sky_and_light():
    rng = np.random.default_rng(3)
    for level in (0.0, 5.0):
        flat = np.full((300, 300), level, np.float32)
        found = expose(rng, flat, sky_sigma=0.01, exposure_s=4000.0)
        assert found.dtype == np.float32
        assert found.mean() == pytest.approx(level, abs=5e-4)
        assert found.std() == pytest.approx(np.sqrt(0.01**2 + level / 4000), rel=0.02)


@pytest.mark.parametrize("name", ["F814", "F160"])
def test_drizzled_pixels_share_their_noise_and_large_apertures_see_all_of_it(name):
    band, size = BANDS[name], 400
    sky = {"sky_sigma": band.sky_sigma(), "exposure_s": 4000.0, "kernel": band.noise_kernel()}
    found = expose(np.random.default_rng(4), np.zeros((size, size), np.float32), **sky)
    assert found.std() == pytest.approx(band.pixel_sigma(), rel=0.02)
    taps = band.noise_kernel()
    for lag in range(1, 6):
        expected = np.sum(taps[lag:] * taps[:-lag]) / np.sum(taps**2) if lag < len(taps) else 0.0
        for shifted in (found[lag:] * found[:-lag], found[:, lag:] * found[:, :-lag]):
            assert shifted.mean() / found.var() == pytest.approx(expected, abs=0.02)
    blocks = found.reshape(size // 20, 20, size // 20, 20).sum(axis=(1, 3))
    assert blocks.std() == pytest.approx(20 * band.sky_sigma(), rel=0.12)
    edge = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert edge.std() == pytest.approx(band.pixel_sigma(), rel=0.08)


def spiral(magnitude: float, **shape: float) -> Components:
    late = {
        "kind": "late",
        "redshift": 0.4,
        "magnitude": magnitude,
        "re_arcsec": 0.9,
        "old": 0.4,
        "young": 0.2,
    }
    return draw_components(np.random.default_rng(2), bodies(1, **(late | shape)))


@pytest.mark.parametrize("axis_ratio", [0.25, 1.0])
def test_knots_and_dust_show_and_leave_the_light_of_a_disc_as_it_is(axis_ratio):
    disc = spiral(20.0, axis_ratio=axis_ratio)
    assert np.any(disc.sign < 0)
    assert disc.total(1)[0, list(BANDS).index("F814")] == pytest.approx(20.0, abs=1e-6)
    found = image(disc, size_px=201)
    assert found.sum(dtype=float) == pytest.approx(float(BANDS["F814"].flux(20.0)), rel=0.015)
    for name in ("F435", "F814", "F160"):
        seen = image(disc, name, size_px=201)
        assert seen.min() > -1e-3 * seen.max(), "dust takes away no more than is there"
    # Smooth and alike on both sides is what a disc without them is.
    turned = np.abs(found - found[::-1, ::-1]).sum() / found.sum()
    plain = image(spiral(20.0, axis_ratio=axis_ratio, kind="early", bulge=1.0, sersic_n=1.0), size_px=201)
    assert turned > 0.08 > 0.01 > np.abs(plain - plain[::-1, ::-1]).sum() / plain.sum()


def test_faint_and_small_discs_are_smooth():
    assert len(spiral(26.5).x) == len(spiral(20.0, re_arcsec=0.1).x) < 3
