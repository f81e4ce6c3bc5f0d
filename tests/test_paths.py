"""Files and folders are whole or not there, whenever the writer is killed."""

import os
import subprocess
import sys
import time

import pytest

from labkit import paths
from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_file, atomic_folder, shipped_folder

WRITER = """
import sys
from labkit.paths import atomic_folder
for number in range(10**6):
    with atomic_folder(sys.argv[1], overwrite=True) as folder:
        for name in "abcdef":
            (folder / name).write_text(str(number))
    print(number, flush=True)
"""


@pytest.fixture(params=["one step", "two steps"])
def either(request, monkeypatch):
    """File systems that can exchange two names, and those that cannot."""
    if request.param == "two steps":
        monkeypatch.setattr(paths, "_swap", lambda *_: False)
    return request.param


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(tmp_path, either):
    for text in ("first", "second"):
        with atomic_folder(tmp_path / "out", overwrite=True) as folder:
            (folder / "a").write_text(text)
        assert (tmp_path / "out" / "a").read_text() == text
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "a").write_text(str(1 / 0))
    assert (tmp_path / "out" / "a").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="must not exist yet"), atomic_folder(tmp_path / "out"):
        pass


def test_a_killed_writer_leaves_a_whole_folder_and_the_next_one_tidies_up(tmp_path):
    out = tmp_path / "out"
    for wait in (0.0, 0.01, 0.02, 0.05):
        command = [sys.executable, "-c", WRITER, str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(wait)
            process.kill()
        assert len({(out / name).read_text() for name in "abcdef"}) == 1
    with atomic_folder(out, overwrite=True) as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_was_moved_aside_comes_back(tmp_path):
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "a").write_text("old")
    with pytest.raises(InputError, match="must not exist yet"), atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "a").read_text() == "old"


def test_another_living_writer_is_left_alone(tmp_path):
    with atomic_file(tmp_path / "a[1]") as first:
        first.write_text("one")
        with atomic_file(tmp_path / "a[1]") as second:
            second.write_text("two")
        assert first.is_file()
    assert (tmp_path / "a[1]").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a[1]"]


def test_a_full_disk_is_said(tmp_path):
    with (
        pytest.raises(InputError, match=r"the disk is full while writing .*free space"),
        atomic_file(tmp_path / "a"),
    ):
        raise OSError(28, os.strerror(28))


def test_data_of_the_package_is_found_and_its_absence_named():
    assert shipped_folder("data/published").is_dir()
    with pytest.raises(MissingDataError, match=r"data/nothing must be at .*install labkit again"):
        shipped_folder("data/nothing")
