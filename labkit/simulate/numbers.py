"""Numbers: those that are data, in TOML files that name their source, and those that a user gives."""

import tomllib
from copy import copy
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import InputError


@lru_cache
def read_numbers(name: str) -> dict[str, Any]:
    """A data file of this package by its name below it, such as ``"hst/bands"``; read once."""
    return tomllib.loads(Path(__file__).parent.joinpath(f"{name}.toml").read_text("utf-8"))


def default(name: str, group: str, key: str) -> Any:
    """Field of a dataclass whose default is a number of a data file."""

    def read() -> Any:
        value = read_numbers(name)[group][key]
        return tuple(value) if isinstance(value, list) else copy(value)

    return field(default_factory=read)


def check_share(**values: float) -> None:
    """Refuse what is no share, by the name of the argument."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name} must be between 0 and 1, got {value}")


def check_whole(least: int, **values: object) -> None:
    """Refuse what is no whole number from `least` up, by the name of the argument."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{name} must be a whole number from {least} up, got {value!r}")
