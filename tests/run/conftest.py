"""Small notebooks, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import nbformat.v4
import pytest

MakeNotebook = Callable[..., Path]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are quickest on one thread, and sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
