"""Volunteers' decisions in pictures: the decision tree, and their answers against the experts'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.views.style import GLYPH_FONT, INK, PALETTE, axes, class_colours
from labkit.votes import DecisionTree

__all__ = ["agreement", "decision_tree"]

_BOX, _GAP, _ROW = 142, 30, 62  # pixels: width of a box, gap between columns, height of a row
_LINE, _CHARACTERS = 15, 21  # pixels a line of text, characters a line
_QUESTION = PALETTE[7]


@dataclass(frozen=True)
class _Node:
    """A box: a question, or an ending answer."""

    text: str
    above: str  # the answer that leads here
    column: int
    row: float
    choice: int  # number of the answer that leads here, -1 for the first question
    parent: int  # place in the list of nodes, -1 for the first question
    verdict: str  # "" for a question


def _nodes(tree: DecisionTree) -> list[_Node]:
    """All boxes; ending answers in rows from above, a question in the middle of what it leads to."""
    nodes: list[_Node] = []
    rows = iter(range(len(tree.choices) + 1))
    questions = {question.task: number for number, question in enumerate(tree.questions)}

    def place(task: str, column: int, above: str, choice: int, parent: int) -> float:
        number = questions[task]
        own = len(nodes)
        nodes.append(_Node("", "", 0, 0, 0, 0, ""))  # its row is known after those of its answers
        found = []
        for offset, answer in enumerate(tree.questions[number].choices):
            code = int(tree.offsets[number]) + offset
            if answer.next is not None:
                found.append(place(answer.next, column + 1, answer.text, code, own))
            else:
                found.append(float(next(rows)))
                nodes.append(
                    _Node(str(answer.leaf), "", column + 1, found[-1], code, own, str(answer.verdict))
                )
        nodes[own] = _Node(
            tree.questions[number].text, above, column, float(np.mean(found)), choice, parent, ""
        )
        return nodes[own].row

    place(tree.tasks[0], 0, "", -1, -1)
    return nodes


def decision_tree(
    tree: DecisionTree, *, counts: ArrayLike | None = None, title: str = "", width: int = 1040
) -> figure:
    """The questions of a tree and its ending answers (Kosiba et al. 2020, Fig. 2), read from the left.

    Questions are grey; ending answers have the colour of their class. The answer that leads to a question
    stands above it.

    Parameters
    ----------
    tree : DecisionTree
        The tree.
    counts : array_like of int, shape (answers,), optional
        How often each answer was given, such as the sum of `labkit.votes.answer_counts` over the objects: its
        share of all classifications stands in the box it leads to.
    title : str
        Title of the figure.
    width : int
        Width in screen pixels; trees with many questions in a row need more.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If `counts` has not one number an answer.
    """
    given = None if counts is None else np.asarray(counts, dtype=float)
    if given is not None and given.shape != (len(tree.choices),):
        raise InputError(f"counts must have one number an answer, {len(tree.choices)}, got {given.shape}")
    nodes = _nodes(tree)
    columns = 1 + max(node.column for node in nodes)
    inner = columns * _BOX + (columns - 1) * _GAP + 8
    height = _ROW * (1 + max(node.row for node in nodes)) + 10
    plot = axes(title=title, x="", y="", width=max(width, inner), height=int(height) + 50 * bool(title),
                x_range=Range1d(-4, max(width, inner) - 4 - 24), y_range=Range1d(height, 0), grid=False,
                tools="save")  # fmt: skip
    plot.axis.visible, plot.outline_line_color = False, None
    plot.multi_line(*_connections(nodes), color="#888888", line_width=1.4)
    source = ColumnDataSource(_boxes(tree, nodes, given))
    boxes = plot.rect("x", "y", _BOX, "height", source=source, fill_color="colour", fill_alpha=0.28,
                      line_color="colour", line_width=1.6, border_radius=6)  # fmt: skip
    text = {"text_font": GLYPH_FONT, "text_align": "center", "text_color": INK}
    plot.text("x", "y", "text", source=source, text_baseline="middle", text_font_size="12px", **text)
    plot.text("x", "top", "above", source=source, text_baseline="bottom", text_font_size="11px",
              text_font_style="italic", **text)  # fmt: skip
    tips = [("", "@whole"), ("class", "@class"), ("share", "@share")]
    plot.add_tools(HoverTool(renderers=[boxes], tooltips=tips))
    return plot


def _middle(node: _Node) -> tuple[float, float]:
    return node.column * (_BOX + _GAP) + _BOX / 2, _ROW * (node.row + 0.5) + 8


def _connections(nodes: list[_Node]) -> tuple[list[list[float]], list[list[float]]]:
    """Lines with two corners from the right side of each question to the left sides of its answers."""
    xs, ys = [], []
    for node in nodes[1:]:
        (x0, y0), (x1, y1) = _middle(nodes[node.parent]), _middle(node)
        bend = x1 - _BOX / 2 - _GAP / 2
        xs.append([x0 + _BOX / 2, bend, bend, x1 - _BOX / 2])
        ys.append([y0, y0, y1, y1])
    return xs, ys


def _boxes(tree: DecisionTree, nodes: list[_Node], counts: np.ndarray | None) -> dict[str, list]:
    palette = class_colours(tree.classes)
    start = np.nan if counts is None else counts[tree.question_of == 0].sum()
    share = [np.nan if counts is None or n.choice < 0 else counts[n.choice] / max(start, 1) for n in nodes]
    shown = ["" if np.isnan(s) else f"{s:.1%}" if s < 0.1 else f"{s:.0%}" for s in share]
    lines = [wrap(node.text, _CHARACTERS) for node in nodes]
    texts = [[*line, part] if part else line for line, part in zip(lines, shown, strict=True)]
    heights = [_LINE * len(line) + 9 for line in texts]
    middles = [_middle(node) for node in nodes]
    return {
        "x": [x for x, _ in middles],
        "y": [y for _, y in middles],
        "top": [y - height / 2 - 2 for (_, y), height in zip(middles, heights, strict=True)],
        "height": heights,
        "text": ["\n".join(line) for line in texts],
        "whole": [node.text for node in nodes],
        "above": [node.above for node in nodes],
        "class": [node.verdict or "question" for node in nodes],
        "share": shown,
        "colour": [palette[node.verdict] if node.verdict else _QUESTION for node in nodes],
    }


def agreement(table: Table, *, title: str = "", width: int = 640) -> figure:
    """Share of the single answers that agree with the experts, by ending answer (Kosiba et al. 2020, Fig. 6).

    Parameters
    ----------
    table : Table
        From `labkit.votes.agreement_with`; ending answers without a counterpart are left out.
    title : str
        Title of the figure.
    width : int
        Width in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
        The figure.

    Raises
    ------
    InputError
        If no ending answer has a counterpart and answers.
    """
    shown = table[np.isfinite(np.asarray(table["fraction"], dtype=float))]
    if not len(shown):
        raise InputError("table must have ending answers with a fraction, got none; compare the labels")
    names = [str(name) for name in shown["ending"]]
    palette = class_colours(dict.fromkeys(str(name) for name in table["class"]))
    source = ColumnDataSource(
        {
            "ending": names,
            "fraction": np.asarray(shown["fraction"], dtype=float),
            "text": list(_amounts(shown)),
            "colour": [palette[str(name)] for name in shown["class"]],
            "experts": [str(text) for text in shown["experts"]],
        }
    )
    plot = axes(title=title, x="share of the answers that agree with the experts", y="", width=width,
                height=80 + 34 * len(names), y_range=FactorRange(*names[::-1]), x_range=(0, 1.3),
                tools="save")  # fmt: skip
    plot.hbar("ending", right="fraction", height=0.7, color="colour", source=source)
    plot.text("fraction", "ending", "text", source=source, x_offset=6, text_baseline="middle",
              text_font=GLYPH_FONT, text_font_size="12px", text_color=INK)  # fmt: skip
    plot.xaxis.ticker = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    plot.ygrid.grid_line_color, plot.yaxis.major_tick_in = None, 0
    plot.add_tools(HoverTool(tooltips=[("answer", "@ending"), ("experts", "@experts"), ("agree", "@text")]))
    return plot


def _amounts(table: Table) -> Iterator[str]:
    for row in table:
        yield f"{row['fraction']:.0%} of {row['answers']:,}"
