"""Training learns, stops when told, and resumes to the last bit."""

import csv
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
from labkit.learn import Model, loggers, model_folder, predict, release, train
from labkit.learn.checkpoint import read_state
from labkit.learn.device import as_input
from labkit.learn.predict import logits


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


def held(folder):
    """The bytes of every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


FILES = ["last.safetensors", "model.json", "reference.parquet", "weights.safetensors"]


@pytest.fixture(scope="module")
def whole(quick, make_sample, tmp_path_factory):
    """The training of `quick` on 36 blobs, never interrupted."""
    return train(quick, make_sample(36), run=tmp_path_factory.mktemp("whole"), device="cpu")


@pytest.fixture
def here(sample, tmp_path):
    """Train on the sample, in a folder of the test."""

    def run(experiment, *, action=None, at=0, batch=2, sample=sample, run=tmp_path, **options):
        callbacks = (At(at, action, batch),) if action else ()
        return train(experiment, sample, run=run, device="cpu", callbacks=callbacks, **options)

    return run


def test_overfits_eight_images_and_reloads_to_equal_logits(make_sample, quick, here):
    sample = make_sample(16)
    sample.catalogue["split"] = ["train"] * 8 + ["validation"] * 8
    experiment = quick.changed(epochs=50, augmentation=None, dropout=0, optimiser=AdamW(learning_rate=3e-3))
    fitted = here(experiment, sample=sample)
    assert fitted.history[-1]["train_loss"] < 0.02
    assert fitted.history[-1]["train_accuracy"] == 1
    images = torch.from_numpy(sample.images)
    again = Model.load(fitted.folder)
    assert torch.equal(logits(fitted.model, images), logits(again, images))
    assert again.experiment == experiment


def test_the_best_epoch_is_kept_with_one_log_line_an_epoch_and_no_litter(
    quick, here, whole, same_weights, tmp_path, monkeypatch, caplog, capsys
):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    with caplog.at_level(logging.INFO):
        fitted = here(quick, run="run", progress=False)
    assert torch.equal(torch.rand(3), expected), "the session's random numbers are left alone"
    assert [row["epoch"] for row in fitted.history] == [0, 1, 2]
    assert fitted.best_epoch == int(np.argmin([row["validation_loss"] for row in fitted.history]))
    assert not fitted.interrupted
    assert same_weights(fitted, whole)
    assert sorted(held(model_folder("run", quick, 3))) == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith("quick, seed 3: epoch 1 of 3: learning_rate 0.001, train_loss")
    assert capsys.readouterr() == ("", "")


def test_a_person_sees_one_bar(quick, here, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    here(quick)
    shown = capsys.readouterr().err
    assert "quick, seed 3" in shown
    assert "3/3" in shown
    assert shown.count("\n") == 1


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
        {"optimiser": AdamW(schedule="one cycle")},
        {"precision": "bf16"},
        {"folds": 3, "soft_labels": True},
        TURNED,
    ],
    ids=["custom", "sgd", "one cycle", "bf16", "soft folds", "right angles"],
)
def test_a_killed_training_resumes_bit_for_bit(sample, quick, here, same_weights, tmp_path, settings):
    p = np.where(sample.labels == "low-z cluster", 0.8, 0.1)
    sample.catalogue["soft_cluster"], sample.catalogue["soft_non-cluster"] = p, 1 - p
    experiment = quick.changed(early_stopping_patience=5, **settings)
    unbroken = here(experiment, run=tmp_path / "whole")
    with pytest.raises(KilledError):
        here(experiment, action=kill, at=1, batch=1)
    release()  # the images are read again
    torch.rand(100)  # whatever else the session draws does not matter
    resumed = here(experiment)
    assert resumed.history == unbroken.history
    assert resumed.best_epoch == unbroken.best_epoch
    assert same_weights(resumed, unbroken)
    last = [read_state(f.folder / "last.safetensors") for f in (unbroken, resumed)]
    assert same_weights(last[0]["state_dict"], last[1]["state_dict"])
    assert str(last[0]["optimizer_states"]) == str(last[1]["optimizer_states"])


def test_killed_at_the_first_and_again_at_the_last_epoch(quick, here, whole, same_weights):
    for epoch in (0, 2):
        with pytest.raises(KilledError):
            here(quick, action=kill, at=epoch)
    assert same_weights(here(quick), whole)


def test_seeds_differ_and_equal_seeds_agree(quick, here, whole, same_weights):
    both = quick.changed(seeds=(3, 4))
    assert same_weights(here(both, seed=3), whole)
    assert not same_weights(here(both, seed=4), whole)


@pytest.mark.parametrize("action", [press_stop, keyboard])
def test_stop_returns_the_best_so_far_and_the_session_goes_on(quick, here, whole, same_weights, action):
    before = signal.getsignal(signal.SIGINT)
    fitted = here(quick, action=action, at=2)
    assert fitted.interrupted
    assert len(fitted.history) == 2
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        press_stop()
    assert same_weights(here(quick), whole)


def test_stop_before_the_first_epoch_ends_has_no_model(quick, here, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="'quick' was stopped before its first epoch ended"):
        here(quick, action=press_stop)
    assert not list(model_folder(tmp_path, quick, 3).iterdir())


@pytest.mark.parametrize(("action", "error"), [(press_stop, KeyboardInterrupt), (kill, KilledError)])
@pytest.mark.parametrize("options", [{"other": "replace"}, {"resume": False}], ids=str)
def test_an_old_network_stays_whole_until_the_first_epoch_of_the_new(
    quick, here, same_weights, tmp_path, action, error, options
):
    old = here(quick.changed(epochs=1))
    before = held(old.folder)
    assert sorted(before) == FILES
    changed = quick.changed(epochs=2, dropout=0.1)
    options = {"other": "replace"} | options
    with pytest.raises(error):
        here(changed, action=action, **options)
    assert held(old.folder) == before
    with pytest.raises(KilledError):
        here(changed, action=kill, at=1, batch=0, **options)
    assert sorted(held(old.folder)) == FILES
    new = Model.load(old.folder)
    assert new.experiment == changed
    assert not same_weights(old.model, new)
    assert same_weights(here(changed), here(changed, run=tmp_path / "whole"))


def test_a_replacement_killed_between_two_files_is_ended_by_the_next_call(quick, here, whole, same_weights):
    old = here(quick.changed(epochs=1))
    (old.folder / ".new").mkdir()
    for name in ("weights.safetensors", "last.safetensors"):
        shutil.copy(whole.folder / name, old.folder / ".new" / name)
    shutil.copy(whole.folder / "model.json", old.folder / "model.json")
    found = here(quick, action=kill, batch=0)
    assert same_weights(found, whole)
    assert held(old.folder) == held(whole.folder)


def test_a_finished_training_is_returned_without_work_and_another_refused_or_replaced(
    quick, here, make_sample, same_weights
):
    first = here(quick.changed(epochs=1), other="replace")
    again = here(quick.changed(epochs=1), action=kill, batch=0, other="replace")
    assert same_weights(first, again)
    assert again.history == first.history
    with pytest.raises(InputError, match="holds one with another experiment; choose another run folder"):
        here(quick)
    with pytest.raises(InputError, match="holds one with another sample"):
        here(quick.changed(epochs=1), sample=make_sample(36, seed=2))
    with pytest.raises(KilledError):
        here(quick.changed(epochs=1), action=kill, batch=0, resume=False)
    assert len(here(quick, other="replace").history) == 3


def test_a_white_sky_trains_like_its_negative(make_sample, quick, here, tmp_path):
    black = make_sample(36)
    white = make_sample(36, white=True)
    still = quick.changed(augmentation=None)
    dark, bright = here(still, sample=black), here(still, sample=white, run=tmp_path / "white")
    losses = [[row["train_loss"] for row in fitted.history] for fitted in (dark, bright)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(predict(dark, black).score, predict(bright, white).score, atol=1e-4)


def test_early_stopping_ends_training(quick, here):
    still = quick.changed(
        epochs=9,
        early_stopping_patience=2,
        monitor="validation_accuracy",
        optimiser=AdamW(learning_rate=1e-12),
    )
    fitted = here(still)
    assert len(fitted.history) == 3
    assert fitted.best_epoch == 0
    assert len(here(still, action=kill, batch=0).history) == 3, "one that stopped early is finished"


@pytest.mark.parametrize("part", ["validation", "train"])
def test_it_is_validated_on_the_images_of_either_part_as_they_are(sample, quick, here, part):
    fitted = here(quick.changed(epochs=1, validated_on=part, augmentation={"corners": "black"}))
    rows = np.flatnonzero(sample.catalogue["split"] == part)
    seen = logits(fitted.model, torch.from_numpy(sample.images[rows]))
    truth = fitted.model.experiment.class_scheme.encode(sample.catalogue["label"][rows])
    loss = torch.nn.functional.cross_entropy(seen, torch.from_numpy(truth).long())
    assert fitted.history[0]["validation_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_a_loss_that_is_not_finite_is_an_error(quick, here):
    wild = quick.changed(optimiser=SGD(learning_rate=1e30, minimal_learning_rate=0))
    with pytest.raises(
        TrainingError, match=r"loss must be finite, got (nan|inf) in epoch 0.*lower optimiser.learning_rate"
    ):
        here(wild)


def test_learning_rate_follows_the_schedule(quick, here):
    settings = SGD(
        learning_rate=0.01, decay=0.1, plateau_patience=1, plateau_factor=0.5, minimal_learning_rate=0
    )
    best, base = -1.0, 0.01
    for number, row in enumerate(here(quick.changed(optimiser=settings)).history):
        assert row["learning_rate"] == pytest.approx(base / (1 + 0.1 * 6 * (number + 1)))
        base *= 1 if row["validation_accuracy"] > best + 1e-4 else 0.5
        best = max(best, row["validation_accuracy"])


def test_labels_left_out_are_counted(sample, quick, here, caplog):
    sample.catalogue["label"][:2] = ["dubious", ""]
    with caplog.at_level(logging.INFO):
        here(quick.changed(epochs=1))
    assert "2 train objects have a label that scheme 'binary' leaves out" in caplog.text


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"bands": ("infrared",)}, {}, r"bands must include 'infrared', got \('xray', 'optical'\); add it"),
        ({"scheme": "five-class"}, {}, r"'train' must have objects of every class .* none of \['high-z cl"),
        ({"split_column": "part"}, {}, "column 'part' must name objects for 'validation', got none; mend it"),
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


def test_each_epoch_is_logged_and_a_missing_package_is_said_first(quick, make_sample, tmp_path, monkeypatch):
    sample = make_sample(36)
    fitted = train(quick, sample, run=tmp_path, progress=False, logger="csv")
    with (tmp_path / "logs" / fitted.folder.name / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    noted = [float(row["validation_loss"]) for row in rows]
    assert noted == pytest.approx([row["validation_loss"] for row in fitted.history])
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="logger='mlflow' needs the package 'mlflow'.*pip install mlflow"):
        train(quick, sample, run=tmp_path / "other", logger="mlflow")
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="logger must be one of .*, got 'wandb'"):
        train(quick, sample, run=tmp_path / "other", logger="wandb")
