"""Class probabilities, or numbers, of a Sample's objects, by any trained networks."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from labkit import __version__
from labkit.errors import InputError
from labkit.experiment import Augmentation
from labkit.learn.augment import augment
from labkit.learn.device import as_input, resize_by_area
from labkit.learn.model import Model
from labkit.learn.parts import named_bands_of, parts_digest, split_for_training
from labkit.learn.start import weights_digest
from labkit.learn.targets import from_standard, mean_and_variance, target_values
from labkit.learn.trained import Models, find_models, model_calibration, prevalence_of
from labkit.predictions import Estimates, Predictions, RunTable, target_column
from labkit.runfolder import RunFolder
from labkit.sample import Sample
from labkit.tables import text

#: Objects read at a time.
PIECE = 256


def logits(model: Model, images: Tensor, *, batch_size: int = 32, precision: str = "fp32") -> Tensor:
    """Outputs of the network before the softmax, float32, shape (n, outputs), where its weights are.

    Images are grey levels 0 to 255 of the experiment's named bands, shape (n, band, y, x), of any size.
    """
    device = next(model.network.parameters()).device
    network = model.network.eval()
    results = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for part in images.split(batch_size):
            part = resize_by_area(part.to(device), model.experiment.image_size)
            results.append(network(as_input(part, sky=model.sky)).float())
    return torch.cat(results) if results else torch.empty((0, model.experiment.outputs), device=device)


def probabilities(
    model: Model, images: Tensor, *, views: int = 1, seed: int = 0, **options: Any
) -> np.ndarray:
    """Probability of each class, float64, shape (n, classes); `options` are those of `logits`.

    With more than one view, the mean over as many augmented ones (with the experiment's augmentation, or the
    paper's where it has none).
    """
    found = [torch.softmax(one, 1) for one in _outputs(model, images, views, seed, options)]
    return torch.stack(found).mean(0).cpu().numpy()


def moments(model: Model, images: Tensor, *, views: int = 1, seed: int = 0, **options: Any) -> np.ndarray:
    """Mean and width of each target in its own scale, float64, shape (n, target, 2); as `probabilities`.

    With more than one view, the mean and the standard deviation of their normal distributions taken together.
    """
    found = [mean_and_variance(one) for one in _outputs(model, images, views, seed, options)]
    means, variances = (torch.stack(values) for values in zip(*found, strict=True))
    variance = variances.mean(0) + means.var(0, correction=0)
    values = torch.stack([means.mean(0), variance]).cpu().numpy()
    return np.stack(from_standard(model.target_scales, values), axis=-1)


def _outputs(
    model: Model, images: Tensor, views: int, seed: int, options: dict[str, Any]
) -> Iterator[Tensor]:
    """The network's outputs for each view, float64."""
    settings = model.experiment.augmentation or Augmentation()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(views):
        turned = images
        if views > 1:
            turned = augment(images.float(), settings, generator=generator).round_().to(torch.uint8)
        yield logits(model, turned, **options).double()


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
    accept: Collection[str] = (),
    calibrated: bool = False,
) -> Predictions | Estimates:
    """Class probabilities, or numbers, of every object of a Sample, raw or normalised, by trained networks.

    A raw Sample is normalised as each model's was. Pixels are read, normalised, predicted and forgotten some
    hundred objects at a time; only the bands that a model takes are used.

    Parameters
    ----------
    models : Model, Fitted, iterable of these, path, str or RunFolder
        Trained networks with the same classes, or all of numbers, the run folder that holds them, or the name
        of networks that ship with labkit: "xmm-xray" or "xmm-xray-optical".
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
    accept : collection of str
        What may differ from what the models were trained on. ``"normalisation"``: grey levels made in another
        way, see `Model.check`; a raw Sample is then normalised by labkit's XAmin rules for a model of the
        published training set. ``"telescope"``: images of another telescope. A Sample that records none, such
        as one of pictures, is never refused for it. ``"shift"`` is recorded only: `labkit predict` asks for
        it where `labkit.evaluate.domain_shift` finds other images.
    calibrated : bool
        Apply the calibration that lies beside the models, ``calibration.json`` in the folder that `models`
        names (`labkit.evaluate.fit_calibration`): one row per object, of the mean over models.

    Returns
    -------
    Predictions or Estimates
        One row per object and model, model after model, in the Sample's order; ``table.meta["made"]`` records
        run folder, labkit's version, models (digests of their weights), bands, the prevalence that
        probabilities assume, telescopes and what was accepted. Of models with targets: Estimates, one row per
        target too; true numbers are there where the Sample has their columns, in the unit that the model was
        trained in.

    Raises
    ------
    MissingDataError
        If there are no models.
    InputError
        If models are of several kinds, the Sample lacks a band or is not such as the models were trained on,
        or an option breaks its rule.
    """
    if views < 1 or batch_size < 1:
        raise InputError(f"views and batch_size must be at least 1, got {views} and {batch_size}")
    parts, found, calibration = [], find_models(models, experiment=experiment), None
    if calibrated:
        if not isinstance(models, str | Path | RunFolder):
            raise InputError(
                "calibrated=True needs models given by their folder or name; apply a Calibration"
            )
        calibration = model_calibration(models)
    for model in found:
        model.check_telescope(sample.provenance.get("telescope"), accept)
    for model in found:
        _, computed = model.move(device, precision)
        of_images = moments if model.experiment.targets else probabilities
        values = []
        for number, piece in enumerate(normalised_pieces(model, sample, accept=accept)):
            images = torch.from_numpy(np.array(piece.images))
            turned = {"views": views, "seed": seed + number}
            values.append(of_images(model, images, batch_size=batch_size, precision=computed, **turned))
        column = model.experiment.split_column
        own = model.fold < 0 and column in sample.catalogue.colnames
        part = (text(sample.catalogue[column]) if own else "") if split is None else split
        parts.append(_table(model, sample, values, part))
    result = parts[0] if len(parts) == 1 else RunTable.concatenate(parts)
    folder = models.path if isinstance(models, RunFolder) else models
    record = {
        "run": str(folder) if isinstance(folder, str | Path) else "",
        "labkit": __version__,
        "prevalence": prevalence_of(found),
        "models": {one.run.name: weights_digest(one)[:16] for one in found},
        "bands": ", ".join(dict.fromkeys(band for one in found for band in one.experiment.named_bands)),
        "telescope": sample.provenance.get("telescope", ""),
        "trained_on": ", ".join(sorted({model.telescope for model in found})),
        "accepted": ", ".join(sorted({accept} if isinstance(accept, str) else accept)),
    }
    result.table.meta["made"] = [record]
    return result if calibration is None else calibration.apply(cast(Predictions, result))


