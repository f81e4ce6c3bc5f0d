"""What a network makes of images before it decides, and that of reference images, kept beside the model.

`labkit.evaluate.domain_shift` compares new images with them.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table, vstack
from torch import Tensor, nn

from labkit.learn.device import resize_by_area
from labkit.learn.model import Model
from labkit.learn.parts import Part
from labkit.learn.predict import logits, normalised_pieces
from labkit.learn.resident import shared_images
from labkit.learn.start import weights_digest
from labkit.learn.trained import Models, find_models, model_folders
from labkit.runfolder import RunFolder
from labkit.sample import Sample
from labkit.tables import read_catalogue, text, write_table

#: Beside ``model.json``.
FILE = "reference.parquet"
_MOST = 300  # reference objects
_FEATURES = 64  # numbers of each object at most: wider layers are averaged over neighbouring units
#: Of the grey levels of each band, as the network sees them.
STATISTICS = ("background", "noise", "brightness", "sharpness")
_MAD_TO_SIGMA = 1.4826


def image_features(
    models: Models,
    sample: Sample,
    *,
    experiment: str | None = None,
    device: str | torch.device = "auto",
    accept: Collection[str] = (),
) -> Table:
    """What the first of some models makes of each image before its last layer, and statistics of the images.

    Parameters
    ----------
    models, sample, experiment, device, accept
        As for `predict`.

    Returns
    -------
    `~astropy.table.Table`
        ``object_id``, ``feature_0`` and so on (at most 64), for each band "background" (median), "noise"
        (scatter below it), "brightness" (mean of the central quarter above the background) and "sharpness"
        (scatter between neighbouring pixels over that of all), in grey levels, and of classes ``p_<class>``
        and ``true`` (empty where unknown). ``meta``: names of the ``statistics``, digest of the ``weights``.

    Raises
    ------
    InputError
        As for `predict`.
    """
    model = find_models(models, experiment=experiment)[0]
    _, precision = model.move(device)
    pieces = [
        _described(model, torch.from_numpy(np.array(piece.images)), piece, precision)
        for piece in normalised_pieces(model, sample, accept=accept)
    ]
    return vstack(pieces)


def _described(model: Model, images: Tensor, sample: Sample, precision: str) -> Table:
    """Features and statistics of the images of a Sample's objects, as grey levels of the model's bands."""
    inner: Any = model.network[1] if isinstance(model.network, nn.Sequential) else model.network
    last = inner.get_classifier() if hasattr(inner, "get_classifier") else inner.output
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, given: seen.append(given[0].float().flatten(1).cpu()))
    try:
        found = logits(model, images, precision=precision).cpu()
    finally:
        hook.remove()
    features = torch.cat(seen)
    if features.shape[1] > _FEATURES:
        features = nn.functional.adaptive_avg_pool1d(features[:, None], _FEATURES)[:, 0]
    values = _statistics(resize_by_area(images, model.experiment.image_size).cpu().numpy())
    names = [f"{name} ({band})" for band in model.experiment.named_bands for name in STATISTICS]
    columns = {f"feature_{number}": one for number, one in enumerate(features.numpy().T)}
    table = Table({"object_id": sample.object_ids} | columns | dict(zip(names, values.T, strict=True)))
    if not model.experiment.targets:
        for name, p in zip(model.classes, torch.softmax(found, 1).numpy().T, strict=True):
            table[f"p_{name}"] = p
        scheme = model.experiment.class_scheme
        table["true"] = scheme.decode(scheme.encode(sample.labels))
    table.meta |= {"statistics": names, "weights": weights_digest(model)}
    return table


def _statistics(images: np.ndarray) -> np.ndarray:
    """`STATISTICS` of each band of images (n, band, y, x), as (n, band x statistic)."""
    levels = images.astype(np.float32)
    middle = np.median(levels, axis=(2, 3))
    away = levels - middle[..., None, None]
    below = np.where(away <= 0, -away, np.nan)
    noise = _MAD_TO_SIGMA * np.nanmedian(below, axis=(2, 3))
    ny, nx = levels.shape[2:]
    bright = away[..., ny // 4 : ny - ny // 4, nx // 4 : nx - nx // 4].mean((2, 3))
    steps = np.diff(levels, axis=3).std((2, 3)) + np.diff(levels, axis=2).std((2, 3))
    sharp = steps / np.maximum(2 * levels.std((2, 3)), 1e-6)
    return np.stack([middle, noise, bright, sharp], axis=2).reshape(len(levels), -1)


def keep_reference(
    model: Model, folder: Path, sample: Sample, parts: Mapping[str, Part], *, device: torch.device
) -> None:
    """Write features of some hundred validation objects, evenly taken, unless they are there already.

    The images are those that training holds, so that no pixel is read again.
    """
    if reference_features(folder) is not None:
        return
    rows = parts["validation"].rows
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_MOST, len(rows))).round().astype(int))]
    objects = np.sort(np.concatenate([part.rows for part in parts.values()]))
    images = shared_images(model.experiment, sample, objects, device=device)
    _, precision = model.move(device)
    chosen = images[torch.from_numpy(np.searchsorted(objects, rows)).to(images.device)]
    write_table(_described(model, chosen, sample.select(rows), precision), folder / FILE)
    model.network.to("cpu")


def reference_features(models: str | Path | RunFolder, *, experiment: str | None = None) -> Table | None:
    """Features of reference images, validation objects, that lie beside the first of some models.

    Parameters
    ----------
    models : path, str or RunFolder
        Run folder, a model's own folder, or the name of models that ship.
    experiment : str, optional
        Only the models of this experiment.

    Returns
    -------
    `~astropy.table.Table` or None
        As from `image_features`; None where there are none, as beside models of earlier versions, or where
        they are of other weights.
    """
    there = model_folders(models)
    folder = next((one for one, name in there.items() if experiment in (None, name)), None)
    if folder is None or not (folder / FILE).is_file():
        return None
    table = read_catalogue(folder / FILE)
    table["true"] = text(table["true"]) if "true" in table.colnames else ""
    return table if table.meta["weights"] == weights_digest(Model.load(folder)) else None
