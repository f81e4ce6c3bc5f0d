"""Class activation: which parts of an image speak for a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from labkit.errors import InputError
from labkit.explain.cam import pooled_layer, weighted_by_output
from labkit.explain.inputs import Images, Prepared, prepare
from labkit.explain.layers import default_layer
from labkit.explain.targets import Target, target_codes
from labkit.learn.model import Model

__all__ = ["METHODS", "ClassActivation", "class_activation", "class_activation_with_scale"]

#: Ways to make a class activation map.
METHODS = ("grad-cam", "hirescam", "cam")


@dataclass(frozen=True)
class ClassActivation:
    """Class activation maps with what they were before they were scaled.

    Parameters
    ----------
    maps : ndarray of float32, shape (n, y, x)
        Each from 0 to 1 at its highest pixel, at the size of the images; zero where nothing speaks for the
        class, and everywhere if nothing does.
    scale : ndarray of float32, shape (n,)
        What 1 stands for, in units of the class's logit (for Grad-CAM and HiResCAM at a pixel of the layer).
    codes : ndarray of int64, shape (n,)
        Number of the class that was explained.
    layer, method : str
        Where and how.
    """

    maps: np.ndarray
    scale: np.ndarray
    codes: np.ndarray
    layer: str
    method: str


def class_activation(
    model: Model,
    images: Images,
    *,
    method: str = "grad-cam",
    target: Target = None,
    layer: str | None = None,
    **computing: Any,
) -> np.ndarray:
    """Class activation maps, 0 to 1; see `class_activation_with_scale` for the method and its parameters.

    Parameters
    ----------
    model, images, method, target, layer, **computing
        As for `class_activation_with_scale`.

    Returns
    -------
    ndarray of float32, shape (n, y, x)
        At the size of the images.

    Raises
    ------
    InputError
        As `class_activation_with_scale`.
    """
    return class_activation_with_scale(
        model, images, method=method, target=target, layer=layer, **computing
    ).maps


def class_activation_with_scale(
    model: Model,
    images: Images,
    *,
    method: str = "grad-cam",
    target: Target = None,
    layer: str | None = None,
    **computing: Any,
) -> ClassActivation:
    """Class activation maps with their scale.

    With A_k the maps of a layer's filters and y the class's logit,

    - ``"grad-cam"``: ReLU(sum_k a_k A_k) with a_k the mean of dy/dA_k over the map (Selvaraju et al. 2017,
      eqs. 1 and 2); any network;
    - ``"hirescam"``: ReLU(sum_k dy/dA_k * A_k), pixel by pixel (Draelos & Carin 2020); any network. Where one
      dense layer follows, its sum before the ReLU is the logit less the bias; Grad-CAM's is not, and may
      vanish everywhere in a network that flattens its maps, as the custom one does;
    - ``"cam"``: ReLU(sum_k w_k A_k) with w the class's weights in the last layer (Zhou et al. 2016, eq. 2);
      for networks that end with global average pooling and a dense layer, such as MobileNet. Its mean
      before the ReLU is the logit less the bias, which is checked.

    Maps are brought to the images' size bilinearly, then each is divided by its own maximum.
    A batch gives the same as one image at a time.

    Parameters
    ----------
    model : Model
        Any network; nothing of it is changed, no gradient is left in it.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    method : str
        See above.
    target : str, int, sequence of these, or None
        The class to explain, by name or number; one for all or one an image; ``"predicted"`` for the one that
        the network decides for. None: the scheme's positive class (``"cluster"``), or ``"predicted"`` in a
        scheme without one.
    layer : str, optional
        Whose maps; by default `labkit.explain.layers.default_layer`, for CAM the one that is pooled.
    **computing
        ``device``, ``precision``, ``batch_size`` and ``accept_normalisation``, see
        `labkit.explain.inputs.prepare`.

    Returns
    -------
    ClassActivation
        Maps and scales.

    Raises
    ------
    InputError
        If method, class or layer is unknown, the method does not fit the network, or images and model do not.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {METHODS}, got {method!r}")
    with torch.inference_mode(False), torch.no_grad():
        ready = prepare(model, images, **computing)
        codes = target_codes(model, target, len(ready))
        name = layer or (pooled_layer(ready) if method == "cam" else default_layer(ready.opened))
        ready.opened.maps(name)
        maps = np.empty((len(ready), *ready.image_shape), dtype=np.float32)
        scale, explained = np.empty(len(ready), dtype=np.float32), np.empty(len(ready), dtype=np.int64)
        for rows, batch in ready.batches():
            wanted = None if codes is None else torch.from_numpy(codes[rows]).to(batch.device)
            raw, used = _raw_maps(ready, batch, wanted, name, method)
            large = functional.interpolate(raw[:, None], ready.image_shape, mode="bilinear")[:, 0]
            top = large.amax((1, 2))
            maps[rows] = (large / torch.where(top > 0, top, 1)[:, None, None]).cpu().numpy()
            scale[rows], explained[rows] = top.cpu().numpy(), used.cpu().numpy()
    return ClassActivation(maps, scale, explained, name, method)


def _raw_maps(
    ready: Prepared, batch: Tensor, codes: Tensor | None, layer: str, method: str
) -> tuple[Tensor, Tensor]:
    """Maps before scaling, shape (n, y, x), rectified, and the classes they are for."""
    held: list[Tensor] = []

    def cut(name: str, output: Tensor) -> Tensor:
        # the graph starts here: nothing before the layer is remembered, and no weight gets a gradient
        held.append(output.detach().requires_grad_())
        torch.set_grad_enabled(True)  # until the forward pass ends
        return held[0].clone()  # later layers may work in place

    logits = ready.run(batch, [layer], cut, gradients=True)
    codes = logits.argmax(1) if codes is None else codes
    activations = held[0]
    if method == "cam":
        raw = weighted_by_output(ready, activations.detach().float(), logits.detach(), codes)
    else:
        gradient = _gradient(logits, codes, activations, layer)
        gradient = gradient.mean((2, 3), keepdim=True) if method == "grad-cam" else gradient
        raw = (gradient * activations.detach().float()).sum(1)
    return raw.clamp_(min=0), codes


def _gradient(logits: Tensor, codes: Tensor, activations: Tensor, layer: str) -> Tensor:
    """Gradient of each image's own logit: images do not mix, so that of the sum."""
    one = torch.zeros_like(logits).scatter_(1, codes[:, None], 1)
    found = (
        torch.autograd.grad(logits, activations, one, allow_unused=True)[0] if logits.requires_grad else None
    )
    if found is None:
        raise InputError(f"layer must lead to the network's output, {layer!r} does not; choose another")
    return found.float()
