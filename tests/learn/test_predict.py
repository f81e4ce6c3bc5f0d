"""A model scores every object, the same however it is batched, and refuses other Samples."""

import json
import sys
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.experiment import AdamW, Experiment, preset
from labkit.images import normalise
from labkit.learn import Model, find_models, predict, train
from labkit.learn.networks import build_network
from labkit.learn.predict import logits, probabilities
from labkit.predictions import Predictions
from labkit.runfolder import RunFolder
from labkit.sample import Sample


@pytest.fixture(scope="module")
def fitted(make_sample, tmp_path_factory):
    experiment = Experiment(
        name="scored", image_size=32, batch_size=4, epochs=3, optimiser=AdamW(), seeds=(5,)
    )
    return train(experiment, make_sample(36), run=tmp_path_factory.mktemp("run"), device="cpu")


def other(sample, **changes):
    about = {"bands": sample.bands, "pixel_scale": sample.pixel_scale, "provenance": sample.provenance}
    images = changes.pop("images", sample.images)
    return Sample(images, sample.catalogue, **(about | changes))


def scores(models, sample, **options):
    return predict(models, sample, device="cpu", **options).score


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


def test_neither_batches_nor_the_order_of_bands_nor_precision_matter_much(fitted, sample):
    full, one, low = (
        scores(fitted, sample, **options)
        for options in ({"precision": "fp32"}, {"precision": "fp32", "batch_size": 1}, {"precision": "bf16"})
    )
    np.testing.assert_allclose(full, one, rtol=1e-4, atol=1e-6)
    assert np.abs(low - full).max() < 0.03
    turned = sample.select(bands=("optical", "xray"))
    np.testing.assert_array_equal(scores(fitted, turned, precision="fp32"), full)


def test_views_are_averaged_and_follow_from_the_seed(fitted, sample):
    one, two, other_seed = (
        predict(fitted.model, sample, views=3, seed=s, device="cpu").probabilities for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other_seed)
    np.testing.assert_allclose(one.sum(1), 1)


def test_objects_without_labels_or_splits_are_scored_and_no_objects_give_no_rows(fitted, sample):
    sample.catalogue["label"] = ""
    del sample.catalogue["split"]
    predictions = predict(fitted.model, sample, device="cpu")
    assert set(predictions.table["true"]) == {""}
    assert len(predictions) == 36
    assert len(predict(fitted.model, sample.select(slice(0, 0)), device="cpu")) == 0
    none = torch.empty((0, 2, 32, 32), dtype=torch.uint8)
    assert logits(fitted.model, none).shape == (0, 2)
    assert probabilities(fitted.model, none).shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"bands": ("xray", "infrared")}, {}, r"must include 'optical', got \('xray', 'infrared'\)"),
        ({"pixel_scale": 2 * u.arcsec}, {}, "pixel_scale must be the model's 4 arcsec, got 2 arcsec"),
        ({"provenance": {}}, {}, "normalisation must be the model's .*'asinh'.*, got None"),
        ({"images": np.zeros((36, 2, 16, 16), np.uint8)}, {}, r"size \(32, 32\) px, got \(16, 16\)"),
        ({"images": np.zeros((36, 2, 32, 32), np.float32)}, {}, "grey levels of type uint8, got float32"),
        ({}, {"views": 0}, "views and batch_size must be at least 1, got 0 and 32"),
        ({}, {"batch_size": 0}, "views and batch_size must be at least 1, got 1 and 0"),
        ({}, {"precision": "fp8"}, "precision must be one of .*'bf16'.*, got 'fp8'"),
    ],
)
def test_other_samples_and_bad_options_are_refused(fitted, sample, change, options, message):
    with pytest.raises(InputError, match=message):
        predict(fitted.model, other(sample, **change), device="cpu", **options)


def test_a_saved_model_says_what_it_is_and_is_the_same(fitted, sample, tmp_path):
    facts = json.loads((fitted.folder / "model.json").read_text())
    assert facts["bands"] == ["xray", "optical"]
    assert facts["pixel_scale_arcsec"] == 4
    assert facts["normalisation"] == {"method": "asinh"}
    assert (facts["seed"], facts["fold"], facts["classes"]) == (5, -1, ["non-cluster", "cluster"])
    assert {"labkit", "torch", "numpy"} & set(facts["versions"])
    again = Model.load(fitted.model.save(tmp_path / "copy"))
    np.testing.assert_array_equal(*(scores(model, sample) for model in (fitted.model, again)))
    for name in ("image_shape", "trained_on", "precision", "threads", "versions"):
        assert getattr(again, name) == getattr(fitted.model, name)


