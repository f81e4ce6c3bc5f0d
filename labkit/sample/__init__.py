"""The Sample, the data object that every source makes and everything else reads."""

from labkit.sample.labels import with_columns, with_label_files, with_labels
from labkit.sample.sample import Sample, collect, concatenate
from labkit.sample.splits import with_split
from labkit.sample.store import SampleWriter
