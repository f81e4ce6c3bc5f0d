"""Predictions in parts: the same as in one piece, resumed, never mixed, and read back as a table."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import InputError, MissingDataError
from labkit.learn import predict
from labkit.predictions import PARTS, load_predictions
from labkit.run import streaming
from labkit.run.streaming import predict_in_parts
from labkit.sample import Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twenty raw objects, such as the shipped models take."""
    rng = np.random.default_rng(3)
    y, x = np.indices((178, 178)) - 88.5
    light = np.exp(-np.hypot(x, y) / rng.uniform(2, 20, (20, 1, 1)))
    images = rng.poisson(0.05 + 2 * light)[:, None].astype(np.float32)
    catalogue = QTable({"object_id": [f"C{n:02d}" for n in range(20)], "label": [""] * 20})
    catalogue["ra"], catalogue["dec"], catalogue["more"] = np.arange(20.0) * u.deg, np.zeros(20) * u.deg, 1.0
    about = {"bands": ("xray",), "pixel_scale": 7 * 60 / 178 * u.arcsec}
    sample = Sample(images, catalogue, provenance={"telescope": "XMM-Newton"}, **about)
    return sample.save(tmp_path_factory.mktemp("stream") / "sample")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch, one_thread):
    monkeypatch.setattr(streaming, "PART", 8)
    monkeypatch.setattr(streaming, "PIECE", 8)


def rows(path: Path) -> list[tuple]:
    return [tuple(row) for row in load_predictions(path).table]


def test_parts_hold_what_one_call_predicts(folder, tmp_path):
    out = predict_in_parts("xmm-xray", folder, tmp_path / "parts", workers=0)
    assert len(list(out.glob("part-*"))) == 3
    parts, whole = load_predictions(out), predict("xmm-xray", Sample.load(folder))
    for name in ("object_id", "seed", "experiment", "split"):
        assert parts.table[name].tolist() == whole.table[name].tolist()
    assert parts.score == pytest.approx(whole.score, abs=1e-5)
    assert parts.score.std() > 0.05
    assert parts.table.meta["made"][0]["telescope"] == "XMM-Newton"


def test_a_call_that_was_stopped_is_resumed_to_the_same_table(folder, tmp_path, monkeypatch):
    unbroken = rows(predict_in_parts("xmm-xray", folder, tmp_path / "unbroken", workers=0, views=2))
    calls, work = [], streaming._predict_part

    def stopped(part, piece, **options):
        calls.append(part[0])
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return work(part, piece, **options)

    monkeypatch.setattr(streaming, "_predict_part", stopped)
    out = tmp_path / "stopped"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predict_in_parts("xmm-xray", folder, out, workers=0, views=2)
        with pytest.raises(MissingDataError, match="has not ended"):
            load_predictions(out)
    predict_in_parts("xmm-xray", folder, out, workers=0, views=2)
    assert calls == [0, 1, 1, 2, 2]
    assert rows(out) == unbroken


def test_workers_give_the_same_table_to_the_last_bit(folder, tmp_path):
    here = predict_in_parts("xmm-xray", folder, tmp_path / "here", workers=0)
    there = predict_in_parts("xmm-xray", folder, tmp_path / "there", workers=1)
    assert rows(here) == rows(there)


def test_other_settings_are_refused_and_replace_the_old_ones_only_when_they_are_complete(
    folder, tmp_path, monkeypatch
):
    out = predict_in_parts("xmm-xray", folder, tmp_path / "parts", workers=0)
    before, work = rows(out), streaming._predict_part
    with pytest.raises(InputError, match="must not hold predictions of other models, Sample or options"):
        predict_in_parts("xmm-xray", folder, out, workers=0, views=2)

    def stopped(part, piece, **options):
        if part[0] == 1:
            raise KeyboardInterrupt
        return work(part, piece, **options)

    monkeypatch.setattr(streaming, "_predict_part", stopped)
    options = {"workers": 0, "views": 2, "overwrite": True}
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts("xmm-xray", folder, out, **options)
    assert rows(out) == before
    monkeypatch.setattr(streaming, "_predict_part", work)
    predict_in_parts("xmm-xray", folder, out, **options)
    assert rows(out) != before
    assert len(list(out.glob("part-*"))) == 3


def test_bad_input_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.run.workers._CONNECT_S", 0.2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="out must be a new folder or one of predictions"):
        predict_in_parts("xmm-xray", folder, tmp_path / "mine", workers=0)
    with pytest.raises(InputError, match="workers must be 0"):
        predict_in_parts("xmm-xray", folder, tmp_path / "out", workers=-1)
    with pytest.raises(InputError, match="must be among the bands|bands must"):
        predict_in_parts("xmm-xray-optical", folder, tmp_path / "out", workers=0)
    with pytest.raises(MissingDataError, match="does not answer"):
        predict_in_parts("xmm-xray", folder, tmp_path / "out", workers="tcp://127.0.0.1:9")
    assert not list((tmp_path / "out").glob("*"))


def test_the_command_line_writes_parts_that_rank_reads(folder, tmp_path):
    run = CliRunner().invoke
    asked = ["predict", str(folder), "--run", "xmm-xray"]
    done = run(app, [*asked, "--out", str(tmp_path / "parts"), "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert "images not compared with the training's" in done.output
    assert (tmp_path / "parts" / PARTS).is_file()
    ranked = run(app, ["rank", str(tmp_path / "parts"), str(folder), "--out", str(tmp_path / "ranked.ecsv")])
    assert ranked.exit_code == 0, ranked.output
    wrong = run(app, [*asked, "--out", str(tmp_path / "p.parquet"), "--workers", "2"])
    assert "folder" in str(wrong.exception) + wrong.output
