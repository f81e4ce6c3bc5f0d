"""Figures of Kosiba et al. (2020) beyond curves and matrices: what people see, bands, trees, votes."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from astropy.table import Table
from bokeh.models import ColumnDataSource, Div, GridPlot, ImageURL, Range1d
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate import FOUND, overlap_table
from labkit.images import xamin
from labkit.images.starlet import poisson_filter
from labkit.predictions import Predictions
from labkit.tables import text
from labkit.taxonomy import BINARY
from labkit.views.gallery import gallery, grey_levels, limits_of, plate_pictures, png_uri, smoothed
from labkit.views.inspector.pictures import contour_lines
from labkit.views.marks import absent, column_values, need_rows
from labkit.views.plots import bars, points
from labkit.views.sky import extent_plane
from labkit.views.style import GLYPH_FONT, INK, PALETTE, axes, class_colours, grid, hover
from labkit.votes import DecisionTree

_BOX, _GAP, _ROW = 142, 30, 62  # pixels: width of a box, gap between columns, height of a row
_LINE, _CHARACTERS = 15, 21  # pixels a line of text, characters a line
_SMOOTHING, _SIDE, _CENTRE = 7.5, 7.0, 4.0  # of Fig. 3: arcsec, then arcmin of a cut-out and of its middle


def intervals(beside: Table, metric: str = "auc", *, title: str = "") -> figure:
    """Measured values with their intervals, a row per experiment, the published value hollow below.

    `beside` has the columns ``experiment``, the metric, its ``_low`` and ``_high``, and ``_published``, as
    `labkit.evaluate.join_published` gives them. Say in the title whether the measurement is on real or
    simulated data.
    """
    needed = ["experiment", *(f"{metric}{end}" for end in ("", "_low", "_high", "_published"))]
    need_rows(beside, needed, "beside")
    rows, words = Table(beside[needed]), "measured, with interval"
    rows["kind"] = words
    height = 100 + 36 * len(set(text(rows["experiment"]).tolist()))
    return points(rows, "experiment", metric, by="kind", across=True, title=title, width=640, height=height,
                  y_label=metric.replace("_", " "))  # fmt: skip


def band_gallery(
    optical: ArrayLike, xray: ArrayLike, titles: Sequence[str] = (), *, title: str = ""
) -> figure:
    """Optical, X-ray and combined picture of each object (Kosiba et al. 2020, Figs. 4 and 9 to 11).

    Cut-outs (n, y, x) of the same objects; one title per object. Combined, X-rays are a warm glow on the
    optical image.
    """
    pictures = [png_uri(one) for three in plate_pictures(optical, xray) for one in three]
    captions = [text for words in titles for text in (words, "", "")]
    return gallery(pictures, captions, columns=3, size_px=180, title=title,
                   column_titles=("optical", "X-ray", "combined"))  # fmt: skip


def sample_overlap(survey: Table, subjects: ArrayLike, *, title: str = "") -> figure:
    """What experts' candidates, the Hunt's and the test set share (Kosiba et al. 2020, Fig. 7)."""
    ids, split = text(survey["object_id"]), text(survey["split"])
    groups = {"experts": ids[split != ""], "the Hunt": text(subjects), "test": ids[split == "test"]}
    shared = overlap_table(groups)
    words = {str(row["part"]): f"{row['part']} ({row['objects']:,})" for row in shared}
    plot = bars(shared, "group", "objects", by="part", stacked=True, labels=words, title=title, width=760)
    plot.add_layout(plot.legend[0], "right")
    return plot


def extent_planes(survey: Table, judged: Predictions | None = None, *, title: str = "") -> GridPlot | Div:
    """The plane of extents by experts' and by volunteers' classes (Kosiba et al. 2020, Figs. B1 and B2).

    `survey` has what the finder measured, as `labkit.evaluate.FOUND` calls it, and ``label`` and ``split``;
    `judged` are the volunteers' verdicts on some of its objects. Above the test set, below the others; a
    panel without an object is left out. Without verdicts one panel, by the experts' labels.
    """
    if not {*FOUND} <= {*survey.colnames}:
        return absent(title or "Plane of extents")
    options: dict[str, Any] = {"extent": "fitted_extent", "details": ["object_id", "label"]}
    if judged is None:
        labelled = survey[text(survey["label"]) != ""]
        return grid([[extent_plane(labelled, by="label", title=title, **options)]])
    shown, ids = Table(survey, copy=False), text(survey["object_id"])
    given = dict(zip(text(judged.table["object_id"]).tolist(), judged.decided.tolist(), strict=True))
    shown["volunteers"] = [given.get(name, "") for name in ids.tolist()]
    shown["experts"] = BINARY.decode(BINARY.encode(text(survey["label"])))
    tested, panels = text(survey["split"]) == "test", []
    for place, rows in (("test set", tested), ("other candidates", ~tested)):
        for by in ("experts", "volunteers"):
            if (some := rows & (text(shown[by]) != "")).any():
                words = f"{place}, by {by}"
                panels.append(extent_plane(shown[some], by=by, title=words, width=470, height=430, **options))
    return grid(panels, columns=2)


def volunteer_sheet(xray: ArrayLike, optical: ArrayLike, *, title: str = "") -> figure:
    """What a volunteer of the Hunt is shown of a candidate (Kosiba et al. 2020, Fig. 1).

    Raw X-ray counts and plate densities (y, x) in the colours of XAmin's pictures, above with X-ray contours
    and a cyan cross at the candidate, below without.
    """
    pictures = [*_pictures(xray, optical)] * 2
    words = ("X-ray, with contours", "optical, with contours", "X-ray", "optical")
    return _sheet(pictures, words, {0: _contours(xray), 1: _contours(xray)}, crosses=(0, 1), title=title)


def expert_sheet(xray: ArrayLike, optical: ArrayLike, *, title: str = "") -> figure:
    """What an expert is shown of a candidate (Kosiba et al. 2020, Fig. 3), from 7 arcmin cut-outs (y, x).

    The X-ray image with contours; what the wavelet filter finds in it; the image smoothed by 7.5 arcsec with
    contours of its own; and the plate's middle, 4 arcmin, with the wavelet's contours.
    """
    counts = np.asarray(xray, dtype=np.float32)
    _, upper = xamin.xray_cuts(counts)
    level = np.full(counts.shape, upper / xamin.XRAY_MAX_OVER_LEVEL, dtype=np.float32)
    found = poisson_filter(counts, level).image
    soft = smoothed(counts, sigma_px=_SMOOTHING / 60 / _SIDE * len(counts))
    cut = round(len(counts) * (1 - _CENTRE / _SIDE) / 2)
    raw, plate = _pictures(xray, optical)
    dark = [1 - grey_levels(one, limits=limits_of(one, upper=99.9), stretch="sqrt") for one in (found, soft)]
    contours = {0: _contours(xray), 2: _contours(soft), 3: _contours(found, cut=cut)}
    words = ("X-ray, with contours", "wavelet filter", "Gaussian smoothing", f"optical, middle {_CENTRE:g}′")
    pictures: list[NDArray] = [raw, *dark, plate[cut : len(plate) - cut, cut : len(plate) - cut]]
    return _sheet(pictures, words, contours, crosses=(0, 3), title=title)


def _pictures(xray: ArrayLike, optical: ArrayLike) -> Iterator[NDArray[np.uint8]]:
    """Both images in XAmin's colours, (y, x, 3)."""
    for paint, image in ((xamin.xamin_xray, xray), (xamin.xamin_optical, optical)):
        yield np.moveaxis(paint(image, output="colour"), 0, -1)


