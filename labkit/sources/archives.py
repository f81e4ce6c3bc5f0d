"""Read the files of a data set from its zip file or its unpacked folder, by the same names.

Nothing is ever unpacked: files are read one by one into memory, none further than the size that is asked for.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import InputError, MissingDataError


class Archive:
    """The files below `root`, a folder on disk or in a zip file; `path`, as given, is named in errors."""

    def __init__(self, path: Path, root: Path | zipfile.Path) -> None:
        self.path, self._root = path, root

    def __contains__(self, name: str) -> bool:
        """Whether the data set holds a file of that name."""
        return (self._root / name).is_file()

    def read(self, name: str, *, limit: int) -> bytes:
        """Content of one file, by its name in the data set's folder; above `limit` bytes, refused."""
        if name not in self:
            raise MissingDataError(
                f"{str(self.path)!r} must hold {name!r}; get a complete copy of the data set"
            )
        try:
            with (self._root / name).open("rb") as file:
                content = file.read(limit + 1)
        except Exception as error:  # zip files break in many ways
            raise InputError(
                f"{name!r} in {str(self.path)!r} is damaged ({error}); get the file again"
            ) from error
        if len(content) > limit:
            raise InputError(f"{name!r} in {str(self.path)!r} must have at most {limit} bytes, got more")
        return content


@contextmanager
def open_archive(path: str | Path, *, root_file: str) -> Iterator[Archive]:
    """Open a data set given as a zip file or as an unpacked folder.

    Names are relative to the folder that holds `root_file`, at the top or one folder down.
    """
    path = Path(path)
    if path.is_dir():
        yield Archive(path, _find_root(path, path, root_file))
        return
    if not path.is_file():
        raise MissingDataError(f"path must be a zip file or a folder that exists, got {str(path)!r}")
    try:
        handle = zipfile.ZipFile(path)
        top = zipfile.Path(handle)
        root = _find_root(path, top, root_file)
    except MissingDataError:
        raise
    except Exception as error:
        raise InputError(
            f"{str(path)!r} is not a whole zip file ({error}); delete it and get it again"
        ) from error
    with handle:
        yield Archive(path, root)


def _find_root(path: Path, top: Path | zipfile.Path, root_file: str) -> Path | zipfile.Path:
    folders = [top, *(entry for entry in top.iterdir() if entry.is_dir() and entry.name != "__MACOSX")]
    roots = [folder for folder in folders if (folder / root_file).is_file()]
    if len(roots) != 1:
        raise MissingDataError(
            f"{str(path)!r} must hold one {root_file!r}, directly or one folder down, got {len(roots)}; "
            "give the data set's zip file or its unpacked folder"
        )
    return roots[0]
