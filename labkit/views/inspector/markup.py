"""Pieces of HTML that the widget and its static twin share: counts, curve, pictures, an object's facts."""

from __future__ import annotations

import html

import astropy.units as u
import numpy as np
from astropy.table import Row

from labkit.views.inspector.pictures import Lines, Pictures
from labkit.views.inspector.rows import grid, in_order, with_redshift
from labkit.views.inspector.sky import links, sexagesimal
from labkit.views.inspector.state import GROUPS, ErrorState, Summary
from labkit.views.inspector.verdicts import Verdict

__all__ = [
    "contour_svg",
    "facts",
    "matrix",
    "number",
    "picture_box",
    "ratios",
    "roc_svg",
    "shots",
    "summary_of",
    "verdict_words",
]

_CONTOUR = "#4de3ff"
_SHORT = {"agree": "✓ label stands", "relabel": "→", "doubtful": "? doubtful", "note": "✎ note"}


def number(value: float, digits: int = 3) -> str:
    """A number for a reader; a dash where it is undefined."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def matrix(summary: Summary, positive: str) -> str:
    """The confusion counts, truth in rows and decision in columns."""
    name, counts = html.escape(positive), summary.counts

    def cell(group: str) -> str:
        return (
            f'<td class="lk-cell lk-kind-{group}" title="{GROUPS[group]}">'
            f"{group} <b>{counts[group]:,}</b></td>"
        )

    return (
        f'<table class="lk-matrix"><tr><th></th><th>taken as {name}</th><th>not taken</th></tr>'
        f"<tr><th>{name}</th>{cell('TP')}{cell('FN')}</tr><tr><th>other</th>{cell('FP')}{cell('TN')}</tr></table>"
    )


def ratios(summary: Summary) -> str:
    """Accuracy, precision (purity), recall (completeness) and false positive rate."""
    shown = {
        "accuracy": summary.accuracy,
        "precision": summary.precision,
        "recall": summary.recall,
        "FPR": summary.fpr,
    }
    cells = "".join(f"<div><b>{number(value)}</b><span>{name}</span></div>" for name, value in shown.items())
    return f'<div class="lk-ratios">{cells}</div>'


def roc_svg(state: ErrorState) -> str:
    """The ROC curve with the operating point, as an SVG that names the place of its frame in ``data-box``."""
    left, top, side = 42, 8, 226
    pieces = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x, y = left + tick * side, top + (1 - tick) * side
        pieces += [
            f'<path class="lk-grid" d="M{x:.1f} {top}v{side}M{left} {y:.1f}h{side}"/>',
            f'<text x="{x:.1f}" y="{top + side + 14}" text-anchor="middle">{tick:.1f}</text>',
            f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:.1f}</text>',
        ]
    middle, foot = top + side / 2, top + side
    points = zip(state.roc["fpr"], state.roc["tpr"], strict=True)
    line = " ".join(f"{left + x * side:.1f},{top + (1 - y) * side:.1f}" for x, y in points)
    summary = state.summary
    known = bool(np.isfinite(summary.fpr) and np.isfinite(summary.recall))
    x, y = (left + summary.fpr * side, top + (1 - summary.recall) * side) if known else (left, foot)
    hidden = "" if known else ' style="display:none"'
    return (
        f'<svg class="lk-curve" viewBox="0 0 {left + side + 10} {foot + 36}" data-box="{left} {top} {side}">'
        f'{"".join(pieces)}<rect class="lk-frame" x="{left}" y="{top}" width="{side}" height="{side}"/>'
        f'<path class="lk-guess" d="M{left} {foot}L{left + side} {top}"/>'
        f'<text x="{left + side / 2}" y="{foot + 30}" text-anchor="middle">false positive rate</text>'
        f'<text x="11" y="{middle}" text-anchor="middle" transform="rotate(-90 11 {middle})">true positive '
        f'rate</text><polyline class="lk-line" points="{line}"/>'
        f'<path class="lk-cross" d="M{left} {y:.1f}H{x:.1f}V{foot}"{hidden}/>'
        f'<circle class="lk-point" cx="{x:.1f}" cy="{y:.1f}" r="6"{hidden}/>'
        f'<text class="lk-label" x="{left + side - 8}" y="{foot - 10}" text-anchor="end">'
        f"AUC {number(state.auc)}</text></svg>"
    )


def contour_svg(lines: Lines, *, size: tuple[int, int]) -> str:
    """Contours as an SVG that lies on a picture; the first row of pixels is at the bottom."""
    height, width = size
    paths = []
    for place, (level, pieces) in enumerate(lines):
        steps = "".join(
            "M" + "L".join(f"{x + 0.5:.1f} {height - y - 0.5:.1f}" for x, y in piece) for piece in pieces
        )
        opacity = 0.55 + 0.45 * place / max(1, len(lines) - 1)
        paths.append(
            f'<path d="{steps}" opacity="{opacity:.2f}" vector-effect="non-scaling-stroke">'
            f"<title>{level:.4g}</title></path>"
        )
    return (
        f'<svg class="lk-contours" viewBox="0 0 {width} {height}" preserveAspectRatio="none" fill="none" '
        f'stroke="{_CONTOUR}" stroke-width="1.2">{"".join(paths)}</svg>'
    )


def _scale_bar(pictures: Pictures) -> str:
    """A bar of a round length near a fifth of the picture, and ticks that point at the centre."""
    side = (pictures.sample.pixel_scale * pictures.sample.shape[3]).to_value(u.arcsec)
    length = max(
        (one for one in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if one <= side / 4), default=side / 4
    )
    words, share = (f"{length / 60:g}′" if length >= 60 else f"{length:g}″"), 100 * length / side
    ticks = "".join(
        f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}"/>'
        for a, b, c, d in ((50, 42, 50, 46), (50, 54, 50, 58), (42, 50, 46, 50), (54, 50, 58, 50))
    )
    return (
        '<svg viewBox="0 0 100 100" stroke="#fff" stroke-width="0.6" opacity="0.85">'
        f'{ticks}<line x1="4" y1="95" x2="{4 + share:.2f}" y2="95" stroke-width="1"/>'
        f'<text x="4" y="92" fill="#fff" stroke="none" font-size="5.5">{words}</text></svg>'
    )


def picture_box(
    pictures: Pictures, row: int, style: str, *, contours: bool = True, target: str | None = None
) -> str:
    """One large picture of an object with its contours, scale bar and the activation for a class."""
    lines = pictures.contours(row, style) if contours else []
    drawn = contour_svg(lines, size=pictures.sample.shape[2:]) if lines else ""
    words = style + (f" + {pictures.name_of(pictures.styles[style].contours)} contours" if lines else "")
    words += " + activation" if target is not None else ""
    uri = pictures.uri(row, style, size_px=536, target=target)
    return (
        f'<figure class="lk-shot"><figcaption>{html.escape(words)}</figcaption><div class="lk-frame-box">'
        f'<img src="{uri}" alt="{html.escape(style)}">{drawn}{_scale_bar(pictures)}</div></figure>'
    )


def shots(
    pictures: Pictures, row: int, *, shown: str = "", contours: bool = True, target: str | None = None
) -> str:
    """Large pictures of an object side by side; of more than three, the first large and the others small."""
    names = pictures.main(shown)
    boxes = [picture_box(pictures, row, name, contours=contours, target=target) for name in names]
    if len(boxes) > 3:
        boxes = [boxes[0], f'<div class="lk-small">{"".join(boxes[1:])}</div>']
    return f'<div class="lk-shots">{"".join(boxes)}</div>'


def facts(state: ErrorState, index: int, pictures: Pictures, verdict: Verdict | None = None) -> str:
    """All that is known of an object: classes, position with links, votes, catalogue row, verdict."""
    objects = state.objects
    row = state.catalogue[int(objects.row[index])]
    said = f"<div>verdict: <b>{html.escape(verdict_words(verdict))}</b></div>" if verdict else ""
    catalogue = {name: row[name] for name in in_order(state.catalogue.colnames)}
    votes = {}
    if state.votes is not None:
        place = int(objects.vote_row[index])
        names = [name for name in state.votes.colnames if name != "object_id"]
        votes = {name: state.votes[name][place] for name in names} if place >= 0 else {"votes": "none"}
    return (
        f'<div class="lk-facts">{_head(state, index)}{said}{_place(row, pictures)}{_bars(state, index)}'
        f"{grid(votes)}{grid(catalogue)}</div>"
    )


def summary_of(state: ErrorState, index: int) -> str:
    """What catalogue and network say of an object, in three lines."""
    row = state.catalogue[int(state.objects.row[index])]
    label = with_redshift(str(row["label"]) or "no label", row)
    return (
        f'<div class="lk-facts">{_head(state, index)}'
        f'<div class="lk-place">labelled {html.escape(label)}</div>'
        f"{_bars(state, index)}</div>"
    )


def _head(state: ErrorState, index: int) -> str:
    true, group = state.true(index) or "unknown", state.group_of(index)
    return (
        f"<h4>{html.escape(str(state.objects.object_id[index]))}</h4>"
        f'<div><b style="color:var(--lk-{group.lower()})">{group}</b>: '
        f"true class <b>{html.escape(true)}</b>, "
        f"network says <b>{html.escape(state.decided(index))}</b></div>"
    )


def verdict_words(verdict: Verdict) -> str:
    """A verdict in a few words."""
    if not verdict.counts:
        return "withdrawn"
    words = f"→ {verdict.label}" if verdict.verdict == "relabel" else _SHORT[verdict.verdict]
    return f"{words} ({verdict.note})" if verdict.note else words


def _place(row: Row, pictures: Pictures) -> str:
    ra, dec = row["ra"], row["dec"]
    words = sexagesimal(ra, dec)
    if not words:
        return '<div class="lk-place">position unknown</div>'
    side = pictures.sample.pixel_scale * pictures.sample.shape[3]
    simulated = "simulated" in str(pictures.sample.provenance.get("source", ""))
    anchors = " · ".join(
        f'<a href="{html.escape(address)}" target="_blank" rel="noopener">{name}</a>'
        for name, address in links(ra, dec, width=side).items()
    )
    degrees = f"{ra.to_value(u.deg):.5f} {dec.to_value(u.deg):+.5f}°"
    note = " · simulated position" if simulated else ""
    return f'<div class="lk-place">{words} &nbsp; {degrees}{note}<br>{anchors}</div>'


def _bars(state: ErrorState, index: int) -> str:
    objects, cells = state.objects, []
    for name, p, spread in zip(
        objects.classes, objects.probabilities[index], objects.spread[index], strict=True
    ):
        spread_text = f" ± {spread:.3f}" if np.isfinite(spread) else ""
        cells.append(
            f'<span>{html.escape(name)}</span><span class="lk-ground"><i style="width:{100 * p:.1f}%"></i>'
            f"</span><span>{p:.3f}{spread_text}</span>"
        )
    return f'<div class="lk-bar">{"".join(cells)}</div>'
