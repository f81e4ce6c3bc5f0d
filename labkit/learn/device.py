"""The device to compute on, and what it likes: precision, memory, layout of images, a convolution."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError

# px; on two cores with AMX, MobileNet in bfloat16 is 1.2 x slower at 64 px and 1.7 x faster at 224 px
_DEPTHWISE_FP32_BELOW = 128
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt (malloc.h)
# Larger blocks are returned to the system and fetched again at every step (glibc's limit for re-use).
_REUSED_BYTES = 2**25
# Up to here a matrix product over pixels is faster than oneDNN's gradient of the weights, made for more.
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
    return "fp32" if device.type == "cpu" and depthwise and image_size < _DEPTHWISE_FP32_BELOW else "bf16"


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
    half = torch.is_autocast_enabled(images.device.type)
    on_cpu = images.device.type == "cpu"
    if on_cpu and images.shape[1] <= _FEW_CHANNELS and not half and not images.requires_grad:
        return _FewChannels.apply(images, weight, bias)
    width = 2 if half else images.element_size()
    group = _group(images, len(weight), width) if on_cpu else len(images)
    parts = [
        functional.max_pool2d(functional.conv2d(part, weight, bias, padding=1), 2, ceil_mode=True)
        for part in images.split(group)
    ]
    return functional.relu_(parts[0] if len(parts) == 1 else torch.cat(parts))


class _FewChannels(torch.autograd.Function):
    """The same for images of few channels that need no gradient: the first layer, on a CPU.

    oneDNN is slow at the gradient of the weights where there are few channels; here it is a matrix product
    over the pixels, one image at a time. Results are equal but for rounding.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layout = torch.channels_last
        weight = weight.contiguous(memory_format=layout)
        ctx.parts = images.split(_group(images, len(weight), images.element_size()))
        pooled = []
        for part in ctx.parts:
            full = functional.conv2d(part, weight, bias, padding=1).contiguous(memory_format=layout)
            pooled.append(functional.max_pool2d(full, 2, ceil_mode=True, return_indices=True))
        features = functional.relu_(torch.cat([values for values, _ in pooled]))
        ctx.save_for_backward(features, *(indices for _, indices in pooled))
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        features, *indices = ctx.saved_tensors
        filters, channels = features.shape[1], ctx.parts[0].shape[1]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        gradient = torch.ops.aten.threshold_backward(gradient, features, 0)
        total = gradient.new_zeros((9 * channels, filters))
        for part, where, here in zip(
            ctx.parts, indices, gradient.split([len(part) for part in ctx.parts]), strict=True
        ):
            n, _, ny, nx = part.shape
            shape = torch.empty(  # only its shape counts
                (n, filters, ny, nx), dtype=here.dtype, memory_format=torch.channels_last
            )
            full = torch.ops.aten.max_pool2d_with_indices_backward(
                here, shape, [2, 2], [2, 2], [0, 0], [1, 1], True, where
            )
            seen = functional.unfold(part.contiguous(), 3, padding=1)  # (n, 9 channels, pixel)
            for pixels, values in zip(seen, full.permute(0, 2, 3, 1).reshape(n, -1, filters), strict=True):
                total.addmm_(pixels, values)
        return None, total.T.reshape(filters, channels, 3, 3), gradient.sum((0, 2, 3))


def _group(images: Tensor, filters: int, width: int) -> int:
    """Images whose full-size feature maps, numbers of so many bytes, fit into memory that is re-used."""
    ny, nx = images.shape[-2:]
    return max(1, _REUSED_BYTES // (filters * ny * nx * width))
