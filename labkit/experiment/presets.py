"""The networks of Kosiba et al. 2020 and Angora et al. 2020 by name."""

from __future__ import annotations

from typing import Any

from labkit.errors import InputError
from labkit.experiment.experiment import EMPTY, Experiment
from labkit.experiment.settings import SGD, Adadelta, AdamW, RightAngles

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

_MEMBERS: dict[str, Any] = {
    "scheme": "member",
    "bands": ("F435", "F606", "F814", "F105", "F140"),
    "image_size": 64,
    "augmentation": RightAngles(),
    "optimiser": Adadelta(decay=0.0, plateau_factor=0.5, plateau_patience=5, minimal_learning_rate=1e-3),
    "plateau_monitor": "validation_loss",
    "batches": "shuffled",
    "batch_size": 64,
    "epochs": 100,
    "early_stopping_patience": 15,
    "dropout": 0.5,
    "folds": 10,
    "fold_by": "cluster",
    "validation_share": 0.1,
}
_SMALL_MEMBERS = _MEMBERS | {
    "network": "vgg-small",
    "optimiser": AdamW(),
    "augmentation": RightAngles(drawn="every epoch"),
    "epochs": 20,
}


def _named(**experiments: dict[str, Any]) -> dict[str, Experiment]:
    return {name: Experiment(name=name, **fields) for name, fields in experiments.items()}


#: Kosiba et al. (2020): the eight networks of Table 5 with the hyper-parameters of Table 4, then those that
#: the text mentions. Epochs make up the table's iterations: 153,000 batches of 10 and 3,825 of 20, for 1,233
#: images. CN-Z and MN-Z are trained on volunteers' labels (`labkit.sample.with_labels` joins them). Of VGG19
#: and Inception v3 the paper says only that they were pre-trained, then trained in all layers at a large
#: learning rate (section 5.2); here they have MobileNet's settings, and the image size of their papers.
#:
#: Angora et al. (2020): the VGG-like network of Table B.1 in the mixed bands with ten folds, and the residual
#: and Inception networks that they tried (footnote 2). Optimiser, batch size, augmentation and validation
#: share are theirs; rates, patiences, dropout and numbers of epochs, which they do not give, are ours.
#: "VGG small" trains in about a minute on two cores.
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
        "VGG": _MEMBERS | {"network": "vgg"},
        "VGG small": _SMALL_MEMBERS,
        "ResNet-18": _MEMBERS | {"network": "timm:resnet18"},
        "Inception": _MEMBERS | {"network": "timm:inception_v3", "image_size": 128},
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
