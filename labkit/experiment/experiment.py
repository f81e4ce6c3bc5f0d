"""The Experiment: a typed, validated description of what is trained.

It holds all that is needed to train again on a Sample, and nothing else. Unknown or misspelt fields are
errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from labkit.errors import InputError, MissingDataError
from labkit.predictions import Run, target_column
from labkit.taxonomy import SCHEMES, Scheme, get_scheme, own_scheme

#: Name of a zero-filled channel (Kosiba et al. 2020, section 3.1).
EMPTY = "empty"

_NETWORKS = ("custom", "mobilenet", "vgg", "vgg-small", "pyramid")


class Declared(BaseModel):
    """A description that cannot be changed in place and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _readable(type(self), error) from None


def _readable(model: type[BaseModel], error: ValidationError) -> InputError:
    lines = []
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"])) or model.__name__
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"{name} is not a field of {model.__name__}; fields: {', '.join(model.model_fields)}"
            )
            continue
        words = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            words = f"{name}: {words}" + ("" if ", got " in words else f", got {problem['input']!r}")
        lines.append(words)
    return InputError("; ".join(lines))


class Augmentation(Declared):
    """Random resampling of each training image (Kosiba et al. 2020, section 3.2).

    Scales are drawn from 1/scale to scale, angles from 0 to `rotation_deg`, shifts from minus to plus
    `shift_px`, each axis its own or `one_shift` for both, in pixels at 356 px; they shrink with the image
    size. `corners` says what turns or shrinks into view: the image mirrored, or black.
    """

    scale: float = Field(1.3, ge=1.0)
    rotation_deg: float = Field(360.0, ge=0.0, le=360.0)
    shift_px: float = Field(4.0, ge=0.0)
    one_shift: bool = False
    corners: Literal["mirrored", "black"] = "mirrored"


class RightAngles(Declared):
    """Turns by right angles and flips of training images (Angora et al. 2020, appendix A.1).

    Drawn ``"once"``, as in the paper, a `share` of the training images is there in five further positions,
    the three turns and the two flips, so 15 % make the training set 1.75 times as large. With folds, the
    share is drawn in each fold, the same for every run. Drawn ``"every epoch"``, each image is turned into
    one of its eight positions at random whenever it is used.
    """

    kind: Literal["right angles"] = "right angles"
    drawn: Literal["once", "every epoch"] = "once"
    share: float = Field(0.15, gt=0, le=1)


def _kind(value: Any) -> str:
    kind = value.get("kind", "") if isinstance(value, dict) else getattr(value, "kind", "")
    return "right angles" if kind else "affine"


#: What an Experiment takes; a table without ``kind`` is an `Augmentation`.
AnyAugmentation = Annotated[
    Annotated[Augmentation, Tag("affine")] | Annotated[RightAngles, Tag("right angles")], Discriminator(_kind)
]


class SGD(Declared):
    """Stochastic gradient descent with Nesterov momentum, the custom network's (Kosiba et al. 2020, Table 4).

    `decay` is Keras': step k uses ``learning_rate / (1 + decay * k)``. On a plateau of the monitored quantity
    the rate is multiplied by `plateau_factor`, never below `minimal_learning_rate`. Table 4 gives a minimal
    rate equal to the initial one, so there the plateau rule has no effect; the authors' released script has
    1e-5 (preset "CN-E as released").
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = Field(1e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    decay: float = Field(1e-6, ge=0)
    plateau_factor: float = Field(0.75, gt=0, lt=1)
    plateau_patience: int = Field(14, ge=1)
    minimal_learning_rate: float = Field(1e-4, ge=0)


class Adadelta(Declared):
    """Adadelta, MobileNet's optimiser in Table 4; fields as for `SGD`.

    Table 4's "lr. decay 0.95" is read as Keras' `decay`, as its neighbour in the table.
    """

    kind: Literal["adadelta"] = "adadelta"
    learning_rate: float = Field(1.0, gt=0)
    rho: float = Field(0.95, gt=0, lt=1)
    decay: float = Field(0.95, ge=0)
    plateau_factor: float = Field(0.85, gt=0, lt=1)
    plateau_patience: int = Field(4, ge=1)
    minimal_learning_rate: float = Field(0.01, ge=0)


class AdamW(Declared):
    """Adam with decoupled weight decay, for short trainings; not of the paper.

    The schedule "one cycle" (Smith & Topin 2017, arXiv:1708.07120) lets the rate rise to `learning_rate` in
    the first quarter of all steps and fall to nothing by their end, each along half a cosine; decay and
    plateau have no effect then.
    """

    kind: Literal["adamw"] = "adamw"
    schedule: Literal["plateau", "one cycle"] = "plateau"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    decay: float = Field(0.0, ge=0)
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    plateau_patience: int = Field(5, ge=1)
    minimal_learning_rate: float = Field(1e-5, ge=0)


def _words(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {_words(one)}" for name, one in value)
    return ", ".join(map(_words, value)) if isinstance(value, tuple) else str(value)


def merged(old: Any, new: Any) -> Any:
    """A table changes the fields that it names, unless it is of another kind."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return new if new.get("kind", old.get("kind")) != old.get("kind") else {**old, **new}


