"""Look before training: the layers of a network, and an object as the network will see it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import nn

from labkit.experiment import Augmentation, Experiment
from labkit.learn.augment import augment
from labkit.learn.networks import CustomNetwork, build_network
from labkit.learn.resident import resize_by_area
from labkit.learn.splits import named_bands_of
from labkit.learn.vgg import VggNetwork
from labkit.sample import Sample


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


def augmented_views(
    experiment: Experiment, sample: Sample, object_id: str, *, number: int = 12, seed: int = 0
) -> np.ndarray:
    """One object as the network sees it in training: resized and augmented, several times.

    Parameters
    ----------
    experiment : Experiment
        Its bands, image size and augmentation count (the paper's where it has none).
    sample : Sample
        Normalised images.
    object_id : str
        The object.
    number : int
        Views.
    seed : int
        Of the random transformations.

    Returns
    -------
    ndarray of uint8, shape (number, band, image_size, image_size)
        Grey levels.

    Raises
    ------
    InputError
        If the Sample lacks a band or the object.
    """
    pixels = named_bands_of(sample, experiment).select([object_id]).images
    image = resize_by_area(torch.from_numpy(np.array(pixels)), experiment.image_size).float()
    views = augment(
        image.expand(number, -1, -1, -1),
        experiment.augmentation or Augmentation(),
        generator=torch.Generator().manual_seed(seed),
    )
    return views.round_().clamp_(0, 255).to(torch.uint8).numpy()
