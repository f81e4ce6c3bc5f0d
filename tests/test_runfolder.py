import pytest

from labkit.errors import InputError
from labkit.runfolder import RunFolder, versions


def test_parts_are_made_when_asked_for(tmp_path):
    run = RunFolder(tmp_path / "runs" / "demo")
    assert list(run.path.iterdir()) == []
    assert run.checkpoints.is_dir()
    assert run.name == "demo"
    assert run.report.parent == run.path


def test_manifest_keeps_what_was_recorded(tmp_path):
    run = RunFolder(tmp_path / "demo")
    assert run.manifest == {}
    created = run.record(seed=3)["created"]
    manifest = RunFolder(tmp_path / "demo").record(inputs={"sample": "abc"})
    assert manifest["created"] == created
    assert manifest["seed"] == 3
    assert manifest["versions"] == versions()
    assert {"python", "numpy", "torch", "labkit"} <= set(versions())


def test_a_file_is_refused(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="path must be a folder, got the file"):
        RunFolder(tmp_path / "f")


def test_each_kind_of_predictions_has_its_file(tmp_path):
    run = RunFolder(tmp_path / "demo")
    assert run.predictions == run.predictions_of() == run.path / "predictions.parquet"
    names = [run.predictions_of(s, folds=f).name for s in ("binary", "five-class") for f in (False, True)]
    assert names == [
        "predictions.parquet",
        "predictions_folds.parquet",
        "predictions_five-class.parquet",
        "predictions_five-class_folds.parquet",
    ]
