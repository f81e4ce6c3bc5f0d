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
from labkit.learn.vgg import BLOCKS, DENSE, SMALL_BLOCKS, SMALL_DENSE, VggNetwork

#: Filters of the six convolutions and units of the first dense layer (Table 3).
FILTERS = (64, 32, 32, 32, 32, 32)
DENSE_UNITS = 256

#: timm's name of the MobileNet of Howard et al. 2017.
MOBILENET = "mobilenetv1_100"


class CustomNetwork(nn.Module):
    """The custom network of Kosiba et al. 2020, Table 3.

    Six times a 3 x 3 convolution (stride 1, zero padding that keeps the size), ReLU and 2 x 2 max
    pooling that rounds odd sizes up (356, 178, 89, 45, 23, 12, 6 px); then a dense layer of 256 with
    ReLU and dropout, and the output layer. The softmax is in the loss. Weights start as in Keras:
    Glorot uniform, zero biases.

    Pooling comes before the ReLU here: both are monotonic, so the result is the same with a quarter
    of the ReLU's work.
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
        widths = (len(channels), *FILTERS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in zip(widths, FILTERS, strict=False)
        )
        side = image_size
        for _ in FILTERS:
            side = -(-side // 2)
        self.dense = nn.Linear(FILTERS[-1] * side * side, DENSE_UNITS)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(DENSE_UNITS, classes)
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
        """Logits of each image.

        Shapes: images (n, band, y, x) -> (n, classes).
        """
        first, *others = cast(list[nn.Conv2d], list(self.convolutions))
        weight = first.weight if self._all_filled else first.weight.index_select(1, self.filled)
        images = convolve_and_pool(images, weight, first.bias)
        for layer in others:
            images = convolve_and_pool(images, layer.weight, layer.bias)
        features = functional.relu(self.dense(images.flatten(1)))
        return self.output(self.dropout(features))


#: Networks that are written out here or in `labkit.learn.vgg`.
_OURS: dict[str, Callable[..., nn.Module]] = {
    "custom": CustomNetwork,
    "vgg": partial(VggNetwork, blocks=BLOCKS, dense=DENSE),
    "vgg-small": partial(VggNetwork, blocks=SMALL_BLOCKS, dense=SMALL_DENSE),
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
        model = MOBILENET if experiment.network == "mobilenet" else experiment.network.removeprefix("timm:")
        network = timm_network(model, classes, pretrained=experiment.pretrained, **options)
    return network.to(memory_format=torch.channels_last)
