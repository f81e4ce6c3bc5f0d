"""Maps on one scale in kpc, and rings taken away: do they answer to what a network uses?"""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import QTable
from torch import nn

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.explain import (
    class_activation,
    common_scale,
    over_folds,
    randomise,
    ring_means,
    ring_occlusion,
    ring_table,
)
from labkit.explain.rings import ring_numbers
from labkit.learn import Model
from labkit.learn.networks import build_network
from labkit.sample import Sample

EDGES = [0, 120, 300, 500]
Z = 0.05
SCALE = 1000 / 32 / COSMOLOGY.kpc_proper_per_arcmin(Z).value * u.arcmin  # 31.25 kpc per pixel


def sample_of(images: np.ndarray, redshift=Z) -> Sample:
    n = len(images)
    catalogue = QTable({"object_id": [f"C{k}" for k in range(n)], "ra": np.zeros(n) * u.deg})
    catalogue["dec"], catalogue["redshift"] = np.zeros(n) * u.deg, np.broadcast_to(redshift, n)
    catalogue["label"] = np.where(np.arange(n) % 2, "point source", "low-z cluster")
    about = {"bands": ("xray",), "pixel_scale": SCALE.to(u.arcsec)}
    return Sample(images[:, None], catalogue, **about, provenance={"normalisation": {"no_emission": 0}})


@pytest.fixture
def clusters(rng) -> Sample:
    return sample_of(rng.integers(0, 255, (6, 32, 32), dtype=np.uint8))


