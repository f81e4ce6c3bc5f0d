"""The room's public names, found without loading what they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

import labkit.run


def test_every_public_name_is_there():
    assert all(callable(getattr(labkit.run, name)) for name in labkit.run.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'run_all'; public"):
        _ = labkit.run.run_all


def test_the_room_itself_loads_neither_notebooks_nor_plots():
    code = (
        "import sys, labkit.run; print([m for m in ('papermill', 'bokeh', 'nbformat') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
