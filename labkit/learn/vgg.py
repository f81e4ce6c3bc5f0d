"""The VGG-like network of Angora et al. 2020, and a small one of the same build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from labkit.errors import InputError
from labkit.experiment import EMPTY

#: Filters of each convolution, block by block, and units of the dense layers (Table B.1).
BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
DENSE = (4096, 4096)
#: The same build for two processor cores: one convolution a block, an eighth of the width.
SMALL_BLOCKS = ((16,), (32,), (64,), (64,))
SMALL_DENSE = (128, 128)

#: Slope of the leaky ReLU below zero (Angora et al. 2020, equation B.5).
SLOPE = 0.3


class VggNetwork(nn.Module):
    """Blocks of 3 x 3 convolutions with leaky ReLU and max pooling, two dense layers with dropout.

    Angora et al. (2020), appendix B and Table B.1: 16 convolutions in five blocks, 64 px to 2 px, then twice
    4096 units; 12 bands make the 6976 parameters of the first layer. Of the shapes in that table (16,
    16, 126), (16, 32, 256) and the (8, 8, 512) between layers of 4 px are misprints, as the parameter counts
    show. The dropout rate is not given; the softmax is in the loss.

    How weights started is not said. Keras' default halves the signal's variance in each of sixteen leaky
    layers, so here they start as He et al. (2015) for this slope, biases at zero. Pooling comes before the
    leaky ReLU: both are monotonic, so the result is the same with a quarter of the work.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: Sequence[str],
        image_size: int = 64,
        dropout: float = 0.5,
        blocks: Sequence[Sequence[int]] = BLOCKS,
        dense: Sequence[int] = DENSE,
    ) -> None:
        super().__init__()
        if EMPTY in channels:
            raise InputError(
                f"bands of a VGG-like network must all be of the Sample, got {tuple(channels)}; "
                f"leave {EMPTY!r} out"
            )
        side = image_size >> len(blocks)
        if not side:
            raise InputError(
                f"image_size must be at least {1 << len(blocks)} px for {len(blocks)} poolings, "
                f"got {image_size}"
            )
        width = len(channels)
        self.blocks = nn.ModuleList()
        for filters in blocks:
            widths = (width, *filters)
            pairs = zip(widths, filters, strict=False)
            self.blocks.append(nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs))
            width = widths[-1]
        units = (width * side * side, *dense)
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in zip(units, dense, strict=False))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units[-1], classes)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
                nn.init.zeros_(cast(Tensor, layer.bias))
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of each image.

        Shapes: images (n, band, y, x) -> (n, classes).
        """
        for block in cast(list[nn.ModuleList], list(self.blocks)):
            for layer in block[:-1]:
                images = functional.leaky_relu(layer(images), SLOPE)
            images = functional.leaky_relu(functional.max_pool2d(block[-1](images), 2), SLOPE)
        features = images.flatten(1)
        for layer in self.dense:
            features = self.dropout(functional.leaky_relu(layer(features), SLOPE))
        return self.output(features)
