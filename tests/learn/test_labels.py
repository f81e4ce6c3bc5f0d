"""Training on other columns than the experts', and on fractions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn
from torch.nn import functional

from labkit.errors import InputError
from labkit.learn import predict, train
from labkit.learn.checkpoint import read_about
from labkit.learn.resident import BalancedBatches, OrderedBatches, hold
from labkit.learn.splits import split_for_training
from labkit.learn.task import ClassificationTask


@pytest.fixture
def voted(sample):
    """The sample with volunteers' columns: the first two objects are not theirs, the next two they swap."""
    labels = np.where(sample.labels == "low-z cluster", "cluster", "non-cluster").astype("U11")
    labels[2], labels[3] = labels[3], labels[2]
    sample.catalogue["volunteer_label"] = MaskedColumn(labels, mask=np.arange(36) < 2)
    sample.catalogue["volunteer_split"] = np.where(np.arange(36) % 3 < 2, "train", "validation")
    p = np.where(labels == "cluster", 0.9, 0.2)
    sample.catalogue["soft_cluster"], sample.catalogue["soft_non-cluster"] = p, 1 - p
    return sample


@pytest.fixture
def crowd(quick):
    return quick.changed(label_column="volunteer_label", split_column="volunteer_split", epochs=1)


def test_labels_and_splits_come_from_the_columns_named(voted, crowd):
    parts = split_for_training(crowd, voted)
    assert parts["train"].rows.tolist() == [i for i in range(2, 36) if i % 3 < 2]
    assert parts["train"].codes[:3].tolist() == [1, 1, 1], "row 3 is a cluster to volunteers only"
    assert parts["validation"].rows.tolist() == list(range(2, 36, 3))


def test_predictions_are_measured_against_the_experts(voted, crowd, tmp_path):
    fitted = train(crowd, voted, run=tmp_path, device="cpu")
    predictions = predict(fitted.model, voted, device="cpu")
    assert predictions.table["true"][:4].tolist() == ["cluster", "non-cluster"] * 2
    assert predictions.table["split"].tolist() == voted.catalogue["volunteer_split"].tolist()


def test_other_labels_are_another_training(voted, crowd, tmp_path):
    fitted = train(crowd, voted, run=tmp_path, device="cpu")
    identity = read_about(fitted.folder / "last.safetensors")["identity"]
    assert (identity["fold"], identity["labels"]) == (-1, fitted.model.trained_on)
    voted.catalogue["volunteer_label"][[4, 5]] = ["non-cluster", "cluster"]
    with pytest.raises(InputError, match="holds one with another labels; choose another run folder"):
        train(crowd, voted, run=tmp_path, device="cpu")
    again = train(crowd, voted, run=tmp_path, device="cpu", other="replace")
    assert again.model.trained_on != fitted.model.trained_on


def test_missing_columns_are_named(sample, crowd, quick):
    with pytest.raises(
        InputError, match="must have a column 'volunteer_label' with labels, got .*with_labels"
    ):
        split_for_training(crowd, sample)
    with pytest.raises(InputError, match="must have a column 'fields' with 'train' and 'validation'"):
        split_for_training(quick.changed(split_column="fields"), sample)
    with pytest.raises(InputError, match=r"\['soft_non-cluster', 'soft_cluster'\] missing; join the votes"):
        split_for_training(quick.changed(soft_labels=True), sample)


@pytest.mark.parametrize("value", [np.nan, -0.2, 0.5])
def test_fractions_must_be_fractions(voted, crowd, value):
    soft = crowd.changed(soft_labels=True)
    voted.catalogue["soft_cluster"][0] = np.nan  # takes no part
    split_for_training(soft, voted)
    voted.catalogue["soft_cluster"][[3, 4]] = value
    with pytest.raises(InputError, match="got 2 objects where they are not, first 'B003': .*or empty 'volun"):
        split_for_training(soft, voted)


def test_soft_loss_is_the_cross_entropy_with_the_fractions(voted, crowd):
    part = split_for_training(crowd.changed(soft_labels=True), voted)["train"]
    held = hold(torch.from_numpy(voted.images[part.rows]), part.codes, soft=part.soft)
    task = ClassificationTask(crowd, seed=1)
    batch = next(iter(OrderedBatches(held, batch_size=8)))
    assert torch.equal(batch["soft"].argmax(1), batch["label"])
    task.network.eval()
    task.validation_step(batch, 0)
    logs = functional.log_softmax(task(batch["image"]), 1)
    expected = -(batch["soft"] * logs).sum(1).mean()
    assert task._means("validation")["validation_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_certain_fractions_train_like_hard_labels(voted, crowd, tmp_path):
    p = (voted.catalogue["volunteer_label"] == "cluster").astype(float)
    voted.catalogue["soft_cluster"], voted.catalogue["soft_non-cluster"] = p, 1 - p
    hard = train(crowd, voted, run=tmp_path / "hard", device="cpu")
    soft = train(crowd.changed(soft_labels=True), voted, run=tmp_path / "soft", device="cpu")
    assert soft.history[0]["train_loss"] == pytest.approx(hard.history[0]["train_loss"], rel=1e-4)


def test_rows_choose_among_the_held_images(sample):
    held = hold(torch.from_numpy(sample.images), np.arange(36) % 2)
    rows = torch.tensor([1, 2, 5, 8, 11, 14])
    drawn = BalancedBatches(held, batch_size=4, seed=0, rows=rows)
    assert len(drawn) == 1
    for epoch in range(9):
        drawn.set_epoch(epoch)
        assert set(torch.cat(drawn.rows()).tolist()) <= set(rows.tolist())
        assert (torch.cat(drawn.rows()) % 2).sum() == 2
    found = torch.cat([batch["image"] for batch in OrderedBatches(held, batch_size=4, rows=rows)])
    assert torch.equal(found, torch.from_numpy(sample.images[rows.numpy()]))
