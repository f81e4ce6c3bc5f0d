"""The report: all executed notebooks of a run as one page that opens without a network.

nbconvert renders the notebooks; formulas become MathML, because its MathJax is a script from outside. BokehJS
is in the page once, whatever the number of figures. A content security policy forbids the browser to fetch
anything, so what is seen offline is what is seen anywhere. What cells tagged `result` show stands on top.
"""

import base64
import copy
import html
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from pygments.formatters import HtmlFormatter

from labkit.errors import MissingDataError
from labkit.paths import write_file
from labkit.runfolder import RunFolder
from labkit.views import inline_resources
from labkit.views.numbering import BOKEH, SCRIPT, Exhibit, number_exhibits
from labkit.views.style import FONT
from labkit.views.tables import templates

_BOKEH_LOAD = "application/vnd.bokehjs_load.v0+json"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ADDRESS = re.compile(r"^<[\w.]+( \S+)* at 0x[0-9a-f]+>$")  # of an object that has no words for itself
_OUTSIDE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)

Heading = tuple[int, str, str]  # level, anchor, HTML text


@dataclass
class Section:
    """An executed notebook as a part of the page."""

    anchor: str
    number: str
    title: str
    body: str = ""
    bokeh: int = 0  # figures, and lines that stand for one
    exhibits: list[Exhibit] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


class _OfflineRenderer(IPythonRenderer):
    """Renders formulas without a script, and gives headings the anchors of a table of contents."""

    def __init__(self, prefix: str, headings: list[Heading], **options: Any) -> None:
        super().__init__(embed_images=True, **options)
        self.prefix, self.headings = prefix, headings

    def heading(self, text: str, level: int, **_attrs: object) -> str:
        anchor = f"{self.prefix}-{len(self.headings)}"
        self.headings.append((level, anchor, text))
        return f'<h{level + 1} id="{anchor}">{text}</h{level + 1}>\n'  # h1 is the page's own

    def paragraph(self, text: str) -> str:
        caption = re.match("<strong>(Figure|Table)s? <a", text)
        return f'<p class="caption">{text}</p>\n' if caption else super().paragraph(text)

    def inline_math(self, body: str) -> str:
        return _mathml(body, display="inline")

    def block_math(self, body: str) -> str:
        return _mathml(body, display="block")

    def multiline_math(self, text: str) -> str:
        return _mathml(text.strip().strip("$"), display="block")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display="block")


class _Exporter(HTMLExporter):
    """Renders one notebook as a part of a page, without anything from outside."""

    def __init__(self) -> None:
        quiet = logging.getLogger(f"{__name__}.nbconvert")
        quiet.setLevel(logging.ERROR)  # it misses words for pictures; captions stand below them
        super().__init__(
            log=quiet,
            template_name="basic",
            template_file="section.html.j2",
            extra_loaders=[templates.loader],
            exclude_input_prompt=True,
            exclude_output_prompt=True,
            preprocessors=[CoalesceStreamsPreprocessor(enabled=True)],
        )
        self.headings: list[Heading] = []

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        about, cell = context["resources"]["metadata"], context.get("cell", {})
        attachments = cell.get("attachments", {})
        options = {"attachments": attachments, "escape": cell.get("cell_type") == "code"}  # made of data
        renderer = _OfflineRenderer(about["name"], self.headings, path=about["path"], **options)
        return offline(MarkdownWithMath(renderer=renderer).render(source))

    def render(self, path: Path, place: int) -> Section:
        """An executed notebook as the section of this place, its figures and tables numbered."""
        notebook = nbformat.read(path, as_version=4)
        section = Section(re.sub(r"\W+", "-", path.stem), *_title(notebook, place))
        for cell in notebook.cells:
            if "outputs" in cell:
                cell.outputs = [one for one in cell.outputs if _BOKEH_LOAD not in one.get("data", {})]
        section.exhibits = number_exhibits(notebook, section=section.number, prefix=section.anchor)
        of_output = {id(one.output): one for one in section.exhibits}
        results = []
        for cell in notebook.cells:
            if "outputs" in cell:
                section.bokeh += sum(BOKEH in one.get("data", {}) for one in cell.outputs)
                exhibits = [of_output.get(id(one)) for one in cell.outputs]
                shown = _prepare(cell.outputs)
                if "result" in cell.metadata.get("tags", []):
                    results += [_result(*pair) for pair in zip(shown, exhibits, strict=True)]
                framed = [_framed(*pair) for pair in zip(shown, exhibits, strict=True)]
                cell.outputs = [one for one in framed if one.get("data", True)]
        about = {"metadata": {"name": section.anchor, "path": str(path.parent)}}
        section.body, _ = self.from_notebook_node(notebook, resources=about)
        for output in (one for one in results if one.get("data", True)):
            cells = [nbformat.v4.new_code_cell(outputs=[output])]
            part, _ = self.from_notebook_node(nbformat.v4.new_notebook(cells=cells), resources=about)
            section.results.append(part)
        return section


def _title(notebook: nbformat.NotebookNode, place: int) -> tuple[str, str]:
    """Number and title of a section, from its first heading, such as "# 03 Training: ..."."""
    words = "".join(cell.source for cell in notebook.cells[:1] if cell.cell_type == "markdown")
    found = re.match(r"#\s+(?:0*(\d+)\b)?[ .:]*(.*)", words)
    return (found[1] or str(place), found[2]) if found else (str(place), "")


