"""Train networks on Samples and predict with them."""

from typing import TYPE_CHECKING, Any

from labkit.learn.augment import augmented_views
from labkit.learn.model import Model, model_folder
from labkit.learn.networks import layer_rows
from labkit.learn.parts import fold_counts, fold_numbers, fold_sizes
from labkit.learn.predict import out_of_fold, predict
from labkit.learn.reference import image_features, reference_features
from labkit.learn.resident import release
from labkit.learn.trained import (
    find_models,
    histories,
    model_calibration,
    model_card,
    model_table,
    shipped_models,
    trained_sets,
    training_table,
)

if TYPE_CHECKING:
    from labkit.learn.fit import train


def __getattr__(name: str) -> Any:
    """`train`, which brings Lightning and all that it imports, only when it is used."""
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labkit.learn.fit import train

    return train
