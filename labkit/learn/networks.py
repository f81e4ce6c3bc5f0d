"""The networks: the custom one of Kosiba et al. 2020, VGG-like ones, and any other through timm.

Every network takes images of the *named* bands only, shape (n, band, y, x) with grey levels from 0
to 1. A zero-filled channel, which the paper's three-channel images have, adds nothing to a
convolution, so the custom network keeps its weights but leaves out its arithmetic.
"""

import bisect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError, MissingDataError, boundary
from labkit.experiment import EMPTY, Experiment
from labkit.learn.device import convolve_and_pool

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
#: Pixels averaged along each axis at a pyramid's scales, filters of its blocks, units of its dense layer.
_SCALES = (1, 2, 4, 8)
_PYRAMID_BLOCKS = (64, 64)
_PYRAMID_DENSE = 64

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
        for layer in (*self.convolutions, self.dense, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, band, y, x), the filled channels' grey levels from 0 to 1."""
        first, *others = cast(list[nn.Conv2d], list(self.convolutions))
        weight = first.weight if self._all_filled else first.weight.index_select(1, self.filled)
        images = convolve_and_pool(images, weight, cast(Tensor, first.bias))
        for layer in others:
            images = convolve_and_pool(images, layer.weight, cast(Tensor, layer.bias))
        features = functional.relu(self.dense(images.flatten(1)))
        return self.output(self.dropout(features))


class VggNetwork(nn.Module):
    """Blocks of 3 x 3 convolutions with leaky ReLU and max pooling, two dense layers with dropout.

    Angora et al. (2020), appendix B and Table B.1: 16 convolutions in five blocks, 64 px to 2 px, then twice
    4096 units; 12 bands make the 6976 parameters of the first layer. Of the shapes in that table (16, 16,
    126), (16, 32, 256) and the (8, 8, 512) between layers of 4 px are misprints, as the parameter counts
    show. The dropout rate is not given. How weights started is not said: Keras' default halves the signal's
    variance in each of sixteen leaky layers, so here they start as He et al. (2015) for this slope. Pooling
    comes before the leaky ReLU: the result is the same with a quarter of the work.
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
        _need_filled(channels)
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


class PyramidNetwork(nn.Module):
    """The middle of an image at four scales, for thousands of cut-outs of one object each; not of papers.

    The inner eighth of the image as it is, the inner quarter in means of 2 x 2 pixels and so on to the whole
    in means of 8 x 8, all about the centre and of one size, are the channels: core, galaxy and surroundings
    at a sixty-fourth of the pixels. Each is standardised; a 1 x 1 convolution may take differences, which are
    colours and concentrations where grey levels are logarithmic. Then come two blocks of 3 x 3 convolution,
    batch normalisation, SiLU and pooling, and a dense layer with dropout before and after. Places in its maps
    are of all scales at once, so that they cannot be laid over the image.
    """

    def __init__(
        self, classes: int, *, channels: Sequence[str], image_size: int = 64, dropout: float = 0.4
    ) -> None:
        super().__init__()
        _need_filled(channels)
        self.side = image_size // max(_SCALES)
        if self.side >> len(_PYRAMID_BLOCKS) == 0 or image_size % max(_SCALES):
            raise InputError(
                f"image_size must be a multiple of {max(_SCALES)} px from "
                f"{max(_SCALES) << len(_PYRAMID_BLOCKS)} for this network, got {image_size}"
            )
        width, first = len(_SCALES) * len(channels), _PYRAMID_BLOCKS[0]
        layers: list[nn.Module] = [nn.BatchNorm2d(width, affine=False), nn.Conv2d(width, first, 1), nn.SiLU()]
        for n_in, n_out in pairwise((first, *_PYRAMID_BLOCKS)):
            convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(n_out), nn.SiLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        pixels = (self.side >> len(_PYRAMID_BLOCKS)) ** 2
        self.dense = nn.Linear(_PYRAMID_BLOCKS[-1] * pixels, _PYRAMID_DENSE)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(_PYRAMID_DENSE, classes)

    def scales(self, images: Tensor) -> Tensor:
        """The images (n, band, y, x) about their centre at each scale, (n, scale x band, side, side)."""
        found = []
        for scale in _SCALES:
            width = scale * self.side
            first = (images.shape[-1] - width) // 2
            inner = images[..., first : first + width, first : first + width]
            found.append(inner if scale == 1 else functional.avg_pool2d(inner, scale))
        return torch.cat(found, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, band, y, x), distances of grey levels from the sky's."""
        features = self.dropout(self.layers(self.scales(images)).flatten(1))
        return self.output(self.dropout(functional.silu(self.dense(features))))


