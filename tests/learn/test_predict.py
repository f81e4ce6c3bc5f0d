"""A model scores every object, the same however it is batched, and refuses other Samples."""

from __future__ import annotations

import json

import astropy.units as u
import numpy as np
import pytest
import torch

from labkit.errors import InputError, MissingDataError
from labkit.experiment import AdamW, Experiment
from labkit.learn import Model, predict, train
from labkit.learn.predict import logits, probabilities
from labkit.sample import Sample


@pytest.fixture(scope="module")
def fitted(make_sample, tmp_path_factory):
    experiment = Experiment(
        name="scored", image_size=32, batch_size=4, epochs=8, optimiser=AdamW(), seeds=(5,)
    )
    return train(experiment, make_sample(36), run=tmp_path_factory.mktemp("run"), device="cpu")


def other(sample, **changes):
    about = {"bands": sample.bands, "pixel_scale": sample.pixel_scale, "provenance": sample.provenance}
    images = changes.pop("images", sample.images)
    return Sample(images, sample.catalogue, **(about | changes))


def test_table_names_objects_run_and_truth(fitted, sample):
    predictions = predict(fitted.model, sample, device="cpu")
    assert predictions.classes == ("non-cluster", "cluster")
    assert predictions.table["object_id"].tolist() == sample.object_ids.tolist()
    assert set(predictions.table["seed"]) == {5}
    assert set(predictions.table["experiment"]) == {"scored"}
    assert predictions.table["split"].tolist() == sample.catalogue["split"].tolist()
    assert predictions.table["true"][:2].tolist() == ["cluster", "non-cluster"]
    validation = predictions.select(split="validation")
    accuracy = np.mean(validation.decided == validation.table["true"])
    assert accuracy == fitted.history[fitted.best_epoch]["validation_accuracy"]


def test_batch_size_does_not_matter(fitted, sample):
    one, many = (predict(fitted.model, sample, batch_size=n, device="cpu").probabilities for n in (1, 36))
    np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-6)


def test_order_of_bands_in_the_sample_does_not_matter(fitted, sample):
    turned = sample.select(bands=("optical", "xray"))
    same = [predict(fitted.model, s, device="cpu").probabilities for s in (sample, turned)]
    np.testing.assert_array_equal(*same)


def test_bf16_is_close_to_fp32(fitted, sample):
    low, full = (
        predict(fitted.model, sample, precision=p, device="cpu").probabilities for p in ("bf16", "fp32")
    )
    assert np.abs(low - full).max() < 0.03


def test_views_are_averaged_and_follow_from_the_seed(fitted, sample):
    one, two, other_seed = (
        predict(fitted.model, sample, views=3, seed=s, device="cpu").probabilities for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other_seed)
    np.testing.assert_allclose(one.sum(1), 1)


def test_objects_without_labels_or_splits_are_scored(fitted, sample):
    sample.catalogue["label"] = ""
    del sample.catalogue["split"]
    predictions = predict(fitted.model, sample, device="cpu")
    assert set(predictions.table["true"]) == {""}
    assert len(predictions) == 36


def test_no_objects_give_no_rows(fitted, sample):
    assert len(predict(fitted.model, sample.select(slice(0, 0)), device="cpu")) == 0
    none = torch.empty((0, 2, 32, 32), dtype=torch.uint8)
    assert logits(fitted.model, none).shape == (0, 2)
    assert probabilities(fitted.model, none).shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": ("xray", "infrared")}, r"bands must include 'optical', got \('xray', 'infrared'\)"),
        ({"pixel_scale": 2 * u.arcsec}, "pixel_scale must be the model's 4 arcsec, got 2 arcsec"),
        ({"provenance": {}}, "normalisation must be the model's .*'asinh'.*, got None"),
        ({"images": np.zeros((36, 2, 16, 16), np.uint8)}, r"size \(32, 32\) px, got \(16, 16\)"),
        (
            {"images": np.zeros((36, 2, 32, 32), np.float32)},
            "must hold grey levels of type uint8, got float32",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_samples_are_refused(fitted, sample, change, message):
    with pytest.raises(InputError, match=message):
        predict(fitted.model, other(sample, **change), device="cpu")


@pytest.mark.parametrize("options", [{"views": 0}, {"batch_size": 0}, {"precision": "fp8"}], ids=str)
def test_bad_options_are_refused(fitted, sample, options):
    with pytest.raises(InputError, match="must be"):
        predict(fitted.model, sample, device="cpu", **options)


def test_model_folder_says_what_it_is(fitted):
    facts = json.loads((fitted.folder / "model.json").read_text())
    assert facts["bands"] == ["xray", "optical"]
    assert facts["pixel_scale_arcsec"] == 4
    assert facts["normalisation"] == {"method": "asinh"}
    assert facts["seed"] == 5
    assert facts["classes"] == ["non-cluster", "cluster"]
    assert {"labkit", "torch", "numpy"} & set(facts["versions"])


def test_saved_model_is_the_same_model(fitted, sample, tmp_path):
    again = Model.load(fitted.model.save(tmp_path / "copy"))
    np.testing.assert_array_equal(
        *(predict(m, sample, device="cpu").probabilities for m in (fitted.model, again))
    )


def edit(folder, **changes):
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_folders_that_are_no_model_are_refused(fitted, tmp_path):
    with pytest.raises(MissingDataError, match="model must be a folder with model.json"):
        Model.load(tmp_path)
    copy = fitted.model.save(tmp_path / "copy")
    edit(copy, format="other")
    with pytest.raises(InputError, match="must have the format labkit-model-1, got 'other'"):
        Model.load(copy)
    edit(fitted.model.save(copy), classes=["a", "b"])
    with pytest.raises(InputError, match=r"classes of scheme 'binary' must be the model's \['a', 'b'\]"):
        Model.load(copy)
    larger = fitted.model.experiment.changed(image_size=128)
    edit(fitted.model.save(copy), experiment=larger.model_dump(mode="json"))
    with pytest.raises(InputError, match="weights of .* must be of its experiment's network"):
        Model.load(copy)


def test_another_normalisation_is_taken_when_it_is_accepted(fitted, make_sample, caplog):
    sample = make_sample(36)
    published = other(sample, provenance={"normalisation": {"method": "as published", "no_emission": 0}})
    with pytest.raises(InputError, match="or pass accept_normalisation=True"):
        predict(fitted.model, published)
    scores = predict(fitted.model, published, accept_normalisation=True).score
    np.testing.assert_array_equal(scores, predict(fitted.model, sample).score)
    assert "scores images normalised by" in caplog.text
    white = other(sample, provenance={"normalisation": {"method": "xamin", "no_emission": 255}})
    with pytest.raises(InputError, match="normalisation must be the model's"):
        predict(fitted.model, white, accept_normalisation=True)
