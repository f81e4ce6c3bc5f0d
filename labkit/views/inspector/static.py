"""The static twin of the inspector for headless runs: counts, curve, the surest of each group."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np

from labkit.errors import InputError
from labkit.views.inspector import markup
from labkit.views.inspector.facts import card, describe_briefly, describe_object
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.inspector.verdicts import Journal
from labkit.views.tables import Html

_STYLE = (Path(__file__).parent / "front" / "style.css").read_text()


def error_page(
    state: ErrorState, pictures: Pictures, *, journal: Journal | None = None, objects: int = 3
) -> Html:
    """One page that shows what the inspector would: no script, nothing from outside.

    Parameters
    ----------
    state : ErrorState
        Right and wrong decisions at a threshold.
    pictures : Pictures
        Of the Sample; only the objects shown are read.
    journal : Journal, optional
        Verdicts to count.
    objects : int
        Objects shown of each group, the surest decisions first.

    Returns
    -------
    Html
        The page.

    Raises
    ------
    InputError
        If `objects` is below 1.
    """
    rows = {name: _surest(state, pictures, name, objects) for name in GROUPS}
    summary = state.summary
    left = markup.roc_svg(state) + markup.matrix(summary, state.positive) + markup.ratios(summary)
    shown = [name for name in GROUPS if name in ("TP", "FP", "FN", "TN") or summary.counts[name]]
    right = "".join(_group(state, pictures, name, rows[name], objects) for name in shown)
    return _page(
        f"{markup.headline(state, f'threshold {state.threshold:.3f}')}"
        f'<div class="lk-halves"><div class="lk-left">{left}{_judged(journal)}</div>'
        f'<div class="lk-right">{right}</div></div>{_in_field(state, pictures, rows["FP"])}'
    )


def error_sheet(
    state: ErrorState,
    pictures: Pictures,
    group: str,
    *,
    objects: int = 3,
    target: str | None = None,
    size_px: int = 176,
) -> Html:
    """The surest decisions of one group, one row each (Kosiba et al. 2020, Figs. 9 to 11).

    Parameters
    ----------
    state : ErrorState
        Right and wrong decisions at a threshold.
    pictures : Pictures
        Of the Sample; only the objects shown are read.
    group : str
        One of `GROUPS`.
    objects : int
        Rows.
    target : str, optional
        Add a last picture with the activation for this class, on the first style's.
    size_px : int
        Width of a picture on the screen.

    Returns
    -------
    Html
        Every style's picture of each object and what the catalogue and the network say of it; a line of text
        if the group is empty.

    Raises
    ------
    InputError
        If the group is unknown, `objects` is below 1, or `target` is given without an activation function.
    """
    found = _surest(state, pictures, group, objects)
    body = "".join(_sheet_row(state, pictures, int(index), target) for index in found)
    body = body or f'<div class="lk-empty">no {GROUPS[group]} at this threshold</div>'
    return _page(body, style=f"--lk-size:{size_px}px;border:none")


def _page(body: str, *, style: str = "") -> Html:
    return Html(f'<style>{_STYLE}</style><div class="labkit-inspector" style="{style}">{body}</div>')


def _surest(state: ErrorState, pictures: Pictures, group: str, objects: int) -> np.ndarray:
    """Numbers of the surest decisions of a group, their pixels read at once."""
    if objects < 1:
        raise InputError(f"objects must be at least 1, got {objects}")
    rows = state.page(Selection(group=group), 0, size=objects)
    if len(rows):
        pictures.read(state.objects.row[rows])
    return rows


def _in_field(state: ErrorState, pictures: Pictures, rows: np.ndarray) -> str:
    """The surest false positive large, with its place in the field; empty where there are no fields."""
    place = markup.field_svg(state, int(rows[0])) if len(rows) else ""
    if not place:
        return ""
    shots = markup.shots(pictures, int(state.objects.row[rows[0]]))
    return f'<div class="lk-detail">{shots}{place}{describe_object(state, int(rows[0]), pictures)}</div>'


def _sheet_row(state: ErrorState, pictures: Pictures, index: int, target: str | None) -> str:
    row = int(state.objects.row[index])
    boxes = [markup.picture_box(pictures, row, style) for style in pictures.main()]
    if target is not None:
        boxes.append(markup.picture_box(pictures, row, next(iter(pictures.styles)), target=target))
    shots = f'<div class="lk-shots">{"".join(boxes)}</div>'
    facts = f"{markup.field_svg(state, index)}{describe_briefly(state, index)}"
    return f'<div class="lk-detail">{shots}{facts}</div>'


def _judged(journal: Journal | None) -> str:
    if journal is None:
        return ""
    names = [verdict.verdict for verdict in journal.current.values() if verdict.counts]
    kinds, counts = np.unique(names, return_counts=True)
    each = ", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True)) or "none yet"
    return f'<div class="lk-status">Verdicts: {each}</div>'


def _group(state: ErrorState, pictures: Pictures, name: str, rows: np.ndarray, columns: int) -> str:
    cards = "".join(_card(state, pictures, int(index)) for index in rows)
    cards = cards or f'<div class="lk-empty">no {GROUPS[name]}</div>'
    return (
        f'<div class="lk-kind-{name}"><div class="lk-title"><b>{name}</b> {GROUPS[name]}: '
        f'{state.summary.counts[name]:,}</div><div class="lk-sheet" '
        f'style="grid-template-columns:repeat({columns},minmax(0,1fr))">{cards}</div></div>'
    )


def _card(state: ErrorState, pictures: Pictures, index: int) -> str:
    row, styles = int(state.objects.row[index]), pictures.main()
    shown = card(state, pictures, index, styles)
    strip = "".join(_picture(pictures, row, *pair) for pair in zip(styles, shown["pictures"], strict=True))
    return (
        f'<div class="lk-card"><div class="lk-card-head"><span class="lk-card-id">{html.escape(shown["id"])}'
        f'</span><span class="lk-card-p">{shown["probability"]}</span></div>'
        f'<div class="lk-strip">{strip}</div>'
        f'<div class="lk-card-foot">{html.escape(shown["foot"])}</div></div>'
    )


def _picture(pictures: Pictures, row: int, style: str, uri: str) -> str:
    lines = pictures.contours(row, style, levels=3)
    drawn = markup.contour_svg(lines, size=pictures.sample.shape[2:]) if lines else ""
    image = f'<img class="lk-picture" src="{uri}" alt="{html.escape(style)}">'
    return f'<div class="lk-over">{image}{drawn}</div>'
