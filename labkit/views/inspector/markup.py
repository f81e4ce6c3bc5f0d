"""What the widget and its static twin show as HTML: counts, ROC curve, pictures, the field, facts.

The tags are those of ``front/pieces.html.j2``, which escapes every text. The curve is an SVG and no Bokeh
figure because the twin must show the same without a script.
"""

from collections.abc import Sequence
from pathlib import Path
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
from labkit.views.tables import templates

FRONT = Path(__file__).parent / "front"
_MOST = 2000  # dots in the field; the nearest are drawn
_SIDE = 226
_SHORT = {"agree": "✓ label stands", "relabel": "→", "doubtful": "? doubtful", "note": "✎ note"}
_THUMBNAIL_PX = 150
_HIDDEN = ("object_id", "ra", "dec")
_FIRST = ("label", "cluster", "cluster_redshift", "redshift", "velocity")
_LAST = ("coverage_", "label_", "split_")

templates.filters |= {
    "whole": "{:,}".format,
    "tenth": "{:.1f}".format,
    "ratio": lambda value: f"{value:.3f}" if np.isfinite(value) else "–",
}
pieces: Any = templates.get_template("inspector/front/pieces.html.j2").module


def headline(state: ErrorState, words: str) -> str:
    """Experiment, runs, objects, and what else is to be said."""
    runs = f"mean of {state.objects.runs} runs" if state.objects.runs > 1 else "one run"
    return pieces.headline(f"{state.objects.experiment}, {runs} · {len(state.objects):,} objects · {words}")


def roc_svg(state: ErrorState) -> str:
    """The ROC curve with the operating point, as an SVG that names the place of its frame in ``data-box``."""
    left, top, summary = 42, 8, state.summary
    x = left + _SIDE * np.append(state.roc["fpr"], summary.fpr)
    y = top + _SIDE * (1 - np.append(state.roc["tpr"], summary.recall))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[:-1], y[:-1], strict=True))
    point = (x[-1], y[-1]) if np.isfinite([x[-1], y[-1]]).all() else None
    return pieces.curve(line, point, state.auc, left, top, _SIDE)


def contour_svg(lines: Lines, *, size: tuple[int, int]) -> str:
    """Contours as an SVG that lies on a picture, the first row of pixels at the bottom; empty without any."""
    height, width = size
    paths = []
    for level, parts in lines:
        points = ("L".join(f"{x + 0.5:.1f} {height - y - 0.5:.1f}" for x, y in one) for one in parts)
        paths.append((level, "".join(f"M{one}" for one in points)))
    return pieces.contours(paths, width, height)


def picture_box(
    pictures: Pictures, row: int, style: str, *, contours: bool = True, target: str | None = None
) -> str:
    """One large picture of an object with its contours, scale bar and the activation for a class."""
    lines = pictures.contours(row, style) if contours else []
    words = style + (f" + {pictures.name_of(pictures.styles[style].contours)} contours" if lines else "")
    words += " + activation" if target is not None else ""
    uri = pictures.uri(row, style, size_px=536, target=target)
    side = (pictures.sample.pixel_scale * pictures.sample.shape[3]).to_value(u.arcsec)
    length, scale = round_length(side / 4)
    drawn = contour_svg(lines, size=pictures.sample.shape[2:])
    return pieces.picture(words, style, uri, drawn, pieces.scale_bar(100 * length / side, scale))


def shots(
    pictures: Pictures, row: int, *, shown: str = "", contours: bool = True, target: str | None = None
) -> str:
    """Large pictures of an object side by side; of more than three, the first large and the others small."""
    options: dict[str, Any] = {"contours": contours, "target": target}
    return pieces.shots([picture_box(pictures, row, name, **options) for name in pictures.main(shown)])


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
    groups = [state.group_of(int(one)) for one in found]
    names, x, y = state.objects.object_id[found], _SIDE / 2 + west * scale, _SIDE / 2 - north * scale
    dots = list(zip(names.tolist(), groups, x, y, strict=True))
    length, words = round_length(reach / 2)
    there = [name for name in GROUPS if name in groups]
    return pieces.field(str(state.column("cluster")[index]), dots, length * scale, words, there, _SIDE)


