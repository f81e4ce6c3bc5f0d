"""Train networks on Samples and predict with them."""

from __future__ import annotations

from labkit.learn.fit import Fitted, model_folder, train, train_seeds
from labkit.learn.model import Model
from labkit.learn.predict import predict
from labkit.learn.previews import augmented_views, layer_rows

__all__ = [
    "Fitted",
    "Model",
    "augmented_views",
    "layer_rows",
    "model_folder",
    "predict",
    "train",
    "train_seeds",
]
