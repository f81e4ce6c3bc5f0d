"""What a page shows without a click: error rates, the static twin of the inspector, sheets of decisions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, Table, vstack
from bokeh.models import Range1d
from bokeh.plotting import figure

from labkit.errors import InputError, need_choice
from labkit.evaluate import wilson
from labkit.tables import numbers
from labkit.views.inspector import markup
from labkit.views.inspector.markup import FRONT, pieces
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.inspector.verdicts import Journal
from labkit.views.plots import points
from labkit.views.style import axes, colours, legend_inside, log_ticks
from labkit.views.tables import Html

_STYLE = (FRONT / "style.css").read_text()


def error_rates(state: ErrorState, column: str, *, only: str | None = None, bins: int = 6) -> QTable:
    """Errors among objects of known class, by class or along a quantity, with Wilson's 95 % intervals.

    A column of text gives a row for each value, numbers give `bins` rows of about as many objects each, with
    ``low``, ``high`` and ``middle`` (the median); equal values stay together, so there may be fewer. Then
    come ``objects``, ``FP``, ``FN``, ``rate`` (of errors), ``rate_low`` and ``rate_high``. `only` counts the
    objects of one true class: with the positive one the rate is the incompleteness.
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    classes, true, values = state.objects.classes, state.objects.true, state.column(column)
    if only is not None:
        need_choice("only", only, classes)
    numeric = values.dtype.kind in "fiu"
    keep = true >= 0 if only is None else true == classes.index(only)
    keep = keep & np.isfinite(values) if numeric else keep
    if not keep.any():
        raise InputError(f"column {column!r} must have entries for objects of known class, got none")
    rows: dict[str, Any]
    values, truth, taken = values[keep], true[keep] == state.code, state.score[keep] > state.threshold
    if numeric:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(0, len(edges) - 2))
        filled, place = np.unique(place, return_inverse=True)
        inner = [values[place == number] for number in range(len(filled))]
        rows = {"low": [one.min() for one in inner], "high": [one.max() for one in inner]}
        rows["middle"] = [float(np.median(one)) for one in inner]
    else:
        names, place = np.unique(values.astype(str), return_inverse=True)
        rows = {column: names}
    objects = np.bincount(place)
    fp, fn = (np.bincount(place[w], minlength=len(objects)) for w in (taken & ~truth, ~taken & truth))
    low, high = wilson(fp + fn, objects, confidence=0.95)
    rows |= {"objects": objects, "FP": fp, "FN": fn, "rate": (fp + fn) / objects}
    return QTable(rows | {"rate_low": low, "rate_high": high})


def rates_figure(
    tables: Mapping[str, Table], *, x: str, title: str = "", log: bool = False, width: int = 420
) -> figure:
    """Error rate along a quantity: a dot at each bin's median, a bar for the interval, a line for its width.

    `tables` are from `error_rates` along one quantity, by name; on a logarithmic axis bins at or below zero
    are left out.
    """
    if wrong := [name for name, table in tables.items() if "middle" not in table.colnames]:
        raise InputError(
            f"tables must be error rates along numbers, with the column 'middle'; {wrong} are not"
        )
    rows = vstack([Table({"name": [name] * len(table)} | {key: table[key] for key in table.colnames})
                   for name, table in tables.items()])  # fmt: skip
    rows = rows[rows["low"] > 0] if log else rows
    plot = axes(title=title, x=x, y="error rate", width=width, height=300,
                x_axis_type="log" if log else "linear")  # fmt: skip
    palette = colours(tables)
    low, rate, high = (numbers(rows[name]) for name in ("low", "rate", "high"))  # Bokeh draws no columns
    plot.segment(low, rate, high, rate, alpha=0.6, color=[palette[name] for name in rows["name"]])
    points(rows, "middle", "rate", by="name" if len(tables) > 1 else "", on=plot,
           details={"objects": "", "FP": "", "FN": ""})  # fmt: skip
    if log:
        log_ticks(plot.xaxis[0], low.min(), high.max())
    plot.y_range = Range1d(0, min(1.0, 1.05 * float(np.nanmax(rows["rate_high"]))))
    return legend_inside(plot, "top_right")


