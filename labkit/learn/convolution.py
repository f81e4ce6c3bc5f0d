"""A convolution with its max pooling and ReLU, in the memory and with the arithmetic that a CPU likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Larger blocks are returned to the system and fetched again at every step (glibc's limit for re-use).
_REUSED_BYTES = 2**25
# Numbers that a thread has in hand at a time: its own share of the processor's cache.
_CACHED = 2**17
# Up to here matrix products over pixels are faster than oneDNN's convolution, which is made for more.
_FEW_CHANNELS = 4


def convolve_and_pool(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution (3 x 3, same size), max pooling (2 x 2, odd sizes rounded up) and ReLU.

    Images (n, channel, y, x) give features (n, filter, ceil(y / 2), ceil(x / 2)). Pooling comes before the
    ReLU: both are monotonic, so the result is the same with a quarter of the ReLU's work. On a CPU the images
    go through a few at a time where their full-size feature maps would not fit into memory that is re-used.
    """
    n, channels, ny, nx = images.shape
    half = torch.is_autocast_enabled(images.device.type)
    on_cpu = images.device.type == "cpu"
    if on_cpu and channels <= _FEW_CHANNELS and not half and not images.requires_grad:
        return _FewChannels.apply(images, weight, bias)
    width = 2 if half else images.element_size()
    group = max(1, _REUSED_BYTES // (len(weight) * ny * nx * width)) if on_cpu else n
    parts = [
        functional.max_pool2d(functional.conv2d(part, weight, bias, padding=1), 2, ceil_mode=True)
        for part in images.split(max(1, group))
    ]
    return functional.relu_(parts[0] if len(parts) == 1 else torch.cat(parts))


class _FewChannels(torch.autograd.Function):
    """The same for images of few channels that need no gradient: the first layer, on a CPU.

    The four pixels that are pooled into one are four matrix products over the pooled pixels. Only the highest
    of them is kept, with a byte that says which it was; full-size maps and their gradient, three quarters of
    which are zero, never exist. More than twice as fast; results are equal but for rounding.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, _, ny, nx = images.shape
        filters, hy, hx = len(weight), -(-ny // 2), -(-nx // 2)
        matrix = torch.cat([weight.reshape(filters, -1), bias[:, None]], 1).T.contiguous()
        result = images.new_empty((n, hy, hx, filters))
        highest = images.new_empty((n, hy, hx, filters), dtype=torch.int8)  # which of the four
        padded = functional.pad(images.contiguous(), (1, 1 + nx % 2, 1, 1 + ny % 2))
        for part, y, rows, pixels in _blocks(padded, filters):
            best = result[part, y : y + rows].view(-1, filters)
            which = highest[part, y : y + rows].view(-1, filters).zero_()
            torch.mm(pixels[0].T, matrix, out=best)
            for number in (1, 2, 3):
                values = pixels[number].T @ matrix
                view = values.view(rows, hx, filters)
                if number > 1 and ny % 2 and y + rows == hy:
                    view[-1] = -torch.inf  # beyond the image's last row
                if number % 2 and nx % 2:
                    view[:, -1] = -torch.inf
                # comparing into floats, and those into int8, is twice as fast as into bool
                higher = torch.gt(values, best, out=torch.empty_like(values)).to(torch.int8)
                torch.maximum(which, higher.mul_(number), out=which)
                torch.maximum(best, values, out=best)
        features = result.relu_().permute(0, 3, 1, 2)  # channels last
        ctx.save_for_backward(padded, highest, features)
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        padded, highest, features = ctx.saved_tensors
        filters = highest.shape[-1]
        gradient = torch.ops.aten.threshold_backward(gradients[0], features, 0).permute(0, 2, 3, 1)
        total = gradient.new_zeros((9 * padded.shape[1] + 1, filters))
        for part, y, rows, pixels in _blocks(padded, filters):
            here = gradient[part, y : y + rows].reshape(-1, filters)
            which = highest[part, y : y + rows].view(-1, filters)
            for number in range(4):
                chosen = which.clone().eq_(number).to(here.dtype).mul_(here)
                total.addmm_(pixels[number], chosen)
        return None, total[:-1].T.reshape(filters, -1, 3, 3), total[-1]


def _blocks(padded: Tensor, filters: int) -> Iterator[tuple[int, int, int, Tensor]]:
    """Image, first pooled row, rows, and what filters see there: (4, 9 channels and a one, pixel)."""
    n, channels, ny, nx = padded.shape
    hy, hx = (ny - 2) // 2, (nx - 2) // 2
    step = max(1, _CACHED * torch.get_num_threads() // (hx * filters))
    _, sc, sy, sx = padded.stride()
    for y in range(0, hy, step):
        rows = min(step, hy - y)
        pixels = padded.new_ones((4, 9 * channels + 1, rows * hx))
        for part in range(n):
            for number in range(4):
                corner = padded[part, 0, 2 * y + number // 2, number % 2 :].storage_offset()
                seen = padded.as_strided(
                    (channels, 3, 3, rows, hx), (sc, sy, sx, 2 * sy, 2 * sx), storage_offset=corner
                )
                pixels[number, :-1].view(channels, 3, 3, rows, hx).copy_(seen)
            yield part, y, rows, pixels