class Experiment(Declared):
    """What is trained and how.

    Parameters
    ----------
    name : str
        Name in tables and figures.
    scheme : str
        Class scheme by its name, see `labkit.taxonomy`; named after `classes` where there are some, and of no
        effect with `targets`.
    classes : tuple of str
        Classes of one's own, in the order of the network's outputs, instead of a known scheme. A class's name
        is one of its labels.
    positive : str or None
        The class of one's own that counts as a detection; of two classes one must be.
    merge : mapping of str to str
        Further labels, and the class of one's own that each belongs to.
    left_out : tuple of str
        Labels that take no part in classes of one's own.
    targets : str or tuple of str
        Columns of the Sample's catalogue with numbers to learn instead of classes; ``"log t_cool"`` is the
        logarithm to base 10 of the column ``t_cool``. The network gives a mean and a width for each
        (`labkit.learn.targets`). An object takes part if it has all of them.
    bands : tuple of str
        The network's input channels in order, by the Sample's band names; ``"empty"`` is a zero-filled
        channel. The paper's are red = empty, green = X-ray, blue = optical.
    network : str
        ``"custom"`` (Kosiba et al., Table 3), ``"mobilenet"``, ``"vgg"`` (Angora et al. 2020, Table B.1),
        ``"vgg-small"``, ``"pyramid"`` (four scales about the centre), or ``"timm:<model>"``, also one of the
        Hugging Face hub, ``"timm:hf_hub:<owner>/<model>"``.
    pretrained : bool or str
        False, True (weights from timm's hub) or the path of a file of weights.
    start : str, optional
        Folder of a trained model, or of a run with one, of the same network: the training begins with its
        weights as far as bands, classes and image size fit (`labkit.learn.start`). Objects that it was
        trained on should not be tested.
    frozen : int
        Number of the first layers that keep the weights they start with; -1: all but the last.
    layer_decay : float
        Learning rate of each layer over that of the next; the last has the whole rate.
    image_size : int
        Side of the network's input in pixels; a Sample's images are brought to it once, by area.
    augmentation : Augmentation, RightAngles or None
        Random resampling of training images, or turns by right angles and flips.
    optimiser : SGD, Adadelta or AdamW
        Optimiser and its schedule.
    batch_size, epochs : int
        Images per batch; passes, each of as many batches as the training set holds.
    batches : {"balanced", "shuffled"}
        As many objects of each class in every batch (Kosiba et al. 2020, section 5.2), or every training
        image once an epoch, in random order, as it must be with `targets`.
    dropout : float
        Dropout before the last layer; in a VGG-like network after both dense layers.
    early_stopping_patience : int or None
        Epochs without improvement of `monitor` before training stops.
    monitor, plateau_monitor : str
        What chooses the best epoch; what must stand still for the plateau rule to reduce the learning rate.
    validated_on : {"validation", "train"}
        Part whose images, as they are, give the quantities "validation_..."; the training set's choose an
        epoch that has learnt it by heart.
    precision : str
        ``"fp32"``, ``"bf16"`` (bfloat16 autocast) or ``"auto"``: whichever is faster on the processor at hand
        (`labkit.learn.device.choose_precision`); the model records which.
    seeds : tuple of int
        One run per seed: initial weights, order of batches and augmentation follow from it.
    label_column, split_column : str
        Columns of the Sample's catalogue with the labels to train on and with the parts "train", "validation"
        and "test". Predictions are always measured against the column ``label``.
    soft_labels : bool
        Train on fractions, the columns ``soft_<class>`` of the catalogue, instead of on hard labels.
    folds : int
        0: train on the split column. k of at least 3 (test, validation and training parts; 2 with a
        `validation_share`): stratified k-fold cross-validation, one run per seed and fold
        (`labkit.learn.parts`).
    fold_seed : int
        The folds are drawn from it, so every seed and network sees the same ones.
    stratify_by : str, optional
        Catalogue column of which every fold holds each value in proportion, as it does each class.
    group_by : str, optional
        Catalogue column whose objects of one value stay together, in one fold or in the validation set.
        Classes and `stratify_by` are then in proportion as far as whole groups allow.
    fold_splits : tuple of str
        Parts of the split column that the folds are drawn from; empty: every labelled object.
    validation_share : float
        0: the fold after the test fold is the validation set. Otherwise this share of the objects is drawn
        before the folds, as they are, and is the validation set of every fold; it is never tested (Angora et
        al. 2020, appendix A.2).

    Raises
    ------
    InputError
        If a field is unknown or breaks its rule.
    """

    name: str = Field(min_length=1)
    classes: tuple[str, ...] = ()
    positive: str | None = None
    merge: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    scheme: str = "binary"
    targets: tuple[str, ...] = ()
    bands: tuple[str, ...] = Field((EMPTY, "xray", "optical"), min_length=1)
    network: str = "custom"
    pretrained: bool | str = False
    start: str | None = Field(None, min_length=1)
    frozen: int = Field(0, ge=-1)
    layer_decay: float = Field(1.0, gt=0, le=1)
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
    validated_on: Literal["validation", "train"] = "validation"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    label_column: str = Field("label", min_length=1)
    split_column: str = Field("split", min_length=1)
    soft_labels: bool = False
    validation_share: float = Field(0.0, ge=0, le=0.5)
    folds: int = Field(0, ge=0)
    fold_seed: int = Field(0, ge=0)
    stratify_by: str | None = Field(None, min_length=1)
    group_by: str | None = Field(None, min_length=1)
    fold_splits: tuple[str, ...] = ()

    @field_validator("merge", "targets", "start", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and info.field_name == "merge":
            return tuple(sorted(value.items()))
        if isinstance(value, str) and info.field_name == "targets":
            return (value,)
        return str(value) if isinstance(value, Path) else value

    @field_validator("scheme")
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        own: list[Any] = [info.data.get(name, False) for name in ("classes", "merge", "left_out", "positive")]
        if own[0]:
            return value if False in own else own_scheme(*own).name  # False: refused by itself
        if value not in SCHEMES and "classes" in info.data:
            raise ValueError(f"must be one of {tuple(SCHEMES)}, or give classes of your own")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Experiment:
        if broken := [f"{name}: {rule}, got {getattr(self, name)!r}" for name, rule in self._broken_rules()]:
            raise ValueError("; ".join(broken))
        return self

    def _broken_rules(self) -> Iterator[tuple[str, str]]:
        """Fields that break a rule, and the rule."""
        for name in () if self.classes else ("positive", "merge", "left_out"):
            if getattr(self, name):
                yield name, "takes effect only with classes of one's own"
        columns = [target_column(one)[0].strip() for one in self.targets]
        if len(set(self.targets)) != len(columns) or not all(columns):
            yield "targets", "must name different columns, each as 'column' or 'log column'"
        if columns and self.classes:
            yield "targets", "are numbers, and must not stand beside classes"
        fit = {"batches": "shuffled", "soft_labels": False, "monitor": "validation_loss"}
        for name, value in (fit | {"plateau_monitor": "validation_loss"}).items() if columns else ():
            if getattr(self, name) != value:
                yield name, f"must be {value!r} with targets, which are numbers, not classes"
        if self.network not in _NETWORKS and not self.network.startswith("timm:"):
            yield "network", f"must be one of {_NETWORKS} or 'timm:<model name>'"
        if self.start is not None and self.pretrained:
            yield "start", "must not stand beside pretrained; the weights come from one of them"
        if not self.named_bands or len(set(self.named_bands)) != len(self.named_bands):
            yield "bands", "must name each band once, and at least one"
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            yield "seeds", "must be different numbers from 0 up"
        if self.validation_share and not self.folds:
            yield "folds", "must be at least 2 with a validation_share; without folds the split column rules"
        if self.folds == 1 or (self.folds == 2 and not self.validation_share):
            yield "folds", "must be 0 (train on the split column) or at least 3 (test, validation, train)"
        if self.group_by is not None and self.group_by == self.stratify_by:
            yield "group_by", "must be another column than stratify_by, whose values are in every fold"
        for name in () if self.folds else ("fold_seed", "stratify_by", "group_by", "fold_splits"):
            if getattr(self, name):
                yield name, "takes effect only with folds of at least 3"

    @property
    def as_text(self) -> dict[str, str]:
        """The fields that say something, each as a person reads it."""
        return {name: _words(value) for name, value in self if value not in ((), None)}

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:left;white-space:nowrap;vertical-align:top'>"
        rows = (f"<tr>{cell}{name}</td>{cell.replace('nowrap', 'normal')}{escape(words)}</td></tr>"
                for name, words in self.as_text.items())  # fmt: skip
        return f"<table><tbody>{''.join(rows)}</tbody></table>"

    def changed(self, **fields: Any) -> Experiment:
        """A copy with some fields changed, validated anew; a mapping changes what it names."""
        before = self.model_dump()
        return Experiment(**before | {name: merged(before.get(name), new) for name, new in fields.items()})

    @property
    def class_scheme(self) -> Scheme:
        """The class scheme itself; refused where numbers are learned."""
        if self.targets:
            raise InputError(
                f"experiment must be one of classes, got {self.name!r}, which learns numbers: {self.targets}"
            )
        if self.classes:
            return own_scheme(self.classes, self.merge, self.left_out, self.positive)
        return get_scheme(self.scheme)

    @property
    def kind(self) -> str:
        """What its predictions are of: the name of the class scheme, or "numbers"."""
        return "numbers" if self.targets else self.scheme

    @property
    def outputs(self) -> int:
        """Number of the network's outputs: one per class, or a mean and a width per target."""
        return 2 * len(self.targets) or len(self.class_scheme.classes)

    @property
    def prevalence(self) -> float | None:
        """Share of each class that the probabilities assume: balanced batches show all equally often.

        None where they assume the shares of the training set, or there are no classes.
        """
        return 1 / len(self.class_scheme.classes) if self.batches == "balanced" else None

    @property
    def named_bands(self) -> tuple[str, ...]:
        """The Sample's bands that are used, without empty channels."""
        return tuple(band for band in self.bands if band != EMPTY)

    @property
    def untrained(self) -> Experiment:
        """The same with no weights to begin with: what builds the network, whatever is loaded into it."""
        return self.changed(pretrained=False, start=None)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the experiment, by seed, then by fold; the fold is -1 without folds."""
        folds = range(self.folds) if self.folds else (-1,)
        return tuple(Run(self.name, seed, fold) for seed in self.seeds for fold in folds)

    @property
    def digest(self) -> str:
        """Short hash of every field but seeds, name and start (a folder): equal for equal trainings."""
        fields = self.model_dump(mode="json", exclude={"seeds", "name", "start"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]

    def save(self, path: str | Path) -> Path:
        """Write the Experiment as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an Experiment from JSON; a missing file, or one that holds none, is an error that names it."""
        try:
            fields = json.loads(Path(path).read_text())
        except FileNotFoundError as error:
            raise MissingDataError(f"experiment {str(path)!r} does not exist; check the path") from error
        except (OSError, ValueError) as error:
            raise InputError(f"experiment {str(path)!r} must be JSON ({error})") from error
        if not isinstance(fields, dict):
            raise InputError(f"experiment {str(path)!r} must be a JSON object, got {type(fields).__name__}")
        return cls(**fields)