def error_page(
    state: ErrorState, pictures: Pictures, *, journal: Journal | None = None, objects: int = 3
) -> Html:
    """One page that shows what the inspector would: no script, nothing from outside.

    Of each group it shows some `objects`, the surest decisions first, and only their pixels are read; the
    verdicts of a `journal` are counted.
    """
    rows = {name: _surest(state, pictures, name, objects) for name in GROUPS}
    shown = [name for name in GROUPS if name in ("TP", "FP", "FN", "TN") or state.summary.counts[name]]
    groups = [
        pieces.group(name, GROUPS[name], state.summary.counts[name],
                     [_card(state, pictures, index) for index in rows[name]], objects)
        for name in shown
    ]  # fmt: skip
    left = [markup.roc_svg(state), pieces.counts(state.positive, state.summary, GROUPS), *_judged(journal)]
    detail = ""
    if rows["FP"] and (place := markup.field_svg(state, rows["FP"][0])):
        first = rows["FP"][0]  # the surest false positive large, with its place in the field
        shots = markup.shots(pictures, int(state.objects.row[first]))
        detail = pieces.detail([shots, place, markup.describe_object(state, first, pictures)])
    head = markup.headline(state, f"threshold {state.threshold:.3f}")
    return Html(str(pieces.page(_STYLE, [head, pieces.halves(left, groups), detail], "")))


def error_sheet(
    state: ErrorState, pictures: Pictures, group: str, *, objects: int = 3, target: str | None = None
) -> Html:
    """The surest decisions of one group, a row each, in every style (Kosiba et al. 2020, Figs. 9 to 11).

    Beside the pictures stands what catalogue and network say of the object. With a `target` class its
    activation is added, on the first style's picture.
    """
    body = []
    for index in _surest(state, pictures, group, objects):
        row = int(state.objects.row[index])
        boxes = [markup.picture_box(pictures, row, style) for style in pictures.main()]
        if target is not None:
            boxes.append(markup.picture_box(pictures, row, next(iter(pictures.styles)), target=target))
        facts = markup.field_svg(state, index), markup.describe_briefly(state, index)
        body.append(pieces.detail([pieces.shots(boxes, small=False), *facts]))
    body = body or [pieces.nothing(f"{GROUPS[group]} at this threshold")]
    return Html(str(pieces.page(_STYLE, body, "--lk-size:176px;border:none")))


def _surest(state: ErrorState, pictures: Pictures, group: str, objects: int) -> list[int]:
    """Numbers of the surest decisions of a group, their pixels read at once."""
    if objects < 1:
        raise InputError(f"objects must be at least 1, got {objects}")
    rows = state.page(Selection(group=group), 0, size=objects)
    pictures.read(state.objects.row[rows])
    return rows.tolist()


def _judged(journal: Journal | None) -> list[str]:
    """How many verdicts of each kind there are."""
    if journal is None:
        return []
    names = [verdict.verdict for verdict in journal.current.values() if verdict.counts]
    kinds, counts = np.unique(names, return_counts=True)
    each = ", ".join(f"{count} {kind}" for kind, count in zip(kinds, counts, strict=True)) or "none yet"
    return [pieces.status(f"Verdicts: {each}")]


def _card(state: ErrorState, pictures: Pictures, index: int) -> tuple[dict[str, Any], list[tuple]]:
    """What the card of an object shows, and its pictures with few contours."""
    row, styles, size = int(state.objects.row[index]), pictures.main(), pictures.sample.shape[2:]
    shown = markup.card(state, pictures, index, styles)
    drawn = [markup.contour_svg(pictures.contours(row, style, levels=3), size=size) for style in styles]
    return shown, list(zip(styles, shown["pictures"], drawn, strict=True))
