"""Networks of timm, for any channels and classes, with weights from its hub or from a file."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from labkit.errors import InputError, MissingDataError
from labkit.experiment import EMPTY


class FillEmpty(nn.Module):
    """Put images of the named bands into their channels, zeros into the empty ones."""

    def __init__(self, channels: Sequence[str]) -> None:
        super().__init__()
        filled = [i for i, name in enumerate(channels) if name != EMPTY]
        self.filled: Tensor
        self.register_buffer("filled", torch.tensor(filled), persistent=False)
        self.n_channels = len(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (n, band, y, x) as (n, channel, y, x)."""
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
) -> nn.Module:
    """A network of timm for any channels (those called ``"empty"`` are filled with zeros) and classes.

    `pretrained`: True takes timm's weights from its hub, a path those of a file, see `load_pretrained`.
    """
    import timm  # brings torchvision and torch's compiler: seconds that the papers' networks need not wait

    if not timm.is_model(model.split(".")[0]):
        raise InputError(
            f"network must be a model that timm {timm.__version__} knows, got {model!r}; "
            "see timm.list_models()"
        )
    if image_size is not None:
        _check_size(model, image_size)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": len(channels), "drop_rate": dropout}
    try:
        network = timm.create_model(model, pretrained=pretrained is True, **options)
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

    The first convolution is adapted to the network's channels (weights summed or repeated, timm's
    rule); the output layer is left as it is where the number of classes differs. The file is
    ``.safetensors``, or a PyTorch file of tensors only; pickled code is never run.
    """
    from timm.models import adapt_input_conv

    path = Path(path)
    if not path.is_file():
        raise MissingDataError(
            f"pretrained must be an existing file of weights, got {str(path)!r}; check the path"
        )
    try:
        weights = (
            safetensors.torch.load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # each format has its own errors, none of which names the file
        raise InputError(
            f"pretrained must be a file of tensors, {str(path)!r} cannot be read ({error})"
        ) from error
    layers: Any = network.pretrained_cfg
    first, last = layers["first_conv"], layers["classifier"]
    own = network.state_dict()
    if f"{first}.weight" in weights and f"{first}.weight" in own:
        n_in = own[f"{first}.weight"].shape[1]
        weights[f"{first}.weight"] = adapt_input_conv(n_in, weights[f"{first}.weight"])
    for part in ("weight", "bias"):
        name = f"{last}.{part}"
        if name in own and (name not in weights or weights[name].shape != own[name].shape):
            weights[name] = own[name]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"pretrained file {str(path)!r} must hold weights of this network: {error}"
        ) from error
