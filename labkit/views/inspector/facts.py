"""All that is known of an object, as HTML: classes, position with links, votes, catalogue row, verdict."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle
from astropy.table import Row

from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import ErrorState
from labkit.views.inspector.verdicts import Verdict

_SHORT = {"agree": "✓ label stands", "relabel": "→", "doubtful": "? doubtful", "note": "✎ note"}
_MARKS = {"agree": "✓", "relabel": "→", "doubtful": "?", "note": "✎"}
_THUMBNAIL_PX = 150
_HIDDEN = ("object_id", "ra", "dec")
_FIRST = ("label", "cluster", "cluster_redshift", "redshift", "velocity")
_LAST = ("coverage_", "label_", "split_")


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
        f'<div class="lk-facts">{_head(state, index)}{said}{_place(row, pictures)}{_bars(state, index)}'
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


def card(
    state: ErrorState,
    pictures: Pictures,
    index: int,
    styles: Sequence[str],
    sort: str = "confidence",
    verdict: Verdict | None = None,
) -> dict[str, Any]:
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
        "mark": _MARKS.get(verdict.verdict, "") if verdict else "",
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
