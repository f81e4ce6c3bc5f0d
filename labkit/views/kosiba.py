"""Figures of Kosiba et al. (2020) beyond curves and matrices: measures beside print, bands, trees, votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.tables import text
from labkit.views.gallery import gallery
from labkit.views.marks import column_values, need_columns
from labkit.views.plots import bars, points
from labkit.views.scaling import plate_pictures, png_uri
from labkit.views.style import (
    GLYPH_FONT,
    INK,
    PALETTE,
    axes,
    class_colours,
    hover,
)
from labkit.votes import DecisionTree

_BOX, _GAP, _ROW = 142, 30, 62  # pixels: width of a box, gap between columns, height of a row
_LINE, _CHARACTERS = 15, 21  # pixels a line of text, characters a line


def intervals(
    beside: Table, metric: str = "auc", *, unit: str = "", title: str = "", width: int = 640
) -> figure:
    """Measured values with their intervals, a row per experiment, the published value hollow below.

    `beside` has the columns ``experiment``, the metric, its ``_low`` and ``_high``, and ``_published``, as
    `labkit.evaluate.join_published` gives them. Say in the title whether the measurement is on real or
    simulated data.
    """
    needed = ["experiment", *(f"{metric}{end}" for end in ("", "_low", "_high", "_published"))]
    need_columns(beside, needed, "beside")
    rows, words = Table(beside[needed]), "measured, with interval"
    rows["kind"] = words
    height = 100 + 36 * len(set(text(rows["experiment"]).tolist()))
    return points(rows, "experiment", metric, by="kind", across=True, title=title, width=width, height=height,
                  y_label=unit or metric.replace("_", " "))  # fmt: skip


def band_gallery(
    optical: ArrayLike, xray: ArrayLike, titles: Sequence[str] = (), *,
    details: Mapping[str, Sequence] | None = None, colours: str = "glow", sigma_px: float = 2.0,
    size_px: int = 180, title: str = "",
) -> figure:  # fmt: skip
    """Optical, X-ray and combined picture of each object (Kosiba et al. 2020, Figs. 4 and 9 to 11).

    Cut-outs (n, y, x) of the same objects; titles and details one per object. `colours` is "glow" for X-rays
    as a warm glow on the optical image, or "paper" for X-ray in green and optical in blue.
    """
    pictures = [png_uri(one) for three in plate_pictures(optical, xray, colours=colours, sigma_px=sigma_px)
                for one in three]  # fmt: skip
    captions = [text for words in titles for text in (words, "", "")]
    repeated = {name: np.repeat(np.asarray(v), 3).tolist() for name, v in (details or {}).items()}
    return gallery(pictures, captions, details=repeated, columns=3, size_px=size_px,
                   column_titles=("optical", "X-ray", "combined"), title=title)  # fmt: skip


def agreement(table: Table, *, title: str = "", width: int = 640) -> figure:
    """Share of the single answers that agree with the experts, by ending answer (Kosiba et al. 2020, Fig. 6).

    `table` is from `labkit.votes.agreement_with`; ending answers without a counterpart are left out.
    """
    shown = Table(table, copy=True)[np.isfinite(column_values(table, "fraction"))]
    if not len(shown):
        raise InputError("table must have ending answers with a fraction, got none; compare the labels")
    shown["agree"] = [f"{row['fraction']:.0%} of {row['answers']:,}" for row in shown]
    details = {"ending": "", "experts": "", "agree": ""}
    plot = bars(shown, "ending", "fraction", by="class", beside="agree", details=details, title=title,
                palette=class_colours(text(table["class"]).tolist()), width=width,
                x_label="share of the answers that agree with the experts")  # fmt: skip
    plot.x_range = Range1d(0, 1.3)
    plot.xaxis.ticker = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    return plot


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

    @property
    def middle(self) -> tuple[float, float]:
        return self.column * (_BOX + _GAP) + _BOX / 2, _ROW * (self.row + 0.5) + 8


def decision_tree(
    tree: DecisionTree, *, counts: ArrayLike | None = None, title: str = "", width: int = 1040
) -> figure:
    """The questions of a tree and its ending answers (Kosiba et al. 2020, Fig. 2), read from the left.

    Questions are grey, ending answers have the colour of their class; the answer that leads to a question
    stands above it. `counts` (answers,) says how often each answer was given, such as the sum of
    `labkit.votes.answer_counts`: its share of all classifications stands in the box it leads to.
    """
    given = None if counts is None else np.asarray(counts, dtype=float)
    if given is not None and given.shape != (len(tree.choices),):
        raise InputError(f"counts must have one number per answer, {len(tree.choices)}, got {given.shape}")
    nodes = _nodes(tree)
    columns = 1 + max(node.column for node in nodes)
    inner = columns * _BOX + (columns - 1) * _GAP + 8
    height = _ROW * (1 + max(node.row for node in nodes)) + 10
    plot = axes(title=title, x="", y="", width=max(width, inner), height=int(height) + 50 * bool(title),
                x_range=Range1d(-4, max(width, inner) - 4 - 24), y_range=Range1d(height, 0), grid=False,
                tools="save")  # fmt: skip
    plot.axis.visible, plot.outline_line_color = False, None
    for x, y in _connections(nodes):
        plot.line(x, y, color="#888888", line_width=1.4, name="connection")
    source = ColumnDataSource(_boxes(tree, nodes, given))
    boxes = plot.rect("x", "y", _BOX, "height", source=source, fill_color="colour", fill_alpha=0.28,
                      line_color="colour", line_width=1.6, border_radius=6)  # fmt: skip
    style = {"text_font": GLYPH_FONT, "text_align": "center", "text_color": INK, "source": source}
    plot.text("x", "y", "text", text_baseline="middle", text_font_size="12px", **style)
    plot.text("x", "top", "above", text_baseline="bottom", text_font_size="11px", text_font_style="italic",
              **style)  # fmt: skip
    hover(plot, [boxes], [("", "@whole"), ("class", "@class"), ("share", "@share")])
    return plot


def _nodes(tree: DecisionTree) -> list[_Node]:
    """All boxes; ending answers in rows from above, a question in the middle of what it leads to."""
    nodes: list[_Node] = []
    rows = iter(range(len(tree.choices) + 1))
    questions = {question.task: number for number, question in enumerate(tree.questions)}

    def place(task: str, column: int, above: str, choice: int, parent: int) -> float:
        number, own = questions[task], len(nodes)
        nodes.append(_Node("", "", 0, 0, 0, 0, ""))  # its row is known after those of its answers
        found = []
        for offset, answer in enumerate(tree.questions[number].choices):
            code = int(tree.offsets[number]) + offset
            if answer.next is not None:
                found.append(place(answer.next, column + 1, answer.text, code, own))
                continue
            found.append(float(next(rows)))
            ending = (str(answer.leaf), "", column + 1, found[-1], code, own, str(answer.verdict))
            nodes.append(_Node(*ending))
        row = float(np.mean(found))
        nodes[own] = _Node(tree.questions[number].text, above, column, row, choice, parent, "")
        return row

    place(tree.tasks[0], 0, "", -1, -1)
    return nodes


def _connections(nodes: list[_Node]) -> list[tuple[list[float], list[float]]]:
    """Lines with two corners from the right side of each question to the left sides of its answers."""
    lines = []
    for node in nodes[1:]:
        (x0, y0), (x1, y1) = nodes[node.parent].middle, node.middle
        bend = x1 - _BOX / 2 - _GAP / 2
        lines.append(([x0 + _BOX / 2, bend, bend, x1 - _BOX / 2], [y0, y0, y1, y1]))
    return lines


def _boxes(tree: DecisionTree, nodes: list[_Node], counts: np.ndarray | None) -> dict[str, list]:
    palette = class_colours(tree.classes)
    start = np.nan if counts is None else counts[tree.question_of == 0].sum()
    share = [np.nan if counts is None or n.choice < 0 else counts[n.choice] / max(start, 1) for n in nodes]
    shown = ["" if np.isnan(s) else f"{s:.1%}" if s < 0.1 else f"{s:.0%}" for s in share]
    lines = [wrap(node.text, _CHARACTERS) for node in nodes]
    texts = [[*line, part] if part else line for line, part in zip(lines, shown, strict=True)]
    heights = [_LINE * len(line) + 9 for line in texts]
    middles = [node.middle for node in nodes]
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
        "colour": [palette[node.verdict] if node.verdict else PALETTE[7] for node in nodes],
    }
