"""Pieces of HTML that the widget and its static twin share: counts, ROC curve, pictures, the field.

The curve is an SVG and no Bokeh figure because the twin must show the same without a script.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from labkit.views.inspector.pictures import Lines, Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Summary

_CONTOUR = "#4de3ff"


_MOST = 2000  # dots; the nearest are drawn
_SIDE = 226


def headline(state: ErrorState, words: str) -> str:
    """The title: experiment, runs, objects, and what else is to be said."""
    runs = f"mean of {state.objects.runs} runs" if state.objects.runs > 1 else "one run"
    words = f"{state.objects.experiment}, {runs} · {len(state.objects):,} objects · {words}"
    return f'<div class="lk-head"><b>Error inspection</b><span>{html.escape(words)}</span></div>'


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


def _round_length(most_arcsec: float) -> tuple[float, str]:
    """The longest round angle up to a limit, arcsec, and how it is written."""
    known = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
    length = max((one for one in known if one <= most_arcsec), default=most_arcsec)
    return length, f"{length / 60:g}′" if length >= 60 else f"{length:g}″"


def _scale_bar(pictures: Pictures) -> str:
    """A bar of a round length near a fifth of the picture, and ticks that point at the centre."""
    side = (pictures.sample.pixel_scale * pictures.sample.shape[3]).to_value(u.arcsec)
    length, words = _round_length(side / 4)
    share = 100 * length / side
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


@dataclass(frozen=True)
class Neighbours:
    """Objects of one cluster, drawn in this order: the nearest to the chosen one late, itself last."""

    cluster: str
    index: NDArray[np.int64]  # (n,), numbers of the objects
    x: NDArray[np.float64]  # (n,), to the west of the middle of the field, arcsec
    y: NDArray[np.float64]  # (n,), to the north


def neighbours_of(state: ErrorState, index: int) -> Neighbours | None:
    """The objects of the same cluster; None without a column ``cluster``, its name, or a position."""
    if "cluster" not in state.catalogue.colnames:
        return None
    cluster = state.column("cluster")
    name = str(cluster[index])
    same = np.flatnonzero(cluster == cluster[index]) if name else np.array([], dtype=np.int64)
    rows = state.objects.row[same]
    ra, dec = (state.catalogue[column][rows].to_value(u.deg) for column in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    same, ra, dec = same[known], np.asarray(ra[known]), np.asarray(dec[known])
    if index not in same:
        return None
    middle = (dec.min() + dec.max()) / 2
    east = (ra - ra[0] + 180) % 360 - 180  # a field may lie across the first meridian
    x = -(east - (east.min() + east.max()) / 2) * np.cos(np.radians(middle)) * 3600
    y = (dec - middle) * 3600
    own = same == index
    order = np.argsort(-np.hypot(x - x[own], y - y[own]), kind="stable")[-_MOST:]
    return Neighbours(name, same[order], x[order], y[order])


def field_svg(state: ErrorState, index: int) -> str:
    """The field around an object, north up and east left, as a figure; empty without neighbours."""
    found = neighbours_of(state, index)
    if found is None:
        return ""
    reach = 1.06 * max(np.abs(found.x).max(), np.abs(found.y).max(), 1.0)
    scale = _SIDE / (2 * reach)
    places = np.column_stack([_SIDE / 2 + found.x * scale, _SIDE / 2 - found.y * scale])
    groups = [state.group_of(int(one)) for one in found.index]
    dots = "".join(
        f'<circle class="lk-kind-{group}" cx="{x:.1f}" cy="{y:.1f}" r="{2.6 if group[0] == "F" else 2}">'
        f"<title>{html.escape(str(state.objects.object_id[one]))} {group}</title></circle>"
        for one, group, (x, y) in zip(found.index, groups, places, strict=True)
    )
    x, y = places[-1]
    length, words = _round_length(reach / 2)
    foot = _SIDE - 8
    key = " ".join(f'<tspan class="lk-kind-{name}">● {name}</tspan>' for name in GROUPS if name in groups)
    return (
        f'<figure class="lk-shot lk-field"><figcaption>field of {html.escape(found.cluster)}, '
        f"{len(found.index):,} objects, north up</figcaption>"
        f'<svg viewBox="0 0 {_SIDE} {_SIDE + 16}" width="{_SIDE}"><rect width="{_SIDE}" height="{_SIDE}"/>'
        f'{dots}<circle class="lk-ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        f'<path d="M8 {foot}h{length * scale:.1f}"/><text x="8" y="{foot - 4}">{words}</text>'
        f'<text x="0" y="{_SIDE + 13}">{key}</text></svg></figure>'
    )
