"""Saved pages and the report open without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pytest
from bokeh.embed import components
from bs4 import BeautifulSoup

from labkit.errors import InputError, MissingDataError
from labkit.runfolder import RunFolder
from labkit.views.distributions import histogram
from labkit.views.markdown import render_markdown
from labkit.views.outputs import offline, render_output, render_outputs
from labkit.views.pages import save_page, show
from labkit.views.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def external(page: str) -> list[str]:
    """Addresses that a browser would fetch to show a page."""
    found = []
    for tag in BeautifulSoup(page, "html.parser").find_all(True):
        found += [tag[name] for name in ("src", "srcset", "data", "poster") if tag.has_attr(name)]
        found += [tag.get("href", "")] if tag.name in ("link", "base", "image", "use") else []
        if tag.name == "style":
            found += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", tag.string or "")
    return [address for address in found if address and not str(address).startswith("data:")]


def bokeh_outputs() -> list[nbformat.NotebookNode]:
    """What a Bokeh figure leaves in an executed notebook."""
    script, div = components(histogram([1.0, 2.0, 3.0], label="flux (erg/s)"))
    code = re.sub(r"</?script[^>]*>", "", script)
    load = {"application/javascript": "load_all()", "application/vnd.bokehjs_load.v0+json": ""}
    run = {"application/javascript": code, "application/vnd.bokehjs_exec.v0+json": ""}
    return [v4.new_output("display_data", data) for data in (load, {"text/html": div}, run)]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run folder with two executed notebooks that hold all kinds of output."""
    folder = RunFolder(tmp_path / "demo")
    folder.record(title="A <run>", parameters={"01_a": {"seed": 7}, "02_b": {"seeds": [1, 2]}})
    others = [
        v4.new_output("stream", name="stdout", text="printed <text>"),
        v4.new_output("execute_result", {"text/html": "<img src='https://example.org/x.png'><b>kept</b>"}),
        v4.new_output("display_data", {"image/png": "iVBORw0KGgo="}),
        v4.new_output(
            "display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Button()"}
        ),
    ]
    for name in ("01_a", "02_b"):
        cells = [
            v4.new_markdown_cell(f"# {name} title\nwith $\\alpha_0$ and [a link](https://example.org)."),
            v4.new_code_cell("seed: int = 7  # seed", metadata={"tags": ["parameters"]}),
            v4.new_markdown_cell("## Figure\n<script src='https://example.org/evil.js'></script>"),
            v4.new_code_cell("show(figure)", outputs=[*bokeh_outputs(), *others]),
        ]
        nbformat.write(v4.new_notebook(cells=cells), folder.notebooks / f"{name}.ipynb")
    return folder


def test_the_report_fetches_nothing_and_has_bokeh_once(run):
    page = write_report(run).read_text()
    assert external(page) == []
    assert page.count("BEGIN bokeh.min.js") == 1
    assert "load_all()" not in page
    assert "require.js" not in page
    assert "default-src 'none'" in page


def test_the_report_has_a_header_contents_and_folded_code(run):
    page = BeautifulSoup(write_report(run).read_text(), "html.parser")
    assert page.title.string == "A <run>"
    header = page.header.get_text()
    for fact in ("demo", "7, [1, 2]", "numpy", "01_a"):
        assert fact in header
    links = page.nav.find_all("a")
    assert [link.get_text() for link in links] == ["01_a title", "Figure", "02_b title", "Figure"]
    assert all(page.find(id=link["href"].removeprefix("#")) for link in links)
    folded = page.section.find_all("details")
    assert [detail.has_attr("open") for detail in folded] == [True, False]
    assert page.find("math") is not None
    assert "printed <text>" in page.get_text()
    assert "[not embedded: https://example.org/x.png]" in page.get_text()


def test_a_report_without_figures_has_no_script(tmp_path):
    run = RunFolder(tmp_path / "plain")
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# T")]), run.notebooks / "01.ipynb")
    assert "<script" not in write_report(run, title="plain").read_text()


def test_a_run_without_notebooks_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="must hold executed notebooks"):
        write_report(tmp_path / "empty")


def test_a_failed_cell_is_shown():
    error = v4.new_output("error", ename="ValueError", evalue="<no>", traceback=["\x1b[31mline 1\x1b[0m"])
    assert "ValueError: &lt;no&gt;" in render_output(error)
    assert "\x1b" not in render_output(error)


def test_data_in_a_script_cannot_end_it():
    data = {"application/javascript": "x = '</script>'", "application/vnd.bokehjs_exec.v0+json": ""}
    assert render_output(v4.new_output("display_data", data)).count("</script>") == 1


@pytest.mark.parametrize(
    "page",
    [
        "<script src='//cdn.example.org/a.js'></script>",
        "<link rel='stylesheet' href='https://example.org/a.css'>",
        "<iframe src='https://example.org'></iframe>",
        "<style>@import 'https://example.org/a.css';</style>",
        "<img srcset='https://example.org/a.png 2x' src='data:image/png;base64,AA'>",
    ],
)
def test_what_a_browser_would_fetch_is_taken_out(page):
    assert external(offline(page)) == []


def test_links_and_embedded_pictures_stay():
    page = "<a href='https://example.org'>a</a><img src='data:image/png;base64,AA'/>"
    assert BeautifulSoup(offline(page), "html.parser") == BeautifulSoup(page, "html.parser")


def test_formulas_become_mathml_and_broken_ones_stay_readable():
    page, headings = render_markdown("# Beta\n$$S(r) = S_0$$ and $a^$", prefix="p", folder=Path())
    assert "<math" in page
    assert headings == [(1, "p-0", "Beta")]
    assert "a^" in BeautifulSoup(page, "html.parser").get_text()


def test_a_saved_figure_fetches_nothing(tmp_path):
    page = save_page(histogram([1.0, 2.0], label="flux"), tmp_path / "f.html").read_text()
    assert external(page) == []


def test_show_outside_a_notebook_says_what_to_use():
    with pytest.raises(InputError, match=r"save_page\(figure, path\)"):
        show(histogram([1.0, 2.0], label="flux"))


@pytest.mark.skipif(BROWSER is None, reason="no chromium to open the page with")
def test_a_browser_without_network_draws_the_report(run, tmp_path):
    page = write_report(run)
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr.count("document idle") == 2  # BokehJS says so for each figure it has drawn
    assert not re.search(r"CONSOLE.*(Uncaught|Refused|violates)", result.stderr)


def test_lines_of_a_training_are_folded_together():
    lines = [v4.new_output("stream", name="stderr", text=f"epoch {n}\n") for n in range(20)]
    page = render_outputs([*lines, v4.new_output("stream", name="stdout", text="done\n")])
    assert page.count("<details><summary>20 lines</summary>") == 1
    assert page.count("<pre") == 2
    assert lines[0]["text"] == "epoch 0\n"
