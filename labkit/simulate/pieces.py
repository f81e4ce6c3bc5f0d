"""Simulated pieces, images and their rows of the catalogue, as one Sample."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, vstack
from tqdm.auto import tqdm

from labkit.sample import Sample, SampleWriter


def collect(
    pieces: Iterable[tuple[np.ndarray, QTable]],
    *,
    number: int,
    progress: bool,
    path: str | Path | None,
    overwrite: bool,
    **about: Any,
) -> Sample:
    """A Sample of pieces of images and rows, in memory, or written to a path while they are made.

    `number` of them are expected; `about` are bands, pixel scale and provenance, as for `Sample`.
    """
    shown = tqdm(pieces, total=number, unit="chunk", disable=not progress, desc="simulate")
    if path is None:
        images, tables = zip(*shown, strict=True)
        return Sample(np.concatenate(images), vstack(list(tables)), **about)
    with SampleWriter(path, overwrite=overwrite, **about) as writer:
        for images, table in shown:
            writer.append(images, table)
    return Sample.load(path)
