"""Maps of an image: what a layer's filters give for it, and which of its parts speak for a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError, need_choice
from labkit.explain.layers import Computing, Images, Prepared, Target, default_layer, prepare
from labkit.learn.model import Fitted, Model
from labkit.learn.networks import PyramidNetwork

#: Ways to make a class activation map; `_raw_maps` makes them.
METHODS = ("grad-cam", "hirescam", "cam")

#: How well CAM's maps must add up to the logits, relative to the largest.
_EXACT = {"fp32": 1e-3, "bf16": 5e-2}


def filter_maps(
    model: Model | Fitted | str | Path,
    images: Images,
    *,
    layer: str,
    filters: Sequence[int] | None = None,
    **computing: Unpack[Computing],
) -> np.ndarray:
    """Outputs of a layer's filters, in the layer's own pixels (Kosiba et al. 2020, Fig. 12).

    A layer of the custom network is a convolution *with* its ReLU and before pooling, at full size: ``conv1``
    has the size of the network's input, ``conv2`` half of it, and so on (section 5.4: "the filter output size
    decreases deeper within the network because of the max-pooling"). For other networks see
    `labkit.explain.layers`.

    Parameters
    ----------
    model : Model, Fitted or path
        Any network, or the folder of one.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    layer : str
        Name of a layer, from `labkit.explain.layers`.
    filters : sequence of int, optional
        Filters to keep, counted from 0, in that order; all by default.
    **computing
        See `labkit.explain`.

    Returns
    -------
    ndarray of float32, shape (object, filter, y, x)
        Activations; those of a whole layer fill memory quickly (``conv1`` at 356 px: 32 MB per object).

    Raises
    ------
    InputError
        If there is no such layer or filter, or images and model do not fit.
    """
    ready = prepare(model, images, **computing)
    count, ny, nx = ready.opened.maps(layer)
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


@dataclass(frozen=True)
class ClassActivation:
    """Class activation maps with what they were before they were scaled; as an array, the maps."""

    maps: np.ndarray  # (n, y, x), 0 to 1 at its highest pixel; zero where nothing speaks for the class
    scale: np.ndarray  # (n,), what 1 stands for, in the logit's units (for gradients at a layer's pixel)
    codes: np.ndarray  # (n,), number of the class that was explained
    layer: str
    method: str

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.maps, dtype=dtype, copy=copy)


def class_activation(
    model: Model | Fitted | str | Path,
    images: Images,
    *,
    method: str = "grad-cam",
    target: Target = None,
    layer: str | None = None,
    **computing: Unpack[Computing],
) -> ClassActivation:
    """Class activation maps: which parts of an image speak for a class.

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
    model : Model, Fitted or path
        Any network, or the folder of one; nothing of it is changed, no gradient is left in it.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images; a Sample may be raw.
    method : str
        See above.
    target : str, int, sequence of these, or None
        The class to explain, by name or number; one for all or one per image; ``"predicted"`` for the one
        that the network decides for. None: the scheme's positive class (``"cluster"``), or ``"predicted"``
        in a scheme without one.
    layer : str, optional
        Whose maps; by default the last stage with maps at least 6 px wide, for CAM the one pooled.
    **computing
        See `labkit.explain`.

    Returns
    -------
    ClassActivation
        ``maps`` (n, y, x), from 0 to 1 at the images' size, which it also is as an array; ``scale`` (n), what
        1 stands for in units of the class's logit; ``codes`` (n), ``layer`` and ``method``.

    Raises
    ------
    InputError
        If method, class or layer is unknown, the method does not fit the network, or images and model do not.
    """
    need_choice("method", method, METHODS)
    with torch.inference_mode(False), torch.no_grad():
        ready = prepare(model, images, **computing)
        if isinstance(ready.opened.network, PyramidNetwork):
            raise InputError(
                "model must keep places of an image in its maps, got the network 'pyramid', which sees four "
                "scales in one; use a network such as 'vgg-small'"
            )
        codes = ready.codes(target)
        name = layer or (_pooled_layer(ready) if method == "cam" else default_layer(ready.opened))
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
        raw = _weighted_by_output(ready, activations.detach().float(), logits.detach(), codes)
    else:
        gradient = _gradient(logits, codes, activations, layer)
        gradient = gradient.mean((2, 3), keepdim=True) if method == "grad-cam" else gradient
        raw = (gradient * activations.detach().float()).sum(1)
    return raw.clamp_(min=0), codes


def _gradient(logits: Tensor, codes: Tensor, activations: Tensor, layer: str) -> Tensor:
    """Gradient of each image's own logit: images do not mix, so that of the sum."""
    one, found = torch.zeros_like(logits).scatter_(1, codes[:, None], 1), None
    if logits.requires_grad:
        found = torch.autograd.grad(logits, activations, one, allow_unused=True)[0]
    if found is None:
        raise InputError(f"layer must lead to the network's output, {layer!r} does not; choose another")
    return found.float()


def _pooled_layer(ready: Prepared) -> str:
    """The last layer whose filters are the inputs of the last dense layer."""
    wanted, opened = _last_dense(ready).in_features, ready.opened
    maps = [name for name, shape in opened.outputs.items() if len(shape) == 3 and shape[0] == wanted]
    if not (fitting := [name for name in maps if not opened.pools(name)]):
        raise _no_cam(ready)
    return fitting[-1]


def _weighted_by_output(ready: Prepared, activations: Tensor, logits: Tensor, codes: Tensor) -> Tensor:
    """Maps weighted by the class's weights, if they add up to the logits."""
    dense = _last_dense(ready)
    weight = dense.weight.detach().float()
    if activations.shape[1] != weight.shape[1]:
        raise _no_cam(ready)
    bias = 0 if dense.bias is None else dense.bias.detach().float()
    tolerance = _EXACT[ready.precision] * max(1.0, float(logits.abs().max()))
    if not torch.allclose(activations.mean((2, 3)) @ weight.T + bias, logits, rtol=0, atol=tolerance):
        raise _no_cam(ready)
    return torch.einsum("nk,nkyx->nyx", weight[codes], activations)


def _last_dense(ready: Prepared) -> nn.Linear:
    dense = [module for module in ready.opened.network.modules() if isinstance(module, nn.Linear)]
    if not dense or dense[-1].out_features != len(ready.model.classes):
        raise _no_cam(ready)
    return dense[-1]


def _no_cam(ready: Prepared) -> InputError:
    return InputError(
        "method 'cam' needs a network that ends with global average pooling of the layer and one dense "
        f"layer, got {ready.model.experiment.network!r}; use method='grad-cam'"
    )