def _need_filled(channels: Sequence[str]) -> None:
    if EMPTY in channels:
        raise InputError(
            f"bands of this network must all be of the Sample, got {tuple(channels)}; leave {EMPTY!r} out"
        )


class FillEmpty(nn.Module):
    """Put images of the named bands into their channels, zeros into the empty ones."""

    def __init__(self, channels: Sequence[str]) -> None:
        super().__init__()
        filled = [i for i, name in enumerate(channels) if name != EMPTY]
        self.filled: Tensor
        self.register_buffer("filled", torch.tensor(filled), persistent=False)
        self.n_channels = len(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, band, y, x) as (n, channel, y, x)."""
        n, bands, ny, nx = images.shape
        if bands == self.n_channels:
            return images
        full = images.new_zeros((n, self.n_channels, ny, nx)).contiguous(memory_format=torch.channels_last)
        return full.index_copy(1, self.filled, images)


def timm_network(
    model: str,
    classes: int,
    *,
    channels: Sequence[str],
    dropout: float = 0.0,
    pretrained: bool | str | Path = False,
    image_size: int | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network of timm for any channels (those called ``"empty"`` are filled with zeros) and classes.

    `pretrained`: True takes timm's weights from its hub, a path those of a file, see `load_pretrained`.
    `architecture` is what `hub_architecture` gave when the hub was at hand.
    """
    import timm  # brings torchvision and torch's compiler: seconds that the papers' networks need not wait

    architecture = architecture or hub_architecture(model)
    built = model if pretrained is True else str(architecture.get("model", model))
    plain = str(architecture.get("model", model)).split(".")[0]
    if not timm.is_model(plain):
        raise InputError(
            f"network must be a model that timm {timm.__version__} knows, got {model!r}; "
            "see timm.list_models()"
        )
    if image_size is not None:
        _check_size(plain, image_size)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": len(channels), "drop_rate": dropout}
    try:
        network = timm.create_model(
            built, pretrained=pretrained is True, **architecture.get("arguments", {}), **options
        )
    except (OSError, RuntimeError) as error:
        if pretrained is not True:
            raise
        raise MissingDataError(
            f"pretrained weights of {model!r} could not be had from timm's hub ({type(error).__name__}); "
            "connect to the network, or download them elsewhere and give pretrained='<file>.safetensors'"
        ) from error
    _initialise_output(network)
    if isinstance(pretrained, str | Path):
        load_pretrained(network, pretrained)
    return nn.Sequential(FillEmpty(channels), network)


def on_hub(network: str) -> bool:
    """Whether a network is one of the Hugging Face hub."""
    return network.removeprefix("timm:").startswith(("hf_hub:", "hf-hub:"))


def hub_architecture(network: str) -> dict[str, Any]:
    """Timm's name of a network of the Hugging Face hub, with its arguments; empty for other networks."""
    if not on_hub(network):
        return {}
    from timm.models import load_model_config_from_hf

    name = network.removeprefix("timm:").partition(":")[2]
    try:
        _, model, arguments = load_model_config_from_hf(name)
    except Exception as error:  # the boundary: no connection, no such model, no access
        raise MissingDataError(
            f"network {name!r} could not be had from the Hugging Face hub ({type(error).__name__}); connect "
            "to it, check the name, or fetch it elsewhere into the cache folder that HF_HOME names"
        ) from error
    ours = ("in_chans", "num_classes", "drop_rate")
    return {"model": model, "arguments": {key: arguments[key] for key in arguments if key not in ours}}


