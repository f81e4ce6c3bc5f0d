"""Activation maps: what the filters of a layer give for an object (Kosiba et al. 2020, Fig. 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.inputs import Images, prepare
from labkit.learn.model import Model

__all__ = ["activation_maps"]


def activation_maps(
    model: Model, images: Images, *, layer: str, filters: Sequence[int] | None = None, **computing: Any
) -> np.ndarray:
    """Outputs of a layer's filters, in the layer's own pixels.

    A layer of the custom network is a convolution *with* its ReLU and before pooling, at full size: ``conv1``
    has the size of the network's input, ``conv2`` half of it, and so on (section 5.4: "the filter output size
    decreases deeper within the network because of the max-pooling"). For other networks see
    `labkit.explain.layers`.

    Parameters
    ----------
    model : Model
        Any network.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    layer : str
        Name of a layer, from `labkit.explain.layers`.
    filters : sequence of int, optional
        Filters to keep, counted from 0, in that order; all by default.
    **computing
        ``device``, ``precision``, ``batch_size`` and ``accept_normalisation``, see
        `labkit.explain.inputs.prepare`.

    Returns
    -------
    ndarray of float32, shape (object, filter, y, x)
        Activations; all of a layer's at full size fill memory quickly (``conv1`` at 356 px: 32 MB an object).

    Raises
    ------
    InputError
        If there is no such layer or filter, or images and model do not fit.
    """
    ready = prepare(model, images, **computing)
    count, ny, nx = ready.opened.maps(layer).shape
    chosen = np.arange(count) if filters is None else np.asarray(filters, dtype=np.int64)
    if chosen.ndim != 1 or ((chosen < 0) | (chosen >= count)).any():
        raise InputError(f"filters must lie in 0 to {count - 1} for layer {layer!r}, got {chosen.tolist()}")
    wanted = torch.from_numpy(chosen).to(ready.device)
    result = np.empty((len(ready), len(chosen), ny, nx), dtype=np.float32)
    for rows, batch in ready.batches():

        def keep(name: str, output: Tensor, rows: slice = rows) -> None:
            result[rows] = output.index_select(1, wanted).float().cpu().numpy()

        ready.run(batch, [layer], keep)
    return result
