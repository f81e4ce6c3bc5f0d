"""The Sample, the data object that every source makes and everything else reads."""

from __future__ import annotations

from labkit.sample.columns import with_columns
from labkit.sample.concatenate import concatenate
from labkit.sample.label_tables import read_labels
from labkit.sample.labels import with_label_files, with_labels
from labkit.sample.sample import Sample
from labkit.sample.store import SampleWriter

__all__ = [
    "Sample",
    "SampleWriter",
    "concatenate",
    "read_labels",
    "with_columns",
    "with_label_files",
    "with_labels",
]
