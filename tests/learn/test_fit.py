"""Training learns, stops when told, and goes on where it was, to the last bit."""

from __future__ import annotations

import logging
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from labkit.errors import InputError, TrainingError
from labkit.experiment import SGD, AdamW
from labkit.learn import Model, model_folder, predict, release, train
from labkit.learn.checkpoint import read_state
from labkit.learn.device import as_input
from labkit.learn.predict import logits
from labkit.sample import Sample


class At(Callback):
    """Do something at the start of a batch of an epoch."""

    def __init__(self, epoch, action, batch=2):
        self.epoch, self.action, self.batch = epoch, action, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            self.action()


class KilledError(Exception):
    pass


def kill():
    raise KilledError


def press_stop():
    os.kill(os.getpid(), signal.SIGINT)


def keyboard():
    raise KeyboardInterrupt


def weights(fitted):
    return fitted.model.network.state_dict()


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_overfits_eight_images_and_reloads_to_equal_logits(make_sample, quick, tmp_path):
    sample = make_sample(16)
    sample.catalogue["split"] = ["train"] * 8 + ["validation"] * 8
    experiment = quick.changed(epochs=50, augmentation=None, dropout=0, optimiser=AdamW(learning_rate=3e-3))
    fitted = train(experiment, sample, run=tmp_path, device="cpu")
    assert fitted.history[-1]["train_loss"] < 0.02
    assert fitted.history[-1]["train_accuracy"] == 1
    images = torch.from_numpy(sample.images)
    again = Model.load(fitted.folder)
    assert torch.equal(logits(fitted.model, images), logits(again, images))
    assert again.experiment == experiment


def test_the_best_epoch_is_kept(sample, quick, tmp_path):
    fitted = train(quick, sample, run=tmp_path, device="cpu")
    losses = [row["validation_loss"] for row in fitted.history]
    assert [row["epoch"] for row in fitted.history] == [0, 1, 2]
    assert fitted.best_epoch == int(np.argmin(losses))
    assert not fitted.interrupted


TURNED = {
    "folds": 3,
    "validation_share": 0.25,
    "batches": "shuffled",
    "augmentation": {"kind": "right angles"},
    "plateau_monitor": "validation_loss",
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimiser": SGD(learning_rate=0.01)},
        {"precision": "bf16"},
        {"folds": 3, "soft_labels": True},
        TURNED,
    ],
    ids=["custom", "sgd", "bf16", "soft folds", "right angles"],
)
def test_a_killed_training_goes_on_bit_for_bit(sample, quick, tmp_path, settings):
    p = np.where(sample.labels == "low-z cluster", 0.8, 0.1)
    sample.catalogue["soft_cluster"], sample.catalogue["soft_non-cluster"] = p, 1 - p
    experiment = quick.changed(early_stopping_patience=5, **settings)
    whole = train(experiment, sample, run=tmp_path / "whole", device="cpu")
    with pytest.raises(KilledError):
        train(experiment, sample, run=tmp_path / "killed", device="cpu", callbacks=(At(1, kill, batch=1),))
    release()  # the images are read again
    torch.rand(100)  # whatever else the session draws does not matter
    resumed = train(experiment, sample, run=tmp_path / "killed", device="cpu")
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert equal(weights(resumed), weights(whole))
    last = [read_state(f.folder / "last.safetensors") for f in (whole, resumed)]
    assert equal(last[0]["state_dict"], last[1]["state_dict"])
    assert str(last[0]["optimizer_states"]) == str(last[1]["optimizer_states"])


def test_killed_at_the_first_and_again_at_the_last_epoch(sample, quick, tmp_path):
    whole = train(quick, sample, run=tmp_path / "whole", device="cpu")
    for epoch in (0, 2):
        with pytest.raises(KilledError):
            train(quick, sample, run=tmp_path / "killed", device="cpu", callbacks=(At(epoch, kill),))
    assert equal(weights(train(quick, sample, run=tmp_path / "killed", device="cpu")), weights(whole))


def test_seeds_differ_and_equal_seeds_agree(sample, quick, tmp_path):
    both = quick.changed(seeds=(3, 4))
    one, two = (train(both, sample, run=tmp_path / "a", device="cpu", seed=seed) for seed in (3, 4))
    again = train(quick, sample, run=tmp_path / "b", device="cpu", seed=3)
    assert equal(weights(one), weights(again))
    assert not equal(weights(one), weights(two))


def test_a_training_leaves_the_session_random_numbers_alone(sample, quick, tmp_path):
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("action", [press_stop, keyboard])
def test_stop_returns_the_best_so_far_and_the_session_goes_on(sample, quick, tmp_path, action):
    before = signal.getsignal(signal.SIGINT)
    fitted = train(quick, sample, run=tmp_path, device="cpu", callbacks=(At(2, action),))
    assert fitted.interrupted
    assert len(fitted.history) == 2
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        press_stop()
    finished = train(quick, sample, run=tmp_path, device="cpu")
    assert equal(weights(finished), weights(train(quick, sample, run=tmp_path / "whole", device="cpu")))


