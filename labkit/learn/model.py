"""The trained model: a network with all that is needed to use it on the right images only.

A model is a folder::

    model.json            experiment, bands, pixel scale, normalisation, versions
    weights.safetensors   weights of the best epoch
    reference.parquet     features of validation objects, which tell whether others are like them
    last.safetensors      state of the last epoch, to resume training (not needed for use)
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.experiment import Experiment
from labkit.learn.checkpoint import read_state, write_state
from labkit.learn.device import choose_device, choose_precision, sky_level
from labkit.learn.networks import build_network, hub_architecture
from labkit.learn.parts import named_bands_of
from labkit.learn.targets import Scales
from labkit.paths import write_file
from labkit.predictions import Run
from labkit.runfolder import RunFolder, versions
from labkit.sample import Sample

logger = logging.getLogger(__name__)

FORMAT = "labkit-model-1"
#: What `Model.check` may be told to accept.
CONSENTS = ("normalisation", "telescope", "shift")


@dataclass(frozen=True)
class Model:
    """A trained network with what it was trained on.

    Parameters
    ----------
    experiment : Experiment
        What was trained.
    network : Module
        The network, taking images of the experiment's named bands.
    seed : int
        Of the run.
    pixel_scale_arcsec : float
        Of the Sample's images.
    image_shape : tuple of int
        Size (y, x) of the Sample's images in pixels.
    normalisation : dict or None
        How the Sample's pixels became grey levels.
    versions : dict
        Versions of the libraries.
    fold : int
        Fold of the run; -1 without folds.
    trained_on : str
        Hash of the objects and labels of each part (`labkit.learn.parts.parts_digest`); empty if unknown.
    precision : {"fp32", "bf16"}
        What it was trained in, also where the experiment says "auto".
    threads : int
        CPU threads of the training: the last bits of its sums depend on them.
    started_from : dict
        What the training began with: folder, experiment, seed, fold and hash of the weights of another model,
        and its layers that were ``taken``, ``adapted`` to other bands, or are ``new``; empty without a start.
    architecture : dict
        Of a network of the Hugging Face hub: its name in timm, and its arguments.
    target_scales : dict
        Unit of each target's column, and mean and scatter of the training set; empty of classes.
    telescope : str
        Of the Sample's images, or what they were simulated as; several between commas; empty if not recorded.
    """

    experiment: Experiment
    network: nn.Module
    seed: int
    pixel_scale_arcsec: float
    image_shape: tuple[int, int]
    normalisation: Any
    versions: dict[str, str]
    fold: int = -1
    trained_on: str = ""
    precision: str = "fp32"
    threads: int = 0
    target_scales: Scales = field(default_factory=dict)
    started_from: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    telescope: str = ""

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        network: nn.Module,
        sample: Sample,
        *,
        seed: int,
        fold: int = -1,
        trained_on: str = "",
        precision: str = "fp32",
        target_scales: Scales | None = None,
        started_from: dict[str, Any] | None = None,
    ) -> Model:
        """A model of a network and the Sample it is trained on, here and now."""
        return cls(
            experiment=experiment,
            network=network,
            seed=seed,
            pixel_scale_arcsec=float(sample.pixel_scale.to_value("arcsec")),
            image_shape=sample.shape[2:],
            normalisation=sample.provenance.get("normalisation"),
            versions=versions(),
            fold=fold,
            trained_on=trained_on,
            precision=precision,
            threads=torch.get_num_threads(),
            target_scales=target_scales or {},
            started_from=started_from or {},
            architecture=hub_architecture(experiment.network),
            telescope=sample.provenance.get("telescope", ""),
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the network's outputs; refused where these are numbers."""
        return self.experiment.class_scheme.classes

    @property
    def run(self) -> Run:
        """What its predictions are marked with."""
        return Run(self.experiment.name, self.seed, self.fold)

    @property
    def sky(self) -> int:
        """Grey level of empty sky in the images that the network was trained on."""
        return sky_level(self.normalisation)

    def move(self, device: str | torch.device, precision: str | None = None) -> tuple[torch.device, str]:
        """Move the network to a device; gives it, and what to compute in there, "fp32" or "bf16"."""
        precision = self.experiment.precision if precision is None else precision
        need_choice("precision", precision, ("auto", "fp32", "bf16"))
        where, size = choose_device(device), self.experiment.image_size
        self.network.to(where)
        return where, choose_precision(precision, self.network, image_size=size, device=where)

    def check(self, sample: Sample, *, accept: Collection[str] = ()) -> Sample:
        """The bands that the network takes; they, scale, size, normalisation, telescope must be the model's.

        What is accepted is taken, with a warning in the log: ``"normalisation"``, grey levels that were made
        in another way, for a model of the published training set, whose images were made by XAmin itself;
        ``"telescope"``, images of another one.
        """
        if words := self.check_telescope(sample.provenance.get("telescope"), accept):
            logger.warning("scores %s by %r, trained on %s", words, self.experiment.name, self.telescope)
        chosen = named_bands_of(sample, self.experiment)
        scale = float(sample.pixel_scale.to_value("arcsec"))
        if not np.isclose(scale, self.pixel_scale_arcsec, rtol=1e-3):
            raise InputError(
                f"pixel_scale must be the model's {self.pixel_scale_arcsec:.4g} arcsec, got {scale:.4g} "
                "arcsec; make the cut-outs at the model's pixel scale"
            )
        if tuple(sample.shape[2:]) != tuple(self.image_shape):
            raise InputError(
                f"images must have the model's size {tuple(self.image_shape)} px, "
                f"got {tuple(sample.shape[2:])}; make the cut-outs as wide as the model's"
            )
        normalisation = self._of_bands(sample.provenance.get("normalisation"))
        differs = normalisation != self._of_bands(self.normalisation)
        if differs and "normalisation" in accept and sky_level(normalisation) == self.sky:
            logger.warning("scores images normalised by %s, trained on %s", normalisation, self.normalisation)
        elif differs:
            raise InputError(
                f"normalisation must be the model's {self.normalisation}, got {normalisation}; "
                'normalise the raw Sample with the model\'s settings, or pass accept=("normalisation",) '
                "if both have sky of one level and you accept the difference"
            )
        return chosen

    def check_telescope(self, found: str | None, accept: Collection[str] = ()) -> str:
        """Refuse images of another telescope, or whose files name none (""); what they are, where accepted.

        None, for images of which no telescope is recorded, such as pictures, is never refused.
        """
        accept = {accept} if isinstance(accept, str) else set(accept)
        if unknown := accept - set(CONSENTS):
            raise InputError(f"accept must be some of {CONSENTS}, got {sorted(unknown)}")
        if not self.telescope or found is None or set(found.split(", ")) <= set(self.telescope.split(", ")):
            return ""
        words = f"images of {found}" if found else "images whose files name no telescope (TELESCOP)"
        if "telescope" not in accept:
            raise InputError(
                f"telescope must be {self.telescope}, whose images {self.experiment.name!r} was trained on, "
                f'got {words}; train on such images, or pass accept=("telescope",) if you accept that its '
                "probabilities were never tested on them"
            )
        return words

    def _of_bands(self, normalisation: Any) -> Any:
        """A normalisation's record as read back from JSON, with what it says of the network's bands only."""
        record = json.loads(json.dumps(normalisation))
        for name in ("scales", "zero_points") if isinstance(record, dict) else ():
            if isinstance(record.get(name), dict):
                bands = self.experiment.named_bands
                record[name] = {band: value for band, value in record[name].items() if band in bands}
        return record

    def describe(self, folder: str | Path) -> Path:
        """Write ``model.json``: everything but the weights."""
        facts = {
            "format": FORMAT,
            "experiment": self.experiment.model_dump(mode="json"),
            "classes": _classes(self.experiment),
            "bands": list(self.experiment.named_bands),
        }
        facts |= {name: getattr(self, name) for name in _FACTS}
        write_file(Path(folder) / "model.json", json.dumps(facts, indent=1))
        return Path(folder)

    def save(self, folder: str | Path) -> Path:
        """Write the model's folder, and return it."""
        self.describe(folder)
        write_state(Path(folder) / "weights.safetensors", {"network": self.network.state_dict()})
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Model:
        """Read a model from its folder; a missing or damaged file is an error that names it."""
        folder = Path(folder)
        if not (folder / "model.json").is_file():
            raise MissingDataError(
                f"model must be a folder with model.json, got {str(folder)!r}; train one first"
            )
        try:
            return cls._read(folder, json.loads((folder / "model.json").read_text(encoding="utf-8")))
        except InputError:
            raise
        except KeyError as error:
            raise InputError(
                f"the model in {str(folder)!r} was written by another version of labkit (it has no {error}); "
                "train again"
            ) from error
        except Exception as error:  # the boundary: a damaged file fails in many ways
            raise InputError(
                f"the model in {str(folder)!r} is damaged ({type(error).__name__}: {str(error)[:200]}); "
                "train again, or copy the folder again"
            ) from error

    @classmethod
    def _read(cls, folder: Path, facts: dict[str, Any]) -> Model:
        """The model of a folder whose ``model.json`` says `facts`."""
        if facts.get("format") != FORMAT:
            raise InputError(f"{str(folder)!r} must have the format {FORMAT}, got {facts.get('format')!r}")
        experiment = Experiment(**facts["experiment"])
        if facts["classes"] != _classes(experiment):
            made_with = facts["versions"].get("labkit")
            raise InputError(
                f"the classes of scheme {experiment.scheme!r} must be the model's {facts['classes']}, "
                f"got {_classes(experiment)}; use labkit {made_with}"
            )
        weights = read_state(folder / "weights.safetensors")["network"]
        with torch.random.fork_rng(devices=[]):
            network = build_network(experiment.untrained, architecture=facts["architecture"])
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"weights of {str(folder)!r} must be of its experiment's network: {error}"
            ) from error
        facts = {"telescope": ""} | facts  # which older models do not record
        kept = {name: facts[name] for name in _FACTS} | {"image_shape": tuple(facts["image_shape"])}
        return cls(experiment=experiment, network=network.eval(), **kept)


