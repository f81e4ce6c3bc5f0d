"""One notebook, executed for real."""

import json
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from astropy.table import Table
from bs4 import BeautifulSoup

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.run import records
from labkit.run.notebooks import NotebookError, execute_notebook
from labkit.run.parameters import read_parameters
from labkit.run.sequence import read_sequence, run_sequence
from labkit.tables import read_catalogue
from labkit.views.report import write_report


def printed(path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(
        out.text for cell in cells for out in cell.get("outputs", []) if out.output_type == "stream"
    )


SELF = """\
import json, os, sys
from ipykernel.connect import get_connection_info
info = json.loads(get_connection_info())
facts = {"n": n, "python": sys.executable, "cwd": os.getcwd()}
print(json.dumps(facts | {"transport": info["transport"], "ip": info["ip"]}))
"""


def test_this_interpreter_runs_it_over_sockets_with_the_given_parameters(
    make_notebook, tmp_path, monkeypatch, caplog
):
    stale = tmp_path / "jupyter" / "kernels" / "python3"
    stale.mkdir(parents=True)
    spec = {
        "argv": ["/gone/python", "-f", "{connection_file}"],
        "display_name": "stale",
        "language": "python",
    }
    (stale / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    path = make_notebook("a", "n: int = 1  # count", SELF)
    caplog.set_level(logging.INFO, "labkit")
    output = execute_notebook(path, tmp_path / "out" / "a.ipynb", parameters={"n": "5"})
    facts = json.loads(printed(output))
    assert facts["n"] == 5
    assert facts["python"] == sys.executable
    assert facts["transport"] == "ipc"
    assert facts["cwd"] == str(path.parent.resolve())
    assert "a: cell 3 of 3 done" in caplog.text
    assert "n: int = 1" in path.read_text()


def test_an_unknown_parameter_is_refused_before_anything_runs(make_notebook, tmp_path):
    path = make_notebook("a", "n: int = 1  # count", "open('ran', 'w').close()")
    with pytest.raises(InputError, match="did you mean 'n'"):
        execute_notebook(path, tmp_path / "out.ipynb", parameters={"nn": 1})
    assert not (path.parent / "ran").exists()
    assert not (tmp_path / "out.ipynb").exists()


FINITE = "import math\nx = math.nan\nassert math.isfinite(x), 'finite'\ny = 1"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (FINITE, r"line 3 \(`assert math.isfi.*finite$"),
        ("def f():\n    return 1 / 0\n\nf()", r"line 4 \(`f\(\)`\): ZeroDivisionError: division by zero$"),
        ("a = 1\nb = = 2", r"line 2 \(`b = = 2`\): SyntaxError"),
        ("import os; os._exit(3)", "DeadKernelError"),
    ],
)
def test_a_failing_cell_and_its_line_are_named_and_what_ran_is_kept(
    make_notebook, tmp_path, monkeypatch, capsys, caplog, code, named
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    caplog.set_level(logging.INFO, "labkit")
    path, out = make_notebook("shown", "", "print('before')", code, "print('after')"), tmp_path / "out.ipynb"
    with pytest.raises(NotebookError) as caught:
        execute_notebook(path, out)
    found = str(caught.value).split("; what ran")[0]
    assert re.search(rf"'shown.ipynb' failed in cell 3 of 4.*{named}", found)
    assert (caught.value.cell, caught.value.kept) == (3, out)
    assert printed(out) == "before\n"
    assert "shown" in capsys.readouterr().err  # the bar of people
    assert "done after" not in caplog.text


def test_two_at_once_do_not_meet(make_notebook, tmp_path):
    path = make_notebook("a", "n: int = 1  # count", SELF)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(execute_notebook, path, tmp_path / f"{n}.ipynb", parameters={"n": n})
            for n in range(2)
        ]
        facts = [json.loads(printed(job.result())) for job in jobs]
    assert [fact["n"] for fact in facts] == [0, 1]
    assert facts[0]["ip"] != facts[1]["ip"]


def test_the_module_leaves_no_socket_folder_behind(make_notebook, tmp_path):
    sockets = tmp_path / "t"
    sockets.mkdir()
    path = make_notebook("a", "", "1")
    code = (
        "from labkit.run.notebooks import execute_notebook; "
        f"execute_notebook({str(path)!r}, {str(tmp_path / 'out.ipynb')!r})"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=os.environ | {"TMPDIR": str(sockets)}, check=True
    )
    assert list(sockets.iterdir()) == []


def test_a_shared_kernel_is_empty_for_the_next_notebook(make_notebook, tmp_path, shared_kernels):
    first = make_notebook("a", "", "import os; x = 1; print(os.getpid())")
    second = make_notebook("b", "", "import os; print(os.getpid(), 'x' in globals(), os.getcwd())")
    process = printed(execute_notebook(first, tmp_path / "a.ipynb")).strip()
    shown = printed(execute_notebook(second, tmp_path / "b.ipynb")).split()
    assert shown == [process, "False", str(second.parent)]


