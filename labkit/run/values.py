"""Values of parameters: from text to the type that an annotation spells."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal, Optional, Union

from pydantic import TypeAdapter, ValidationError

from labkit.errors import InputError

__all__ = ["convert", "parse_assignments"]

_NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, list, tuple, dict)},
    **{"Optional": Optional, "Union": Union, "Literal": Literal},
}


def convert(value: Any, annotation: str) -> Any:
    """Check a value against a type, and convert it if it is text that spells one.

    Parameters
    ----------
    value : object
        A value, or its text as typed on a command line (`"3"`, `"xray,optical"`, `"None"`).
    annotation : str
        The type, such as `"int"`, `"list[str]"`, `"tuple[float, ...]"`, `"str | None"`.

    Returns
    -------
    object
        The value with that type.

    Raises
    ------
    InputError
        If the type is made of other names, or the value is not, and does not spell, one of that type.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(_resolve(annotation))
    reason = ""
    for candidate in _readings(value):
        try:
            return adapter.validate_python(candidate)
        except ValidationError as error:
            reason = reason or error.errors()[0]["msg"]
    raise InputError(f"must be {annotation}, got {value!r}: {reason}")


def _readings(value: Any) -> Iterable[Any]:
    """What a value can mean: text may spell None, be itself, a literal, or a comma-separated list."""
    if not isinstance(value, str):
        return [value]
    text = value.strip()
    readings: list[Any] = [None] if text == "None" else []
    readings.append(value)
    with suppress(ValueError, SyntaxError):
        readings.append(ast.literal_eval(text))
    return [*readings, [part.strip() for part in text.split(",")]]


def _resolve(annotation: str) -> Any:
    """The type that an annotation spells, from a closed list of names."""
    nodes = list(ast.walk(ast.parse(annotation, mode="eval")))
    unknown = {node.id for node in nodes if isinstance(node, ast.Name)} - set(_NAMES)
    unknown |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute | ast.Call)}
    if unknown:
        raise InputError(
            f"must have a type made of {sorted(_NAMES)}, got {sorted(unknown)} in {annotation!r}"
        )
    try:
        return eval(annotation, {"__builtins__": {}}, dict(_NAMES))
    except (TypeError, NameError, AttributeError) as error:
        raise InputError(f"must have a valid type, got {annotation!r}: {error}") from error


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Split `name=value` texts, as a command line gives them.

    Parameters
    ----------
    texts : iterable of str
        Such as `["epochs=3", "03_training.seed=1"]`.

    Returns
    -------
    dict of str to str
        Value text of each name; the notebook's types convert it later.

    Raises
    ------
    InputError
        If a text has no name or no `=`, or a name comes twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise InputError(f"an assignment must be name=value, got {text!r}")
        if name.strip() in values:
            raise InputError(f"a parameter must be given once, got {name.strip()!r} twice")
        values[name.strip()] = value
    return values
