"""What is computed in: the faster precision of the processor at hand, and which it was."""

from __future__ import annotations

import pytest
import torch

from labkit.experiment import Experiment
from labkit.learn import device as devices
from labkit.learn import train
from labkit.learn.device import choose_precision, has_bfloat16_units
from labkit.learn.networks import build_network

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
