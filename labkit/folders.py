"""Files and folders that appear whole or not at all, and the folders of data that ship with the package."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from labkit.errors import InputError, MissingDataError

__all__ = ["atomic_file", "atomic_folder", "data_folder"]


def data_folder(name: str) -> Path:
    """Folder of data that ships with labkit: in the installed package, or in the checkout around it.

    Parameters
    ----------
    name : str
        The folder inside ``data/``, such as ``"published"``.

    Raises
    ------
    MissingDataError
        If there is neither.
    """
    package = Path(str(resources.files("labkit")))
    places = (package / "data" / name, package.parent / "data" / name)
    for place in places:
        if place.is_dir():
            return place
    raise MissingDataError(
        f"data/{name} must be at {places[0]} or {places[1]}, found neither; install labkit again"
    )


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
