"""The Experiment: a typed, validated description of what is trained.

An Experiment holds everything needed to train again on a Sample and nothing else. Unknown or
misspelt fields are errors.
"""

from __future__ import annotations

import hashlib
import json
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from labkit.errors import InputError, MissingDataError
from labkit.experiment.settings import SGD, Adadelta, AdamW, AnyAugmentation, Augmentation, Declared
from labkit.predictions import Run
from labkit.taxonomy import SCHEMES, Scheme, get_scheme

#: Name of a zero-filled channel (Kosiba et al. 2020, section 3.1).
EMPTY = "empty"

_NETWORKS = ("custom", "mobilenet", "vgg", "vgg-small")


class Experiment(Declared):
    """What is trained and how.

    Parameters
    ----------
    name : str
        Name in tables and figures.
    scheme : str
        Class scheme, see `labkit.taxonomy`.
    bands : tuple of str
        The network's input channels in order, by the Sample's band names; ``"empty"`` is a
        zero-filled channel. The paper's are red = empty, green = X-ray, blue = optical.
    network : str
        ``"custom"`` (Kosiba et al., Table 3), ``"mobilenet"``, ``"vgg"`` (Angora et al. 2020, Table B.1),
        ``"vgg-small"``, or ``"timm:<model>"``.
    pretrained : bool or str
        False, True (weights from timm's hub) or the path of a file of weights.
    image_size : int
        Side of the network's input in pixels; a Sample's images are brought to it once, by area.
    augmentation : Augmentation, RightAngles or None
        Random resampling of training images, or turns by right angles and flips.
    optimiser : SGD, Adadelta or AdamW
        Optimiser and its schedule.
    batch_size, epochs : int
        Images a batch; passes, each of as many batches as the training set holds.
    batches : {"balanced", "shuffled"}
        As many objects of each class in every batch (Kosiba et al. 2020, section 5.2), or every training
        image once an epoch, in random order.
    dropout : float
        Dropout before the last layer; in a VGG-like network after both dense layers.
    early_stopping_patience : int or None
        Epochs without improvement of `monitor` before training stops.
    monitor : str
        What chooses the best epoch.
    plateau_monitor : str
        What must stand still for the optimiser's plateau rule to reduce the learning rate.
    precision : str
        ``"fp32"``, ``"bf16"`` (bfloat16 autocast) or ``"auto"``: whichever is faster on the processor at hand
        (`labkit.learn.device.choose_precision`); the model records which.
    seeds : tuple of int
        One run a seed: initial weights, order of batches and augmentation follow from it.
    label_column, split_column : str
        Columns of the Sample's catalogue with the labels to train on and with the parts "train",
        "validation" and "test". Predictions are always measured against the column ``label``.
    soft_labels : bool
        Train on fractions, the columns ``soft_<class>`` of the catalogue, instead of on hard labels.
    folds : int
        0: train on the split column. k of at least 3 (test, validation and training parts; 2 with a
        `validation_share`): stratified k-fold cross-validation, one run a seed and fold
        (`labkit.learn.parts`).
    fold_seed : int
        The folds are drawn from it, so every seed and network sees the same ones.
    fold_by : str, optional
        Catalogue column of which every fold holds each value in proportion, as it does each class.
    fold_splits : tuple of str
        Parts of the split column that the folds are drawn from; empty: every labelled object.
    validation_share : float
        0: the fold after the test fold is the validation set. Otherwise this share of the objects is drawn
        before the folds, stratified as they are, and is the validation set of every fold; it is never tested
        (Angora et al. 2020, appendix A.2).

    Raises
    ------
    InputError
        If a field is unknown or breaks its rule.
    """

    name: str = Field(min_length=1)
    scheme: str = "binary"
    bands: tuple[str, ...] = Field((EMPTY, "xray", "optical"), min_length=1)
    network: str = "custom"
    pretrained: bool | str = False
    image_size: int = Field(356, ge=8)
    augmentation: AnyAugmentation | None = Augmentation()
    optimiser: Annotated[SGD | Adadelta | AdamW, Field(discriminator="kind")] = SGD()
    batch_size: int = Field(10, ge=1)
    batches: Literal["balanced", "shuffled"] = "balanced"
    epochs: int = Field(100, ge=1)
    dropout: float = Field(0.65, ge=0, lt=1)
    early_stopping_patience: int | None = Field(None, ge=1)
    monitor: Literal["validation_loss", "validation_accuracy"] = "validation_loss"
    plateau_monitor: Literal["validation_loss", "validation_accuracy"] = "validation_accuracy"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    label_column: str = Field("label", min_length=1)
    split_column: str = Field("split", min_length=1)
    soft_labels: bool = False
    validation_share: float = Field(0.0, ge=0, le=0.5)
    folds: int = Field(0, ge=0)
    fold_seed: int = Field(0, ge=0)
    fold_by: str | None = Field(None, min_length=1)
    fold_splits: tuple[str, ...] = ()

    @field_validator("scheme")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value not in SCHEMES:
            raise ValueError(f"must be one of {tuple(SCHEMES)}")
        return value

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: str) -> str:
        if value not in _NETWORKS and not value.startswith("timm:"):
            raise ValueError(f"must be one of {_NETWORKS} or 'timm:<model name>'")
        return value

    @field_validator("bands")
    @classmethod
    def _different_bands(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        named = [band for band in value if band != EMPTY]
        if not named or len(set(named)) != len(named):
            raise ValueError("must name each band once, and at least one")
        return value

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value) or min(value) < 0:
            raise ValueError("must be different numbers from 0 up")
        return value

    @field_validator("folds")
    @classmethod
    def _enough_folds(cls, value: int, info: ValidationInfo) -> int:
        share = info.data.get("validation_share", 0)
        if share and not value:
            raise ValueError(
                "must be at least 2 with a validation_share; without folds the split column rules"
            )
        if value == 1 or (value == 2 and not share):
            raise ValueError("must be 0 (train on the split column) or at least 3 (test, validation, train)")
        return value

    @field_validator("fold_seed", "fold_by", "fold_splits")
    @classmethod
    def _only_with_folds(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("folds") == 0:
            raise ValueError("takes effect only with folds of at least 3")
        return value

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td><code>{escape(repr(getattr(self, name)))}</code></td></tr>"
            for name in type(self).model_fields
        )
        return f"<table><tbody>{rows}</tbody></table>"

    def changed(self, **fields: Any) -> Experiment:
        """A copy with some fields changed, validated anew."""
        return Experiment(**{**self.model_dump(), **fields})

    @property
    def class_scheme(self) -> Scheme:
        """The class scheme itself."""
        return get_scheme(self.scheme)

    @property
    def named_bands(self) -> tuple[str, ...]:
        """The Sample's bands that are used, without empty channels."""
        return tuple(band for band in self.bands if band != EMPTY)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the experiment, by seed, then by fold; the fold is -1 without folds."""
        folds = range(self.folds) if self.folds else (-1,)
        return tuple(Run(self.name, seed, fold) for seed in self.seeds for fold in folds)

    @property
    def digest(self) -> str:
        """Short hash of every field but the seeds and the name: equal for equal trainings."""
        fields = self.model_dump(mode="json", exclude={"seeds", "name"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]

    def save(self, path: str | Path) -> Path:
        """Write the Experiment as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an Experiment from JSON.

        Raises
        ------
        MissingDataError
            If the file is not there.
        InputError
            If it is not JSON or a field breaks its rule.
        """
        try:
            fields = json.loads(Path(path).read_text())
        except FileNotFoundError as error:
            raise MissingDataError(f"experiment {str(path)!r} does not exist; check the path") from error
        except (OSError, ValueError) as error:
            raise InputError(f"experiment {str(path)!r} must be JSON ({error})") from error
        if not isinstance(fields, dict):
            raise InputError(f"experiment {str(path)!r} must be a JSON object, got {type(fields).__name__}")
        return cls(**fields)
