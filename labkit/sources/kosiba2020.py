"""The published training set of Kosiba et al. (2020) as a Sample.

The archive record (Zenodo 7236582, one file of 259 MB) unpacks to ``Kosiba2020/`` with ``train.csv``,
``test.csv``, ``train_images/`` and ``test_images/``. The lists have the columns ``image_id`` and
``class``; an image is ``<image_id>.png``, 356 x 356 pixels, three channels, 7' x 7' on the sky: the
grey X-ray image, the grey optical image and an empty channel (Kosiba et al. 2020, section 3.1).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, SampleWriter
from labkit.sources.channel_order import check_channels, decide_channels
from labkit.sources.download import check_sum, download
from labkit.sources.image_lists import (
    IMAGE_SIZE,
    LABELS,
    LISTS,
    Archive,
    ListedImage,
    object_ids,
    open_archive,
    read_list,
)

logger = logging.getLogger(__name__)

URL = "https://zenodo.org/records/7236582/files/Kosiba2020.zip"
PIXEL_SCALE = (7 * u.arcmin / IMAGE_SIZE).to(u.arcsec)
BANDS = ("xray", "optical")

_BATCH, _LOOK_AT = 64, 200


def _decide(archive: Archive, entries: Sequence[ListedImage]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The channel order, decided for each list by itself, and its evidence."""
    decisions = {}
    for split in LISTS:
        members = [entry for entry in entries if entry.split == split]
        chosen = members[:: -(-len(members) // _LOOK_AT)]
        decisions[split] = decide_channels(entry.read(archive) for entry in chosen)
    orders = {decision.order for decision in decisions.values()}
    if len(orders) > 1:
        raise InputError(f"train and test images must have the same channel order, got {sorted(orders)}")
    return orders.pop(), {split: decision.to_json() for split, decision in decisions.items()}


def _normalisation(evidence: dict[str, Any]) -> dict[str, Any]:
    """What made the grey levels; the paper says that empty sky is 255, the pixels may say 0."""
    levels = [decision["commonest_level"]["xray"] for decision in evidence.values()]
    dark = bool(levels) and max(levels) < 128
    return {
        "method": "xamin, as published",
        "reference": "Kosiba et al. 2020, Appendix A",
        "no_emission": 0 if dark else 255,
    }


def _splits(entries: Sequence[ListedImage], fraction: float, seed: int | np.random.Generator) -> np.ndarray:
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


def _catalogue(
    entries: Sequence[ListedImage], ids: Sequence[str], fraction: float, seed: int | np.random.Generator
) -> QTable:
    unknown = np.full(len(entries), np.nan) * u.deg
    return QTable(
        {
            "object_id": list(ids),
            "ra": unknown,
            "dec": unknown.copy(),
            "label": [entry.label for entry in entries],
            "split": _splits(entries, fraction, seed),
        }
    )


def _pieces(
    archive: Archive,
    entries: Sequence[ListedImage],
    catalogue: QTable,
    order: tuple[str, ...],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[np.ndarray, QTable]]:
    """Images, shape (object, band, y, x), with their rows, a batch at a time."""
    planes = [order.index(band) for band in BANDS]
    for start in range(0, len(entries), _BATCH):
        rows = slice(start, start + _BATCH)
        pixels = np.stack([entry.read(archive) for entry in entries[rows]])  # (object, y, x, channel)
        yield np.ascontiguousarray(np.moveaxis(pixels[..., planes], -1, 1)), catalogue[rows]
        if progress:
            progress(min(start + _BATCH, len(entries)), len(entries))


def read_kosiba2020(
    path: str | Path,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    channels: Sequence[str] | None = None,
    validation_fraction: float = 0.2,
    seed: int | np.random.Generator = 0,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Read a copy of the published training set.

    Parameters
    ----------
    path : path
        ``Kosiba2020.zip`` or the folder it unpacks to.
    output : path, optional
        Folder for the Sample; it is then written a batch at a time (25 MB in memory). Without it
        all images are held in memory (430 MB for the 1,707 published ones).
    overwrite : bool
        Replace `output` if it is there.
    channels : sequence of str, optional
        Role of the first, second and third channel if you know it better than the pixels, for example
        ``("empty", "xray", "optical")``. By default `labkit.sources.channel_order` decides.
    validation_fraction : float
        Share of each class of the training list that becomes the validation split; the paper took
        304 of 1,537 (Table 2), which objects is not published.
    seed : int or Generator
        Draws the validation split.
    provenance : dict, optional
        Added to what is recorded.
    progress : callable, optional
        Called as ``progress(done, total)`` in objects.

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
        If `path`, a list or an image is not there.
    InputError
        If the zip file is damaged, a list has other columns, classes or repeated ids, an
        image is not 356 x 356 RGB, an object is in both lists, or the channel order cannot be decided.
    """
    with open_archive(path, root_file="train.csv") as archive:
        entries = [entry for split in LISTS for entry in read_list(archive, split)]
        if missing := [entry.file for entry in entries if entry.file not in archive]:
            raise MissingDataError(
                f"{str(path)!r} must hold an image for each row of its lists; {len(missing)} missing, "
                f"first {missing[0]!r}: get a complete copy"
            )
        ids = object_ids(archive, entries)
        order, evidence = (check_channels(channels), {}) if channels else _decide(archive, entries)
        catalogue = _catalogue(entries, ids, validation_fraction, seed)
        about = {
            "source": "Kosiba et al. 2020, published training set (Zenodo record 7236582)",
            "data": "real",
            "file": Path(path).name,
            "channels": {"order": list(order), "evidence": evidence or "given"},
            "normalisation": _normalisation(evidence),
            "labels": LABELS,
            "validation": {
                "fraction": validation_fraction,
                "seed": seed if isinstance(seed, int) else "generator",
            },
        } | (provenance or {})
        logger.info("channel order %s; %d images", order, len(entries))
        pieces = _pieces(archive, entries, catalogue, order, progress)
        form = {"bands": BANDS, "pixel_scale": PIXEL_SCALE, "provenance": about}
        if output is None:
            images = np.empty((len(entries), len(BANDS), IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
            for start, (piece, _) in enumerate(pieces):
                images[start * _BATCH : start * _BATCH + len(piece)] = piece
            return Sample(images, catalogue, **form)
        with SampleWriter(output, overwrite=overwrite, **form) as writer:
            for images, rows in pieces:
                writer.append(images, rows)
    return Sample.load(output)


def fetch_kosiba2020(
    path: str | Path | None = None,
    *,
    cache: str | Path | None = None,
    url: str = URL,
    checksum: str | None = None,
    attempts: int = 3,
    download_progress: Callable[[int, int], None] | None = None,
    **reading: Any,
) -> Sample:
    """The published training set of Kosiba et al. (2020), downloaded once or read from a copy.

    Parameters
    ----------
    path : path, optional
        A copy that you have: the zip file or its unpacked folder. Nothing is downloaded then.
    cache : path, optional
        Folder that keeps the download, by default `labkit.sources.download.default_cache`.
    url : str
        Address of the zip file.
    checksum : str, optional
        ``"md5:..."``. By default the sum that the archive record states when it is downloaded; it is
        kept beside the file. So the default guards against a broken transfer, not against a changed
        record. A zip file given by `path` is checked only if you state its sum.
    attempts : int
        How often a broken download is resumed before giving up.
    download_progress : callable, optional
        Called as ``download_progress(done, total)`` in bytes; `total` is 0 where the server does not say.
    **reading
        As for `read_kosiba2020`: ``output``, ``overwrite``, ``channels``, ``validation_fraction``,
        ``seed``, ``progress``.

    Returns
    -------
    Sample
        As for `read_kosiba2020`.

    Raises
    ------
    MissingDataError
        If the file cannot be downloaded, or something in it is missing.
    InputError
        If the checksum does not hold, or for any reason of `read_kosiba2020`.
    """
    if path is not None:
        if checksum is not None:
            check_sum(path, checksum)
        return read_kosiba2020(path, provenance={"url": None, "checksum": checksum}, **reading)
    file, checked = download(
        url, checksum=checksum, cache=cache, attempts=attempts, progress=download_progress
    )
    return read_kosiba2020(file, provenance={"url": url, "checksum": checked}, **reading)