def _prepare(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs of a cell in the form that works in a saved page; a figure's place and script are one."""
    shown: list[nbformat.NotebookNode] = []
    for output in copy.deepcopy(outputs):
        data = output.get("data", {})
        if BOKEH in data:
            script = data[SCRIPT].replace("</script", "<\\/script")
            place = shown[-1].data.pop("text/html", "") if shown and "data" in shown[-1] else ""
            output.data = {"text/html": f'<div class="plot">{place}<script>{script}</script></div>'}
        elif _WIDGET in data:
            output.data = {"text/html": "<p>An interactive widget; its static twin is next to it.</p>"}
        elif data:
            output.data.pop(SCRIPT, None)
            if "text/latex" in data and "text/html" not in data:
                output.data["text/html"] = _mathml(data["text/latex"].strip().strip("$"), display="block")
            if "text/html" in output.data:
                output.data["text/html"] = offline(output.data["text/html"])
            elif _ADDRESS.match(data.get("text/plain", "")):
                output.data = {}
        shown.append(output)
    return shown


def _framed(output: nbformat.NotebookNode, exhibit: Exhibit | None) -> nbformat.NotebookNode:
    """An output with its anchor and, for a figure, words that are read out."""
    if exhibit is None:
        return output
    if exhibit.kind == "table":
        frame = f'<div id="{exhibit.anchor}">{output.data["text/html"]}</div>'
    else:
        words = html.escape(f"{exhibit.name}: {exhibit.words}" if exhibit.words else exhibit.name)
        page = output.data.get("text/html") or f'<img src="{_picture(output.data)}" alt="{words}">'
        frame = f'<figure id="{exhibit.anchor}" aria-label="{words}">{page}</figure>'
    output.data = {"text/html": frame}
    return output


def _picture(data: Mapping[str, Any]) -> str:
    kind = next(kind for kind in ("image/svg+xml", "image/png", "image/jpeg", *data) if kind in data)
    coded = base64.b64encode(data[kind].encode()).decode() if kind == "image/svg+xml" else data[kind]
    return f"data:{html.escape(kind)};base64,{html.escape(coded.strip())}"


def _result(output: nbformat.NotebookNode, exhibit: Exhibit | None) -> nbformat.NotebookNode:
    """An output as it stands on top of the page: a table or words; of a figure the way to it."""
    if exhibit is None or exhibit.kind == "table":
        return copy.deepcopy(output)
    words = html.escape(exhibit.words)
    link = f'<p><a href="#{exhibit.anchor}">{exhibit.name}</a>: {words}</p>'
    return nbformat.v4.new_output("display_data", {"text/html": link})


def _mathml(body: str, *, display: str) -> str:
    try:
        return convert(body, display=display)
    except Exception as error:  # of many kinds, for a formula that it cannot read
        return f'<code title="formula as written: {type(error).__name__}">{html.escape(body)}</code>'


def offline(page: str) -> str:
    """HTML without anything that a browser would fetch; a removed picture leaves its address, links stay."""
    if not re.search(r"src\s*=|srcset|<link|<iframe|<object|<embed|<base|@import|url\(", page, re.IGNORECASE):
        return page
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.find_all(["link", "iframe", "object", "embed", "base"]):
        tag.decompose()
    for tag in soup.find_all("style"):
        if re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", tag.string or ""):
            tag.decompose()
    for tag in soup.find_all(src=_OUTSIDE):
        if tag.name == "script":
            tag.decompose()
        else:
            tag.replace_with(f"[not embedded: {tag['src']}]")
    for tag in soup.find_all(srcset=True):
        del tag["srcset"]
    return str(soup)


def render_sections(folder: RunFolder) -> tuple[list[Section], list[Heading]]:
    """The executed notebooks of a run's last sequence as sections of a page, and their headings."""
    steps = folder.manifest.get("parameters", {})
    recorded = [folder.notebooks / f"{step}.ipynb" for step in steps]
    paths = [path for path in recorded if path.is_file()] or sorted(folder.notebooks.glob("*.ipynb"))
    if not paths:
        raise MissingDataError(
            f"run folder must hold executed notebooks, got none in {str(folder.notebooks)!r}; run them"
        )
    exporter = _Exporter()
    return [exporter.render(path, place) for place, path in enumerate(paths, 1)], exporter.headings


def write_report(run: str | Path | RunFolder) -> Path:
    """Write the report page of a run folder: one file, ``report.html``, that needs nothing beside it.

    Its title and its sections, the executed notebooks, are those of the folder's last sequence, in its order.
    A MissingDataError if there is none.
    """
    folder = RunFolder(run)
    return write_page(folder, *render_sections(folder))


def write_page(folder: RunFolder, sections: list[Section], headings: list[Heading]) -> Path:
    """Write the report page from its sections."""
    manifest = folder.manifest
    steps: Mapping[str, Mapping[str, Any]] = manifest.get("parameters", {})
    rows = [(step, name, value) for step, values in steps.items() for name, value in values.items()]
    given = [str(value) for _, name, value in rows if name in ("seed", "seeds")]
    seeds = sorted(set(map(int, re.findall(r"\d+", " ".join(given)))))
    started = str(manifest.get("created", "")).replace("T", " ").replace("+00:00", " UTC")
    facts = {
        "run": folder.name,
        "started": started,
        "report made": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    facts["seeds"] = ", ".join(map(str, seeds))
    facts["versions"] = ", ".join(f"{name} {value}" for name, value in manifest.get("versions", {}).items())
    page = templates.get_template("report.html.j2").render(
        title=manifest.get("title") or f"labkit run {folder.name}",
        facts=facts,
        parameters=rows,
        headings=headings,
        sections=sections,
        scripts=inline_resources().render_js() if any(section.bokeh for section in sections) else "",
        highlighting=HtmlFormatter().get_style_defs(".highlight"),
        highlighting_dark=HtmlFormatter(style="github-dark").get_style_defs(".highlight"),
        font=FONT,
    )
    return write_file(folder.report, page)
