"""Saved pages and the report open without a network."""

import base64
import re
import shutil
import subprocess

import nbformat
import nbformat.v4 as v4
import pytest
from bokeh.embed import components
from bs4 import BeautifulSoup

from labkit.errors import InputError, MissingDataError
from labkit.runfolder import RunFolder
from labkit.views import save_page, show
from labkit.views.browser import BROWSERS
from labkit.views.distributions import histogram
from labkit.views.report import offline, write_report

BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


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
    for fact in ("demo", "1, 2, 7", "numpy", "01_a"):
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
    assert "<script" not in write_report(run).read_text()


def test_a_run_without_notebooks_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="must hold executed notebooks"):
        write_report(tmp_path / "empty")


def rendered(folder, *cells) -> BeautifulSoup:
    """The section of a notebook with some cells."""
    run = RunFolder(folder / "run")
    nbformat.write(v4.new_notebook(cells=list(cells)), run.notebooks / "one.ipynb")
    page = write_report(run).read_text()
    return BeautifulSoup(page, "html.parser").section


def test_a_failed_cell_is_shown(tmp_path):
    error = v4.new_output("error", ename="ValueError", evalue="<no>", traceback=["\x1b[31mline 1\x1b[0m"])
    shown = rendered(tmp_path, v4.new_code_cell("1", outputs=[error])).select_one("pre.error")
    assert shown.b.string == "ValueError: <no>"
    assert shown.get_text().endswith("line 1\n")
    assert "\x1b" not in str(shown)


def test_data_in_a_script_cannot_end_it_and_scripts_of_other_outputs_are_left_out(tmp_path):
    data = {"application/javascript": "x = '</script>'", "application/vnd.bokehjs_exec.v0+json": ""}
    other = {"application/javascript": "x = 1", "text/plain": "plain"}
    outputs = [v4.new_output("display_data", one) for one in (data, other)]
    section = rendered(tmp_path, v4.new_code_cell("1", outputs=outputs))
    assert str(section).count("</script>") == 1
    assert "plain" in section.get_text()


def test_texts_from_data_are_escaped_everywhere(tmp_path):
    bad = "<img src=x onerror=alert(1)>"
    folder = RunFolder(tmp_path / "a <b> & c")
    folder.record(title=bad, parameters={"01 <i>": {f"name {bad}": [bad], "seed": bad}}, versions={bad: bad})
    outputs = [
        v4.new_output("stream", name="stdout", text=bad),
        v4.new_output("stream", name="stderr", text=bad),
        v4.new_output("execute_result", {"text/plain": bad}),
        v4.new_output("error", ename=bad, evalue=bad, traceback=[bad]),
    ]
    cells = [v4.new_code_cell(f"x = '{bad}'", outputs=outputs), v4.new_markdown_cell("# `<b>` title")]
    nbformat.write(v4.new_notebook(cells=cells), folder.notebooks / "01 <i>.ipynb")
    page = BeautifulSoup(write_report(folder).read_text(), "html.parser")
    assert page.find_all(["img", "i"]) == []
    assert page.title.string == bad
    assert page.section["id"] == "01-i-"
    assert page.get_text().count(bad) >= 10


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


def test_formulas_become_mathml_and_broken_ones_stay_readable(tmp_path):
    latex = v4.new_output("display_data", {"text/latex": "$z > 0$", "text/plain": "z > 0"})
    cells = [v4.new_markdown_cell("# Beta\n$$S(r) = S_0$$ and $a^$"), v4.new_code_cell("1", outputs=[latex])]
    section = rendered(tmp_path, *cells)
    assert len(section.find_all("math")) == 2
    assert section.h2.get_text() == "Beta"
    assert section.find("code", title=True).string == "a^"


def test_pictures_of_the_text_are_embedded(tmp_path):
    picture = base64.b64decode("iVBORw0KGgo=")
    (RunFolder(tmp_path / "run").notebooks / "a.png").write_bytes(picture)
    cell = v4.new_markdown_cell("![one](a.png) ![two](attachment:b.png)")
    cell["attachments"] = {"b.png": {"image/png": "iVBORw0KGgo="}}
    sources = [image["src"] for image in rendered(tmp_path, cell).find_all("img")]
    assert [source.split(";")[0] for source in sources] == ["data:image/png"] * 2


def test_a_saved_figure_fetches_nothing_and_show_outside_a_notebook_says_what_to_use(tmp_path):
    plot = histogram([1.0, 2.0], label="flux")
    assert external(save_page(plot, tmp_path / "f.html").read_text()) == []
    with pytest.raises(InputError, match=r"save_page\(figure, path\)"):
        show(plot)


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