def _table(
    model: Model, sample: Sample, values: list[np.ndarray], split: str | np.ndarray
) -> Predictions | Estimates:
    """Probabilities, or means and widths, of a Sample's objects by one model."""
    experiment = model.experiment
    run: dict[str, Any] = {"experiment": experiment.name, "seed": model.seed, "fold": model.fold}
    run |= {"split": split}
    if not experiment.targets:
        scheme = experiment.class_scheme
        found = np.concatenate([np.empty((0, len(model.classes))), *values])
        run |= {"true": scheme.decode(scheme.encode(sample.labels)), "positive": scheme.positive}
        return Predictions.from_arrays(sample.object_ids, found, classes=model.classes, **run)
    found = np.concatenate([np.empty((0, len(experiment.targets), 2)), *values])
    units = {target: scale["unit"] for target, scale in model.target_scales.items()}
    true = np.full(found.shape[:2], np.nan)
    for number, target in enumerate(experiment.targets):
        if target_column(target)[0] in sample.catalogue.colnames:
            true[:, number] = target_values((target,), sample, units=units)[:, 0]
    run |= {"targets": experiment.targets, "units": list(units.values()), "true": true}
    return Estimates.from_arrays(sample.object_ids, found[..., 0], found[..., 1], **run)


def normalised_pieces(model: Model, sample: Sample, *, accept: Collection[str]) -> Iterator[Sample]:
    """The model's bands of some objects at a time, as grey levels like those it was trained on."""
    if "normalisation" in sample.provenance or sample.dtype == np.uint8:
        chosen = model.check(sample, accept=accept)
        if chosen.dtype != np.uint8:
            raise InputError(
                f"sample must hold grey levels of type uint8, got {chosen.dtype}; "
                "normalise it first (labkit.images.normalise)"
            )
        yield from (chosen.select(slice(n, n + PIECE)) for n in range(0, len(chosen), PIECE))
        return
    from labkit.images import normalise  # needs scipy, which a bare GPU node may lack

    chosen, record = named_bands_of(sample, model.experiment), model.normalisation
    by_rules = "normalisation" in accept and isinstance(record, dict)
    by_rules = by_rules and str(record.get("method")).startswith("xamin")
    for n in range(0, len(chosen), PIECE):
        piece = chosen.select(slice(n, n + PIECE))
        piece = normalise(piece) if by_rules else normalise(piece, like=model)
        yield named_bands_of(piece, model.experiment) if n else model.check(piece, accept=accept)


def out_of_fold(
    models: Models, sample: Sample, *, experiment: str | None = None, device: str | torch.device = "auto"
) -> Predictions | Estimates:
    """Class probabilities, or numbers, of each object by the model that had it in its test fold.

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
    Predictions or Estimates
        For each experiment and seed one row per object (and target), with its ``fold``; ``split`` is "test".

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
    return RunTable.concatenate(parts)