def edit(folder, **changes):
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_folders_that_are_no_model_are_refused(fitted, tmp_path):
    with pytest.raises(MissingDataError, match="model must be a folder with model.json"):
        Model.load(tmp_path)
    copy = tmp_path / "copy"
    larger = fitted.model.experiment.changed(image_size=128).model_dump(mode="json")
    for changes, message in (
        ({"format": "other"}, "must have the format labkit-model-1, got 'other'"),
        ({"classes": ["a", "b"]}, r"classes of scheme 'binary' must be the model's \['a', 'b'\]"),
        ({"experiment": larger}, "weights of .* must be of its experiment's network"),
    ):
        edit(fitted.model.save(copy), **changes)
        with pytest.raises(InputError, match=message):
            Model.load(copy)
    (copy / "model.json").write_text('{"format": "labkit-model-1"}')
    with pytest.raises(InputError, match="written by another version of labkit .it has no 'experiment'."):
        Model.load(copy)
    for text in ("{", "[1]", "\udcff"):
        (copy / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match="the model in .*copy' is damaged"):
            Model.load(copy)


def test_another_normalisation_is_taken_when_it_is_accepted(fitted, sample, make_sample, caplog):
    published = other(sample, provenance={"normalisation": {"method": "as published", "no_emission": 0}})
    with pytest.raises(InputError, match=r'or pass accept=\("normalisation",\)'):
        predict(fitted.model, published)
    accepted = scores(fitted.model, published, accept=("normalisation",))
    np.testing.assert_array_equal(accepted, scores(fitted.model, sample))
    assert "scores images normalised by" in caplog.text
    with pytest.raises(InputError, match="normalisation must be the model's"):
        predict(fitted.model, make_sample(36, white=True), accept=("normalisation",))


def test_another_telescope_is_taken_when_it_is_accepted_and_that_is_recorded(
    fitted, sample, tmp_path, caplog
):
    def seen_by(telescope):
        return other(sample, provenance=sample.provenance | {"telescope": telescope})

    model = replace(fitted.model, telescope="XMM-Newton")
    assert Model.load(model.save(tmp_path / "model")).telescope == "XMM-Newton"
    words = r"must be XMM-Newton, whose images 'scored' was trained on, got images of Chandra.*pass accept=\("
    with pytest.raises(InputError, match=words):
        predict(tmp_path / "model", seen_by("Chandra"))
    with pytest.raises(InputError, match=r"whose files name no telescope \(TELESCOP\)"):
        predict(model, seen_by(""))
    with pytest.raises(InputError, match=r"accept must be some of .* got \['shape'\]"):
        predict(model, sample, accept=("shape",))
    taken = predict(tmp_path / "model", seen_by("Chandra"), device="cpu", accept=("telescope",))
    assert "scores images of Chandra by 'scored', trained on XMM-Newton" in caplog.text
    (record,) = Predictions.load(taken.save(tmp_path / "p.parquet")).table.meta["made"]
    assert record["run"] == str(tmp_path / "model")
    assert (record["telescope"], record["trained_on"], record["accepted"]) == (
        "Chandra",
        "XMM-Newton",
        "telescope",
    )
    both = replace(fitted.model, telescope="Chandra, XMM-Newton", seed=6)
    plain = [predict(one, seen_by("XMM-Newton"), device="cpu") for one in (model, both)]
    np.testing.assert_array_equal(plain[0].score, taken.score)
    assert (
        len(Predictions.concatenate([*plain, predict(replace(both, seed=7), sample)]).table.meta["made"]) == 3
    )


def test_a_model_that_does_not_say_its_telescope_is_read(fitted, sample, tmp_path):
    fitted.model.save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    del facts["telescope"]
    (tmp_path / "model.json").write_text(json.dumps(facts))
    seen = other(sample, provenance=sample.provenance | {"telescope": "Chandra"})
    np.testing.assert_array_equal(scores(Model.load(tmp_path), seen), scores(fitted.model, sample))


def test_models_compare_the_scales_of_their_own_bands_only(sample, quick):
    def scaled(**scales):
        about = {"method": "fixed-asinh", "no_emission": 40, "scales": scales}
        return other(sample, provenance={"normalisation": about})

    experiment = quick.changed(bands=("optical",))
    model = Model.of(experiment, build_network(experiment), scaled(xray=1.0, optical=2.0), seed=0)
    assert model.sky == 40
    model.check(scaled(optical=2.0, infrared=3.0))
    with pytest.raises(InputError, match="normalisation must be the model's"):
        model.check(scaled(optical=2.5, xray=1.0))