def _classes(experiment: Experiment) -> list[str]:
    return [] if experiment.targets else list(experiment.class_scheme.classes)


_FACTS = tuple(one.name for one in fields(Model) if one.name not in ("experiment", "network"))


@dataclass(frozen=True)
class Fitted:
    """What a training gives."""

    model: Model  # of the best epoch
    history: list[dict[str, float]]  # one row per epoch: epoch, learning_rate, losses, accuracies or errors
    best_epoch: int  # its row in the history
    folder: Path  # of the model
    interrupted: bool = False  # stopped by hand; the same call resumes

    def __repr__(self) -> str:
        name, epochs = self.model.experiment.name, f"epoch {self.best_epoch + 1} of {len(self.history)}"
        return f"Fitted({name!r}, seed={self.model.seed}, {epochs} was best, folder={str(self.folder)!r})"


def model_folder(run: str | Path | RunFolder, experiment: Experiment, seed: int, fold: int = -1) -> Path:
    """Folder of one trained model in a run folder, ``checkpoints/<name>-seed<seed>[-fold<fold>]``."""
    folder = RunFolder(run)
    name = re.sub(r"[^A-Za-z0-9.]+", "-", experiment.name).strip("-.") or "experiment"
    return folder.checkpoints / (f"{name}-seed{seed}" + (f"-fold{fold}" if fold >= 0 else ""))
