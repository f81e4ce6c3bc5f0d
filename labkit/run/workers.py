"""Workers of Dask: processes of this machine, or those of a scheduler."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from distributed import Client, LocalCluster

from labkit.errors import InputError, MissingDataError

_CONNECT_S = 30


def number_of(value: int | str) -> int | str:
    """A number that may have come as text; other text stays."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


@contextmanager
def connected(workers: int | str) -> Iterator[Client]:
    """A client of processes started here, or of the scheduler at an address (``"tcp://node1:8786"``)."""
    with ExitStack() as stack:
        dask = logging.getLogger(
            "distributed"
        )  # its own messages stay out of the log, up to the last worker's end
        stack.callback(dask.setLevel, dask.level)
        dask.setLevel(logging.CRITICAL)
        if isinstance(workers, int):
            # no limit of memory: Dask would stop a training that holds its images
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,  # in the workers, too
            )  # fmt: skip
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
