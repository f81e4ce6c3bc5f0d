"""A network opened: its layers by readable names, and what comes out of each for checked images."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypedDict, cast

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError
from labkit.images import normalise
from labkit.learn.device import as_input, resize_by_area
from labkit.learn.model import Model
from labkit.learn.networks import CustomNetwork, FillEmpty
from labkit.learn.parts import named_bands_of
from labkit.learn.predict import probabilities
from labkit.learn.trained import Models, one_model
from labkit.sample import Sample

#: Coarser maps than this say little about where; Grad-CAM's default layer is the last that is not coarser.
_LEAST_SIDE = 6

_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_READ = 256  # objects read at once
_SILENT = (nn.Identity, nn.modules.dropout._DropoutNd, FillEmpty)

#: What may be explained: a Sample, or grey levels (n, band, y, x) of the model's bands in its order.
Images = Sample | np.ndarray | Tensor
#: A class by name or number, one per image, ``"predicted"``, or None.
Target = str | int | Sequence[str | int] | np.ndarray | None
#: Gets a layer's name and its output; a Tensor that it returns takes the output's place.
See = Callable[[str, Tensor], Tensor | None]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch dropout off and batch normalisation to its running means; afterwards as before."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def tapped(layers: Mapping[str, nn.Module], see: See, *, once: bool = True) -> Iterator[None]:
    """Call `see` with the output of each layer while the block runs; no hook stays, whatever happens.

    With `once`, a layer that computes more than once in the block is refused: it has more than one output.
    """
    seen: set[str] = set()

    def hook_of(name: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, given: Any, output: Any) -> Tensor | None:
            if not isinstance(output, Tensor):
                return None
            if once and name in seen:
                raise InputError(
                    f"layer must compute once for an image, {name!r} does so more often; choose another"
                )
            seen.add(name)
            return see(name, output)

        return hook

    handles = [module.register_forward_hook(hook_of(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Rectified(nn.Module):
    """A 3 x 3 convolution or dense layer of the custom network with its ReLU; the weights are shared."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, filled: Tensor | None = None) -> None:
        super().__init__()
        self.kind = "dense + ReLU" if isinstance(layer, nn.Linear) else "conv + ReLU"
        self.layer, self.filled = layer, filled  # channels that are passed in; the others are zero

    def forward(self, images: Tensor) -> Tensor:  # (n, filter, y, x) or (n, units), none below zero
        if isinstance(self.layer, nn.Linear):
            return functional.relu_(self.layer(images))
        weight = self.layer.weight if self.filled is None else self.layer.weight.index_select(1, self.filled)
        return functional.relu_(functional.conv2d(images, weight, self.layer.bias, padding=1))


def unfused(network: CustomNetwork) -> nn.Sequential:
    """The custom network as a chain of named layers, as Kosiba et al. (2020, Table 3) count them.

    `CustomNetwork` pools before its ReLU and sends few images at a time through both, so its full-size
    feature maps never exist as the output of a module. Here they do: same weights, same logits.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, layer in enumerate(network.convolutions, start=1):
        filled = network.filled if number == 1 else None
        parts[f"conv{number}"] = _Rectified(cast(nn.Conv2d, layer), filled)
        parts[f"pool{number}"] = nn.MaxPool2d(2, ceil_mode=True)
    parts["flatten"] = nn.Flatten()
    parts["dense"] = _Rectified(network.dense)
    parts["dropout"] = network.dropout
    parts["output"] = network.output
    return nn.Sequential(parts)


@dataclass(frozen=True)
class Opened:
    """A network that can be looked into: what to run, its layers by name, and what each of them gives.

    The `stages` are layers that all of an image passes: the custom network's convolutions, timm's own list of
    stages; every layer with maps where neither is known.
    """

    network: nn.Module
    layers: dict[str, nn.Module]
    outputs: dict[str, tuple[int, ...]]  # shapes for one image, in the order in which the layers finish
    stages: tuple[str, ...]

    def maps(self, name: str) -> tuple[int, ...]:
        """Shape of a layer's maps; an `InputError` if there is no such layer, or it gives no maps."""
        if name not in self.outputs:
            near = difflib.get_close_matches(name, self.outputs, n=4, cutoff=0.4)
            hint = f"near it: {near}" if near else f"there are {list(self.outputs)[:12]} ..."
            raise InputError(
                f"layer must be one of the network's {len(self.outputs)}, got {name!r}; {hint} "
                "(labkit.explain.layers lists them)"
            )
        shape = self.outputs[name]
        if len(shape) != 3:
            with_maps = [other for other, each in self.outputs.items() if len(each) == 3]
            raise InputError(
                f"layer must give maps (filter, y, x), {name!r} gives the shape {shape}; "
                f"the last that does is {with_maps[-1] if with_maps else 'none'!r}"
            )
        return shape

    def pools(self, name: str) -> bool:
        """Whether a layer only pools."""
        return isinstance(self.layers[name], _POOLS)


