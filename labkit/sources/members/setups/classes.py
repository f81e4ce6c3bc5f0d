"""What every set-up needs: classes and clusters of the sources, and a fair way to deal them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample, with_columns
from labkit.tables import numbers, text
from labkit.taxonomy import MEMBER

__all__ = ["class_codes", "column_of", "need_both", "number_of", "with_setups"]

logger = logging.getLogger(__name__)


def column_of(sample: Sample, name: str) -> NDArray[np.str_]:
    """A column of the catalogue as text, empty where it is masked.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if name not in sample.catalogue.colnames:
        raise InputError(
            f"sample must have a column {name!r}, got {sample.catalogue.colnames}; make it first, or name "
            "another"
        )
    return text(sample.catalogue[name])


def class_codes(sample: Sample, label: str) -> NDArray[np.int64]:
    """1 for members, 0 for non-members, -1 for sources that take no part.

    Parameters
    ----------
    sample : Sample
        Sources.
    label : str
        Column of labels.

    Raises
    ------
    InputError
        If there is no such column, or it holds another label.
    """
    return MEMBER.encode(column_of(sample, label))


def number_of(sample: Sample, name: str) -> NDArray[np.float64]:
    """A column of the catalogue as numbers, NaN where it is masked.

    Raises
    ------
    InputError
        If there is no such column.
    """
    column_of(sample, name)
    return numbers(sample.catalogue[name])


def need_both(codes: NDArray[np.int64], what: str, *, remedy: str) -> None:
    """Refuse a set of one class.

    Raises
    ------
    InputError
        If there are no members or no non-members.
    """
    counts = [int((codes == code).sum()) for code in (1, 0)]
    if not all(counts):
        raise InputError(
            f"{what} must hold members and non-members, got {counts[0]} and {counts[1]}; {remedy}"
        )


def with_setups(sample: Sample, columns: Mapping[str, NDArray[np.str_]], about: Mapping[str, Any]) -> Sample:
    """The Sample with the columns of set-ups, each recorded under its name and counted in the log.

    Parameters
    ----------
    sample : Sample
        Unchanged.
    columns : mapping of str to ndarray of str, shape (object,)
        Labels or parts.
    about : mapping of str to mapping
        What to record of each, in ``provenance["setups"]``.
    """
    for name, values in columns.items():
        kinds, numbers = np.unique(values[values != ""], return_counts=True)
        counted = ", ".join(f"{number} {kind}" for kind, number in zip(kinds, numbers, strict=True))
        logger.info("%s: %s; %d take no part", name, counted, int((values == "").sum()))
    setups = {**sample.provenance.get("setups", {}), **about}
    return with_columns(sample, columns, provenance={"setups": setups})
