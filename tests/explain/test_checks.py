"""Do the checks tell maps of the network from maps of the image?"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import sobel
from scipy.stats import spearmanr

from labkit.errors import InputError
from labkit.explain import class_activation, deletion, randomisation_check
from labkit.explain.checks import _steps, rank_correlation, structural_similarity


def edges(model, images, **options) -> np.ndarray:
    """A map that no network made: the edges of the X-ray image."""
    xray = np.asarray(getattr(images, "images", images))[:, 0].astype(float)
    found = np.hypot(sobel(xray, 1), sobel(xray, 2))
    return (found / found.max((1, 2), keepdims=True)).astype(np.float32)


def test_rank_correlation_is_spearmans(rng):
    one = rng.normal(size=(5, 6, 7))
    other = np.round(one + rng.normal(size=one.shape))  # with ties
    wanted = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), wanted)
    np.testing.assert_allclose(rank_correlation(one, -(one**3)), -1)
    np.testing.assert_array_equal(rank_correlation(one, np.ones_like(one)), 0)


@given(st.integers(0, 2**31), st.floats(0.0, 0.5))
@settings(deadline=None, max_examples=20)
def test_structural_similarity_is_symmetric_and_highest_for_equals(seed, noise):
    rng = np.random.default_rng(seed)
    one = rng.random((2, 12, 12))
    other = np.clip(one + noise * rng.normal(size=one.shape), 0, 1)
    np.testing.assert_allclose(structural_similarity(one, one), 1)
    np.testing.assert_allclose(structural_similarity(one, other), structural_similarity(other, one))
    assert (structural_similarity(one, other) <= 1 + 1e-12).all()


def test_structural_similarity_of_flat_maps_is_that_of_their_levels():
    """Without structure only the luminance term of Wang et al. (2004), eq. 6, is left."""
    one, other = np.full((1, 9, 9), 0.2), np.full((1, 9, 9), 0.8)
    wanted = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    np.testing.assert_allclose(structural_similarity(one, other), wanted)


def test_maps_of_a_trained_network_change_with_its_weights(trained, sample, rng):
    before = [p.detach().clone() for p in trained.network.parameters()]
    few = sample.select(slice(0, 12))
    found = randomisation_check(trained, few, rng=rng, method="hirescam", layer="conv2", target="predicted")
    assert found.steps == ("trained", "output", "dense", "conv6", "conv5", "conv4", "conv3", "conv2", "conv1")
    assert found.rank.shape == (2, 9, 12 - found.left_out)
    np.testing.assert_allclose(found.rank[:, 0], 1)
    np.testing.assert_allclose(found.structure[:, 0], 1)
    assert found.rank[:, -1].mean() < 0.4
    assert not found.ignores_weights
    for old, new in zip(before, trained.network.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
    table = found.table(rng=rng)
    assert np.all(table["rank_low"] <= table["rank"] + 1e-9)
    assert np.all(table["rank"] <= table["rank_high"] + 1e-9)
    assert len(table) == 9


def test_maps_that_ignore_the_weights_are_found_out(trained, sample, rng):
    found = randomisation_check(trained, sample.select(slice(0, 6)), rng=rng, maps=edges, draws=1)
    np.testing.assert_allclose(found.rank, 1)
    assert found.ignores_weights


def test_every_weight_is_randomised_within_the_steps_allowed(make_model):
    model = make_model("mobilenet")
    steps = _steps(model)
    assert len(steps) == 8
    assert steps[-1][0] == "conv_stem"
    weights = [id(p) for _, part in steps for p in part]
    assert sorted(weights) == sorted(id(p) for p in model.network.parameters())


def test_blank_maps_are_left_out_and_blank_answers_counted(trained, sample, rng):
    calls = []

    def fading(model, images, **options):
        calls.append(model)
        maps = edges(model, images)
        maps[0] = 0
        return maps if len(calls) == 1 else np.zeros_like(maps)

    found = randomisation_check(trained, sample.select(slice(0, 4)), rng=rng, maps=fading, draws=1)
    assert found.left_out == 1
    np.testing.assert_array_equal(found.rank[0, 1:], 0)
    assert found.table(rng=rng)["blank"][-1] == 1
    with pytest.raises(InputError, match="maps must show something for 2 objects or more, 2 are blank"):
        randomisation_check(
            trained, sample.select([0, 1]), rng=rng, maps=lambda model, images: np.zeros((2, 32, 32))
        )


def test_deletion_of_what_a_trained_network_looks_at_hurts_most(trained, sample, rng):
    clusters = sample.select(np.asarray(sample.labels) == "low-z cluster")
    maps = class_activation(trained, clusters, method="hirescam", layer="conv2").maps
    hurt, blind = (
        deletion(trained, clusters, shown, rng=rng, shares=(0.1, 0.3)).table(rng=rng)
        for shown in (maps, rng.random(maps.shape))
    )
    assert hurt["difference_low"][-1] > 0.1
    assert blind["difference_low"][-1] < 0.05


def test_deletion_is_of_the_pixels_asked_for(make_model, sample, rng):
    """A network that sums the X-ray band: without the brightest pixels its logit falls by their sum."""

    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 1, 1)  # so that there are maps

        def forward(self, images):
            total = images[:, 0].sum((1, 2))
            return torch.stack([torch.zeros_like(total), total], 1)

    pixels = np.zeros((3, 2, 32, 32), np.uint8)
    pixels[:, 0, :4, :8] = 10
    maps = pixels[:, 0].astype(np.float32)
    found = deletion(make_model(Sum()), pixels, maps, rng=rng, target=1, shares=(32 / 1024,))
    before = 1 / (1 + np.exp(-32 * 10 / 255))
    np.testing.assert_allclose(found.drop, before - 0.5, atol=1e-6)
    np.testing.assert_allclose(found.reference, 0, atol=1e-6)  # the shifted hole misses the patch


MAPS = np.zeros((24, 32, 32))


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        (MAPS[:, :8, :8], {}, r"maps must have the images' shape \(24, 32, 32\), got \(24, 8, 8\)"),
        (MAPS, {"shares": [1.5]}, r"shares must lie between 0 and 1, got \[1.5\]"),
    ],
)
def test_what_cannot_be_deleted_is_said(trained, sample, rng, maps, options, message):
    with pytest.raises(InputError, match=message):
        deletion(trained, sample, maps, rng=rng, **options)


def test_maps_that_cannot_be_compared_are_refused(trained, sample, rng):
    with pytest.raises(InputError, match=r"images must be 2 or more and draws at least 1, got 1 and 2"):
        randomisation_check(trained, sample.select([0]), rng=rng)
    with pytest.raises(InputError, match=r"maps must have one shape \(n, y, x\)"):
        rank_correlation(MAPS, MAPS[:3])
    with pytest.raises(InputError, match=r"maps must be at least 7 px wide and high, got \(5, 5\)"):
        structural_similarity(MAPS[:, :5, :5], MAPS[:, :5, :5])
