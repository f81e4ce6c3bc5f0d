"""The networks: the custom one of Kosiba et al. 2020, VGG-like ones, and any other through timm.

Every network takes images of the *named* bands only, shape (n, band, y, x) with grey levels from 0
to 1. A zero-filled channel, which the paper's three-channel images have, adds nothing to a
convolution, so the custom network keeps its weights but leaves out its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError
from labkit.experiment import EMPTY, Experiment
from labkit.learn.convolution import convolve_and_pool
from labkit.learn.pretrained import timm_network

#: Filters of the six convolutions and units of the first dense layer (Table 3).
_FILTERS = (64, 32, 32, 32, 32, 32)
_DENSE_UNITS = 256

#: timm's name of the MobileNet of Howard et al. 2017.
_MOBILENET = "mobilenetv1_100"
#: Filters of each convolution, block by block, and units of the dense layers (Table B.1).
VGG_BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
_VGG_DENSE = (4096, 4096)
#: The same build for two processor cores: one convolution a block, an eighth of the width.
_SMALL_BLOCKS = ((16,), (32,), (64,), (64,))
_SMALL_DENSE = (128, 128)

#: Slope of the leaky ReLU below zero (Angora et al. 2020, equation B.5).
VGG_SLOPE = 0.3


class CustomNetwork(nn.Module):
    """The custom network of Kosiba et al. 2020, Table 3.

    Six times a 3 x 3 convolution (stride 1, zero padding that keeps the size), ReLU and 2 x 2 max
    pooling that rounds odd sizes up (356, 178, 89, 45, 23, 12, 6 px); then a dense layer of 256 with
    ReLU and dropout, and the output layer. The softmax is in the loss. Weights start as in Keras:
    Glorot uniform, zero biases. Channels called ``"empty"`` have weights, but are not passed to `forward`.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: Sequence[str] = ("x", "y", "z"),
        image_size: int = 356,
        dropout: float = 0.65,
    ) -> None:
        super().__init__()
        widths = (len(channels), *_FILTERS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in zip(widths, _FILTERS, strict=False)
        )
        side = image_size
        for _ in _FILTERS:
            side = -(-side // 2)
        self.dense = nn.Linear(_FILTERS[-1] * side * side, _DENSE_UNITS)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(_DENSE_UNITS, classes)
        filled = [i for i, name in enumerate(channels) if name != EMPTY]
        self.filled: Tensor
        self.register_buffer("filled", torch.tensor(filled), persistent=False)
        self._all_filled = len(filled) == len(channels)
        self._initialise()

    def _initialise(self) -> None:
        for layer in (*self.convolutions, self.dense, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, band, y, x), the filled channels' grey levels from 0 to 1."""
        first, *others = cast(list[nn.Conv2d], list(self.convolutions))
        weight = first.weight if self._all_filled else first.weight.index_select(1, self.filled)
        images = convolve_and_pool(images, weight, first.bias)
        for layer in others:
            images = convolve_and_pool(images, layer.weight, layer.bias)
        features = functional.relu(self.dense(images.flatten(1)))
        return self.output(self.dropout(features))


class VggNetwork(nn.Module):
    """Blocks of 3 x 3 convolutions with leaky ReLU and max pooling, two dense layers with dropout.

    Angora et al. (2020), appendix B and Table B.1: 16 convolutions in five blocks, 64 px to 2 px, then twice
    4096 units; 12 bands make the 6976 parameters of the first layer. Of the shapes in that table (16,
    16, 126), (16, 32, 256) and the (8, 8, 512) between layers of 4 px are misprints, as the parameter counts
    show. The dropout rate is not given; the softmax is in the loss.

    How weights started is not said. Keras' default halves the signal's variance in each of sixteen leaky
    layers, so here they start as He et al. (2015) for this slope, biases at zero. Pooling comes before the
    leaky ReLU: both are monotonic, so the result is the same with a quarter of the work.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: Sequence[str],
        image_size: int = 64,
        dropout: float = 0.5,
        blocks: Sequence[Sequence[int]] = VGG_BLOCKS,
        dense: Sequence[int] = _VGG_DENSE,
    ) -> None:
        super().__init__()
        if EMPTY in channels:
            raise InputError(
                f"bands of a VGG-like network must all be of the Sample, got {tuple(channels)}; "
                f"leave {EMPTY!r} out"
            )
        side = image_size >> len(blocks)
        if not side:
            raise InputError(
                f"image_size must be at least {1 << len(blocks)} px for {len(blocks)} poolings, "
                f"got {image_size}"
            )
        width = len(channels)
        self.blocks = nn.ModuleList()
        for filters in blocks:
            widths = (width, *filters)
            pairs = zip(widths, filters, strict=False)
            self.blocks.append(nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs))
            width = widths[-1]
        units = (width * side * side, *dense)
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in zip(units, dense, strict=False))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units[-1], classes)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=VGG_SLOPE, nonlinearity="leaky_relu")
                nn.init.zeros_(cast(Tensor, layer.bias))
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, band, y, x), distances of grey levels from the sky's."""
        for block in cast(list[nn.ModuleList], list(self.blocks)):
            for layer in block[:-1]:
                images = functional.leaky_relu(layer(images), VGG_SLOPE)
            images = functional.leaky_relu(functional.max_pool2d(block[-1](images), 2), VGG_SLOPE)
        features = images.flatten(1)
        for layer in self.dense:
            features = self.dropout(functional.leaky_relu(layer(features), VGG_SLOPE))
        return self.output(features)


#: Networks that are written out here.
_OURS: dict[str, Callable[..., nn.Module]] = {
    "custom": CustomNetwork,
    "vgg": partial(VggNetwork, blocks=VGG_BLOCKS, dense=_VGG_DENSE),
    "vgg-small": partial(VggNetwork, blocks=_SMALL_BLOCKS, dense=_SMALL_DENSE),
}


def build_network(experiment: Experiment) -> nn.Module:
    """The network of an experiment, with its first weights drawn from torch's global generator."""
    classes = len(experiment.class_scheme.classes)
    options: dict[str, Any] = {
        "channels": experiment.bands,
        "image_size": experiment.image_size,
        "dropout": experiment.dropout,
    }
    network: nn.Module
    if experiment.pretrained and experiment.network in _OURS:
        raise InputError(
            f"pretrained must be False for the network {experiment.network!r}, got "
            f"{experiment.pretrained!r}; it has no published weights"
        )
    if experiment.network in _OURS:
        network = _OURS[experiment.network](classes, **options)
    else:
        model = _MOBILENET if experiment.network == "mobilenet" else experiment.network.removeprefix("timm:")
        network = timm_network(model, classes, pretrained=experiment.pretrained, **options)
    return network.to(memory_format=torch.channels_last)


def layer_rows(experiment: Experiment) -> list[dict[str, Any]]:
    """Layers of an experiment's network with their parameters, in order.

    Parameters
    ----------
    experiment : Experiment
        Its network, bands, classes and image size count; pretrained weights are not read.

    Returns
    -------
    list of dict
        ``layer`` (number), ``type``, ``filters``, ``input`` (y x x x channels, for the custom network as in
        Kosiba et al. 2020, Table 3, for VGG-like ones as in Angora et al. 2020, Table B.1), ``parameters``.
    """
    with torch.random.fork_rng(devices=[]):
        network = build_network(experiment.changed(pretrained=False))
    rows: list[dict[str, Any]]
    if isinstance(network, CustomNetwork):
        rows = _custom_rows(network, experiment.image_size)
    elif isinstance(network, VggNetwork):
        rows = _vgg_rows(network, experiment.image_size)
    else:
        rows = [
            {
                "type": type(layer).__name__,
                "filters": "x".join(map(str, next(layer.parameters()).shape)),
                "input": "",
                "parameters": sum(p.numel() for p in layer.parameters()),
            }
            for layer in network.modules()
            if not list(layer.children()) and list(layer.parameters())
        ]
    return [{"layer": number, **row} for number, row in enumerate(rows, start=1)]


def _custom_rows(network: CustomNetwork, side: int) -> list[dict[str, Any]]:
    rows = []
    for layer in network.convolutions:
        rows += [_conv_row(layer, side), _pool_row(layer, side)]
        side = -(-side // 2)
    return [*rows, *_dense_rows(network.dense, network.output, side=side)]


def _vgg_rows(network: VggNetwork, side: int) -> list[dict[str, Any]]:
    rows = []
    for block in cast(list[nn.ModuleList], list(network.blocks)):
        rows += [*(_conv_row(layer, side) for layer in block), _pool_row(block[-1], side)]
        side //= 2
    return [*rows, *_dense_rows(*network.dense, network.output, side=side)]


def _conv_row(layer: Any, side: int) -> dict[str, Any]:
    shape = f"{side}x{side}x{layer.in_channels}"
    return _row("conv", f"3x3x{layer.out_channels}", shape, _parameters(layer))


def _pool_row(after: Any, side: int) -> dict[str, Any]:
    return _row("max pool", "2x2/2", f"{side}x{side}x{after.out_channels}", 0)


def _dense_rows(*layers: Any, side: int) -> list[dict[str, Any]]:
    flat = _row("flatten", "", f"{side}x{side}x{layers[0].in_features // side**2}", 0)
    dense = (_row("dense", str(one.out_features), str(one.in_features), _parameters(one)) for one in layers)
    return [flat, *dense]


def _parameters(layer: Any) -> int:
    return sum(p.numel() for p in layer.parameters())


def _row(kind: str, filters: str, shape: str, parameters: int) -> dict[str, Any]:
    return {"type": kind, "filters": filters, "input": shape, "parameters": parameters}
