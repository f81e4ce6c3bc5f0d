"""Networks of timm, for any channels and classes, with weights from its hub or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from labkit.errors import InputError, MissingDataError
from labkit.experiment import EMPTY

__all__ = ["FillEmpty", "load_pretrained", "timm_network"]


class FillEmpty(nn.Module):
    """Put images of the named bands into their channels, zeros into the empty ones.

    Parameters
    ----------
    channels : sequence of str
        All channels in order.
    """

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
) -> nn.Module:
    """A network of timm for any channels and classes.

    Parameters
    ----------
    model : str
        timm's name of the architecture, such as ``"mobilenetv1_100"``.
    classes : int
        Outputs.
    channels : sequence of str
        Input channels in order; those called ``"empty"`` are filled with zeros.
    dropout : float
        Dropout before the output layer.
    pretrained : bool or path
        True: timm's weights from its hub; a path: a file of weights, see `load_pretrained`.

    Raises
    ------
    InputError
        If timm knows no such model.
    MissingDataError
        If the weights cannot be had.
    """
    if not timm.is_model(model.split(".")[0]):
        raise InputError(
            f"network must be a model that timm {timm.__version__} knows, got {model!r}; "
            "see timm.list_models()"
        )
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
    if isinstance(pretrained, str | Path):
        load_pretrained(network, pretrained)
    return nn.Sequential(FillEmpty(channels), network)


def load_pretrained(network: nn.Module, path: str | Path) -> None:
    """Fill a timm network with weights from a file, as far as input and output sizes allow.

    The first convolution is adapted to the network's channels (weights summed or repeated, timm's
    rule); the output layer is left as it is where the number of classes differs.

    Parameters
    ----------
    network : Module
        Network made by timm; changed in place.
    path : path
        ``.safetensors``, or a PyTorch file of tensors only; pickled code is never run.

    Raises
    ------
    MissingDataError
        If the file is not there.
    InputError
        If it is not of this network.
    """
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
