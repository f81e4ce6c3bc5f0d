"""Trained networks at work: found in a run folder, and any Sample scored with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import InputError, MissingDataError
from labkit.experiment import AdamW, Experiment
from labkit.images import normalise
from labkit.predictions import Predictions
from labkit.run import chain
from labkit.run.chain import find_models, score
from labkit.run.sweep import sweep
from labkit.runfolder import RunFolder
from labkit.sample import Sample
from labkit.simulate import simulate_survey

BOTH = Experiment(
    precision="fp32",
    name="both",
    image_size=32,
    epochs=2,
    batch_size=16,
    optimiser=AdamW(),
    dropout=0.3,
    seeds=(0, 1),
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


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(grey, tmp_path_factory) -> RunFolder:
    """A run folder with two seeds of a two-band network and one of an X-ray network."""
    folder = RunFolder(tmp_path_factory.mktemp("chain") / "run")
    assert len(sweep([BOTH, XRAY], grey, run=folder, device="cpu", progress=False)) == 3 * len(grey)
    return folder


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
    with pytest.raises(InputError, match="which cannot be repeated on raw pixels"):
        score(models, raw, device="cpu")


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
