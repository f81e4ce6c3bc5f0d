"""The errors that labkit raises on purpose.

Every message names the argument or file, the rule it breaks, the value received and the remedy.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """An argument, a file or a parameter breaks a stated rule."""


class MissingDataError(InputError):
    """Data that must be there is not; the message says how to get it."""


class FailedError(RuntimeError):
    """Work that had started could not be finished; what was computed before is kept."""


class TrainingError(FailedError):
    """Training cannot go on (for example, the loss is no longer finite)."""


@contextmanager
def boundary(message: str, remedy: str) -> Iterator[None]:
    """Turn whatever a library raises on a file into an `InputError`, which stays what it is."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise InputError(f"{message} ({reason}); {remedy}") from error


def need_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value of an argument that is none of the choices."""
    if value not in (known := tuple(choices)):
        raise InputError(f"{name} must be one of {known}, got {value!r}")
