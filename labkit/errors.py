"""The errors that labkit raises on purpose.

Every message names the argument or file, the rule it breaks, the value received and the remedy.
"""

from __future__ import annotations


class InputError(ValueError):
    """An argument, a file or a parameter breaks a stated rule."""


class MissingDataError(InputError):
    """Data that must be there is not; the message says how to get it."""


class FailedError(RuntimeError):
    """Work that had started could not be finished; what was computed before is kept."""


class TrainingError(FailedError):
    """Training cannot go on (for example, the loss is no longer finite)."""
