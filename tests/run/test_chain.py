"""The chain as verbs: a set of trainings, kept and replaced, and any Sample scored with them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from labkit.errors import InputError, MissingDataError, TrainingError
from labkit.experiment import AdamW, Experiment
from labkit.images import normalise
from labkit.predictions import Predictions
from labkit.run import chain
from labkit.run.chain import find_models, score, train_all
from labkit.runfolder import RunFolder
from labkit.sample import Sample
from labkit.simulate import simulate_survey

BOTH = Experiment(
    name="both", image_size=32, epochs=2, batch_size=16, optimiser=AdamW(), dropout=0.3, seeds=(0, 1)
)
XRAY = BOTH.changed(name="x-ray alone", bands=("xray",), seeds=(0,))


@pytest.fixture(scope="module")
def raw() -> Sample:
    """Sixty simulated candidates of two bands, 32 x 32 px, in three splits."""
    made = simulate_survey(3, n_objects=60, size_px=32)
    assert made.shape == (60, 2, 32, 32)
    assert set(made.catalogue["split"]) == {"train", "validation", "test"}
    return made


@pytest.fixture(scope="module")
def grey(raw) -> Sample:
    """The same, normalised as published."""
    return normalise(raw)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors are quickest on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(grey, tmp_path_factory) -> RunFolder:
    """A run folder with two seeds of a two-band network and one of an X-ray network."""
    folder = RunFolder(tmp_path_factory.mktemp("chain") / "run")
    done = train_all([BOTH, XRAY], grey, run=folder, device="cpu", progress=False)
    assert [fitted.interrupted for fitted in done] == [False] * 3
    return folder


def changes(folder: RunFolder) -> dict[str, int]:
    """When each network's weights were written."""
    return {
        file.parent.name: file.stat().st_mtime_ns for file in folder.checkpoints.glob("*/weights.safetensors")
    }


def runs_of(folder: RunFolder) -> list[tuple[str, int]]:
    return [(run.experiment, run.seed) for run, _ in Predictions.load(folder.predictions).runs()]


def stop_in(name: str, monkeypatch) -> None:
    """Press the stop button when the training of an experiment begins."""
    train = chain.train

    def stopped(experiment, sample, **options):
        if experiment.name == name:
            raise TrainingError("training was stopped before its first epoch ended")
        return train(experiment, sample, **options)

    monkeypatch.setattr(chain, "train", stopped)


