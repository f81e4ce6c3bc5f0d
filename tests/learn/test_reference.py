"""Reference features beside a model: of its weights and validation objects, and what they tell of others."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from labkit.evaluate import domain_shift
from labkit.learn import image_features, reference_features, train
from labkit.learn.reference import FILE
from labkit.sample import Sample


@pytest.fixture(scope="module")
def fitted(make_sample, quick, tmp_path_factory):
    return train(quick, make_sample(360), run=tmp_path_factory.mktemp("run"), device="cpu", progress=False)


def changed(sample, change):
    images = np.asarray(change(np.asarray(sample.images, dtype=float)).clip(0, 255), dtype=np.uint8)
    return Sample(
        images,
        sample.catalogue,
        bands=sample.bands,
        pixel_scale=sample.pixel_scale,
        provenance=sample.provenance,
    )


def test_training_leaves_the_features_of_validation_objects(fitted, make_sample):
    kept, sample = reference_features(fitted.folder), make_sample(360)
    there = sample.catalogue["split"] == "validation"
    assert kept["object_id"].tolist() == sample.object_ids[there].tolist()
    again = image_features(fitted.folder, sample.select(np.flatnonzero(there)), device="cpu")
    assert kept.colnames == again.colnames
    for name in ("feature_0", "noise (xray)", "p_cluster"):
        np.testing.assert_allclose(kept[name], again[name], rtol=1e-4, atol=1e-5)
    assert again["background (xray)"][0] == np.median(sample.images[np.flatnonzero(there)[0], 0])


def test_others_of_the_kind_pass_and_smoothed_or_dimmed_ones_do_not(fitted, make_sample):
    kept, new = reference_features(fitted.folder), make_sample(120, seed=9)
    changes = {
        "same": lambda x: x,
        "smooth": lambda x: gaussian_filter(x, (0, 0, 0.8, 0.8)),
        "dim": lambda x: 0.7 * x,
    }
    found = {
        name: domain_shift(
            kept, image_features(fitted, changed(new, change), device="cpu"), rng=np.random.default_rng(1)
        )
        for name, change in changes.items()
    }
    assert {name: one.kind for name, one in found.items()} == {
        "same": "none",
        "smooth": "images",
        "dim": "images",
    }
    assert any("sharpness" in one for one in found["smooth"].respects["statistic"][:2])
    assert "less" in str(found["dim"])


def test_features_of_other_weights_are_none(fitted, make_sample, quick, tmp_path):
    assert len(reference_features("xmm-xray")) == 300
    other = train(quick.changed(epochs=1), make_sample(36), run=tmp_path, device="cpu", progress=False)
    (fitted.folder / FILE).rename(fitted.folder / "own")
    (other.folder / FILE).rename(fitted.folder / FILE)
    assert reference_features(fitted.folder) is None
    (fitted.folder / "own").rename(fitted.folder / FILE)
    assert reference_features(fitted.folder) is not None
