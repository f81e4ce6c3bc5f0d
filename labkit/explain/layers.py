"""The layers of a network by names that a reader can use, and what comes out of each."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.errors import InputError
from labkit.explain.taps import evaluating, tapped
from labkit.explain.unfused import unfused
from labkit.learn.model import Model
from labkit.learn.networks import CustomNetwork
from labkit.learn.pretrained import FillEmpty
from labkit.tables import Table

__all__ = ["Opened", "Output", "default_layer", "layers", "open_network"]

#: Coarser maps than this say little about where; Grad-CAM's default layer is the last that is not coarser.
LEAST_SIDE = 6

_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_SILENT = (nn.Identity, nn.modules.dropout._DropoutNd, FillEmpty)


@dataclass(frozen=True)
class Output:
    """What a layer gives for one image: its shape without the object axis, and how often."""

    shape: tuple[int, ...]
    calls: int

    @property
    def is_map(self) -> bool:
        """Whether it has the axes (filter, y, x)."""
        return len(self.shape) == 3


@dataclass(frozen=True)
class Opened:
    """A network that can be looked into.

    Parameters
    ----------
    network : Module
        What to run: the network itself, or the custom one layer by layer (`unfused`).
    layers : dict of str to Module
        Its layers by name.
    outputs : dict of str to Output
        What each layer that computes gives, in the order in which they finish.
    stages : tuple of str
        Layers that all of an image passes: the custom network's convolutions, timm's own list of stages;
        every layer with maps where neither is known.
    """

    network: nn.Module
    layers: dict[str, nn.Module]
    outputs: dict[str, Output]
    stages: tuple[str, ...]

    def maps(self, name: str) -> Output:
        """Shape of a layer's maps.

        Raises
        ------
        InputError
            If there is no such layer, or it gives no maps.
        """
        if name not in self.outputs:
            near = difflib.get_close_matches(name, self.outputs, n=4, cutoff=0.4)
            hint = f"near it: {near}" if near else f"there are {list(self.outputs)[:12]} ..."
            raise InputError(
                f"layer must be one of the network's {len(self.outputs)}, got {name!r}; {hint} "
                "(labkit.explain.layers lists them)"
            )
        output = self.outputs[name]
        if not output.is_map:
            with_maps = [other for other, each in self.outputs.items() if each.is_map]
            raise InputError(
                f"layer must give maps (filter, y, x), {name!r} gives the shape {output.shape}; "
                f"the last that does is {with_maps[-1] if with_maps else 'none'!r}"
            )
        return output

    def pools(self, name: str) -> bool:
        """Whether a layer only pools."""
        return isinstance(self.layers[name], _POOLS)


def open_network(model: Model) -> Opened:
    """A model's network with its layers by name and the outputs they give.

    Parameters
    ----------
    model : Model
        Any network; the weights are shared, not copied.

    Raises
    ------
    InputError
        If the network keeps its filters on the last axis, as Swin transformers do.
    """
    network = model.network
    if isinstance(network, CustomNetwork):
        network = unfused(network)
        named = dict(network.named_children())
        known = [name for name in named if name.startswith("conv")]
    else:
        inner = _without_filling(network)
        order = str(getattr(inner, "output_fmt", "NCHW")).rsplit(".", 1)[-1]
        if order != "NCHW":
            raise InputError(
                f"network must give maps (filter, y, x), {model.experiment.network!r} orders them {order}; "
                "choose another network"
            )
        named = {name: module for name, module in inner.named_modules() if name}
        known = [str(stage["module"]) for stage in getattr(inner, "feature_info", ())]
    named = {name: module for name, module in named.items() if not isinstance(module, _SILENT)}
    outputs = _outputs(model, network, named)
    with_maps = [name for name, out in outputs.items() if out.is_map and not isinstance(named[name], _POOLS)]
    stages = [name for name in known if name in with_maps]
    return Opened(network, named, outputs, tuple(stages or with_maps))


def _without_filling(network: nn.Module) -> nn.Module:
    """The timm network inside the part that fills empty channels."""
    wrapped = isinstance(network, nn.Sequential) and len(network) == 2 and isinstance(network[0], FillEmpty)
    return network[1] if wrapped else network  # type: ignore[index]


def _outputs(model: Model, network: nn.Module, named: dict[str, nn.Module]) -> dict[str, Output]:
    """Run one blank image through the network and note what comes out where."""
    found: dict[str, Output] = {}

    def note(name: str, output: Tensor) -> None:
        found[name] = Output(tuple(output.shape[1:]), found[name].calls + 1 if name in found else 1)

    experiment = model.experiment
    blank = torch.zeros(
        (1, len(experiment.named_bands), experiment.image_size, experiment.image_size),
        device=next(network.parameters()).device,
    )
    with torch.inference_mode(), evaluating(network), tapped(named, note, once=False):
        network(blank)
    return {name: output for name, output in found.items() if output.calls == 1}


def default_layer(opened: Opened) -> str:
    """The layer for Grad-CAM where none is named.

    The last stage whose maps have at least 6 px a side (the last of all where none has). For the paper's
    network at 356 px that is its last convolution, as Selvaraju et al. (2017) advise; at smaller image sizes,
    whose last maps are 3 px or less, an earlier one.

    Raises
    ------
    InputError
        If no layer gives maps.
    """
    if not opened.stages:
        raise InputError("network must have layers that give maps (filter, y, x), got none; choose another")
    fine = [name for name in opened.stages if min(opened.outputs[name].shape[1:]) >= LEAST_SIDE]
    return (fine or opened.stages)[-1]


def layers(model: Model) -> Table:
    """The layers of a model's network in the order in which they compute.

    Layers of the custom network have the paper's numbers: ``conv1`` to ``conv6``, each *with* its ReLU and
    before pooling, as Table 3 of Kosiba et al. (2020) counts them; ``pool1`` to ``pool6`` after pooling.
    Layers of other networks have their module's path, such as ``blocks.3.0.bn2``; what they give is the
    output of that module alone (a convolution's is before batch normalisation and ReLU). Layers that an image
    passes more than once, and those that change nothing (dropout), are not listed.

    Parameters
    ----------
    model : Model
        Any network.

    Returns
    -------
    Table
        ``layer``, ``type``, ``filters`` (or units), ``output`` (y x x x filters, as in Table 3), ``maps``
        (whether it gives maps) and ``parameters``.
    """
    opened = open_network(model)
    rows = []
    for name, output in opened.outputs.items():
        module, shape = opened.layers[name], output.shape
        rows.append(
            {
                "layer": name,
                "type": str(getattr(module, "kind", type(module).__name__)),
                "filters": shape[0] if output.is_map else shape[-1],
                "output": "x".join(map(str, (*shape[1:], shape[0]) if output.is_map else shape)),
                "maps": output.is_map,
                "parameters": sum(p.numel() for p in module.parameters()),
            }
        )
    return Table(rows=rows)
