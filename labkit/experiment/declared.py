"""Typed, frozen descriptions whose mistakes are told in one readable line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from labkit.errors import InputError

__all__ = ["Declared"]


class Declared(BaseModel):
    """A description that cannot be changed in place and refuses fields it does not know.

    Raises
    ------
    InputError
        If a field is unknown or breaks its rule; every mistake is named.
    """

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
