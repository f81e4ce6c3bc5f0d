"""The published training set of Kosiba et al. (2020), a zip file or its unpacked folder, as a Sample.

The archive record (Zenodo 7236582, one file of 259 MB) unpacks to ``Kosiba2020/`` with ``train.csv`` and
``test.csv`` (columns ``image_id`` and ``class``) and the images ``train_images/<image_id>.png`` and
``test_images/<image_id>.png``: 356 x 356 pixels, three channels, 7' x 7' on the sky, the grey X-ray image,
the grey optical image and an empty channel (section 3.1). Nothing is ever unpacked: files are read one by one
into memory, none further than the size that is expected.
"""

import csv
import io
import logging
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.table import QTable
from PIL import Image

from labkit.errors import InputError, MissingDataError, boundary
from labkit.sample import Sample, collect
from labkit.sources.channel_order import ROLES, decide_channels
from labkit.sources.download import download

logger = logging.getLogger(__name__)

URL = "https://zenodo.org/records/7236582/files/Kosiba2020.zip"
IMAGE_SIZE = 356
PIXEL_SCALE = (7 * u.arcmin / IMAGE_SIZE).to(u.arcsec)
BANDS = ("xray", "optical")
#: Label of each published class (Kosiba et al. 2020, section 5.5).
LABELS = {
    "low-z": "low-z cluster",
    "hi-z": "high-z cluster",
    "galaxy": "nearby galaxy",
    "point": "point source",
    "other": "other",
}
_LISTS = ("train", "test")
_CSV_LIMIT, _PNG_LIMIT = 10_000_000, 4 * 3 * IMAGE_SIZE**2  # bytes
_BATCH, _LOOK_AT = 64, 200  # images in memory at a time, and those of a list that tell the channel order


_Folder = Path | zipfile.Path


@contextmanager
def _open_set(path: str | Path) -> Iterator[_Folder]:
    """The folder with the lists, on disk or in a zip file: `path` itself, or one in it."""
    path = Path(path)
    if not path.exists():
        raise MissingDataError(f"path must be a zip file or a folder that exists, got {str(path)!r}")
    with ExitStack() as stack:
        top: _Folder = path
        with boundary(f"{str(path)!r} is not a whole zip file", "delete it and get it again"):
            if not path.is_dir():
                top = zipfile.Path(stack.enter_context(zipfile.ZipFile(path)))
            folders = [top, *(one for one in top.iterdir() if one.is_dir() and one.name != "__MACOSX")]
            roots = [folder for folder in folders if (folder / "train.csv").is_file()]
        if len(roots) != 1:
            raise MissingDataError(
                f"{str(path)!r} must hold one 'train.csv', directly or one folder down, got {len(roots)}; "
                "give the data set's zip file or its unpacked folder"
            )
        yield roots[0]


def _read(root: _Folder, name: str, *, limit: int) -> bytes:
    """Content of one file; above `limit` bytes, refused."""
    if not (root / name).is_file():
        raise MissingDataError(f"{str(root)!r} must hold {name!r}; get a complete copy of the data set")
    failed = boundary(f"{name!r} in {str(root)!r} is damaged", "get the file again")
    with failed, (root / name).open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{name!r} in {str(root)!r} must have at most {limit} bytes, got more")
    return content


class _Entry(NamedTuple):
    """One row of a published list."""

    image_id: str  # also the name of the image file
    label: str
    split: str

    @property
    def file(self) -> str:
        return f"{self.split}_images/{self.image_id}.png"

    def pixels(self, root: _Folder) -> np.ndarray:
        """Grey levels, uint8, shape (356, 356, 3): y, x, channel."""
        content = io.BytesIO(_read(root, self.file, limit=_PNG_LIMIT))
        failed = boundary(f"{self.file} is not a whole PNG image", "get the data set again")
        with failed, Image.open(content, formats=("PNG",)) as picture:
            size, mode = picture.size, picture.mode
            if size == (IMAGE_SIZE, IMAGE_SIZE) and mode == "RGB":
                return np.asarray(picture)
        raise InputError(
            f"{self.file} must be {IMAGE_SIZE} x {IMAGE_SIZE} pixels and RGB, "
            f"got {size[0]} x {size[1]} and {mode}"
        )


