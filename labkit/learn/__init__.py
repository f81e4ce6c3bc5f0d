"""Train networks on Samples and predict with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.learn.folds import fold_counts, fold_numbers
from labkit.learn.model import Fitted, Model, model_folder
from labkit.learn.predict import find_models, out_of_fold, predict
from labkit.learn.previews import augmented_views, layer_rows
from labkit.learn.resident import release

if TYPE_CHECKING:
    from labkit.learn.fit import train

__all__ = [
    "Fitted",
    "Model",
    "augmented_views",
    "find_models",
    "fold_counts",
    "fold_numbers",
    "layer_rows",
    "model_folder",
    "out_of_fold",
    "predict",
    "release",
    "train",
]


def __getattr__(name: str) -> Any:
    """`train`, which brings Lightning and all that it imports, only when it is used."""
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labkit.learn.fit import train

    return train
