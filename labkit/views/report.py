"""The report: all executed notebooks of a run as one page that opens without a network.

nbconvert renders the notebooks; formulas become MathML, because its MathJax is a script from outside. BokehJS
is in the page once, whatever the number of figures. A content security policy forbids the browser to fetch
anything, so what is seen offline is what is seen anywhere.
"""

from __future__ import annotations

import copy
import html
import logging
import re
from collections.abc import Mapping
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
from labkit.paths import atomic_file
from labkit.runfolder import RunFolder
from labkit.views import inline_resources
from labkit.views.style import FONT, INK
from labkit.views.tables import templates

_BOKEH, _BOKEH_LOAD = "application/vnd.bokehjs_exec.v0+json", "application/vnd.bokehjs_load.v0+json"
_SCRIPT, _WIDGET = "application/javascript", "application/vnd.jupyter.widget-view+json"
_OUTSIDE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)

Heading = tuple[int, str, str]  # level, anchor, HTML text


class _OfflineRenderer(IPythonRenderer):
    """Renders formulas without a script, and gives headings the anchors of a table of contents."""

    def __init__(self, prefix: str, headings: list[Heading], **options: Any) -> None:
        super().__init__(escape=False, embed_images=True, **options)
        self.prefix, self.headings = prefix, headings

    def heading(self, text: str, level: int, **_attrs: object) -> str:
        anchor = f"{self.prefix}-{len(self.headings)}"
        self.headings.append((level, anchor, text))
        return f'<h{level + 1} id="{anchor}">{text}</h{level + 1}>\n'  # h1 is the page's own

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
        renderer = _OfflineRenderer(about["name"], self.headings, path=about["path"], attachments=attachments)
        return offline(MarkdownWithMath(renderer=renderer).render(source))

    def render(self, path: Path) -> tuple[str, bool]:
        """HTML of an executed notebook, and whether it holds Bokeh figures."""
        notebook, bokeh = nbformat.read(path, as_version=4), False
        for cell in notebook.cells:
            found = [one for one in cell.get("outputs", []) if _BOKEH_LOAD not in one.get("data", {})]
            bokeh = bokeh or any(_BOKEH in one.get("data", {}) for one in found)
            if "outputs" in cell:
                cell.outputs = [_prepare(output) for output in found]
        about = {"metadata": {"name": path.stem, "path": str(path.parent)}}
        body, _ = self.from_notebook_node(notebook, resources=about)
        return f'<section id="{html.escape(path.stem)}">{body}</section>', bokeh


def _prepare(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output in the form that works in a saved page."""
    output, data = copy.deepcopy(output), output.get("data", {})
    if _BOKEH in data:
        output.data = {_SCRIPT: data[_SCRIPT].replace("</script", "<\\/script")}
    elif _WIDGET in data:
        output.data = {"text/html": "<p>An interactive widget; its static twin is next to it.</p>"}
    elif data:
        output.data.pop(_SCRIPT, None)
        if "text/latex" in data and "text/html" not in data:
            output.data["text/html"] = _mathml(data["text/latex"].strip().strip("$"), display="block")
        if "text/html" in output.data:
            output.data["text/html"] = offline(output.data["text/html"])
    return output


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


def _executed(folder: RunFolder) -> list[Path]:
    """Executed notebooks in the order of the recorded sequence, or of their names where there is none."""
    steps = folder.manifest.get("parameters", {})
    recorded = [folder.notebooks / f"{step}.ipynb" for step in steps]
    return [path for path in recorded if path.is_file()] or sorted(folder.notebooks.glob("*.ipynb"))


def write_report(run: str | Path | RunFolder) -> Path:
    """Write the report page of a run folder: one file, ``report.html``, that needs nothing beside it.

    Its title and its sections, the executed notebooks, are those of the folder's last sequence, in its order.
    A MissingDataError if there is none.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    paths = _executed(folder)
    if not paths:
        raise MissingDataError(
            f"run folder must hold executed notebooks, got none in {str(folder.notebooks)!r}; run them"
        )
    manifest, exporter = folder.manifest, _Exporter()
    sections = [exporter.render(path) for path in paths]
    steps: Mapping[str, Mapping[str, Any]] = manifest.get("parameters", {})
    rows = [(step, name, value) for step, values in steps.items() for name, value in values.items()]
    seeds = dict.fromkeys(str(value) for _, name, value in rows if name in ("seed", "seeds"))
    page = templates.get_template("report.html.j2").render(
        title=manifest.get("title") or f"labkit run {folder.name}",
        facts={
            "run": folder.name,
            "started": manifest.get("created", ""),
            "report made": datetime.now(UTC).isoformat(timespec="seconds"),
            "seeds": ", ".join(seeds),
            "versions": ", ".join(
                f"{name} {number}" for name, number in manifest.get("versions", {}).items()
            ),
        },
        parameters=rows,
        headings=exporter.headings,
        sections=[section for section, _ in sections],
        scripts=inline_resources().render_js() if any(bokeh for _, bokeh in sections) else "",
        highlighting=HtmlFormatter().get_style_defs(".highlight"),
        font=FONT,
        ink=INK,
    )
    with atomic_file(folder.report) as partial:
        partial.write_text(page, encoding="utf-8")
    return folder.report
