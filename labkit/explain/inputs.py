"""What goes into a network that is looked into: checked images in batches, and the class to explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.layers import Opened, See, evaluating, open_network, tapped
from labkit.learn.device import as_input, choose_device, choose_precision, resize_by_area
from labkit.learn.model import Model
from labkit.sample import Sample

#: What may be explained: a Sample, or grey levels (n, band, y, x) of the model's bands in its order.
Images = Sample | np.ndarray | Tensor
#: A class by name or number, one per image, ``"predicted"``, or None.
Target = str | int | Sequence[str | int] | np.ndarray | None

_READ = 256  # objects read at a time


class Computing(TypedDict, total=False):
    """How to compute; every function of this room takes these options, see `labkit.explain`."""

    device: str | torch.device
    precision: str | None
    batch_size: int
    accept_normalisation: bool


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
    model: Model,
    images: Images,
    *,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int = 16,
    accept_normalisation: bool = False,
) -> Prepared:
    """Check normalised images against a model and open its network, which moves to the device.

    A Sample is checked as in prediction and may have further bands; an array or Tensor of uint8, shape
    (n, band, y, x), has the model's bands in the model's order.
    """
    precision = model.experiment.precision if precision is None else precision
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision must be 'auto', 'fp32' or 'bf16', got {precision!r}")
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
    precision = choose_precision(
        precision, model.network, image_size=model.experiment.image_size, device=where
    )
    return Prepared(model, open_network(model), images, where, precision, batch_size)