class Press(Callback):
    """Press the stop button when the first epoch has ended."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_predictions_hold_every_object_of_every_run(trained, grey):
    predictions = Predictions.load(trained.predictions)
    parts = dict(predictions.runs())
    assert [(run.experiment, run.seed) for run in parts] == [("both", 0), ("both", 1), ("x-ray alone", 0)]
    for part in parts.values():
        assert part.table["object_id"].tolist() == grey.object_ids.tolist()
        assert part.table["split"].tolist() == grey.catalogue["split"].tolist()


def test_the_manifest_says_what_was_made_from_what(trained, grey):
    manifest = trained.manifest
    assert manifest["inputs"] == {"sample": grey.content_hash}
    assert manifest["seeds"] == {"both": [0, 1], "x-ray alone": [0]}
    assert "torch" in manifest["versions"]
    kept = {file.name: Experiment.load(file) for file in trained.experiments.iterdir()}
    assert kept == {"both.json": BOTH, "x-ray alone.json": XRAY}


def test_the_same_call_trains_nothing_again(trained, grey):
    before, table = changes(trained), Predictions.load(trained.predictions).table
    assert len(before) == 3
    train_all([BOTH, XRAY], grey, run=trained, device="cpu", progress=False)
    assert changes(trained) == before
    np.testing.assert_array_equal(
        Predictions.load(trained.predictions).table["p_cluster"], table["p_cluster"]
    )


def test_changed_settings_replace_a_training_and_leave_the_others(grey, tmp_path):
    folder = RunFolder(tmp_path / "run")
    one = BOTH.changed(seeds=(0,), epochs=1)
    train_all([one, XRAY.changed(epochs=1)], grey, run=folder, device="cpu", progress=False)
    before = changes(folder)
    slower = one.changed(optimiser=AdamW(learning_rate=1e-5))
    train_all([slower, XRAY.changed(epochs=1)], grey, run=folder, device="cpu", progress=False)
    after = changes(folder)
    assert [name for name in before if before[name] != after[name]] == ["both-seed0"]
    assert find_models(folder, experiment="both")[0].experiment == slower
    assert runs_of(folder) == [("both", 0), ("x-ray alone", 0)]


def test_a_stop_leaves_the_predictions_of_what_is_done(grey, tmp_path, monkeypatch):
    stop_in("x-ray alone", monkeypatch)
    folder = RunFolder(tmp_path / "run")
    one = BOTH.changed(seeds=(0,), epochs=1)
    with pytest.raises(TrainingError, match="stopped before its first epoch ended"):
        train_all([one, XRAY], grey, run=folder, device="cpu", progress=False)
    assert runs_of(folder) == [("both", 0)]
    monkeypatch.undo()
    train_all([one, XRAY.changed(epochs=1)], grey, run=folder, device="cpu", progress=False)
    assert runs_of(folder) == [("both", 0), ("x-ray alone", 0)]


def test_the_stop_button_ends_the_set_with_the_best_model_so_far(grey, tmp_path, monkeypatch):
    train = chain.train

    def pressed(experiment, sample, **options):
        return train(experiment, sample, callbacks=(Press(),), **options)

    monkeypatch.setattr(chain, "train", pressed)
    folder = RunFolder(tmp_path / "run")
    done = train_all([BOTH, XRAY], grey, run=folder, device="cpu", progress=False)
    assert [fitted.interrupted for fitted in done] == [True]
    assert runs_of(folder) == [("both", 0)]
    assert folder.manifest["seeds"] == {"both": [0]}


def test_a_raw_and_a_normalised_sample_score_alike(trained, raw, grey, monkeypatch):
    monkeypatch.setattr(chain, "_PIECE", 25)
    models = find_models(trained)
    of_raw = score(models, raw, device="cpu").table
    of_grey = score(models, grey, device="cpu").table
    assert len(of_raw) == 3 * len(raw)
    assert of_raw["object_id"].tolist() == of_grey["object_id"].tolist()
    np.testing.assert_allclose(of_raw["p_cluster"], of_grey["p_cluster"], rtol=0, atol=1e-6)
    table = Predictions.load(trained.predictions).table
    np.testing.assert_allclose(of_grey["p_cluster"], table["p_cluster"], rtol=0, atol=1e-5)


def test_averaged_views_are_the_same_for_a_raw_sample_too(trained, raw, grey):
    models = find_models(trained, experiment="x-ray alone")
    of_raw = score(models, raw, device="cpu", views=3).table["p_cluster"]
    np.testing.assert_allclose(
        of_raw, score(models, grey, device="cpu", views=3).table["p_cluster"], atol=1e-6
    )
    assert not np.allclose(of_raw, score(models, raw, device="cpu").table["p_cluster"])


def test_a_sample_without_plates_is_scored_by_x_rays_alone(trained, raw):
    xray = raw.select(bands=["xray"])
    alone = score(find_models(trained, experiment="x-ray alone"), xray, device="cpu")
    both = score(find_models(trained, experiment="x-ray alone"), raw, device="cpu")
    np.testing.assert_array_equal(alone.score, both.score)
    with pytest.raises(InputError, match=r"bands must include 'optical', got \('xray',\); add it"):
        score(find_models(trained, experiment="both"), xray, device="cpu")


def test_a_normalisation_that_labkit_cannot_repeat_is_said(trained, raw, monkeypatch):
    models = find_models(trained, experiment="x-ray alone")
    monkeypatch.setitem(models[0].normalisation, "method", "xamin, as published")
    with pytest.raises(InputError, match="cannot be normalised as the model's was"):
        score(models, raw, device="cpu")


def test_a_band_that_is_missing_is_told_before_anything_is_trained(grey, tmp_path):
    infrared = XRAY.changed(name="infrared", bands=("infrared",))
    with pytest.raises(InputError, match="bands must include 'infrared'"):
        train_all([BOTH, infrared], grey, run=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("experiments", [[], [BOTH, BOTH]])
def test_names_of_experiments_must_differ(experiments, grey, tmp_path):
    with pytest.raises(InputError, match="experiments must be one or more with different names"):
        train_all(experiments, grey, run=tmp_path / "run")


def test_no_models_is_missing_data_and_makes_no_folder(trained, tmp_path):
    with pytest.raises(MissingDataError, match=r"run must hold models, got .*typo' with none; train them"):
        find_models(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with pytest.raises(MissingDataError, match=r"experiment 'MN-E', got .* with \['both', 'x-ray alone'\]"):
        find_models(trained, experiment="MN-E")


def test_a_training_without_weights_is_passed_over(trained, tmp_path, caplog):
    folder = RunFolder(tmp_path / "run")
    for name in ("both-seed0", "both-seed1"):
        (folder.checkpoints / name).mkdir()
        source = trained.checkpoints / name
        (folder.checkpoints / name / "model.json").write_text((source / "model.json").read_text())
    weights = Path("checkpoints", "both-seed1", "weights.safetensors")
    (folder.path / weights).write_bytes((trained.path / weights).read_bytes())
    assert [model.seed for model in find_models(folder)] == [1]
    assert "both-seed0: its training has not ended an epoch" in caplog.text
