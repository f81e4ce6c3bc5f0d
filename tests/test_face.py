"""The face: `import labkit as lab` is light, every name is there and documented, the one-liners work."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bokeh.plotting import figure

import labkit as lab

STUB = ast.parse(Path(lab.__file__).with_suffix(".pyi").read_text())
NAMES = [alias.asname for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names]


def test_every_name_is_listed_once_and_there():
    assert sorted(NAMES) == sorted(set(NAMES)) == sorted(lab.__all__)
    assert 60 <= len(NAMES) <= 80
    for name in NAMES:
        assert getattr(lab, name).__module__.startswith("labkit."), name


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_says_what_goes_in_and_what_comes_out(name):
    thing = getattr(lab, name)
    text = inspect.getdoc(thing) or ""
    function = inspect.isfunction(thing)
    given = [p for p in inspect.signature(thing).parameters.values() if p.name != "self"]
    if given:
        section = text.partition("Parameters\n----------\n")[2]
        listed = re.findall(r"^\*{0,2}(\w[\w, ]*?)(?: : .*)?$", section, re.MULTILINE)
        known = {one.strip() for line in listed for one in line.split(",")}
        assert {p.name for p in given} <= known, sorted({p.name for p in given} - known)
    if function:
        assert "Returns\n-------" in text or inspect.signature(thing).return_annotation in ("None", None)


def test_importing_the_face_loads_nothing_heavy():
    code = (
        "import sys, labkit as lab; dir(lab); "
        "print([m for m in ('torch', 'numpy', 'astropy', 'bokeh', 'zarr') if m in sys.modules])"
    )
    call = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_natural_one_liners(small_sample, tmp_path):
    """Open a Sample, train, predict with the run, plot a ROC, compare two networks."""
    small_sample.save(tmp_path / "sample")
    raw = lab.Sample.load(tmp_path / "sample")
    options = {"image_size": 16, "epochs": 1, "batch_size": 4, "augmentation": None, "precision": "fp32"}
    both = lab.Experiment(name="both", **options)
    alone = both.changed(name="x-ray", bands=("xray",))
    grey = lab.normalise(raw, method="asinh")
    for experiment in (both, alone):
        fitted = lab.train(experiment, grey, run=tmp_path / "run", progress=False)
        assert len(lab.predict(fitted, raw)) == len(raw)
    predictions = lab.predict(tmp_path / "run", raw)
    assert predictions.table["experiment"].tolist() == ["both"] * 12 + ["x-ray"] * 12
    assert isinstance(lab.roc(predictions), figure)
    differences = lab.compare(predictions)
    assert np.isfinite(differences["difference"]).all()