DEMO = Path(__file__).resolve().parents[2] / "notebooks" / "demo.toml"
SMALL = {
    "n_objects": 160,
    "n_test": 60,
    "size_px": 64,
    "processes": 1,
    "image_size": 32,
    "n_measured": 6,
    "index_layers": ["conv2", "conv4", "conv6"],
    "threads": "1",
    "n_volunteers": 60,
    "validation": [6, 6],
    "resamples": 200,
}
CLUSTERS, BANDS = ["R2248", "M0416"], ["F606", "F814", "F105"]
MEMBERS = {
    "simulation": {"size_arcsec": 50.0, "scale": 0.15},
    "clusters": CLUSTERS,
    "bands": BANDS,
    "network_bands": BANDS,
    "epochs": 2,
    "n_jobs": 1,
}
CORES = {"n_clusters": 48, "population": "accept", "epochs": 2, "rings": [0, 120, 300, 500]}
INJECTED = {"fluxes": [3e-14, 3e-13], "extents": [10.0, 30.0], "each": 20}
CATALOGUE = {"clusters": CLUSTERS, "detect_on": BANDS[:2], "trees": 30, "n_jobs": 1}
MEMBER_NETWORKS = """
[defaults]
bands = ["F606", "F814", "F105"]
[[experiments]]
name = "mixed star"
preset = "Pyramid"
label_column = "label_mixed_star"
folds = 3
[[experiments]]
name = "mixed star, redshift known"
preset = "Pyramid"
label_column = "label_mixed_star"
bands = ["F606", "F814", "F105", "cluster_redshift"]
folds = 3
[[experiments]]
name = "large"
preset = "Pyramid"
label_column = "label_mixed_star"
split_column = "split_large"
folds = 0
validation_share = 0
stratify_by = "none"
"""
COMPARED = {
    "epochs": 1,
    "mixed": BANDS,
    "without": ["M0416"],
    "blind": ["M0416"],
    "colours": ["F606-F814"],
    "workers": "0",
    "resamples": 50,
}
METHODS = {"trees": 30, "seeds": [0], "resamples": 200, "bands": BANDS, "clusters": CLUSTERS}
EXPERIMENTS = """
[defaults]
batch_size = 16
dropout = 0.2
optimiser = { kind = "adamw", learning_rate = 1e-3 }
[[experiments]]
preset = "CN-E"
[[experiments]]
preset = "CN-E solo x-ray"
[[experiments]]
preset = "CN-E solo optical"
"""


def with_small_fields(sequence):
    """The sequence with small fields of clusters, few cores, and two epochs for the networks of both."""
    small = {"06_member_classification.ipynb": MEMBERS, "13_member_catalogue.ipynb": CATALOGUE}
    small |= {"14_cool_cores.ipynb": CORES | {"n_jobs": 1}, "15_catalogue.ipynb": INJECTED}
    steps = [
        step.model_copy(update={"parameters": step.parameters | small.get(Path(step.notebook).name, {})})
        for step in sequence.steps
    ]
    return sequence.model_copy(update={"steps": type(sequence.steps)(steps)})


def test_the_demonstration_runs_whole_then_not_at_all_and_reports_offline(
    tmp_path, monkeypatch, shared_kernels
):
    monkeypatch.setattr(records, "code_hash", lambda: "as it is")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for busy cores cost more than they give
    run, sequence = tmp_path / "run", with_small_fields(read_sequence(DEMO))
    (declared := tmp_path / "small.toml").write_text(EXPERIMENTS)
    small = SMALL | {"experiments": str(declared)}
    first = run_sequence(sequence, run, parameters=small, n_jobs=2)
    assert [step.reason for step in first] == ["not run yet"] * len(sequence.steps)
    assert all(step.skipped for step in run_sequence(sequence, run, parameters=small))

    predictions = Predictions.load(run / "predictions.parquet")
    (networks,) = (
        one.default for one in read_parameters(DEMO.with_name("03_training.ipynb")) if one.name == "networks"
    )
    assert [key.experiment for key, _ in predictions.runs()] == networks
    ranked = Table.read(run / "ranked.ecsv")
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
    release = subprocess.run(
        [sys.executable, run / "release" / "read_release.py"], capture_output=True, text=True, check=True
    )
    assert f"{len(ranked)} objects" in release.stdout

    page = BeautifulSoup(write_report(run).read_text(encoding="utf-8"), "html.parser")
    assert len(page.find_all("section")) == len(sequence.steps)
    assert not page.select("pre.error")
    links = [tag.get(name) for tag in page.find_all(True) for name in ("src", "href") if tag.get(name)]
    outside = [link for link in links if not link.startswith(("data:", "#"))]
    assert [link for link in outside if page.find("a", href=link) is None] == []
    assert "default-src 'none'" in str(page.head)

    paper = read_sequence(DEMO.with_name("angora2020.toml"))  # sections 11 and 12 go on from 06 and 13
    (networks := tmp_path / "members.toml").write_text(MEMBER_NETWORKS)
    compared = COMPARED | {"experiments": str(networks)}
    for name, parameters in {"11_": compared, "12_": METHODS}.items():
        step = next(one for one in paper.steps if name in one.notebook)
        step = step.model_copy(update={"parameters": step.parameters | parameters})
        run_sequence(paper.model_copy(update={"steps": (step,)}), run)
    judged = read_catalogue(run / "figures" / "members_tableD1.parquet")
    assert set(judged["bands"].tolist()) == {"mixed*"}
    assert len(read_catalogue(run / "figures" / "members_tableD3.parquet")) == 0  # no bin was trained
