"""The lists and images of the published training set of Kosiba et al. (2020), in a zip file or its folder.

Each of ``train.csv`` and ``test.csv`` names images by ``image_id`` and gives their ``class``; the images
stand in ``train_images/`` and ``test_images/`` as ``<image_id>.png``. Nothing is ever unpacked: files are
read one by one into memory, none further than the size that is asked for.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

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


IMAGE_SIZE = 356
LISTS = ("train", "test")

#: Label of each published class (Kosiba et al. 2020, section 5.5).
LABELS = {
    "low-z": "low-z cluster",
    "hi-z": "high-z cluster",
    "galaxy": "nearby galaxy",
    "point": "point source",
    "other": "other",
}

_CSV_LIMIT, _PNG_LIMIT = 10_000_000, 4 * 3 * IMAGE_SIZE**2


@dataclass(frozen=True)
class ListedImage:
    """One row of a published list."""

    image_id: str  # also the name of the image file
    label: str  # one of `LABELS`
    split: str  # of the two `LISTS`

    @property
    def file(self) -> str:
        """Name of the image file in the data set's folder."""
        return f"{self.split}_images/{self.image_id}.png"

    def read(self, archive: Archive) -> np.ndarray:
        """Pixels of the image, uint8, shape (356, 356, 3): y, x, channel."""
        content = archive.read(self.file, limit=_PNG_LIMIT)
        try:
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                size, mode = picture.size, picture.mode
                if size == (IMAGE_SIZE, IMAGE_SIZE) and mode == "RGB":
                    return np.asarray(picture)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{self.file} is not a whole PNG image ({error}); get the data set again"
            ) from error
        raise InputError(
            f"{self.file} must be {IMAGE_SIZE} x {IMAGE_SIZE} pixels and RGB, "
            f"got {size[0]} x {size[1]} and {mode}"
        )


def _entry(row: dict[str, str | None], split: str, line: int) -> ListedImage:
    image_id, published = ((row[key] or "").strip() for key in ("image_id", "class"))
    if published not in LABELS:
        raise InputError(f"{split}.csv line {line}: class must be one of {tuple(LABELS)}, got {published!r}")
    if not image_id or {"/", "\\"} & set(image_id) or image_id.startswith("."):
        raise InputError(f"{split}.csv line {line}: image_id must be a plain file name, got {image_id!r}")
    return ListedImage(image_id, LABELS[published], split)


def read_list(archive: Archive, split: str) -> list[ListedImage]:
    """Rows of ``train.csv`` or ``test.csv``, in order; an unknown class or a repeated id is an error."""
    name = f"{split}.csv"
    try:
        reader = csv.DictReader(io.StringIO(archive.read(name, limit=_CSV_LIMIT).decode("utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name} must be a text table, got something else ({error})") from error
    if missing := sorted({"image_id", "class"} - set(reader.fieldnames or ())):
        raise InputError(
            f"{name} must have the columns image_id and class; {missing} missing: {reader.fieldnames}"
        )
    if not rows:
        raise InputError(f"{name} must list at least one image, got an empty table")
    entries = [_entry(row, split, line) for line, row in enumerate(rows, start=2)]
    counts = Counter(entry.image_id for entry in entries)
    if repeated := [image_id for image_id, count in counts.items() if count > 1]:
        raise InputError(
            f"{name}: image_id must be unique, got {len(repeated)} repeated, first {repeated[:3]}"
        )
    return entries


def object_ids(archive: Archive, entries: Sequence[ListedImage]) -> list[str]:
    """An id for each listed image that is unique over both: the published one, if need be with its list.

    An id in both lists with the same pixels is an error: one object would be trained and tested on.
    """
    train, test = ({e.image_id: e for e in entries if e.split == split} for split in LISTS)
    shared = sorted(train.keys() & test.keys())
    for image_id in shared:
        if np.array_equal(train[image_id].read(archive), test[image_id].read(archive)):
            raise InputError(
                f"no object may be in both train.csv and test.csv, got {image_id!r} with equal pixels"
            )
    return [f"{e.split}-{e.image_id}" if shared else e.image_id for e in entries]
