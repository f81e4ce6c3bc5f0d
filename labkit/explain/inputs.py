"""Images on their way into a network that is looked into: checked, on the device, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.layers import Opened, open_network
from labkit.explain.taps import evaluating, tapped
from labkit.learn.device import as_input, choose_device
from labkit.learn.model import Model
from labkit.learn.resident import resize_by_area
from labkit.sample import Sample

__all__ = ["Images", "Prepared", "prepare"]

#: What may be explained: a Sample, or grey levels (n, band, y, x) of the model's bands in its order.
Images = Sample | np.ndarray | Tensor

_READ = 256  # objects read at a time


@dataclass(frozen=True)
class Prepared:
    """A model opened on its device, and the images for it.

    Parameters
    ----------
    model : Model
        The model.
    opened : Opened
        Its network.
    images : Sample or Tensor
        Grey levels of the model's bands.
    device : torch.device
        Where the network is.
    precision : str
        ``"fp32"`` or ``"bf16"``.
    batch_size : int
        Images at a time.
    """

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

    def run(
        self,
        batch: Tensor,
        layers: Iterable[str],
        see: Callable[[str, Tensor], Tensor | None],
        *,
        gradients: bool = False,
    ) -> Tensor:
        """Logits of a batch; on the way, `see` gets the outputs of the layers (see `tapped`)."""
        network, half = self.opened.network, self.precision == "bf16"
        chosen = {name: self.opened.layers[name] for name in layers}
        mode = torch.no_grad() if gradients else torch.inference_mode()
        cast = torch.autocast(self.device.type, torch.bfloat16, enabled=half)
        with mode, cast, evaluating(network), tapped(chosen, see):
            return network(batch).float()


def prepare(
    model: Model,
    images: Images,
    *,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int = 16,
    accept_normalisation: bool = False,
) -> Prepared:
    """Check images against a model and open its network.

    Parameters
    ----------
    model : Model
        Trained network; it moves to the device.
    images : Sample, or array or Tensor of uint8, shape (n, band, y, x)
        Normalised images like those the model was trained on. A Sample is checked as in prediction and may
        have further bands; an array has the model's bands in the model's order.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    precision : str, optional
        ``"fp32"`` or ``"bf16"``; default the experiment's.
    batch_size : int
        Images at a time.
    accept_normalisation : bool
        See `labkit.learn.Model.check`.

    Raises
    ------
    InputError
        If images and model do not fit, or an option breaks its rule.
    """
    precision = model.experiment.precision if precision is None else precision
    if precision not in ("fp32", "bf16"):
        raise InputError(f"precision must be 'fp32' or 'bf16', got {precision!r}")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(images, Sample):
        images = model.check(images, accept_normalisation=accept_normalisation)
    elif isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    bands = model.experiment.named_bands
    kind = str(images.dtype).removeprefix("torch.")
    if len(images.shape) != 4 or images.shape[1] != len(bands) or kind != "uint8":
        raise InputError(
            f"images must be uint8 with the shape (n, {len(bands)}, y, x) for the bands {bands}, "
            f"got {kind} {tuple(images.shape)}; normalise them first (labkit.images.normalise)"
        )
    where = choose_device(device)
    model.network.to(where)
    return Prepared(model, open_network(model), images, where, precision, batch_size)
