"""Further columns of a Sample's catalogue; its pixels stay unread."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.sample.sample import Sample
from labkit.tables import text

__all__ = ["with_columns"]

_HASHED = ("label", "split")  # columns that a Sample's content_hash covers
_FIXED = ("object_id", "ra", "dec")


def with_columns(
    sample: Sample, columns: Mapping[str, ArrayLike], *, provenance: Mapping[str, Any] | None = None
) -> Sample:
    """A Sample with columns added to its catalogue, or replaced; pixels stay unread.

    Where the columns ``label`` or ``split`` change, so does ``content_hash``; trainings on other columns are
    told apart by the labels they used.

    Parameters
    ----------
    sample : Sample
        Unchanged.
    columns : mapping of str to array_like, shape (object,)
        Columns by name.
    provenance : mapping, optional
        Entries to add to the provenance, as JSON.

    Returns
    -------
    Sample
        The same pixels with another catalogue.

    Raises
    ------
    InputError
        If a column has not one value an object, or says which object a row is.
    """
    if fixed := [name for name in columns if name in _FIXED]:
        raise InputError(f"columns must not be any of {_FIXED}, got {fixed}")
    catalogue = QTable(sample.catalogue, copy=False)
    for name, values in columns.items():
        if np.shape(values) != (len(sample),):
            raise InputError(
                f"column {name!r} must have one value an object, {len(sample)}, got {np.shape(values)}"
            )
        catalogue[name] = values
    joined = copy.copy(sample)
    joined.catalogue = catalogue
    joined.provenance = {**sample.provenance, **(provenance or {})}
    before = joined.__dict__.pop("content_hash", None)
    if before is not None:
        joined.__dict__["content_hash"] = _hash(before, sample.catalogue, catalogue)
    return joined


def _hash(before: str, old: QTable, new: QTable) -> str:
    """A new hash where a column that it covers has changed."""
    digest, changed = hashlib.sha256(before.encode()), False
    for name in _HASHED:
        if name in new.colnames:
            values = text(new[name])
            given = text(old[name]) if name in old.colnames else None
            changed |= given is None or not np.array_equal(values, given)
            digest.update("\n".join([name, *values.tolist()]).encode())
    return digest.hexdigest() if changed else before
