"""Files and folders that appear whole or not at all, and the folders of data that ship with the package."""

import ctypes
import errno
import glob
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from labkit.errors import InputError, MissingDataError

_AT_FDCWD, _SWAP = -100, 2  # of renameat2 (Linux) and renamex_np (macOS)


def shipped_folder(name: str) -> Path:
    """A folder that ships with labkit, such as ``data/trees``: in the installed package, or in a checkout."""
    package = Path(str(resources.files("labkit")))
    places = (package / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise MissingDataError(
        f"{name} must be at {places[0]} or {places[1]}, found neither; install labkit again"
    )


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its name when the block ends without an error.

    Whatever is killed when, there is a whole folder at `path`: the old one or the new one. What a killed
    writer left beside it is removed by the next one.
    """
    path = Path(path)
    restore_folder(path)
    if path.exists() and not overwrite:
        raise InputError(f"path must not exist yet, got {str(path)!r}; choose another or pass overwrite=True")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        _replace(partial, path)
    except OSError as error:
        raise _explain(error, path) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """A temporary file name beside `path` that takes its place when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _explain(error, path) from error
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole or not at all, text as UTF-8 with the line ends it has."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def _partial(path: Path) -> Path:
    """A name beside `path` that tells who writes there; what dead writers of this machine left is removed."""
    host = platform.node() or "host"
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(host)}.*.partial"):
        owner = left.name.split(".")[-2].split("-")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{host}.{os.getpid()}-{os.urandom(3).hex()}.partial")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:  # another one is someone else's process, or a system without signal 0
        return not isinstance(error, ProcessLookupError)
    return True


def _replace(new: Path, path: Path) -> None:
    """Give `new` the name `path`, in one step with an old folder's taking the name `new` where that works."""
    if not path.exists():
        new.replace(path)
    elif not _swap(new, path):
        path.replace(_aside(path))
        new.replace(path)
        shutil.rmtree(_aside(path), ignore_errors=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def restore_folder(path: Path) -> None:
    """Give a folder that a killed writer moved aside its name back; remove it where the new one is there."""
    if _aside(path).exists() and not path.exists():
        _aside(path).replace(path)
    shutil.rmtree(_aside(path), ignore_errors=True)


def _swap(first: Path, second: Path) -> bool:
    """Exchange two names in one step of the file system; False where it cannot do that."""
    names = os.fsencode(first), os.fsencode(second)
    with suppress(OSError, AttributeError):
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return system.renamex_np(*names, _SWAP) == 0
        return system.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _SWAP) == 0
    return False


def _explain(error: OSError, path: Path) -> OSError | InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"the disk is full while writing {str(path)!r}; nothing was kept: free space and run again"
        )
    return error
