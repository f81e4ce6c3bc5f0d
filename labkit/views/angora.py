"""Figures of Angora et al. (2020) on the quality of a network: bands, training sets, redshift, ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import Table
from bokeh.models import Div, GridPlot
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate import as_text, join_published
from labkit.evaluate import published as published_of
from labkit.tables import numbers, rows_of, text
from labkit.views.marks import (
    absent,
    bounded,
    boxes,
    column_values,
    draw_points,
    fitted_line,
    need_columns,
    published_entry,
)
from labkit.views.plots import points
from labkit.views.style import (
    LEGEND_ROW,
    MARKERS,
    PALETTE,
    axes,
    colours,
    grid,
    legend_above,
    name_ticks,
    percent_range,
)
from labkit.views.tables import Html
from labkit.views.tables import table as html_table

#: Column of each measure of the paper (Angora et al. 2020, appendix A.3), by its name there.
MEASURES = {
    "average efficiency": "accuracy",
    "purity": "purity",
    "completeness": "completeness",
    "F1": "f1",
    "AUC": "auc",
}
FOUR = tuple(MEASURES)[:4]  # those of the paper's tables
_COLOURS = dict(zip(MEASURES, (PALETTE[6], PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]), strict=True))


def table_beside(
    measured: Table, table: str, *, data: Literal["real", "simulated"], of: str = "member",
    measures: Sequence[str] | None = None, keep: Sequence[str] = (), bounds: bool = True,
    names: Mapping[str, str] | Sequence[str] = (), note: str = "",
) -> Html:  # fmt: skip
    """A table of the paper in per cent, with what was measured and what is printed side by side.

    `table` is a name of `labkit.evaluate.published`, `of` the class whose rows are shown ("": all), `data`
    what the measured objects were. Published rows without a measured one are not shown, so that no published
    number can be taken for a measured one. `names` is that of `labkit.evaluate.join_published`, maybe with
    rows that were not measured, or a sequence of what stands for the values of the first published column, in
    their order; `measures`, `keep` and `bounds` are those of `labkit.evaluate.as_text`; `note` ends the
    caption.
    """
    printed = published_of("angora2020", table)
    there = {str(value) for name in measured.colnames for value in measured[name] if isinstance(value, str)}
    if not isinstance(names, Mapping):
        names = dict(zip(names, dict.fromkeys(printed.columns[0].tolist()), strict=False))
    names = {ours: theirs for ours, theirs in names.items() if ours in there}
    joined = join_published(measured, "angora2020", printed, data=data, names=names, unmeasured="drop")
    words = as_text(_of_class(joined, of), measures=measures, keep=keep, bounds=bounds, percent=True)
    if of and "class" in words.colnames:
        words.remove_column("class")
    rows = f", {of}s" if of else ""
    caption = f"Table {printed.meta['table']}{rows}, per cent, measured ({data}) and as in the paper (real)."
    return html_table(words, caption=f"{caption} {note}".strip())


def configurations(
    measured: Table, published: Table | None = None, *, by: str = "experiment", published_by: str = "bands",
    names: Mapping[str, str] | None = None, of: str = "member", measures: Sequence[str] = FOUR,
    data: str = "measured", title: str = "", width: int = 680, height: int = 420,
) -> figure | Div:  # fmt: skip
    """Measures of each band configuration with intervals, the published value beside, hollow (Fig. 4).

    Points instead of bars from zero, so that differences of a few per cent can be seen. Tables have a row per
    configuration, named by `by` and `published_by` (`names` gives the configuration of a name in `measured`),
    and the measures with ``_low`` and ``_high``, or ``_std``, where known; a measure that was not published
    has no hollow point. `of` is the class whose rows are taken where a table has a column "class"; `data`
    says in the legend what the measured objects were. All figures of this module give one line for a
    table without rows, which stands for sets that were not trained.
    """
    if not len(measured):
        return absent(title)
    need_columns(measured, [by], "measured")
    ours = _of_class(measured, of)
    keys = [(names or {}).get(name, name) for name in text(ours[by]).tolist()]
    if len(set(keys)) < len(keys):
        raise InputError(f"measured must have one row per configuration, got {keys}; select a class")
    others: list[str] = []
    if published is not None:
        need_columns(published, [published_by], "published")
        published = _of_class(published, of)
        others = text(published[published_by]).tolist()
    values = {m: bounded(ours, _column(ours, m, "measured")) for m in measures}
    theirs = {m: bounded(published, _column(published, m, "published", strict=False))
              for m in measures} if published is not None else {}  # fmt: skip
    rows = []
    for name in dict.fromkeys([*keys, *others]):
        for measure in measures:
            row: dict[str, Any] = {"measure": measure, "name": name}
            ends = ("", "_low", "_high")
            here = values[measure][:, keys.index(name)] if name in keys else [np.nan] * 3
            row |= {f"value{end}": one for end, one in zip(ends, here, strict=True)}
            if published is not None:
                here = theirs[measure][:, others.index(name)] if name in others else [np.nan] * 3
                row |= {f"value_published{end}": one for end, one in zip(ends, here, strict=True)}
            rows.append(row)
    labels = {name: f"{name}, {data}" for name in keys}
    plot = points(Table(rows), "measure", "value", by="name", percent=True, labels=labels, title=title,
                  y_label=f"{of}s (%)", width=width, height=height)  # fmt: skip
    plot.y_range = percent_range(*(100 * v for v in (*values.values(), *theirs.values())))
    plot.legend[0].ncols = min(5, len(plot.legend[0].items))
    return plot


def training_size(
    sets: Table, *, by: str = "bands", size: str = "train",
    measures: Sequence[str] = ("F1", "average efficiency"), title: str = "", width: int = 470,
    height: int = 310,
) -> GridPlot | Div:  # fmt: skip
    """Mean and standard deviation over folds against the size of the training set, with fits (Fig. D.1).

    A row per training set, from `labkit.evaluate.measure` with ``over="runs"``: `by` (what is compared),
    `size`, ``runs``, and the measures with ``_std`` and ``_error``. Above the means with their standard
    errors, below the standard deviations with theirs (which need two folds); dashed the straight lines of
    best fit. The pointer shows the slope per 500 objects.
    """
    if not len(sets):
        return absent(title)
    need_columns(sets, [by, size, "runs"], "sets")
    panels: list[tuple[figure, figure]] = []
    for measure in measures:
        table = _means_and_spreads(sets, by, size, _column(sets, measure, "sets"))
        pair: list[figure] = []
        for kind, label in (("mean", f"{measure} (%)"), ("std", f"std of {measure} (%)")):
            lines, notes = {}, {}
            for name in dict.fromkeys(table["name"].tolist()):
                part = table[table["name"] == name]
                x, y, error = (np.asarray(part[column]) for column in ("objects", kind, f"{kind}_std"))
                # errors of a standard deviation grow with it: no weights
                line = fitted_line(x, 100 * y, error=100 * error if kind == "mean" else None)
                lines[name], notes[name] = line, [("slope", "no fit")]
                if line is not None:
                    slope = f"{500 * line.slope:+.2f} ± {500 * line.slope_error:.2f} % per 500 objects"
                    notes[name] = [("slope", slope)]
            plot = points(table, "objects", kind, by="name", percent=True, markers=MARKERS, size=7,
                          lines=lines, notes=notes, details={"objects": "0", "folds": ""},
                          x_label="objects trained on", y_label=label,
                          title="" if panels or pair else title, width=width,
                          height=height + LEGEND_ROW * (kind == "mean"))  # fmt: skip
            value, error = column_values(table, kind), np.nan_to_num(column_values(table, f"{kind}_std"))
            plot.y_range = percent_range(100 * (value - error), 100 * (value + error))
            plot.legend[0].visible = not (panels or pair)
            first = panels[0][0] if panels else (pair or [plot])[0]
            plot.x_range = first.x_range
            pair.append(plot)
        panels.append((pair[0], pair[1]))
    return grid([list(row) for row in zip(*panels, strict=True)])


def _means_and_spreads(sets: Table, by: str, size: str, column: str) -> Table:
    """Objects, folds, mean and standard deviation with their errors (``_std``) of each training set."""
    need_columns(sets, [f"{column}_std", f"{column}_error"], "sets")
    mean, std, error = (numbers(sets[f"{column}{end}"]) for end in ("", "_std", "_error"))
    folds = numbers(sets["runs"])
    spread = std / np.sqrt(2 * np.where(folds > 1, folds - 1, np.nan))
    values = (text(sets[by]), numbers(sets[size]), mean, error, std, spread, folds)
    table = Table(values, names=("name", "objects", "mean", "mean_std", "std", "std_std", "folds"))
    table = table[np.isfinite(mean)]
    order = rows_of(list(dict.fromkeys(table["name"].tolist())), table["name"])
    return table[np.lexsort((table["objects"], order))]


def redshift_bins(
    folds: Table, overall: Table | None = None, *, bins: Mapping[str, tuple[float, float]],
    by: str = "redshift_bin", measures: Sequence[str] = FOUR, title: str = "", width: int = 620,
    height: int = 380,
) -> GridPlot | Div:  # fmt: skip
    """Box plots of the measures over folds in each redshift bin, global values with best fits (Fig. 5).

    `folds` has a row per fold and bin, `overall` a row per bin for all objects together (with ``_low`` and
    ``_high`` where known), drawn below; both have the bin's name in the column `by`, and the measures. `bins`
    holds the lowest and highest redshift of each name.
    """
    if unknown := [name for name in measures if name not in MEASURES]:
        raise InputError(f"measures must be of {tuple(MEASURES)}, got {unknown}")
    if not len(folds):
        return absent(title)
    named = _limits(folds, bins, by, "folds")
    different = np.unique(named, axis=0)
    shown = {name: 100 * numbers(folds[_column(folds, name, "folds")]) for name in measures}
    plot = axes(title=title, x="redshift of the members", y="in each fold (%)", width=width, height=height,
                y_range=percent_range(*shown.values()))  # fmt: skip
    name_ticks(plot, [f"{low:.2f}–{high:.2f}" for low, high in different])
    share = 0.8 / len(shown)
    for number, (name, values) in enumerate(shown.items()):
        places = [place + share * (number - (len(shown) - 1) / 2) for place in range(len(different))]
        rows = [values[(named == one).all(axis=1)] for one in different]
        boxes(plot, places, rows, colour=_COLOURS[name], width=0.8 * share, label=name)
    panels = [[legend_above(plot)]]
    if overall is not None:
        low, high = _limits(overall, bins, by, "overall").T
        panels.append([_redshift_lines(overall, low, high, measures, width, height)])
    return grid(panels)


def _limits(table: Table, bins: Mapping[str, tuple[float, float]], by: str, name: str) -> NDArray[np.float64]:
    """Lowest and highest redshift of each row, shape (row, 2)."""
    need_columns(table, [by], name)
    names = text(table[by]).tolist()
    if unknown := sorted(set(names) - set(bins)):
        raise InputError(f"bins must hold the limits of every bin of {name}, got none for {unknown}")
    return np.array([bins[one] for one in names], dtype=np.float64)


def _redshift_lines(
    overall: Table, low: NDArray, high: NDArray, measures: Sequence[str], width: int, height: int
) -> figure:
    middle, rows, lines, labels = (low + high) / 2, [], {}, {}
    for name in measures:
        value, least, most = bounded(overall, _column(overall, name, "overall"))
        lines[name] = line = fitted_line(middle, 100 * value, error=50 * (most - least))
        labels[name] = name
        if line is not None:
            error = f" ± {line.slope_error / 10:.1f}" if np.isfinite(line.slope_error) else ""
            labels[name] = f"{name}: {line.slope / 10:+.1f}{error} % per 0.1 in z".replace("-", "−")
        rows += [
            (name, z, v, a, b, f"{c:.2f} to {d:.2f}")
            for z, v, a, b, c, d in zip(middle, value, least, most, low, high, strict=True)
        ]
    names = ("measure", "z", "value", "value_low", "value_high", "redshift")
    table = Table(rows=rows, names=names)
    plot = points(table, "z", "value", by="measure", percent=True, lines=lines, labels=labels,
                  markers=MARKERS, palette={name: _COLOURS[name] for name in measures}, size=8,
                  span=(low.min(), high.max()), details={"redshift": ""},
                  dodge=0.012 * float(max(high.max() - low.min(), 0)),
                  x_label="redshift of the members", y_label="all objects of the bin (%)", width=width,
                  height=height)  # fmt: skip
    plot.y_range = percent_range(100 * bounded(table, "value"))
    plot.legend[0].ncols = 2
    return plot


def training_ranges(
    folds: Table, published: Table | None = None, *, cluster: str = "cluster", training: str = "training",
    measures: Sequence[str] = FOUR, title: str = "", columns: int = 2, width: int = 470, height: int = 330,
) -> GridPlot | Div:  # fmt: skip
    """Box plots over trainings for each blind cluster and training range, published values beside (Fig. 6).

    `folds` has a row per training and blind cluster ("stacked": all); `published` is Table D.4, drawn as
    diamonds with the published errors. All panels have the same range.
    """
    if not len(folds):
        return absent(title)
    need_columns(folds, [cluster, training], "folds")
    hosts, ranges = text(folds[cluster]), text(folds[training])
    values = {m: 100 * numbers(folds[_column(folds, m, "folds")]) for m in measures}
    shown, theirs = list(dict.fromkeys(hosts.tolist())), {}
    if published is not None:
        need_columns(published, [cluster, training], "published")
        every = np.array([bounded(published, _column(published, m, "published", strict=False), percent=True)
                          for m in measures])  # (measure, 3, row)  # fmt: skip
        keys = zip(text(published[cluster]).tolist(), text(published[training]).tolist(), strict=True)
        theirs = {key: every[..., row] for row, key in enumerate(keys) if key[0] in shown}
    y_range, found = percent_range(*values.values(), *theirs.values()), colours(ranges.tolist())
    panels: list[figure] = []
    for host in shown:
        plot = axes(title=f"{title}: {host}" if title and not panels else host, x="", y="members (%)",
                    y_range=y_range, width=width,
                    height=height + LEGEND_ROW * (len(panels) < columns))  # fmt: skip
        name_ticks(plot, list(measures))
        share = 0.84 / len(found)
        for place, (name, colour) in enumerate(found.items()):
            here, beside = (hosts == host) & (ranges == name), theirs.get((host, name))
            middle = np.arange(len(measures)) + share * (place - (len(found) - 1) / 2)
            places = (middle - 0.14 * share * (beside is not None)).tolist()
            boxes(plot, places, [v[here] for v in values.values()], colour=colour,
                  width=(0.8 if beside is None else 0.5) * share, label=name)  # fmt: skip
            if beside is not None:
                tips = [(f"{name}, published", "@measure"), ("", "@y{0.0} % (@low{0.0} to @high{0.0})")]
                draw_points(plot, middle + 0.32 * share, *beside.T, colour=colour, name=f"{name}, published",
                            marker="diamond", hollow=True, columns={"measure": list(measures)},
                            tips=tips)  # fmt: skip
        if published is not None:
            published_entry(plot)
        legend_above(plot).legend[0].visible = not panels
        panels.append(plot)
    return grid(panels, columns=columns)


def _of_class(table: Table, of: str) -> Table:
    return table[text(table["class"]) == of] if of and "class" in table.colnames else table


def _column(table: Table, measure: str, name: str, *, strict: bool = True) -> str:
    """The column that holds a measure; one that is not there if that is allowed."""
    column = MEASURES.get(measure, measure)
    if strict and column not in table.colnames:
        raise InputError(f"{name} must have the column {column!r} for {measure!r}, got {table.colnames}")
    return column