def test_lines_of_a_training_are_folded_together(tmp_path):
    lines = [v4.new_output("stream", name="stderr", text=f"epoch {n}\n") for n in range(20)]
    done = v4.new_output("stream", name="stdout", text="done\n")
    section = rendered(tmp_path, v4.new_code_cell("", outputs=[*lines, done]))
    assert [part.string for part in section.find_all("summary")] == ["20 lines"]
    assert len(section.find_all("pre")) == 2


def shown(data) -> nbformat.NotebookNode:
    """A cell that shows some outputs; text is HTML."""
    bundles = [{"text/html": one} if isinstance(one, str) else one for one in data]
    return v4.new_code_cell("", outputs=[v4.new_output("display_data", one) for one in bundles])


def test_figures_and_tables_have_the_sections_number_an_anchor_and_words_to_be_read_out(tmp_path):
    picture = {"image/png": "iVBORw0KGgo="}
    cells = [
        v4.new_markdown_cell("# 03 Training"),
        v4.new_code_cell("", outputs=bokeh_outputs()),
        v4.new_markdown_cell("**Figure 1.** One <i>"),
        shown([picture, "<table><caption>first</caption></table>", "<table></table>"]),
        v4.new_markdown_cell(
            "**Table 2, Figure 2.** A sky & a table. More.\n\n**Figure 7.** Absent.\n\nSee Figure 1."
        ),
        v4.new_markdown_cell("**Figure 8** of nothing. **Figure 3**, below: late."),
        shown([picture]),
    ]
    section = rendered(tmp_path, *cells)
    figures = section.find_all("figure", id=True)
    assert [one["id"] for one in figures] == [f"one-figure-{number}" for number in (1, 2, 3)]
    assert figures[0]["aria-label"].startswith("Figure 3.1: axes: ")
    assert "flux (erg/s)" in figures[0]["aria-label"]
    assert figures[1].img["alt"] == figures[1]["aria-label"] == "Figure 3.2: A sky & a table."
    assert [one.parent["id"] for one in section.find_all("table")] == ["one-table-1", "one-table-2"]
    words = section.get_text()
    assert "Table 3.2, Figure 3.2. A sky" in words
    assert "See Figure 3.1." in words
    assert "Absent" not in words
    assert "nothing" not in words
    links = [link["href"] for link in section.find_all("a")]
    assert all(section.find(id=link[1:]) for link in links)
    assert len(links) == 5


def test_tables_without_a_number_take_what_is_left_or_a_letter(tmp_path):
    one = ["<table></table>"]
    cells = [
        v4.new_markdown_cell("# A"),
        shown(one),
        shown(one),
        v4.new_markdown_cell("**Table 2.** B"),
        shown(one),
    ]
    cells += [shown(one), v4.new_markdown_cell("**Table 3.** C"), shown(one)]
    anchors = [one.parent["id"].split("-")[-1] for one in rendered(tmp_path, *cells).find_all("table")]
    assert anchors == ["1", "2", "2a", "3", "4"]


def test_results_stand_first_and_words_from_data_are_escaped(tmp_path):
    tag = {"tags": ["result"]}
    cells = [
        v4.new_markdown_cell("# 05 Measures"),
        shown(
            [
                {"text/markdown": "**0.93** of <img src=x onerror=alert(1)>"},
                "<table><caption>Ranked</caption></table>",
            ]
        ),
        v4.new_code_cell("", outputs=bokeh_outputs()),
        shown([{"text/plain": "<labkit.Thing object at 0x7f00>"}]),
    ]
    cells[1].metadata = cells[2].metadata = tag
    run = RunFolder(tmp_path / "run")
    nbformat.write(v4.new_notebook(cells=cells), run.notebooks / "05_roc.ipynb")
    page = BeautifulSoup(write_report(run).read_text(), "html.parser")
    results = page.find(id="results")
    assert results.find_next("section") is page.section
    assert [one.strong.string if one.strong else "" for one in results.select(".result")] == ["0.93", "", ""]
    assert "wide" in results.find("table").find_parent(class_="result")["class"]
    assert results.find("a", href="#05_roc-figure-1")
    assert not page.find("img")
    assert "object at" not in page.get_text()
    names = [tag["id"] for tag in page.find_all(id=True)]
    assert len(names) == len(set(names))
    assert all(page.find(id=link["href"][1:]) for link in page.nav.find_all("a"))
