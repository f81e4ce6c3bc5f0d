"""One copy of the images on the device, shared by the runs that follow one another on the same objects.

Ten folds, ten seeds and several networks of one image size read and resize the pixels once. The last copy
that was used is kept until another one is needed, or until `release`.
"""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import torch
from torch import Tensor

from labkit.experiment import Experiment
from labkit.learn.resident import read_images
from labkit.learn.splits import named_bands_of
from labkit.sample import Sample

__all__ = ["release", "shared_images"]

_lock = threading.Lock()
_last: dict[tuple[str, ...], Tensor] = {}  # one at most


def shared_images(
    experiment: Experiment, sample: Sample, rows: np.ndarray, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Some objects of a Sample in an experiment's bands and image size, on a device.

    Parameters
    ----------
    experiment : Experiment
        Gives bands and image size.
    sample : Sample
        Normalised images.
    rows : ndarray of int, shape (n,)
        Objects: those of every run that is to share the copy.
    device : str
        Where to.

    Returns
    -------
    Tensor of uint8, shape (n, band, image_size, image_size)
        Not to be changed: it is the same tensor for equal content, bands, size, device and rows.

    Raises
    ------
    InputError
        If the pixels are not uint8 or a band is missing.
    """
    chosen = named_bands_of(sample, experiment)
    objects = hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
    key = (sample.content_hash, *chosen.bands, str(experiment.image_size), str(device), objects)
    with _lock:
        if key not in _last:
            _last.clear()  # before reading, so that there are never two
            size = experiment.image_size
            _last[key] = read_images(chosen.select(rows), image_size=size, device=device)
        return _last[key]


def release() -> None:
    """Let go of the images, to free the device's memory."""
    with _lock:
        _last.clear()
