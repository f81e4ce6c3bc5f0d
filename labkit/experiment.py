"""The Experiment: a typed, validated description of what is trained.

An Experiment holds everything needed to train again on a Sample and nothing else. Unknown or
misspelt fields are errors. `PRESETS` are the networks of Kosiba et al. 2020.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labkit.errors import InputError, MissingDataError
from labkit.taxonomy import SCHEMES, Scheme, get_scheme

__all__ = ["EMPTY", "PRESETS", "SGD", "Adadelta", "AdamW", "Augmentation", "Experiment", "preset"]

#: Name of a zero-filled channel (Kosiba et al. 2020, section 3.1).
EMPTY = "empty"


class _Declared(BaseModel):
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
        else:
            lines.append(f"{name}: {problem['msg']}, got {problem['input']!r}")
    return InputError("; ".join(lines))


class Augmentation(_Declared):
    """Random resampling of each training image (Kosiba et al. 2020, section 3.2).

    Parameters
    ----------
    scale : float
        Scales are drawn from 1/scale to scale.
    rotation_deg : float
        Angles are drawn from 0 to this.
    shift_px : float
        Shifts are drawn from minus to plus this, each axis its own, in pixels at 356 px; they
        shrink with the image size.
    """

    scale: float = Field(1.3, ge=1.0)
    rotation_deg: float = Field(360.0, ge=0.0, le=360.0)
    shift_px: float = Field(4.0, ge=0.0)


class SGD(_Declared):
    """Stochastic gradient descent with Nesterov momentum, the custom network's (Table 4).

    `decay` is Keras': step k uses ``learning_rate / (1 + decay * k)``. On a plateau of the monitored
    quantity the rate is multiplied by `plateau_factor`, never below `minimal_learning_rate`. Table 4
    gives a minimal rate equal to the initial one, so there the plateau rule has no effect; the
    authors' released script has 1e-5.
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = Field(1e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    decay: float = Field(1e-6, ge=0)
    plateau_factor: float = Field(0.75, gt=0, lt=1)
    plateau_patience: int = Field(14, ge=1)
    minimal_learning_rate: float = Field(1e-4, ge=0)


class Adadelta(_Declared):
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


class AdamW(_Declared):
    """Adam with decoupled weight decay, for short trainings; not of the paper."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    decay: float = Field(0.0, ge=0)
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    plateau_patience: int = Field(5, ge=1)
    minimal_learning_rate: float = Field(1e-5, ge=0)


class Experiment(_Declared):
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
        ``"custom"`` (Table 3), ``"mobilenet"``, or ``"timm:<model>"``.
    pretrained : bool or str
        False, True (weights from timm's hub) or the path of a file of weights.
    image_size : int
        Side of the network's input in pixels; a Sample's images are brought to it once, by area.
    augmentation : Augmentation or None
        Random resampling of training images.
    optimiser : SGD, Adadelta or AdamW
        Optimiser and its schedule.
    batch_size, epochs : int
        Images a batch; passes, each of as many balanced batches as the training set holds.
    dropout : float
        Dropout before the last layer.
    early_stopping_patience : int or None
        Epochs without improvement of `monitor` before training stops.
    monitor : str
        What chooses the best epoch.
    precision : str
        ``"fp32"`` or ``"bf16"`` (bfloat16 autocast).
    seeds : tuple of int
        One run a seed: initial weights, order of batches and augmentation follow from it.

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
    augmentation: Augmentation | None = Augmentation()
    optimiser: Annotated[SGD | Adadelta | AdamW, Field(discriminator="kind")] = SGD()
    batch_size: int = Field(10, ge=1)
    epochs: int = Field(100, ge=1)
    dropout: float = Field(0.65, ge=0, lt=1)
    early_stopping_patience: int | None = Field(None, ge=1)
    monitor: Literal["validation_loss", "validation_accuracy"] = "validation_loss"
    precision: Literal["fp32", "bf16"] = "fp32"
    seeds: tuple[int, ...] = Field((0,), min_length=1)

    @field_validator("scheme")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value not in SCHEMES:
            raise ValueError(f"must be one of {tuple(SCHEMES)}")
        return value

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: str) -> str:
        if value not in ("custom", "mobilenet") and not value.startswith("timm:"):
            raise ValueError("must be 'custom', 'mobilenet' or 'timm:<model name>'")
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

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td><code>{getattr(self, name)!r}</code></td></tr>"
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
        except json.JSONDecodeError as error:
            raise InputError(f"experiment {str(path)!r} must be JSON ({error})") from error
        return cls(**fields)


_CUSTOM: dict[str, Any] = {
    "network": "custom",
    "batch_size": 10,
    "image_size": 356,
    "optimiser": SGD(),
    "epochs": 1240,
}
_MOBILE: dict[str, Any] = {
    "network": "mobilenet",
    "pretrained": True,
    "batch_size": 20,
    "image_size": 224,
    "optimiser": Adadelta(),
    "epochs": 62,
}

#: The networks of Table 5 that are trained on experts' labels, with the hyper-parameters of Table 4.
#: Epochs make up the table's iterations: 153,000 batches of 10 and 3,825 of 20, for 1,233 images.
PRESETS: dict[str, Experiment] = {
    "CN-E": Experiment(name="CN-E", **_CUSTOM),
    "MN-E": Experiment(name="MN-E", **_MOBILE),
    "CN-E solo optical": Experiment(name="CN-E solo optical", bands=("optical",), **_CUSTOM),
    "CN-E solo x-ray": Experiment(name="CN-E solo x-ray", bands=("xray",), **_CUSTOM),
    "CN-E no augm.": Experiment(name="CN-E no augm.", augmentation=None, **_CUSTOM),
    "MN-E no augm.": Experiment(name="MN-E no augm.", augmentation=None, **_MOBILE),
}


def preset(name: str, **changes: Any) -> Experiment:
    """One of `PRESETS`, with some fields changed.

    Raises
    ------
    InputError
        If there is no such preset, or a change breaks a rule.
    """
    if name not in PRESETS:
        raise InputError(f"preset must be one of {tuple(PRESETS)}, got {name!r}")
    return PRESETS[name].changed(**changes)
