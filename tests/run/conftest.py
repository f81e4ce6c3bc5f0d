"""Small notebooks, made on the spot."""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import nbformat.v4
import pytest
from traitlets.config import Config

from labkit.run import notebooks

MakeNotebook = Callable[..., Path]


@pytest.fixture
def make_notebook(tmp_path: Path) -> MakeNotebook:
    """Write a notebook: the parameters cell, then code cells."""

    def make(name: str, parameters: str = "", *code: str) -> Path:
        tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell("# Title"), *([tagged] if parameters else [])]
        notebook = nbformat.v4.new_notebook(cells=[*cells, *map(nbformat.v4.new_code_cell, code)])
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return make


@pytest.fixture
def shared_kernels(monkeypatch) -> Iterator[None]:
    """Kernels that go on to the next notebook of a test, emptied before: what they import is loaded once.

    Loading the libraries anew for every section takes longer than the small sections themselves.
    """
    kernels, free = [], []

    class Shared(notebooks.LocalKernelManager):
        kernel = None

        async def start_kernel(self, **options):
            if not free:
                await super().start_kernel(**options)
                kernels.append(self)
                self.kernel = self
                return
            self.kernel = free.pop()
            self.provisioner = self.kernel.provisioner
            self.load_connection_info(self.kernel.get_connection_info())
            client = self.client()
            client.start_channels()
            await client.wait_for_ready(timeout=60)
            code = f"%reset -f\nimport os\nos.chdir({str(options['cwd'])!r})\ndel os"
            await client.execute(code, reply=True, timeout=60)
            client.stop_channels()

        async def shutdown_kernel(self, *_, **__):
            """The kernel is free for the next notebook."""
            if self.kernel is not None:
                free.append(self.kernel)
                self.kernel = None

        async def cleanup_resources(self, *_, **__):
            """The manager's own connections, not the kernel's sockets."""
            self._close_control_socket()
            self.context.destroy(linger=100)

    with tempfile.TemporaryDirectory(prefix="labkit-", dir="/tmp") as folder:
        numbers = itertools.count()

        @contextmanager
        def connection():
            settings = {"transport": "ipc", "connection_file": f"{folder}/kernel{next(numbers)}.json"}
            yield Config({"LocalKernelManager": settings})

        monkeypatch.setattr(notebooks, "LocalKernelManager", Shared)
        monkeypatch.setattr(notebooks, "_private_connection", connection)
        yield
        for one in kernels:
            asyncio.run(one.provisioner.kill())
            asyncio.run(one.provisioner.wait())
