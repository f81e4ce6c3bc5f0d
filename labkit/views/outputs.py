"""Outputs of notebook cells as pieces of a page that needs nothing from outside."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bs4 import BeautifulSoup

__all__ = ["is_bokeh", "offline", "render_output", "render_outputs"]

BOKEH_EXEC, BOKEH_LOAD = "application/vnd.bokehjs_exec.v0+json", "application/vnd.bokehjs_load.v0+json"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_LONG = 12  # lines of text that are shown at once
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
_OUTSIDE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)


def is_bokeh(output: Mapping[str, Any]) -> bool:
    """Whether an output draws a Bokeh figure."""
    return BOKEH_EXEC in output.get("data", {})


def offline(page: str) -> str:
    """HTML without anything that a browser would fetch; links that a reader may follow stay.

    Parameters
    ----------
    page : str
        HTML of an output or of a Markdown cell.

    Returns
    -------
    str
        The same without scripts, styles and pictures from other places; a removed picture leaves its address.
    """
    if not re.search(r"src\s*=|srcset|<link|<iframe|@import|url\(", page, re.IGNORECASE):
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


def _script(code: str) -> str:
    return "<script>" + code.replace("</script", "<\\/script") + "</script>"


def _stream(output: Mapping[str, Any]) -> str:
    text = _COLOUR_CODES.sub("", output["text"])
    if not text.strip():
        return ""
    block, lines = f'<pre class="{output["name"]}">{html.escape(text)}</pre>', text.strip().count("\n") + 1
    return block if lines <= _LONG else f"<details><summary>{lines} lines</summary>{block}</details>"


def _error(output: Mapping[str, Any]) -> str:
    text = _COLOUR_CODES.sub("", "\n".join(output.get("traceback", [])))
    name = html.escape(f"{output['ename']}: {output['evalue']}")
    return f'<pre class="error"><b>{name}</b>\n{html.escape(text)}</pre>'


def render_output(output: Mapping[str, Any]) -> str:
    """HTML of one output of a cell, in the richest form that works in a saved page.

    Parameters
    ----------
    output : mapping
        An output of notebook format 4.

    Returns
    -------
    str
        HTML; empty for outputs that only load BokehJS, which the page has once for all.
    """
    if output["output_type"] == "stream":
        return _stream(output)
    if output["output_type"] == "error":
        return _error(output)
    data = output["data"]
    if BOKEH_LOAD in data:
        return ""
    if BOKEH_EXEC in data:
        return _script(data["application/javascript"])
    if _WIDGET in data:
        return '<p class="widget">An interactive widget; its static twin is next to it.</p>'
    if "text/html" in data:
        return offline(data["text/html"])
    if "image/svg+xml" in data:
        return offline(data["image/svg+xml"])
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f'<img src="data:{kind};base64,{data[kind].strip()}">'
    return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def render_outputs(outputs: Iterable[Mapping[str, Any]]) -> str:
    """HTML of a cell's outputs; texts that follow one another, as of a long training, become one block.

    Parameters
    ----------
    outputs : iterable of mapping
        Outputs of notebook format 4, in order.
    """
    joined: list[dict[str, Any]] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            joined.append(dict(output))
    return "".join(map(render_output, joined))