def _contours(image: ArrayLike, *, cut: int = 0) -> list[NDArray]:
    """Contours as shares of the side that is left when `cut` pixels are cut off all around; NaN beyond."""
    side = len(np.asarray(image)) - 2 * cut
    lines = [(line + 0.5 - cut) / side for _, level in contour_lines(np.asarray(image)) for line in level]
    return [np.where((np.abs(line - 0.5) <= 0.5).all(axis=1, keepdims=True), line, np.nan) for line in lines]


def _sheet(
    pictures: Sequence[NDArray], titles: Sequence[str], contours: Mapping[int, list[NDArray]], *,
    crosses: Sequence[int], title: str,
) -> figure:  # fmt: skip
    """Four pictures, two in a row, some with contours or a cross."""
    plot = gallery([png_uri(one) for one in pictures], titles, columns=2, size_px=300, title=title)
    (source,) = [one.data_source for one in plot.renderers if isinstance(one.glyph, ImageURL)]
    corners = np.column_stack([source.data["x"], source.data["y"]])
    lines = [corners[number] + line for number, some in contours.items() for line in some]
    plot.multi_line([line[:, 0] for line in lines], [line[:, 1] for line in lines], line_width=1.2,
                    line_color=PALETTE[2], name="contours")  # fmt: skip
    plot.scatter(*(corners[list(crosses)] + 0.5).T, marker="cross", size=24, line_width=2, line_color="cyan",
                 name="candidate")  # fmt: skip
    return plot


def agreement(table: Table, *, title: str = "") -> figure:
    """Share of the single answers that agree with the experts, by ending answer (Kosiba et al. 2020, Fig. 6).

    `table` is from `labkit.votes.agreement_with`; ending answers without a counterpart are left out.
    """
    shown = Table(table, copy=True)[np.isfinite(column_values(table, "fraction"))]
    if not len(shown):
        raise InputError("table must have ending answers with a fraction, got none; compare the labels")
    shown["agree"] = [f"{row['fraction']:.0%} of {row['answers']:,}" for row in shown]
    details = {"ending": "", "experts": "", "agree": ""}
    plot = bars(shown, "ending", "fraction", by="class", beside="agree", details=details, title=title,
                palette=class_colours(text(table["class"]).tolist()), width=640,
                x_label="share of the answers that agree with the experts")  # fmt: skip
    plot.x_range = Range1d(0, 1.3)
    plot.xaxis.ticker = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    return plot


