"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import InputError

__all__ = ["atomic_file", "atomic_folder"]


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its name when the block ends without an error.

    Parameters
    ----------
    path : path
        Folder to make.
    overwrite : bool
        Replace a folder that is there.

    Yields
    ------
    Path
        The temporary folder to write into. It is removed if the block raises.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is false, or the disk is full.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"path must not exist yet, got {str(path)!r}; choose another or pass overwrite=True")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield partial
        partial.chmod(0o755)
        _replace(partial, path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """A temporary file name beside `path` that takes its place when the block ends without an error.

    Raises
    ------
    InputError
        If the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        partial.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    """Rename `new` to `path`; an old folder is moved aside first and removed last."""
    if not path.exists():
        new.replace(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.replace(aside / "old")
    new.replace(path)
    shutil.rmtree(aside, ignore_errors=True)


def _explained(error: OSError, path: Path) -> OSError | InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"the disk is full while writing {str(path)!r}; nothing was kept: free space and run again"
        )
    return error
