"""Parts of an Experiment: augmentation, and the optimisers with their schedules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from labkit.errors import InputError


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
        else:
            lines.append(f"{name}: {problem['msg']}, got {problem['input']!r}")
    return InputError("; ".join(lines))


class Augmentation(Declared):
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


class RightAngles(Declared):
    """Turns by right angles and flips of training images (Angora et al. 2020, appendix A.1).

    Parameters
    ----------
    drawn : {"once", "every epoch"}
        ``"once"``, as in the paper: a share of the training images is there in five further positions, the
        three turns and the two flips, so 15 % make the training set 1.75 times as large. With folds, the
        share is drawn in each fold, the same for every run. ``"every epoch"``: each image is turned into one
        of its eight positions at random whenever it is used.
    share : float
        Fraction of the images that get further positions; for ``"once"`` only.
    """

    kind: Literal["right angles"] = "right angles"
    drawn: Literal["once", "every epoch"] = "once"
    share: float = Field(0.15, gt=0, le=1)


def _kind(value: Any) -> str:
    kind = value.get("kind", "") if isinstance(value, dict) else getattr(value, "kind", "")
    return "right angles" if kind else "affine"


#: What an Experiment takes; a table without ``kind`` is an `Augmentation`.
AnyAugmentation = Annotated[
    Annotated[Augmentation, Tag("affine")] | Annotated[RightAngles, Tag("right angles")],
    Discriminator(_kind),
]


class SGD(Declared):
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
    """Adam with decoupled weight decay, for short trainings; not of the paper."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    decay: float = Field(0.0, ge=0)
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    plateau_patience: int = Field(5, ge=1)
    minimal_learning_rate: float = Field(1e-5, ge=0)
