"""Who does the runs of a sweep: this process, processes of this machine, or workers of a Dask cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from distributed import Client, LocalCluster, wait

from labkit.errors import InputError, MissingDataError
from labkit.run.sweep_runs import SweepRun, train_run
from labkit.sample import Sample

#: A run that has ended, and the error that ended it.
Ended = tuple[SweepRun, BaseException | None]
_POLL_S = 1.0
_CONNECT_S = 30


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here(runs: Sequence[SweepRun], samples: Sequence[Sample], tell: Callable[[], None]) -> Iterator[Ended]:
    """Do the runs one after another in this process; gives each as it ends, with the error that ended it."""
    for run in runs:
        try:
            train_run(run, samples[run.sample], tell=tell)
        except Exception as error:  # whatever it is, the other runs go on; it is raised at the end
            yield run, error
        else:
            yield run, None


@contextmanager
def connected(workers: int | str) -> Iterator[Client]:
    """A client of processes started for the sweep, or of the scheduler at an address (``"tcp://node1:8786"``)."""
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if isinstance(workers, int):
            # no limit of memory: Dask would stop a training that holds its images
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,  # in the workers, too
            )
            yield stack.enter_context(Client(stack.enter_context(cluster)))
            return
        try:
            client = stack.enter_context(Client(workers, timeout=_CONNECT_S))
        except (OSError, TimeoutError, ValueError) as error:
            raise MissingDataError(
                f"workers must be a number of processes or the address of a Dask scheduler, {workers!r} does "
                f"not answer ({error}); start one with `dask scheduler`, or use workers=2"
            ) from error
        if not client.scheduler_info()["workers"]:
            raise InputError(
                f"the scheduler {workers!r} must have workers, got none; `dask worker {workers}`"
            )
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages out of the log, up to the last worker's end."""
    dask = logging.getLogger("distributed")
    level = dask.level
    dask.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        dask.setLevel(level)


def on_workers(
    runs: Sequence[SweepRun], samples: Sequence[Sample], tell: Callable[[], None], *, client: Client
) -> Iterator[Ended]:
    """Do the runs on the workers of a client, each on one; gives each as it ends, as `here`.

    A Sample that was opened from disk travels without its pixels: each worker opens the same folder and keeps
    one copy of what its runs read. A run whose worker dies is given to another one, which resumes it.
    """
    held = [client.scatter(sample, broadcast=True, hash=False) for sample in samples]
    futures = {
        client.submit(train_run, run, held[run.sample], pure=False, priority=-number): run
        for number, run in enumerate(runs)
    }
    pending = set(futures)
    try:
        while pending:
            try:
                done, pending = wait(pending, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            except TimeoutError:
                done = set()
            tell()
            for future in sorted(done, key=lambda one: runs.index(futures[one])):
                yield futures[future], future.exception()
    finally:
        client.cancel(list(pending))