def _check_size(model: str, image_size: int) -> None:
    """Refuse images that a model's layers cannot take; only shapes are computed, no pixels or weights."""
    import timm

    with torch.device("meta"):
        network = timm.create_model(model.split(".")[0]).eval()
    if _takes(network, image_size):
        return
    published: Any = network.pretrained_cfg
    usual = int(published["input_size"][-1])
    sizes = range(image_size + 1, usual + 1)
    if not sizes or not _takes(network, usual):
        raise InputError(f"image_size must be one that {model!r} takes, such as {usual}, got {image_size} px")
    smallest = sizes[bisect.bisect_left(sizes, True, key=lambda size: _takes(network, size))]
    raise InputError(
        f"image_size must be at least {smallest} px for {model!r} ({usual} px as published), got {image_size}"
    )


def _takes(network: nn.Module, size: int) -> bool:
    try:
        with torch.inference_mode():
            network(torch.empty((1, 3, size, size), device="meta"))
    except (RuntimeError, AssertionError, ValueError):  # a kernel larger than its map, or a fixed size
        return False
    return True


def _initialise_output(network: nn.Module) -> None:
    """Let the output layer start as in Keras, which the paper used: Glorot uniform, zero bias.

    timm draws MobileNet's from +-1 / sqrt(classes): for two classes logits then differ by several units
    before anything is learned, and a network that starts from nothing stays at chance.
    """
    output: Any = network.get_classifier()  # type: ignore[operator]
    for parameter in output.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)


def load_pretrained(network: nn.Module, path: str | Path) -> None:
    """Fill a timm network with weights from a file, as far as input and output sizes allow.

    timm adapts the first convolution to the channels; the output layer stays where the number of classes
    differs. The file is ``.safetensors``, or a PyTorch file of tensors only; pickled code is never run.
    """
    from timm.models import adapt_input_conv

    path = Path(path)
    if not path.is_file():
        raise MissingDataError(
            f"pretrained must be an existing file of weights, got {str(path)!r}; check the path"
        )
    with boundary(f"pretrained must be a file of tensors, {str(path)!r} cannot be read", "get it again"):
        if path.suffix == ".safetensors":
            weights = safetensors.torch.load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    layers: Any = network.pretrained_cfg
    first, last = layers["first_conv"], layers["classifier"]
    own = network.state_dict()
    for part in ("weight", "bias"):
        name = f"{last}.{part}"
        if name in own and (name not in weights or weights[name].shape != own[name].shape):
            weights[name] = own[name]
    try:
        if f"{first}.weight" in weights and f"{first}.weight" in own:
            n_in = own[f"{first}.weight"].shape[1]
            weights[f"{first}.weight"] = adapt_input_conv(n_in, weights[f"{first}.weight"])
        network.load_state_dict(weights)
    except (RuntimeError, NotImplementedError) as error:  # weights of 2 channels, say, become no others
        raise InputError(
            f"pretrained file {str(path)!r} must hold weights of this network: {error}"
        ) from error


#: Networks that are written out here.
_OURS: dict[str, Callable[..., nn.Module]] = {
    "custom": CustomNetwork,
    "vgg": partial(VggNetwork, blocks=VGG_BLOCKS, dense=_VGG_DENSE),
    "vgg-small": partial(VggNetwork, blocks=_SMALL_BLOCKS, dense=_SMALL_DENSE),
    "pyramid": PyramidNetwork,
}


def build_network(experiment: Experiment, *, architecture: Mapping[str, Any] | None = None) -> nn.Module:
    """The network of an experiment, with its first weights drawn from torch's global generator.

    With the `architecture` that `hub_architecture` gave, a network of the hub needs no connection.
    """
    classes = experiment.outputs
    options: dict[str, Any] = {"channels": experiment.bands, "image_size": experiment.image_size}
    options["dropout"] = experiment.dropout
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
        options |= {"pretrained": experiment.pretrained, "architecture": architecture}
        network = timm_network(model, classes, **options)
    return network.to(memory_format=torch.channels_last)


