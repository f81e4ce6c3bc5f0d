"""The device to compute on, and what it likes: precision, memory, layout of images, a convolution."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError

# px; on two cores with AMX, MobileNet in bfloat16 is 1.2 x slower at 64 px and 1.7 x faster at 224 px
_SMALL_IMAGE = 128
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt (malloc.h)
# Larger blocks are returned to the system and fetched again at every step (glibc's limit for re-use).
_REUSED_BYTES = 2**25
# Numbers that a thread has in hand at a time: its own share of the processor's cache.
_CACHED = 2**17
# Up to here matrix products over pixels are faster than oneDNN's convolution, which is made for more.
_FEW_CHANNELS = 4


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device to compute on; ``"auto"`` is a GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:<n>', got {device!r}") from error
    if chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:<n>', got {device!r}")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {str(device)!r} must be there, found {torch.cuda.device_count()} GPUs; use device='cpu'"
        )
    return chosen


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by units of its own.

    A processor without them emulates it, six to eight times slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(units and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def choose_precision(precision: str, network: nn.Module, *, image_size: int, device: torch.device) -> str:
    """What a network computes in, "fp32" or "bf16": as asked for, or for "auto" whichever is faster.

    On a processor with bfloat16 units it is bfloat16, except for depthwise convolutions (as of MobileNet) of
    small images, where conversions cost more than is won.
    """
    if precision != "auto":
        return precision
    if not has_bfloat16_units(device):
        return "fp32"
    depthwise = any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in network.modules())
    return "fp32" if device.type == "cpu" and depthwise and image_size < _SMALL_IMAGE else "bf16"


def sky_level(normalisation: Any) -> int:
    """Grey level of empty sky that a Sample's normalisation record names; 0 where it names none."""
    return int(normalisation.get("no_emission", 0)) if isinstance(normalisation, dict) else 0


def as_input(images: Tensor, *, sky: int = 0) -> Tensor:
    """Float images in which empty sky is 0, from bytes; channels last, also where there is one channel.

    XAmin's images have a white sky (255). Fed as they are, the custom network stays at chance for its first
    epochs; measured from the sky, which a first layer's bias could do by itself, it learns at once. Zero
    padding and zero-filled channels then mean empty sky, too. Gives float32 distances from the sky's level in
    units of the whole range, positive for sources, which are darker than a sky of 255.
    """
    result = torch.empty(
        images.shape, dtype=torch.float32, device=images.device, memory_format=torch.channels_last
    )
    torch.div(images, 255.0, out=result)
    if sky == 255:
        return result.neg_().add_(1.0)
    return result.sub_(sky / 255.0) if sky else result


def _area_weights(size_in: int, size_out: int) -> Tensor:
    """Share of each input pixel in each output pixel of one axis, shape (size_out, size_in).

    Rows sum to one: an output pixel is the mean over the part of the image that it covers.
    """
    edges_out = torch.arange(size_out + 1, dtype=torch.float64) * size_in / size_out
    edges_in = torch.arange(size_in + 1, dtype=torch.float64)
    right = torch.minimum(edges_out[1:, None], edges_in[None, 1:])
    left = torch.maximum(edges_out[:-1, None], edges_in[None, :-1])
    return ((right - left).clamp(min=0) * size_out / size_in).float()


def resize_by_area(images: Tensor, image_size: int) -> Tensor:
    """Bytes (n, band, y, x) at another image size, each pixel the rounded mean over the area it covers."""
    ny, nx = images.shape[-2:]
    if (ny, nx) == (image_size, image_size):
        return images
    rows, columns = _area_weights(ny, image_size), _area_weights(nx, image_size)
    resized = rows.to(images.device) @ images.float() @ columns.to(images.device).T
    return resized.round_().clamp_(0, 255).to(torch.uint8)


@contextmanager
def reused_memory() -> Iterator[None]:
    """Let glibc keep freed memory for the next step instead of returning it to the system; elsewhere nothing.

    Otherwise every step fetches its feature maps anew, page by page: a third of a step on a CPU. What is kept
    is returned when the block ends.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version, libc.mallopt  # noqa: B018  AttributeError elsewhere
    except (OSError, AttributeError, TypeError):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, 65536)  # glibc's defaults
        libc.mallopt(_TRIM_THRESHOLD, 2**17)
        libc.malloc_trim(0)


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
