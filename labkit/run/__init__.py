"""Running notebooks and sweeps: typed parameters, one notebook, a sequence that resumes, many trainings.

The names are looked up when first used, so that training loads neither notebooks nor plots.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "parse_assignments": "labkit.run.parameters",
    "read_parameters": "labkit.run.parameters",
    "read_sequence": "labkit.run.sequence",
    "run_sequence": "labkit.run.runner",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public: {sorted(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)