class _Centre(nn.Module):
    """Knows only the mean within 120 kpc of the centre."""

    def __init__(self, inside: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("inside", torch.from_numpy(inside.astype(np.float32)))
        self.output = nn.Linear(1, 2)
        with torch.no_grad():
            self.output.weight.copy_(torch.tensor([[-8.0], [8.0]]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = (images[:, :1] * self.inside).sum((1, 2, 3)) / self.inside.sum()
        return self.output(mean[:, None] - 0.5)


@pytest.fixture
def model_of(clusters):
    """A model of these images around a network, or around a new custom one."""

    def make(network: nn.Module | None = None) -> Model:
        experiment = Experiment(name="made", bands=("xray",), image_size=32, dropout=0.2, precision="fp32")
        torch.manual_seed(5)
        network = network or build_network(experiment)
        return Model.of(experiment, network.eval(), clusters, seed=0)

    return make


@pytest.fixture
def centre(clusters, model_of):
    return model_of(_Centre(ring_numbers(clusters, EDGES)[0] == 0))


def test_only_the_ring_that_a_network_uses_is_worth_something(clusters, centre, rng):
    drop = ring_occlusion(centre, clusters, edges_kpc=EDGES, rng=rng, target="predicted", draws=4)
    assert drop.shape == (6, 3)
    assert np.abs(drop[:, 0]).max() > 1e-3
    np.testing.assert_allclose(drop[:, 1:], 0, atol=1e-6)


def test_the_ring_is_the_other_objects(clusters, centre, rng):
    """With one donor, the probability is the donor's own: this network sees nothing but the ring."""
    first, second = clusters.select([0]), clusters.select([1])
    drop = ring_occlusion(centre, first, edges_kpc=EDGES, rng=rng, target=1, donors=second, draws=1)
    pixels = torch.from_numpy(clusters.images[:2].astype(np.float32) / 255)
    with torch.inference_mode():
        p = torch.softmax(centre.network(pixels), 1)[:, 1]
    assert drop[0, 0] == pytest.approx(float(p[0] - p[1]), abs=1e-4)


def test_rings_are_in_kpc_at_each_redshift():
    """At twice the kpc per arcsec a ring has a quarter of the pixels."""
    images = np.zeros((2, 64, 64), dtype=np.uint8)
    far = 0.1175
    rings = ring_numbers(sample_of(images, [Z, far]), [0, 250])
    ratio = (COSMOLOGY.kpc_proper_per_arcmin(far) / COSMOLOGY.kpc_proper_per_arcmin(Z)).value
    inside = (rings == 0).sum((1, 2))
    assert inside[0] / inside[1] == pytest.approx(ratio**2, rel=0.1)
    assert inside[0] == pytest.approx(np.pi * 8**2, rel=0.05)


def test_flat_maps_point_nowhere_and_blank_ones_are_unknown(clusters):
    maps = np.ones((6, 32, 32))
    maps[0] = 0
    found = ring_means(maps, clusters, edges_kpc=EDGES)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], 1)
    peaked = np.where(ring_numbers(clusters, EDGES) == 0, 1.0, 0.0)
    assert (ring_means(peaked, clusters, edges_kpc=EDGES)[:, 0] > 5).all()


def test_maps_of_different_redshifts_meet_on_one_scale():
    y, x = np.indices((64, 64)) - 31.5
    maps, sample = [], sample_of(np.zeros((2, 64, 64), dtype=np.uint8), [Z, 0.1175])
    for z in (Z, 0.1175):
        kpc = SCALE.to_value(u.arcmin) * COSMOLOGY.kpc_proper_per_arcmin(z).value
        maps.append(np.exp(-0.5 * (np.hypot(x, y) * kpc / 200) ** 2))
    near, far = common_scale(maps, sample, width_kpc=1000, size_px=20)
    assert near.shape == (20, 20)
    np.testing.assert_allclose(near, far, atol=0.05)  # pixels of different size


def test_each_object_is_explained_by_the_model_of_its_fold(clusters, model_of):
    models = {0: model_of(), 1: randomise(model_of(), rng=np.random.default_rng(3))}
    folds, target = np.array([0, 1, 0, 1, 1, 0]), ["cluster"] * 6
    options = {"method": "hirescam", "layer": "conv2"}
    found = over_folds(class_activation, models, clusters, folds, target=target, **options)
    for fold, model in models.items():
        alone = over_folds(class_activation, model, clusters, folds, target=target, **options)
        np.testing.assert_allclose(found[folds == fold], alone[folds == fold], atol=1e-5)
        assert not np.allclose(found[folds != fold], alone[folds != fold])


def test_means_lie_in_their_intervals_by_class(rng):
    values = {"trained": rng.normal(1, 0.1, (40, 3)), "blind": np.full((40, 3), np.nan)}
    classes = np.repeat(["CC", "NCC"], 20)
    table = ring_table(values, classes, edges_kpc=EDGES, rng=rng)
    assert table["network"].tolist() == ["trained"] * 6
    assert table["radius"].tolist() == [60, 210, 400] * 2
    assert table["value"][0] == pytest.approx(values["trained"][:20, 0].mean())
    assert (table["value_low"] < table["value"]).all()
    assert (table["value"] < table["value_high"]).all()
    with pytest.raises(InputError, match="values must be finite for an object at least"):
        ring_table({"blind": values["blind"]}, classes, edges_kpc=EDGES, rng=rng)


def test_pixels_of_one_size_in_kpc_are_taken_as_such():
    images = sample_of(np.zeros((2, 32, 32)), redshift=[0.05, 0.25])
    rings = ring_numbers(images, EDGES)
    assert (rings[0] != rings[1]).any()
    same = QTable(images.catalogue)
    same["kpc_per_pixel"] = np.full(2, 31.25) * u.kpc
    shared = ring_numbers(
        Sample(images.band("xray")[:, None], same, bands=("xray",), pixel_scale=images.pixel_scale), EDGES
    )
    np.testing.assert_array_equal(shared, np.stack([rings[0], rings[0]]))


SMALL = np.zeros((2, 8, 8), dtype=np.uint8)
ERRORS = {
    "edges fall": (lambda s, m, r: ring_numbers(s, [0, 300, 200]), "edges_kpc must be two radii or more"),
    "ring too thin": (lambda s, m, r: ring_numbers(s, [0, 1, 300]), "in each ring, got none in 0 to 1"),
    "redshift": (
        lambda s, m, r: ring_numbers(sample_of(s.band("xray"), 0.0), EDGES),
        "redshift must be positive for each object, got 6 others",
    ),
    "shape": (
        lambda s, m, r: ring_means(np.ones((6, 8, 8)), s, edges_kpc=EDGES),
        r"maps must have the images' shape \(6, 32, 32\), got \(6, 8, 8\)",
    ),
    "draws": (
        lambda s, m, r: ring_occlusion(m, s, edges_kpc=EDGES, rng=r, draws=0),
        "draws must be at least 1, got 0",
    ),
    "no other": (
        lambda s, m, r: ring_occlusion(m, s.select([0]), edges_kpc=EDGES, rng=r),
        "donors must hold an object beside 'C0'",
    ),
    "other size": (
        lambda s, m, r: ring_occlusion(m, s, edges_kpc=EDGES, rng=r, donors=sample_of(SMALL)),
        r"donors must have the images' size \(32, 32\)",
    ),
    "folds": (
        lambda s, m, r: over_folds(class_activation, {0: m}, s, [0] * 5, target=["cluster"] * 6),
        "folds and target must be one for each object",
    ),
    "no model": (
        lambda s, m, r: over_folds(class_activation, {0: m}, s, [0, 2] * 3, target=["cluster"] * 6),
        r"models must hold one for each fold, got none for \[2\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_what_makes_no_sense_is_refused(call, message, clusters, centre, rng):
    with pytest.raises(InputError, match=message):
        call(clusters, centre, rng)
