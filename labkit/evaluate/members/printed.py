"""Measured tables in the words and numbers that Angora et al. (2020) print: per cent, AE, pur, compl, F1."""

from __future__ import annotations

from collections.abc import Sequence

from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.tables import as_text

__all__ = ["as_printed"]

#: Abbreviations of appendix A.3.
_SHORT = {"efficiency": "AE", "purity": "pur", "completeness": "compl", "f1": "F1", "auc": "AUC"}
_ENDINGS = ("", "_std", "_error", "_low", "_high")


def as_printed(
    table: QTable,
    *,
    measures: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    digits: int = 1,
    bounds: bool = False,
) -> QTable:
    """A table of measures as the paper prints it, in per cent, narrow enough for a page.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From the functions of `labkit.evaluate.members`, or from `beside`.
    measures : sequence of str, optional
        Columns to show, such as "member_f1"; with each goes its published one where there is one. By default
        all that `beside` has joined.
    keep : sequence of str
        Further columns to keep as they are, such as "objects"; those of text are kept anyway.
    digits : int
        Digits after the point.
    bounds : bool
        Show the interval, too.

    Returns
    -------
    `~astropy.table.QTable`
        Columns of text, those kept, and of each measure "88.1 ± 1.2 [86.3, 89.9]" as far as its parts are
        known, in a column "AE", "pur", "compl", "F1" or "AUC" (non-members': "pur, non"), followed by the
        published one, "AE, paper" ("–" where nothing was published).

    Raises
    ------
    InputError
        If a column is missing, or no measure is named.
    """
    chosen = list(table.meta.get("measures", ()) if measures is None else measures)
    shown = dict.fromkeys(
        one for name in chosen for one in (name, f"{name}_published") if one in table.colnames
    )
    if missing := [name for name in (*chosen, *keep) if name not in table.colnames]:
        raise InputError(f"measures and keep must name columns, got none for {missing}: {table.colnames}")
    if not shown:
        raise InputError(
            "measures must name a column at least, got none; only tables of `beside` name theirs"
        )
    words = [name for name in table.colnames if table[name].dtype.kind == "U"]
    whole = QTable({name: table[name] for name in dict.fromkeys([*words, *keep])})
    for name in shown:
        for column in (f"{name}{end}" for end in _ENDINGS):
            if column in table.colnames:
                whole[column] = 100 * table[column]
    result = as_text(whole, digits=digits, measures=list(shown), bounds=bounds)
    for name in (one for one in shown if one.endswith("_published")):
        result[name] = ["–" if text == "undefined" else text for text in result[name]]
    result.rename_columns(list(shown), [_header(name) for name in shown])
    return result


def _header(name: str) -> str:
    measure = name.removesuffix("_published")
    kind, _, last = measure.rpartition("_")
    words = _SHORT.get(last, last) + (", non" if kind == "non_member" else "")
    return f"{words}, paper" if name.endswith("_published") else words
