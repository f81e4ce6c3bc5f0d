"""The filter line of the inspector: `counts > 200 and label = point source`, or a part of an object's id."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError

__all__ = ["Condition", "matching", "parse"]

_COMPARE: dict[str, Callable] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_FORM = re.compile(r"^\s*(?P<column>[^<>=!~]+?)\s*(?P<sign><=|>=|!=|==|<|>|=|~)\s*(?P<value>.*?)\s*$")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value.

    Parameters
    ----------
    column : str
        Name of the column.
    sign : str
        One of ``< <= > >= = !=``, or ``~`` for "contains".
    value : str
        As it was written; numbers are in the unit of the column.
    """

    column: str
    sign: str
    value: str


def parse(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter line, joined by ``and``, ``&`` or a comma; a bare word is part of an id.

    Raises
    ------
    InputError
        If a comparison has no value.
    """
    found = []
    for part in re.split(r"\s+and\s+|&|,", text):
        if not part.strip():
            continue
        form = _FORM.match(part)
        if form is None:
            found.append(Condition("object_id", "~", part.strip()))
            continue
        sign = "=" if form["sign"] == "==" else form["sign"]
        if not form["value"]:
            raise InputError(f"filter must compare with a value, as in 'counts > 200', got {part.strip()!r}")
        found.append(Condition(form["column"], sign, form["value"].strip("'\"")))
    return tuple(found)


def matching(
    conditions: Sequence[Condition], column: Callable[[str], NDArray], *, size: int
) -> NDArray[np.bool_]:
    """Objects that meet every condition.

    Parameters
    ----------
    conditions : sequence of Condition
        From `parse`.
    column : callable
        Gives the values of a column by name, shape (n,).
    size : int
        Number n of objects.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for those that meet all; an entry that is not a number meets only ``!=``.

    Raises
    ------
    InputError
        If a column is numeric and the value is not, or the other way round.
    """
    keep = np.ones(size, dtype=bool)
    for condition in conditions:
        keep &= _meets(condition, column(condition.column))
    return keep


def _meets(condition: Condition, values: NDArray) -> NDArray[np.bool_]:
    if condition.sign == "~":
        return np.strings.find(np.strings.lower(values.astype(str)), condition.value.lower()) >= 0
    compare = _COMPARE[condition.sign]
    if values.dtype.kind == "b":
        if condition.value.lower() not in _TRUTH or condition.sign not in ("=", "!="):
            raise InputError(f"filter: {condition.column!r} is true or false, got {condition.value!r}")
        return compare(values, _TRUTH[condition.value.lower()])
    if values.dtype.kind in "fiu":
        try:
            return compare(values, float(condition.value))
        except ValueError as error:
            raise InputError(
                f"filter: {condition.column!r} must be compared with a number, got {condition.value!r}"
            ) from error
    if condition.sign not in ("=", "!="):
        raise InputError(f"filter: {condition.column!r} is text; use =, != or ~, got {condition.sign!r}")
    return compare(values.astype(str), condition.value)
