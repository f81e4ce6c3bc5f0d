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
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from jinja2 import DictLoader, pass_context
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

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
_STYLE = f"""
body {{ font-family: {FONT}; color: {INK}; line-height: 1.5; margin: 0; }}
main {{ max-width: 62rem; margin: 0 auto; padding: 1rem 2rem 6rem; }}
nav {{ border: 1px solid #ddd; padding: .6rem 1.4rem; margin: 1.5rem 0; }}
nav li {{ list-style: none; }} nav .level-2 {{ padding-left: 1.2rem; }}
h1 {{ font-size: 1.9rem; margin: 1.2rem 0 .2rem; }}
h2 {{ font-size: 1.5rem; border-top: 2px solid {INK}; padding-top: 1.2rem; margin-top: 3.5rem; }}
h3 {{ font-size: 1.2rem; margin-top: 2rem; }}
details {{ margin: .5rem 0; color: #555; font-size: .9rem; }} summary {{ cursor: pointer; }}
pre {{ overflow-x: auto; font-size: .82rem; line-height: 1.35; }}
.highlight pre {{ background: #f7f7f7; padding: .6rem .8rem; margin: .3rem 0; }}
pre.stderr {{ color: #777; }}
pre.error {{ background: #fff1ec; border-left: 4px solid #D55E00; padding: .6rem; }}
.output {{ overflow-x: auto; margin: .6rem 0; }} img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-size: .9rem; }} td, th {{ padding: .15rem .8rem; text-align: left; }}
main > header td:first-child {{ color: #666; white-space: nowrap; vertical-align: top; }}
"""
_TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{%- macro stream(output) -%}
{%- set lines = output.text.strip().splitlines() | length -%}
{%- if lines > 12 %}<details><summary>{{ lines }} lines</summary>{% endif -%}
{%- if lines %}<pre class="{{ output.name }}">{{ output.text | ansi2html }}</pre>{% endif -%}
{%- if lines > 12 %}</details>{% endif -%}
{%- endmacro -%}
{% block input_group %}{% if cell.source.strip() -%}
<details{% if 'parameters' in cell.metadata.get('tags', []) %} open{% endif %}>
<summary>code</summary>{{ super() }}</details>
{%- endif %}{% endblock %}
{% block data_javascript %}<script>{{ output.data['application/javascript'] }}</script>{% endblock %}
{% block stream_stdout %}{{ stream(output) }}{% endblock %}
{% block stream_stderr %}{{ stream(output) }}{% endblock %}
{% block error %}<pre class="error"><b>{{ (output.ename ~ ': ' ~ output.evalue) | escape_html }}</b>
{% for line in output.traceback %}{{ line | ansi2html }}
{% endfor %}</pre>{% endblock %}
"""
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
            template_file="report.html.j2",
            extra_loaders=[DictLoader({"report.html.j2": _TEMPLATE})],
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


def _table(rows: Iterable[Iterable[object]]) -> str:
    lines = ("".join(f"<td>{html.escape(str(value))}</td>" for value in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _header(folder: RunFolder, title: str) -> str:
    """Title, provenance, and the parameters of each notebook, folded; the seeds are among them."""
    manifest = folder.manifest
    steps: Mapping[str, Mapping[str, Any]] = manifest.get("parameters", {})
    rows = [(step, name, value) for step, values in steps.items() for name, value in values.items()]
    seeds = dict.fromkeys(str(value) for _, name, value in rows if name in ("seed", "seeds"))
    facts = {
        "run": folder.name,
        "started": manifest.get("created", ""),
        "report made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds": ", ".join(seeds),
        "versions": ", ".join(f"{name} {number}" for name, number in manifest.get("versions", {}).items()),
    }
    given = _table([("notebook", "parameter", "value"), *rows])
    folded = f"<details><summary>parameters of the notebooks</summary>{given}</details>" if rows else ""
    known = _table((name, fact) for name, fact in facts.items() if fact)
    return f"<header><h1>{html.escape(title)}</h1>{known}{folded}</header>"


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
    title = folder.manifest.get("title") or f"labkit run {folder.name}"
    exporter = _Exporter()
    sections = [exporter.render(path) for path in paths]
    scripts = inline_resources().render_js() if any(bokeh for _, bokeh in sections) else ""
    contents = "".join(
        f'<li class="level-{level}"><a href="#{html.escape(anchor)}">{words}</a></li>'
        for level, anchor, words in exporter.headings
        if level <= 2
    )
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{_STYLE}{HtmlFormatter().get_style_defs('.highlight')}</style>{scripts}</head><body><main>"
        f"{_header(folder, title)}<nav>{contents}</nav>{''.join(section for section, _ in sections)}"
        "</main></body></html>\n"
    )
    with atomic_file(folder.report) as partial:
        partial.write_text(page, encoding="utf-8")
    return folder.report