def describe_object(state: ErrorState, index: int, pictures: Pictures, verdict: Verdict | None = None) -> str:
    """All that is known of an object: classes, position with links, votes, catalogue row, verdict."""
    row = state.catalogue[int(state.objects.row[index])]
    catalogue = {name: shown_value(row[name]) for name in in_order(state.catalogue.colnames)}
    votes = {}
    if state.votes is not None:
        place = int(state.objects.vote_row[index])
        names = [name for name in state.votes.colnames if name != "object_id"]
        votes = {name: shown_value(state.votes[name][place]) for name in names if place >= 0} or {
            "votes": "none"
        }
    said = verdict_words(verdict) if verdict else ""
    return pieces.facts(_decision(state, index), said, _position(row, pictures), [votes, catalogue])


def describe_briefly(state: ErrorState, index: int) -> str:
    """What catalogue and network say of an object, in three lines."""
    row = state.catalogue[int(state.objects.row[index])]
    label = with_redshift(str(row["label"]) or "no label", row)
    return pieces.facts(_decision(state, index), "", {"words": f"labelled {label}"}, [])


def _decision(state: ErrorState, index: int) -> dict[str, Any]:
    """What the network says of an object, and what it is."""
    objects = state.objects
    each = zip(objects.classes, objects.probabilities[index], objects.spread[index], strict=True)
    return {
        "name": str(objects.object_id[index]),
        "group": state.group_of(index),
        "true": state.true(index) or "unknown",
        "decided": state.decided(index),
        "probabilities": [
            (name, p, f"{p:.3f}" + (f" ± {spread:.3f}" if np.isfinite(spread) else ""))
            for name, p, spread in each
        ],
    }


def verdict_words(verdict: Verdict) -> str:
    """A verdict in a few words."""
    if not verdict.counts:
        return "withdrawn"
    words = f"→ {verdict.label}" if verdict.verdict == "relabel" else _SHORT[verdict.verdict]
    return f"{words} ({verdict.note})" if verdict.note else words


def _position(row: Row, pictures: Pictures) -> dict[str, Any]:
    """Where an object is, in words and with links."""
    ra, dec = row["ra"], row["dec"]
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return {"words": "position unknown"}
    simulated = "simulated" in str(pictures.sample.provenance.get("source", ""))
    return {
        "words": sexagesimal(ra, dec),
        "degrees": f"{ra.to_value(u.deg):.5f} {dec.to_value(u.deg):+.5f}°",
        "note": " · simulated position" if simulated else "",
        "links": links(ra, dec, width=pictures.sample.pixel_scale * pictures.sample.shape[3]),
    }


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
    """A position as "10h20m30.40s +04d05m06.7s"."""
    right = Angle(ra).to_string(unit=u.hourangle, precision=2, pad=True)
    return f"{right} {Angle(dec).to_string(unit=u.deg, precision=1, pad=True, alwayssign=True)}"


def links(ra: u.Quantity, dec: u.Quantity, *, width: u.Quantity) -> dict[str, str]:
    """Addresses of services that show an ICRS position in a field of some width; nothing is fetched."""
    x, y, field = (float(value.to_value(u.deg)) for value in (ra, dec, width))
    place, radius = quote(f"{x:.6f} {y:+.6f}"), f"{30 * field:.2f}"
    return {
        "Aladin Lite": f"https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov={field:.3f}",
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={radius}&Radius.unit=arcmin",
        "NED": "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
        f"&ra={x:.6f}d&dec={y:.6f}d&radius={radius}&in_csys=Equatorial&in_equinox=J2000",
        "ESASky": f"https://sky.esa.int/?target={place}&fov={field:.3f}&sci=true",
    }
