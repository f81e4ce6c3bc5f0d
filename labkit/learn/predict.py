"""Class probabilities of a Sample's objects, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.experiment import Augmentation
from labkit.learn.augment import augment
from labkit.learn.device import as_input, choose_device, choose_precision
from labkit.learn.labels import text_column
from labkit.learn.model import Model
from labkit.learn.resident import resize_by_area
from labkit.learn.splits import parts_digest, split_for_training
from labkit.predictions import Predictions
from labkit.sample import Sample

__all__ = ["logits", "out_of_fold", "predict", "probabilities"]


def logits(model: Model, images: Tensor, *, batch_size: int = 32, precision: str = "fp32") -> Tensor:
    """Outputs of the network before the softmax.

    Parameters
    ----------
    model : Model
        Trained network; it computes where its weights are.
    images : Tensor, shape (n, band, y, x)
        Grey levels 0 to 255 of the experiment's named bands, at any size.
    batch_size : int
        Images at a time.
    precision : str
        ``"fp32"`` or ``"bf16"``.

    Returns
    -------
    Tensor of float32, shape (n, classes)
        Logits, on the network's device.
    """
    device = next(model.network.parameters()).device
    network = model.network.eval()
    results = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for part in images.split(batch_size):
            part = resize_by_area(part.to(device), model.experiment.image_size)
            results.append(network(as_input(part, sky=model.sky)).float())
    return torch.cat(results) if results else torch.empty((0, len(model.classes)), device=device)


def probabilities(
    model: Model,
    images: Tensor,
    *,
    views: int = 1,
    seed: int = 0,
    batch_size: int = 32,
    precision: str = "fp32",
) -> np.ndarray:
    """Probability of each class, averaged over randomly turned views where asked.

    Parameters
    ----------
    model, images, batch_size, precision
        As for `logits`.
    views : int
        1: the images as they are; more: the mean over as many augmented views (with the
        experiment's augmentation, or the paper's where it has none).
    seed : int
        Of the views.

    Returns
    -------
    ndarray of float64, shape (n, classes)
        Probabilities.
    """
    options: dict[str, Any] = {"batch_size": batch_size, "precision": precision}
    if views == 1:
        return _softmax(logits(model, images, **options))
    settings = model.experiment.augmentation or Augmentation()
    generator = torch.Generator().manual_seed(seed)
    total = np.zeros((len(images), len(model.classes)))
    for _ in range(views):
        turned = augment(images.float(), settings, generator=generator).round_().to(torch.uint8)
        total += _softmax(logits(model, turned, **options))
    return total / views


def _softmax(values: Tensor) -> np.ndarray:
    return torch.softmax(values.double(), 1).cpu().numpy()


def predict(
    model: Model,
    sample: Sample,
    *,
    device: str | torch.device = "auto",
    views: int = 1,
    seed: int = 0,
    batch_size: int = 32,
    precision: str | None = None,
    split: str | None = None,
    accept_normalisation: bool = False,
) -> Predictions:
    """Score every object of a Sample.

    Pixels are read, scored and forgotten a batch at a time.

    Parameters
    ----------
    model : Model
        Trained network.
    sample : Sample
        Normalised images like those the model was trained on; labels may be unknown.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    views : int
        More than 1: mean over as many randomly turned views.
    seed : int
        Of the views.
    batch_size : int
        Images at a time.
    precision : str, optional
        ``"auto"``, ``"fp32"`` or ``"bf16"``; default the experiment's.
    split : str, optional
        Part of the Sample that all objects are, for the table. Default: the experiment's split column, where
        the Sample has it; empty for a model of a fold (see `out_of_fold`).
    accept_normalisation : bool
        See `Model.check`.

    Returns
    -------
    Predictions
        One row an object, in the Sample's order.

    Raises
    ------
    InputError
        If the Sample is not such as the model was trained on, or an option breaks its rule.
    """
    if views < 1 or batch_size < 1:
        raise InputError(f"views and batch_size must be at least 1, got {views} and {batch_size}")
    precision = model.experiment.precision if precision is None else precision
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision must be 'auto', 'fp32' or 'bf16', got {precision!r}")
    chosen = model.check(sample, accept_normalisation=accept_normalisation)
    if chosen.dtype != np.uint8:
        raise InputError(
            f"sample must hold grey levels of type uint8, got {chosen.dtype}; "
            "normalise it first (labkit.images.normalise)"
        )
    scheme = model.experiment.class_scheme
    where = choose_device(device)
    model.network.to(where)
    precision = choose_precision(
        precision, model.network, image_size=model.experiment.image_size, device=where
    )
    scores = np.empty((len(chosen), len(model.classes)))
    for number, (rows, images) in enumerate(chosen.batches(256)):
        scores[rows] = probabilities(
            model,
            torch.from_numpy(np.array(images)),
            views=views,
            seed=seed + number,
            batch_size=batch_size,
            precision=precision,
        )
    return Predictions.from_arrays(
        sample.object_ids,
        scores,
        classes=model.classes,
        true=scheme.decode(scheme.encode(sample.labels)),
        experiment=model.experiment.name,
        seed=model.seed,
        fold=model.fold,
        split=_split_of(model, sample) if split is None else split,
        positive=scheme.positive,
    )


def _split_of(model: Model, sample: Sample) -> str | np.ndarray:
    """Part of each object in the model's training, empty where there is none."""
    name = model.experiment.split_column
    if model.fold >= 0 or name not in sample.catalogue.colnames:
        return ""
    return text_column(sample, name, use="parts")


def out_of_fold(models: Iterable[Model], sample: Sample, **options: Any) -> Predictions:
    """Score each object by the model that had it in its test fold.

    Parameters
    ----------
    models : iterable of Model
        Trained with folds on this Sample: all folds of one seed or more.
    sample : Sample
        What they were trained on.
    **options
        Further options of `predict`.

    Returns
    -------
    Predictions
        For each experiment and seed one row an object, with its ``fold``; ``split`` is "test".

    Raises
    ------
    InputError
        If there is no model, one has no fold, or the Sample's objects, labels or folds are not those
        it was trained on, so that its test objects may be among the ones it learned from.
    """
    parts = []
    for model in models:
        name = f"{model.experiment.name!r}, seed {model.seed}, fold {model.fold},"
        if model.fold < 0:
            raise InputError(f"models must be trained with folds, got {name} use predict instead")
        found = split_for_training(model.experiment, sample, fold=model.fold)
        if parts_digest(sample, found) != model.trained_on:
            raise InputError(
                f"sample must have the objects, labels and folds that {name} was trained on, got others; "
                "pass that Sample or train again"
            )
        parts.append(predict(model, sample.select(found["test"].rows), split="test", **options))
    return Predictions.concatenate(parts)
