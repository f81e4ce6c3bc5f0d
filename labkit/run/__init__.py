"""Running notebooks: typed parameters, one notebook, a sequence that resumes, and its report.

The names are looked up when first used, so that training and scoring load neither notebooks nor plots.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "NotebookError": "labkit.run.notebooks",
    "describe": "labkit.run.parameters",
    "execute_notebook": "labkit.run.notebooks",
    "parse_assignments": "labkit.run.values",
    "plan": "labkit.run.runner",
    "read_sequence": "labkit.run.sequence",
    "run_sequence": "labkit.run.runner",
    "sequence_of": "labkit.run.sequence",
    "write_report": "labkit.views.report",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """A public name of this room, from the module where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public: {sorted(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)
