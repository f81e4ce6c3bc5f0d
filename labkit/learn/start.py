"""Fine-tuning: a training begins with the weights of a trained network, its first layers frozen or slow."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from labkit.errors import InputError
from labkit.experiment import EMPTY, Experiment
from labkit.learn.checkpoint import digest_of
from labkit.learn.model import Model
from labkit.learn.networks import layer_numbers, on_hub, parts_of
from labkit.learn.trained import one_model


def read_start(experiment: Experiment) -> Model | None:
    """The trained network that an experiment starts from, which must be one of its own kind; None without."""
    if experiment.start is None:
        if on_hub(experiment.network) and not experiment.pretrained:
            raise InputError(
                f"pretrained must be true for {experiment.network!r}, whose weights would else stay on the "
                "hub; or give a start"
            )
        if not experiment.pretrained and (experiment.frozen or experiment.layer_decay < 1):
            raise InputError(
                "frozen and layer_decay must stand beside a start or pretrained weights, got "
                f"{experiment.frozen} and {experiment.layer_decay} with neither; name a model to start from"
            )
        return None
    found = one_model(experiment.start, name="start")
    if found.experiment.network != experiment.network:
        raise InputError(
            f"start must be a model of the network {experiment.network!r}, got "
            f"{found.experiment.network!r} in {experiment.start!r}; give the experiment that network"
        )
    return found


def begin_with(network: nn.Module, experiment: Experiment, start: Model) -> dict[str, Any]:
    """Give a network the weights of another, as far as they fit, and say which layers have them.

    The output layer is taken where it stands for the same classes or targets. In the first convolution a band
    keeps its weights by its name, and another one gets the sum of the old bands' over the number of new ones,
    so that, where no band keeps its name, the same image in all bands gives the same answer. Layers of
    another shape start anew, and must not be frozen. An output layer of the same targets is in units of the
    scatter that they had in the old training set.
    """
    before, own, given = start.experiment, network.state_dict(), start.network.state_dict()
    first, output = parts_of(network)
    other_bands, other_outputs = before.bands != experiment.bands, _outputs(before) != _outputs(experiment)
    unfit = {
        _layer(name)
        for name, value in own.items()
        if name not in given
        or (given[name].shape != value.shape and not (name == first and other_bands))
        or (name in output and other_outputs)
    }
    of: dict[str, dict[str, None]] = {"taken": {}, "adapted": {}, "new": {}}  # layers, each once
    for name, value in own.items():
        if (layer := _layer(name)) in unfit:
            of["new"][layer] = None
        elif name == first and other_bands:
            own[name] = _for_bands(value, given[name], before.bands, experiment.bands)
            of["adapted"][layer] = None
        else:
            own[name] = given[name]
            of["taken"].setdefault(layer)
    if not of["taken"]:
        raise InputError(f"start must fit the network, got no layer of {experiment.start!r} that does")
    still = {_layer(name) for name, weights in network.named_parameters() if not weights.requires_grad}
    if stuck := [layer for layer in of["new"] if layer in still]:
        raise InputError(
            f"frozen must leave layers to learn that do not fit the start, got {experiment.frozen} with "
            f"{stuck} new; lower it, or keep the image size of {experiment.start!r}"
        )
    network.load_state_dict(own)
    return {
        "folder": experiment.start, "experiment": before.name, "seed": start.seed, "fold": start.fold,
        "weights": weights_digest(start),
        **{name: list(layers) for name, layers in of.items()},
    }  # fmt: skip


def _layer(name: str) -> str:
    return name.removeprefix("1.").rpartition(".")[0]


def weights_digest(model: Model) -> str:
    """Hash of a model's weights."""
    return digest_of("", {name: value.cpu() for name, value in model.network.state_dict().items()})


def _outputs(experiment: Experiment) -> tuple[str, ...]:
    return experiment.targets or experiment.class_scheme.classes


def _for_bands(value: Tensor, old: Tensor, before: tuple[str, ...], bands: tuple[str, ...]) -> Tensor:
    """Weights (filter, scale x band, y, x) of the first convolution for other bands; empty channels stay."""
    old = old.unflatten(1, (-1, len(before)))  # (filter, scale, band, y, x)
    named = {band: old[:, :, number] for number, band in enumerate(before) if band != EMPTY}
    filled = [number for number, band in enumerate(bands) if band != EMPTY]
    others = torch.stack(list(named.values())).sum(0) / len(filled)
    result = value.unflatten(1, (-1, len(bands))).clone()
    for number in filled:
        result[:, :, number] = named.get(bands[number], others)
    return result.flatten(1, 2)


def freeze(network: nn.Module, experiment: Experiment) -> list[nn.Module]:
    """Take the gradients from a network's first layers; gives their modules, which must not learn."""
    if not experiment.frozen:
        return []
    numbers = layer_numbers(network)
    last = max(numbers.values()) + 1
    kept = experiment.frozen if experiment.frozen > 0 else last + experiment.frozen
    if not 0 < kept < last:
        raise InputError(
            f"frozen must leave a layer to train of the {last} of {experiment.network!r}, got "
            f"{experiment.frozen}; give 1 to {last - 1}, or -1 for all but the last"
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(numbers[name] >= kept)
    own = [(module, list(module.parameters(recurse=False))) for module in network.modules()]
    return [module for module, its in own if its and not any(one.requires_grad for one in its)]


def parameter_groups(
    network: nn.Module, experiment: Experiment
) -> Iterator[nn.Parameter] | list[dict[str, Any]]:
    """What an optimiser is to move: all parameters alike, or each layer with its share of the rate.

    With a `layer_decay` d the last layer has the whole rate, the one before d of it, then d squared.
    """
    if experiment.layer_decay == 1 and not experiment.frozen:
        return network.parameters()
    numbers = layer_numbers(network)
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(numbers[name], []).append(parameter)
    last = max(numbers.values())
    scales = {number: experiment.layer_decay ** (last - number) for number in groups}
    return [{"params": groups[number], "lr_scale": scales[number]} for number in sorted(groups)]
