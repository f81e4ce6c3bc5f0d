"""The VGG-like network is the paper's, layer by layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labkit.errors import InputError
from labkit.experiment import Experiment, preset
from labkit.learn import layer_rows
from labkit.learn.networks import build_network
from labkit.learn.vgg import BLOCKS, SLOPE, VggNetwork

TWELVE = tuple(f"F{n}" for n in range(12))
#: Angora et al. (2020), Table B.1: parameters of each layer that has any.
TABLE_B1 = (
    *(6976, 36928, 73856, 147584, 295168, 590080, 590080, 590080),
    *(1180160, 2359808, 2359808, 2359808, 2359808, 2359808, 2359808, 2359808),
    *(8392704, 16781312, 8194),
)


def test_parameters_and_shapes_are_those_of_table_b1():
    rows = [row for row in layer_rows(preset("VGG", bands=TWELVE)) if row["parameters"]]
    assert tuple(row["parameters"] for row in rows) == TABLE_B1
    assert sum(TABLE_B1) > 45e6
    sides = [row["input"].split("x")[0] for row in rows if row["type"] == "conv"]
    assert sides == ["64"] * 2 + ["32"] * 2 + ["16"] * 4 + ["8"] * 4 + ["4"] * 4


def test_the_plain_network_gives_the_same():
    """Leaky ReLU before pooling, one layer after the other, as the table lists them."""
    torch.manual_seed(1)
    network = VggNetwork(
        2, channels=("a", "b", "c"), image_size=16, blocks=((4, 6), (8,)), dense=(12, 10)
    ).eval()
    plain: list[nn.Module] = []
    for block in network.blocks:
        for layer in block:
            plain += [layer, nn.LeakyReLU(0.3)]
        plain.append(nn.MaxPool2d(2))
    plain.append(nn.Flatten())
    for layer in network.dense:
        plain += [layer, nn.LeakyReLU(0.3), nn.Dropout(0.5)]
    plain.append(network.output)
    images = torch.randn(5, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(images), nn.Sequential(*plain).eval()(images))


def test_both_dropouts_act_in_training_only():
    torch.manual_seed(1)
    network = VggNetwork(2, channels=("a",), image_size=8, blocks=((2,),), dense=(64, 64), dropout=0.5)
    seen = []
    network.dropout.register_forward_hook(
        lambda module, inputs, output: seen.append(float((output == 0).float().mean()))
    )
    images = torch.randn(50, 1, 8, 8)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        assert seen == pytest.approx([0.5] * 4, abs=0.05)
        network.eval()
        assert torch.equal(network(images), network(images))


def test_signals_keep_their_size_through_sixteen_layers():
    """Keras' default start would let them fade to 1 / 100; this is why He's is taken."""
    torch.manual_seed(1)
    narrow = [[n // 8 for n in block] for block in BLOCKS]
    network = VggNetwork(2, channels=TWELVE, blocks=narrow, dense=(512, 512)).eval()
    images, spread = torch.randn(4, 12, 64, 64), []
    with torch.no_grad():
        for block in network.blocks:
            for layer in block:
                images = nn.functional.leaky_relu(layer(images), SLOPE)
                spread.append(float(images.pow(2).mean().sqrt()))
            images = nn.functional.max_pool2d(images, 2)
    assert all(0.3 < value < 30 for value in spread), spread
    assert math.isclose(SLOPE, 0.3)


def test_what_it_cannot_take_is_refused():
    with pytest.raises(InputError, match="bands of a VGG-like network must all be of the Sample"):
        build_network(Experiment(name="x", network="vgg-small", image_size=64))
    with pytest.raises(InputError, match="image_size must be at least 32 px for 5 poolings, got 31"):
        build_network(preset("VGG", image_size=31))
    with pytest.raises(InputError, match="pretrained must be False for the network 'vgg', got True"):
        build_network(preset("VGG", pretrained=True))
