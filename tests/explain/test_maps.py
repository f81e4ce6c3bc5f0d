"""Class activation maps: identities of their definitions, and where a trained network looks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from labkit.errors import InputError
from labkit.experiment import preset
from labkit.explain import class_activation
from labkit.explain.maps import METHODS
from labkit.images import normalise
from labkit.learn import predict, train
from labkit.learn.predict import logits
from labkit.simulate import simulate_cores


class Pooled(nn.Module):
    """Convolution, batch normalisation and ReLU, then global average pooling and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.norm = nn.Conv2d(2, 5, 3, padding=1, stride=2), nn.BatchNorm2d(5)
        self.norm.running_mean += 0.3
        self.act, self.pool, self.head = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Linear(5, 2)

    def forward(self, images):
        return self.head(self.pool(self.act(self.norm(self.conv(images)))).flatten(1))


class Flat(nn.Sequential):
    """A convolution whose flattened maps go into one dense layer."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 2))


def unscaled(found) -> np.ndarray:
    return found.maps * found.scale[:, None, None]


ANY, POOLING = ("grad-cam", "hirescam"), ("mobilenet", "timm:resnet18")


@pytest.mark.parametrize(
    ("network", "method"), [*(("custom", m) for m in ANY), *((n, m) for n in POOLING for m in METHODS)]
)
def test_a_batch_equals_one_by_one(make_model, sample, network, method):
    model = make_model(network, image_size=32 if network == "custom" else 64)
    model.network.train()  # batch normalisation must not see the batch
    few, options = sample.select(slice(0, 5)), {"method": method, "target": "predicted"}
    together = class_activation(model, few, batch_size=3, **options)
    alone = np.concatenate([class_activation(model, few.select([row]), **options) for row in range(5)])
    assert np.asarray(together).any(axis=(1, 2)).sum() >= 3
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_maps_run_from_zero_to_one_at_the_size_of_the_images(make_model, sample):
    found = class_activation(make_model(Pooled(), image_size=16), sample, target="predicted")
    assert found.maps.shape == (24, 32, 32)
    assert found.maps.dtype == np.float32
    assert found.maps.min() >= 0
    top = found.maps.max((1, 2))
    assert set(np.unique(top)) <= {0.0, 1.0}
    np.testing.assert_array_equal(top > 0, found.scale > 0)
    network = Pooled()
    nn.init.constant_(network.head.weight, -1.0)
    blank = class_activation(make_model(network), sample, method="cam", layer="act")
    assert not blank.maps.any(), "a map without evidence stays zero"
    assert not blank.scale.any()


def test_cam_and_gradients_agree_where_pooling_is_global(make_model, sample):
    """With global average pooling dy/dA_k is w_k / pixels, so all are one map (Selvaraju et al., 3.1)."""
    model = make_model(Pooled())
    maps = {m: class_activation(model, sample, method=m, layer="act", target=1) for m in METHODS}
    for method in ("grad-cam", "hirescam"):
        np.testing.assert_allclose(maps[method].maps, maps["cam"].maps, atol=1e-5)
        np.testing.assert_allclose(maps[method].scale * 16 * 16, maps["cam"].scale, rtol=1e-4)
    assert class_activation(model, sample, method="cam").layer == "act"


def test_cam_is_the_weighted_sum_of_the_maps(make_model, sample):
    network = Pooled()
    found = class_activation(make_model(network), sample, method="cam", target=0)
    with torch.no_grad():
        maps = network.act(network.norm(network.conv(torch.from_numpy(sample.images).float() / 255)))
        wanted = torch.einsum("k,nkyx->nyx", network.head.weight[0], maps).clamp(min=0)
        large = functional.interpolate(wanted[:, None], (32, 32), mode="bilinear")[:, 0]
    np.testing.assert_allclose(unscaled(found), large.numpy(), atol=1e-5)


def test_hirescam_adds_up_to_the_logit_where_one_dense_layer_follows(make_model, sample):
    network = Flat()
    with torch.no_grad():  # weights above zero: the ReLU takes nothing away
        network[3].weight.abs_()
    found = class_activation(make_model(network), sample, method="hirescam", layer="1", target=1)
    total = unscaled(found).reshape(24, 16, 2, 16, 2).mean((2, 4)).sum((1, 2))
    wanted = logits(make_model(network), torch.from_numpy(sample.images))[:, 1] - network[3].bias[1]
    # bilinear enlarging by two keeps the sum but for the border
    np.testing.assert_allclose(total, wanted.detach().numpy(), rtol=0.05)


def test_gradients_are_those_of_finite_differences(make_model, sample):
    """Grad-CAM's weights on the custom network: nudge each map of conv6 as a whole."""
    model = make_model("custom", image_size=64)
    found = class_activation(model, sample.select([0]), layer="conv6", target=1)
    network = model.network.double()
    image = functional.interpolate(torch.from_numpy(sample.images[:1]).double(), scale_factor=2) / 255

    def rest(maps):
        pooled = functional.max_pool2d(maps, 2, ceil_mode=True).flatten(1)
        return network.output(functional.relu(network.dense(pooled)))[0, 1]

    with torch.no_grad():
        maps, weights = image, [layer.weight for layer in network.convolutions]
        for number, layer in enumerate(network.convolutions):
            weight = weights[number][:, network.filled] if number == 0 else weights[number]
            maps = functional.relu(functional.conv2d(maps, weight, layer.bias, padding=1))
            maps = functional.max_pool2d(maps, 2, ceil_mode=True) if number < 5 else maps
        shift = 1e-5 * torch.eye(32, dtype=torch.float64)[:, None, :, None, None]
        slopes = torch.stack([(rest(maps + s) - rest(maps - s)) / 2e-5 for s in shift]) / maps[0, 0].numel()
        wanted = torch.einsum("k,kyx->yx", slopes, maps[0]).clamp(min=0)
        large = functional.interpolate(wanted[None, None], (32, 32), mode="bilinear")[0, 0]
    np.testing.assert_allclose(unscaled(found)[0], large.numpy(), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("method", ["grad-cam", "hirescam"])
def test_a_trained_network_looks_at_the_emission(trained, sample, method):
    clusters = sample.select(np.asarray(sample.labels) == "low-z cluster")
    maps = class_activation(trained, clusters, method=method, layer="conv2", target="cluster").maps
    y, x = np.mgrid[:32, :32]
    near = np.hypot(
        y - np.asarray(clusters.catalogue["row"])[:, None, None],
        x - np.asarray(clusters.catalogue["column"])[:, None, None],
    ) < 7  # fmt: skip
    inside = (maps * near).sum((1, 2)) / maps.sum((1, 2))
    assert np.median(inside) > 2 * near.mean()  # twice what an even map has there


def test_a_model_is_named_by_its_folder(trained, sample, tmp_path):
    few = sample.select(slice(0, 4))
    trained.save(tmp_path / "model")
    np.testing.assert_array_equal(class_activation(tmp_path / "model", few), class_activation(trained, few))


def test_targets_by_name_number_object_and_decision(trained, sample):
    few = sample.select(slice(0, 4))
    decided = predict(trained, few).decided
    found = class_activation(trained, few, target="predicted")
    assert [trained.classes[code] for code in found.codes] == list(decided)
    for same in (list(decided), found.codes):
        np.testing.assert_array_equal(class_activation(trained, few, target=same), found.maps)
    positive = class_activation(trained, few).maps
    np.testing.assert_array_equal(positive, class_activation(trained, few, target="cluster"))
    np.testing.assert_array_equal(positive, class_activation(trained, few, target=1))
    assert np.abs(positive - class_activation(trained, few, target="non-cluster").maps).max() > 0.1


def test_without_a_positive_class_the_decision_is_explained(make_model, sample):
    model = make_model("custom", scheme="five-class")
    decided = logits(model, torch.from_numpy(sample.images[:2])).argmax(1)
    np.testing.assert_array_equal(class_activation(model, sample.select([0, 1])).codes, decided.numpy())


def test_gradients_work_within_inference_mode_and_leave_nothing(trained, sample):
    few = sample.select([0, 1])
    wanted = class_activation(trained, few)
    with torch.inference_mode():
        np.testing.assert_array_equal(class_activation(trained, few), wanted)
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in trained.network.parameters())
    assert not any(module._forward_hooks for module in trained.network.modules())


