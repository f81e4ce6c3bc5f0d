"""The optimisers take the steps of the papers' Keras presets; batches hold equal numbers of each class."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import Callback

from labkit.errors import InputError
from labkit.experiment import SGD, Adadelta, AdamW, Experiment
from labkit.learn import device as devices
from labkit.learn import train
from labkit.learn.device import _area_weights, choose_precision, has_bfloat16_units, resize_by_area
from labkit.learn.networks import build_network
from labkit.learn.resident import (
    BalancedBatches,
    OrderedBatches,
    Resident,
    ShuffledBatches,
    hold,
    read_images,
    seed_of,
)
from labkit.learn.task import KerasSchedule, build_optimiser, one_cycle


def walk(settings, steps=3, start=2.0):
    """Minimise x^2 / 2, whose gradient is x."""
    x = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimiser, schedule = build_optimiser([x], settings), KerasSchedule(settings)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        x.grad = x.detach().clone()
        optimiser.step()
    return x.item()


def test_sgd_is_keras_nesterov_with_time_decay():
    x, velocity = 2.0, 0.0
    for step in range(3):
        rate, gradient = 0.1 / (1 + 0.5 * step), x
        velocity = 0.9 * velocity + gradient
        x -= rate * (gradient + 0.9 * velocity)
    assert walk(SGD(learning_rate=0.1, decay=0.5)) == pytest.approx(x, rel=1e-12)


def test_adadelta_is_zeilers():
    x, squares, moves = 2.0, 0.0, 0.0
    for step in range(3):
        rate, gradient = 1.0 / (1 + 0.95 * step), x
        squares = 0.95 * squares + 0.05 * gradient**2
        move = gradient * ((moves + 1e-7) / (squares + 1e-7)) ** 0.5
        moves = 0.95 * moves + 0.05 * move**2
        x -= rate * move
    assert walk(Adadelta()) == pytest.approx(x, rel=1e-12)


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.steps.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing(sample, quick, tmp_path):
    rates = Rates()
    cycle = quick.changed(optimiser=AdamW(learning_rate=4e-3, schedule="one cycle"), epochs=4)
    fitted = train(cycle, sample, run=tmp_path, device="cpu", progress=False, callbacks=(rates,))
    found = np.array(rates.steps)
    top = found.argmax()
    assert (len(found), top) == (24, 5)
    assert found[top] == pytest.approx(4e-3)
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) < 0).all()
    assert 0 < found[-1] < found[0] < 4e-3 / 10
    assert fitted.history[0]["learning_rate"] == pytest.approx(4e-3, rel=0.01)


@pytest.mark.parametrize("steps", [1, 2, 4, 9, 400])
def test_one_cycle_stays_within_its_peak_however_short(steps):
    shares = [one_cycle(step, steps) for step in range(steps)]
    assert max(shares) == pytest.approx(1)
    assert min(shares) > 0
    assert one_cycle(steps, steps) == pytest.approx(0)


def test_adamw_decays_weights_apart_from_the_gradient():
    first = 2.0 * (1 - 1e-3 * 1e-2) - 1e-3
    assert walk(AdamW(), steps=1) == pytest.approx(first, rel=1e-7)


def test_time_decay_and_a_plateau_that_never_acts_at_the_values_of_table_4():
    schedule = KerasSchedule(SGD())
    for _ in range(100):
        schedule.end_epoch(0.5)
    assert schedule.rate(0) == 1e-4
    assert schedule.rate(1_000_000) == pytest.approx(5e-5), "the decay halves the rate after a million steps"
    assert schedule.rate(153_000) == pytest.approx(1e-4 / 1.153)


def test_plateau_reduces_after_its_patience_and_not_below_the_minimum():
    settings = SGD(
        learning_rate=1.0, plateau_factor=0.5, plateau_patience=2, minimal_learning_rate=0.3, decay=0
    )
    schedule = KerasSchedule(settings)
    rates = []
    for accuracy in (0.6, 0.6, 0.60005, 0.6, 0.6, 0.7, 0.7, 0.7):
        schedule.end_epoch(accuracy)
        rates.append(schedule.rate(0))
    assert rates == [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3]


def test_a_schedule_resumes_from_its_state():
    settings = SGD(learning_rate=1.0, plateau_patience=2, minimal_learning_rate=0.1)
    one, two = KerasSchedule(settings), KerasSchedule(settings)
    for accuracy in (0.5, 0.4, 0.3, 0.3):
        one.end_epoch(accuracy)
    two.load_state_dict(one.state_dict())
    for schedule in (one, two):
        schedule.end_epoch(0.2)
    assert one.state_dict() == two.state_dict()
    assert one.base_rate == pytest.approx(0.75**2)


def resident(labels):
    labels = torch.tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return Resident(images, labels)


@given(size_in=st.integers(1, 40), size_out=st.integers(1, 40))
def test_area_weights_share_every_pixel_out_equally(size_in, size_out):
    weights = _area_weights(size_in, size_out)
    torch.testing.assert_close(weights.sum(1), torch.ones(size_out))
    torch.testing.assert_close(weights.sum(0), torch.full((size_in,), size_out / size_in))


def test_halving_averages_and_doubling_repeats():
    images = torch.tensor([[[[0, 100], [50, 250]]]], dtype=torch.uint8)
    assert resize_by_area(images, 1).item() == 100
    assert torch.equal(resize_by_area(images, 4), images.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert resize_by_area(images, 2) is images


def test_images_are_resized_once_in_order_and_raw_ones_refused(sample, small_sample):
    held = hold(read_images(sample, image_size=16), np.arange(36))
    assert held.images.shape == (36, 2, 16, 16)
    assert held.images.dtype == torch.uint8
    mean = sample.images.reshape(36, 2, 16, 2, 16, 2).mean((3, 5))
    assert np.abs(held.images.numpy() - mean).max() <= 0.5
    assert held.labels.tolist() == list(range(36))
    with pytest.raises(InputError, match=r"must hold grey levels of type uint8, got float32; normalise"):
        read_images(small_sample, image_size=16)


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 12), counts=st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_batches_are_balanced_exactly(batch_size, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    batches = BalancedBatches(resident(labels.tolist()), batch_size=batch_size, seed=1)
    rows = torch.stack(batches.rows())
    assert rows.shape == (max(1, len(labels) // batch_size), batch_size)
    for batch in rows:
        found = np.bincount(labels[batch.numpy()], minlength=len(counts))
        assert found.max() - found.min() <= 1
        assert batch_size % len(counts) or found.max() == found.min()


def test_every_object_is_drawn_and_equally_often():
    labels = [0] * 90 + [1] * 10
    batches = BalancedBatches(resident(labels), batch_size=10, seed=2)
    drawn = torch.zeros(100)
    for epoch in range(300):
        batches.set_epoch(epoch)
        drawn += torch.bincount(torch.cat(batches.rows()), minlength=100)
    assert drawn.sum() == 30_000
    torch.testing.assert_close(drawn[:90], torch.full((90,), 15_000 / 90), rtol=0.3, atol=0)
    torch.testing.assert_close(drawn[90:], torch.full((10,), 1500.0), rtol=0.1, atol=0)


def test_an_epoch_follows_from_seed_and_number():
    one, two = (BalancedBatches(resident([0, 1] * 20), batch_size=4, seed=3) for _ in range(2))
    first = torch.stack(one.rows())
    one.set_epoch(1)
    two.set_epoch(1)
    assert torch.equal(torch.stack(one.rows()), torch.stack(two.rows()))
    assert not torch.equal(torch.stack(one.rows()), first)
    assert len({seed_of(s, e, u) for s in range(4) for e in range(4) for u in range(4)}) == 64


def test_batches_are_dictionaries_of_matching_rows():
    for kind in (BalancedBatches, ShuffledBatches):
        for batch in kind(resident([0, 1, 1, 0, 1]), batch_size=2, seed=0):
            assert batch["image"].dtype == torch.uint8
            assert torch.equal(
                torch.tensor([0, 1, 1, 0, 1])[batch["image"][:, 0, 0, 0].long()], batch["label"]
            )
    batches = OrderedBatches(resident(list(range(7))), batch_size=3)
    assert len(batches) == 3
    assert torch.cat([b["label"] for b in batches]).tolist() == list(range(7))


CPU = torch.device("cpu")


def chosen(precision: str, **fields) -> str:
    experiment = Experiment(name="x", **fields)
    with torch.device("meta"):
        network = build_network(experiment)
    return choose_precision(precision, network, image_size=experiment.image_size, device=CPU)


@pytest.mark.parametrize(
    ("units", "fields", "expected"),
    [
        (True, {"image_size": 64}, "bf16"),
        (True, {"network": "timm:resnet18", "image_size": 64}, "bf16"),
        (True, {"network": "timm:mobilenetv1_100", "image_size": 64}, "fp32"),
        (True, {"network": "timm:mobilenetv1_100", "image_size": 224}, "bf16"),
        (False, {"image_size": 356}, "fp32"),
    ],
    ids=str,
)
def test_auto_takes_the_faster_one(monkeypatch, units, fields, expected):
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: units)
    assert chosen("auto", **fields) == expected
    assert [chosen(one, **fields) for one in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_a_processor_that_only_emulates_bfloat16_has_no_units(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not has_bfloat16_units(CPU)


def test_a_model_tells_its_precision_and_a_resumed_training_keeps_it(sample, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: True)
    experiment = quick.changed(precision="auto", epochs=1)
    first = train(experiment, sample, run=tmp_path, device="cpu")
    assert (first.model.precision, first.model.threads) == ("bf16", torch.get_num_threads())
    assert first.model.experiment.precision == "auto"
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: False)
    assert train(experiment, sample, run=tmp_path, device="cpu").model.precision == "bf16"
    assert train(experiment, sample, run=tmp_path / "b", device="cpu").model.precision == "fp32"
