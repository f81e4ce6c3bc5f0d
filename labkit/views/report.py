"""The report: all executed notebooks of a run as one page that opens without a network.

BokehJS is in the page once, whatever the number of figures. A content security policy forbids the
browser to fetch anything, so what is seen offline is what is seen anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from labkit.errors import MissingDataError
from labkit.paths import atomic_file
from labkit.runfolder import RunFolder
from labkit.views.markdown import Heading, render_markdown
from labkit.views.outputs import is_bokeh, offline, render_outputs
from labkit.views.pages import inline_resources
from labkit.views.style import FONT, INK

__all__ = ["write_report"]

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
_CODE = HtmlFormatter(nowrap=False, cssclass="code")
_STYLE = f"""
body {{ font-family: {FONT}; color: {INK}; line-height: 1.5; margin: 0; }}
main {{ max-width: 62rem; margin: 0 auto; padding: 1rem 2rem 6rem; }}
nav {{ border: 1px solid #ddd; padding: .6rem 1.4rem; margin: 1.5rem 0; }}
nav ul {{ list-style: none; padding-left: 1.2rem; margin: .1rem 0; }}
h1 {{ font-size: 1.9rem; margin: 1.2rem 0 .2rem; }}
h2 {{ font-size: 1.5rem; border-top: 2px solid {INK}; padding-top: 1.2rem; margin-top: 3.5rem; }}
h3 {{ font-size: 1.2rem; margin-top: 2rem; }}
details {{ margin: .5rem 0; color: #555; font-size: .9rem; }} summary {{ cursor: pointer; }}
pre {{ overflow-x: auto; font-size: .82rem; line-height: 1.35; }}
.code pre {{ background: #f7f7f7; padding: .6rem .8rem; margin: .3rem 0; }}
pre.stderr {{ color: #777; }}
pre.error {{ background: #fff1ec; border-left: 4px solid #D55E00; padding: .6rem; }}
.output {{ overflow-x: auto; margin: .6rem 0; }} img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-size: .9rem; }} td, th {{ padding: .15rem .8rem; text-align: left; }}
main > header td:first-child {{ color: #666; white-space: nowrap; vertical-align: top; }}
"""


def _parameters(manifest: Mapping[str, Any]) -> str:
    """Parameters of each notebook, as a folded table; the seeds are among them."""
    steps = manifest.get("parameters", {})
    rows = [(step, name, value) for step, values in steps.items() for name, value in values.items()]
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    head = "<tr><th>notebook</th><th>parameter</th><th>value</th></tr>"
    return (
        f"<details><summary>parameters of the notebooks</summary><table>{head}{body}</table></details>"
        if rows
        else ""
    )


def _header(folder: RunFolder, title: str) -> str:
    manifest = folder.manifest
    versions = ", ".join(f"{name} {number}" for name, number in manifest.get("versions", {}).items())
    given = [
        v
        for values in manifest.get("parameters", {}).values()
        for k, v in values.items()
        if k in ("seed", "seeds")
    ]
    facts = {
        "run": folder.name,
        "started": manifest.get("created", ""),
        "report made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds": ", ".join(dict.fromkeys(map(str, given))),
        "versions": versions,
    }
    rows = "".join(
        f"<tr><td>{name}</td><td>{html.escape(str(fact))}</td></tr>" for name, fact in facts.items() if fact
    )
    return f"<header><h1>{html.escape(title)}</h1><table>{rows}</table>{_parameters(manifest)}</header>"


def _contents(headings: Iterable[Heading]) -> str:
    """Table of contents of two levels."""
    parts, depth = ["<nav><ul>"], 1
    for level, anchor, words in headings:
        if level > 2:
            continue
        parts += ["<ul>"] * (level - depth) + ["</ul>"] * (depth - level)
        parts.append(f'<li><a href="#{anchor}">{words}</a></li>')
        depth = level
    return "".join([*parts, "</ul>" * depth, "</nav>"])


def _code_cell(cell: nbformat.NotebookNode) -> str:
    shown = " open" if "parameters" in cell.metadata.get("tags", []) else ""
    code = highlight(cell.source, PythonLexer(), _CODE)
    outputs = render_outputs(cell.outputs)
    folded = f"<details{shown}><summary>code</summary>{code}</details>" if cell.source.strip() else ""
    return folded + (f'<div class="output">{outputs}</div>' if outputs else "")


def _notebook(path: Path, headings: list[Heading]) -> tuple[str, bool]:
    """HTML of a notebook, and whether it holds Bokeh figures; its headings are added to the list."""
    notebook, parts = nbformat.read(path, as_version=4), []
    bokeh = any(is_bokeh(output) for cell in notebook.cells for output in cell.get("outputs", []))
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            parts.append(_code_cell(cell))
        elif cell.cell_type == "markdown":
            page, found = render_markdown(cell.source, prefix=f"{path.stem}-{number}", folder=path.parent)
            headings += found
            parts.append(offline(page))
    return f'<section id="{html.escape(path.stem)}">{"".join(parts)}</section>', bokeh


def _executed(folder: RunFolder) -> list[Path]:
    """Executed notebooks in the order of the recorded sequence, or of their names where there is none."""
    steps = folder.manifest.get("parameters", {})
    recorded = [folder.notebooks / f"{step}.ipynb" for step in steps]
    return [path for path in recorded if path.is_file()] or sorted(folder.notebooks.glob("*.ipynb"))


def write_report(
    run: str | Path | RunFolder, *, title: str = "", notebooks: Iterable[Path] | None = None
) -> Path:
    """Write the report page of a run folder.

    Parameters
    ----------
    run : path or RunFolder
        The run folder; the executed notebooks of its last sequence are the sections.
    title : str
        Title of the page; that of the sequence by default.
    notebooks : iterable of Path, optional
        Executed notebooks to use instead, in this order.

    Returns
    -------
    Path
        `report.html` in the run folder: one file, nothing beside it is needed.

    Raises
    ------
    MissingDataError
        If there is no executed notebook.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    paths = _executed(folder) if notebooks is None else [Path(path) for path in notebooks]
    if not paths:
        raise MissingDataError(
            f"run folder must hold executed notebooks, got none in {str(folder.notebooks)!r}; run them"
        )
    title = title or folder.manifest.get("title") or f"labkit run {folder.name}"
    headings: list[Heading] = []
    sections = [_notebook(path, headings) for path in paths]
    scripts = inline_resources().render_js() if any(bokeh for _, bokeh in sections) else ""
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{_STYLE}{_CODE.get_style_defs('.code')}</style>{scripts}</head><body><main>"
        f"{_header(folder, title)}{_contents(headings)}{''.join(section for section, _ in sections)}"
        "</main></body></html>\n"
    )
    with atomic_file(folder.report) as partial:
        partial.write_text(page, encoding="utf-8")
    return folder.report
