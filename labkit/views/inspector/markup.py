"""Pieces of HTML that the widget and its static twin share: counts, ROC curve, pictures, the field, facts.

The curve is an SVG and no Bokeh figure because the twin must show the same without a script.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle
from astropy.table import Row
from numpy.typing import NDArray

from labkit.views.inspector.pictures import Lines, Pictures
from labkit.views.inspector.state import GROUPS, ErrorState
from labkit.views.inspector.verdicts import Verdict
from labkit.views.style import round_length

_CONTOUR = "#4de3ff"
_MOST = 2000  # dots in the field; the nearest are drawn
_SIDE = 226
_SHORT = {"agree": "✓ label stands", "relabel": "→", "doubtful": "? doubtful", "note": "✎ note"}
_THUMBNAIL_PX = 150
_HIDDEN = ("object_id", "ra", "dec")
_FIRST = ("label", "cluster", "cluster_redshift", "redshift", "velocity")
_LAST = ("coverage_", "label_", "split_")


def headline(state: ErrorState, words: str) -> str:
    """The title: experiment, runs, objects, and what else is to be said."""
    runs = f"mean of {state.objects.runs} runs" if state.objects.runs > 1 else "one run"
    words = f"{state.objects.experiment}, {runs} · {len(state.objects):,} objects · {words}"
    return f'<div class="lk-head"><b>Error inspection</b><span>{html.escape(words)}</span></div>'


def counts(state: ErrorState) -> str:
    """The confusion counts, truth in rows and decision in columns; accuracy, purity, completeness and FPR."""
    name, summary = html.escape(state.positive), state.summary
    cells = {
        group: f'<td class="lk-cell lk-kind-{group}" title="{GROUPS[group]}">{group} <b>{number:,}</b></td>'
        for group, number in summary.counts.items()
    }
    shown = {"accuracy": summary.accuracy, "precision": summary.precision, "recall": summary.recall,
             "FPR": summary.fpr}  # fmt: skip
    ratios = "".join(f"<div><b>{_ratio(value)}</b><span>{key}</span></div>" for key, value in shown.items())
    return (
        f'<table class="lk-matrix"><tr><th></th><th>taken as {name}</th><th>not taken</th></tr>'
        f"<tr><th>{name}</th>{cells['TP']}{cells['FN']}</tr>"
        f"<tr><th>other</th>{cells['FP']}{cells['TN']}</tr></table>"
        f'<div class="lk-ratios">{ratios}</div>'
    )


def _ratio(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def roc_svg(state: ErrorState) -> str:
    """The ROC curve with the operating point, as an SVG that names the place of its frame in ``data-box``."""
    left, top, side = 42, 8, _SIDE
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
        f"AUC {_ratio(state.auc)}</text></svg>"
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
    length, words = round_length(side / 4)
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


def neighbours_of(state: ErrorState, index: int) -> tuple[NDArray[np.int64], NDArray, NDArray]:
    """Objects of the same cluster, and how far west and north of the field's middle they lie, arcsec.

    The nearest to the chosen one come late, itself last; none without a column ``cluster``, its name, or a
    position.
    """
    nothing = np.array([], dtype=np.int64), np.array([]), np.array([])
    if "cluster" not in state.catalogue.colnames:
        return nothing
    cluster = state.column("cluster")
    same = np.flatnonzero(cluster == cluster[index])
    ra, dec = (state.catalogue[name][state.objects.row[same]].to_value(u.deg) for name in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    same, ra, dec = same[known], np.asarray(ra[known]), np.asarray(dec[known])
    if not cluster[index] or index not in same:
        return nothing
    middle = (dec.min() + dec.max()) / 2
    east = (ra - ra[0] + 180) % 360 - 180  # a field may lie across the first meridian
    x = -(east - (east.min() + east.max()) / 2) * np.cos(np.radians(middle)) * 3600
    y = (dec - middle) * 3600
    own = same == index
    order = np.argsort(-np.hypot(x - x[own], y - y[own]), kind="stable")[-_MOST:]
    return same[order], x[order], y[order]


def field_svg(state: ErrorState, index: int) -> str:
    """The field around an object, north up and east left, as a figure; empty without neighbours."""
    found, west, north = neighbours_of(state, index)
    if not len(found):
        return ""
    reach = 1.06 * max(np.abs(west).max(), np.abs(north).max(), 1.0)
    scale = _SIDE / (2 * reach)
    places = np.column_stack([_SIDE / 2 + west * scale, _SIDE / 2 - north * scale])
    groups = [state.group_of(int(one)) for one in found]
    dots = "".join(
        f'<circle class="lk-kind-{group}" cx="{x:.1f}" cy="{y:.1f}" r="{2.6 if group[0] == "F" else 2}">'
        f"<title>{html.escape(str(state.objects.object_id[one]))} {group}</title></circle>"
        for one, group, (x, y) in zip(found, groups, places, strict=True)
    )
    x, y = places[-1]
    length, words = round_length(reach / 2)
    foot = _SIDE - 8
    key = " ".join(f'<tspan class="lk-kind-{name}">● {name}</tspan>' for name in GROUPS if name in groups)
    return (
        f'<figure class="lk-shot lk-field"><figcaption>field of '
        f"{html.escape(str(state.column('cluster')[index]))}, {len(found):,} objects, north up</figcaption>"
        f'<svg viewBox="0 0 {_SIDE} {_SIDE + 16}" width="{_SIDE}"><rect width="{_SIDE}" height="{_SIDE}"/>'
        f'{dots}<circle class="lk-ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        f'<path d="M8 {foot}h{length * scale:.1f}"/><text x="8" y="{foot - 4}">{words}</text>'
        f'<text x="0" y="{_SIDE + 13}">{key}</text></svg></figure>'
    )


def describe_object(state: ErrorState, index: int, pictures: Pictures, verdict: Verdict | None = None) -> str:
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
        f'<div class="lk-facts">{_head(state, index)}{said}{_position(row, pictures)}{_bars(state, index)}'
        f"{grid(votes)}{grid(catalogue)}</div>"
    )


def describe_briefly(state: ErrorState, index: int) -> str:
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
        f"class of its label <b>{html.escape(true)}</b>, "
        f"network says <b>{html.escape(state.decided(index))}</b></div>"
    )


def verdict_words(verdict: Verdict) -> str:
    """A verdict in a few words."""
    if not verdict.counts:
        return "withdrawn"
    words = f"→ {verdict.label}" if verdict.verdict == "relabel" else _SHORT[verdict.verdict]
    return f"{words} ({verdict.note})" if verdict.note else words


def _position(row: Row, pictures: Pictures) -> str:
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


def card(
    state: ErrorState, pictures: Pictures, index: int, styles: Sequence[str], sort: str = "confidence",
    verdict: Verdict | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What the card of an object shows, as plain text and data URIs; the value that it is sorted by, too."""
    row, name = int(state.objects.row[index]), str(state.objects.object_id[index])
    label = str(state.catalogue["label"][row]) or "no label"
    foot = with_redshift(label, state.catalogue[row])
    if sort not in ("confidence", "probability", "object_id", "label"):
        value = state.column(sort)[index]
        foot += f" · {sort} {f'{value:.4g}' if isinstance(value, float) else value}"
    return {
        "id": name,
        "probability": f"p {state.score[index]:.3f}",
        "foot": foot,
        "title": f"{name}: {label}" + (f"\n{verdict_words(verdict)}" if verdict else ""),
        "verdict": verdict.verdict if verdict else "",
        "mark": _SHORT[verdict.verdict][0] if verdict else "",
        "pictures": [pictures.uri(row, style, size_px=_THUMBNAIL_PX) for style in styles],
    }


