"""Figures as files for a paper: what the endings promise, and what is said where there is no browser."""

import re
import shutil
from xml.etree import ElementTree

import nbformat
import nbformat.v4 as v4
import numpy as np
import pytest
from astropy.table import Table
from bokeh.embed import components
from bokeh.models import Div
from PIL import Image

from labkit.errors import InputError, MissingDataError
from labkit.runfolder import RunFolder
from labkit.views.browser import BROWSERS
from labkit.views.distributions import histogram
from labkit.views.export import latex, save_exhibits, save_figure
from labkit.views.style import grid
from labkit.views.tables import table

needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser to draw with")


@pytest.fixture
def two():
    values = np.arange(30.0) ** 2
    return grid([[histogram(values, label="flux"), histogram(-values, label="log flux < 0 & more")]])


def imread(path):
    """Grey levels (y, x)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


@needs_browser
def test_pdf_and_svg_hold_vectors_and_the_figure_stays_as_it_was(two, tmp_path):
    pdf = save_figure(two, tmp_path / "new" / "two.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    assert b"/Subtype /Image" not in pdf
    root = ElementTree.fromstring(save_figure(two, tmp_path / "two.svg").read_text())
    words = [node.text for node in root.iter() if node.text and node.text.strip()]
    assert {"flux", "log flux < 0 & more"} <= set(words)
    assert {plot.output_backend for plot, *_ in two.children} == {"canvas"}


@needs_browser
def test_a_png_has_the_resolution_asked_for_and_the_size_of_the_figure(two, tmp_path):
    screen, paper = (imread(save_figure(two, tmp_path / f"{n}.png", dpi=n)) for n in (96, 192))
    height, width = screen.shape
    assert paper.shape == (2 * height, 2 * width)
    svg = ElementTree.fromstring(save_figure(two, tmp_path / "two.svg").read_text())
    assert (width, height) == pytest.approx((float(svg.get("width")), float(svg.get("height"))), abs=1)
    assert (screen[:, : width // 2] < 128).any()
    assert (screen[:, width // 2 :] < 128).any()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("roc.eps", {}, r"path must end in .pdf, .svg or .png, got 'roc.eps'"),
        ("roc.pdf", {"dpi": 2}, "dpi must be from 24 to 1200, got 2"),
        ("roc.svg", {}, "an SVG must be of plots, got Div; write .pdf or .png instead"),
    ],
)
def test_what_cannot_be_saved_is_refused(name, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        save_figure(Div(text="a"), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("browser", "message"),
    [
        ("/no/browser", "LABKIT_BROWSER must name a browser, got '/no/browser'; install Chromium"),
        ("true", "did not start in time"),
    ],
)
def test_without_a_browser_the_old_file_stays_and_the_remedy_is_named(
    browser, message, monkeypatch, tmp_path
):
    monkeypatch.setenv("LABKIT_BROWSER", browser)
    (tmp_path / "roc.pdf").write_text("old")
    with pytest.raises(MissingDataError, match=message):
        save_figure(histogram([1.0, 2.0], label="flux"), tmp_path / "roc.pdf")
    assert (tmp_path / "roc.pdf").read_text() == "old"


ROWS = Table(
    {"na_me": ["a & b_c", "100 %"], "auc": [0.91234, 0.8], "auc_low": [0.85, 0.7], "auc_high": [0.95, 0.85]}
)


@pytest.fixture
def run(tmp_path):
    """A run of one section with a figure, a table, and a picture."""
    script, place = components(histogram([1.0, 2.0, 3.0], label="flux"))
    bokeh = {
        "application/javascript": re.sub(r"</?script[^>]*>", "", script),
        "application/vnd.bokehjs_exec.v0+json": "",
    }
    shown = table(ROWS, caption="50 % of <x>")
    given = {"text/html": str(shown)} | shown._repr_mimebundle_()
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    picture = {"text/html": f"<div><img src='{dot}' width=20 alt='dot'></div>"}
    outputs = [{"text/html": place}, bokeh, given, picture]
    cells = [
        v4.new_markdown_cell("# 03 Training"),
        v4.new_code_cell("", outputs=[v4.new_output("display_data", one) for one in outputs]),
    ]
    folder = RunFolder(tmp_path / "run")
    nbformat.write(v4.new_notebook(cells=cells), folder.notebooks / "03_training.ipynb")
    return folder


@needs_browser
def test_each_figure_and_table_of_a_run_becomes_a_file(run, tmp_path, caplog):
    names = [path.name for path in save_exhibits(run, tmp_path / "paper")]
    stem = "03_training"
    assert names == [
        f"{stem}-table-1.ecsv", f"{stem}-table-1.tex", f"{stem}-figure-1.svg", f"{stem}-figure-2.pdf"
    ]  # fmt: skip
    assert "Figure 3.2 holds pictures and no plot: it is written as PDF" in caplog.text
    root = ElementTree.fromstring((tmp_path / "paper" / names[2]).read_text())
    assert "flux" in [node.text for node in root.iter()]
    again = Table.read(tmp_path / "paper" / names[0])
    assert again["auc"].tolist() == ROWS["auc"].tolist()
    assert again.meta["caption"] == "50 % of <x>"
    contents = Table.read(tmp_path / "paper" / "contents.ecsv")
    assert contents["file"].tolist() == names
    assert contents["name"].tolist() == ["Table 3.1", "Table 3.1", "Figure 3.1", "Figure 3.2"]


def test_without_a_browser_nothing_of_a_run_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_BROWSER", "/no/browser")
    with pytest.raises(MissingDataError, match="install Chromium or Chrome, or set LABKIT_BROWSER"):
        save_exhibits(run, tmp_path / "paper")
    assert not (tmp_path / "paper").exists()


def test_a_latex_table_escapes_its_texts_and_has_the_digits_of_its_intervals():
    text = latex(str(table(ROWS, caption=r"50 % of <x_1> ± {y}\z²")), label="scores")
    assert r"\caption{50 \% of $<$x\_1$>$ $\pm$ \{y\}\textbackslash{}z$^{2}$}" in text
    assert r"a \& b\_c & 0.912 & 0.850 & 0.950 \\" in text
    assert text.count(r"\begin") == text.count(r"\end") == 2
    more = latex(str(table(ROWS, longest=1)), label="scores")
    assert r"\multicolumn{4}{l}{\ldots{} 1 more rows} \\" in more
