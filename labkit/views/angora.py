"""Figures of Angora et al. (2020) on the quality of a network: bands, training sets, redshift, ranges.

A table without rows, which stands for sets that were not trained, gives one line in place of the figure.
"""

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
from labkit.views import marks, style
from labkit.views.plots import points
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
_COLOURS = dict(
    zip(
        MEASURES,
        (style.PALETTE[6], style.PALETTE[0], style.PALETTE[1], style.PALETTE[2], style.PALETTE[3]),
        strict=True,
    )
)


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
    measures: Sequence[str] = FOUR, data: str = "measured", title: str = "", width: int = 680,
) -> figure | Div:  # fmt: skip
    """Measures of each band configuration with intervals, the published value beside, hollow (Fig. 4).

    Points instead of bars from zero, so that differences of a few per cent can be seen. Tables have a row per
    configuration, named by `by` and `published_by`, and the measures with ``_low`` and ``_high``, or
    ``_std``, where known; a measure that was not published has no hollow point. Where a table has a column
    ``class`` its members are taken; `data` says in the legend what the measured objects were.
    """
    if not len(measured):
        return marks.absent(title)
    marks.need_rows(measured, [by], "measured")
    ours, theirs = _by_name(measured, by, measures, strict=True), {}
    sides = {"value": ours}
    if published is not None:
        marks.need_rows(published, [published_by], "published")
        sides["value_published"] = theirs = _by_name(published, published_by, measures)
    keys = list(dict.fromkeys(name for name, _ in ours))
    if len(keys) < len(_of_class(measured, "member")):
        raise InputError(f"measured must have one row per configuration, got more for {keys}; select a class")
    rows = []
    for name in dict.fromkeys([*keys, *(other for other, _ in theirs)]):
        for measure in measures:
            row: dict[str, Any] = {"measure": measure, "name": name}
            for column, side in sides.items():
                bounds = side.get((name, measure), (np.nan, np.nan, np.nan))
                row |= zip((column, f"{column}_low", f"{column}_high"), bounds, strict=True)
            rows.append(row)
    labels = {name: f"{name}, {data}" for name in keys}
    plot = points(Table(rows), "measure", "value", by="name", percent=True, labels=labels, title=title,
                  y_label="members (%)", width=width, height=420)  # fmt: skip
    plot.y_range = style.percent_range(*(100 * np.array(v) for v in (*ours.values(), *theirs.values())))
    plot.legend[0].ncols = min(5, len(plot.legend[0].items))
    return plot


