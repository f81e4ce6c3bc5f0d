"""Names and shapes of layers, and maps against the network's own arithmetic."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from labkit.errors import InputError
from labkit.explain import filter_maps, layers
from labkit.explain.layers import default_layer, open_network, prepare, tapped, unfused
from labkit.learn.networks import CustomNetwork


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules())


def test_custom_layers_have_the_papers_numbers_and_sizes(make_model):
    table = layers(make_model("custom", image_size=356))
    rows = {row["layer"]: row for row in table}
    sizes = [rows[f"conv{i}"]["output"] for i in range(1, 7)]
    assert sizes == ["356x356x64", "178x178x32", "89x89x32", "45x45x32", "23x23x32", "12x12x32"]  # Table 3
    assert rows["pool6"]["output"] == "6x6x32"
    assert list(table["layer"][-3:]) == ["flatten", "dense", "output"]
    assert not any(table["maps"][-3:])
    assert rows["conv1"]["parameters"] == 64 * (3 * 9 + 1)


def test_layers_of_timm_have_their_module_paths(make_model):
    table = layers(make_model("mobilenet"))
    names = list(table["layer"])
    assert names[0] == "conv_stem"
    assert {"bn1", "blocks.3.0.conv_dw", "classifier"} <= set(names)
    row = table[names.index("blocks.1.0.conv_dw")]
    assert (row["type"], row["filters"], row["output"]) == ("Conv2d", 64, "8x8x64")


@pytest.mark.parametrize("bands", [("empty", "xray", "optical"), ("xray",), ("xray", "optical")])
def test_unfused_network_gives_equal_logits(bands):
    torch.manual_seed(0)
    network = CustomNetwork(2, channels=bands, image_size=45).eval()
    images = torch.rand(3, sum(band != "empty" for band in bands), 45, 45)
    with torch.no_grad():
        torch.testing.assert_close(unfused(network)(images), network(images), rtol=1e-5, atol=1e-6)
    assert {id(p) for p in unfused(network).parameters()} == {id(p) for p in network.parameters()}


def test_maps_are_the_convolutions_with_relu_before_pooling(trained, sample):
    found = filter_maps(trained, sample, layer="conv2", filters=[7, 0], batch_size=5)
    first, second = (layer.cpu() for layer in trained.network.convolutions[:2])
    images = torch.from_numpy(sample.images).float() / 255
    with torch.no_grad():
        pooled = functional.max_pool2d(
            functional.relu(functional.conv2d(images, first.weight[:, 1:], first.bias, padding=1)), 2
        )
        wanted = functional.relu(functional.conv2d(pooled, second.weight, second.bias, padding=1))
    assert found.shape == (24, 2, 16, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted[:, [7, 0]].numpy(), atol=1e-5)
    np.testing.assert_array_equal(
        filter_maps(trained, sample, layer="pool2", filters=[0])[:, 0],
        found[:, 1].reshape(24, 8, 2, 8, 2).max((2, 4)),
    )


def test_maps_stay_although_the_next_layer_works_in_place(make_model, sample):
    model = make_model("timm:resnet18", bands=("xray", "optical"))
    before, after = (filter_maps(model, sample.select([0]), layer=name) for name in ("bn1", "act1"))
    assert before.min() < 0
    np.testing.assert_array_equal(after, np.maximum(before, 0))


def test_arrays_and_samples_give_the_same(trained, sample):
    one = filter_maps(trained, sample, layer="conv4")
    np.testing.assert_array_equal(filter_maps(trained, sample.images, layer="conv4"), one)
    reversed_bands = sample.select(bands=("optical", "xray"))
    np.testing.assert_array_equal(filter_maps(trained, reversed_bands, layer="conv4"), one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "conv7"}, r"got 'conv7'; near it: \['conv6', .*layers lists them"),
        ({"layer": "dense"}, r"'dense' gives the shape \(256,\); the last that does is 'pool6'"),
        ({"filters": [3, 32]}, r"filters must lie in 0 to 31 for layer 'conv2', got \[3, 32\]"),
        ({"precision": "fp16"}, "precision must be one of .*'bf16'.*, got 'fp16'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_shown_is_said(trained, sample, options, message):
    with pytest.raises(InputError, match=message):
        filter_maps(trained, sample, **({"layer": "conv2"} | options))


def test_images_that_do_not_fit_are_refused(trained, sample):
    for images, message in (
        (sample.images / 255, r"images must be uint8 .* got float64 \(24, 2, 32, 32\); normalise"),
        (sample.images[:, :1], r"shape \(n, 2, y, x\) for the bands \('xray', 'optical'\)"),
        (sample.select(bands=("xray",)), "bands must include 'optical'"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(trained, images)


@pytest.mark.parametrize(
    ("network", "size", "name"),
    [
        ("custom", 356, "conv6"),
        ("custom", 89, "conv5"),
        ("timm:resnet18", 8, "layer4"),
        ("timm:resnet18", 96, "layer3"),
    ],
)
def test_default_layer_is_the_last_that_still_says_where(make_model, network, size, name):
    assert default_layer(open_network(make_model(network, image_size=size))) == name


def test_channels_last_networks_and_networks_without_maps_are_refused(make_model):
    class Swapped(nn.Module):
        output_fmt = "NHWC"

    class Flat(nn.Sequential):
        pass

    with pytest.raises(InputError, match=r"maps \(filter, y, x\), 'custom' orders them NHWC"):
        open_network(make_model(Swapped()))
    flat = make_model(Flat(nn.Flatten(), nn.Linear(2 * 32 * 32, 2)))
    with pytest.raises(InputError, match="network must have layers that give maps"):
        default_layer(open_network(flat))


def test_a_layer_that_computes_twice_is_no_layer_to_look_at(make_model, sample):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 2)

        def forward(self, images):
            return self.head(self.shared(self.shared(images)).mean((2, 3)))

    network = Twice()
    assert list(layers(make_model(network))["layer"]) == ["head"]
    shared, once = {"shared": network.shared}, "layer must compute once for an image, 'shared' does so more"
    with tapped(shared, lambda name, output: None), pytest.raises(InputError, match=once):
        network(torch.rand(1, 2, 8, 8))


def test_nothing_stays_in_the_network_even_after_an_error(make_model, sample):
    class Fails(nn.Module):
        fails = False

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(3, 2)

        def forward(self, images):
            features = self.conv(images)
            if self.fails:
                raise RuntimeError("broken on purpose")
            return self.head(features.mean((2, 3)))

    network = Fails()
    model = make_model(network)
    network.train()
    prepared = prepare(model, sample, device="cpu")
    network.fails = True
    _, batch = next(prepared.batches())
    for gradients in (False, True):
        with pytest.raises(RuntimeError, match="broken on purpose"):
            prepared.run(batch, ["conv"], lambda name, output: None, gradients=gradients)
    assert hooks(network) == 0
    assert network.training
    assert network.conv.training
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in network.parameters())
