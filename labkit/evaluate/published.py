"""The papers' tables: printed numbers, joined to measured ones, and what they make of measures.

Printed tables lie in ``data/published/`` as ECSV text, ``<paper>_<table>.ecsv``. Their ``meta`` has the
source, ``columns`` (what this package calls a printed column), ``values`` (what a table prints for a measured
value) and ``notes`` where the printed numbers contradict each other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table, join
from numpy.typing import ArrayLike
from scipy.stats import linregress, t

from labkit.errors import InputError, MissingDataError, need_choice
from labkit.evaluate.measure import ENDINGS, measure
from labkit.evaluate.metrics import AVERAGES, MEASURES
from labkit.evaluate.resampling import spread, wilson
from labkit.paths import shipped_folder
from labkit.predictions import Predictions
from labkit.tables import need_columns, numbers, rows_of, text

_FOUR = MEASURES[:4]
_SLOPE = ("slope", "slope_error", "slope_low", "slope_high")
_LINE = ("points", *_SLOPE, "intercept", "intercept_error", "p_value")
_VOTES = ("tp", "tn", "fp", "fn", "accuracy", "purity", "completeness", "auc")
#: Abbreviations of Angora et al. (2020), appendix A.3.
SHORT = {"accuracy": "AE", "purity": "pur", "completeness": "compl", "f1": "F1", "auc": "AUC"}


def published(paper: str, table: str) -> QTable:
    """One table of a paper.

    Parameters
    ----------
    paper : str
        ``"kosiba2020"``, ``"angora2020"``, ``"su2020"`` or ``"sadikov2025"``.
    table : str
        Such as ``"table5"`` or ``"tableD3"``, of Su et al. "methods" or "classes", of Sadikov et al.
        "regression".

    Returns
    -------
    `~astropy.table.QTable`
        The numbers as printed, columns by the names of `labkit.evaluate.measure`; ``meta`` holds source, doi,
        table number, caption, section, and notes on numbers that contradict each other.

    Raises
    ------
    MissingDataError
        If there is no such table.
    """
    files = {path.stem: path for path in sorted(shipped_folder("data/published").glob("*.ecsv"))}
    name = f"{paper}_{table}"
    if name not in files:
        raise MissingDataError(f"table must be one of {tuple(files)} (paper and table), got {name}")
    found = QTable.read(files[name], format="ascii.ecsv")
    for printed, ours in found.meta.get("columns", {}).items():
        found.rename_column(printed, ours)
    return found


def join_published(
    measured: Table,
    paper: str,
    table: str | Table,
    *,
    data: Literal["real", "simulated"],
    names: Mapping[str, str] | None = None,
    unmeasured: Literal["keep", "drop"] = "keep",
) -> QTable:
    """Join the published values of the same rows to a measured table, as further columns.

    Rows are joined by the columns of text that both have: networks, classes, clusters, bands, folds. Nothing
    is averaged or subtracted across the two; numbers measured on simulated objects are no test of published
    ones.

    Parameters
    ----------
    measured : Table
        From `labkit.evaluate.measure`, or another table with such columns.
    paper : str
        The paper.
    table : str or Table
        One of its tables, or rows made of one.
    data : {"real", "simulated"}
        What the measured objects were.
    names : mapping of str to str, optional
        What the paper calls measured networks, bins of redshift and so on, where it differs.
    unmeasured : {"keep", "drop"}
        What to do with published rows that were not measured; if they are dropped, a measured table without
        rows is given back as it is.

    Returns
    -------
    `~astropy.table.QTable`
        The columns of `measured`, values that name a row as published, then ``<name>_published`` for each
        number that both have, with ``_published_std`` where an error is printed. Published rows first, in
        their order; measured ones without a counterpart follow. Numbers that are missing are NaN or masked.
        ``meta`` has source, doi, caption, notes, and in ``measures`` the measures joined.

    Raises
    ------
    MissingDataError
        If there is no such table.
    InputError
        If an option is not one of its words, the tables share no column of text or no number, `names` points
        to nothing measured or published, or two measured rows stand for one published.
    """
    if not len(measured) and unmeasured == "drop":
        return QTable(measured, copy=True)
    need_choice("data", data, ("real", "simulated"))
    need_choice("unmeasured", unmeasured, ("keep", "drop"))
    printed = published(paper, table) if isinstance(table, str) else table
    shared = [name for name in printed.colnames if name in measured.colnames]
    keys = [
        name for name in shared if printed[name].dtype.kind == "U" == np.asarray(measured[name]).dtype.kind
    ]
    both = [name for name in shared if printed[name].dtype.kind in "if" and not name.endswith(ENDINGS[1:])]
    if not keys or not both:
        raise InputError(
            f"measured must have rows and columns like the published table, {printed.colnames}, got "
            f"{measured.colnames}"
        )
    ours = QTable(measured, copy=True)
    _rename_values(ours, printed, keys, dict(names or {}))
    for side, one in (("measured", ours), ("published", printed)):
        if len({tuple(row) for row in one[keys]}) < len(one):
            raise InputError(f"{side} must have one row for each {', '.join(keys)}, got some twice")
    ours["_row"] = np.arange(len(ours))
    theirs = QTable({name: printed[name] for name in keys})
    theirs["_place"] = np.arange(len(theirs))
    for name in both:
        for column in (name, f"{name}_std"):
            if column in printed.colnames:
                theirs[column.replace(name, f"{name}_published", 1)] = printed[column]
    kind = "outer" if unmeasured == "keep" else "left"
    result = join(ours, theirs, keys=keys, join_type=kind, metadata_conflicts="silent")
    place, row = (numbers(result[name]) for name in ("_place", "_row"))
    result = result[np.lexsort((row, place))]  # NaN comes last
    result.remove_columns(["_place", "_row"])
    for name in result.colnames:
        if result[name].dtype.kind == "f" and hasattr(result[name], "mask"):
            result[name] = np.ma.filled(result[name], np.nan)
    result.meta = {key: printed.meta.get(key, "") for key in ("source", "doi", "caption", "notes")}
    result.meta["measures"] = [name for name in both if printed[name].dtype.kind == "f"]
    if data == "simulated":
        result.meta["note"] = "Measured on simulated objects; published numbers are of real ones."
    return result


def _rename_values(measured: QTable, printed: Table, keys: Sequence[str], names: dict[str, str]) -> None:
    """Put what the paper calls them into the measured columns that name a row."""
    known = {str(value) for key in keys for value in printed[key]}
    there = {str(value) for key in keys for value in measured[key]}
    if wrong := sorted({*(set(names) - there), *(set(names.values()) - known)}):
        raise InputError(f"names must map measured {sorted(there)} to published {sorted(known)}, got {wrong}")
    standing = printed.meta.get("values", {})
    for key in keys:
        every = {**standing.get(key, {}), **names}
        measured[key] = [every.get(str(value), str(value)) for value in measured[key]]


def as_text(
    table: Table,
    *,
    measures: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    digits: int | None = None,
    bounds: bool = True,
    percent: bool = False,
) -> QTable:
    """A table of measures for people: each as one column of text, "0.881 ± 0.012 [0.863, 0.899]".

    Shown are `measures`, by default those that were joined, or all of the five that the table has; with each
    goes its published one where there is one. Other columns stay as they are: those of text always, of the
    rest those of `keep`, by default all. `digits` after the point are 3 or, in per cent, 1; `bounds` shows
    the interval, too. `percent` is as Angora et al. (2020) print it: per cent, under "AE", "pur", "compl",
    "F1", "AUC", and the published value under "AE, paper". Unknown parts are left out, an undefined measure
    is "undefined", an unpublished one "–".
    """
    every = list(table.meta.get("measures") or [name for name in MEASURES if name in table.colnames])
    chosen = every if measures is None else list(measures)
    if missing := [name for name in (*chosen, *(keep or ())) if name not in table.colnames]:
        raise InputError(f"measures and keep must name columns, got none for {missing}: {table.colnames}")
    if not chosen:
        raise InputError(f"measures must name a column at least, got none of {table.colnames}")
    if keep is None:
        hidden = {f"{name}{kind}{end}" for name in (*every, *chosen, *MEASURES)
                  for kind in ("", "_published") for end in ENDINGS}  # fmt: skip
        kept = [name for name in table.colnames if name not in hidden]
    else:
        words = [name for name in table.colnames if np.asarray(table[name]).dtype.kind == "U"]
        kept = [name for name in table.colnames if name in (*words, *keep)]
    result = QTable({name: table[name] for name in kept})
    places = (1 if percent else 3) if digits is None else digits
    for name in dict.fromkeys(chosen):
        header = SHORT.get(name, name) if percent else name
        result[header] = _cells(table, name, places, bounds, percent, blank="undefined")
        if (printed := f"{name}_published") in table.colnames:
            header = f"{header}, paper" if percent else printed
            result[header] = _cells(table, printed, places, bounds, percent, blank="–")
    return result


def _cells(table: Table, name: str, digits: int, bounded: bool, percent: bool, *, blank: str) -> list[str]:
    columns = (name, f"{name}_std", f"{name}_low", f"{name}_high")
    nothing, scale = np.full(len(table), np.nan), 100 if percent else 1
    values = [scale * numbers(table[key]) if key in table.colnames else nothing for key in columns]
    cells = []
    for value, std, low, high in zip(*values, strict=True):
        scatter = f" ± {std:.{digits}f}" if np.isfinite(std) else ""
        bounds = f" [{low:.{digits}f}, {high:.{digits}f}]" if bounded and np.isfinite(low) else ""
        cells.append(f"{value:.{digits}f}{scatter}{bounds}" if np.isfinite(value) else blank)
    return cells


def over_classes(table: Table) -> QTable:
    """Mean and standard deviation (``_std``, n - 1) *over the classes* of each measure of each experiment.

    Section 5.5 of Kosiba et al. (2020) gives these: an AUC of (91 +- 2) % is the mean and scatter of the five
    classes' values in Table 6, not of several trainings. `table` is measured with ``classes="each"``, maybe
    joined to the published Table 6. NaN where a class has none.
    """
    need_columns(table, ("experiment", "class"), "table")
    shown = [f"{m}{end}" for m in MEASURES for end in ("", "_published") if f"{m}{end}" in table.colnames]
    rows = []
    kept = table[~np.isin(table["class"], AVERAGES)]
    for name in dict.fromkeys(kept["experiment"].tolist()):
        part = kept[kept["experiment"] == name]
        row: dict[str, Any] = {"experiment": name, "classes": len(part)}
        for column in shown:
            found = spread(numbers(part[column]))
            row |= {column: found.mean, f"{column}_std": found.std}
        rows.append(row)
    return QTable(rows=rows)


def ranked_classes(table: Table, measure: str = "auc") -> QTable:
    """Which classes of each experiment have the lowest, the next and the highest value of a measure.

    `table` is measured with ``classes="each"``, or a published one such as Table 6 of Kosiba et al. (2020).
    Columns ``experiment``, and ``lowest``, ``next``, ``highest`` with their ``_<measure>``.
    """
    need_columns(table, ("experiment", "class", measure), "table")
    kept = table[~np.isin(table["class"], AVERAGES) & np.isfinite(numbers(table[measure]))]
    rows = []
    for name in dict.fromkeys(kept["experiment"].tolist()):
        part = kept[kept["experiment"] == name]
        order = np.argsort(numbers(part[measure]), kind="stable")
        row: dict[str, Any] = {"experiment": name}
        for which, place in (("lowest", 0), ("next", min(1, len(order) - 1)), ("highest", -1)):
            one = part[int(order[place])]
            row |= {which: str(one["class"]), f"{which}_{measure}": float(one[measure])}
        rows.append(row)
    return QTable(rows=rows)


def method_differences(table: Table) -> QTable:
    """The rows of Angora et al. (2020), Table D.5: methods side by side, and the first minus the best other.

    From one row for each ``cluster``, ``method`` and ``class``, measured or published: ``cluster``, ``class``
    ("both" for the accuracy), ``measure``, ``objects`` where known, one column for each method, ``delta`` and
    ``delta_error``. The last row of a cluster is the "mean delta" of its seven measures with the error of
    that mean.
    """
    need_columns(table, ("cluster", "method", "class", *_FOUR), "table")
    rows: list[dict[str, Any]] = []
    for cluster in dict.fromkeys(table["cluster"].tolist()):
        here = table[table["cluster"] == cluster]
        methods = list(dict.fromkeys(here["method"].tolist()))
        if len(methods) < 2:
            raise InputError(f"table must have two methods in each cluster, got {methods} in {cluster}")
        objects = {"objects": int(here["objects"][0])} if "objects" in here.colnames else {}
        deltas = []
        kinds = sorted(dict.fromkeys(here["class"].tolist()), key=lambda kind: kind.startswith("non"))
        for kind, name in [("both", "accuracy"), *((kind, name) for kind in kinds for name in _FOUR[1:])]:
            part = here[here["class"] == (kinds[0] if kind == "both" else kind)]
            values = {str(row["method"]): float(row[name]) for row in part}
            deltas.append(values[methods[0]] - max(values[method] for method in methods[1:]))
            head = {"cluster": cluster, "class": kind, "measure": name} | objects
            rows.append(head | values | {"delta": deltas[-1], "delta_error": np.nan})
        found = spread(deltas)
        head = {"cluster": cluster, "class": "both", "measure": "mean delta"} | objects
        rows.append(head | dict.fromkeys(methods, np.nan) | {"delta": found.mean, "delta_error": found.error})
    return QTable(rows=rows, meta=dict(table.meta))


def error_shares(table: Table) -> QTable:
    """Who looks like the false positives and negatives, and how often (Angora et al. 2020, Table 3).

    `table` is measured with ``parts=``, the first of them all objects, and the measures "fp", "fn", "fp_rate"
    and "fn_rate". Columns ``part``, ``population`` ("member": errors are false positives; "non-member": false
    negatives), ``share`` (of the population) and ``errors`` (of the errors), numbers in the first row of
    each, ``error_rate`` with ``_low`` and ``_high``.
    """
    need_columns(table, ("part", "objects", "positives", "fp", "fn", "fp_rate", "fn_rate"), "table")
    members = np.asarray(table["positives"], dtype=float)
    sides = (("member", members, "fp"), ("non-member", np.asarray(table["objects"]) - members, "fn"))
    rows = []
    for population, sizes, wrong in sides:
        errors = np.asarray(table[wrong], dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [np.append(values[:1], (values / values[0])[1:]) for values in (sizes, errors)]
        for number, row in enumerate(table):
            head = {"part": str(row["part"]), "population": population}
            head |= {"share": parts[0][number], "errors": parts[1][number]}
            rates = {f"error_rate{end}": float(row[f"{wrong}_rate{end}"]) for end in ("", "_low", "_high")}
            rows.append(head | rates)
    return QTable(rows=rows)


def highest_counts(table: Table) -> QTable:
    """In how many clusters each configuration (``bands``) has the highest accuracy, measured and published.

    `table` is from `join_published`. Only clusters that have a value for every configuration count, `meta`
    has their numbers; equal values count for the first.
    """
    columns = {"measured": "accuracy", "published": "accuracy_published"}
    if not len(table):
        return QTable(names=["bands", *columns], dtype=[str, int, int], meta=dict.fromkeys(columns, 0))
    need_columns(table, ("cluster", "bands", *columns.values()), "table")
    every = list(dict.fromkeys(text(table["bands"]).tolist()))
    _, host = np.unique(text(table["cluster"]), return_inverse=True)
    band = rows_of(every, table["bands"])
    found = QTable({"bands": every})
    for side, column in columns.items():
        values = np.full((host.max() + 1, len(every)), np.nan)
        values[host, band] = numbers(table[column])
        best = values[np.isfinite(values).all(axis=1)].argmax(axis=1)
        found[side] = np.bincount(best, minlength=len(every))
        found.meta[side] = len(best)
    return found


def separations(table: Table, measures: Sequence[str] = _FOUR) -> QTable:
    """How far all pairs of rows are apart, in units of their errors (Angora et al. 2020, appendix D.1).

    Two measurements of the same thing are within one sigma in 68 % of all cases, and 0.80 sigma apart on
    average. `table` is measured with ``over="runs"``; rows are independent. One row for each measure and
    "all" of them: ``measure``, ``pairs``, ``within_one_sigma`` (share) and ``mean_separation`` (sigma); none
    where there are no two rows with errors.
    """
    need_columns(table, [f"{name}{end}" for name in measures for end in ("", "_error")], "table")
    one, other = np.triu_indices(len(table), k=1)
    apart = {}
    for name in measures:
        value, error = (np.asarray(table[f"{name}{end}"], dtype=float) for end in ("", "_error"))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(value[one] - value[other]) / np.hypot(error[one], error[other])
        apart[name] = found[np.isfinite(found)]
    apart["all"] = np.concatenate(list(apart.values()))
    rows = [(name, len(a), np.mean(a < 1), a.mean()) for name, a in apart.items() if len(a)]
    names, kinds = ["measure", "pairs", "within_one_sigma", "mean_separation"], [str, int, float, float]
    return QTable(rows=rows or None, names=names, dtype=kinds)


def linear_fits(
    table: Table,
    *,
    x: str = "train",
    measures: Sequence[str] = ("accuracy", "accuracy_std", "f1", "f1_std"),
    total: str | None = None,
) -> QTable:
    """Straight lines through the points of a table (Angora et al. 2020, Figs 5 and D.1), unweighted.

    One line for each of ``bands`` and measure, and of the name `total` through all rows together, last. The
    slope is per 500 of `x`, its interval of 95 % from Student's t and the residuals. Columns ``bands``,
    ``measure`` and those of `_LINE`; no row for a line with fewer than three different x, which has no error.
    """
    need_columns(table, ["bands", x, *measures], "table")
    names = text(table["bands"])
    groups = {name: names == name for name in dict.fromkeys(names.tolist())}
    groups |= {} if total is None else {total: np.ones(len(table), dtype=bool)}
    rows = []
    for group, here in groups.items():
        for name in measures:
            place, value = (numbers(table[here][column]) for column in (x, name))
            known = np.isfinite(place) & np.isfinite(value)
            if len(np.unique(place[known])) < 3:
                continue
            fit, n = linregress(place[known] / 500.0, value[known]), int(known.sum())
            half = float(t.ppf(0.975, n - 2)) * fit.stderr
            slope = (fit.slope, fit.stderr, fit.slope - half, fit.slope + half)
            line = (n, *slope, fit.intercept, fit.intercept_stderr, fit.pvalue)
            rows.append({"bands": group, "measure": name} | dict(zip(_LINE, line, strict=True)))
    kinds = {"bands": str, "measure": str, "points": int} | dict.fromkeys(_LINE[1:], float)
    return QTable(rows=rows or None, names=list(kinds), dtype=list(kinds.values()))


def reliability(predictions: Mapping[str, Predictions], *, bins: int = 10) -> QTable:
    """How often the positive class is there where it is said to be there with probability p.

    Rows of bins of equal width in p that hold objects of known class: ``experiment`` (the key), ``p`` (mean),
    ``fraction`` of positives with its Wilson interval ``_low`` and ``_high``, ``objects``. Calibrated
    probabilities have the fraction p. Draw it by ``points(table, "p", "fraction", by="experiment")``.
    """
    rows = [
        (name, *row)
        for name, one in predictions.items()
        for row in probability_bins(one.known.score, one.known.is_positive, bins=bins).iterrows()
    ]
    names = ("experiment", "p", "fraction", "fraction_low", "fraction_high", "objects")
    return QTable(rows=rows or None, names=names, dtype=["U64", *4 * ["f8"], "i8"])


def probability_bins(p: ArrayLike, there: ArrayLike, *, bins: int = 10) -> QTable:
    """How often that is there which is said to be there with probability p: `reliability` of plain arrays."""
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    p, there, rows = np.asarray(p), np.asarray(there), []
    place = np.minimum((p * bins).astype(int), bins - 1)
    for number in np.unique(place):
        inside = place == number
        found = wilson(there[inside].sum(), inside.sum())
        rows.append((p[inside].mean(), there[inside].mean(), *map(float, found), int(inside.sum())))
    names = ("p", "fraction", "fraction_low", "fraction_high", "objects")
    return QTable(rows=rows or None, names=names, dtype=[*4 * ["f8"], "i8"])


def vote_table(votes: Mapping[str, Predictions]) -> QTable:
    """How ways to combine votes agree with the experts (Kosiba et al. 2020, Table 1).

    `votes` are from `labkit.votes.vote_predictions`. One row for each ``data_set`` (all objects that the
    experts know, then those of the test split, each with objects of both classes) and way:
    ``classifications`` (the way), the number of ``objects``, and what a table of votes shows.
    """
    rows = []
    for split in (None, "test"):
        for way, predictions in votes.items():
            part = predictions.select(split=split).known
            if len(set(part.true_codes.tolist())) < 2:
                continue
            found = measure(part, measures=_VOTES, split=None, over="runs")[0]
            about = {"data_set": f"{len(part)} objects", "objects": len(part), "classifications": way}
            counts = {name: int(found[name]) for name in _VOTES[:4]}
            rows.append(about | counts | {name: float(found[name]) for name in _VOTES[4:]})
    if rows:
        return QTable(rows=rows)
    names = ("data_set", "objects", "classifications", *_VOTES)
    return QTable(names=names, dtype=["U12", "i8", "U12", *4 * ["i8"], *4 * ["f8"]])
