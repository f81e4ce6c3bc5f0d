"""Tables and lists as pages show them; whatever text they hold is escaped."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from jinja2 import Environment, FileSystemLoader

from labkit.errors import InputError
from labkit.tables import numbers
from labkit.views.style import FONT

#: Where the HTML of pages, tables and the inspector stands; whatever text it is given is escaped.
templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_pieces: Any = templates.get_template("tables.html.j2").module


#: Kind of output that holds a table's numbers beside what a notebook shows of it.
ECSV = "application/vnd.labkit.ecsv"


@dataclass(frozen=True)
class Html:
    """A piece of a page; Jupyter shows it by itself, and `str` gives the text."""

    text: str
    rows: Table | None = field(default=None, repr=False, compare=False)

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        if self.rows is None:
            return {}
        with io.StringIO() as file:
            self.rows.write(file, format="ascii.ecsv")
            return {ECSV: file.getvalue()}

    def _repr_html_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


def table(
    rows: Table, *, caption: str = "", columns: Sequence[str] | Mapping[str, str] | None = None,
    digits: int | None = None, formats: Mapping[str, str] | None = None,
    longest: int = 200,
) -> Html:  # fmt: skip
    """A table as in a paper: rules above and below, numbers to the right, nothing that needs a click.

    Parameters
    ----------
    rows : Table
        The table; units go into the header, a masked value or NaN is a dash.
    caption : str
        Text above it.
    columns : sequence of str, or mapping of str to str, optional
        Columns to show, in this order; a mapping says what the header calls them. By default all.
    digits : int, optional
        Digits after the point of decimal numbers that `formats` does not name. By default two digits of the
        interval or error beside a number (`<name>_low` and `<name>_high`, `low` and `high` right after it,
        `<name>_std`, `<name>_error`) are shown, and so many of the number itself; without one four in all.
    formats : mapping of str to str, optional
        Format specification of a column, such as `{"auc": ".3f"}`.
    longest : int
        Number of rows to show; the rest is counted in a last line.

    Returns
    -------
    Html
        The table; for one without rows its caption and a line that says so.

    Raises
    ------
    InputError
        If `columns` or `formats` name a column that is not there.
    """
    formats, names = dict(formats or {}), list(rows.colnames if columns is None else columns)
    if unknown := sorted({*names, *formats} - set(rows.colnames)):
        raise InputError(f"columns and formats must name columns of the table {rows.colnames}, got {unknown}")
    if not len(rows):
        return Html(str(_pieces.nothing(caption or "Table", FONT)))
    titles = dict(columns) if isinstance(columns, Mapping) else {n: column_title(rows, n) for n in names}
    kinds = {name: getattr(rows[name], "dtype", np.dtype(object)).kind for name in names}
    fitting = {} if digits is not None else _fitting(rows)
    places = {name: fitting.get(name, digits) for name in names if kinds[name] == "f"}
    formats = {name: f".{number}f" for name, number in places.items() if number is not None} | formats
    heads = [(titles[name], "right" if kinds[name] in "iufc" else "left") for name in names]
    cells = [
        [_words(getattr(row[name], "value", row[name]), formats.get(name, "")) for name in names]
        for row in rows[:longest]
    ]
    shown = rows[names][:longest]
    shown.meta = {"caption": caption, "rows left out": max(len(rows) - longest, 0)}
    return Html(str(_pieces.table(caption, heads, cells, len(rows) - longest, FONT)), shown)


def _fitting(rows: Table) -> dict[str, int]:
    """Digits after the point that the intervals or errors of numbers allow, the same in all rows."""
    places: dict[str, int] = {}
    for name, after in zip(rows.colnames, [*rows.colnames[1:], ""], strict=True):
        ends = ("low", "high") if after == "low" else (f"{name}_low", f"{name}_high")
        kept = [one for one in (*ends, f"{name}_std", f"{name}_error") if one in rows.colnames]
        half = [numbers(rows[one]) for one in kept if one not in ends]
        if set(ends) <= set(kept):
            half = [(numbers(rows[ends[1]]) - numbers(rows[ends[0]])) / 2]
        known = [width[np.isfinite(width) & (width > 0)] for width in half]
        if known and len(known[0]):
            number = 1 - int(np.floor(np.log10(np.median(known[0]))))
            places |= dict.fromkeys((name, *kept), min(max(number, 0), 6)) if number < 7 else {}
    return places


def transposed(rows: Table, by: str, *, columns: Sequence[str]) -> Table:
    """A table of few rows on its side, as text: a row for each of `columns`, a column for each value of `by`.

    Where the table has ``<column>_published``, a column "<value>, published" stands beside each. Rows of one
    value are numbered from the second on.
    """
    if unknown := sorted({by, *columns} - set(rows.colnames)):
        raise InputError(f"by and columns must name columns of the table {rows.colnames}, got {unknown}")
    turned = Table({"quantity": [column_title(rows, name) for name in columns]})
    for row in rows:
        plain = {name: getattr(row[name], "value", row[name]) for name in rows.colnames}
        title, number = str(row[by]), 2
        while title in turned.colnames:
            title, number = f"{row[by]} ({number})", number + 1
        turned[title] = [_words(plain[name], "") for name in columns]
        theirs = [f"{name}_published" for name in columns]
        if any(name in rows.colnames for name in theirs):
            turned[f"{title}, published"] = [
                _words(plain[name], "") if name in plain else "–" for name in theirs
            ]
    return turned


def bullet_list(sentences: Iterable[str]) -> Html:
    """Sentences as a list that wraps with the page, such as those of `labkit.evaluate.sentences`."""
    return Html(str(_pieces.bullets(list(sentences), FONT)))


def column_title(rows: Table, name: str) -> str:
    """A column's name as one reads it, with its unit."""
    unit = getattr(rows[name], "unit", None)
    return f"{name.replace('_', ' ')} ({unit:unicode})" if unit else name.replace("_", " ")


def _words(value: object, form: str) -> str:
    if value is None or value is np.ma.masked or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if form:
        return format(value, form)
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
