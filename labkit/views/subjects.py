"""Subject sets for a project on Zooniverse: pictures of a Sample's objects, and their manifest."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labkit.errors import InputError
from labkit.paths import atomic_file, write_file
from labkit.sample import Sample
from labkit.tables import need_columns, text
from labkit.views.gallery import picture
from labkit.views.inspector.pictures import Pictures

_ALLOWANCE = 10_000  # subjects that a user may upload unasked (help.zooniverse.org, "Policies")
_LARGEST = 2**20  # bytes of a picture (MAX_UPLOAD_FILE_SIZE of github.com/zooniverse/panoptes-cli)
_SMALLEST_PX, _GAP_PX = 400, 8
_PIECE = 64  # objects read at a time


def write_subject_set(
    sample: Sample,
    folder: str | Path,
    rng: np.random.Generator,
    *,
    pictures: Sequence[str] = (),
    columns: Sequence[str] = ("ra", "dec"),
    size_px: int | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write PNG pictures and ``manifest.csv``, for Zooniverse's uploaders; returns the manifest's path.

    Each of `pictures` is a style of the error inspector ("combined", "colour", a band) or several beside
    each other ("optical+X-ray"); by default one of the main styles. Each style is `size_px` wide and high,
    by default a whole multiple of the cut-out, 400 or more. The manifest has ``#object_id``, the names of
    the files and `columns` of the catalogue; "#" hides a column from volunteers. With a `limit`, so many
    objects are drawn; without, 10,000, a user's allowance, must do. The same call resumes a killed one:
    pictures that are there stay, the manifest comes last. A folder with anything else in it is refused.
    """
    folder, painter = Path(folder), Pictures(sample)
    parts = [_styles(words, painter) for words in pictures or ("+".join(painter.main()),)]
    need_columns(sample.catalogue, columns, "the Sample's catalogue")
    rows, side = _rows(sample, limit, rng), sample.shape[2]
    size_px = size_px or side * max(1, -(-_SMALLEST_PX // side))
    ids = sample.object_ids[rows].tolist()
    if changed := [name for name in ids if name != " ".join(name.split())]:
        raise InputError(f"object_id must have no blanks that uploaders drop, got {changed[0]!r}; rename it")
    stems = [f"{row:06d}_{re.sub('[^A-Za-z0-9-]', '_', one)}" for row, one in zip(rows, ids, strict=True)]
    table = {"#object_id": ids}
    table |= {f"#picture_{n + 1}": [f"{stem}-{n + 1}.png" for stem in stems] for n in range(len(parts))}
    for name in columns:  # no empty cells: the uploader takes one for a file
        values = text(sample.catalogue[name])[rows].tolist()
        table.setdefault(f"#{name}", [value.strip() or "unknown" for value in values])
    manifest = io.StringIO()
    csv.writer(manifest).writerows([list(table), *zip(*table.values(), strict=True)])
    _claim(folder, json.dumps([sample.content_hash, parts, size_px, manifest.getvalue()]))
    for done, (row, stem) in enumerate(zip(rows, stems, strict=True)):
        if done % _PIECE == 0:
            painter.read(rows[done : done + _PIECE])
        for n, styles in enumerate(parts):
            if not (folder / f"{stem}-{n + 1}.png").exists():
                _write(folder / f"{stem}-{n + 1}.png", [painter.levels(row, one) for one in styles], size_px)
        if progress:
            progress(done + 1, len(rows))
    return write_file(folder / "manifest.csv", manifest.getvalue())


def _styles(words: str, painter: Pictures) -> list[str]:
    styles = [words] if words in painter.styles else words.split("+")
    if unknown := [style for style in styles if style not in painter.styles]:
        known = ", ".join(painter.styles)
        raise InputError(f"a picture must be of {known}, or several of them with + between, got {unknown}")
    return styles


def _rows(sample: Sample, limit: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the objects, in the Sample's order."""
    number = len(sample)
    if limit is None and number > _ALLOWANCE:
        raise InputError(
            f"the Sample must have {_ALLOWANCE} objects at most, a user's allowance, got {number}; "
            "set a limit"
        )
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}")
    return np.sort(rng.choice(number, min(limit or number, number), replace=False))


def _claim(folder: Path, record: str) -> None:
    """Refuse a folder with something else in it; leave there what is written."""
    path = folder / "subjects.json"
    there = path.read_text(encoding="utf-8") if path.exists() else None
    if there not in (None, record):
        words = "it holds a subject set of another Sample or with other options"
        raise InputError(f"{str(folder)!r} must be a new folder: {words}; choose another")
    if there is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{str(folder)!r} must be a new or empty folder, it holds other files; choose another"
        )
    write_file(path, record)


def _write(path: Path, levels: Sequence[NDArray], size_px: int) -> None:
    """Pictures beside each other in one file."""
    sheet = Image.new("RGB", (len(levels) * (size_px + _GAP_PX) - _GAP_PX, size_px), "white")
    for place, one in enumerate(levels):
        sheet.paste(picture(one, size_px), (place * (size_px + _GAP_PX), 0))
    with atomic_file(path) as partial:
        sheet.save(partial, format="PNG")
        if (size := partial.stat().st_size) > _LARGEST:
            words = f"got {size} of {size_px} px; make it smaller, or show less beside each other"
            raise InputError(f"a picture must have {_LARGEST} bytes at most for Zooniverse, {words}")
