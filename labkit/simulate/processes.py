"""The same work in one process or several, with the same result, and its pieces as one Sample."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.table import QTable, vstack
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from labkit.sample import Sample, SampleWriter

_Result = TypeVar("_Result")


def run_tasks(work: Callable[..., _Result], tasks: Sequence[tuple], n_jobs: int) -> Iterator[_Result]:
    """Results of `work(*task)` for each task, in order, as they come."""
    call = partial(_on_one_thread, work)
    if n_jobs == 1 or len(tasks) < 2:
        yield from map(call, tasks)
        return
    with ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(call, tasks)


def _on_one_thread(work: Callable[..., _Result], task: tuple[Any, ...]) -> _Result:
    """On one thread, because sums depend on how they are split."""
    with threadpool_limits(1):
        return work(*task)


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
