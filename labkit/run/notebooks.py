"""Run one notebook from the first cell to the last, without a browser."""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellControlSignal, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from labkit.errors import FailedError
from labkit.paths import atomic_file
from labkit.run.kernels import LocalKernelManager, closing_event_loop, private_connection
from labkit.run.parameters import read_notebook, with_parameters

__all__ = ["NotebookError", "execute_notebook"]

log = logging.getLogger(__name__)
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
_CELL_LINE = re.compile(r"^ *Cell In\[\d+\], line (\d+)", re.MULTILINE)


class NotebookError(FailedError):
    """A cell of a notebook failed.

    Parameters
    ----------
    message : str
        What failed, where, and what was kept.
    notebook : Path
        The notebook.
    cell : int
        Number of the cell, counted from one.
    kept : Path
        The partly executed notebook.
    """

    def __init__(self, message: str, *, notebook: Path, cell: int, kept: Path) -> None:
        super().__init__(message)
        self.notebook, self.cell, self.kept = notebook, cell, kept


@dataclass
class _Progress:
    """Tells how far a notebook is: one line that moves for people, log lines for batch systems."""

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
    notebook: str | Path,
    output: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    cwd: str | Path | None = None,
    cell_timeout_s: int | None = None,
    progress: bool | None = None,
) -> Path:
    """Execute a notebook with this interpreter and keep the executed copy.

    Parameters
    ----------
    notebook : path
        The notebook; unchanged.
    output : path
        Where the executed copy goes. It is saved after every cell.
    parameters : mapping of str to object, optional
        Values in place of those in the cell tagged `parameters`.
    cwd : path, optional
        Working folder of the kernel; the notebook's own by default, as in JupyterLab.
    cell_timeout_s : int, optional
        Longest time for one cell, in seconds.
    progress : bool, optional
        Show a moving line instead of log lines; by default only if a person is watching (a terminal).

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    InputError
        If a parameter is unknown or of the wrong type; nothing has run then.
    NotebookError
        If a cell fails, runs too long, or the kernel dies; the partly executed notebook is kept.
    """
    source, target = Path(notebook).resolve(), Path(output).resolve()
    node = with_parameters(read_notebook(source), parameters or {})
    with atomic_file(target) as partial:
        nbformat.write(node, partial)
    watched = sys.stderr.isatty() if progress is None else progress
    bar = tqdm(total=len(node.cells), desc=source.stem, unit="cell", leave=False) if watched else None
    tracker = _Progress(source.stem, len(node.cells), bar=bar)
    try:
        _run_papermill(
            target, tracker, cwd=Path(cwd) if cwd is not None else source.parent, timeout=cell_timeout_s
        )
    except (PapermillExecutionError, DeadKernelError, CellControlSignal) as error:
        raise _explained(error, source, target, tracker) from error
    finally:
        if bar is not None:
            bar.close()
    return target


def _run_papermill(target: Path, tracker: _Progress, *, cwd: Path, timeout: int | None) -> None:
    with closing_event_loop(), private_connection() as connection, warnings.catch_warnings():
        # Cells of hand-made notebooks may lack the ids of format 4.5; they run all the same.
        warnings.filterwarnings("ignore", category=nbformat.warnings.MissingIDFieldWarning)
        papermill.execute_notebook(
            str(target),
            str(target),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            kernel_manager_class=LocalKernelManager,
            config=connection,
            resources={"metadata": {"path": str(cwd)}},
            execution_timeout=timeout,
            on_cell_start=tracker.on_cell_start,
            on_cell_executed=tracker.on_cell_executed,
            stdout_file=tracker,
            stderr_file=tracker,
        )


def _failing_line(error: PapermillExecutionError) -> str:
    """The line of the cell at which its traceback entered; the first where it tells none (a syntax error)."""
    lines = error.source.splitlines() or [""]
    found = _CELL_LINE.search(_COLOUR_CODES.sub("", "\n".join(error.traceback)))
    number = int(found[1]) if found else 1
    number = number if number <= len(lines) else 1
    return f"line {number} (`{lines[number - 1].strip()}`)"


def _explained(error: Exception, notebook: Path, kept: Path, tracker: _Progress) -> NotebookError:
    if isinstance(error, PapermillExecutionError):
        what = f"{error.ename}: {_COLOUR_CODES.sub('', str(error.evalue))}"
        where = f"cell {tracker.cell} of {tracker.total}, {_failing_line(error)}"
    else:
        what = f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
        where = f"cell {tracker.cell} of {tracker.total}"
    message = (
        f"notebook {notebook.name!r} failed in {where}: {what}; what ran until there is kept in {str(kept)!r}"
    )
    return NotebookError(message, notebook=notebook, cell=tracker.cell, kept=kept)