def test_stop_before_the_first_epoch_ends_has_no_model(sample, quick, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="'quick' was stopped before its first epoch ended"):
        train(quick, sample, run=tmp_path, device="cpu", callbacks=(At(0, press_stop),))
    assert not list(model_folder(tmp_path, quick, 3).iterdir())


def held(folder):
    """The bytes of every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("action", "error"), [(press_stop, KeyboardInterrupt), (kill, KilledError)])
@pytest.mark.parametrize("options", [{"other": "replace"}, {"resume": False}], ids=str)
def test_an_old_network_stays_whole_until_the_first_epoch_of_the_new(
    sample, quick, tmp_path, action, error, options
):
    old = train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    before = held(old.folder)
    assert sorted(before) == ["last.safetensors", "model.json", "weights.safetensors"]
    changed = quick.changed(epochs=2, dropout=0.1)
    here = {"run": tmp_path, "device": "cpu", **({"other": "replace"} | options)}
    with pytest.raises(error):
        train(changed, sample, callbacks=(At(0, action),), **here)
    assert held(old.folder) == before
    with pytest.raises(KilledError):
        train(changed, sample, callbacks=(At(1, kill, batch=0),), **here)
    assert sorted(held(old.folder)) == sorted(before)
    assert Model.load(old.folder).experiment == changed
    assert not equal(weights(old), Model.load(old.folder).network.state_dict())
    whole = train(changed, sample, run=tmp_path / "whole", device="cpu")
    assert equal(weights(train(changed, sample, run=tmp_path, device="cpu")), weights(whole))


def test_a_replacement_killed_between_two_files_is_ended_by_the_next_call(sample, quick, tmp_path):
    old = train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    new = train(quick, sample, run=tmp_path / "new", device="cpu")
    (old.folder / ".new").mkdir()
    for name in ("weights.safetensors", "last.safetensors"):
        shutil.copy(new.folder / name, old.folder / ".new" / name)
    shutil.copy(new.folder / "model.json", old.folder / "model.json")
    found = train(quick, sample, run=tmp_path, device="cpu", callbacks=(At(0, kill, batch=0),))
    assert equal(weights(found), weights(new))
    assert held(old.folder) == held(new.folder)


def test_a_finished_training_is_returned_without_work(sample, quick, tmp_path):
    first = train(quick, sample, run=tmp_path, device="cpu")
    again = train(quick, sample, run=tmp_path, device="cpu", callbacks=(At(0, kill, batch=0),))
    assert equal(weights(first), weights(again))
    assert again.history == first.history
    with pytest.raises(KilledError):
        train(quick, sample, run=tmp_path, device="cpu", callbacks=(At(0, kill, batch=0),), resume=False)


def test_another_training_in_the_folder_is_refused(sample, quick, make_sample, tmp_path):
    train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    with pytest.raises(InputError, match="holds one with another experiment; choose another run folder"):
        train(quick, sample, run=tmp_path, device="cpu")
    with pytest.raises(InputError, match="holds one with another sample"):
        train(quick.changed(epochs=1), make_sample(36, seed=2), run=tmp_path, device="cpu")


def test_another_training_can_be_replaced_but_an_equal_one_is_kept(sample, quick, tmp_path):
    first = train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu", other="replace")
    again = train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu", other="replace")
    assert equal(weights(first), weights(again))
    replaced = train(quick, sample, run=tmp_path, device="cpu", other="replace")
    assert len(replaced.history) == 3


def test_a_white_sky_trains_like_its_negative(sample, quick, tmp_path):
    white = Sample(
        255 - sample.images,
        sample.catalogue,
        bands=sample.bands,
        pixel_scale=sample.pixel_scale,
        provenance={"normalisation": {"method": "xamin", "no_emission": 255}},
    )
    still = quick.changed(augmentation=None)
    dark = train(still, sample, run=tmp_path / "dark", device="cpu")
    bright = train(still, white, run=tmp_path / "white", device="cpu")
    losses = [[row["train_loss"] for row in fitted.history] for fitted in (dark, bright)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(
        predict(dark.model, sample).score, predict(bright.model, white).score, atol=1e-4
    )


def test_early_stopping_ends_training(sample, quick, tmp_path):
    still = quick.changed(
        epochs=9,
        early_stopping_patience=2,
        monitor="validation_accuracy",
        optimiser=AdamW(learning_rate=1e-12),
    )
    fitted = train(still, sample, run=tmp_path, device="cpu")
    assert len(fitted.history) == 3
    assert fitted.best_epoch == 0
    again = train(still, sample, run=tmp_path, device="cpu", callbacks=(At(0, kill, batch=0),))
    assert len(again.history) == 3, "a training that stopped early is finished"


def test_a_loss_that_is_not_finite_is_an_error(sample, quick, tmp_path):
    wild = quick.changed(optimiser=SGD(learning_rate=1e30, minimal_learning_rate=0))
    with pytest.raises(
        TrainingError, match=r"loss must be finite, got (nan|inf) in epoch 0.*lower optimiser.learning_rate"
    ):
        train(wild, sample, run=tmp_path, device="cpu")


def test_learning_rate_follows_the_schedule(sample, quick, tmp_path):
    settings = SGD(
        learning_rate=0.01, decay=0.1, plateau_patience=1, plateau_factor=0.5, minimal_learning_rate=0
    )
    fitted = train(quick.changed(optimiser=settings), sample, run=tmp_path, device="cpu")
    best, base = -1.0, 0.01
    for number, row in enumerate(fitted.history):
        assert row["learning_rate"] == pytest.approx(base / (1 + 0.1 * 6 * (number + 1)))
        base *= 1 if row["validation_accuracy"] > best + 1e-4 else 0.5
        best = max(best, row["validation_accuracy"])


def test_no_litter_and_one_line_an_epoch(sample, quick, tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        train(quick, sample, run="run", device="cpu", progress=False)
    folder = model_folder("run", quick, 3)
    assert sorted(p.name for p in folder.iterdir()) == [
        "last.safetensors",
        "model.json",
        "weights.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith("quick, seed 3: epoch 1 of 3: learning_rate 0.001, train_loss")
    assert capsys.readouterr() == ("", "")


def test_a_person_sees_one_bar(sample, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train(quick, sample, run=tmp_path, device="cpu")
    shown = capsys.readouterr().err
    assert "quick, seed 3" in shown
    assert "3/3" in shown
    assert shown.count("\n") == 1


def test_labels_left_out_are_counted(sample, quick, tmp_path, caplog):
    sample.catalogue["label"][:2] = ["dubious", ""]
    with caplog.at_level(logging.INFO):
        train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    assert "2 train objects have a label that scheme 'binary' leaves out" in caplog.text


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"bands": ("infrared",)}, {}, r"bands must include 'infrared', got \('xray', 'optical'\); add it"),
        ({"scheme": "five-class"}, {}, r"'train' must have objects of every class .* none of \['high-z cl"),
        ({"split_column": "part"}, {}, "split 'validation' must have objects of every class"),
        ({"split_column": "fields"}, {}, "must have a column 'fields' with 'train' and 'validation'"),
        ({"label_column": "votes"}, {}, "must have a column 'votes' with labels, got .*with_labels"),
        (
            {"soft_labels": True},
            {},
            r"\['soft_non-cluster', 'soft_cluster'\] missing; join the votes",
        ),
        ({"folds": 3}, {"fold": 3}, "fold must lie in 0 to 2, got 3"),
        ({}, {"fold": 0}, "fold must be -1 for the experiment 'quick' without folds, got 0"),
        ({}, {"device": "abacus"}, "device must be 'auto', 'cpu', 'cuda' or 'cuda:<n>', got 'abacus'"),
        ({}, {"device": "meta"}, "device must be 'auto', .* got 'meta'"),
        ({}, {"device": "cuda:99"}, "device 'cuda:99' must be there, found .* GPUs; use device='cpu'"),
    ],
)
def test_what_cannot_be_trained_is_refused(sample, quick, tmp_path, changes, options, message):
    sample.catalogue["part"] = "train"
    with pytest.raises(InputError, match=message):
        train(quick.changed(**changes), sample, run=tmp_path, **options)


def test_a_grey_sky_is_zero_for_the_network():
    levels = torch.tensor([[[[0, 40, 255]]]], dtype=torch.uint8)
    assert as_input(levels, sky=40).flatten().tolist() == pytest.approx([-40 / 255, 0, 215 / 255])
    assert as_input(levels, sky=255).flatten().tolist() == pytest.approx([1, 215 / 255, 0])


def test_models_compare_the_scales_of_their_own_bands_only(sample, quick, tmp_path):
    def scaled(**scales):
        about = {"method": "fixed-asinh", "no_emission": 40, "scales": scales}
        return Sample(
            sample.images, sample.catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale,
            provenance={"normalisation": about},
        )  # fmt: skip

    experiment = quick.changed(bands=("optical",), epochs=1)
    model = train(experiment, scaled(xray=1.0, optical=2.0), run=tmp_path, progress=False).model
    assert model.sky == 40
    model.check(scaled(optical=2.0, infrared=3.0))
    with pytest.raises(InputError, match="normalisation must be the model's"):
        model.check(scaled(optical=2.5, xray=1.0))
