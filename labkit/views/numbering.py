"""Which figures and tables an executed notebook holds, and the numbers that its captions give them."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from string import ascii_lowercase

import nbformat
from bs4 import BeautifulSoup

from labkit.views.style import ABSENT

BOKEH = "application/vnd.bokehjs_exec.v0+json"
SCRIPT = "application/javascript"

_CAPTION = re.compile(r"\*\*((?:Figure|Table)s? \d[^*]*)\*\*")
_NAMED = re.compile(r"(Figure|Table)s? |(?<![\w.])(\d+)(?: to (\d+))?(?!\w)")
_TITLE = re.compile(r'"name":"Title","id":"\w+","attributes":\{"text":("(?:[^"\\]|\\.)*")')
_AXIS = re.compile(r'"axis_label":("(?:[^"\\]|\\.)*")')


@dataclass
class Exhibit:
    """A figure or table: the output that holds it, what it says of itself, and how the report calls it."""

    kind: str  # figure or table
    output: nbformat.NotebookNode
    words: str = ""
    section: str = ""
    number: str = ""
    anchor: str = ""

    @property
    def name(self) -> str:
        """Such as "Figure 3.2"."""
        return f"{self.kind.capitalize()} {self.section}.{self.number}"


def number_exhibits(notebook: nbformat.NotebookNode, *, section: str, prefix: str) -> list[Exhibit]:
    """The figures and tables of a notebook in order; its captions become links, "Figure 2" "Figure 3.2".

    A caption names what stands above it, or what follows if it says "below". What no caption names continues
    the count, or takes a letter where there is no number left. A caption of what is not there is left out.
    """
    nodes = list(_nodes(notebook))
    exhibits = _paired(nodes)
    for kind in ("figure", "table"):
        _count([one for one in exhibits if one.kind == kind])
    for one in exhibits:
        one.section, one.anchor = section, f"{prefix}-{one.kind}-{one.number}"
    anchors = {(one.kind, one.number): one.anchor for one in exhibits}
    for node in nodes:
        if text := _text(node):
            holder, key = (node, "source") if "source" in node else (node.data, "text/markdown")
            holder[key] = _linked(text, section, anchors)
    return exhibits


def _nodes(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """Cells of text and outputs, in the order in which they are read."""
    for cell in notebook.cells:
        yield from [cell] if cell.cell_type == "markdown" else cell.get("outputs", [])


def _text(node: nbformat.NotebookNode) -> str:
    return str(node.get("source", "") or node.get("data", {}).get("text/markdown", ""))


def _paired(nodes: Iterable[nbformat.NotebookNode]) -> list[Exhibit]:
    """Figures and tables with the numbers that captions give them."""
    exhibits: list[Exhibit] = []
    fresh: list[Exhibit] = []  # no caption came since
    announced: dict[str, list[str]] = {"figure": [], "table": []}
    for node in nodes:
        if (one := _exhibit(node)) is not None:
            exhibits.append(one)
            own = re.match(r"Table (\d+)\.", one.words)
            if own or announced[one.kind]:
                one.number = own[1] if own else announced[one.kind].pop(0)
            else:
                fresh.append(one)
            continue
        called: list[tuple[str, str, str]] = []
        below: list[tuple[str, str, str]] = []
        for caption in _CAPTION.finditer(text := _text(node)):
            rest = text[caption.end() :]
            said = re.split(r"(?<=\w\w[.:])\s|\n\n|\*\*", rest.strip(" .,"))[0]
            named = [(*name, said) for name in _named(caption[1])]
            (below if "below" in rest[:10] else called).extend(named)
        for kind in announced:
            numbers = [one[1:] for one in called if one[0] == kind]
            announced[kind] += [number for name, number, _ in below if name == kind]
            above = [one for one in fresh if one.kind == kind] if numbers else []
            for one, (number, said) in zip(above[-len(numbers) :], numbers, strict=False):
                one.number, one.words = number, one.words or said
            fresh = [one for one in fresh if one not in above]
    return exhibits


def _exhibit(node: nbformat.NotebookNode) -> Exhibit | None:
    data = node.get("data", {})
    page = str(data.get("text/html", "")).lstrip()
    if BOKEH in data:
        code = data[SCRIPT]
        return None if f'"tags":["{ABSENT}"]' in code else Exhibit("figure", node, _figure_words(code))
    if page.startswith("<table"):
        caption = BeautifulSoup(page, "html.parser").caption
        return Exhibit("table", node, caption.get_text(" ", strip=True) if caption else "")
    drawn = "<img" in page or "<svg" in page or any(key.startswith("image/") for key in data)
    return Exhibit("figure", node) if drawn else None


def _figure_words(code: str) -> str:
    """Titles and axes of a Bokeh figure, read from the script that draws it."""
    titles, labels = (
        list(dict.fromkeys(json.loads(one) for one in form.findall(code))) for form in (_TITLE, _AXIS)
    )
    words = [
        ", ".join(filter(None, titles)),
        f"axes: {', '.join(filter(None, labels))}" if any(labels) else "",
    ]
    return "; ".join(filter(None, words))[:400]


def _named(words: str) -> Iterator[tuple[str, str]]:
    """What a caption such as "Tables 8 to 10, Figure 5." is of."""
    kind = ""
    for name, first, last in _NAMED.findall(words):
        kind = name.lower() or kind
        for number in range(int(first or 1), int(last or first or 0) + 1):
            yield kind, str(number)


def _count(exhibits: list[Exhibit]) -> None:
    """Give numbers to those without; a number that is taken gets a letter."""
    before, used = 0, {""}
    runs = [(named, list(run)) for named, run in groupby(exhibits, lambda one: bool(one.number))]
    for place, (named, run) in enumerate(runs):
        after = None if named or place + 1 == len(runs) else int(runs[place + 1][1][0].number)
        fits = after is None or after - before - 1 == len(run)
        for step, one in enumerate(run, 1):
            wanted = one.number or str(before + step if fits else before)
            names = [wanted] if named or fits else []
            names += [f"{wanted}{letter}" for letter in ascii_lowercase]
            one.number = next((name for name in names if name not in used), f"{wanted}-{len(used)}")
            used.add(one.number)
        before = int(re.match(r"\d+", run[-1].number)[0])  # type: ignore[index]


def _linked(text: str, section: str, anchors: dict[tuple[str, str], str]) -> str:
    """Text whose captions name section and number and lead to the figure, without those of absent ones."""

    def link(words: str) -> str:
        kind = ""

        def one(found: re.Match[str]) -> str:
            nonlocal kind
            kind = (found[1] or kind).lower()
            if found[1]:
                return found[0]
            parts = [
                f"[{section}.{number}](#{anchors[kind, number]})" if (kind, number) in anchors else number
                for number in found.groups()[1:]
                if number
            ]
            return " to ".join(parts)

        return _NAMED.sub(one, words)

    def of_figure(found: re.Match[str]) -> str:
        return link(found[0]) if ("figure", found[1]) in anchors else found[0]

    kept = []
    for piece in re.split(r"(?=\*\*(?:Figure|Table)s? \d)|(?<=\n)(?=\n)", text):
        caption = _CAPTION.match(piece)
        if caption and not any(name in anchors for name in _named(caption[1])):
            continue
        head = f"**{link(caption[1])}**" if caption else ""
        rest = piece[caption.end() :] if caption else piece
        kept.append(head + re.sub(r"\bFigure (\d+)\b(?! of )", of_figure, rest))
    return "".join(kept)
