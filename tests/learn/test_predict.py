"""A model scores every object, the same however it is batched, and refuses other Samples."""

from __future__ import annotations

import json
import sys

import astropy.units as u
import numpy as np
import pytest
import torch

from labkit.errors import InputError, MissingDataError
from labkit.experiment import AdamW, Experiment, preset
from labkit.images import normalise
from labkit.learn import Model, find_models, predict, train
from labkit.learn.predict import logits, probabilities
from labkit.runfolder import RunFolder
from labkit.sample import Sample
from labkit.simulate import simulate_survey


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
    for text in ("{", "[1]", '{"format": "labkit-model-1"}', "\udcff"):
        (copy / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match="the model in .*copy' is damaged"):
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


@pytest.fixture(scope="module")
def raw() -> Sample:
    """Sixty simulated candidates of two bands, 32 x 32 px, in three splits."""
    made = simulate_survey(3, n_objects=60, size_px=32)
    assert made.shape == (60, 2, 32, 32)
    return made


@pytest.fixture(scope="module")
def grey(raw) -> Sample:
    """The same, normalised as published."""
    return normalise(raw)


BOTH = Experiment(
    name="both", image_size=32, epochs=1, batch_size=16, optimiser=AdamW(), seeds=(0, 1), precision="fp32"
)


@pytest.fixture(scope="module")
def trained(grey, tmp_path_factory) -> RunFolder:
    """A run folder with two seeds of a two-band network and one of an X-ray network."""
    folder = RunFolder(tmp_path_factory.mktemp("trained") / "run")
    for experiment, seed in ((BOTH, 0), (BOTH, 1), (BOTH.changed(name="x-ray alone", bands=("xray",)), 0)):
        train(experiment, grey, run=folder, device="cpu", seed=seed, progress=False)
    return folder


def test_a_raw_and_a_normalised_sample_are_predicted_alike(trained, raw, grey, monkeypatch):
    of_grey = predict(trained, grey, device="cpu").table
    monkeypatch.setattr(sys.modules["labkit.learn.predict"], "_PIECE", 25)
    of_raw = predict(trained, raw, device="cpu").table
    assert len(of_raw) == 3 * len(raw)
    assert of_raw["object_id"].tolist() == of_grey["object_id"].tolist()
    assert of_raw["experiment"][::60].tolist() == ["both", "both", "x-ray alone"]
    assert of_raw["seed"][::60].tolist() == [0, 1, 0]
    np.testing.assert_allclose(of_raw["p_cluster"], of_grey["p_cluster"], rtol=0, atol=1e-6)


def test_models_lists_of_them_what_train_gave_and_run_folders_predict_alike(trained, fitted, grey, sample):
    models = find_models(trained, experiment="both")
    assert [model.seed for model in models] == [0, 1]
    wanted = predict(models, grey, device="cpu").table
    assert predict(trained, grey, experiment="both", device="cpu").table["p_cluster"].tolist() == (
        wanted["p_cluster"].tolist()
    )
    for same in (trained.path, str(trained.path), find_models(trained)):
        found = predict(same, grey, experiment="both", device="cpu").table
        assert found["p_cluster"].tolist() == wanted["p_cluster"].tolist()
    alone = predict(fitted.model, sample, device="cpu").score
    for same in (fitted, [fitted], fitted.folder):
        np.testing.assert_array_equal(predict(same, sample, device="cpu").score, alone)


def test_averaged_views_are_the_same_for_a_raw_sample_too(trained, raw, grey):
    options = {"experiment": "x-ray alone", "device": "cpu"}
    turned = predict(trained, raw, views=3, **options).score
    np.testing.assert_allclose(turned, predict(trained, grey, views=3, **options).score, atol=1e-6)
    assert not np.allclose(turned, predict(trained, raw, **options).score)


def test_a_sample_without_plates_is_predicted_by_x_rays_alone(trained, raw):
    xray = raw.select(bands=["xray"])
    alone, both = (predict(trained, one, experiment="x-ray alone", device="cpu") for one in (xray, raw))
    np.testing.assert_array_equal(alone.score, both.score)
    with pytest.raises(InputError, match=r"bands must include 'optical', got \('xray',\); add it"):
        predict(trained, xray, experiment="both", device="cpu")


def test_a_raw_sample_gets_the_fixed_limits_of_the_models(raw, tmp_path):
    scales = {"xray": 0.5, "optical": 40.0}
    grey = normalise(raw, method="fixed-asinh", scales=scales)
    experiment = preset("VGG small").changed(
        bands=("xray", "optical"),
        scheme="binary",
        image_size=32,
        epochs=1,
        folds=3,
        fold_by=None,
        seeds=(0,),
    )
    fitted = train(experiment, grey, run=tmp_path, device="cpu", progress=False)
    half = raw.select(slice(0, 30))  # limits are the model's, not those of the objects at hand
    for models in (fitted, tmp_path):
        found = predict(models, half, device="cpu").score
        np.testing.assert_allclose(found, predict(fitted, grey, device="cpu").score[:30], atol=1e-6)


def test_a_normalisation_that_cannot_be_repeated_is_said(trained, raw, monkeypatch):
    models = find_models(trained, experiment="x-ray alone")
    monkeypatch.setitem(models[0].normalisation, "method", "xamin, as published")
    with pytest.raises(InputError, match="got 'xamin, as published', which cannot be repeated"):
        predict(models, raw, device="cpu")
    assert len(predict(models, raw, device="cpu", accept_normalisation=True)) == len(raw)


def test_no_models_is_missing_data_and_makes_no_folder(trained, tmp_path):
    with pytest.raises(MissingDataError, match=r"run must hold models, got .*typo' with none; train them"):
        find_models(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with pytest.raises(MissingDataError, match=r"experiment 'MN-E', got .* with \['both', 'x-ray alone'\]"):
        find_models(trained, experiment="MN-E")
    with pytest.raises(MissingDataError, match="run must hold models, got the models given with none"):
        find_models([])
    with pytest.raises(InputError, match="models must be a Model, a list of them or a run folder, got int"):
        find_models(3)
    with pytest.raises(InputError, match="models must be Models or what train gave, got str"):
        find_models(["run"])


def test_a_training_without_weights_is_passed_over(trained, tmp_path, caplog):
    folder = RunFolder(tmp_path / "run")
    for seed in (0, 1):
        source, place = (one.checkpoints / f"both-seed{seed}" for one in (trained, folder))
        place.mkdir()
        (place / "model.json").write_text((source / "model.json").read_text())
    (place / "weights.safetensors").write_bytes((source / "weights.safetensors").read_bytes())
    assert [model.seed for model in find_models(folder)] == [1]
    assert "both-seed0: its training has not ended an epoch" in caplog.text
    (place / "model.json").write_text("{")
    with pytest.raises(InputError, match=r"both-seed1/model.json' must describe a model"):
        find_models(folder)
