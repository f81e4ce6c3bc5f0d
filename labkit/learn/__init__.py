"""Train networks on Samples and predict with them."""

from __future__ import annotations

from labkit.learn.fit import Fitted, model_folder, train
from labkit.learn.folds import fold_counts, fold_numbers
from labkit.learn.model import Model
from labkit.learn.predict import find_models, out_of_fold, predict
from labkit.learn.previews import augmented_views, layer_rows
from labkit.learn.shared import release

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
