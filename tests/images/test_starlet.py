"""The starlet, by its identities; the filter of few counts, by what it finds and leaves alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import gaussian_filter

from labkit.images import starlet as module
from labkit.images.starlet import (
    b3_smooth,
    coefficient_limit,
    largest_scale,
    poisson_filter,
    starlet,
    starlet_inverse,
    wavelet_kernel,
)


def gaussian(side, sigma, counts):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    shape = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return counts * shape / shape.sum()


SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=40)
IMAGES = arrays(np.float32, SHAPES, elements=st.floats(-1000, 1000, width=32))


@settings(max_examples=40)
@given(image=IMAGES, generation=st.sampled_from([1, 2]), data=st.data())
def test_planes_sum_to_zero_give_the_image_back_and_know_no_direction(image, generation, data):
    scales = data.draw(st.integers(1, largest_scale(image.shape)))
    planes = starlet(image, scales=scales, generation=generation)
    assert planes.shape == (scales + 1, *image.shape)
    tolerance = 1e-5 * max(1.0, float(np.abs(image).max()))
    joined = planes.sum(axis=0) if generation == 1 else starlet_inverse(planes)
    np.testing.assert_allclose(joined, image, atol=tolerance)
    sums = planes.sum(axis=(1, 2), dtype=np.float64)
    expected = [0.0] * scales + [image.sum(dtype=np.float64)]
    np.testing.assert_allclose(sums, expected, atol=1e-5 * (np.abs(image).sum(dtype=np.float64) + 1))
    for turn in (np.transpose, np.flipud):
        turned = starlet(turn(image), scales=scales, generation=generation)
        np.testing.assert_allclose(turned, [turn(plane) for plane in planes], atol=tolerance)


def test_the_kernel_is_the_cubic_spline_on_both_axes():
    image = np.zeros((9, 9))
    image[4, 4] = 1
    line = np.array([1, 4, 6, 4, 1]) / 16
    np.testing.assert_allclose(b3_smooth(image, scale=0)[2:7, 2:7], np.outer(line, line), atol=1e-7)
    np.testing.assert_allclose(b3_smooth(image, scale=1)[::2, ::2], np.outer(line, line), atol=1e-7)


def test_planes_answer_to_structures_of_their_size():
    strongest = [
        int(np.argmax(np.abs(starlet(gaussian(128, sigma, 1), scales=6)[:6]).max(axis=(1, 2))))
        for sigma in (0.5, 1.4, 2.8, 5.6, 11.2)
    ]
    assert strongest == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rate", [0.02, 0.3, 3.0])
def test_limits_hold_the_promised_false_alarms(rate):
    rng = np.random.default_rng(2)
    planes = np.stack([starlet(rng.poisson(rate, (256, 256)), scales=3) for _ in range(8)], axis=1)
    inner = planes[..., 16:-16, 16:-16]  # the mirrored border counts its photons twice
    for scale in range(3):
        limit = coefficient_limit(np.array(rate), scale=scale, false_alarm=2e-3)
        most = 2e-3 * (1.25 if scale else 1.6)  # the finest plane has few different values at few counts
        assert (inner[scale] > limit).mean() <= most
        if rate > 0.2 and scale > 0:
            assert (inner[scale] > limit).mean() >= 0.75 * 2e-3


def test_limits_become_those_of_gauss_for_many_counts_and_are_higher_for_few():
    for scale in (1, 3):
        sigma = np.sqrt((wavelet_kernel(scale) ** 2).sum())
        few, many = coefficient_limit(np.array([0.05, 9e3]), scale=scale, false_alarm=0.00135)
        assert many == pytest.approx(3 * sigma * 9e3**0.5, rel=0.02)
        assert few > 1.05 * 3 * sigma * 0.05**0.5


def test_both_ways_to_the_limits_agree_where_they_meet(monkeypatch):

    mixed = module._limit_table(2, 1e-4)
    monkeypatch.setattr(module, "_LONGEST_GRID", 2**20)
    by_transform = module._limit_table.__wrapped__(2, 1e-4)
    changed = mixed != by_transform
    assert changed.any()
    np.testing.assert_allclose(mixed[changed], by_transform[changed], rtol=0.01)


def test_filter_keeps_the_counts_and_the_place_of_a_source():
    rng = np.random.default_rng(3)
    background = np.full((129, 129), 0.1)
    for sigma, counts in ((1.5, 200.0), (6.0, 1000.0)):
        found = poisson_filter(rng.poisson(background + gaussian(129, sigma, counts)), background, scales=6)
        assert found.image.min() >= 0
        y, x = np.mgrid[:129, :129]
        near = np.hypot(x - 64, y - 64) < 5 * sigma
        assert found.image[near].sum() == pytest.approx(counts, rel=0.12)
        for axis in (x, y):
            assert (found.image * axis)[near].sum() / found.image[near].sum() == pytest.approx(64, abs=0.5)
        assert found.contrast[64, 64] > 2


def test_filter_is_nearer_to_the_truth_than_the_best_gaussian():
    rng = np.random.default_rng(4)
    truth = np.zeros((128, 128))
    for x, y, sigma, counts in ((30, 30, 1.4, 150), (90, 40, 8, 900), (60, 100, 1.4, 60), (100, 100, 4, 200)):
        truth += np.roll(gaussian(129, sigma, counts)[:128, :128], (y - 64, x - 64), axis=(0, 1))
    counts = rng.poisson(truth + 0.2)
    ours = poisson_filter(counts, np.full((128, 128), 0.2)).image
    smoothed = [gaussian_filter(counts - 0.2, sigma) for sigma in (0.8, 1.2, 1.6, 2, 3, 4, 6)]
    error = [np.abs(image - truth).sum() for image in (ours, *smoothed)]
    assert error[0] < 0.6 * min(error[1:])


def test_few_false_structures_on_background_alone():
    rng = np.random.default_rng(5)
    background = np.full((256, 256), 0.15)
    found = [poisson_filter(rng.poisson(background), background, false_alarm=1e-3).support for _ in range(8)]
    shares = np.mean(found, axis=(0, 2, 3))
    assert shares[0] == 0  # finer than the finest plane asked for
    np.testing.assert_allclose(shares[1:4], 1e-3, rtol=0.3)
    assert shares[4:].max() < 4e-3  # few independent coefficients
    empty = poisson_filter(np.zeros((64, 64)), np.full((64, 64), 1e-6))
    assert not empty.support.any()
    assert not empty.image.any()


def test_gaps_and_vignetting_are_no_structure():
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:256, :256] - 128.0
    exposed = np.ones((256, 256))
    exposed[:, 60:63] = exposed[:, 150:152] = 0
    exposed[100:103] *= 0.4
    field = np.hypot(x, y) < 110
    background = 0.6 * exposed * field * (1 - np.hypot(x, y) / 200)
    relative = np.where(field, exposed, 1)
    counts = rng.poisson(background)
    found = poisson_filter(counts, background, relative_exposure=relative)
    assert found.image.sum() < 0.02 * counts.sum()
    blind = poisson_filter(counts, np.full((256, 256), background[field].mean()))
    assert blind.image.sum() > 5 * found.image.sum()


def test_a_source_cut_by_a_gap_is_filled():
    rng = np.random.default_rng(7)
    exposed = np.ones((129, 129))
    exposed[:, 63:66] = 0
    background = np.full((129, 129), 0.1)
    truth = gaussian(129, 8.0, 3000)
    found = poisson_filter(rng.poisson((truth + background) * exposed), background * exposed,
                           relative_exposure=exposed, iterations=30)  # fmt: skip
    assert found.image[:, 63:66].sum() == pytest.approx(truth[:, 63:66].sum(), rel=0.15)


def test_fluctuations_of_a_bright_source_are_no_sources():
    rng = np.random.default_rng(8)
    background = np.full((128, 128), 0.05)
    counts = rng.poisson(background + gaussian(128, 12.0, 20000))
    found = poisson_filter(counts, background, scales=5)
    assert found.support[4].any()
    inside = np.hypot(*(np.mgrid[:128, :128] - 63.5)) < 10
    assert found.support[1][inside].mean() < 0.005


def test_negative_and_fractional_counts_are_taken_as_they_are():
    rng = np.random.default_rng(9)
    streak = np.full((128, 128), 0.01)
    truth = gaussian(128, 2.0, 150)
    raw = rng.poisson(0.2 + streak + truth)
    subtracted = raw - streak
    assert subtracted.min() < 0
    found = poisson_filter(subtracted, np.full((128, 128), 0.2))
    expected = poisson_filter(raw, np.full((128, 128), 0.21))
    assert found.image.sum() == pytest.approx(expected.image.sum(), rel=0.05)
    not_exposed = poisson_filter(np.where(np.arange(128) < 20, np.nan, subtracted), np.full((128, 128), 0.2))
    assert np.isfinite(not_exposed.image).all()
