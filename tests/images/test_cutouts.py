"""Cut-outs and regridding: north up, east left, area by area, flux or brightness kept."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from labkit.images import coverage, cutout, cutouts, regrid
from labkit.images.coordinates import tangent_plane
from labkit.images.cutouts import average_boxes

CENTRE = SkyCoord(150 * u.deg, -11 * u.deg)


def make_wcs(*, scale=4.35, angle=0.0, flip=1, ctype="TAN", frame=("RA--", "DEC-"), ref=CENTRE, crpix=150.5):
    """A celestial WCS of a 300 x 300 image, rotated by `angle` degrees, mirrored where flip is -1."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{frame[0]}-{ctype}", f"{frame[1]}-{ctype}"]
    wcs.wcs.crval = [ref.data.lon.deg, ref.data.lat.deg]
    wcs.wcs.crpix = [crpix, crpix]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = np.array([[-c * flip, s], [s * flip, c]]) * scale / 3600
    wcs.wcs.set()
    return wcs


def spots(wcs, *positions, shape=(300, 300), sigma=1.5):
    """Gaussian sources of unit peak at sky positions."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for position in positions:
        x0, y0 = position.to_pixel(wcs)
        image += np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))
    return image


def centroid(image):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return (image * x).sum() / image.sum(), (image * y).sum() / image.sum()


@pytest.mark.parametrize("angle", [0.0, 37.0, 180.0, 271.0])
@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("scale", [1.0, 4.35])
def test_north_is_up_and_east_is_left_whatever_the_input(angle, flip, scale):
    wcs = make_wcs(angle=angle, flip=flip, scale=scale)
    size = 200 * scale / 2 * u.arcsec
    east = CENTRE.directional_offset_by(90 * u.deg, size / 4)
    north = CENTRE.directional_offset_by(0 * u.deg, size / 4)
    for position, expected in ((east, (24.5, 49.5)), (north, (49.5, 74.5))):
        image = cutout(spots(wcs, position), wcs, CENTRE, size=size, pixels=100)
        assert centroid(image) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("dec", [0, 60, -89.9])
@pytest.mark.parametrize("ctype", ["TAN", "SIN", "ARC"])
def test_positions_hold_near_poles_and_in_other_projections(dec, ctype):
    ref = SkyCoord(359.99 * u.deg, dec * u.deg)
    wcs = make_wcs(ref=ref, ctype=ctype)
    off = ref.directional_offset_by(200 * u.deg, 5 * u.arcmin)
    image = cutout(spots(wcs, off), wcs, off)
    assert centroid(image) == pytest.approx((88.5, 88.5), abs=0.05)


@pytest.mark.parametrize("pixels", [60, 97, 178, 356])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_counts_are_conserved_at_any_pixel_scale(pixels, angle):
    wcs = make_wcs(angle=angle)
    image = spots(wcs, CENTRE, sigma=6)
    total = cutout(image, wcs, CENTRE, pixels=pixels, conserve="flux").sum(dtype=float)
    assert total == pytest.approx(image.sum(), rel=3e-3)
    np.testing.assert_allclose(cutout(np.full((300, 300), 4.0), wcs, CENTRE, pixels=pixels), 4, rtol=1e-6)


def test_several_equal_one_by_one_and_the_image_is_unchanged():
    wcs = make_wcs(angle=5)
    image = np.random.default_rng(2).poisson(1.0, (300, 300)).astype(np.float32)
    before = image.copy()
    positions = CENTRE.directional_offset_by([0, 90, 200] * u.deg, [0, 3, 8] * u.arcmin)
    together = cutouts(image, wcs, positions, pixels=64)
    assert together.shape == (3, 64, 64)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[2], cutout(image, wcs, positions[2], pixels=64))
    np.testing.assert_array_equal(image, before)


def test_the_interpolated_transform_is_exact():
    wcs = make_wcs(angle=20, ref=SkyCoord(10 * u.deg, 80 * u.deg))
    position = SkyCoord(10.1 * u.deg, 80.02 * u.deg)
    y, x = np.mgrid[:300, :300]
    own = WCS(naxis=2)
    own.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    own.wcs.crval, own.wcs.crpix = [10.1, 80.02], [32.5, 32.5]
    own.wcs.cdelt = [-420 / 64 / 3600, 420 / 64 / 3600]
    v, u_ = np.mgrid[:64, :64]
    expected, _ = own.pixel_to_world(u_, v).to_pixel(wcs)
    # pixels hold their own x, so that a cut-out is a map of x
    found = cutout(x.astype(float) + 0 * y, wcs, position, pixels=64, oversample=16)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs((found - expected).mean()) < 1e-3


def test_coverage_is_the_share_of_exposed_area():
    wcs = make_wcs()
    exposed = np.zeros((300, 300), dtype=bool)
    exposed[:, 150:] = True  # west of the centre
    far = CENTRE.directional_offset_by([0, 270, 90] * u.deg, [0, 5, 5] * u.arcmin)
    np.testing.assert_allclose(coverage(exposed, wcs, far), [0.5, 1, 0], atol=0.01)
    gap = np.where(exposed, 1000.0, np.nan)
    np.testing.assert_allclose(coverage(gap, wcs, far), [0.5, 1, 0], atol=0.01)
    behind = SkyCoord([330] * u.deg, [11] * u.deg)
    assert coverage(np.ones((300, 300)), wcs, behind) == 0
    assert (cutouts(np.ones((300, 300)), wcs, behind, pixels=8, fill=-1) == -1).all()


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("place", [(150, 150), (20, 270), (-60, 150), (400, 400)])
def test_a_cutout_depends_only_on_the_pixels_it_covers(fill, place):
    wcs = make_wcs(angle=25.0)
    image = np.random.default_rng(2).normal(5, 1, (300, 300)).astype(np.float32)
    position = wcs.pixel_to_world(*place)
    options = {"size": 40 * u.arcsec, "pixels": 64, "fill": fill}
    expected = cutout(image, wcs, position, **options)
    away = np.hypot(*(np.mgrid[:300, :300] - np.array(place)[::-1, None, None])) > 45
    np.testing.assert_array_equal(cutout(np.where(away, np.nan, image), wcs, position, **options), expected)
    np.testing.assert_array_equal(cutout(np.where(away, -99, image), wcs, position, **options), expected)
    inner = cutout(image[100:200, 100:200], wcs.slice((slice(100, 200),) * 2), position, **options)
    if place == (150, 150):
        np.testing.assert_allclose(inner, expected, rtol=1e-6)


@pytest.mark.parametrize("oversample", [1, 2, 7])
def test_coarse_pixels_are_means_of_all_input_pixels_in_them(oversample):
    image = np.random.default_rng(5).random((200, 200)).astype(np.float32)
    wcs = tangent_plane(150.0, 2.0, 1.0, (200, 200))
    centre = SkyCoord(150, 2, unit="deg").reshape(1)
    options = {"size": 100 * u.arcsec, "pixels": 20, "oversample": oversample}
    expected = image[50:150, 50:150].reshape(20, 5, 20, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(cutouts(image, wcs, centre, **options)[0], expected, rtol=1e-3)
    sums = cutouts(image, wcs, centre, conserve="flux", **options)[0]
    np.testing.assert_allclose(sums, 25 * expected, rtol=1e-3)


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_boxes_across_the_border_share_the_border_and_what_lies_outside(fill):
    image = np.arange(1.0, 21.0, dtype=np.float32).reshape(4, 5)
    x = np.array([[-3.0, -1.0, -0.5, -0.25, 0.0, 4.0, 4.25, 4.5, 5.0, 9.0, np.nan]])
    share = np.array([0, 0, 0.5, 0.75, 1, 1, 0.75, 0.5, 0, 0, 0])  # of the box that lies on the image
    for axis in (1, 0):  # along x, and along y of the transposed image
        row = image[1]
        edge = np.where(np.nan_to_num(x[0]) < 2, row[0], row[-1])
        places = (x, np.full_like(x, 1.0)) if axis else (np.full_like(x.T, 1.0), x.T)
        got = average_boxes(image if axis else image.T, *places, width=1.0, steps=1, fill=fill).ravel()
        right = np.where(share > 0, edge, np.nan) if np.isnan(fill) else share * edge + (1 - share) * fill
        np.testing.assert_allclose(got, right, rtol=1e-6)


@given(scale=st.floats(0.2, 4), seed=st.integers(0, 1000))
def test_regridding_conserves_the_flux_and_leaves_zeros_outside(scale, seed):
    images = np.random.default_rng(seed).poisson(0.2, (2, 40, 31)).astype(float)
    shape = (int(40 / scale) + 3, int(31 / scale) + 3)
    result = regrid(images, scale=scale, shape=shape, conserve="flux")
    np.testing.assert_allclose(result.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(result[1], regrid(images[1], scale=scale, shape=shape, conserve="flux"))
    assert not regrid(images + 1, scale=1, shape=(44, 33))[:, [0, -1]].any()


def test_regridding_to_the_same_half_and_double_pixels():
    image = np.random.default_rng(0).normal(size=(8, 14))
    np.testing.assert_allclose(regrid(image, scale=1, shape=(8, 14)), image, rtol=1e-6)
    finer = np.kron(image, np.ones((2, 2)))
    np.testing.assert_allclose(regrid(image, scale=0.5, shape=(16, 28)), finer, rtol=1e-6)
    np.testing.assert_allclose(regrid(finer, scale=2, shape=(8, 14)), image, rtol=1e-6)


def test_regridding_leaves_nan_out_and_only_where_nothing_was_valid():
    image = np.full((20, 20), 3.0)
    image[8:12, 8:12] = np.nan
    result = regrid(image, scale=1.5, shape=(5, 5))
    assert np.isnan(result[2, 2])
    np.testing.assert_allclose(result[np.isfinite(result)], 3, rtol=1e-5)
    assert np.isfinite(result[0]).all()
