"""Class probabilities of a Sample's objects, by any trained networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.experiment import Augmentation
from labkit.learn.augment import augment
from labkit.learn.device import as_input, resize_by_area
from labkit.learn.model import Model
from labkit.learn.parts import named_bands_of, parts_digest, split_for_training, text_column
from labkit.learn.trained import Models, find_models
from labkit.predictions import Predictions
from labkit.sample import Sample

_PIECE = 256  # objects read at a time


def logits(model: Model, images: Tensor, *, batch_size: int = 32, precision: str = "fp32") -> Tensor:
    """Outputs of the network before the softmax, float32, shape (n, classes), where its weights are.

    Images are grey levels 0 to 255 of the experiment's named bands, shape (n, band, y, x), of any size.
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
    """Probability of each class, float64, shape (n, classes).

    With more than one view, the mean over as many augmented ones (with the experiment's augmentation, or the
    paper's where it has none).
    """
    if views == 1:
        return _softmax(logits(model, images, batch_size=batch_size, precision=precision))
    settings = model.experiment.augmentation or Augmentation()
    generator = torch.Generator().manual_seed(seed)
    total = np.zeros((len(images), len(model.classes)))
    for _ in range(views):
        turned = augment(images.float(), settings, generator=generator).round_().to(torch.uint8)
        total += _softmax(logits(model, turned, batch_size=batch_size, precision=precision))
    return total / views


def _softmax(values: Tensor) -> np.ndarray:
    return torch.softmax(values.double(), 1).cpu().numpy()


def predict(
    models: Models,
    sample: Sample,
    *,
    experiment: str | None = None,
    device: str | torch.device = "auto",
    views: int = 1,
    seed: int = 0,
    batch_size: int = 32,
    precision: str | None = None,
    split: str | None = None,
    accept_normalisation: bool = False,
) -> Predictions:
    """Class probabilities of every object of a Sample, raw or normalised, by one trained network or more.

    A raw Sample is normalised as each model's was. Pixels are read, normalised, predicted and forgotten some
    hundred objects at a time; only the bands that a model takes are used.

    Parameters
    ----------
    models : Model, Fitted, iterable of these, path or RunFolder
        Trained networks with the same classes, or the run folder that holds them.
    sample : Sample
        Images such as the models were trained on, or raw ones; labels may be unknown.
    experiment : str, optional
        Only the models of this experiment.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    views, seed : int
        More than 1 view: mean over as many randomly turned ones, which follow from the seed.
    batch_size : int
        Images at a time.
    precision : str, optional
        ``"auto"``, ``"fp32"`` or ``"bf16"``; default the experiment's.
    split : str, optional
        What the column ``split`` of the predictions holds for every object. Default: the experiment's split
        column, where the Sample has it; empty for a model of a fold (see `out_of_fold`).
    accept_normalisation : bool
        Take grey levels that were made in another way than the model's, see `Model.check`. A raw Sample is
        then normalised by labkit's XAmin rules for a model of the published training set.

    Returns
    -------
    Predictions
        One row per object and model, model after model, in the Sample's order.

    Raises
    ------
    MissingDataError
        If there are no models.
    InputError
        If the Sample lacks a band or is not such as the models were trained on, or an option breaks its rule.
    """
    if views < 1 or batch_size < 1:
        raise InputError(f"views and batch_size must be at least 1, got {views} and {batch_size}")
    parts = []
    for model in find_models(models, experiment=experiment):
        _, computed = model.move(device, precision)
        values = [np.empty((0, len(model.classes)))]
        for number, piece in enumerate(_normalised_pieces(model, sample, accept=accept_normalisation)):
            images = torch.from_numpy(np.array(piece.images))
            turned = {"views": views, "seed": seed + number}
            values.append(probabilities(model, images, batch_size=batch_size, precision=computed, **turned))
        scheme = model.experiment.class_scheme
        parts.append(
            Predictions.from_arrays(
                sample.object_ids,
                np.concatenate(values),
                classes=model.classes,
                true=scheme.decode(scheme.encode(sample.labels)),
                experiment=model.experiment.name,
                seed=model.seed,
                fold=model.fold,
                split=_split_of(model, sample) if split is None else split,
                positive=scheme.positive,
            )
        )
    return parts[0] if len(parts) == 1 else Predictions.concatenate(parts)


def _normalised_pieces(model: Model, sample: Sample, *, accept: bool) -> Iterator[Sample]:
    """The model's bands of some objects at a time, as grey levels like those it was trained on."""
    if "normalisation" in sample.provenance or sample.dtype == np.uint8:
        chosen = model.check(sample, accept_normalisation=accept)
        if chosen.dtype != np.uint8:
            raise InputError(
                f"sample must hold grey levels of type uint8, got {chosen.dtype}; "
                "normalise it first (labkit.images.normalise)"
            )
        yield from (chosen.select(slice(n, n + _PIECE)) for n in range(0, len(chosen), _PIECE))
        return
    from labkit.images import normalise  # needs scipy, which a bare GPU node may lack

    chosen, record = named_bands_of(sample, model.experiment), model.normalisation
    by_rules = accept and isinstance(record, dict) and str(record.get("method")).startswith("xamin")
    for n in range(0, len(chosen), _PIECE):
        piece = chosen.select(slice(n, n + _PIECE))
        piece = normalise(piece) if by_rules else normalise(piece, like=model)
        yield model.check(piece, accept_normalisation=accept)


def _split_of(model: Model, sample: Sample) -> str | np.ndarray:
    """Part of each object in the model's training, empty where there is none."""
    name = model.experiment.split_column
    if model.fold >= 0 or name not in sample.catalogue.colnames:
        return ""
    return text_column(sample, name, use="parts")


def out_of_fold(
    models: Models, sample: Sample, *, experiment: str | None = None, device: str | torch.device = "auto"
) -> Predictions:
    """Class probabilities of each object by the model that had it in its test fold.

    Parameters
    ----------
    models : Model, Fitted, iterable of these, path or RunFolder
        Trained with folds on this Sample: all folds of one seed or more.
    sample : Sample
        What they were trained on.
    experiment : str, optional
        Only the models of this experiment.
    device : str
        See `predict`.

    Returns
    -------
    Predictions
        For each experiment and seed one row per object, with its ``fold``; ``split`` is "test".

    Raises
    ------
    MissingDataError
        If there are no models.
    InputError
        If a model has no fold, or the Sample's objects, labels or folds are not those it was trained on, so
        that its test objects may be among the ones it learned from.
    """
    parts = []
    for model in find_models(models, experiment=experiment):
        name = f"{model.experiment.name!r}, seed {model.seed}, fold {model.fold},"
        if model.fold < 0:
            raise InputError(f"models must be trained with folds, got {name} use predict instead")
        found = split_for_training(model.experiment, sample, fold=model.fold)
        if parts_digest(sample, found) != model.trained_on:
            raise InputError(
                f"sample must have the objects, labels and folds that {name} was trained on, got others; "
                "pass that Sample or train again"
            )
        parts.append(predict(model, sample.select(found["test"].rows), split="test", device=device))
    return Predictions.concatenate(parts)
