"""Read the files of a data set from its zip file or its unpacked folder, by the same names.

Nothing is ever unpacked: members are read one by one into memory, so a hostile archive cannot write
anywhere, and a member larger than what is asked for is refused before it is inflated.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from labkit.errors import InputError, MissingDataError

__all__ = ["Archive", "open_archive"]


class Archive:
    """The files below one folder of a data set.

    Parameters
    ----------
    path : path
        The zip file or the folder, as it was given; named in every error.
    files : dict of str to `zipfile.ZipInfo` or Path
        Where each file is found, by its name relative to the data set's folder, with ``/``.
    handle : `zipfile.ZipFile`, optional
        The open zip file.
    """

    def __init__(
        self,
        path: Path,
        files: dict[str, zipfile.ZipInfo | Path],
        handle: zipfile.ZipFile | None = None,
    ) -> None:
        self.path, self._files, self._handle = path, files, handle

    def __contains__(self, name: str) -> bool:
        """Whether the data set holds a file of that name."""
        return name in self._files

    def read(self, name: str, *, limit: int) -> bytes:
        """Content of one file.

        Parameters
        ----------
        name : str
            Name relative to the data set's folder.
        limit : int
            Largest size accepted, in bytes.

        Raises
        ------
        MissingDataError
            If the file is not there.
        InputError
            If it is larger than `limit`, or damaged.
        """
        if name not in self._files:
            raise MissingDataError(
                f"{str(self.path)!r} must hold {name!r}; get a complete copy of the data set"
            )
        entry = self._files[name]
        size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.stat().st_size
        if size > limit:
            raise InputError(f"{name!r} in {str(self.path)!r} must be at most {limit} bytes, got {size}")
        if self._handle is None:
            return Path(str(entry)).read_bytes()
        try:
            return self._handle.read(entry)  # type: ignore[arg-type]
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"{name!r} in {str(self.path)!r} is damaged ({error}); get the file again"
            ) from error


def _checked_name(name: str, path: Path) -> PurePosixPath:
    """The member's path, refused when it could point outside the folder it is in."""
    member = PurePosixPath(name.replace("\\", "/"))
    if member.is_absolute() or ".." in member.parts or (member.parts and ":" in member.parts[0]):
        raise InputError(
            f"every file in {str(path)!r} must lie inside its folder, got {name!r}; "
            "this is not the published file: get it from its source"
        )
    return member


def _zip_members(handle: zipfile.ZipFile, path: Path, root_file: str) -> dict[str, zipfile.ZipInfo | Path]:
    entries = {_checked_name(info.filename, path): info for info in handle.infolist() if not info.is_dir()}
    roots = {name.parent for name in entries if name.name == root_file and name.parts[0] != "__MACOSX"}
    if len(roots) != 1:
        raise MissingDataError(
            f"{str(path)!r} must hold one {root_file!r}, got {len(roots)}; is it the right file?"
        )
    root = roots.pop()
    return {str(name.relative_to(root)): info for name, info in entries.items() if name.is_relative_to(root)}


def _folder_members(path: Path, root_file: str) -> dict[str, zipfile.ZipInfo | Path]:
    roots = [
        file.parent for file in (path / root_file, *sorted(path.glob(f"*/{root_file}"))) if file.is_file()
    ]
    if len(roots) != 1:
        raise MissingDataError(
            f"{str(path)!r} must hold one {root_file!r}, directly or one folder down, got {len(roots)}; "
            "give the unpacked folder of the data set"
        )
    root, inside = roots[0], roots[0].resolve()
    files = [file for file in root.rglob("*") if file.is_file()]
    if away := [file for file in files if not file.resolve().is_relative_to(inside)]:
        raise InputError(
            f"every file in {str(path)!r} must lie inside its folder, got the link {str(away[0])!r}"
        )
    return {file.relative_to(root).as_posix(): file for file in files}


@contextmanager
def open_archive(path: str | Path, *, root_file: str) -> Iterator[Archive]:
    """Open a data set given as a zip file or as an unpacked folder.

    Parameters
    ----------
    path : path
        The zip file or the folder.
    root_file : str
        A file that stands in the data set's own folder; names are relative to where it is found.

    Yields
    ------
    Archive
        The files, by name.

    Raises
    ------
    MissingDataError
        If `path` does not exist or `root_file` is not in it.
    InputError
        If the zip file is damaged, or a file in it points outside its folder.
    """
    path = Path(path)
    if path.is_dir():
        yield Archive(path, _folder_members(path, root_file))
        return
    if not path.is_file():
        raise MissingDataError(f"path must be a zip file or a folder that exists, got {str(path)!r}")
    try:
        handle = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{str(path)!r} is not a whole zip file ({error}); delete it and get it again"
        ) from error
    with handle:
        yield Archive(path, _zip_members(handle, path, root_file), handle)
