"""Kernels for headless runs: this interpreter, reached through socket files instead of TCP ports.

Ports are chosen, released and bound again by different processes, so notebooks that start at the same
moment can meet on one. A private folder of socket files can't be shared by accident.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from traitlets.config import Config

from labkit.runfolder import HEADLESS

__all__ = ["LocalKernelManager", "closing_event_loop", "private_connection"]

_LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 on macOS and 108 on Linux


class LocalKernelManager(AsyncKernelManager):
    """Starts kernels with the interpreter that runs labkit, whatever kernel specifications are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """A specification of this interpreter's own kernel; what it logs when it is stopped is no news."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"],
            display_name="Python 3 (labkit)",
            language="python",
            env={HEADLESS: "1"},
        )

    @property
    def ipykernel(self) -> bool:
        """Always true: the kernel is ipykernel."""
        return True

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Command that starts the kernel."""
        return [
            part.format(connection_file=self.connection_file)
            for part in [*self.kernel_spec.argv, *(extra_arguments or [])]
        ]


def _socket_folder() -> str | None:
    """A folder whose paths are short enough for sockets: the usual one for temporary files, or /tmp."""
    longest = len(os.fsencode(tempfile.gettempdir())) + len("/labkit-12345678/kernel-ipc-12345")
    return None if longest < _LONGEST_SOCKET_PATH else "/tmp"


@contextmanager
def private_connection() -> Iterator[Config]:
    """Settings that give one kernel its own socket folder, removed at the end.

    If this process is killed (SIGKILL), the folder, some socket files named ``labkit-*``, stays among the
    temporary files; nothing reads it again.

    Yields
    ------
    traitlets.config.Config
        For `LocalKernelManager`. On Windows, which lacks such sockets, the kernel uses local ports.
    """
    settings: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(
        prefix="labkit-", dir=_socket_folder(), ignore_cleanup_errors=True
    ) as folder:
        if os.name != "nt":
            settings["transport"] = "ipc"
        settings["connection_file"] = str(Path(folder) / "kernel.json")
        yield Config({"LocalKernelManager": settings})


@contextmanager
def closing_event_loop() -> Iterator[None]:
    """Close the event loop that a notebook client makes for this thread; leave a running one alone."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = ensure_event_loop()
        try:
            yield
        finally:
            pending = asyncio.all_tasks(loop)  # left over when a person stops the run
            for task in pending:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.close()
            asyncio.set_event_loop(None)
    else:
        yield