def test_bfloat16_shows_the_same_places(trained, sample):
    few = sample.select(slice(0, 8, 2))
    full, half = (class_activation(trained, few, precision=p, layer="conv2").maps for p in ("fp32", "bf16"))
    assert np.corrcoef(full.ravel(), half.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "saliency"}, r"method must be one of \('grad-cam', 'hirescam', 'cam'\), got 'saliency'"),
        ({"method": "cam"}, "method 'cam' needs a network that ends with global average pooling .* 'custom'"),
        ({"target": "galaxy"}, r"target must be among .*\('non-cluster', 'cluster'\).*got 'galaxy'"),
        ({"target": 2}, "got 2"),
        ({"target": [0, 1, 1]}, "one for each of the 24 images, got 3"),
        ({"layer": "conv9"}, "layer must be one of the network's 15, got 'conv9'"),
    ],
)
def test_what_cannot_be_explained_is_said(trained, sample, options, message):
    with pytest.raises(InputError, match=message):
        class_activation(trained, sample, **options)


def test_cam_of_another_layer_than_the_pooled_one_is_refused(make_model, sample):
    for network, layer in ((Pooled(), "norm"), ("timm:efficientnet_b0", "conv_stem")):
        with pytest.raises(InputError, match="needs a network that ends with global average pooling"):
            class_activation(make_model(network), sample, method="cam", layer=layer)


def test_a_layer_that_leads_nowhere_is_refused(make_model, sample):
    class Aside(Pooled):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(2, 2, 1)

        def forward(self, images):
            self.aside(images)
            return super().forward(images)

    with pytest.raises(InputError, match="layer must lead to the network's output, 'aside' does not"):
        class_activation(make_model(Aside()), sample, layer="aside")


def test_the_network_for_cores_trains_at_the_papers_size_and_is_explained(tmp_path):
    raw = simulate_cores(4, n_clusters=6, population="accept")
    raw.catalogue["label"] = ["CC", "WCC", "NCC"] * 2
    raw.catalogue["split"] = ["train"] * 3 + ["validation"] * 3
    images = normalise(raw, method="asinh", lower=0.1, upper=100.0, softening=0.1)
    experiment = preset("ResNet-18 cores", folds=0, epochs=1, batch_size=3)
    model = train(experiment, images, run=tmp_path, progress=False).model
    assert images.shape[2:] == (256, 256) == model.image_shape
    maps = np.asarray(class_activation(model, images.select([0, 1]), method="cam"))
    assert maps.shape == (2, 256, 256)
    assert maps.max(axis=(1, 2)) == pytest.approx([1, 1], abs=0.01)


def test_a_network_whose_maps_hold_several_scales_is_refused(make_model, sample):
    with pytest.raises(InputError, match="model must keep places of an image in its maps, got .* 'pyramid'"):
        class_activation(make_model("pyramid", image_size=32, bands=("xray", "optical")), sample)