def parts_of(network: nn.Module) -> tuple[str, set[str]]:
    """Names in a network's state: weights of its first convolution, and all of its output layer."""
    inner: Any = network[1] if isinstance(network, nn.Sequential) else network
    output = inner.get_classifier() if hasattr(inner, "get_classifier") else inner.output
    own = {id(value) for value in output.parameters()}
    first = next((one.weight for one in network.modules() if isinstance(one, nn.Conv2d)), None)
    names = {name: id(value) for name, value in network.named_parameters()}
    return (
        next((name for name, value in names.items() if value == id(first)), ""),
        {name for name, value in names.items() if value in own},
    )


def layer_numbers(network: nn.Module) -> dict[str, int]:
    """Number of the layer, from 0 at the input, that each parameter belongs to: timm's own, or by module."""
    inner: Any = network[1] if isinstance(network, nn.Sequential) else network
    names = [name for name, _ in inner.named_parameters()]
    layers = {name: name.rpartition(".")[0] for name in names}
    numbers = {name: list(dict.fromkeys(layers.values())).index(layers[name]) for name in names}
    if hasattr(inner, "group_matcher"):
        from timm.models import group_parameters

        numbers = group_parameters(inner, inner.group_matcher(coarse=False), reverse=True)
    order = sorted(set(numbers.values()))
    start = "1." if inner is not network else ""
    return {f"{start}{name}": order.index(numbers[name]) for name in names}


def layer_rows(experiment: Experiment) -> list[dict[str, Any]]:
    """Layers of an experiment's network in order; pretrained weights are not read.

    A row has ``layer`` (number), ``type``, ``filters``, ``input`` (y x x x channels, for the custom network
    as in Kosiba et al. 2020, Table 3, for VGG-like ones as in Angora et al. 2020, Table B.1) and
    ``parameters``.
    """
    with torch.random.fork_rng(devices=[]):
        network = build_network(experiment.untrained)
    if isinstance(network, CustomNetwork | VggNetwork):
        rows = _printed_rows(network, experiment.image_size)
    else:
        rows = [
            _row(type(layer).__name__, "x".join(map(str, next(layer.parameters()).shape)), "", layer)
            for layer in network.modules()
            if not list(layer.children()) and list(layer.parameters())
        ]
    return [{"layer": number, **row} for number, row in enumerate(rows, start=1)]


def _printed_rows(network: CustomNetwork | VggNetwork, side: int) -> list[dict[str, Any]]:
    """Rows as the papers' tables have them, with pooling and flattening."""
    blocks: Any
    dense: list[Any]
    rounds_up = isinstance(network, CustomNetwork)
    if isinstance(network, CustomNetwork):
        blocks, dense = [[one] for one in network.convolutions], [network.dense, network.output]
    else:
        blocks, dense = network.blocks, [*network.dense, network.output]
    rows = []
    for block in blocks:
        for layer in block:
            rows.append(
                _row("conv", f"3x3x{layer.out_channels}", f"{side}x{side}x{layer.in_channels}", layer)
            )
        rows.append(_row("max pool", "2x2/2", f"{side}x{side}x{block[-1].out_channels}"))
        side = -(-side // 2) if rounds_up else side // 2
    rows.append(_row("flatten", "", f"{side}x{side}x{dense[0].in_features // side**2}"))
    return rows + [_row("dense", str(one.out_features), str(one.in_features), one) for one in dense]


def _row(kind: str, filters: str, shape: str, layer: nn.Module | None = None) -> dict[str, Any]:
    parameters = 0 if layer is None else sum(p.numel() for p in layer.parameters())
    return {"type": kind, "filters": filters, "input": shape, "parameters": parameters}