def open_network(model: Model) -> Opened:
    """A model's network with its layers by name and the outputs they give; the weights are shared.

    A network that keeps its filters on the last axis, as Swin transformers do, is refused.
    """
    network = model.network
    if isinstance(network, CustomNetwork):
        network = unfused(network)
        named = dict(network.named_children())
        known = [name for name in named if name.startswith("conv")]
    else:
        filled = isinstance(network, nn.Sequential) and isinstance(network[0], FillEmpty)
        inner = network[1] if filled else network  # type: ignore[index]
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
    maps = [name for name, shape in outputs.items() if len(shape) == 3]
    with_maps = [name for name in maps if not isinstance(named[name], _POOLS)]
    stages = [name for name in known if name in with_maps]
    return Opened(network, named, outputs, tuple(stages or with_maps))


def _outputs(model: Model, network: nn.Module, named: dict[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Run one blank image through the network: shapes of what comes out of each layer that computes once."""
    found: dict[str, list[tuple[int, ...]]] = {}

    def note(name: str, output: Tensor) -> None:
        found[name] = [*found.pop(name, []), tuple(output.shape[1:])]

    bands, side = len(model.experiment.named_bands), model.experiment.image_size
    blank = torch.zeros((1, bands, side, side), device=next(network.parameters()).device)
    with torch.inference_mode(), evaluating(network), tapped(named, note, once=False):
        network(blank)
    return {name: shapes[0] for name, shapes in found.items() if len(shapes) == 1}


def default_layer(opened: Opened) -> str:
    """The layer for Grad-CAM where none is named: the last stage whose maps are at least 6 px wide.

    For the paper's network at 356 px that is its last convolution, as Selvaraju et al. (2017) advise; at
    smaller image sizes, whose last maps are 3 px or less, an earlier one. The last where none has 6 px.
    """
    if not opened.stages:
        raise InputError("network must have layers that give maps (filter, y, x), got none; choose another")
    fine = [name for name in opened.stages if min(opened.outputs[name][1:]) >= _LEAST_SIDE]
    return (fine or opened.stages)[-1]


class Computing(TypedDict, total=False):
    """How to compute; every function of this room takes these options, see `labkit.explain`."""

    device: str | torch.device
    precision: str | None
    batch_size: int
    accept: Collection[str]


@dataclass(frozen=True)
class Prepared:
    """A model opened on its device, and the images for it: grey levels of the model's bands."""

    model: Model
    opened: Opened
    images: Sample | Tensor
    device: torch.device
    precision: str
    batch_size: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Size (y, x) of the images as they were given."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows and their grey levels, uint8, on the device, as they were given."""
        whole = self.images.batches(_READ) if isinstance(self.images, Sample) else [(slice(0), self.images)]
        for rows, pixels in whole:
            levels = torch.from_numpy(np.array(pixels)) if isinstance(pixels, np.ndarray) else pixels
            for offset in range(0, len(levels), self.batch_size):
                part = levels[offset : offset + self.batch_size]
                start = (rows.start or 0) + offset
                yield slice(start, start + len(part)), part.to(self.device)

    def batches(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows and what the network takes of them: float32, empty sky 0, at the network's image size."""
        for rows, levels in self.pieces():
            resized = resize_by_area(levels, self.model.experiment.image_size)
            yield rows, as_input(resized, sky=self.model.sky)

    def reordered(self, rows: np.ndarray) -> Prepared:
        """The same with other objects in the places of these."""
        images = self.images
        chosen = images.select(rows) if isinstance(images, Sample) else images[torch.from_numpy(rows)]
        return replace(self, images=chosen)

    def run(self, batch: Tensor, layers: Iterable[str], see: See, *, gradients: bool = False) -> Tensor:
        """Logits of a batch; on the way, `see` gets the outputs of the layers (see `tapped`)."""
        network, half = self.opened.network, self.precision == "bf16"
        chosen = {name: self.opened.layers[name] for name in layers}
        mode = torch.no_grad() if gradients else torch.inference_mode()
        cast = torch.autocast(self.device.type, torch.bfloat16, enabled=half)
        with mode, cast, evaluating(network), tapped(chosen, see):
            return network(batch).float()

    def probabilities(self, levels: Tensor) -> np.ndarray:
        """Probability of each class of some images, shape (n, classes)."""
        return probabilities(self.model, levels, batch_size=self.batch_size, precision=self.precision)

    def codes(self, target: Target) -> np.ndarray | None:
        """Number of the class to explain for each image; None for the one that the network decides for."""
        classes, n = self.model.classes, len(self)
        if target is None:
            target = self.model.experiment.class_scheme.positive or "predicted"
        if isinstance(target, str) and target == "predicted":
            return None
        each = [target] * n if isinstance(target, str | int | np.integer) else list(target)
        if len(each) != n:
            raise InputError(f"target must be one class, or one for each of the {n} images, got {len(each)}")
        numbers = {name: code for code, name in enumerate(classes)}
        codes = [numbers.get(str(value), -1) if isinstance(value, str) else int(value) for value in each]
        if unknown := {repr(v) for v, c in zip(each, codes, strict=True) if not 0 <= c < len(classes)}:
            raise InputError(
                f"target must be among the classes {classes}, their numbers, or 'predicted', "
                f"got {', '.join(sorted(unknown))}"
            )
        return np.array(codes, dtype=np.int64).reshape(n)


def prepare(
    model: Models,
    images: Images,
    *,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int = 16,
    accept: Collection[str] = (),
) -> Prepared:
    """Check images against a model and open its network, which moves to the device.

    A raw Sample is normalised as the model's was; a normalised one is checked as in prediction. Both may have
    further bands; an array or Tensor of uint8, shape (n, band, y, x), has the model's bands in its order.
    """
    model = one_model(model)
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(images, Sample):
        if "normalisation" not in images.provenance and images.dtype != np.uint8:
            images = normalise(named_bands_of(images, model.experiment), like=model)
        images = model.check(images, accept=accept)
    elif isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    bands = model.experiment.named_bands
    kind = str(images.dtype).removeprefix("torch.")
    if len(images.shape) != 4 or images.shape[1] != len(bands) or kind != "uint8":
        raise InputError(
            f"images must be uint8 with the shape (n, {len(bands)}, y, x) for the bands {bands}, "
            f"got {kind} {tuple(images.shape)}; normalise them first (labkit.images.normalise)"
        )
    where, computed = model.move(device, precision)
    return Prepared(model, open_network(model), images, where, computed, batch_size)


def layers(model: Model) -> Table:
    """The layers of a model's network in the order in which they compute.

    Layers of the custom network have the paper's numbers: ``conv1`` to ``conv6``, each *with* its ReLU and
    before pooling, as Table 3 of Kosiba et al. (2020) counts them; ``pool1`` to ``pool6`` after pooling.
    Layers of other networks have their module's path, such as ``blocks.3.0.bn2``; what they give is the
    output of that module alone (a convolution's is before batch normalisation and ReLU). Layers that an image
    passes more than once, and those that change nothing (dropout), are not listed.

    Columns: ``layer``, ``type``, ``filters`` (or units), ``output`` (y x x x filters, as in Table 3),
    ``maps`` (whether it gives maps) and ``parameters``.
    """
    opened = open_network(model)
    rows = []
    for name, shape in opened.outputs.items():
        module, is_map = opened.layers[name], len(shape) == 3
        sides = (*shape[1:], shape[0]) if is_map else shape
        row: dict[str, Any] = {"layer": name, "type": str(getattr(module, "kind", type(module).__name__))}
        row |= {"filters": sides[-1], "output": "x".join(map(str, sides)), "maps": is_map}
        rows.append(row | {"parameters": sum(p.numel() for p in module.parameters())})
    return Table(rows=rows)