def _by_name(
    table: Table, by: str, measures: Sequence[str], *, strict: bool = False
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Value and bounds, shape (3,), of each measure of the members, by the row's name and the measure."""
    rows = _of_class(table, "member")
    names, found = text(rows[by]).tolist(), {}
    for measure in measures:
        column = _column(rows, measure, "measured") if strict else MEASURES.get(measure, measure)
        for name, value in zip(names[::-1], marks.bounded(rows, column).T[::-1], strict=True):
            found[name, measure] = value  # of rows of one name the first counts
    return {(name, measure): found[name, measure] for name in dict.fromkeys(names) for measure in measures}


def training_size(sets: Table, *, title: str = "") -> GridPlot | Div:
    """Mean and standard deviation over folds against the size of the training set, with fits (Fig. D.1).

    A row per training set, from `labkit.evaluate.measure` with ``over="runs"``: ``bands`` (what is compared),
    the size ``train``, ``runs``, and ``f1`` and ``accuracy`` with ``_std`` and ``_error``. Above the means
    with their standard errors, below the standard deviations with theirs (which need two folds); dashed the
    straight lines of best fit. The pointer shows the slope per 500 objects.
    """
    if not len(sets):
        return marks.absent(title)
    marks.need_rows(sets, ["bands", "train", "runs"], "sets")
    rows: dict[str, list[figure]] = {"mean": [], "std": []}
    for measure in ("F1", "average efficiency"):
        table = _means_and_spreads(sets, _column(sets, measure, "sets"))
        for kind, label in (("mean", f"{measure} (%)"), ("std", f"std of {measure} (%)")):
            lines, notes = {}, {}
            for name in dict.fromkeys(table["name"].tolist()):
                part = table[table["name"] == name]
                x, y, error = (np.asarray(part[column]) for column in ("objects", kind, f"{kind}_std"))
                # errors of a standard deviation grow with it: no weights
                line = marks.fitted_line(x, 100 * y, error=100 * error if kind == "mean" else None)
                lines[name], notes[name] = line, "no fit"
                if line is not None:
                    slope = f"{500 * line.slope:+.2f} ± {500 * line.slope_error:.2f}"
                    notes[name] = f"slope {slope} % per 500 objects"
            first = not any(rows.values())
            plot = points(table, "objects", kind, by="name", percent=True, markers=style.MARKERS, size=7,
                          lines=lines, notes=notes, details={"objects": "0", "folds": ""},
                          x_label="objects trained on", y_label=label, title=title if first else "",
                          width=470, height=310 + style.LEGEND_ROW * (kind == "mean"))  # fmt: skip
            value, error = (
                marks.column_values(table, kind),
                np.nan_to_num(marks.column_values(table, f"{kind}_std")),
            )
            plot.y_range = style.percent_range(100 * (value - error), 100 * (value + error))
            plot.legend[0].visible = first
            plot.x_range = plot.x_range if first else rows["mean"][0].x_range
            rows[kind].append(plot)
    return style.grid(list(rows.values()))


def _means_and_spreads(sets: Table, column: str) -> Table:
    """Objects, folds, mean and standard deviation with their errors (``_std``) of each training set."""
    marks.need_rows(sets, [f"{column}_std", f"{column}_error"], "sets")
    mean, std, error = (numbers(sets[f"{column}{end}"]) for end in ("", "_std", "_error"))
    folds = numbers(sets["runs"])
    spread = std / np.sqrt(2 * np.where(folds > 1, folds - 1, np.nan))
    values = (text(sets["bands"]), numbers(sets["train"]), mean, error, std, spread, folds)
    table = Table(values, names=("name", "objects", "mean", "mean_std", "std", "std_std", "folds"))
    table = table[np.isfinite(mean)]
    order = rows_of(list(dict.fromkeys(table["name"].tolist())), table["name"])
    return table[np.lexsort((table["objects"], order))]


def redshift_bins(
    folds: Table, overall: Table | None = None, *, bins: Mapping[str, tuple[float, float]],
    by: str = "redshift_bin", title: str = "", width: int = 620,
) -> GridPlot | Div:  # fmt: skip
    """Box plots of the measures over folds in each redshift bin, global values with best fits (Fig. 5).

    `folds` has a row per fold and bin, `overall` a row per bin for all objects together (with ``_low`` and
    ``_high`` where known), drawn below; both have the bin's name in the column `by`, and the measures. `bins`
    holds the lowest and highest redshift of each name.
    """
    if not len(folds):
        return marks.absent(title)
    named = _limits(folds, bins, by, "folds")
    different = np.unique(named, axis=0)
    shown = {name: 100 * numbers(folds[_column(folds, name, "folds")]) for name in FOUR}
    plot = style.axes(title=title, x="redshift of the members", y="in each fold (%)", width=width, height=380,
                      y_range=style.percent_range(*shown.values()))  # fmt: skip
    style.name_ticks(plot, [f"{low:.2f}–{high:.2f}" for low, high in different])
    share = 0.8 / len(shown)
    for number, (name, values) in enumerate(shown.items()):
        places = [place + share * (number - (len(shown) - 1) / 2) for place in range(len(different))]
        rows = [values[(named == one).all(axis=1)] for one in different]
        marks.boxes(plot, places, rows, colour=_COLOURS[name], width=0.8 * share, label=name)
    panels = [[style.legend_above(plot)]]
    if overall is not None:
        panels.append([_redshift_lines(overall, _limits(overall, bins, by, "overall"), width)])
    return style.grid(panels)


def _limits(table: Table, bins: Mapping[str, tuple[float, float]], by: str, name: str) -> NDArray[np.float64]:
    """Lowest and highest redshift of each row, shape (row, 2)."""
    marks.need_rows(table, [by], name)
    names = text(table[by]).tolist()
    if unknown := sorted(set(names) - set(bins)):
        raise InputError(f"bins must hold the limits of every bin of {name}, got none for {unknown}")
    return np.array([bins[one] for one in names], dtype=np.float64)


def _redshift_lines(overall: Table, limits: NDArray[np.float64], width: int) -> figure:
    """The measures of all objects of each bin, with straight lines whose slopes stand in the legend."""
    middle, lines, labels = limits.mean(axis=1), {}, {}
    rows: list[tuple] = []
    for name in FOUR:
        value, least, most = marks.bounded(overall, _column(overall, name, "overall"))
        lines[name] = line = marks.fitted_line(middle, 100 * value, error=50 * (most - least))
        labels[name] = name
        if line is not None:
            error = f" ± {line.slope_error / 10:.1f}" if np.isfinite(line.slope_error) else ""
            labels[name] = f"{name}: {line.slope / 10:+.1f}{error} % per 0.1 in z".replace("-", "−")
        words = [f"{low:.2f} to {high:.2f}" for low, high in limits]
        rows += zip([name] * len(middle), middle, value, least, most, words, strict=True)
    table = Table(rows=rows, names=("measure", "z", "value", "value_low", "value_high", "redshift"))
    plot = points(table, "z", "value", by="measure", percent=True, lines=lines, labels=labels,
                  markers=style.MARKERS, palette={name: _COLOURS[name] for name in FOUR}, size=8,
                  span=(limits.min(), limits.max()), details={"redshift": ""},
                  dodge=0.012 * float(np.ptp(limits)), x_label="redshift of the members",
                  y_label="all objects of the bin (%)", width=width, height=380)  # fmt: skip
    plot.y_range = style.percent_range(100 * marks.bounded(table, "value"))
    plot.legend[0].ncols = 2
    return plot


def training_ranges(folds: Table, published: Table | None = None, *, title: str = "") -> GridPlot | Div:
    """Box plots over trainings for each blind cluster and training range, published values beside (Fig. 6).

    `folds` has a row per training and blind ``cluster`` ("stacked": all) with its range in ``training``;
    `published` is Table D.4, drawn as diamonds with the published errors. All panels have the same range.
    """
    if not len(folds):
        return marks.absent(title)
    marks.need_rows(folds, ["cluster", "training"], "folds")
    hosts, ranges = text(folds["cluster"]), text(folds["training"])
    values = {m: 100 * numbers(folds[_column(folds, m, "folds")]) for m in FOUR}
    shown, theirs = list(dict.fromkeys(hosts.tolist())), {}
    if published is not None:
        marks.need_rows(published, ["cluster", "training"], "published")
        every = np.array(
            [marks.bounded(published, MEASURES[m], percent=True) for m in FOUR]
        )  # (measure, 3, row)
        keys = zip(text(published["cluster"]).tolist(), text(published["training"]).tolist(), strict=True)
        theirs = {key: every[..., row] for row, key in enumerate(keys) if key[0] in shown}
    y_range, found = style.percent_range(*values.values(), *theirs.values()), style.colours(ranges.tolist())
    panels: list[figure] = []
    for host in shown:
        plot = style.axes(title=f"{title}: {host}" if title and not panels else host, x="", y="members (%)",
                          y_range=y_range, width=470,
                          height=330 + style.LEGEND_ROW * (len(panels) < 2))  # fmt: skip
        style.name_ticks(plot, FOUR)
        share = 0.84 / len(found)
        for place, (name, colour) in enumerate(found.items()):
            here, beside = (hosts == host) & (ranges == name), theirs.get((host, name))
            middle = np.arange(len(FOUR)) + share * (place - (len(found) - 1) / 2)
            places = (middle - 0.14 * share * (beside is not None)).tolist()
            marks.boxes(plot, places, [v[here] for v in values.values()], colour=colour,
                        width=(0.8 if beside is None else 0.5) * share, label=name)  # fmt: skip
            if beside is not None:
                tips = [(f"{name}, published", "@measure"), ("", "@y{0.0} % (@low{0.0} to @high{0.0})")]
                marks.draw_points(plot, middle + 0.32 * share, *beside.T, colour=colour,
                                  name=f"{name}, published", marker="diamond", hollow=True,
                                  columns={"measure": FOUR}, tips=tips)  # fmt: skip
        if published is not None:
            marks.published_entry(plot)
        style.legend_above(plot).legend[0].visible = not panels
        panels.append(plot)
    return style.grid(panels, columns=2)


def _of_class(table: Table, of: str) -> Table:
    return table[text(table["class"]) == of] if of and "class" in table.colnames else table


def _column(table: Table, measure: str, name: str) -> str:
    """The column that holds a measure."""
    column = MEASURES.get(measure, measure)
    if column not in table.colnames:
        raise InputError(f"{name} must have the column {column!r} for {measure!r}, got {table.colnames}")
    return column