def _read_list(root: _Folder, split: str) -> list[_Entry]:
    """Rows of ``train.csv`` or ``test.csv``, in order; an unknown class or a repeated id is an error."""
    name = f"{split}.csv"
    try:
        reader = csv.DictReader(io.StringIO(_read(root, name, limit=_CSV_LIMIT).decode("utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name} must be a text table, got something else ({error})") from error
    if missing := sorted({"image_id", "class"} - set(reader.fieldnames or ())):
        raise InputError(
            f"{name} must have the columns image_id and class; {missing} missing: {reader.fieldnames}"
        )
    if not rows:
        raise InputError(f"{name} must list at least one image, got an empty table")
    entries = []
    for line, row in enumerate(rows, start=2):
        image_id, published = ((row[key] or "").strip() for key in ("image_id", "class"))
        if published not in LABELS:
            raise InputError(f"{name} line {line}: class must be one of {tuple(LABELS)}, got {published!r}")
        if not image_id or {"/", "\\"} & set(image_id) or image_id.startswith("."):
            raise InputError(f"{name} line {line}: image_id must be a plain file name, got {image_id!r}")
        entries.append(_Entry(image_id, LABELS[published], split))
    counts = Counter(entry.image_id for entry in entries)
    if repeated := [image_id for image_id, count in counts.items() if count > 1]:
        raise InputError(
            f"{name}: image_id must be unique, got {len(repeated)} repeated, first {repeated[:3]}"
        )
    return entries


def _object_ids(root: _Folder, entries: Sequence[_Entry]) -> list[str]:
    """An id for each listed image that is unique over both: the published one, if need be with its list.

    An id in both lists with the same pixels is an error: one object would be trained and tested on.
    """
    train, test = ({e.image_id: e for e in entries if e.split == split} for split in _LISTS)
    shared = sorted(train.keys() & test.keys())
    for image_id in shared:
        if np.array_equal(train[image_id].pixels(root), test[image_id].pixels(root)):
            raise InputError(
                f"no object may be in both train.csv and test.csv, got {image_id!r} with equal pixels"
            )
    return [f"{e.split}-{e.image_id}" if shared else e.image_id for e in entries]


def _channel_order(
    root: _Folder, entries: Sequence[_Entry], given: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The channel order, as given or decided for each list by itself, and its evidence."""
    if given:
        if sorted(given) != sorted(ROLES):
            raise InputError(f"channels must be {ROLES} in some order, got {tuple(given)}")
        return tuple(given), {}
    evidence = {}
    for split in _LISTS:
        members = [entry for entry in entries if entry.split == split]
        chosen = members[:: -(-len(members) // _LOOK_AT)]
        evidence[split] = decide_channels(entry.pixels(root) for entry in chosen)
    orders = {tuple(decision["order"]) for decision in evidence.values()}
    if len(orders) > 1:
        raise InputError(f"train and test images must have the same channel order, got {sorted(orders)}")
    return orders.pop(), evidence


def _splits(entries: Sequence[_Entry], fraction: float, seed: int | np.random.Generator) -> np.ndarray:
    """The published split, with a share of each class of the training list drawn for validation."""
    if not 0 <= fraction < 1:
        raise InputError(f"validation_fraction must be at least 0 and below 1, got {fraction}")
    rng = np.random.default_rng(seed)
    split = np.array([entry.split for entry in entries], dtype="<U10")
    labels = np.array([entry.label for entry in entries])
    for label in np.unique(labels):
        members = np.flatnonzero((split == "train") & (labels == label))
        split[rng.permutation(members)[: round(fraction * len(members))]] = "validation"
    return split


def _pieces(
    root: _Folder,
    entries: Sequence[_Entry],
    order: tuple[str, ...],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[np.ndarray, slice]]:
    """Images, shape (object, band, y, x), and their rows, a batch at a time."""
    planes = [order.index(band) for band in BANDS]
    for start in range(0, len(entries), _BATCH):
        rows = slice(start, start + _BATCH)
        pixels = np.stack([entry.pixels(root) for entry in entries[rows]])  # (object, y, x, channel)
        yield np.ascontiguousarray(np.moveaxis(pixels[..., planes], -1, 1)), rows
        if progress:
            progress(min(start + _BATCH, len(entries)), len(entries))


def fetch_kosiba2020(
    path: str | Path | None = None,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    channels: Sequence[str] | None = None,
    validation_fraction: float = 0.2,
    seed: int | np.random.Generator = 0,
    url: str = URL,
    checksum: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    download_progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """The published training set of Kosiba et al. (2020), downloaded once or read from a copy.

    Parameters
    ----------
    path : path, optional
        A copy that you have: ``Kosiba2020.zip`` or the folder it unpacks to. Nothing is downloaded then.
    output, overwrite : path, bool
        Folder for the Sample, and whether to replace it; it is then written a batch at a time (25 MB in
        memory). Without it all images are held in memory (430 MB for the 1,707 published ones).
    channels : sequence of str, optional
        Role of the first, second and third channel if you know it better than the pixels, for example
        ``("empty", "xray", "optical")``. By default `labkit.sources.channel_order` decides.
    validation_fraction, seed : float, int or Generator
        Share of each class of the training list that is drawn for the validation split; the paper took 304 of
        1,537 (Table 2), which objects is not published.
    url, checksum : str
        Address of the zip file, and its ``"md5:..."``. By default the sum that the archive record states when
        it is downloaded; it is kept beside the file. So the default guards against a broken transfer, not
        against a changed record.
    cache : path, optional
        Folder that keeps the download, by default the user's cache folder or that of ``LABKIT_CACHE``.
    progress, download_progress : callable, optional
        Called as ``progress(done, total)`` in objects, and in bytes of the download; `total` is 0 where the
        server does not say.

    Returns
    -------
    Sample
        Grey levels (uint8) in the bands "xray" and "optical", 356 x 356 pixels of 1.18", as the
        XAmin pipeline normalised them (Appendix A). The published positions are unknown: ``ra`` and
        ``dec`` are NaN. ``split`` is the published one. ``object_id`` is the published ``image_id``,
        or ``train-<image_id>`` and ``test-<image_id>`` if both lists number their images alike.
        ``provenance`` holds the file's address and checksum, the channel order with its evidence, and
        the normalisation, which counts as another than labkit's own XAmin: a model trained on one
        refuses the other, because the authors' rule for images of zero median is not published.

    Raises
    ------
    MissingDataError
        If `path`, a list or an image is not there, or the file cannot be downloaded.
    InputError
        If a checksum does not hold, the zip file is damaged, a list has other columns, classes or repeated
        ids, an image is not 356 x 356 RGB, an object is in both lists, or the channel order cannot be
        decided.
    """
    origin = dict.fromkeys(("url", "checksum"))
    if path is None:
        path, checksum = download(url, checksum=checksum, cache=cache, progress=download_progress)
        origin = {"url": url, "checksum": checksum}
    with _open_set(path) as root:
        entries = [entry for split in _LISTS for entry in _read_list(root, split)]
        if missing := [entry.file for entry in entries if not (root / entry.file).is_file()]:
            raise MissingDataError(
                f"{str(path)!r} must hold an image for each row of its lists; {len(missing)} missing, "
                f"first {missing[0]!r}: get a complete copy"
            )
        ids = _object_ids(root, entries)
        order, evidence = _channel_order(root, entries, channels)
        unknown = np.full(len(entries), np.nan) * u.deg
        catalogue = QTable({"object_id": ids, "ra": unknown, "dec": unknown.copy()})
        catalogue["label"] = [entry.label for entry in entries]
        catalogue["split"] = _splits(entries, validation_fraction, seed)
        # The paper says that empty sky is 255, the pixels may say 0.
        levels = [decision["commonest_level"]["xray"] for decision in evidence.values()]
        about = {
            "source": "Kosiba et al. 2020, published training set (Zenodo record 7236582)",
            "data": "real",
            "telescope": "XMM-Newton",
            "file": Path(path).name,
            "channels": {"order": list(order), "evidence": evidence or "given"},
            "normalisation": {
                "method": "xamin, as published",
                "reference": "Kosiba et al. 2020, Appendix A",
                "no_emission": 0 if levels and max(levels) < 128 else 255,
            },
            "labels": LABELS,
            "validation": {
                "fraction": validation_fraction,
                "seed": seed if isinstance(seed, int) else "generator",
            },
        } | origin
        logger.info("channel order %s; %d images", order, len(entries))
        pieces = ((images, catalogue[rows]) for images, rows in _pieces(root, entries, order, progress))
        form: dict[str, Any] = {"bands": BANDS, "pixel_scale": PIXEL_SCALE, "provenance": about}
        return collect(pieces, len(entries), path=output, overwrite=overwrite, **form)
