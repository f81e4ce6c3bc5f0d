"""The networks have the papers' layers, and their short cuts change nothing."""

import importlib
import sys

import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torch.nn import functional

from labkit.errors import InputError, MissingDataError
from labkit.experiment import Experiment, preset
from labkit.learn import layer_rows
from labkit.learn.device import convolve_and_pool
from labkit.learn.networks import (
    VGG_BLOCKS,
    VGG_SLOPE,
    CustomNetwork,
    FillEmpty,
    PyramidNetwork,
    VggNetwork,
    build_network,
    load_pretrained,
    timm_network,
)

THREE = ("empty", "xray", "optical")


def textbook(network, images):
    """Table 3 as printed: every channel, ReLU before pooling."""
    shapes = [tuple(images.shape[1:])]
    for layer in network.convolutions:
        images = functional.relu(functional.conv2d(images, layer.weight, layer.bias, padding=1))
        shapes.append(tuple(images.shape[1:]))
        images = functional.max_pool2d(images, 2, 2, ceil_mode=True)
        shapes.append(tuple(images.shape[1:]))
    features = functional.relu(network.dense(images.flatten(1)))
    return network.output(network.dropout(features)), shapes


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_custom_network_has_the_parameters_and_shapes_of_table_3():
    network = build_network(Experiment(name="CN-E", bands=THREE)).eval()
    assert parameters(network) == 352_930
    assert [parameters(layer) for layer in network.convolutions] == [1792, 18464, 9248, 9248, 9248, 9248]
    assert network.dense.weight.shape == (256, 1152)
    assert parameters(network.output) == 256 * 2 + 2
    with torch.no_grad():
        _, shapes = textbook(network, torch.zeros(1, 3, 356, 356))
    expected = [(3, 356, 356)]
    for side, filters in zip((356, 178, 89, 45, 23, 12), (64, 32, 32, 32, 32, 32), strict=True):
        expected += [(filters, side, side), (filters, -(-side // 2), -(-side // 2))]
    assert shapes == expected


@pytest.mark.parametrize("size", [33, 48, 90])
def test_pooling_first_and_leaving_out_the_empty_channel_change_nothing(size):
    torch.manual_seed(0)
    network = CustomNetwork(5, channels=THREE, image_size=size).eval()
    images = torch.rand(3, 2, size, size)
    full = torch.cat([torch.zeros(3, 1, size, size), images], 1)
    expected, _ = textbook(network, full)
    got = network(images)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    grads = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
    got.square().sum().backward()
    for parameter, grad in zip(network.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)
    assert not network.convolutions[0].weight.grad[:, 0].any()


def test_weights_start_as_in_keras():
    torch.manual_seed(1)
    network = CustomNetwork(2)
    for layer in (*network.convolutions, network.dense, network.output):
        field = layer.weight[0, 0].numel() if layer.weight.ndim == 4 else 1
        limit = (6 / (field * sum(layer.weight.shape[:2]))) ** 0.5
        assert 0.9 * limit < layer.weight.abs().max() <= limit
        assert not layer.bias.any()


def test_dropout_acts_in_training_only():
    network = CustomNetwork(2, image_size=32, dropout=0.65)
    images = torch.rand(1, 3, 32, 32)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_bf16_is_close_to_fp32():
    torch.manual_seed(2)
    network = CustomNetwork(2, image_size=48).eval()
    images = torch.rand(4, 3, 48, 48)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(images).float()
    full = network(images)
    assert (low - full).abs().max() < 0.03 * full.abs().max() + 0.01


def test_fill_empty_puts_bands_into_their_channels():
    images = torch.rand(2, 2, 4, 4)
    full = FillEmpty(("xray", "empty", "optical"))(images)
    assert torch.equal(full[:, [0, 2]], images)
    assert not full[:, 1].any()
    assert FillEmpty(("xray", "optical"))(images) is images


@pytest.fixture(scope="module")
def published():
    """A MobileNet as published: three channels, many classes."""
    torch.manual_seed(3)
    return timm.create_model("mobilenetv1_100", in_chans=3, num_classes=7)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_mobilenet_takes_weights_from_a_file(published, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {name: value.contiguous() for name, value in published.state_dict().items()}
    safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = timm_network("mobilenetv1_100", 5, channels=("xray", "optical"), dropout=0.65, pretrained=path)
    assert network[1].drop_rate == 0.65
    assert network.eval()(torch.rand(2, 2, 64, 64)).shape == (2, 5)
    deep = "blocks.4.0.conv_dw.weight"
    assert torch.equal(network[1].state_dict()[deep], published.state_dict()[deep])
    assert network[1].state_dict()["conv_stem.weight"].shape[1] == 2


def test_mobilenet_of_the_experiment_fills_the_empty_channel():
    network = build_network(Experiment(name="MN", network="mobilenet", scheme="five-class", bands=THREE))
    assert network.eval()(torch.rand(1, 2, 64, 64)).shape == (1, 5)
    assert network[1].conv_stem.weight.shape[1] == 3


def test_files_that_are_not_weights_of_the_network_are_refused(published, tmp_path):
    with pytest.raises(MissingDataError, match="pretrained must be an existing file"):
        load_pretrained(published, tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"pretrained must be a file of tensors, .*text.pth"):
        load_pretrained(published, tmp_path / "text.pth")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="must hold weights of this network"):
        load_pretrained(published, tmp_path / "other.safetensors")
    two = published.state_dict()
    first = f"{published.pretrained_cfg['first_conv']}.weight"
    two[first] = two[first][:, :2].clone()
    safetensors.torch.save_file(two, tmp_path / "two.safetensors")
    with pytest.raises(InputError, match="two.safetensors' must hold weights of this network"):
        load_pretrained(published, tmp_path / "two.safetensors")


def test_offline_hub_says_what_to_do(monkeypatch):
    def offline(*args, **options):
        raise OSError("no route")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(MissingDataError, match="connect to the network, or download them elsewhere"):
        timm_network("mobilenetv1_100", 2, channels=THREE, pretrained=True)


def test_one_channel_with_summed_weights_is_the_image_three_times(tmp_path):
    """Su et al. (2020) replicate their images; pretrained weights are brought to one channel as sums."""
    torch.manual_seed(2)
    three = timm_network("resnet18", 1000, channels=("a", "b", "c"))[1].eval()
    weights = {name: value.contiguous() for name, value in three.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "resnet18.safetensors")
    one = timm_network("resnet18", 1000, channels=("a",), pretrained=tmp_path / "resnet18.safetensors").eval()
    image = torch.rand(2, 1, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(one(image), three(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


VIT = "timm:vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": "timm:nonsense"}, "network must be a model that timm .* knows, got 'nonsense'"),
        ({"pretrained": True}, "pretrained must be False for the network 'custom', got True; it has no"),
        ({"network": "vgg", "pretrained": True}, "pretrained must be False for the network 'vgg', got True"),
        ({"network": "vgg-small"}, "bands of this network must all be of the Sample"),
        ({"network": "vgg", "bands": ("F814",), "image_size": 31}, "at least 32 px for 5 poolings, got 31"),
        ({"network": "pyramid"}, "bands of this network must all be of the Sample"),
        (
            {"network": "pyramid", "bands": ("F814",), "image_size": 24},
            "a multiple of 8 px from 32 .*, got 24",
        ),
        (
            {"network": "pyramid", "bands": ("F814",), "image_size": 60},
            "a multiple of 8 px from 32 .*, got 60",
        ),
        (
            {"network": "timm:inception_v3", "image_size": 74},
            r"at least 75 px for 'inception_v3' \(299 px as published\), got 74",
        ),
        (
            {"network": VIT, "image_size": 56},
            r"image_size must be at least 224 px for 'vit_tiny_patch16_224'",
        ),
        ({"network": VIT, "image_size": 300}, r"one that 'vit_tiny_patch16_224' takes, such as 224, got 300"),
    ],
)
def test_what_cannot_be_built_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        build_network(Experiment(name="x", **fields))


def test_an_untrained_output_is_unsure():
    """As in Keras: before training no class is preferred by much, so that the loss starts near log 2."""
    torch.manual_seed(5)
    network = timm_network("mobilenetv1_100", 2, channels=THREE).eval()
    logits = network(torch.rand(8, 2, 64, 64))
    assert (logits[:, 1] - logits[:, 0]).abs().max() < 2
    output = network[1].get_classifier()
    assert not output.bias.any()
    assert output.weight.abs().max() <= (6 / (1024 + 2)) ** 0.5


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


def test_a_pyramid_sees_the_middle_at_four_scales_about_one_centre():
    network = PyramidNetwork(2, channels=("a", "b"), image_size=64)
    y, x = torch.meshgrid(*2 * (torch.arange(64.0) - 31.5,), indexing="ij")
    images = torch.stack([x, y])[None].expand(3, -1, -1, -1)
    scales = network.scales(images)
    assert scales.shape == (3, 8, 8, 8)
    offsets = torch.arange(8.0) - 3.5
    for number, scale in enumerate((1, 2, 4, 8)):
        torch.testing.assert_close(scales[0, 2 * number], (scale * offsets).expand(8, 8))
        torch.testing.assert_close(scales[0, 2 * number + 1], (scale * offsets)[:, None].expand(8, 8))
    assert network(images).shape == (3, 2)


def test_a_pyramid_standardises_its_channels():
    """What it gives does not depend on the level and contrast of a band, once it has seen them."""
    torch.manual_seed(2)
    images, rows = torch.randn(64, 2, 32, 32), slice(0, 8)
    others = images * torch.tensor([2.0, 5.0])[:, None, None] + 3
    network = PyramidNetwork(2, channels=("a", "b"), image_size=32, dropout=0)
    torch.testing.assert_close(network(images)[rows], network(others)[rows], rtol=1e-3, atol=1e-3)


def test_signals_keep_their_size_through_sixteen_layers():
    """Keras' default start would let them fade to 1 / 100; this is why He's is taken."""
    torch.manual_seed(1)
    narrow = [[n // 8 for n in block] for block in VGG_BLOCKS]
    network = VggNetwork(2, channels=TWELVE, blocks=narrow, dense=(512, 512)).eval()
    images, spread = torch.randn(4, 12, 64, 64), []
    with torch.no_grad():
        for block in network.blocks:
            for layer in block:
                images = nn.functional.leaky_relu(layer(images), VGG_SLOPE)
                spread.append(float(images.pow(2).mean().sqrt()))
            images = nn.functional.max_pool2d(images, 2)
    assert all(0.3 < value < 30 for value in spread), spread
    assert VGG_SLOPE == 0.3


def plain(images, weight, bias):
    return functional.relu(
        functional.max_pool2d(functional.conv2d(images, weight, bias, padding=1), 2, ceil_mode=True)
    )


def drawn(n, channels, ny, nx, filters, dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    images = torch.rand((n, channels, ny, nx), generator=generator, dtype=dtype)
    images[:, :, : ny // 2] = 0  # empty sky: the four pixels are equal and the first one counts
    weight = torch.randn((filters, channels, 3, 3), generator=generator, dtype=dtype)
    bias = torch.randn(filters, generator=generator, dtype=dtype)
    channels_last = {"memory_format": torch.channels_last}
    return (
        images.contiguous(**channels_last),
        weight.contiguous(**channels_last).requires_grad_(),
        bias.requires_grad_(),
    )


@pytest.mark.parametrize(
    "shape",
    [(3, 2, 14, 16, 5), (2, 3, 13, 15, 4), (1, 1, 7, 8, 3), (2, 4, 8, 7, 6), (2, 5, 9, 9, 4)],
    ids=str,
)
@pytest.mark.parametrize("reused_bytes", [1, 2**25], ids=["one by one", "together"])
def test_features_and_gradients_are_those_of_torch(shape, reused_bytes, monkeypatch):
    monkeypatch.setattr("labkit.learn.device._REUSED_BYTES", reused_bytes)
    images, weight, bias = drawn(*shape)
    found, wanted = (layer(images, weight, bias) for layer in (convolve_and_pool, plain))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    gradient = torch.randn_like(wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found, (weight, bias), gradient),
        torch.autograd.grad(wanted, (weight, bias), gradient),
        rtol=0,
        atol=1e-11,
    )


def test_groups_that_fit_into_memory_give_the_same(monkeypatch):
    weight, bias = torch.randn(4, 5, 3, 3), torch.randn(4)
    images = torch.randn(5, 5, 17, 17)
    whole = convolve_and_pool(images, weight, bias)
    monkeypatch.setattr("labkit.learn.device._REUSED_BYTES", 2 * 4 * 17 * 17 * 4)
    torch.testing.assert_close(convolve_and_pool(images, weight, bias), whole)


def test_images_that_need_a_gradient_have_one():
    images, weight, bias = drawn(2, 2, 9, 8, 4)
    images.requires_grad_()
    found, wanted = (
        torch.autograd.grad(layer(images, weight, bias).square().sum(), images)[0]
        for layer in (convolve_and_pool, plain)
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)


def test_weights_that_are_not_finite_show():
    images, weight, bias = drawn(1, 2, 8, 8, 2)
    with torch.no_grad():
        weight[1] = torch.nan
        found = convolve_and_pool(images, weight, bias)
    assert found[:, 1].isnan().all()
    assert not found[:, 0].isnan().any()


def test_predicting_needs_neither_lightning_nor_timm(monkeypatch):
    """Imported anew, as on a node that has none of them."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "labkit"}
    for name in ("pytorch_lightning", "timm", "torchvision", "torchmetrics"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    for name in before:
        del sys.modules[name]
    try:
        learn = importlib.import_module("labkit.learn")
        importlib.import_module("labkit.explain")
        assert learn.Model
        assert learn.predict
        with pytest.raises(ImportError, match="pytorch_lightning"):
            _ = learn.train
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "labkit"]:
            del sys.modules[name]
        sys.modules.update(before)


def test_custom_network_layers_are_those_of_table_3():
    rows = layer_rows(preset("CN-E"))
    sides = ["356x356x3", "178x178x64", "89x89x32", "45x45x32", "23x23x32", "12x12x32", "6x6x32"]
    assert [row["input"] for row in rows[::2]] == [*sides, "256"]
    assert rows[-2]["input"] == "1152"
    assert sum(row["parameters"] for row in rows) == 352_930


def test_other_networks_list_their_layers_too():
    rows = layer_rows(preset("MN-E"))
    assert sum(row["parameters"] for row in rows) > 3_000_000
    assert rows[0]["type"] == "Conv2d"
