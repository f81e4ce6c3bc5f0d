"""Markdown of notebooks to HTML that needs nothing from outside.

Formulas become MathML and pictures are embedded.
"""

from __future__ import annotations

import html
from pathlib import Path

from latex2mathml import exceptions
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

__all__ = ["Heading", "render_markdown"]

Heading = tuple[int, str, str]
_FORMULA_ERRORS: tuple[type[Exception], ...] = (
    *(e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)),
    *(ValueError, IndexError, KeyError),
)


class _OfflineRenderer(IPythonRenderer):
    """Renders formulas without a script, and gives headings the anchors of a table of contents."""

    def __init__(self, prefix: str, folder: Path) -> None:
        super().__init__(escape=False, embed_images=True, path=str(folder))
        self.prefix = prefix
        self.headings: list[Heading] = []

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


def _mathml(body: str, *, display: str) -> str:
    try:
        return convert(body, display=display)
    except _FORMULA_ERRORS as error:
        return f'<code title="formula as written: {type(error).__name__}">{html.escape(body)}</code>'


def render_markdown(text: str, *, prefix: str, folder: Path) -> tuple[str, list[Heading]]:
    """HTML of a Markdown cell.

    Parameters
    ----------
    text : str
        Markdown with formulas between dollar signs.
    prefix : str
        Start of the headings' anchors, different for each cell of a page.
    folder : Path
        Where pictures that the text names are found; they are embedded.

    Returns
    -------
    html : str
        The HTML.
    headings : list of (level, anchor, HTML text)
        The headings in order.
    """
    renderer = _OfflineRenderer(prefix, folder)
    page = MarkdownWithMath(renderer=renderer).render(text)
    return page, renderer.headings
