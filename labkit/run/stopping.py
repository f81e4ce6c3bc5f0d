"""SIGTERM, as batch systems send it, stops work as Ctrl-C does: what is done is kept."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM

_came = threading.Event()


def _interrupt(_: int, frame: FrameType | None) -> None:
    _came.set()
    present = signal.getsignal(signal.SIGINT)
    if callable(present):
        present(signal.SIGINT, frame)
    else:  # ignored, as in background jobs of a shell
        raise KeyboardInterrupt


@contextmanager
def interrupt_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Handle SIGTERM as an interrupt while the block runs; gives a function that says whether it came.

    A block that it ends then exits with code 143. Inside another such block, and in threads, nothing changes.
    """
    inner = signal.getsignal(signal.SIGTERM) is _interrupt
    if inner or threading.current_thread() is not threading.main_thread():
        yield _came.is_set
        return
    _came.clear()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield _came.is_set
    except KeyboardInterrupt:
        if not _came.is_set():
            raise
        sys.stderr.write("labkit: terminated; the same call resumes\n")
        raise SystemExit(TERMINATED) from None
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
