"""What is trained: the Experiment, the papers' networks by name, and files of declared experiments."""

from labkit.experiment.experiment import EMPTY, SGD, Adadelta, AdamW, Augmentation, Experiment, RightAngles
from labkit.experiment.files import PRESETS, hyperparameters, preset, read_experiments
