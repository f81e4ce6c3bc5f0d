"""A catalogue's row in words: its columns in a reader's order, numbers with units, redshift and velocity."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Row

__all__ = ["grid", "in_order", "shown_value", "with_redshift"]

_HIDDEN = ("object_id", "ra", "dec")
_FIRST = ("label", "cluster", "cluster_redshift", "redshift", "velocity")
_LAST = ("coverage_", "label_", "split_")


def in_order(names: Sequence[str]) -> list[str]:
    """Columns to show; those of cluster members with what a reader asks for first.

    Parameters
    ----------
    names : sequence of str
        Columns of a catalogue. Without a column ``cluster`` they keep their order; id and position, which
        have a place of their own, are left out.
    """
    shown = [name for name in names if name not in _HIDDEN]
    return sorted(shown, key=_rank) if "cluster" in names else shown


def _rank(name: str) -> tuple[int, int]:
    if name in _FIRST:
        return 0, _FIRST.index(name)
    return 3 if name.startswith(_LAST) else 1 if name.startswith("mag") else 2, 0


def with_redshift(words: str, row: Row) -> str:
    """A text with redshift and velocity in the cluster behind it, if the catalogue has both columns.

    Parameters
    ----------
    words : str
        The text.
    row : Row
        Of a catalogue.
    """
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
