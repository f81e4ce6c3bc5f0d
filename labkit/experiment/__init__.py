"""What is trained: the Experiment, the paper's networks by name, and files of declared experiments."""

from __future__ import annotations

from labkit.experiment.experiment import EMPTY, Experiment
from labkit.experiment.files import PRESETS, preset, read_experiments
from labkit.experiment.settings import SGD, Adadelta, AdamW, Augmentation, RightAngles

__all__ = [
    "EMPTY",
    "PRESETS",
    "SGD",
    "Adadelta",
    "AdamW",
    "Augmentation",
    "Experiment",
    "RightAngles",
    "preset",
    "read_experiments",
]
