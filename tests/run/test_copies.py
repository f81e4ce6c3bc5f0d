"""Copies of the notebooks: what they hold, what their paths mean, and that nobody's work is replaced."""

import shutil
from pathlib import Path

import pytest

from labkit.errors import InputError
from labkit.paths import shipped_folder
from labkit.run import copies
from labkit.run.copies import copy_notebooks
from labkit.run.parameters import read_parameters


def default_of(notebook: Path, name: str) -> str:
    return next(one.default for one in read_parameters(notebook) if one.name == name)


@pytest.fixture
def originals(tmp_path, monkeypatch) -> Path:
    """Originals that a test may change."""
    folder = Path(shutil.copytree(shipped_folder("notebooks"), tmp_path / "package" / "notebooks"))
    monkeypatch.setattr(copies, "shipped_folder", lambda name: folder)
    return folder


def test_copies_are_notebooks_sequences_and_experiments(tmp_path):
    states = copy_notebooks(tmp_path / "mine")
    assert set(states.values()) == {"copied"}
    assert {"01_data_exploration.ipynb", "demo.toml", "experiments/kosiba2020_small.toml"} <= set(states)
    assert "ruff.toml" not in states
    original = shipped_folder("notebooks") / "05_roc.ipynb"
    assert (tmp_path / "mine" / "05_roc.ipynb").read_bytes() == original.read_bytes()


def test_paths_of_the_copies_mean_the_data_folder(tmp_path):
    copy_notebooks(tmp_path / "data" / "lab", data=tmp_path / "data")
    copy = tmp_path / "data" / "lab" / "03_training.ipynb"
    assert (copy.parent / default_of(copy, "run")).resolve() == tmp_path / "data" / "runs" / "demo"
    left = [file.name for file in copy.parent.rglob("*.*") if "../data/" in file.read_text()]
    assert left == []


def test_what_was_changed_stays_and_a_newer_original_is_told(originals, tmp_path):
    mine = tmp_path / "mine"
    copy_notebooks(mine)
    run = mine / "01_data_exploration.ipynb"
    run.write_text(run.read_text().replace('"outputs": []', '"outputs": [1]', 1))
    before = run.read_text()
    (mine / "demo.toml").unlink()
    states = copy_notebooks(mine)
    assert states.pop("demo.toml") == "copied"
    assert set(states.values()) == {"unchanged"}
    for name in ("01_data_exploration.ipynb", "02_normalisation.ipynb"):
        (originals / name).write_text((originals / name).read_text().replace("the", "a", 1))
    for _ in range(2):
        states = copy_notebooks(mine)
        assert (states["01_data_exploration.ipynb"], run.read_text()) == ("outdated", before)
    assert states["02_normalisation.ipynb"] == "unchanged"
    assert (mine / "02_normalisation.ipynb").read_text() == (originals / "02_normalisation.ipynb").read_text()
    run.unlink()
    assert copy_notebooks(mine)["01_data_exploration.ipynb"] == "copied"


def test_the_originals_and_quoted_paths_are_refused(tmp_path):
    with pytest.raises(InputError, match="folder must be one of your own"):
        copy_notebooks(shipped_folder("notebooks"))
    with pytest.raises(InputError, match="data must be a path without quotes"):
        copy_notebooks(tmp_path / "mine", data=tmp_path / 'a"b')
