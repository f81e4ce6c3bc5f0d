"""The custom network layer by layer: same weights, same logits, with an output to look at after each layer.

`labkit.learn.networks.CustomNetwork` pools before its ReLU and sends few images at a time through both, so
its full-size feature maps never exist as the output of a module. Here they do.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from labkit.learn.networks import CustomNetwork

__all__ = ["RectifiedConvolution", "RectifiedDense", "unfused"]


class RectifiedConvolution(nn.Module):
    """A 3 x 3 convolution of the custom network with its ReLU.

    Parameters
    ----------
    layer : Conv2d
        The convolution; its weights are used, not copied.
    filled : Tensor of int64, optional
        Input channels that are passed in; the others are zero.
    """

    kind = "conv + ReLU"

    def __init__(self, layer: nn.Conv2d, filled: Tensor | None = None) -> None:
        super().__init__()
        self.layer, self.filled = layer, filled

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps of full size, shape (n, filter, y, x), none below zero."""
        weight = self.layer.weight if self.filled is None else self.layer.weight.index_select(1, self.filled)
        return functional.relu_(functional.conv2d(images, weight, self.layer.bias, padding=1))


class RectifiedDense(nn.Module):
    """A dense layer with its ReLU.

    Parameters
    ----------
    layer : Linear
        The layer; its weights are used, not copied.
    """

    kind = "dense + ReLU"

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        """Features, shape (n, units), none below zero."""
        return functional.relu_(self.layer(features))


def unfused(network: CustomNetwork) -> nn.Sequential:
    """The custom network as a chain of named layers, counted as the paper counts them.

    Parameters
    ----------
    network : CustomNetwork
        The network; the result shares its weights.

    Returns
    -------
    Sequential
        ``conv1`` (with its ReLU, as in Kosiba et al. 2020, Table 3), ``pool1``, ... ``conv6``, ``pool6``,
        ``flatten``, ``dense`` (with its ReLU), ``dropout`` and ``output``.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, layer in enumerate(network.convolutions, start=1):
        filled = network.filled if number == 1 else None
        parts[f"conv{number}"] = RectifiedConvolution(cast(nn.Conv2d, layer), filled)
        parts[f"pool{number}"] = nn.MaxPool2d(2, ceil_mode=True)
    parts["flatten"] = nn.Flatten()
    parts["dense"] = RectifiedDense(network.dense)
    parts["dropout"] = network.dropout
    parts["output"] = network.output
    return nn.Sequential(parts)
