"""Class activation mapping (Zhou et al. 2016): for networks that pool a layer and weight its means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.errors import InputError
from labkit.explain.inputs import Prepared

__all__ = ["pooled_layer", "weighted_by_output"]

#: How well the maps must add up to the logits, relative to the largest.
_EXACT = {"fp32": 1e-3, "bf16": 5e-2}


def _last_dense(ready: Prepared) -> nn.Linear:
    dense = [module for module in ready.opened.network.modules() if isinstance(module, nn.Linear)]
    if not dense or dense[-1].out_features != len(ready.model.classes):
        raise _no_cam(ready)
    return dense[-1]


def pooled_layer(ready: Prepared) -> str:
    """The last layer whose filters are the inputs of the last dense layer."""
    wanted, opened = _last_dense(ready).in_features, ready.opened
    fitting = [
        name
        for name, output in opened.outputs.items()
        if output.is_map and output.shape[0] == wanted and not opened.pools(name)
    ]
    if not fitting:
        raise _no_cam(ready)
    return fitting[-1]


def weighted_by_output(ready: Prepared, activations: Tensor, logits: Tensor, codes: Tensor) -> Tensor:
    """Maps weighted by the class's weights, if they add up to the logits."""
    dense = _last_dense(ready)
    weight = dense.weight.detach().float()
    if activations.shape[1] != weight.shape[1]:
        raise _no_cam(ready)
    bias = 0 if dense.bias is None else dense.bias.detach().float()
    tolerance = _EXACT[ready.precision] * max(1.0, float(logits.abs().max()))
    if not torch.allclose(activations.mean((2, 3)) @ weight.T + bias, logits, rtol=0, atol=tolerance):
        raise _no_cam(ready)
    return torch.einsum("nk,nkyx->nyx", weight[codes], activations)


def _no_cam(ready: Prepared) -> InputError:
    return InputError(
        "method 'cam' needs a network that ends with global average pooling of the layer and one dense "
        f"layer, got {ready.model.experiment.network!r}; use method='grad-cam'"
    )
