"""The command line: verbs, units, messages, exit codes, and what goes to which stream."""

import csv
import errno
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import nbformat.v4
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from PIL import Image
from typer.main import get_command

import labkit.run.sweep
from labkit import __version__
from labkit.calibration import FILE, Calibration
from labkit.cli import main
from labkit.cli.app import CATALOGUE_ENDINGS as OFFERED
from labkit.cli.app import Group, app
from labkit.cli.words import spoken
from labkit.errors import InputError, TrainingError
from labkit.experiment import AdamW, Experiment
from labkit.learn import image_features
from labkit.learn.reference import FILE as REFERENCE
from labkit.learn.trained import model_folders
from labkit.predictions import Predictions
from labkit.sample import Sample, with_labels
from labkit.simulate import simulate_observation
from labkit.tables import CATALOGUE_ENDINGS, write_table


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def labkit_(*words: object) -> Ended:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def fails(code: int, message: str, *words: object) -> None:
    """A command must end with one line on standard error that holds `message`, and with `code`."""
    ended = labkit_(*words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("labkit: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a raw Sample, a normalised one, an experiment and a run, all made by commands."""
    root = tmp_path_factory.mktemp("cli")
    assert labkit_("simulate", "survey", root / "raw", "--objects", 60, "--size-px", 32).code == 0
    assert labkit_("normalise", root / "raw", root / "grey").code == 0
    settings = {"image_size": 32, "batch_size": 16, "epochs": 5, "optimiser": AdamW(), "bands": ("xray",)}
    Experiment(name="tiny", **settings).save(root / "tiny.json")
    words = ("--experiment", root / "tiny.json", "--run", root / "run", "--epochs", 1, "--device", "cpu")
    trained = labkit_("train", root / "grey", *words, "--seed", 4, "--seed", 5)
    assert trained.out.count("best epoch 1 of 1") == 2
    return root


def declare(folder: Path, parameters: str, code: str) -> Path:
    """A sequence of one notebook; returns the TOML file."""
    folder.mkdir(exist_ok=True)
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [tagged, nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "a.ipynb")
    (folder / "s.toml").write_text('name = "s"\n[[steps]]\nnotebook = "a.ipynb"\n')
    return folder / "s.toml"


@pytest.fixture
def notebook(tmp_path) -> Path:
    """A sequence that fails for n above 1."""
    return declare(tmp_path, "n: int = 1  # count", "if n > 1:\n    raise ValueError('too many')")


VERBS = {
    ("simulate", "survey"): ["arcmin", "counts per pixel"],
    ("simulate", "recipe"): ["Parquet", "fields"],
    ("simulate", "observation"): ["arcsec", "counts", "(s)"],
    ("simulate", "cores"): ["arcsec", "counts per pixel"],
    ("simulate", "fields"): ["arcsec", "1 as published"],
    ("fetch", "kosiba2020"): ["MB", "0 to 1"],
    ("import",): ["arcsec", "pixels", "degrees", "{object_id}_{band}.fits"],
    ("observe",): ["arcmin", "degrees", "counts", "exposure map, s"],
    ("cores",): ["counts", "exposure map, s", "degrees", "kpc", "arcsec"],
    ("split",): ["0 to 0.9"],
    ("normalise",): ["0 to 255"],
    ("train",): ["pixels", "passes"],
    ("sweep",): ["number of processes", "passes"],
    ("predict",): ["0 to 1", "number of"],
    ("calibrate",): ["nats", "1 where calibrated"],
    ("rank",): ["0 to 1"],
    ("classify",): ["0 to 1", "counts", "exposure map, s", "degrees"],
    ("models",): ["labkit models"],
    ("find",): ["exposure map, s"],
    ("inject",): ["erg/s/cm2", "arcsec", "arcmin", "degrees", "exposure map, s"],
    ("tree",): ["CSV", "TOML"],
    ("hunt",): ["PNG", "pixels along", "objects at most"],
    ("votes",): ["CSV", "YYYY-MM-DD"],
    ("run",): ["units"],
    ("report",): ["run folder"],
    ("notebooks",): ["folder"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_states_units(verb):
    ended = labkit_(*verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert [unit for unit in VERBS[verb] if unit not in " ".join(ended.out.split())] == []


def test_help_lists_the_verbs_and_version_the_number():
    listed = labkit_("-h").out
    assert [verb for verb, *_ in VERBS if f"\n  {verb} " not in listed] == []
    assert labkit_("--version").out == f"labkit {__version__}\n"


def leaves(verb=None, words=()):
    """Every verb with the words that call it."""
    inside = getattr(verb or get_command(app), "commands", None)
    if inside is None:
        return [(words, verb)]
    return [leaf for name, one in inside.items() for leaf in leaves(one, (*words, name))]


def test_every_verb_has_its_group_and_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    verbs = get_command(app).commands
    assert {
        name: one.rich_help_panel for name, one in verbs.items() if one.rich_help_panel not in [*Group]
    } == {}
    listed = labkit_("--help").out
    assert sorted(listed.index(f"{group}:\n") for group in Group) == [
        listed.index(f"{group}:\n") for group in Group
    ]
    assert [line for line in listed.splitlines() if line.endswith("...")][1:] == []  # the first is the usage
    assert sum(
        line.startswith("  ") for line in listed.split(f"{next(iter(Group))}:")[1].splitlines()
    ) == len(verbs)


@pytest.mark.parametrize("words", [words for words, _ in leaves()], ids=" ".join)
def test_errors_speak_of_options_not_of_arguments(words):
    verb = dict(leaves())[words]
    for one in verb.params:
        typed = max(one.opts, key=len) if one.param_type_name == "option" else one.name.upper()
        said = spoken(f"{one.name} must be 3, got 2; pass {one.name}='x' or {one.name}=", verb)
        assert said.startswith(f"{typed} must be 3, got 2; give {typed}")
        assert f"{one.name}=" not in said
        assert f"; {typed}: must be" in spoken(f"size: x; {one.name}: must be 1", verb)


def test_errors_speak_of_the_options_behind_other_names_of_arguments():
    verbs = dict(leaves())
    said = spoken("n_jobs must be 1; or path='a b', pixel_scale=0.1 * u.arcsec, folds=3", verbs["import",])
    assert said == "--processes must be 1; or --out a b, --pixel-scale 0.1 arcsec, folds=3"
    said = spoken("give without_optical='drop' or optical=['a']", verbs["observe",])
    assert said == "give --without-plate drop or --plate a"
    assert (
        spoken("pass overwrite=True; v is 3 * u.km / u.s", verbs["members",])
        == "give --overwrite; v is 3 km/s"
    )
    assert spoken("--size-px=3 and x.size_px=3 stay", verbs["import",]) == "--size-px=3 and x.size_px=3 stay"


def test_help_loads_nothing_heavy():
    code = (
        "import sys, labkit.cli\ntry: labkit.cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'bokeh', 'astropy', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_simulated_cores_are_a_sample(tmp_path):
    words = ("--clusters", 2, "--projections", 2, "--size-px", 16, "--pixel-scale", 60, "--population")
    assert labkit_("simulate", "cores", tmp_path / "cores", *words, "accept").code == 0
    assert Sample.load(tmp_path / "cores").shape == (4, 1, 16, 16)
    fails(65, "population must be one of", "simulate", "cores", tmp_path / "other", *words, "eagle")


def test_simulate_observation_then_observe(tmp_path):
    field = tmp_path / "field"
    ended = labkit_("simulate", "observation", field, "--size-px", 96, "--pixel-scale", 22, "--seed", 4)
    assert "epic_image.fits" in ended.out
    assert "truth.ecsv" in ended.out
    cameras = ("pn", "mos1", "mos2")
    images = [word for c in cameras for word in ("--image", field / f"{c}_image.fits")]
    maps = [word for c in cameras for word in ("--exposure", field / f"{c}_exposure.fits")]
    words = (*images, *maps, "--candidates", field / "truth.ecsv", "--size-px", 32)
    fails(65, "give --outside drop", "observe", tmp_path / "raw", *words)
    ended = labkit_("observe", tmp_path / "raw", *words, "--outside", "drop")
    assert ended.code == 0
    assert "bands xray, 32 x 32 px" in ended.out
    assert Sample.load(tmp_path / "raw").bands == ("xray",)


def test_fetch_reads_a_copy(tmp_path):
    rng = np.random.default_rng(1)
    for split, names in {"train": "abcd", "test": "e"}.items():
        (tmp_path / "copy" / f"{split}_images").mkdir(parents=True)
        rows = [f"{name},{'low-z' if name in 'ab' else 'point'}" for name in names]
        (tmp_path / "copy" / f"{split}.csv").write_text("\n".join(["image_id,class", *rows]))
        for name in names:
            pixels = rng.integers(0, 255, (356, 356, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "copy" / f"{split}_images" / f"{name}.png")
    words = ("fetch", "kosiba2020", tmp_path / "out", "--copy", tmp_path / "copy")
    ended = labkit_(*words, "--channels", "empty,xray,optical", "--validation", 0.5)
    assert ended.code == 0
    assert "5 objects, bands xray, optical, 356 x 356 px" in ended.out
    fails(65, "channels must be", *words[:2], tmp_path / "new", *words[3:], "--channels", "red,green,blue")
    fails(66, "zip file or a folder that exists", *words[:2], tmp_path / "new", "--copy", tmp_path / "no")


def test_import_reads_a_list_and_lists_what_it_left_out(tmp_path):
    (tmp_path / "cut").mkdir()
    rng = np.random.default_rng(1)
    for name in "abc":
        for band in "gr":
            np.save(tmp_path / "cut" / f"{name}_{band}.npy", rng.normal(size=(16, 16)))
    (tmp_path / "cut" / "c_r.npy").unlink()
    (tmp_path / "list.csv").write_text("object_id,type\na,lens\nb,galaxy\nc,lens\n")
    words = ("import", tmp_path / "list.csv", "--images", tmp_path / "cut", "--out", tmp_path / "mine")
    words = (*words, "--pixel-scale", 0.2, "--label", "type")
    pattern = ("--file", "{object_id}_{band}.npy", "--bands", "g,r")
    ended = labkit_(*words, *pattern, "--size-px", 8)
    assert ended.out.splitlines() == [
        f"{tmp_path / 'mine_refused.csv'}: 1 of 3 images left out",
        f'{tmp_path / "mine"}: <Sample: 2 objects, bands g, r, 8 x 8 px of 0.4", raw float32>',
    ]
    refused = Table.read(tmp_path / "mine_refused.csv")
    assert (refused["object_id"][0], refused["reason"][0][:21]) == ("c", "there is no file of t")
    named = ("--file", "g={object_id}_g.npy", "--file", "r={object_id}_g.npy", "--overwrite")
    assert labkit_(*words, *named).code == 0
    assert Sample.load(tmp_path / "mine").labels.tolist() == ["lens", "galaxy", "lens"]
    assert not (tmp_path / "mine_refused.csv").exists()
    fails(65, "--file must be given once, or as band=value", *words, "--overwrite", *["--file", "a"] * 2)
    fails(65, "OUT must not exist yet", *words, *pattern)


def test_predict_writes_predictions_and_rank_the_catalogue(made, tmp_path):
    lines = []
    for sample, ending in (("raw", "parquet"), ("grey", "ecsv")):
        out, best = tmp_path / f"{sample}.{ending}", tmp_path / f"{sample}_ranked.ecsv"
        ended = labkit_("predict", made / sample, "--run", made / "run", "--out", out)
        assert ended.out.startswith(f"{out}: 120 rows, 60 objects by 2 models\nimages not compared")
        ended = labkit_("rank", out, made / sample, "--out", best)
        assert ended.out.startswith(f"{best}: 60 objects, best SIM-1-")
        lines.append(ended.out.split(": ")[1])
        assert set(Table.read(best)["runs"]) == {2}
    assert lines[0] == lines[1]
    labkit_("predict", made / "raw", "--run", made / "run", "--out", tmp_path / "p.csv")
    fails(65, "CSV does not keep", "rank", tmp_path / "p.csv", made / "raw", "--out", tmp_path / "x.csv")


def test_a_calibration_beside_the_models_gives_a_list_of_the_purity_asked_for(made, tmp_path):
    predict = ("predict", made / "raw", "--run", made / "run", "--out")
    assert labkit_(*predict, tmp_path / "p.parquet").code == 0
    rank = ("rank", tmp_path / "p.parquet", made / "raw", "--out", tmp_path / "r.ecsv", "--overwrite")
    fails(66, f"{FILE} beside the models", *rank, "--purity", 0.9)
    fails(66, f"--calibrated needs {FILE} beside the models", *predict, tmp_path / "c.ecsv", "--calibrated")
    words = ("calibrate", tmp_path / "p.parquet", "--split", "train", "--out", made / "run" / FILE)
    try:
        ended = labkit_(*words)
        assert "cross-validated log loss: before" in ended.out
        assert "slope" in ended.out
        fails(65, "--out must not exist yet", *words)
        found = Calibration.load(made / "run")
        assert all(len(one) == 16 for one in found.models)
        assert (len(found.models), found.bands) == (2, "xray")
        ended = labkit_(*rank, "--completeness", 0.8, "--prevalence", 0.3)
        assert "completeness 0.8: " in ended.out
        ranked = QTable.read(tmp_path / "r.ecsv")
        point = ranked.meta["ranking"]["operating_point"]
        assert point["selected"] == ranked["selected"].sum() > 0
        assert (point["prevalence"], point["prevalence_from"]) == (0.3, "as given")
        for one in (("--purity", 2), ("--purity", 0.9, "--cost", "1:1")):
            fails(65, "purity", *rank, *one)
        fails(65, "--cost must be two numbers, as in 1:3", *rank, "--cost", "cheap")
        fails(65, "--prevalence must be a share", *rank, "--purity", 0.9, "--prevalence", "much")
        ended = labkit_(*predict, tmp_path / "c.parquet", "--calibrated")
        assert "60 rows, 60 objects by 1 models\n" in ended.out
        fails(65, "must not be calibrated yet", "rank", tmp_path / "c.parquet", *rank[2:], "--purity", 0.9)
        assert "prevalence" in labkit_("rank", tmp_path / "c.parquet", *rank[2:]).out
        replace(found, models=("another",)).save(tmp_path / FILE)
        other = (*rank, "--purity", 0.9, "--calibration", tmp_path / FILE)
        fails(65, "PREDICTIONS must be of the calibrated models another (bands xray), got", *other)
    finally:
        (made / "run" / FILE).unlink(missing_ok=True)


def test_other_images_than_the_training_s_are_predicted_when_accepted(made, tmp_path):
    raw = Sample.load(made / "raw")
    raw.catalogue["split"] = "new"  # as if the networks had learned from none
    kept = write_table(image_features(made / "run", raw.select(slice(0, None, 2))), tmp_path / REFERENCE)
    place = next(iter(model_folders(made / "run"))) / REFERENCE
    own = place.read_bytes()
    rest = raw.select(slice(1, None, 2))
    rest.save(tmp_path / "like")
    noise = np.random.default_rng(1).poisson(8.0, rest.shape)
    about = {"bands": rest.bands, "pixel_scale": rest.pixel_scale, "provenance": rest.provenance}
    more = Sample(np.asarray(rest.images) + noise, rest.catalogue, **about)
    more.save(tmp_path / "unlike")
    predict, out = ("predict", tmp_path / "like", "--run", made / "run", "--out"), tmp_path / "p.parquet"
    try:
        assert "not compared with the training's: that needs 20" in labkit_(*predict, out).out
        whole = ("predict", made / "raw", "--run", made / "run", "--out", tmp_path / "w.parquet")
        assert "not compared with the training's: they are the same" in labkit_(*whole).out
        place.write_bytes(kept.read_bytes())
        ended = labkit_(*predict, out, "--overwrite")
        assert "images like the reference of the training" in ended.out
        found = Predictions.load(out)
        assert ended.out.splitlines()[1] == found.table.meta["made"][0]["shift"]
        np.testing.assert_array_equal(found.table["novelty"][:30], found.table["novelty"][30:])
        assert labkit_("rank", out, tmp_path / "like", "--out", tmp_path / "r.ecsv").code == 0
        ranked = QTable.read(tmp_path / "r.ecsv")
        assert sorted(ranked["novelty"]) == sorted(found.table["novelty"][:30])
        unlike = ("predict", tmp_path / "unlike", *predict[2:], tmp_path / "u.parquet")
        fails(65, "images unlike the reference of the training", *unlike)
        fails(65, "or give --accept shift", *unlike)
        assert "images unlike" in labkit_(*unlike, "--accept", "shift").out
        record = Predictions.load(tmp_path / "u.parquet").table.meta["made"][0]
        assert (record["accepted"], record["shift"][:13]) == ("shift", "images unlike")
    finally:
        place.write_bytes(own)


def test_a_table_is_not_replaced_unasked_and_must_be_writable_before_work_begins(made, tmp_path, monkeypatch):
    (tmp_path / "old.ecsv").write_text("years of work")
    (tmp_path / "folder.csv").mkdir()
    predict = ("predict", made / "raw", "--run", made / "run", "--out")
    assert labkit_(*predict, tmp_path / "p.ecsv").code == 0
    rank = ("rank", tmp_path / "p.ecsv", made / "raw", "--out")
    find = ("find", "a.fits", "--exposure", "e.fits", "--out")
    with monkeypatch.context() as during:
        during.setattr(Sample, "load", lambda *_: pytest.fail("work has begun"))
        for words in (predict, rank, find, ("votes", "answers.csv", "--out")):
            fails(65, "--out must not exist yet", *words, tmp_path / "old.ecsv")
            fails(65, "must be a file, got the folder", *words, tmp_path / "folder.csv", "--overwrite")
            fails(74, f"'{tmp_path / 'old.ecsv'}' is a file", *words, tmp_path / "old.ecsv" / "new.csv")
    assert (tmp_path / "old.ecsv").read_text() == "years of work"
    assert labkit_(*rank, tmp_path / "old.ecsv", "--overwrite").code == 0
    assert len(Table.read(tmp_path / "old.ecsv")) == 60


def test_run_skips_the_second_time_and_report_builds_the_page_again(notebook, tmp_path):
    first = labkit_("run", notebook, "--run", tmp_path / "run")
    assert re.fullmatch(rf"a: \d+ s\n{tmp_path / 'run' / 'report.html'}\n", first.out)
    second = labkit_("run", notebook, "--run", tmp_path / "run")
    assert second.out.splitlines() == ["a: unchanged", str(tmp_path / "run" / "report.html")]
    (tmp_path / "run" / "report.html").unlink()
    assert labkit_("report", tmp_path / "run").out == f"{tmp_path / 'run' / 'report.html'}\n"
    assert (tmp_path / "run" / "report.html").is_file()


def test_run_says_what_it_would_do_and_what_can_be_set(notebook, tmp_path):
    run = tmp_path / "run"
    assert labkit_("run", notebook, "--run", run, "--dry-run").out == "a: would run (not run yet)\n"
    assert not run.exists()
    labkit_("run", notebook, "--run", run)
    assert labkit_("run", notebook, "--run", run, "--dry-run").out == "a: unchanged\n"
    changed = labkit_("run", notebook, "--run", run, "--dry-run", "-p", "n=2")
    assert changed.out == "a: would run (parameters changed)\n"
    assert labkit_("run", notebook, "--list-parameters").out == "a.n: int = 1  # count\n"
    assert labkit_("run", notebook.with_name("a.ipynb"), "--list-parameters").out == "n: int = 1  # count\n"
    ended = labkit_("run", notebook)
    assert (ended.code, "--run: must be given" in ended.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "survey", "out", "--objects", "0"),
        ("simulate", "survey", "out", "--size-px", "4"),
        ("simulate", "survey", "out", "--seed", "-1"),
        ("simulate", "observation", "out", "--pixel-scale", "0"),
        ("fetch", "kosiba2020", "out", "--validation", "1.5"),
        ("observe", "out", "--candidates", "a.csv"),
        ("normalise", "raw", "out", "--method", "log"),
        ("train", "grey", "--experiment", "CN-E"),
        ("train", "grey", "--experiment", "CN-E", "--run", "r", "--epochs", "0"),
        ("predict", "raw", "--run", "r", "--out", "ranked.txt"),
        ("predict", "raw", "--run", "r", "--out", "ranked.csv", "--views", "0"),
        ("classify", "pn.fits", "--out", "mine"),
    ],
)
def test_wrong_usage_is_2_and_says_how(words):
    ended = labkit_(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: labkit" in ended.err
    assert "Error: " in ended.err


def test_endings_are_those_of_the_tables(tmp_path):
    assert OFFERED == CATALOGUE_ENDINGS
    for ending in OFFERED:
        write_table(Table({"object_id": ["a"]}), tmp_path / f"ranked{ending}")


def test_input_that_breaks_a_rule_is_65(made, notebook, tmp_path):
    grey, run = made / "grey", tmp_path / "run"
    fails(65, "preset must be one of ('CN-E',", "train", grey, "--experiment", "CN", "--run", run)
    words = ("--experiment", made / "tiny.json", "--run", run)
    fails(65, "device must be 'auto'", "train", grey, *words, "--device", "tpu")
    fails(65, "must be different numbers", "train", grey, *words, "--seed", 1, "--seed", 1)
    fails(65, "did you mean 'n'", "run", notebook, "--run", run, "-p", "nn=3")
    fails(65, "raw pixels, got one normalised", "normalise", grey, tmp_path / "out")


def test_another_telescope_needs_consent_in_the_words_of_the_command_line(made, tmp_path):
    other = Sample.load(made / "raw")
    other.provenance["telescope"] = "Chandra"
    other.save(tmp_path / "other")
    words = ("predict", tmp_path / "other", "--run", made / "run", "--out", tmp_path / "p.ecsv")
    fails(65, "got images of Chandra; train on such images, or give --accept telescope if", *words)
    assert not (tmp_path / "p.ecsv").exists()
    assert labkit_(*words, "--accept", "telescope").code == 0


def test_missing_input_is_66_and_makes_no_folder(made, tmp_path):
    gone, out = tmp_path / "gone", tmp_path / "out.csv"
    fails(66, "folder of a Sample", "normalise", gone, tmp_path / "out")
    fails(66, "'gone.json' does not exist", "train", gone, "--experiment", "gone.json", "--run", gone)
    fails(66, "--run must hold models", "predict", made / "raw", "--run", gone, "--out", out)
    fails(66, "SEQUENCE must be a TOML file", "run", tmp_path / "demo.toml", "--run", gone)
    fails(66, "make it with `labkit run`", "report", gone)
    fails(66, "there is no file", "observe", gone, "--image", tmp_path / "a.fits", "--candidates", "b.csv")
    assert list(tmp_path.iterdir()) == []


def test_failed_work_is_70(notebook, made, tmp_path, monkeypatch):
    words = ("run", notebook, "--run", tmp_path / "run", "-p", "n=2")
    fails(70, "cell 2 of 2, line 2 (`raise ValueError('too many')`): ValueError: too many", *words)

    def diverge(*_, **__):
        raise TrainingError("the loss is no longer finite")

    monkeypatch.setattr(labkit.run.sweep, "sweep", diverge)
    words = ("--experiment", made / "tiny.json", "--run", tmp_path / "run")
    fails(70, "the loss is no longer finite", "train", made / "grey", *words)


def test_an_error_that_nobody_foresaw_is_one_line_too(made, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Sample, "load", broken)
    words = ("normalise", made / "raw", tmp_path / "out")
    fails(70, "RuntimeError: two lines; the option --debug", *words)
    assert "Traceback" in labkit_("--debug", *words).err
    monkeypatch.setenv("LABKIT_DEBUG", "1")
    assert "Traceback" in labkit_(*words).err


def test_paths_on_the_command_line_mean_the_folder_of_the_shell(tmp_path, monkeypatch):
    lines = (
        'models: str = "../data/runs"  # run folder with models',
        "images: list[str] = []  # images",
        'network: str = "CN-E"  # which of them',
    )
    declare(tmp_path / "notebooks", "\n".join(lines), "print([models, images, network])")
    monkeypatch.chdir(tmp_path)
    words = ("run", "notebooks/s.toml", "--run", "run {x}", "-p", "models=demo")
    assert labkit_(*words, "-p", 'images=["pn.fits", "/b.fits"]', "-p", "network=MN-E").code == 0
    shown = nbformat.read(tmp_path / "run {x}" / "notebooks" / "a.ipynb", 4).cells[1].outputs[0].text
    images = [str(tmp_path / "pn.fits"), "/b.fits"]
    assert shown.strip() == str([str(tmp_path / "demo"), images, "MN-E"])


def test_notebooks_are_copied_once_and_a_newer_original_is_told(tmp_path):
    assert re.search(
        r"mine: \d\d copied, 0 updated, 0 unchanged", labkit_("notebooks", tmp_path / "mine").out
    )
    (tmp_path / "mine" / ".labkit.json").unlink()  # as if it had been copied from an older labkit
    (tmp_path / "mine" / "demo.toml").write_text("# mine")
    again = labkit_("notebooks", tmp_path / "mine").out
    assert "demo.toml: kept; the original is newer" in again
    assert (tmp_path / "mine" / "demo.toml").read_text() == "# mine"


def test_reading_or_writing_that_fails_is_74(made, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    fails(74, str(tmp_path / "file"), "normalise", made / "raw", tmp_path / "file" / "out")

    def full(*_, **__):
        raise InputError("the disk is full") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sample, "load", full)
    fails(74, "the disk is full", "normalise", made / "raw", tmp_path / "out")


def test_a_training_stopped_by_hand_is_130(made, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt("tiny, seed 0 was stopped")

    monkeypatch.setattr(labkit.run.sweep, "sweep", stopped)
    ended = labkit_("train", made / "grey", "--experiment", "CN-E", "--run", tmp_path)
    assert ended.code == 130
    assert ended.err == "labkit: interrupted; the same command resumes\n"
    assert ended.out == ""


def test_sweep_trains_a_file_of_experiments(made, tmp_path):
    lines = ["[defaults]", "image_size = 32", "batch_size = 16", "epochs = 9", 'optimiser = {kind = "adamw"}']
    lines += ["[[experiments]]", 'name = "x"', 'bands = ["xray"]']
    lines += ["[[experiments]]", 'name = "both"', 'bands = ["xray", "optical"]']
    (tmp_path / "e.toml").write_text("\n".join(lines))
    words = ("sweep", tmp_path / "e.toml", made / "grey", "--run", tmp_path / "run", "--device", "cpu")
    ended = labkit_(*words, "--only", "x", "--seed", 1, "--epochs", 1)
    assert ended.out == f"{tmp_path / 'run' / 'checkpoints' / 'x-seed1'}: best epoch 1 of 1\n"
    assert (tmp_path / "run" / "progress.html").is_file()
    fails(65, "has no experiment 'y'", *words, "--only", "y")
    fails(66, "does not exist; check the path", *words, "--labels", tmp_path / "no.csv")
    fails(66, "'nowhere' does not answer", *words, "--workers", "nowhere")


def test_votes_weighs_answers_and_shows_what_cleaning_changes(tmp_path):
    rows = ["user_name,subject_ids,answer,logged_in"]
    rows += [f"u{n},{subject},{'Yes!' if subject else 'No.'},true" for n in range(3) for subject in (0, 1)]
    rows += ["u0,1,No.,true", "someone,1,No.,false"]  # a repeat, and a volunteer who was not logged in
    (tmp_path / "answers.csv").write_text("\n".join(rows))
    words = ["votes", tmp_path / "answers.csv", "--flat", "--tree", "presence_absence"]
    ended = labkit_(*words, "--out", tmp_path / "v.ecsv", "--steps", tmp_path / "s.ecsv")
    assert ended.code == 0
    assert "2 subjects, 6 votes of 3 volunteers" in ended.out
    report = [line.split() for line in ended.out.splitlines()]
    assert ["kept", "6"] in report  # the report is of what was written
    assert ["left", "out", "volunteer", "not", "logged", "in", "1"] in report
    assert ["left", "out", "repeated", "by", "the", "same", "volunteer", "1"] in report
    table, steps = (Table.read(tmp_path / name) for name in ("v.ecsv", "s.ecsv"))
    assert dict(zip(table["object_id"].astype(str), table["label"], strict=True)) == {"0": "no", "1": "yes"}
    assert steps["n_all"].tolist() == [3, 5]
    assert steps["n_first"].tolist() == [3, 3]
    assert labkit_(*words, "--out", tmp_path / "v.txt").code == 2
    (tmp_path / "answers.csv").write_text("\n".join([rows[0], rows[-1]]))
    none = "got none in 1 rows (left out: {'volunteer not logged in': 1})"
    fails(65, none, *words, "--out", tmp_path / "w.csv")
    assert not (tmp_path / "w.csv").exists()
    fails(66, "none.csv", "votes", tmp_path / "none.csv", "--out", tmp_path / "v.csv")


def test_a_project_of_ones_own(tmp_path):
    """From a workflow to its tree, and from the answers of two exports to votes held against a truth."""
    strings = {"q": "What is it?", "a": "Ring", "b": "Arc", "c": "Nothing"}
    answers = [{"label": name} for name in "abc"]
    tasks = {"T0": {"type": "single", "question": "q", "answers": answers}}
    content = {"first_task": "T0", "tasks": tasks, "strings": strings}
    (tmp_path / "w.json").write_text(json.dumps(content))
    tree = tmp_path / "mine.toml"
    assert (
        "1 questions, classes Ring, Arc, Nothing" in labkit_("tree", tmp_path / "w.json", "--out", tree).out
    )
    fails(65, "--out must not exist yet", "tree", tmp_path / "w.json", "--out", tree)
    fails(65, "--out must end in .toml", "tree", tmp_path / "w.json", "--out", tmp_path / "t.txt")
    names = ["who", "what", "said"]
    rows = [("u1", "A", "ring"), ("u2", "A", "Ring"), ("u1", "B", "Arc"), ("not-logged-in-3", "B", "Nothing")]
    for name, part in (("1.csv", rows[:2]), ("2.csv", rows[2:])):
        (tmp_path / name).write_text("\n".join(",".join(one) for one in [names, *part]))
    (tmp_path / "truth.csv").write_text("object_id,label\nA,Ring\nB,Nothing\n")
    words = ["votes", tmp_path / "1.csv", tmp_path / "2.csv", "--flat", "--tree", tree, "--user", "who"]
    words += ["--subject", "what", "--answer", "said", "--logged-in", "", "--out", tmp_path / "v.ecsv"]
    scored = [
        "--truth",
        tmp_path / "truth.csv",
        "--scores",
        tmp_path / "s.ecsv",
        "--weights",
        tmp_path / "k.csv",
    ]
    ended = labkit_(*words, "--anonymous", *scored)
    assert "2 subjects, 4 votes of 3 volunteers" in ended.out
    table, scores = (Table.read(tmp_path / name) for name in ("v.ecsv", "s.ecsv"))
    assert table["label"].tolist() == ["Ring", "Arc"]
    assert scores["accuracy"].tolist() == [0.5] * len(scores)
    assert set(scores["experiment"]) >= {"weighted", "majority", "dawid-skene"}
    assert Table.read(tmp_path / "k.csv")["user"].tolist() == ["u1", "u2", "not-logged-in-3"]
    assert "2 subjects, 3 votes of 2 volunteers" in labkit_(*words, "--overwrite").out
    fails(65, "--scores needs --truth", *words, "--scores", tmp_path / "t.ecsv", "--overwrite")
    fails(65, "--calibrate needs --truth", *words, "--calibrate", "--overwrite")
    fails(65, "--retire must be votes, as 20, or also", *words, "--retire", "ten", "--overwrite")
    retired = labkit_(*words, "--retire", "1", "--retire", "2,1", "--anonymous", "--overwrite").out
    assert ["2", "1", "2", "1.0", "1.0"] in [line.split() for line in retired.splitlines()]


def test_subjects_go_to_volunteers_and_come_back_as_labels(small_sample, tmp_path):
    """A subject set, an export as Zooniverse makes it of its manifest, and the votes joined to the Sample."""
    small_sample.save(tmp_path / "raw")
    words = ("hunt", tmp_path / "raw", "--out", tmp_path / "set", "--picture", "combined", "--size-px", 64)
    assert labkit_(*words, "--limit", 9).out == f"{tmp_path / 'set' / 'manifest.csv'}: 9 subjects\n"
    assert labkit_(*words, "--limit", 9).code == 0
    fails(65, "with other options; choose another", *words, "--limit", 8)
    header = "classification_id,user_name,user_id,workflow_id,workflow_version,annotations,subject_data"
    written = (tmp_path / "set" / "manifest.csv").read_text(encoding="utf-8")
    manifest = list(csv.DictReader(io.StringIO(written)))
    said = ["Yes!" if n % 3 else "No." for n in range(len(manifest))]
    with (tmp_path / "export.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header.split(","), "subject_ids"])
        for number, (row, answer) in enumerate(zip(manifest, said, strict=True)):
            given = json.dumps([{"task": "T0", "task_label": "", "value": answer}])
            data = json.dumps({str(700 + number): {"retired": None, **row}})
            for user in (1, 2):
                who = (2 * number + user, f"u{user}", user, 1, "1.1")
                writer.writerow([*who, given, data, 700 + number])
    words = ("votes", tmp_path / "export.csv", "--tree", "presence_absence", "--object-id", "object_id")
    assert labkit_(*words, "--out", tmp_path / "v.ecsv").code == 0
    table, raw = Table.read(tmp_path / "v.ecsv"), Sample.load(tmp_path / "raw")
    joined = with_labels(raw, table, into="volunteers")
    row = {name: n for n, name in enumerate(joined.object_ids.tolist())}
    found = [joined.catalogue["volunteers"][row[one["#object_id"]]] for one in manifest]
    assert found == ["no" if answer == "No." else "yes" for answer in said]
    assert np.sum(joined.catalogue["volunteers"] != "") == 9


STOPS = {"SIGINT": (130, "interrupted"), "SIGTERM": (143, "terminated")}


def start(*words: object) -> subprocess.Popen:
    """Start a command; Ctrl-C reaches it even where these tests run as a background job, which ignores it."""
    return subprocess.Popen(
        [sys.executable, "-m", "labkit", "--quiet", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stop(process: subprocess.Popen, name: str) -> None:
    """Send a signal; the command must end with its code and one line."""
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    code, word = STOPS[name]
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == f"labkit: {word}; the same command resumes"
    assert "Traceback" not in err


@pytest.mark.parametrize("name", STOPS)
def test_a_notebook_that_is_stopped_leaves_no_kernel(tmp_path, name):
    code = "import os, time\nopen('kernel', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    process = start("run", declare(tmp_path, "n: int = 1  # count", code), "--run", tmp_path / "r")
    wait_for(tmp_path / "kernel", process)
    stop(process, name)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "kernel").read_text()), 0)


def test_a_training_that_is_terminated_says_so_and_resumes(made, tmp_path):
    words = ("train", made / "grey", "--experiment", made / "tiny.json", "--run", tmp_path, "--device", "cpu")
    process = start(*words, "--epochs", 1000)
    wait_for(tmp_path / "checkpoints" / "tiny-seed0" / "last.safetensors", process)
    stop(process, "SIGTERM")
    assert (tmp_path / "predictions.parquet").is_file()


def wait_for(file: Path, process: subprocess.Popen) -> None:
    """Wait until a file has content; a process that ends before is a failure."""
    deadline = time.monotonic() + 300  # a busy machine
    while not (file.exists() and file.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_survey_is_made_of_a_recipe_of_candidates_that_were_found(tmp_path):
    written = labkit_("simulate", "recipe", tmp_path / "found.parquet", "--fields", 1, "--seed", 2020)
    assert "candidates in 1 fields (" in written.out
    recipe = ("--recipe", tmp_path / "found.parquet", "--size-px", 24)
    fails(65, "recipe must hold", "simulate", "survey", tmp_path / "many", *recipe)
    assert labkit_("simulate", "survey", tmp_path / "few", "--objects", 2, *recipe).code == 0
    survey = Sample.load(tmp_path / "few")
    assert survey.provenance["found"]["seed"] == 2020
    assert (survey.catalogue["extension_likelihood"] > 5).all()
    fails(65, "must end in .parquet", "simulate", "recipe", tmp_path / "found.csv")
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    fails(
        65, "must have the columns", "simulate", "survey", tmp_path / "a", "--recipe", tmp_path / "other.csv"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "survey"),
        ("simulate", "observation"),
        ("fetch", "kosiba2020"),
        ("observe", "--image", "no.fits", "--candidates", "no.csv"),
        ("cores", "--image", "no.fits", "--clusters", "no.csv"),
        ("normalise", "no"),
    ],
)
def test_what_is_there_is_not_replaced_unasked_and_no_work_is_begun(words, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    fails(65, "choose another or give --overwrite", *words, tmp_path / "mine")
    fails(65, "which is something else; choose another folder", *words, tmp_path / "mine", "--overwrite")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_overwrite_replaces_a_sample_but_never_the_one_it_reads(made, tmp_path):
    assert labkit_("normalise", made / "raw", tmp_path / "out").code == 0
    before = Sample.load(tmp_path / "out").content_hash
    words = (made / "raw", tmp_path / "out", "--method", "asinh", "--overwrite")
    assert labkit_("normalise", *words).code == 0
    assert Sample.load(tmp_path / "out").content_hash != before
    fails(65, "OUT must be another folder than", "normalise", made / "raw", made / "raw", "--overwrite")


def test_grey_levels_as_for_another_sample_or_model(made, tmp_path):
    raw, grey = made / "raw", Sample.load(made / "grey")
    model = made / "run" / "checkpoints" / "tiny-seed4"
    for number, like in enumerate((made / "grey", model)):
        assert labkit_("normalise", raw, tmp_path / str(number), "--like", like).code == 0
        assert Sample.load(tmp_path / str(number)).content_hash == grey.content_hash
    assert labkit_("normalise", raw, tmp_path / "sky", "--method", "fixed-asinh").code == 0
    assert labkit_("normalise", raw, tmp_path / "again", "--like", tmp_path / "sky").code == 0
    first, second = (Sample.load(tmp_path / name) for name in ("sky", "again"))
    assert first.provenance["normalisation"] == second.provenance["normalisation"]
    assert first.content_hash == second.content_hash
    fails(66, "--like must be the folder", "normalise", raw, tmp_path / "x", "--like", tmp_path)
    fails(65, "which cannot be repeated on raw pixels", "normalise", raw, tmp_path / "x", "--like", raw)
    assert labkit_("normalise", raw, tmp_path / "x", "--like", raw, "--method", "asinh").code == 2


def test_batches_get_log_lines_and_quiet_ones_none(tmp_path):
    command = [sys.executable, "-m", "labkit"]
    words = ["simulate", "survey", str(tmp_path / "a"), "--objects", "2", "--size-px", "8"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{tmp_path / 'a'}: {Sample.load(tmp_path / 'a')!r}"]
    assert "simulated 2 of 2 candidates" in done.stderr
    assert "chunk/s" not in done.stderr
    words[2] = str(tmp_path / "b")
    done = subprocess.run([*command, "--quiet", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def read_all(terminal: int) -> str:
    """What was written to a terminal whose other end is closed."""
    parts = []
    with os.fdopen(terminal, "rb", buffering=0) as stream, suppress(OSError):
        while part := stream.read(65536):
            parts.append(part)
    return b"".join(parts).decode()


def test_people_get_a_bar_and_no_log_lines(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-m", "labkit", "simulate", "survey", str(tmp_path / "a")]
    process = subprocess.Popen(
        [*command, "--objects", "2", "--size-px", "8"], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    assert process.wait(60) == 0
    shown = read_all(ours)
    assert "simulate: 100%" in shown
    assert "simulated 2 of 2" not in shown


def test_simulated_fields_become_a_sample_of_members(tmp_path):
    words = ("--clusters", "R2248,M0416", "--bands", "F606,F814", "--size", 40, "--scale", 0.08)
    made = labkit_("simulate", "fields", tmp_path / "fields", *words)
    assert made.code == 0
    table = tmp_path / "fields" / "fields.ecsv"
    assert Table.read(table)["folder"].tolist() == ["R2248", "M0416"]
    chosen = ("--quality", "z_quality", "--accepted", "2,3,9", "--labelled")
    assert labkit_("members", tmp_path / "raw", "--fields", table, *chosen).code == 0
    assert set(Sample.load(tmp_path / "raw").catalogue["label"]) == {"member", "non-member"}
    again = labkit_("simulate", "fields", tmp_path / "fields", *words, "--seed", 2)
    assert (again.code, "give --overwrite" in again.err) == (65, True)
    labels = labkit_("members", tmp_path / "m.fits", "--catalogue-only", "--fields", table, *chosen[:-1])
    assert "R2248, member: " in labels.out
    assert Table.read(tmp_path / "m.fits")["velocity"].unit == "km / s"
    fails(65, "OUT must not exist yet", "members", tmp_path / "m.fits", "--catalogue-only", "--fields", table)
    given = ("--zero-point", "F606=26", "--zero-point", "F814=25")
    ended = labkit_("members", tmp_path / "given", "--fields", table, *chosen, *given)
    assert "AB zero points: F606 26.000, F814 25.000\n" in ended.out
    mixed = ("members", tmp_path / "mixed", "--fields", table, "--zero-point", "F814=none")
    fails(65, "none for F814 of R2248_F814.fits (given), none for F814 of M0416", *mixed)


def test_members_are_judged_by_photometry(tmp_path):
    rng, member = np.random.default_rng(0), np.arange(90) % 2 == 0
    table = Table({"object_id": [f"G{i}" for i in range(90)], "cluster": np.repeat(["A1", "B2", "C3"], 30)})
    table["mag_r"] = rng.uniform(18, 20, 90)
    table["mag_g"] = table["mag_r"] + np.where(member, 1.2, rng.uniform(0, 1.4, 90))
    table["label"] = np.where(np.arange(90) % 10 == 3, "", np.where(member, "member", "non-member"))
    table["z"] = np.repeat([0.2, 0.25, 0.3], 30)
    source, out = tmp_path / "in.csv", tmp_path / "out.ecsv"
    table.write(source)
    columns = ("--column", "reference=r", "--column", "cluster_redshift=z")
    methods = ("--method", "logistic-regression", "--method", "random-forest", "--trees", 10)
    ended = labkit_("photometric", source, "--out", out, *columns, *methods)
    assert (ended.code, "90 galaxies, 9 of them without a verdict" in ended.out) == (0, True)
    found = Table.read(out)
    assert found["object_id"].tolist() == table["object_id"].tolist()
    assert np.array_equal(found["judged"] == "run", table["label"] == "")
    for name in ("p_logistic_regression", "p_random_forest"):
        assert found[name][member].mean() > found[name][~member].mean() + 0.1
    fails(
        65,
        "--column must name reference, ",
        "photometric",
        source,
        "--out",
        tmp_path / "o.csv",
        "--column",
        "a=b",
    )
    fails(65, "--out must be another file than", "photometric", source, "--out", source, "--overwrite")


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Words for the images and exposure maps of a simulated field, and its folder."""
    folder = tmp_path_factory.mktemp("field")
    cameras = ("pn", "mos1", "mos2")
    simulate_observation(3, size_px=128, path=folder, overwrite=True)
    images = [folder / f"{camera}_image.fits" for camera in cameras]
    maps = [word for camera in cameras for word in ("--exposure", folder / f"{camera}_exposure.fits")]
    return [*images, *maps], folder


@pytest.fixture(scope="module")
def classified(field, tmp_path_factory):
    out = tmp_path_factory.mktemp("classified") / "mine"
    ended = labkit_("classify", *field[0], "--out", out)
    assert (ended.code, ended.err) == (0, "")
    return out, ended.out


def test_one_command_goes_from_images_to_a_ranked_catalogue(classified):
    out, said = classified
    ranked, candidates = QTable.read(out / "ranked.ecsv"), QTable.read(out / "candidates.ecsv")
    assert 0 < len(ranked) == len(Sample.load(out / "sample")) <= len(candidates)
    candidate = np.asarray(ranked["candidate"], dtype=bool)
    assert np.all(np.diff(~candidate) >= 0), "plain points stand last"
    assert np.all(np.diff(ranked["p_cluster"][candidate]) <= 0)
    assert set(ranked["runs"]) == {3}
    made = ranked.meta["ranking"]["made"][0]
    assert (made["run"], made["prevalence"], made["telescope"]) == ("xmm-xray", 0.5, "XMM-Newton")
    assert "probabilities assume as prevalence 0.5, as in the balanced training" in said.splitlines()[-2]
    assert said.splitlines()[-1] == str(out / "report.html")
    assert len(Predictions.load(out / "predictions.parquet")) == 3 * len(ranked)
    assert (out / "candidates.reg").read_text().count("circle(") == len(candidates)


def test_the_page_shows_the_list_what_it_assumes_and_the_models_limits(classified):
    page = (classified[0] / "report.html").read_text()
    ranked = QTable.read(classified[0] / "ranked.ecsv")
    for words in (
        "assume as prevalence 0.5",
        "trained and measured on simulated images only",
        ranked["object_id"][0],
    ):
        assert words.lower() in page.lower(), words
    assert "data:image/png;base64" in page


def test_what_is_wrong_is_said_before_the_search(field, classified, tmp_path, monkeypatch):
    words, folder = field
    monkeypatch.setattr("labkit.finder.find_candidates", lambda *_, **__: pytest.fail("the search has begun"))
    fails(65, "choose another or give --overwrite", "classify", *words, "--out", classified[0])
    new = ("--out", tmp_path / "new")
    fails(66, "name those that ship with labkit: xmm-xray", "classify", *words, *new, "--run", "xmm")
    needs = "which needs ['optical'], too; give --plate"
    fails(65, needs, "classify", *words, *new, "--run", "xmm-xray-optical")
    data = fits.getdata(folder / "pn_image.fits"), fits.getheader(folder / "pn_image.fits")
    data[1]["TELESCOP"], data[1]["INSTRUME"] = "CHANDRA", "ACIS"
    fits.writeto(tmp_path / "acis.fits", *data)
    other = ("classify", tmp_path / "acis.fits", "--exposure", folder / "pn_exposure.fits", *new)
    fails(65, "got images of CHANDRA; train on such images, or give --accept telescope", *other)
    assert not (tmp_path / "new").exists()


def test_a_list_of_ones_own_is_scored(field, classified, tmp_path):
    found = QTable.read(classified[0] / "candidates.ecsv")["object_id", "ra", "dec"][:2]
    found["object_id"] = ["mine 1", "mine 2"]
    write_table(found, tmp_path / "list.csv")
    listed = ("--candidates", tmp_path / "list.csv", "--run", "xmm-xray", "--experiment", "xmm-xray")
    assert labkit_("classify", *field[0], *listed, "--out", tmp_path / "mine").code == 0
    assert set(QTable.read(tmp_path / "mine" / "ranked.ecsv")["object_id"]) == {"mine 1", "mine 2"}


def test_models_lists_what_ships_and_what_one_is_good_for(tmp_path):
    listed = labkit_("models").out
    assert listed.count("vgg-small") == 6
    assert "`labkit models xmm-xray-optical` tells more" in listed
    card = labkit_("models", "xmm-xray").out
    for words in ("prevalence: 0.5", "energy_kev: 0.5 to 2.0", "telescope: XMM-Newton", "auc: 0."):
        assert words in card
    fails(66, "RUN must be a run folder with trained models, or one of xmm-xray", "models", tmp_path)
