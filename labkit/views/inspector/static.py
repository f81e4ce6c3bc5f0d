"""The static twin of the inspector for runs without a screen: counts, curve, the surest of each group."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np

from labkit.errors import InputError
from labkit.views.inspector import markup
from labkit.views.inspector.neighbours import field_svg
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.rows import with_redshift
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.inspector.verdicts import Journal
from labkit.views.tables import Html

__all__ = ["error_page", "error_sheet"]

_STYLE = (Path(__file__).parent / "front" / "style.css").read_text()
_THUMBNAIL_PX = 150


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
    if objects < 1:
        raise InputError(f"objects must be at least 1, got {objects}")
    summary = state.summary
    runs = f"mean of {state.objects.runs} runs" if state.objects.runs > 1 else "one run"
    words = f"{state.objects.experiment}, {runs} · {len(state.objects):,} objects · "
    words += f"threshold {state.threshold:.3f}"
    left = (
        f"{markup.roc_svg(state)}{markup.matrix(summary, state.positive)}{markup.ratios(summary)}"
        f"{_judged(journal)}"
    )
    shown = [name for name in GROUPS if name in ("TP", "FP", "FN", "TN") or summary.counts[name]]
    right = "".join(_group(state, pictures, name, objects) for name in shown)
    below = _in_field(state, pictures)
    return Html(
        f'<style>{_STYLE}</style><div class="labkit-inspector">'
        f'<div class="lk-head"><b>Error inspection</b><span>{html.escape(words)}</span></div>'
        '<div style="display:flex;gap:16px;align-items:flex-start;margin-top:6px">'
        f'<div style="flex:0 0 292px">{left}</div><div style="flex:1;min-width:0">{right}</div></div>'
        f"{below}</div>"
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
    """The surest decisions of one group, a row each (Kosiba et al. 2020, Figs. 9 to 11).

    Parameters
    ----------
    state : ErrorState
        Right and wrong decisions at a threshold.
    pictures : Pictures
        Of the Sample; only the objects shown are read.
    group : str
        One of `labkit.views.inspector.state.GROUPS`.
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
    if objects < 1:
        raise InputError(f"objects must be at least 1, got {objects}")
    rows = state.page(Selection(group=group), 0, size=objects)
    if len(rows):
        pictures.read(state.objects.row[rows])
    body = "".join(_sheet_row(state, pictures, int(index), target) for index in rows)
    body = body or f'<div class="lk-empty">no {GROUPS[group]} at this threshold</div>'
    return Html(
        f'<style>{_STYLE}</style><div class="labkit-inspector" style="--lk-size:{size_px}px;border:none">'
        f"{body}</div>"
    )


def _in_field(state: ErrorState, pictures: Pictures) -> str:
    """The surest false positive large, with its place in the field; empty where there are no fields."""
    first = state.page(Selection(group="FP"), 0, size=1)
    place = field_svg(state, int(first[0])) if len(first) else ""
    if not place:
        return ""
    index = int(first[0])
    shots = markup.shots(pictures, int(state.objects.row[index]))
    return f'<div class="lk-detail">{shots}{place}{markup.facts(state, index, pictures)}</div>'


def _sheet_row(state: ErrorState, pictures: Pictures, index: int, target: str | None) -> str:
    row = int(state.objects.row[index])
    boxes = [markup.picture_box(pictures, row, style) for style in pictures.main()]
    if target is not None:
        boxes.append(markup.picture_box(pictures, row, next(iter(pictures.styles)), target=target))
    shots = f'<div class="lk-shots">{"".join(boxes)}</div>'
    place = field_svg(state, index)
    return (
        f'<div class="lk-detail" style="margin-bottom:8px">{shots}{place}'
        f"{markup.summary_of(state, index)}</div>"
    )


def _judged(journal: Journal | None) -> str:
    if journal is None:
        return ""
    names = [verdict.verdict for verdict in journal.current.values() if verdict.counts]
    kinds, counts = np.unique(names, return_counts=True)
    each = ", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True)) or "none yet"
    return f'<div class="lk-status" style="margin-top:8px">Verdicts: {each}</div>'


def _group(state: ErrorState, pictures: Pictures, name: str, number: int) -> str:
    rows = state.page(Selection(group=name), 0, size=number)
    if len(rows):
        pictures.read(state.objects.row[rows])
    cards = "".join(_card(state, pictures, int(index)) for index in rows)
    cards = cards or f'<div class="lk-empty" style="padding:12px">no {GROUPS[name]}</div>'
    return (
        f'<div class="lk-kind-{name}" style="margin-bottom:8px">'
        '<div style="border-left:4px solid var(--lk-kind);padding-left:6px;margin-bottom:3px">'
        f"<b>{name}</b> {GROUPS[name]}: {state.summary.counts[name]:,}</div>"
        f'<div class="lk-sheet" style="grid-template-columns:repeat({number},minmax(0,1fr))">{cards}</div>'
        "</div>"
    )


def _card(state: ErrorState, pictures: Pictures, index: int) -> str:
    row = int(state.objects.row[index])
    strip = "".join(_picture(pictures, row, style) for style in pictures.main())
    words = str(state.catalogue["label"][row]) or "no label"
    label = html.escape(with_redshift(words, state.catalogue[row]))
    return (
        f'<div class="lk-card"><div class="lk-card-head"><span class="lk-card-id">'
        f"{html.escape(str(state.objects.object_id[index]))}</span>"
        f'<span class="lk-card-p">p {state.score[index]:.3f}</span></div>'
        f'<div class="lk-strip">{strip}</div><div class="lk-card-foot">{label}</div></div>'
    )


def _picture(pictures: Pictures, row: int, style: str) -> str:
    lines = pictures.contours(row, style, levels=3)
    drawn = markup.contour_svg(lines, size=pictures.sample.shape[2:]) if lines else ""
    uri = pictures.uri(row, style, size_px=_THUMBNAIL_PX)
    return (
        f'<div style="position:relative;flex:1;min-width:0;max-width:150px">'
        f'<img class="lk-picture" style="width:100%" src="{uri}" alt="{html.escape(style)}">'
        f"{drawn.replace('<svg ', '<svg style=' + _OVER + ' ', 1)}</div>"
    )


_OVER = '"position:absolute;inset:0;width:100%;height:100%"'
