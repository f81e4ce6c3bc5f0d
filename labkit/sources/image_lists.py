"""The lists and images of the published training set of Kosiba et al. (2020), read and checked.

Each of ``train.csv`` and ``test.csv`` names images by ``image_id`` and gives their ``class``; the images
stand in ``train_images/`` and ``test_images/`` as ``<image_id>.png``.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from labkit.errors import InputError
from labkit.sources.archives import Archive

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