def in_order(names: Sequence[str]) -> list[str]:
    """Columns to show, without id and position; of cluster members with what a reader asks for first."""
    shown = [name for name in names if name not in _HIDDEN]
    return sorted(shown, key=_rank) if "cluster" in names else shown


def _rank(name: str) -> tuple[int, int]:
    if name in _FIRST:
        return 0, _FIRST.index(name)
    return 3 if name.startswith(_LAST) else 1 if name.startswith("mag") else 2, 0


def with_redshift(words: str, row: Row) -> str:
    """A text with redshift and velocity in the cluster behind it, if the catalogue has both columns."""
    if not {"redshift", "velocity"} <= set(row.colnames):
        return words
    redshift, velocity = (float(getattr(row[name], "value", row[name])) for name in ("redshift", "velocity"))
    parts = [f"z {redshift:.4f}"] if np.isfinite(redshift) else []
    parts += [f"v {velocity:+,.0f} km/s".replace("-", "−")] if np.isfinite(velocity) else []
    return " · ".join([words, *parts])


def grid(values: Mapping[str, Any]) -> str:
    """Names and values side by side, as HTML; empty without any."""
    cells = "".join(
        f"<div><span>{html.escape(name)}</span><b>{html.escape(shown_value(value))}</b></div>"
        for name, value in values.items()
    )
    return f'<div class="lk-row">{cells}</div>' if cells else ""


def shown_value(value: Any) -> str:
    """A value for a reader, with its unit; a dash for NaN."""
    unit = f" {value.unit.to_string('unicode')}" if getattr(value, "unit", None) else ""
    plain: Any = getattr(value, "value", value)
    if isinstance(plain, float | np.floating):
        number = float(plain)
        words = f"{number:,.0f}" if 1e4 <= abs(number) < 1e7 else f"{number:.4g}"
        return "–" if np.isnan(number) else f"{words}{unit}"
    return f"{plain}{unit}"


def sexagesimal(ra: u.Quantity, dec: u.Quantity) -> str:
    """A position as "10h20m30.40s +04d05m06.7s"; empty if it is not finite."""
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    right = Angle(ra).to_string(unit=u.hourangle, precision=2, pad=True)
    return f"{right} {Angle(dec).to_string(unit=u.deg, precision=1, pad=True, alwayssign=True)}"


def links(ra: u.Quantity, dec: u.Quantity, *, width: u.Quantity) -> dict[str, str]:
    """Addresses of services that show an ICRS position in a field of some width; nothing is fetched."""
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return {}
    x, y, field = (float(value.to_value(u.deg)) for value in (ra, dec, width))
    place, radius = quote(f"{x:.6f} {y:+.6f}"), f"{30 * field:.2f}"
    return {
        "Aladin Lite": f"https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov={field:.3f}",
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={radius}&Radius.unit=arcmin",
        "NED": "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
        f"&ra={x:.6f}d&dec={y:.6f}d&radius={radius}&in_csys=Equatorial&in_equinox=J2000",
        "ESASky": f"https://sky.esa.int/?target={place}&fov={field:.3f}&sci=true",
    }
