"""Which class is explained for each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.errors import InputError
from labkit.learn.model import Model

__all__ = ["Target", "target_codes"]

#: A class by name or number, one an image, ``"predicted"``, or None.
Target = str | int | Sequence[str | int] | np.ndarray | None


def target_codes(model: Model, target: Target, n: int) -> np.ndarray | None:
    """Number of the class to explain for each of n images; None for the one that the network decides for.

    Parameters
    ----------
    model : Model
        Has the classes.
    target : str, int, sequence of these, or None
        See `labkit.explain.class_activation_with_scale`.
    n : int
        Images.

    Raises
    ------
    InputError
        If a class is unknown, or there is not one an image.
    """
    if target is None:
        target = model.experiment.class_scheme.positive or "predicted"
    if isinstance(target, str) and target == "predicted":
        return None
    each = [target] * n if isinstance(target, str | int | np.integer) else list(target)
    if len(each) != n:
        raise InputError(f"target must be one class, or one for each of the {n} images, got {len(each)}")
    numbers = {name: code for code, name in enumerate(model.classes)}
    codes = [numbers.get(str(value), -1) if isinstance(value, str) else int(value) for value in each]
    if unknown := sorted({repr(v) for v, c in zip(each, codes, strict=True) if not 0 <= c < len(numbers)}):
        raise InputError(
            f"target must be among the classes {model.classes}, their numbers, or 'predicted', "
            f"got {', '.join(unknown)}"
        )
    return np.array(codes, dtype=np.int64).reshape(n)
