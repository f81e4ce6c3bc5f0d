"""The networks of Kosiba et al. 2020 by name."""

from __future__ import annotations

from typing import Any

from labkit.errors import InputError
from labkit.experiment.experiment import EMPTY, Experiment
from labkit.experiment.settings import SGD, Adadelta

__all__ = ["PRESETS", "preset"]

_CUSTOM: dict[str, Any] = {
    "network": "custom",
    "batch_size": 10,
    "image_size": 356,
    "optimiser": SGD(),
    "epochs": 1240,
}
_MOBILE: dict[str, Any] = {
    "network": "mobilenet",
    "pretrained": True,
    "batch_size": 20,
    "image_size": 224,
    "optimiser": Adadelta(),
    "epochs": 62,
}

_VOLUNTEERS: dict[str, Any] = {"label_column": "volunteer_label", "split_column": "volunteer_split"}
_SIX = tuple(f"{band}_{colour}" for band in ("xray", "optical") for colour in ("red", "green", "blue"))


def _named(**experiments: dict[str, Any]) -> dict[str, Experiment]:
    return {name: Experiment(name=name, **fields) for name, fields in experiments.items()}


#: The eight networks of Table 5 with the hyper-parameters of Table 4, then those that the text mentions.
#: Epochs make up the table's iterations: 153,000 batches of 10 and 3,825 of 20, for 1,233 images. CN-Z and
#: MN-Z are trained on volunteers' labels (`labkit.sample.with_labels` joins them). Of VGG19 and Inception v3
#: the paper says only that they were pre-trained, then trained in all layers at a large learning rate
#: (section 5.2); here they have MobileNet's settings, and the image size they were published with.
PRESETS: dict[str, Experiment] = _named(
    **{
        "CN-E": _CUSTOM,
        "MN-E": _MOBILE,
        "CN-E solo optical": _CUSTOM | {"bands": ("optical",)},
        "CN-E solo x-ray": _CUSTOM | {"bands": ("xray",)},
        "CN-Z": _CUSTOM | _VOLUNTEERS,
        "MN-Z": _MOBILE | _VOLUNTEERS,
        "CN-E no augm.": _CUSTOM | {"augmentation": None},
        "MN-E no augm.": _MOBILE | {"augmentation": None},
        "VGG19": _MOBILE | {"network": "timm:vgg19"},
        "Inception v3": _MOBILE | {"network": "timm:inception_v3", "image_size": 299},
        "CN-E six channels": _CUSTOM | {"bands": _SIX},
        "MN-E x-ray green, optical red": _MOBILE | {"bands": ("optical", "xray", EMPTY)},
        "MN-E x-ray red, optical green": _MOBILE | {"bands": ("xray", "optical", EMPTY)},
    }
)


def preset(name: str, **changes: Any) -> Experiment:
    """One of `PRESETS`, with some fields changed.

    Raises
    ------
    InputError
        If there is no such preset, or a change breaks a rule.
    """
    if name not in PRESETS:
        raise InputError(f"preset must be one of {tuple(PRESETS)}, got {name!r}")
    return PRESETS[name].changed(**changes)
