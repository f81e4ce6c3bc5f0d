"""The first layer's own arithmetic against torch's convolution, pooling and ReLU."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from labkit.learn.convolution import convolve_and_pool


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
@pytest.mark.parametrize("cached", [1, 2**17])
def test_features_and_gradients_are_those_of_torch(shape, cached, monkeypatch):
    monkeypatch.setattr("labkit.learn.convolution._CACHED", cached)
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
    monkeypatch.setattr("labkit.learn.convolution._REUSED_BYTES", 2 * 4 * 17 * 17 * 4)
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


def test_predicting_needs_neither_lightning_nor_timm():
    code = (
        "import sys, labkit.learn, labkit.explain; from labkit.learn import Model, find_models, predict;"
        "print(sorted({'pytorch_lightning', 'timm', 'torchvision', 'torchmetrics'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