@pytest.fixture(scope="module")
def raw() -> Sample:
    """Sixty raw objects of counts and a plate, 32 x 32 px: every other a source in the middle."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32] - 15.5
    source = 20 * np.exp(-0.5 * (x**2 + y**2) / 9) * (np.arange(60) % 2 == 0)[:, None, None]
    images = np.stack([rng.poisson(0.3 + source), rng.normal(9000, 300, (60, 32, 32))], axis=1)
    catalogue = QTable(
        {
            "object_id": [f"R{i:02d}" for i in range(60)],
            "ra": np.linspace(10, 20, 60) * u.deg,
            "dec": np.linspace(-5, 5, 60) * u.deg,
            "label": ["low-z cluster", "point source"] * 30,
            "split": ["train"] * 30 + ["validation"] * 20 + ["test"] * 10,
        }
    )
    return Sample(
        images.astype(np.float32), catalogue, bands=("xray", "optical"), pixel_scale=2.36 * u.arcsec
    )


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
    monkeypatch.setattr(sys.modules["labkit.learn.predict"], "PIECE", 25)
    of_raw = predict(trained, raw, device="cpu").table
    assert len(of_raw) == 3 * len(raw)
    assert of_raw["object_id"].tolist() == of_grey["object_id"].tolist()
    assert of_raw["experiment"][::60].tolist() == ["both", "both", "x-ray alone"]
    assert of_raw["seed"][::60].tolist() == [0, 1, 0]
    np.testing.assert_allclose(of_raw["p_cluster"], of_grey["p_cluster"], rtol=0, atol=1e-6)
    options = {"experiment": "x-ray alone"}
    monkeypatch.undo()
    turned = scores(trained, raw, views=3, **options)
    np.testing.assert_allclose(turned, scores(trained, grey, views=3, **options), atol=1e-6)
    assert not np.allclose(turned, scores(trained, raw, **options))


def test_models_lists_of_them_what_train_gave_and_run_folders_predict_alike(trained, fitted, grey, sample):
    models = find_models(trained, experiment="both")
    assert [model.seed for model in models] == [0, 1]
    wanted = scores(models, grey)
    for same in (trained, trained.path, str(trained.path), find_models(trained)):
        np.testing.assert_array_equal(scores(same, grey, experiment="both"), wanted)
    alone = scores(fitted.model, sample)
    for same in (fitted, [fitted], fitted.folder):
        np.testing.assert_array_equal(scores(same, sample), alone)


def test_a_sample_without_plates_is_predicted_by_x_rays_alone(trained, raw):
    xray = raw.select(bands=["xray"])
    alone, both = (scores(trained, one, experiment="x-ray alone") for one in (xray, raw))
    np.testing.assert_array_equal(alone, both)
    with pytest.raises(InputError, match=r"bands must include 'optical', got \('xray',\); add it"):
        predict(trained, xray, experiment="both", device="cpu")


def test_a_raw_sample_gets_the_fixed_limits_of_the_models(raw, tmp_path):
    grey = normalise(raw, method="fixed-asinh", scales={"xray": 0.5, "optical": 40.0})
    experiment = preset("VGG small", stratify_by=None, bands=("xray", "optical"), scheme="binary")
    experiment = experiment.changed(image_size=32, epochs=1, folds=3, seeds=(0,))
    fitted = train(experiment, grey, run=tmp_path, device="cpu", progress=False)
    half = raw.select(slice(0, 30))  # limits are the model's, not those of the objects at hand
    for models in (fitted, tmp_path):
        np.testing.assert_allclose(scores(models, half), scores(fitted, grey)[:30], atol=1e-6)


def test_a_normalisation_that_cannot_be_repeated_is_said(trained, raw, monkeypatch):
    models = find_models(trained, experiment="x-ray alone")
    monkeypatch.setitem(models[0].normalisation, "method", "xamin, as published")
    with pytest.raises(InputError, match="got 'xamin, as published', which cannot be repeated"):
        predict(models, raw, device="cpu")
    assert len(predict(models, raw, device="cpu", accept=("normalisation",))) == len(raw)


def test_no_models_is_missing_data_and_makes_no_folder(trained, tmp_path):
    typo = tmp_path / "typo"
    for models, options, message in (
        (typo, {}, r"run must hold models, got .*typo' with none; train them"),
        (trained, {"experiment": "MN-E"}, r"experiment 'MN-E', got .* with \['both', 'x-ray alone'\]"),
        ([], {}, "run must hold models, got the models given with none"),
    ):
        with pytest.raises(MissingDataError, match=message):
            find_models(models, **options)
    assert not typo.exists()
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
