import pytest

from labkit.errors import InputError
from labkit.runfolder import RunFolder, versions


def test_parts_are_made_when_asked_for(tmp_path):
    run = RunFolder(tmp_path / "runs" / "demo")
    assert list(run.path.iterdir()) == []
    assert run.checkpoints.is_dir()
    assert run.name == "demo"
    assert run.report.parent == run.path
    run.report.touch()
    with pytest.raises(InputError, match="path must be a folder, got the file"):
        RunFolder(run.report)


def test_manifest_keeps_what_was_recorded(tmp_path):
    run = RunFolder(tmp_path / "demo")
    assert run.manifest == {}
    created = run.record(seed=3)["created"]
    manifest = RunFolder(tmp_path / "demo").record(inputs={"sample": "abc"})
    assert manifest["created"] == created
    assert manifest["seed"] == 3
    assert manifest["versions"] == versions()
    assert {"python", "numpy", "torch", "labkit"} <= set(versions())


def test_each_kind_of_predictions_has_its_file(tmp_path):
    run = RunFolder(tmp_path / "demo")
    assert run.predictions == run.predictions_of() == run.path / "predictions.parquet"
    names = [run.predictions_of(s, folds=f).name for s in ("binary", "five-class") for f in (False, True)]
    kinds = ("", "_folds", "_five-class", "_five-class_folds")
    assert names == [f"predictions{kind}.parquet" for kind in kinds]
    assert run.predictions_of("numbers", folds=True).name == "predictions_numbers_folds.parquet"