def decision_tree(tree: DecisionTree, *, counts: ArrayLike | None = None, title: str = "") -> figure:
    """The questions of a tree and its ending answers (Kosiba et al. 2020, Fig. 2), read from the left.

    Questions are grey, ending answers have the colour of their class; the answer that leads to a question
    stands above it. `counts` (answers,) says how often each answer was given, such as the sum of
    `labkit.votes.answer_counts`: its share of all classifications stands in the box it leads to.
    """
    given = None if counts is None else np.asarray(counts, dtype=float)
    if given is not None and given.shape != (len(tree.choices),):
        raise InputError(f"counts must have one number per answer, {len(tree.choices)}, got {given.shape}")
    nodes = _nodes(tree)
    width = round(max(1040, max(node["x"] for node in nodes) + _BOX / 2 + 8))
    height = round(max(node["y"] for node in nodes) + _ROW / 2 + 2)
    plot = axes(title=title, x="", y="", width=width, height=height + 50 * bool(title), grid=False,
                x_range=Range1d(-4, width - 28), y_range=Range1d(height, 0), tools="save")  # fmt: skip
    plot.axis.visible, plot.outline_line_color = False, None
    for node in nodes[1:]:  # from the right side of the question to the left side of its answer, two corners
        question, end = node["parent"], node["x"] - _BOX / 2
        bend = end - _GAP / 2
        plot.line([question["x"] + _BOX / 2, bend, bend, end], [question["y"]] * 2 + [node["y"]] * 2,
                  color="#888888", line_width=1.4, name="connection")  # fmt: skip
    source = ColumnDataSource(_boxes(tree, nodes, given))
    boxes = plot.rect("x", "y", _BOX, "height", source=source, fill_color="colour", fill_alpha=0.28,
                      line_color="colour", line_width=1.6, border_radius=6)  # fmt: skip
    style = {"text_font": GLYPH_FONT, "text_align": "center", "text_color": INK, "source": source}
    plot.text("x", "y", "text", text_baseline="middle", text_font_size="12px", **style)
    plot.text("x", "top", "above", text_baseline="bottom", text_font_size="11px", text_font_style="italic",
              **style)  # fmt: skip
    hover(plot, [boxes], [("", "@whole"), ("class", "@class"), ("share", "@share")])
    return plot


def _nodes(tree: DecisionTree) -> list[dict[str, Any]]:
    """All boxes; ending answers in rows from above, a question in the middle of what it leads to.

    Each has its text, its class ("" for a question), its middle in pixels, the question it follows, the
    number of the answer that leads to it, and for a question the words of that answer.
    """
    nodes: list[dict[str, Any]] = []
    rows = iter(range(len(tree.choices) + 1))
    questions = {question.task: number for number, question in enumerate(tree.questions)}

    def place(task: str, column: int, **about: Any) -> float:
        number, heights = questions[task], []
        x, question = column * (_BOX + _GAP) + _BOX / 2, tree.questions[number]
        nodes.append(own := {"text": question.text, "class": "", "x": x, **about})
        for offset, answer in enumerate(question.choices):
            leads = {"parent": own, "choice": int(tree.offsets[number]) + offset}
            if answer.next is not None:
                heights.append(place(answer.next, column + 1, above=answer.text, **leads))
                continue
            heights.append(_ROW * (next(rows) + 0.5) + 8)
            leads |= {"text": str(answer.leaf), "class": str(answer.verdict), "above": ""}
            nodes.append({"x": x + _BOX + _GAP, "y": heights[-1], **leads})
        own["y"] = float(np.mean(heights))
        return own["y"]

    place(tree.tasks[0], 0, above="", parent=None, choice=-1)
    return nodes


def _boxes(tree: DecisionTree, nodes: list[dict[str, Any]], counts: np.ndarray | None) -> dict[str, list]:
    palette = class_colours(tree.classes)
    share = [np.nan] * len(nodes)
    if counts is not None:
        start = max(counts[tree.question_of == 0].sum(), 1)
        share = [counts[node["choice"]] / start if node["choice"] >= 0 else np.nan for node in nodes]
    shown = ["" if np.isnan(s) else f"{s:.1%}" if s < 0.1 else f"{s:.0%}" for s in share]
    lines = [[*wrap(n["text"], _CHARACTERS), *([s] if s else [])] for n, s in zip(nodes, shown, strict=True)]
    heights = [_LINE * len(line) + 9 for line in lines]
    return {
        **{name: [node[name] for node in nodes] for name in ("x", "y", "above")},
        "top": [node["y"] - height / 2 - 2 for node, height in zip(nodes, heights, strict=True)],
        "height": heights,
        "text": ["\n".join(line) for line in lines],
        "whole": [node["text"] for node in nodes],
        "class": [node["class"] or "question" for node in nodes],
        "share": shown,
        "colour": [palette[node["class"]] if node["class"] else PALETTE[7] for node in nodes],
    }
