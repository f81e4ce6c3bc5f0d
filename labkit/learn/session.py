"""Training inside someone's session: quiet, and with a stop button that leaves the session usable."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["StopError", "quiet", "stoppable"]


class StopError(Exception):
    """The user's stop, raised instead of KeyboardInterrupt, at which Lightning ends the process."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's banners and hints out of the user's log; warnings of this set-up do not apply."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="GPU available but not used")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the stop button (SIGINT) into an exception that leaves the session usable."""

    def stop(signum: int, frame: Any) -> None:
        raise StopError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
