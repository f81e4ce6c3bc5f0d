"""The processor's cores, and the same work in one process or several, with the same result."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

_Result = TypeVar("_Result")


def available_cores() -> int:
    """CPU cores that this process may use, which in a container or a batch job are not all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
