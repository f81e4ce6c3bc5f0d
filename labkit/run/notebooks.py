"""Run one notebook from the first cell to the last, without a browser.

The kernel is this interpreter's own, reached through socket files instead of TCP ports: ports are chosen,
released and bound again by different processes, so notebooks that start at the same moment can meet on one.
"""

import asyncio
import logging
import os
import re
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm
from traitlets.config import Config

from labkit.errors import FailedError
from labkit.paths import atomic_file
from labkit.run.parameters import read_notebook, with_parameters
from labkit.runfolder import HEADLESS

log = logging.getLogger(__name__)
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
_CELL_LINE = re.compile(r"^ *Cell In\[\d+\], line (\d+)", re.MULTILINE)
_START_S = 300  # for a kernel, on a busy machine or from a slow file system
_LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 on macOS and 108 on Linux


class NotebookError(FailedError):
    """A cell failed; `notebook`, the number of the `cell` (from 1), and `kept`, the partly executed copy."""

    def __init__(self, message: str, *, notebook: Path, cell: int, kept: Path) -> None:
        super().__init__(message)
        self.notebook, self.cell, self.kept = notebook, cell, kept


class LocalKernelManager(AsyncKernelManager):
    """Starts kernels with the interpreter that runs labkit, whatever kernel specifications are installed."""

    started: ClassVar["weakref.WeakSet[LocalKernelManager]"] = weakref.WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.started.add(self)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of this interpreter; what it logs when it is stopped is no news."""
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
        parts = [*self.kernel_spec.argv, *(extra_arguments or [])]
        return [self.connection_file if part == "{connection_file}" else part for part in parts]


def interrupt_notebooks() -> None:
    """Press the stop button of every notebook that a thread of this process executes."""
    for manager in list(LocalKernelManager.started):
        if manager.has_kernel:
            asyncio.run(_interrupt(manager))


async def _interrupt(manager: LocalKernelManager) -> None:
    await manager.interrupt_kernel()


@contextmanager
def _private_connection() -> Iterator[Config]:
    """Settings that give one kernel its own folder of sockets; on Windows, which lacks them, local ports.

    If this process is killed (SIGKILL), the folder, some socket files named ``labkit-*``, stays among the
    temporary files; nothing reads it again.
    """
    longest = len(os.fsencode(tempfile.gettempdir())) + len("/labkit-12345678/kernel-ipc-12345")
    place = None if longest < _LONGEST_SOCKET_PATH else "/tmp"
    with tempfile.TemporaryDirectory(prefix="labkit-", dir=place, ignore_cleanup_errors=True) as folder:
        settings = {"transport": "ipc"} if os.name != "nt" else {}
        settings["connection_file"] = str(Path(folder) / "kernel.json")
        yield Config({"LocalKernelManager": settings})


@contextmanager
def _closing_event_loop() -> Iterator[None]:
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


@dataclass
class _Progress:
    """How far a notebook is: one line that moves for people, log lines for batch systems."""

    name: str
    total: int
    cell: int = 0
    bar: Any = field(default=None, repr=False)
    started: float = field(default_factory=time.monotonic)

    def on_cell_start(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        self.cell = cell_index + 1
        if self.bar is not None:
            self.bar.update(self.cell - 1 - self.bar.n)

    def on_cell_executed(self, cell: nbformat.NotebookNode, cell_index: int, execute_reply: Any) -> None:
        if self.bar is None:
            seconds = time.monotonic() - self.started
            log.info("%s: cell %d of %d done after %.1f s", self.name, cell_index + 1, self.total, seconds)

    def write(self, text: str) -> None:
        """Pass on a line that the notebook printed; people see it in the notebook itself."""
        if self.bar is None and text.strip():
            log.info("%s: %s", self.name, text.rstrip())

    def flush(self) -> None:
        """Nothing is held back."""


def execute_notebook(
    notebook: str | Path, output: str | Path, *, parameters: Mapping[str, Any] | None = None
) -> Path:
    """Execute a notebook with this interpreter in its own folder; the copy is saved after every cell.

    `parameters` go before the values of the cell tagged `parameters`; a wrong one is refused before anything
    runs. A terminal shows a moving line, a log a line for each cell. A cell that fails, or a kernel that
    dies, raises NotebookError; the partly executed notebook is kept.
    """
    source, target = Path(notebook).resolve(), Path(output).resolve()
    node = with_parameters(read_notebook(source), parameters or {})
    with atomic_file(target) as partial:
        nbformat.write(node, partial)
    total = len(node.cells)
    bar = tqdm(total=total, desc=source.stem, unit="cell", leave=False) if sys.stderr.isatty() else None
    tracker = _Progress(source.stem, total, bar=bar)
    try:
        _run_papermill(target, tracker, folder=source.parent)
    except (PapermillExecutionError, DeadKernelError) as error:
        raise _explain(error, source, target, tracker) from error
    finally:
        if bar is not None:
            bar.close()
    return target


def _run_papermill(target: Path, tracker: _Progress, *, folder: Path) -> None:
    with _closing_event_loop(), _private_connection() as connection:
        path = str(target).replace("{", "{{").replace("}", "}}")  # papermill takes paths for templates
        papermill.execute_notebook(
            path,
            path,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=_START_S,
            kernel_manager_class=LocalKernelManager,
            config=connection,
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=tracker.on_cell_start,
            on_cell_executed=tracker.on_cell_executed,
            stdout_file=tracker,
            stderr_file=tracker,
        )


def _explain(error: Exception, notebook: Path, kept: Path, tracker: _Progress) -> NotebookError:
    where = f"cell {tracker.cell} of {tracker.total}"
    if isinstance(error, PapermillExecutionError):
        where += f", {_failing_line(error)}"
        what = f"{error.ename}: {_COLOUR_CODES.sub('', str(error.evalue))}"
    else:
        what = f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
    place = f"notebook {notebook.name!r} failed in {where}"
    message = f"{place}: {what}; what ran until there is kept in {str(kept)!r}"
    return NotebookError(message, notebook=notebook, cell=tracker.cell, kept=kept)


def _failing_line(error: PapermillExecutionError) -> str:
    """The line of the cell at which its traceback entered; the first where none is named."""
    lines = error.source.splitlines() or [""]
    found = _CELL_LINE.search(_COLOUR_CODES.sub("", "\n".join(error.traceback)))
    number = int(found[1]) if found else 1
    number = number if number <= len(lines) else 1
    return f"line {number} (`{lines[number - 1].strip()}`)"
